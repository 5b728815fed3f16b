//! Functions of dates, timestamps and intervals.

mod business;
mod difference;
mod directive;
mod made;
mod moment;
mod part;
mod shift;
mod strftime;
mod strptime;
mod zone;

use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::functions::expr_fn::{date_part, now, to_unixtime};
use datafusion::logical_expr::{Expr, ScalarUDF, cast, lit};

use super::scalar::{Arg, INTERVAL, Returns, Scalar, micros};
use super::shorthand::{Meaning, Shorthand};

use Arg::{Boolean, Date, DateOrMoment, Float, Integer, Interval, Moment, Text, Texts};

/// All functions of dates and times.
pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    [texts(), parts(), distances(), shifts(), made(), zones()].concat()
}

/// Dates and times as text, and text as dates and times.
fn texts() -> Vec<Arc<ScalarUDF>> {
    let texts = || Returns::Type(DataType::Utf8View);
    let formats: &[&[Arg]] = &[&[Text, Text], &[Text, Texts]];
    vec![
        Scalar::new("strftime", &[&[Moment, Text], &[Text, Moment]], texts(), strftime::strftime)
            .udf(),
        Scalar::new("strptime", formats, Returns::Of(strptime::returned), strptime::strptime).udf(),
        Scalar::new(
            "try_strptime",
            formats,
            Returns::Of(strptime::returned),
            strptime::try_strptime,
        )
        .udf(),
        Scalar::new("dayname", &[&[Moment]], texts(), strftime::day_name).udf(),
        Scalar::new("monthname", &[&[Moment]], texts(), strftime::month_name).udf(),
    ]
}

/// What `date_part` has by the name of the part, and what it has not.
fn parts() -> Vec<Arc<ScalarUDF>> {
    let numbers = || Returns::Type(DataType::Int64);
    let named: [(&'static str, Meaning, &[&str]); 16] = [
        ("year", |args| Ok(part("year", args)), &[]),
        ("quarter", |args| Ok(part("quarter", args)), &[]),
        ("month", |args| Ok(part("month", args)), &[]),
        ("week", |args| Ok(part("week", args)), &["weekofyear"]),
        ("day", |args| Ok(part("day", args)), &["dayofmonth"]),
        ("hour", |args| Ok(part("hour", args)), &[]),
        ("minute", |args| Ok(part("minute", args)), &[]),
        ("second", |args| Ok(part("second", args)), &[]),
        ("millisecond", |args| Ok(part("millisecond", args)), &[]),
        ("microsecond", |args| Ok(part("microsecond", args)), &[]),
        ("nanosecond", |args| Ok(part("nanosecond", args)), &[]),
        ("dayofweek", |args| Ok(part("dow", args)), &["weekday"]),
        ("isodow", |args| Ok(part("isodow", args)), &[]),
        ("dayofyear", |args| Ok(part("doy", args)), &[]),
        ("isoyear", |args| Ok(part("isoyear", args)), &[]),
        ("epoch", |args| Ok(part("epoch", args)), &[]),
    ];
    let named =
        named.map(|(name, meaning, others)| Shorthand::new(name, 1..=1, meaning).or(others).udf());
    let calendar = ["era", "decade", "century", "millennium", "yearweek"];
    let calendar = calendar
        .map(|name| Scalar::new(name, &[&[DateOrMoment]], numbers(), made::of_calendar).udf());
    let epochs =
        [("epoch_ms", "unix_millis"), ("epoch_us", "unix_micros"), ("epoch_ns", "unix_nanos")];
    let epochs = epochs.map(|(name, other)| {
        let forms: &[&[Arg]] = &[&[Moment], &[Integer]];
        Scalar::new(name, forms, Returns::Of(made::epoch_type), made::epoch).or(&[other]).udf()
    });
    let julian = Returns::Type(DataType::Float64);
    let mut all = vec![
        Scalar::new("julian", &[&[Moment]], julian, made::julian).udf(),
        Shorthand::new("unix_timestamp", 0..=1, |mut args| {
            let moment = args.pop().unwrap_or_else(now);
            Ok(to_unixtime(vec![moment]))
        })
        .or(&["unix_seconds"])
        .udf(),
        Shorthand::new("unix_date", 1..=1, |mut args| {
            let date = cast(args.pop().unwrap_or_default(), DataType::Date32);
            Ok(cast(date, DataType::Int32))
        })
        .udf(),
    ];
    all.extend(named);
    all.extend(calendar);
    all.extend(epochs);
    all
}

/// `date_part(name, the argument)`.
fn part(name: &str, mut args: Vec<Expr>) -> Expr {
    date_part(lit(name), args.pop().unwrap_or_default())
}

/// How far moments are apart.
fn distances() -> Vec<Arc<ScalarUDF>> {
    vec![
        Scalar::new(
            "date_diff",
            &[&[Text, Moment, Moment]],
            Returns::Type(DataType::Int64),
            difference::date_diff,
        )
        .or(&["datediff"])
        .udf(),
        Scalar::new(
            "months_between",
            &[&[Moment, Moment], &[Moment, Moment, Boolean]],
            Returns::Type(DataType::Float64),
            difference::months_between,
        )
        .udf(),
        Shorthand::new("age", 1..=2, |mut args| {
            if args.len() == 1 {
                let today = cast(datafusion::functions::expr_fn::current_date(), micros());
                args.insert(0, today);
            }
            Ok(age().call(args))
        })
        .udf(),
        Scalar::new(
            "business_days_between",
            &[&[Date, Date]],
            Returns::Type(DataType::Int64),
            business::business_days_between,
        )
        .udf(),
    ]
}

/// `age` of two moments.
fn age() -> ScalarUDF {
    let age = Scalar::new("age", &[&[Moment, Moment]], Returns::Type(INTERVAL), difference::age);
    ScalarUDF::new_from_impl(age)
}

/// Moments some time later, and the beginnings and ends of what they are in.
fn shifts() -> Vec<Arc<ScalarUDF>> {
    let dates = || Returns::Type(DataType::Date32);
    let numbers: &[&[Arg]] = &[&[Date, Integer]];
    let added: &[&[Arg]] =
        &[&[DateOrMoment, Interval], &[Date, Integer], &[Text, Integer, DateOrMoment]];
    let subtracted: &[&[Arg]] =
        &[&[DateOrMoment, Interval], &[Date, Integer], &[Text, Moment, Moment]];
    let buckets: &[&[Arg]] = &[
        &[Interval, DateOrMoment],
        &[Interval, DateOrMoment, Interval],
        &[Interval, DateOrMoment, DateOrMoment],
    ];
    vec![
        Scalar::new("date_add", added, Returns::Of(shift::added), shift::date_add)
            .or(&["dateadd", "timestampadd"])
            .udf(),
        Scalar::new("date_sub", subtracted, Returns::Of(shift::subtracted), shift::date_sub)
            .or(&["datesub"])
            .udf(),
        Scalar::new("add_months", numbers, dates(), shift::add_months).udf(),
        Scalar::new("last_day", &[&[Date]], dates(), shift::last_day).udf(),
        Scalar::new("next_day", &[&[Date, Text]], dates(), shift::next_day).udf(),
        Scalar::new("time_bucket", buckets, Returns::Argument(1), shift::time_bucket).udf(),
        Scalar::new("add_business_days", numbers, dates(), business::add_business_days).udf(),
        Scalar::new(
            "is_business_day",
            &[&[Date]],
            Returns::Type(DataType::Boolean),
            business::is_business_day,
        )
        .udf(),
    ]
}

/// Timestamps and intervals of numbers.
fn made() -> Vec<Arc<ScalarUDF>> {
    let parts: &[&[Arg]] = &[&[Integer, Integer, Integer, Integer, Integer, Float], &[Integer]];
    let nanos = DataType::Timestamp(TimeUnit::Nanosecond, None);
    let mut all = vec![
        Scalar::new("make_timestamp", parts, Returns::Type(micros()), made::make_timestamp)
            .or(&["timestamp_from_parts"])
            .udf(),
        Scalar::new(
            "make_timestamp_ms",
            &[&[Integer]],
            Returns::Type(micros()),
            made::make_timestamp,
        )
        .udf(),
        Scalar::new("make_timestamp_ns", &[&[Integer]], Returns::Type(nanos), made::make_timestamp)
            .udf(),
    ];
    let whole = [
        "to_millennia",
        "to_centuries",
        "to_decades",
        "to_years",
        "to_quarters",
        "to_months",
        "to_weeks",
        "to_days",
    ];
    let fractions = [
        "to_hours",
        "to_minutes",
        "to_seconds",
        "to_milliseconds",
        "to_microseconds",
        "to_nanoseconds",
    ];
    let interval =
        |name, forms| Scalar::new(name, forms, Returns::Type(INTERVAL), made::to_interval).udf();
    all.extend(whole.map(|name| interval(name, &[&[Integer]])));
    all.extend(fractions.map(|name| interval(name, &[&[Integer], &[Float]])));
    all
}

/// Moments in time zones.
fn zones() -> Vec<Arc<ScalarUDF>> {
    let between: &[&[Arg]] = &[&[Text, Text, Moment], &[Text, Moment]];
    let local = || Returns::Of(zone::local);
    vec![
        Scalar::new("timezone", &[&[Text, Moment]], Returns::Of(zone::turned), zone::timezone)
            .udf(),
        Scalar::new("from_utc_timestamp", &[&[Moment, Text]], local(), zone::from_utc_timestamp)
            .udf(),
        Scalar::new("to_utc_timestamp", &[&[Moment, Text]], local(), zone::to_utc_timestamp).udf(),
        Scalar::new("convert_timezone", between, local(), zone::convert_timezone).udf(),
    ]
}
