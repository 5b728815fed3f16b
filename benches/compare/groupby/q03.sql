-- A sum and a mean by long texts, of which each is in about 100 rows.
SELECT id3, sum(v1) AS v1, avg(v3) AS v3
FROM x
GROUP BY id3;
