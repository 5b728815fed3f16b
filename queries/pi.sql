-- An estimate of pi from random points in the unit square: a pure reduction that reads nothing.
--
-- The share of points within the quarter circle is pi / 4. Each run draws other points; with ten
-- million of them the estimate is off by about 0.0005.

SELECT
    4 * avg(CASE WHEN x * x + y * y <= 1 THEN 1.0 ELSE 0.0 END) AS pi,
    count(*) AS points
FROM (
    SELECT random() AS x, random() AS y
    FROM generate_series(1, 10000000)
);
