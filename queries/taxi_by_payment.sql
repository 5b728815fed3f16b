-- Mean fare and mean distance of taxi trips by how they were paid: a group-by over CSV.
--
-- Reads: testdata/taxi.csv, 2,000 generated trips in the layout of the TLC's yellow cab files of
-- 2015 (19 columns). For real files: --define taxi=yellow_tripdata_2015-01.csv, or a whole year with
-- --define 'taxi=yellow_tripdata_2015-*.csv'.

SELECT
    payment_type,
    count(*) AS trips,
    avg(total_amount) AS mean_total_amount,
    avg(trip_distance) AS mean_trip_distance
FROM '${taxi:-testdata/taxi.csv}'
GROUP BY payment_type
ORDER BY payment_type;
