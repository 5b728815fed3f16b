-- The hundred dearest rides with all nineteen columns: a sort that only has to remember a hundred rows.
SELECT *
FROM taxi
ORDER BY total_amount DESC NULLS LAST, trip_distance DESC NULLS LAST, tpep_pickup_datetime DESC NULLS LAST
LIMIT 100;
