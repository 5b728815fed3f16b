-- Trips between boroughs: the trips joined twice with the table of zones.
--
-- Reads: testdata/trips_2019.csv, 1,500 generated trips in the layout of the TLC's files since 2017
-- (zones instead of coordinates), and testdata/zones.csv, 265 zones. For real files:
-- --define trips=yellow_tripdata_2019-03.csv --define zones=taxi_zone_lookup.csv, and, where the
-- columns were renamed, --define pickup_id=pickup_location_id --define dropoff_id=dropoff_location_id.

SELECT
    pickup.borough AS pickup_borough,
    dropoff.borough AS dropoff_borough,
    count(*) AS trips,
    avg(trip_distance) AS mean_trip_distance
FROM '${trips:-testdata/trips_2019.csv}' AS trips
JOIN '${zones:-testdata/zones.csv}' AS pickup ON trips.${pickup_id:-PULocationID} = pickup.location_id
JOIN '${zones:-testdata/zones.csv}' AS dropoff ON trips.${dropoff_id:-DOLocationID} = dropoff.location_id
GROUP BY pickup_borough, dropoff_borough
ORDER BY trips DESC, pickup_borough, dropoff_borough
LIMIT 10;
