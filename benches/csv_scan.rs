//! The CSV scan by itself: bytes of file per second for queries that want more and more of it.
//!
//! `cargo bench --bench csv_scan`; the file is generated anew in the folder for temporary files.

use std::hint::black_box;

use brimful::generate::{Dataset, GenerateArgs};
use brimful::{Session, SessionOptions};
use criterion::{Criterion, Throughput};
use tokio::runtime::Runtime;

/// Rows of the file, about 90 MB of it.
const ROWS: u64 = 200_000;

const QUERIES: [(&str, &str); 4] = [
    ("count", "SELECT count(*) FROM '{}'"),
    ("one number", "SELECT max(dosage_unit) FROM '{}'"),
    ("one text", "SELECT max(buyer_county) FROM '{}'"),
    ("every column", "SELECT * FROM '{}'"),
];

fn main() {
    let folder = tempfile::tempdir().expect("a folder for the file");
    let path = folder.path().join("arcos.csv");
    let arguments = GenerateArgs {
        rows: Some(ROWS),
        output: Some(path.clone()),
        ..GenerateArgs::new(Dataset::Arcos)
    };
    let files = brimful::generate::run(&arguments).expect("generated");
    let runtime = Runtime::new().expect("a runtime");

    let mut criterion = Criterion::default().configure_from_args();
    for threads in [1, 2] {
        let session = Session::new(SessionOptions::new().threads(threads)).expect("a session");
        let mut group = criterion.benchmark_group(format!("csv_scan/{threads} threads"));
        group.sample_size(10).throughput(Throughput::Bytes(files[0].bytes));
        for (name, query) in QUERIES {
            let sql = query.replace("{}", &path.display().to_string());
            group.bench_function(name, |bencher| {
                bencher.iter(|| {
                    runtime.block_on(async {
                        let frame = session.sql(&sql).await.expect("planned");
                        black_box(frame.collect().await.expect("run"))
                    })
                });
            });
        }
    }
    criterion.final_summary();
}
