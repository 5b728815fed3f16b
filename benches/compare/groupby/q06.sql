-- Exact median and standard deviation by two numbers: 10,000 groups.
SELECT id4, id5, median(v3) AS median_v3, stddev(v3) AS sd_v3
FROM x
GROUP BY id4, id5;
