//! The queries of `queries/` against other engines: answers that DuckDB gave (scripts/make-answers.py)
//! and DataFusion as it comes, with its own CSV reader and names.

use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::prelude::{CsvReadOptions, SessionContext, ident, try_cast};

use crate::support::{Place, assert_same, cells, project};

/// The queries, except `pi`, which draws random numbers.
const QUERIES: [&str; 4] =
    ["arcos_by_county", "arcos_maximum", "taxi_by_payment", "trips_by_borough"];

/// What Brimful gives for a query.
fn ours(name: &str) -> String {
    let script = format!("queries/{name}.sql");
    Place::new().run_in_project(&["query", "--format", "csv", &script]).ok()
}

#[test]
fn answers_are_those_of_duckdb() {
    for name in QUERIES {
        let path = project().join(format!("tests/answers/{name}.csv"));
        let expected = std::fs::read_to_string(path).unwrap();
        let actual = ours(name);
        let header = |csv: &str| csv.lines().next().unwrap().to_lowercase();
        assert_eq!(header(&actual), header(&expected), "{name}");
        assert_same(name, &cells(&actual), &cells(&expected));
    }
}

#[tokio::test]
async fn answers_are_those_of_plain_datafusion() {
    let context = SessionContext::new();
    for table in ["arcos", "taxi", "trips_2019", "zones"] {
        register(&context, table).await;
    }
    for name in QUERIES {
        let script =
            std::fs::read_to_string(project().join(format!("queries/{name}.sql"))).unwrap();
        let frame = context.sql(&with_table_names(&script)).await.unwrap();
        let batches = frame.collect().await.unwrap();
        let mut expected: Vec<Vec<String>> = Vec::new();
        for batch in &batches {
            let options = FormatOptions::default();
            let columns = batch.columns().iter();
            let columns: Vec<_> =
                columns.map(|c| ArrayFormatter::try_new(c.as_ref(), &options).unwrap()).collect();
            let row = |row| columns.iter().map(|column| column.value(row).to_string()).collect();
            expected.extend((0..batch.num_rows()).map(row));
        }
        assert_same(name, &cells(&ours(name)), &expected);
    }
}

/// Registers a file with its names in lower case, which is how plain DataFusion understands names
/// without quotes, and with a column of numbers that holds the text `null` as numbers.
async fn register(context: &SessionContext, table: &str) {
    let path = project().join(format!("testdata/{table}.csv"));
    let options = CsvReadOptions::new().schema_infer_max_records(10_000);
    let frame = context.read_csv(path.to_str().unwrap(), options).await.unwrap();
    let fields = frame.schema().fields().clone();
    let lower = fields.iter().map(|field| match field.name().to_lowercase() {
        factor if factor == "mme_conversion_factor" => {
            try_cast(ident(field.name()), DataType::Float64).alias(factor)
        }
        name => ident(field.name()).alias(name),
    });
    let frame = frame.select(lower.collect::<Vec<_>>()).unwrap();
    context.register_table(table, frame.into_view()).unwrap();
}

/// `'${name:-testdata/taxi.csv}'` → `taxi`, and other variables by their defaults.
fn with_table_names(script: &str) -> String {
    let mut sql = String::new();
    let mut rest = script;
    while let Some((before, after)) = rest.split_once("${") {
        let (variable, after) = after.split_once('}').unwrap();
        let (_, default) = variable.split_once(":-").unwrap();
        let table = default.strip_prefix("testdata/").and_then(|file| file.strip_suffix(".csv"));
        match table {
            Some(table) => {
                sql.push_str(before.strip_suffix('\'').unwrap());
                sql.push_str(table);
                rest = after.strip_prefix('\'').unwrap();
            }
            None => {
                sql.push_str(before);
                sql.push_str(default);
                rest = after;
            }
        }
    }
    sql + rest
}
