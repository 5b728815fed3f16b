-- The largest shipment of tablets, in dosage units: a filter and a maximum over 42 columns.
--
-- Reads: testdata/arcos.csv, 1,500 generated shipments; see arcos_by_county.sql for real files.

SELECT max(dosage_unit) AS max_dosage_unit
FROM '${arcos:-testdata/arcos.csv}'
WHERE measure = 'TAB';
