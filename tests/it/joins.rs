//! Joins whose build side is kept in memory, kept in part, or written to temporary files: every
//! kind of join gives the rows that plain loops give. Then hot keys, failing disks, and joins that
//! are stopped.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{
    Array, ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array,
    Int64Array, LargeStringArray, RecordBatch, StringArray, StringViewArray,
    TimestampMicrosecondArray,
};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use brimful::{Knobs, Session};
use futures::TryStreamExt;

use crate::support::{
    Place, Random, Setup, assert_dropped_cleanly, assert_no_files_soon, assert_nothing_left_soon,
    assert_quota_is_kept, assert_read_fails, assert_rows, assert_write_fails, each, files_below,
    row_texts, rows_and_spill, send_signal, text_of_any_length, wait_until, write_table,
};

/// Users are promised 2 s; the rest is for a busy machine on which other tests run.
const SOON_STOPPED: Duration = Duration::from_secs(5);

/// Values of `v` are between 0 and 99; those above this make a row of `l` pass without a match
/// where a query says so.
const LARGE: i64 = 80;

/// Setups that each query of a property test runs under, besides the reference.
const SETUPS_A_QUERY: usize = 2;

// Tables.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeyType {
    Int32,
    Int64,
    /// Short enough to lie inside a view.
    ShortText,
    /// All alike in their first bytes.
    LongText,
    /// Empty, short and long ones.
    TextView,
    LargeText,
    Decimal,
    Date,
    Timestamp,
    Boolean,
    /// One of them is not a number.
    Float64,
    /// An integer and a text.
    Several,
}

impl KeyType {
    fn names(self) -> &'static [&'static str] {
        if self == KeyType::Several { &["k", "k2"] } else { &["k"] }
    }

    /// The key columns that stand for these numbers, a different value for each.
    fn columns(self, numbers: &[Option<u32>]) -> Vec<(&'static str, ArrayRef)> {
        let key: ArrayRef = match self {
            KeyType::Int32 => {
                Arc::new(Int32Array::from(each(numbers, |number| number as i32 * 7 - 50)))
            }
            KeyType::Int64 => {
                let value = |number: u32| i64::from(number) * 10_000_000_019 - 5;
                Arc::new(Int64Array::from(each(numbers, value)))
            }
            KeyType::ShortText => {
                let value = |number: u32| format!("k{number}");
                Arc::new(StringArray::from(each(numbers, value)))
            }
            KeyType::LongText => {
                let value = |number: u32| format!("what all of them begin with {number}");
                Arc::new(StringArray::from(each(numbers, value)))
            }
            KeyType::TextView => Arc::new(StringViewArray::from(each(numbers, text_of_any_length))),
            KeyType::LargeText => {
                Arc::new(LargeStringArray::from(each(numbers, text_of_any_length)))
            }
            KeyType::Decimal => {
                let array =
                    Decimal128Array::from(each(numbers, |number| i128::from(number) * 25 - 100));
                Arc::new(array.with_precision_and_scale(15, 2).unwrap())
            }
            KeyType::Date => {
                Arc::new(Date32Array::from(each(numbers, |number| number as i32 * 31 - 400)))
            }
            KeyType::Timestamp => {
                let value = |number: u32| i64::from(number) * 1_000_003 - 7;
                Arc::new(TimestampMicrosecondArray::from(each(numbers, value)))
            }
            KeyType::Boolean => {
                Arc::new(BooleanArray::from(each(numbers, |number| number.is_multiple_of(2))))
            }
            KeyType::Float64 => {
                let value = |number: u32| match number {
                    0 => f64::NAN,
                    _ => f64::from(number) / 8.0 - 3.0,
                };
                Arc::new(Float64Array::from(each(numbers, value)))
            }
            KeyType::Several => return columns_of_two(numbers),
        };
        vec![("k", key)]
    }
}

/// A number as two columns. Where there is none, one of the two or both are NULL.
fn columns_of_two(numbers: &[Option<u32>]) -> Vec<(&'static str, ArrayRef)> {
    let mut integers = Vec::new();
    let mut texts = Vec::new();
    for (row, number) in numbers.iter().enumerate() {
        let (is_null, third) = (number.is_none(), row % 3);
        let number = number.unwrap_or(row as u32);
        integers.push((!is_null || third == 0).then_some(number as i32 / 8));
        texts.push((!is_null || third == 1).then(|| format!("part {}", number % 8)));
    }
    let integers: ArrayRef = Arc::new(Int32Array::from(integers));
    let texts: ArrayRef = Arc::new(StringArray::from(texts));
    vec![("k", integers), ("k2", texts)]
}

/// How the keys of a table are drawn.
#[derive(Debug, Clone, Copy)]
struct Draw {
    rows: usize,
    /// How many different keys there are.
    keys: u32,
    /// How many of a hundred keys are NULL.
    nulls: u32,
    /// Whether every second row has the same key.
    hot: bool,
}

fn draw(rows: usize, keys: u32, nulls: u32) -> Draw {
    Draw { rows, keys, nulls, hot: false }
}

/// A table, `l` or `r`, and what the plain loops need of it.
struct Side {
    batch: RecordBatch,
    keys: Vec<Vec<Option<String>>>,
    values: Vec<Option<i64>>,
    /// Each row as a text.
    rows: Vec<String>,
}

impl Side {
    fn new(random: &mut Random, key_type: KeyType, draw: Draw) -> Side {
        let mut numbers = Vec::new();
        let mut values = Vec::new();
        let mut texts = Vec::new();
        for _ in 0..draw.rows {
            numbers.push(if random.below(100) < draw.nulls {
                None
            } else if draw.hot && random.below(2) == 0 {
                Some(0)
            } else {
                Some(random.below(draw.keys))
            });
            values.push((random.below(10) > 0).then_some(i64::from(random.below(100))));
            texts.push(match random.below(8) {
                0 => None,
                1 => Some(String::new()),
                _ => {
                    let repeats = random.below(5) as usize;
                    Some(format!("{}{}", "tenletters".repeat(repeats), random.below(1000)))
                }
            });
        }
        let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..draw.rows as i64));
        let v: ArrayRef = Arc::new(Int64Array::from(values.clone()));
        let t: ArrayRef = Arc::new(StringArray::from(texts));
        let mut columns = vec![("id", ids)];
        columns.extend(key_type.columns(&numbers));
        columns.extend([("v", v), ("t", t)]);
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let keys = key_texts(&batch, key_type.names());
        let rows = row_texts(&batch);
        Side { batch, keys, values, rows }
    }

    /// The text of a row of NULLs.
    fn nulls(&self) -> String {
        vec!["NULL"; self.batch.num_columns()].join("|")
    }

    fn has_null_key(&self) -> bool {
        self.keys.iter().flatten().any(Option::is_none)
    }
}

fn key_texts(batch: &RecordBatch, names: &[&str]) -> Vec<Vec<Option<String>>> {
    let options = FormatOptions::default();
    let columns: Vec<&ArrayRef> =
        names.iter().map(|name| batch.column_by_name(name).unwrap()).collect();
    let formatter = |column| ArrayFormatter::try_new(column, &options).unwrap();
    let formatters: Vec<_> = columns.iter().map(|column| formatter(&***column)).collect();
    let key = |row| {
        let cells = columns.iter().zip(&formatters);
        cells.map(|(c, f)| (!c.is_null(row)).then(|| f.value(row).to_string())).collect()
    };
    (0..batch.num_rows()).map(key).collect()
}

// Queries.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Inner,
    Left,
    Right,
    Full,
    LeftSemi,
    LeftAnti,
    RightSemi,
    RightAnti,
    /// `count(*)` of an inner join: no column is asked for.
    CountInner,
    CountFull,
    Exists,
    NotExists,
    /// `l.v > 80 OR EXISTS (…)`
    MarkExists,
    MarkNotExists,
    In,
    NotIn,
    MarkIn,
}

const JOINS: [Shape; 8] = [
    Shape::Inner,
    Shape::Left,
    Shape::Right,
    Shape::Full,
    Shape::LeftSemi,
    Shape::LeftAnti,
    Shape::RightSemi,
    Shape::RightAnti,
];

const COUNTS: [Shape; 2] = [Shape::CountInner, Shape::CountFull];

const EXISTS: [Shape; 4] =
    [Shape::Exists, Shape::NotExists, Shape::MarkExists, Shape::MarkNotExists];

/// What a query asks of the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keys {
    Any,
    Equal,
    /// NULL meets NULL.
    NotDistinct,
}

/// What a query asks beside the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Residual {
    Nothing,
    /// `l.v < r.v`
    Less,
    /// `l.v > 80`
    LeftLarge,
}

impl Residual {
    fn holds(self, left: Option<i64>, right: Option<i64>) -> bool {
        match (self, left, right) {
            (Residual::Nothing, _, _) => true,
            (Residual::Less, Some(left), Some(right)) => left < right,
            (Residual::LeftLarge, Some(left), _) => left > LARGE,
            (Residual::Less | Residual::LeftLarge, _, _) => false,
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Query {
    shape: Shape,
    keys: Keys,
    residual: Residual,
}

impl Query {
    fn all<const COUNT: usize>(
        shapes: [Shape; COUNT],
        keys: Keys,
        residual: Residual,
    ) -> [Query; COUNT] {
        shapes.map(|shape| Query { shape, keys, residual })
    }

    /// Whether it is an inner join of nothing but the keys, or of any two rows.
    fn is_plain(self) -> bool {
        self.shape == Shape::Inner
            && (self.keys == Keys::Any
                || (self.keys == Keys::Equal && self.residual == Residual::Nothing))
    }

    fn sql(self, key_type: KeyType) -> String {
        let names = key_type.names();
        let columns = |table: &str| {
            let names = ["id"].iter().chain(names).chain(&["v", "t"]);
            names.map(|name| format!("{table}.{name}")).collect::<Vec<_>>().join(", ")
        };
        let (left, right) = (columns("l"), columns("r"));
        let both = format!("{left}, {right}");
        let condition = match self.conditions(names) {
            parts if parts.is_empty() => "TRUE".to_string(),
            parts => parts.join(" AND "),
        };
        let join = |columns: &str, kind: &str| {
            if kind == "INNER" && condition == "TRUE" {
                return format!("SELECT {columns} FROM l CROSS JOIN r");
            }
            format!("SELECT {columns} FROM l {kind} JOIN r ON {condition}")
        };
        let filter = |filter: String| format!("SELECT {left} FROM l WHERE {filter}");
        let exists = format!("EXISTS (SELECT 1 FROM r WHERE {condition})");
        let list = match self.conditions(&names[1..]) {
            parts if parts.is_empty() => "(SELECT r.k FROM r)".to_string(),
            parts => format!("(SELECT r.k FROM r WHERE {})", parts.join(" AND ")),
        };
        match self.shape {
            Shape::Inner => join(&both, "INNER"),
            Shape::Left => join(&both, "LEFT"),
            Shape::Right => join(&both, "RIGHT"),
            Shape::Full => join(&both, "FULL"),
            Shape::LeftSemi => join(&left, "LEFT SEMI"),
            Shape::LeftAnti => join(&left, "LEFT ANTI"),
            Shape::RightSemi => join(&right, "RIGHT SEMI"),
            Shape::RightAnti => join(&right, "RIGHT ANTI"),
            Shape::CountInner => join("count(*)", "INNER"),
            Shape::CountFull => join("count(*)", "FULL"),
            Shape::Exists => filter(exists),
            Shape::NotExists => filter(format!("NOT {exists}")),
            Shape::MarkExists => filter(format!("l.v > {LARGE} OR {exists}")),
            Shape::MarkNotExists => filter(format!("l.v > {LARGE} OR NOT {exists}")),
            Shape::In => filter(format!("l.k IN {list}")),
            Shape::NotIn => filter(format!("l.k NOT IN {list}")),
            Shape::MarkIn => filter(format!("l.v > {LARGE} OR l.k IN {list}")),
        }
    }

    fn conditions(self, names: &[&str]) -> Vec<String> {
        let mut parts: Vec<String> = match self.keys {
            Keys::Any => Vec::new(),
            Keys::Equal => names.iter().map(|name| format!("l.{name} = r.{name}")).collect(),
            Keys::NotDistinct => {
                let names = names.iter();
                names.map(|name| format!("(l.{name} IS NOT DISTINCT FROM r.{name})")).collect()
            }
        };
        match self.residual {
            Residual::Nothing => {}
            Residual::Less => parts.push("l.v < r.v".to_string()),
            Residual::LeftLarge => parts.push(format!("l.v > {LARGE}")),
        }
        parts
    }

    /// For each row of `l`, the rows of `r` that it matches.
    fn matches(self, left: &Side, right: &Side) -> Vec<Vec<usize>> {
        let all: Vec<usize> = (0..right.rows.len()).collect();
        let none: Vec<usize> = Vec::new();
        let mut by_key: HashMap<&[Option<String>], Vec<usize>> = HashMap::new();
        for (row, key) in right.keys.iter().enumerate() {
            by_key.entry(key.as_slice()).or_default().push(row);
        }
        let of_row = |row: usize| -> Vec<usize> {
            let key = left.keys[row].as_slice();
            let candidates = match self.keys {
                Keys::Any => &all,
                Keys::Equal if key.iter().any(Option::is_none) => &none,
                Keys::Equal | Keys::NotDistinct => by_key.get(key).unwrap_or(&none),
            };
            let value = left.values[row];
            let holds = |other: &usize| self.residual.holds(value, right.values[*other]);
            candidates.iter().copied().filter(holds).collect()
        };
        (0..left.rows.len()).map(of_row).collect()
    }

    /// The rows that plain loops give, sorted. `None` for NOT IN with NULL keys and a condition on
    /// both tables, where only sessions are compared.
    fn expected(self, left: &Side, right: &Side) -> Option<Vec<String>> {
        let matches = self.matches(left, right);
        let mut is_matched = vec![false; right.rows.len()];
        for &row in matches.iter().flatten() {
            is_matched[row] = true;
        }
        let has_match = |row: usize| !matches[row].is_empty();
        let is_large = |row: usize| left.values[row].is_some_and(|value| value > LARGE);
        let of_left = |keep: &dyn Fn(usize) -> bool| -> Vec<String> {
            let kept = (0..left.rows.len()).filter(|&row| keep(row));
            kept.map(|row| left.rows[row].clone()).collect()
        };
        let of_right = |matched: bool| -> Vec<String> {
            let kept = (0..right.rows.len()).filter(|&row| is_matched[row] == matched);
            kept.map(|row| right.rows[row].clone()).collect()
        };
        let pairs = || -> Vec<String> {
            let mut pairs = Vec::new();
            for (row, others) in matches.iter().enumerate() {
                let pair = |&other: &usize| format!("{}|{}", left.rows[row], right.rows[other]);
                pairs.extend(others.iter().map(pair));
            }
            pairs
        };
        let only_left = || -> Vec<String> {
            let rows = of_left(&|row: usize| !has_match(row)).into_iter();
            rows.map(|row| format!("{row}|{}", right.nulls())).collect()
        };
        let only_right = || -> Vec<String> {
            let rows = of_right(false).into_iter();
            rows.map(|row| format!("{}|{row}", left.nulls())).collect()
        };
        let mut rows = match self.shape {
            Shape::Inner => pairs(),
            Shape::Left => [pairs(), only_left()].concat(),
            Shape::Right => [pairs(), only_right()].concat(),
            Shape::Full => [pairs(), only_left(), only_right()].concat(),
            Shape::LeftSemi | Shape::Exists | Shape::In => of_left(&has_match),
            Shape::LeftAnti | Shape::NotExists => of_left(&|row: usize| !has_match(row)),
            Shape::RightSemi => of_right(true),
            Shape::RightAnti => of_right(false),
            Shape::CountInner => vec![pairs().len().to_string()],
            Shape::CountFull => {
                vec![(pairs().len() + only_left().len() + only_right().len()).to_string()]
            }
            Shape::MarkExists | Shape::MarkIn => {
                of_left(&|row: usize| is_large(row) || has_match(row))
            }
            Shape::MarkNotExists => of_left(&|row: usize| is_large(row) || !has_match(row)),
            Shape::NotIn => {
                let has_null = right.has_null_key();
                if self.residual != Residual::Nothing && (has_null || left.has_null_key()) {
                    return None;
                }
                // Nothing is in an empty list; whether a NULL is in another is not known.
                of_left(&|row: usize| {
                    let is_known = left.keys[row][0].is_some() && !has_null;
                    right.rows.is_empty() || (is_known && !has_match(row))
                })
            }
        };
        rows.sort_unstable();
        Some(rows)
    }
}

/// Every kind of join on keys, with and without another condition.
fn all_queries(key_type: KeyType) -> Vec<Query> {
    let lists = [Shape::In, Shape::NotIn, Shape::MarkIn];
    let mut queries = Vec::new();
    for residual in [Residual::Nothing, Residual::Less] {
        queries.extend(Query::all(JOINS, Keys::Equal, residual));
        queries.extend(Query::all(JOINS, Keys::NotDistinct, residual));
        queries.extend(Query::all(EXISTS, Keys::Equal, residual));
        queries.extend(Query::all(lists, Keys::Equal, residual));
    }
    let left_rows_stay = [Shape::Left, Shape::Full, Shape::LeftAnti];
    queries.extend(Query::all(left_rows_stay, Keys::Equal, Residual::LeftLarge));
    queries.extend(Query::all(COUNTS, Keys::Equal, Residual::Nothing));
    // NOT IN takes one key only.
    queries.retain(|query| query.shape != Shape::NotIn || key_type != KeyType::Several);
    queries
}

/// Those that suffice for one more type of keys.
fn some_queries() -> Vec<Query> {
    let mut queries = Query::all(JOINS, Keys::Equal, Residual::Nothing).to_vec();
    let with_nulls = [Shape::Inner, Shape::Full, Shape::LeftAnti];
    queries.extend(Query::all(with_nulls, Keys::NotDistinct, Residual::Nothing));
    let filtered = [Shape::Left, Shape::LeftSemi, Shape::RightAnti];
    queries.extend(Query::all(filtered, Keys::Equal, Residual::Less));
    let subqueries = [Shape::MarkExists, Shape::In, Shape::NotIn];
    queries.extend(Query::all(subqueries, Keys::Equal, Residual::Nothing));
    queries
}

/// Joins without keys.
fn queries_without_keys() -> Vec<Query> {
    let mut queries = Query::all(JOINS, Keys::Any, Residual::Less).to_vec();
    queries.extend(Query::all(COUNTS, Keys::Any, Residual::Less));
    queries.extend(Query::all(EXISTS, Keys::Any, Residual::Less));
    let of_all = [Shape::Inner, Shape::Left, Shape::Right, Shape::Full, Shape::CountInner];
    queries.extend(Query::all(of_all, Keys::Any, Residual::Nothing));
    queries
}

// Sessions.

fn knobs(join_build_bytes: u64, buckets: Option<usize>, least_levels: Option<u32>) -> Knobs {
    let join_build_bytes = Some(join_build_bytes);
    Knobs { join_build_bytes, buckets, least_levels, ..Knobs::default() }
}

/// What the joins are forced to do.
fn setups() -> Vec<Setup> {
    vec![
        Setup::new(2, 8192, knobs(0, Some(4), None)),
        Setup::new(4, 64, knobs(0, Some(64), None)).parquet(),
        Setup::new(1, 8192, knobs(0, Some(1), None)),
        Setup::new(1, 64, knobs(20_000, Some(4), None)).parquet(),
        Setup::new(2, 1000, knobs(20_000, None, None)),
        Setup::new(2, 8192, knobs(0, Some(4), Some(2))).parquet(),
        Setup::new(4, 64, knobs(20_000, Some(8), Some(2))),
        Setup::new(2, 64, knobs(2000, Some(16), None)),
    ]
}

// Properties.

/// Two random tables.
#[derive(Debug, Clone, Copy)]
struct Case {
    seed: u64,
    key_type: KeyType,
    left: Draw,
    right: Draw,
}

/// Runs the queries in a session that has all it needs, which must give what plain loops give, and
/// in some of those that are forced to do otherwise. Each case begins at another of them, so that
/// every query meets every setup.
async fn check(case: Case, queries: &[Query]) {
    let place = Place::new();
    let mut random = Random::new(case.seed);
    let left = Side::new(&mut random, case.key_type, case.left);
    let right = Side::new(&mut random, case.key_type, case.right);
    write_table(&place, "l", &left.batch);
    write_table(&place, "r", &right.batch);
    let tables = ["l", "r"];
    let reference = Setup::reference().open(&place, &tables).await;
    let setups = setups();
    let mut sessions = Vec::new();
    for setup in &setups {
        sessions.push(setup.open(&place, &tables).await);
    }
    for (index, query) in queries.iter().enumerate() {
        let sql = query.sql(case.key_type);
        let what = format!("{case:?}, {sql}");
        let (kept, _) = rows_and_spill(&what, &reference, &sql).await;
        if let Some(expected) = query.expected(&left, &right) {
            assert_rows(&what, &kept, &expected);
        }
        let count = if query.is_plain() { setups.len() } else { SETUPS_A_QUERY };
        for step in 0..count {
            // 3 has no factor in common with the number of setups.
            let turn = (index + case.seed as usize + 3 * step) % setups.len();
            let what = format!("{what}, {:?}", setups[turn]);
            let (rows, spilled_bytes) = rows_and_spill(&what, &sessions[turn], &sql).await;
            assert_rows(&what, &rows, &kept);
            let must_spill = setups[turn].knobs.join_build_bytes == Some(0);
            if must_spill && query.is_plain() && !kept.is_empty() {
                assert!(spilled_bytes > 0, "{what}: nothing was spilled");
            }
        }
    }
    assert_no_files_soon(&format!("{case:?}"), &place).await;
    drop((reference, sessions));
    assert_nothing_left_soon(&format!("{case:?}"), &place).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_join_on_one_key() {
    let case = |seed, key_type, left, right| Case { seed, key_type, left, right };
    let cases = [
        case(1, KeyType::Int64, draw(3000, 2000, 5), draw(2500, 2000, 5)),
        case(2, KeyType::TextView, draw(600, 250, 20), draw(500, 250, 10)),
    ];
    for case in cases {
        check(case, &all_queries(case.key_type)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_join_on_two_keys() {
    let (left, right) = (draw(700, 300, 10), draw(900, 300, 10));
    let case = Case { seed: 3, key_type: KeyType::Several, left, right };
    check(case, &all_queries(case.key_type)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_every_type() {
    let case = |seed, key_type, left, right| Case { seed, key_type, left, right };
    let (left, right) = (draw(500, 200, 10), draw(400, 200, 15));
    let cases = [
        case(10, KeyType::Int32, left, right),
        case(11, KeyType::ShortText, right, left),
        case(12, KeyType::LongText, left, right),
        case(13, KeyType::LargeText, right, left),
        case(14, KeyType::Decimal, left, right),
        case(15, KeyType::Date, right, left),
        case(16, KeyType::Timestamp, left, right),
        case(17, KeyType::Float64, right, left),
        case(18, KeyType::Boolean, draw(90, 2, 10), draw(70, 2, 20)),
    ];
    for case in cases {
        check(case, &some_queries()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sides_that_are_empty_or_full_of_nulls() {
    let case = |seed, key_type, left, right| Case { seed, key_type, left, right };
    let cases = [
        case(20, KeyType::Int32, draw(0, 1, 0), draw(150, 80, 10)),
        case(21, KeyType::Int64, draw(150, 80, 10), draw(0, 1, 0)),
        case(22, KeyType::ShortText, draw(0, 1, 0), draw(0, 1, 0)),
        case(23, KeyType::TextView, draw(90, 1, 100), draw(80, 1, 100)),
        case(24, KeyType::Int64, draw(120, 1, 100), draw(150, 80, 0)),
        case(25, KeyType::LongText, draw(150, 80, 0), draw(120, 1, 100)),
        case(26, KeyType::Several, draw(90, 1, 100), draw(300, 150, 20)),
    ];
    for case in cases {
        check(case, &all_queries(case.key_type)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_without_nulls_and_keys_that_many_rows_share() {
    let hot = |draw: Draw| Draw { hot: true, ..draw };
    let case = |seed, key_type, left, right| Case { seed, key_type, left, right };
    let cases = [
        case(30, KeyType::Int64, draw(500, 300, 0), draw(400, 300, 0)),
        case(31, KeyType::Int64, hot(draw(240, 100, 5)), hot(draw(200, 100, 5))),
        case(32, KeyType::LongText, hot(draw(900, 500, 5)), draw(700, 500, 5)),
    ];
    for case in cases {
        check(case, &all_queries(case.key_type)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn joins_without_keys() {
    let case = |seed, left, right| Case { seed, key_type: KeyType::Int64, left, right };
    let cases = [
        case(40, draw(160, 80, 10), draw(120, 80, 10)),
        case(41, draw(90, 80, 10), draw(200, 80, 10)),
        case(42, draw(0, 1, 0), draw(150, 80, 10)),
        case(43, draw(150, 80, 10), draw(0, 1, 0)),
        case(44, draw(1, 1, 0), draw(300, 80, 10)),
    ];
    for case in cases {
        check(case, &queries_without_keys()).await;
    }
}

// Spilling.

/// Make long texts that hardly compress out of a number.
const MULTIPLIERS: [i64; 12] = [
    16_807,
    48_271,
    69_621,
    39_373,
    742_938_285,
    950_706_376,
    1_226_874_159,
    62_089_911,
    1_343_714_438,
    630_360_016,
    397_204_094,
    784_588_716,
];

/// What the texts are remainders of.
const MODULUS: i64 = 2_147_483_647;

fn long_text(number: i64) -> String {
    MULTIPLIERS.map(|multiplier| (number * multiplier % MODULUS).to_string()).concat()
}

fn long_text_sql(number: &str) -> String {
    let part = |factor: i64| format!("CAST({number} * {factor} % {MODULUS} AS VARCHAR)");
    MULTIPLIERS.map(part).join(" || ")
}

/// A join of 4000 rows with as many. Each side is about half a megabyte.
fn wide_join() -> String {
    let (p, q) = (long_text_sql("value"), long_text_sql("(value + 5000)"));
    format!(
        "SELECT a, p, q FROM \
         (SELECT value AS a, {p} AS p FROM generate_series(1, 4000)) AS l JOIN \
         (SELECT value AS b, {q} AS q FROM generate_series(1, 4000)) AS r ON a = b"
    )
}

/// Runs [`wide_join`], checks its rows, and gives the bytes that were spilled.
async fn wide_join_spill(place: &Place, setup: &Setup, expected: &[String]) -> u64 {
    let what = format!("{setup:?}");
    let session = setup.session(place);
    let (rows, spilled_bytes) = rows_and_spill(&what, &session, &wide_join()).await;
    assert_rows(&what, &rows, expected);
    spilled_bytes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn joins_that_are_forced_to_spill_do() {
    let row = |number: i64| format!("{number}|{}|{}", long_text(number), long_text(number + 5000));
    let mut expected: Vec<String> = (1..=4000).map(row).collect();
    expected.sort_unstable();
    let place = Place::new();
    assert_eq!(wide_join_spill(&place, &Setup::reference(), &expected).await, 0);
    for threads in [1, 2, 4] {
        for batch_rows in [64, 8192] {
            let setup = |knobs| Setup::new(threads, batch_rows, knobs);
            for buckets in [None, Some(1), Some(4)] {
                let setup = setup(knobs(0, buckets, None));
                assert!(wide_join_spill(&place, &setup, &expected).await > 0, "{setup:?}");
            }
            // Of 64 buckets some stay in memory, and so do the rows of the other side that meet
            // them.
            let (all, part) =
                (setup(knobs(0, Some(64), None)), setup(knobs(60_000, Some(64), None)));
            let all = wide_join_spill(&place, &all, &expected).await;
            let part = wide_join_spill(&place, &part, &expected).await;
            assert!(0 < part && part < all, "{threads} threads: {part} of {all} bytes");
        }
    }
    assert_no_files_soon("all are read", &place).await;
}

/// A table of `n` rows with keys `k` and values `v` from 1. The key of every even value is 0; that
/// of an odd one is the value and `more`.
fn half_hot(n: u64, more: u64) -> String {
    format!(
        "(SELECT CASE WHEN value % 2 = 0 THEN 0 ELSE value + {more} END AS k, value AS v \
         FROM generate_series(1, {n}))"
    )
}

/// Counts the rows of a join of two such tables, which must spill. Odd values of `l` are keys below
/// n, those of `r` between n / 2 and 1.5 n.
async fn hot_count(session: &Session, n: u64, kind: &str, filter: &str) -> u64 {
    let (l, r) = (half_hot(n, 0), half_hot(n, n / 2));
    let on = format!("l.k = r.k{filter}");
    let sql = format!("SELECT count(*) FROM {l} AS l {kind} JOIN {r} AS r ON {on}");
    let (rows, spilled_bytes) = rows_and_spill(&sql, session, &sql).await;
    assert!(spilled_bytes > 0, "nothing was spilled: {sql}");
    rows.concat().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_half_of_the_rows_share() {
    for (threads, buckets) in [(1, Some(4)), (2, None)] {
        let place = Place::new();
        let session = Setup::new(threads, 8192, knobs(10_000, buckets, None)).session(&place);
        let what = format!("{threads} threads, {buckets:?} buckets");
        // Half of the odd values of `l` are keys of `r` too.
        let cases = [
            (20_000, "LEFT SEMI", "", 15_000),
            (20_000, "LEFT ANTI", "", 5000),
            (20_000, "RIGHT ANTI", "", 5000),
            // All even values meet. Of those of `l` the last 49 are larger by more than n - 100:
            // the last than 49 of `r`, the one before than 48, and so on. Odd values that meet
            // differ by n / 2.
            (4000, "LEFT SEMI", " AND l.v - r.v > 3900", 49),
            (4000, "LEFT ANTI", " AND l.v - r.v > 3900", 3951),
            (4000, "RIGHT SEMI", " AND l.v - r.v > 3900", 49),
            (4000, "INNER", " AND l.v - r.v > 3900", 1225),
            (4000, "FULL", " AND l.v - r.v > 3900", 1225 + 3951 + 3951),
        ];
        for (n, kind, filter, expected) in cases {
            let count = hot_count(&session, n, kind, filter).await;
            assert_eq!(count, expected, "{what}, {n} rows, {kind}{filter}");
        }
        if threads == 2 {
            // A hundred million pairs.
            let filter = " AND l.v - r.v > 19900";
            assert_eq!(hot_count(&session, 20_000, "INNER", filter).await, 1225, "{what}");
        }
        assert_no_files_soon(&what, &place).await;
    }
}

// Failures.

/// 200 000 rows with texts.
const SERIES_JOIN: &str = "SELECT a, p, q FROM \
    (SELECT value AS a, 'left ' || value AS p FROM generate_series(1, 200000)) AS l JOIN \
    (SELECT value AS b, 'right ' || value AS q FROM generate_series(1, 200000)) AS r ON a = b";

/// Counts the rows of [`SERIES_JOIN`], and needs its texts for that.
fn series_count() -> String {
    format!("SELECT count(p || q) AS n FROM ({SERIES_JOIN}) AS j")
}

fn failing_setup(threads: usize, fault: Knobs) -> Setup {
    Setup::new(threads, 8192, Knobs { join_build_bytes: Some(0), buckets: Some(4), ..fault })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_fails_is_an_error_that_names_the_place() {
    for threads in [1, 2] {
        for write in [1, 5] {
            let fault = Knobs { fail_write: Some(write), ..Knobs::default() };
            assert_write_fails(&failing_setup(threads, fault), &series_count()).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_that_was_altered_is_an_error_and_never_rows() {
    for threads in [1, 2] {
        for read in [1, 3] {
            let fault = Knobs { alter_read: Some(read), ..Knobs::default() };
            assert_read_fails(&failing_setup(threads, fault), &series_count()).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn temporary_files_of_joins_have_a_limit() {
    let setup = failing_setup(2, Knobs::default()).max_temp_bytes(10_000);
    assert_quota_is_kept(&setup, &series_count()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_join_that_is_dropped_leaves_no_file() {
    for threads in [1, 2] {
        let place = Place::new();
        let setup = failing_setup(threads, Knobs::default());
        let session = setup.session(&place);
        for round in 0..2 {
            let what = format!("round {round}, {setup:?}");
            let mut stream = session.sql(SERIES_JOIN).await.unwrap().stream().await.unwrap();
            assert!(stream.try_next().await.unwrap().is_some(), "{what}");
            assert!(stream.metrics().spilled_bytes > 0, "{what}");
            assert!(!files_below(&place.temporary()).is_empty(), "{what}: nothing to remove");
            drop(stream);
            assert_no_files_soon(&what, &place).await;
            let (rows, spilled_bytes) = rows_and_spill(&what, &session, &series_count()).await;
            assert_eq!(rows, ["200000"], "{what}");
            assert!(spilled_bytes > 0, "{what}");
        }
        drop(session);
        assert_nothing_left_soon(&format!("{setup:?}"), &place).await;
    }
}

/// The other side goes to disk batch by batch, for seconds.
const LONG_PROBE: &str = "SELECT count(*) FROM \
    (SELECT value AS a FROM generate_series(1, 1000)) AS l JOIN \
    (SELECT value % 1000 AS b FROM generate_series(1, 10000000)) AS r ON a = b";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_join_that_is_dropped_while_it_writes_leaves_no_file() {
    let place = Place::new();
    let knobs = Knobs { join_build_bytes: Some(0), ..Knobs::default() };
    let session = Setup::new(2, 100, knobs).session(&place);
    for round in 0..20 {
        let what = format!("round {round}");
        let is_writing = |session: &Session| session.spill_metrics().disk_bytes > 100_000;
        assert_dropped_cleanly(&what, &place, &session, LONG_PROBE, is_writing).await;
    }
    drop(session);
    assert_nothing_left_soon("all are dropped", &place).await;
}

// The command.

/// Reads its build side for hours.
const ENDLESS_BUILD: &str = "SELECT count(*) FROM \
    (SELECT value AS a FROM generate_series(1, 100000000000)) AS l JOIN \
    (SELECT value AS b FROM generate_series(1, 100000000000)) AS r ON a = b";

/// Reads its other side for hours.
const ENDLESS_PROBE: &str = "SELECT count(*) FROM \
    (SELECT value AS a FROM generate_series(1, 10000)) AS l JOIN \
    (SELECT value AS b FROM generate_series(1, 100000000000)) AS r ON a = b";

/// Compares the rows of one key for minutes.
const ENDLESS_KEY: &str = "SELECT count(*) FROM \
    (SELECT value AS a, value % 2 AS k FROM generate_series(1, 400000)) AS l JOIN \
    (SELECT value AS b, value % 2 AS k FROM generate_series(1, 400000)) AS r \
    ON l.k = r.k AND a + b < 0";

/// Compares all rows for minutes.
const ENDLESS_PAIRS: &str = "SELECT count(*) FROM \
    (SELECT value AS a FROM generate_series(1, 400000)) AS l JOIN \
    (SELECT value AS b FROM generate_series(1, 400000)) AS r ON a + b < 0";

#[test]
fn a_signal_stops_a_join_that_spills() {
    for sql in [ENDLESS_BUILD, ENDLESS_PROBE, ENDLESS_KEY, ENDLESS_PAIRS] {
        let place = Place::new();
        let arguments = ["query", "--threads", "2", "-c", sql];
        let mut command = place.command(&arguments);
        let child = command.env("BRIMFUL_TEST_KNOBS", "join_build_bytes=0").spawn().unwrap();
        wait_until("a temporary file", || place.temporary_bytes() > 0);
        // Long enough for the finite sides to be read.
        std::thread::sleep(Duration::from_millis(700));
        let sent = Instant::now();
        send_signal(child.id(), "INT");
        place.finish(child).fails(130, &["interrupted"]);
        assert!(sent.elapsed() < SOON_STOPPED, "{sql}: {:?}", sent.elapsed());
    }
}

#[test]
fn the_command_is_forced_by_its_environment() {
    let place = Place::new();
    let sql = series_count();
    let arguments = ["query", "--format", "csv", "--stats", "stats.json", "-c", sql.as_str()];
    let start = |switches: &str| {
        place.command(&arguments).env("BRIMFUL_TEST_KNOBS", switches).spawn().unwrap()
    };
    let spilled_bytes = || {
        let stats: serde_json::Value = serde_json::from_str(&place.read("stats.json")).unwrap();
        stats["spilled_bytes"].as_u64().unwrap()
    };
    assert_eq!(place.finish(start("buckets=4")).ok(), "n\n200000\n");
    assert_eq!(spilled_bytes(), 0);
    assert_eq!(place.finish(start("join_build_bytes=0,buckets=4")).ok(), "n\n200000\n");
    assert!(spilled_bytes() > 0);
    let ran = place.finish(start("join_build_bytes=0,buckets=4,fail_write=3"));
    assert!(matches!(ran.code, Some(4 | 5)), "{:?}: {}", ran.code, ran.stderr);
    assert!(ran.stderr.contains(place.temporary().to_str().unwrap()), "{}", ran.stderr);
    assert!(!ran.text().contains("200000"), "{}", ran.text());
}
