-- Mean fare and distance by payment type: three numeric columns of nineteen.
SELECT payment_type, avg(total_amount), avg(trip_distance)
FROM taxi
GROUP BY payment_type;
