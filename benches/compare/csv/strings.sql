-- Eight wide text columns of the rows that pass a filter: every string has to be read and decoded, and the lengths prove that it was.
SELECT count(*), sum(length("REPORTER_NAME")), sum(length("REPORTER_ADDRESS1")),
       sum(length("REPORTER_CITY")), sum(length("BUYER_NAME")), sum(length("BUYER_ADDRESS1")),
       sum(length("BUYER_CITY")), sum(length("Product_Name")), sum(length("Combined_Labeler_Name"))
FROM arcos
WHERE "Measure" = 'TAB';
