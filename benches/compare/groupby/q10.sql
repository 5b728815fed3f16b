-- A sum and a count by all six columns: as many groups as rows, summed up so that they are not all printed.
SELECT count(*), sum(v3), sum(n)
FROM (
    SELECT id1, id2, id3, id4, id5, id6, sum(v3) AS v3, count(*) AS n
    FROM x
    GROUP BY id1, id2, id3, id4, id5, id6
) g;
