-- Rows of the taxi file: how fast records are found when no column is needed.
SELECT count(*) FROM taxi;
