//! Mean fare and mean distance of taxi trips by how they were paid, with the dataframe.
//!
//! `cargo run --example taxi [FILE]` reads a CSV file of the TLC's yellow cabs, a glob or a folder
//! of them; without an argument, the 2,000 generated trips of `testdata/taxi.csv`. The same query
//! in SQL is `queries/taxi_by_payment.sql`.

use brimful::aggregates::{avg, count};
use brimful::{CsvOptions, Result, Session, SessionOptions, col, lit};

#[tokio::main]
async fn main() -> Result<()> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "testdata/taxi.csv".to_string());

    // The defaults use every core and up to 80 % of the memory; what does not fit goes to disk.
    let session = Session::new(SessionOptions::new())?;

    // Names, types and the delimiter come from samples of the file. No rows are read yet.
    let trips = session.read_csv(path, CsvOptions::new()).await?;

    let by_payment = trips
        .group_by([col("payment_type")])
        .agg([
            count(lit(1)).alias("trips"),
            avg(col("total_amount")).alias("mean_total_amount"),
            avg(col("trip_distance")).alias("mean_trip_distance"),
        ])?
        // Ascending, NULL last.
        .sort([col("payment_type").sort(true, false)])?;

    // Now the file is read, in parallel, and of its 19 columns only the three that are needed.
    by_payment.show().await
}
