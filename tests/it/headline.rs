//! The workloads of the front page in three spellings: SQL, the dataframe, and a Dask program line
//! by line, as docs/dask.md has it. All give the same rows.

use std::fs;

use arrow::datatypes::DataType;
use brimful::aggregates::{len, mean, std, sum};
use brimful::functions::cast;
use brimful::{CsvOptions, DataFrame, ExprMethods, Session, col, lit};

use crate::support::{Place, frame_values, plain_session, project};

/// The rows of both are the same, numbers but for their last digits.
async fn assert_same(one: DataFrame, other: DataFrame) {
    let (one, other) = (frame_values(one).await, frame_values(other).await);
    assert!(!one.is_empty());
    assert_eq!(one.len(), other.len());
    for (one, other) in one.iter().zip(&other) {
        assert_eq!(one.len(), other.len(), "{one:?} {other:?}");
        for (one, other) in one.iter().zip(other) {
            let close = match (one.parse::<f64>(), other.parse::<f64>()) {
                (Ok(one), Ok(other)) => (one - other).abs() <= 1e-9 * other.abs(),
                _ => one == other,
            };
            assert!(close, "{one} is not {other}");
        }
    }
}

/// What a script of the folder queries gives on the files of testdata.
async fn of_script(session: &Session, name: &str) -> DataFrame {
    let script = fs::read_to_string(project().join("queries").join(name)).unwrap();
    let path = |file: &str| project().join("testdata").join(file).display().to_string();
    let script = script
        .replace("${arcos:-testdata/arcos.csv}", &path("arcos.csv"))
        .replace("${taxi:-testdata/taxi.csv}", &path("taxi.csv"));
    session.sql(&script).await.unwrap()
}

async fn read(session: &Session, file: &str) -> DataFrame {
    session.read_csv(project().join("testdata").join(file), CsvOptions::new()).await.unwrap()
}

#[tokio::test]
async fn fares_by_payment() {
    let session = plain_session();
    let sql = of_script(&session, "taxi_by_payment.sql").await;

    let frame = read(&session, "taxi.csv")
        .await
        .group_by([col("payment_type")])
        .agg([
            len().alias("trips"),
            mean(col("total_amount")).alias("mean_total_amount"),
            mean(col("trip_distance")).alias("mean_trip_distance"),
        ])
        .unwrap()
        .sort_by(&["payment_type"])
        .unwrap();
    assert_same(frame.clone(), sql).await;

    // df = dd.read_csv('taxi.csv')
    let df = read(&session, "taxi.csv").await;
    // by_payment = df.groupby('payment_type')
    let by_payment = || df.clone().group_by([col("payment_type")]);
    // by_payment.total_amount.mean().compute()
    let fares = by_payment().agg([mean(col("total_amount"))]).unwrap();
    // by_payment.trip_distance.mean().compute()
    let distances = by_payment().agg([mean(col("trip_distance"))]).unwrap();
    let fares = fares.sort_by(&["payment_type"]).unwrap();
    let distances = distances.sort_by(&["payment_type"]).unwrap();
    let columns = |names: &'static [&'static str]| {
        frame.clone().select(names.iter().map(|name| col(*name))).unwrap()
    };
    assert_same(fares, columns(&["payment_type", "mean_total_amount"])).await;
    assert_same(distances, columns(&["payment_type", "mean_trip_distance"])).await;
}

#[tokio::test]
async fn shipments_by_year_and_county() {
    let session = plain_session();
    let sql = of_script(&session, "arcos_by_county.sql").await;
    let date = || col("TRANSACTION_DATE");

    let frame = read(&session, "arcos.csv")
        .await
        .with_columns([
            cast(cast(date(), DataType::Utf8).str().tail(4), DataType::Int32).alias("year"),
            (col("CALC_BASE_WT_IN_GM") * col("MME_Conversion_Factor")).alias("mme"),
        ])
        .unwrap()
        .group_by([col("year"), col("BUYER_STATE"), col("BUYER_COUNTY")])
        .agg([len().alias("shipments"), sum(col("mme")).alias("mme_gm")])
        .unwrap()
        .sort_by(&["year", "BUYER_STATE", "BUYER_COUNTY"])
        .unwrap();
    assert_same(frame.clone(), sql).await;

    // df = dd.read_csv('arcos.csv', dtype={'TRANSACTION_DATE': str, 'MME_Conversion_Factor': str})
    let options = CsvOptions::new()
        .types([("TRANSACTION_DATE", DataType::Utf8), ("MME_Conversion_Factor", DataType::Utf8)]);
    let df = session.read_csv(project().join("testdata/arcos.csv"), options).await.unwrap();
    // df['year'] = df.TRANSACTION_DATE.str[-4:].astype(int)
    let df = df.with_column("year", cast(date().str().tail(4), DataType::Int32)).unwrap();
    // df['factor'] = dd.to_numeric(df.MME_Conversion_Factor, errors='coerce')
    let factor = col("MME_Conversion_Factor").str().to_number_or_null();
    let df = df.with_column("factor", factor).unwrap();
    // df['mme'] = df.CALC_BASE_WT_IN_GM * df.factor
    let df = df.with_column("mme", col("CALC_BASE_WT_IN_GM") * col("factor")).unwrap();
    // df.groupby(['year', 'BUYER_STATE', 'BUYER_COUNTY']).mme.sum().compute()
    let sums = df
        .group_by([col("year"), col("BUYER_STATE"), col("BUYER_COUNTY")])
        .agg([sum(col("mme"))])
        .unwrap()
        .sort_by(&["year", "BUYER_STATE", "BUYER_COUNTY"])
        .unwrap();
    let expected = ["year", "BUYER_STATE", "BUYER_COUNTY", "mme_gm"];
    assert_same(sums, frame.select(expected.map(col)).unwrap()).await;
}

#[tokio::test]
async fn a_bag_of_people() {
    let place = Place::new();
    let person = |name: &str, age: u32, occupation: &str| {
        format!("{{\"name\": \"{name}\", \"age\": {age}, \"occupation\": \"{occupation}\"}}\n")
    };
    let first =
        [person("Ann", 41, "baker"), person("Bob", 29, "judge"), person("Cid", 52, "smith")];
    let second = [
        person("Dot", 37, "baker"),
        person("Eve", 64, "judge"),
        person("Fay", 33, "smith"),
        person("Gil", 45, "baker"),
    ];
    place.write("0.json", first.concat());
    place.write("1.json", second.concat());
    let session = plain_session();
    let glob = place.path("*.json").display().to_string();

    // b = db.read_text('people/*.json').map(json.loads)
    let b = session.read_json(&glob).await.unwrap();
    // b.filter(lambda record: record['age'] > 30)
    let old = b.filter(col("age").gt(lit(30))).unwrap();
    // .map(lambda record: record['occupation'])
    let occupations = old.select([col("occupation")]).unwrap();
    // .frequencies(sort=True)
    let frequencies = occupations.value_counts(&["occupation"]).unwrap();
    // .topk(2, key=1)
    let top = frequencies.top_k(2, &["count"]).unwrap();
    assert_eq!(frame_values(top).await, [["baker", "3"], ["smith", "2"]]);

    let sql = format!(
        "SELECT occupation, count(*) AS n FROM '{glob}' WHERE age > 30 GROUP BY occupation \
         ORDER BY n DESC, occupation LIMIT 2"
    );
    let sql = session.sql(&sql).await.unwrap();
    assert_eq!(frame_values(sql).await, [["baker", "3"], ["smith", "2"]]);
}

#[tokio::test]
async fn means_and_deviations_of_a_series() {
    let session = plain_session();
    // df = dask.datasets.timeseries()
    let df = session
        .sql(
            "SELECT ['Alice', 'Bob', 'Charlie'][1 + i % 3] AS name, sin(i) AS x \
             FROM generate_series(0, 9999) AS s(i)",
        )
        .await
        .unwrap();
    session.register("df", df.clone()).unwrap();
    // df.x.mean().compute()
    let all = df.clone().agg([mean(col("x"))]).unwrap();
    assert_same(all, session.sql("SELECT avg(x) FROM df").await.unwrap()).await;
    // df.groupby('name').x.std().compute()
    let by_name = df.group_by([col("name")]).agg([std(col("x"))]).unwrap();
    let sql = "SELECT name, sqrt(sum((x - m) * (x - m)) / (count(*) - 1)) \
               FROM (SELECT *, avg(x) OVER (PARTITION BY name) AS m FROM df) \
               GROUP BY name ORDER BY name";
    assert_same(by_name.sort_by(&["name"]).unwrap(), session.sql(sql).await.unwrap()).await;
}
