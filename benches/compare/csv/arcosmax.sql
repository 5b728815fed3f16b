-- Largest dosage among tablets: a filter on text and one numeric column of forty-two.
SELECT max("DOSAGE_UNIT")
FROM arcos
WHERE "Measure" = 'TAB';
