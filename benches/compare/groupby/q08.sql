-- The two largest values of each number: a window and a filter on its rank.
SELECT id6, v3 AS largest2_v3
FROM (
    SELECT id6, v3, row_number() OVER (PARTITION BY id6 ORDER BY v3 DESC) AS place
    FROM x
    WHERE v3 IS NOT NULL
) ranked
WHERE place <= 2;
