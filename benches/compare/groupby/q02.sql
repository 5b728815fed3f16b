-- A sum by two columns of 100 texts each: 10,000 groups.
SELECT id1, id2, sum(v1) AS v1
FROM x
GROUP BY id1, id2;
