//! Functions of numbers, and those that choose between values.

mod attempt;
mod special;

use std::sync::Arc;

use arrow::array::{ArrayRef, StringViewArray, new_null_array};
use arrow::datatypes::DataType;
use datafusion::common::exec_err;
use datafusion::error::Result;
use datafusion::functions::expr_fn::{coalesce, nullif};
use datafusion::logical_expr::{Expr, Operator, ScalarUDF, binary_expr, lit, when};

use super::inputs::Inputs;
use super::scalar::{Arg, Body, Returns, Scalar};
use super::shorthand::{Meaning, Shorthand};
use attempt::Attempt;

use Arg::{Any, Float, Integer, Long, Text, Whole};

/// All functions of numbers.
pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    [floats(), integers(), operators(), choices()].concat()
}

/// Functions of floats.
fn floats() -> Vec<Arc<ScalarUDF>> {
    let unary: [(&'static str, Body, &[&str]); 9] = [
        ("even", |inputs| special::unary(inputs, special::even), &[]),
        ("gamma", |inputs| special::unary(inputs, libm::tgamma), &["tgamma"]),
        ("lgamma", |inputs| special::unary(inputs, libm::lgamma), &["gammaln", "ln_gamma"]),
        ("erf", |inputs| special::unary(inputs, libm::erf), &[]),
        ("erfc", |inputs| special::unary(inputs, libm::erfc), &[]),
        ("log1p", |inputs| special::unary(inputs, f64::ln_1p), &[]),
        ("expm1", |inputs| special::unary(inputs, f64::exp_m1), &[]),
        ("exp2", |inputs| special::unary(inputs, f64::exp2), &[]),
        ("rint", |inputs| special::unary(inputs, f64::round_ties_even), &[]),
    ];
    let binary: [(&'static str, Body); 4] = [
        ("fdiv", |inputs| special::binary(inputs, |left, right| (left / right).floor())),
        ("fmod", |inputs| special::binary(inputs, special::floored_remainder)),
        ("hypot", |inputs| special::binary(inputs, f64::hypot)),
        ("nextafter", |inputs| special::binary(inputs, libm::nextafter)),
    ];
    let tests: [(&'static str, Body, &[&str]); 3] = [
        ("isfinite", |inputs| special::test(inputs, f64::is_finite), &["is_finite"]),
        ("isinf", |inputs| special::test(inputs, f64::is_infinite), &["is_infinite"]),
        ("signbit", |inputs| special::test(inputs, f64::is_sign_negative), &[]),
    ];
    let float = || Returns::Type(DataType::Float64);
    let rounded: &[&[Arg]] = &[&[Float], &[Float, Integer]];
    let mut all = vec![Scalar::new("bround", rounded, float(), special::bround).udf()];
    all.extend(
        unary.map(|(name, body, or)| Scalar::new(name, &[&[Float]], float(), body).or(or).udf()),
    );
    all.extend(
        binary.map(|(name, body)| Scalar::new(name, &[&[Float, Float]], float(), body).udf()),
    );
    all.extend(tests.map(|(name, body, or)| {
        let truth = Returns::Type(DataType::Boolean);
        Scalar::new(name, &[&[Float]], truth, body).or(or).udf()
    }));
    all
}

/// Functions that give integers.
fn integers() -> Vec<Arc<ScalarUDF>> {
    let integer = || Returns::Type(DataType::Int64);
    let remainders: &[&[Arg]] = &[&[Long, Long], &[Float, Float]];
    vec![
        Scalar::new("bit_count", &[&[Whole]], integer(), special::bit_count)
            .or(&["popcount"])
            .udf(),
        Scalar::new("pmod", remainders, Returns::Of(special::pmod_type), special::pmod).udf(),
        Scalar::new(
            "width_bucket",
            &[&[Float, Float, Float, Integer]],
            integer(),
            special::width_bucket,
        )
        .udf(),
    ]
}

/// Operators by name, and those that give NULL where they fail.
fn operators() -> Vec<Arc<ScalarUDF>> {
    let named: [(&'static str, Meaning, &[&str]); 6] = [
        ("add", |args| Ok(joined(args, Operator::Plus)), &[]),
        ("subtract", |args| Ok(joined(args, Operator::Minus)), &[]),
        ("multiply", |args| Ok(joined(args, Operator::Multiply)), &[]),
        ("divide", |args| Ok(joined(args, Operator::Divide)), &[]),
        ("mod", |args| Ok(joined(args, Operator::Modulo)), &["modulo"]),
        ("xor", |args| Ok(joined(args, Operator::BitwiseXor)), &["bitxor"]),
    ];
    let mut all = vec![
        Attempt::udf("try_add", Operator::Plus),
        Attempt::udf("try_subtract", Operator::Minus),
        Attempt::udf("try_multiply", Operator::Multiply),
        Attempt::udf("try_divide", Operator::Divide),
        Shorthand::new("negative", 1..=1, |mut args| {
            Ok(Expr::Negative(Box::new(args.pop().unwrap_or_default())))
        })
        .or(&["negate"])
        .udf(),
        Shorthand::new("e", 0..=0, |_| Ok(lit(std::f64::consts::E))).udf(),
    ];
    all.extend(named.map(|(name, meaning, or)| Shorthand::new(name, 2..=2, meaning).or(or).udf()));
    all
}

/// Two arguments with an operator between them.
fn joined(mut args: Vec<Expr>, operator: Operator) -> Expr {
    let right = args.pop().unwrap_or_default();
    binary_expr(args.pop().unwrap_or_default(), operator, right)
}

/// Functions that choose, refuse or describe a value.
fn choices() -> Vec<Arc<ScalarUDF>> {
    vec![
        Shorthand::new("if", 3..=3, |mut args| {
            let otherwise = args.pop().unwrap_or_default();
            let then = args.pop().unwrap_or_default();
            when(args.pop().unwrap_or_default(), then).otherwise(otherwise)
        })
        .or(&["iff"])
        .udf(),
        Shorthand::new("zeroifnull", 1..=1, |mut args| {
            args.push(lit(0));
            Ok(coalesce(args))
        })
        .udf(),
        Shorthand::new("nullifzero", 1..=1, |mut args| {
            Ok(nullif(args.pop().unwrap_or_default(), lit(0)))
        })
        .udf(),
        Scalar::new("error", &[&[Text]], Returns::Type(DataType::Null), error)
            .or(&["raise_error"])
            .volatile()
            .udf(),
        Scalar::new("typeof", &[&[Any]], Returns::Type(DataType::Utf8View), type_of)
            .or(&["pg_typeof"])
            .udf(),
    ]
}

/// `error(text)`: stops the query with this text.
fn error(inputs: &Inputs) -> Result<ArrayRef> {
    let texts = inputs.texts(0);
    match inputs.rows().find_map(|row| texts.get(row)) {
        Some(text) => exec_err!("{text}"),
        None => Ok(new_null_array(&DataType::Null, inputs.rows().len())),
    }
}

/// `typeof(value)`: its type as `DESCRIBE` shows it.
fn type_of(inputs: &Inputs) -> Result<ArrayRef> {
    let name = crate::output::sql_type_name(inputs.data_type(0));
    Ok(Arc::new(StringViewArray::from_iter_values(inputs.rows().map(|_| &name))))
}
