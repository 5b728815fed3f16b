-- The first thousand rows of lineitem by price and comment, all columns.
SELECT * FROM lineitem ORDER BY l_extendedprice DESC, l_comment, l_orderkey, l_linenumber LIMIT 1000;
