-- Morphine equivalents of drug shipments by year, state and county: the ARCOS collapse.
--
-- TRANSACTION_DATE is a number MMDDYYYY that may have lost its leading zero, so the year is its last
-- four digits. MME_Conversion_Factor is a number, or the text `null`, which is read as NULL; such
-- shipments add nothing to the sum.
--
-- Reads: testdata/arcos.csv, 1,500 generated shipments in the layout of the DEA's files (42
-- columns). For real files: --define arcos=arcos_all_washpost.tsv

SELECT
    CAST(right(CAST(transaction_date AS VARCHAR), 4) AS INT) AS year,
    buyer_state,
    buyer_county,
    count(*) AS shipments,
    sum(calc_base_wt_in_gm * mme_conversion_factor) AS mme_gm
FROM '${arcos:-testdata/arcos.csv}'
GROUP BY year, buyer_state, buyer_county
ORDER BY year, buyer_state, buyer_county;
