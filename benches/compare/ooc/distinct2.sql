-- Two exact distinct counts at once, one of numbers and one of text.
SELECT count(DISTINCT l_orderkey), count(DISTINCT l_comment)
FROM lineitem;
