use crate::{Session, SessionOptions};

#[tokio::test]
async fn explore() {
    let session = Session::new(SessionOptions::new().threads(2)).unwrap();
    session.sql("create table t(g int not null, a bigint, x double, d decimal(10,2), s varchar) as values (1,1,1.5,1.25,'a'),(1,2,2.5,2.25,'b'),(2,2,3.5,2.75,null),(2,null,null,null,'c')").await.unwrap();
    for sql in std::fs::read_to_string("/tmp/explore.sql").unwrap().split(';') {
        if sql.trim().is_empty() { continue; }
        println!("=== {sql}");
        match session.sql(&format!("explain {sql}")).await {
            Ok(f) => match f.plan_text().await { Ok(t) => println!("{t}"), Err(e) => println!("ERR {e:?}") },
            Err(e) => println!("ERR {e:?}"),
        }
        match session.sql(sql).await.unwrap().collect().await {
            Ok(b) => println!("{}", arrow::util::pretty::pretty_format_batches(&b).unwrap()),
            Err(e) => println!("ERR {e:?}"),
        }
    }
}
