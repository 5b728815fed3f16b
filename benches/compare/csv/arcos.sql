-- Weight of drug by year, state and county: TRANSACTION_DATE is MMDDYYYY as a number that lost its leading zero, and the factor may be the word null.
SELECT right(CAST("TRANSACTION_DATE" AS VARCHAR), 4), "BUYER_STATE", "BUYER_COUNTY",
       sum("CALC_BASE_WT_IN_GM" * TRY_CAST("MME_Conversion_Factor" AS DOUBLE))
FROM arcos
GROUP BY 1, 2, 3;
