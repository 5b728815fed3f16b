//! Drug shipments by year, state and county, weighed as morphine, with the dataframe.
//!
//! `cargo run --example arcos [FILE]` reads a CSV or TSV file in the layout of the DEA's ARCOS
//! data; without an argument, the 1,500 generated shipments of `testdata/arcos.csv`. The same
//! queries in SQL are `queries/arcos_by_county.sql` and `queries/arcos_maximum.sql`.

use arrow::datatypes::DataType;
use brimful::aggregates::{count, max, sum};
use brimful::functions::{cast, right};
use brimful::{CsvOptions, Result, Session, SessionOptions, col, lit};

#[tokio::main]
async fn main() -> Result<()> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "testdata/arcos.csv".to_string());

    // A limit far below the size of the real file, to show that it does not matter.
    let session = Session::new(SessionOptions::new().memory_limit_bytes(512 << 20))?;
    let shipments = session.read_csv(path, CsvOptions::new()).await?;

    // A date is MMDDYYYY, perhaps without its leading zero: the year is the last four digits.
    let date = cast(col("transaction_date"), DataType::Utf8);
    let year = cast(right(date, lit(4)), DataType::Int32);

    // `col` finds BUYER_STATE as well: case does not matter where only one column is meant.
    let keys = ["year", "buyer_state", "buyer_county"];
    let by_county = shipments
        .clone()
        .with_column("year", year)?
        .group_by(keys.map(col))
        .agg([
            count(lit(1)).alias("shipments"),
            // The factor is the text `null` in some rows, which is read as NULL and adds nothing.
            sum(col("calc_base_wt_in_gm") * col("mme_conversion_factor")).alias("mme_gm"),
        ])?
        .sort(keys.map(|key| col(key).sort(true, false)))?;
    by_county.show().await?;

    // The largest shipment of tablets.
    let largest = shipments
        .filter(col("measure").eq(lit("TAB")))?
        .group_by([])
        .agg([max(col("dosage_unit")).alias("max_dosage_unit")])?;
    largest.show().await
}
