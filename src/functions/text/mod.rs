//! Functions of texts.

mod code;
mod distance;
mod number;
mod path;
mod piece;
mod regexp;
mod spec;
mod template;

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::functions::expr_fn::{decode, encode};
use datafusion::logical_expr::{ScalarUDF, lit};

use super::scalar::{self, Arg, Body, Returns, Scalar};
use super::shorthand::Shorthand;

use Arg::{Any, Boolean, Bytes, Float, Integer, Long, Text};

/// All functions of texts.
pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    [patterns(), distances(), codes(), paths(), pieces(), numbers()].concat()
}

fn text(name: &'static str, forms: &'static [&'static [Arg]], body: Body) -> Scalar {
    Scalar::new(name, forms, Returns::Type(DataType::Utf8View), body)
}

fn texts(name: &'static str, forms: &'static [&'static [Arg]], body: Body) -> Scalar {
    Scalar::new(name, forms, Returns::Type(scalar::texts()), body)
}

fn integer(name: &'static str, forms: &'static [&'static [Arg]], body: Body) -> Scalar {
    Scalar::new(name, forms, Returns::Type(DataType::Int64), body)
}

fn float(name: &'static str, forms: &'static [&'static [Arg]], body: Body) -> Scalar {
    Scalar::new(name, forms, Returns::Type(DataType::Float64), body)
}

fn bytes(name: &'static str, forms: &'static [&'static [Arg]], body: Body) -> Scalar {
    Scalar::new(name, forms, Returns::Type(DataType::BinaryView), body)
}

/// Regular expressions.
fn patterns() -> Vec<Arc<ScalarUDF>> {
    let groups: &[&[Arg]] = &[&[Text, Text], &[Text, Text, Integer], &[Text, Text, Integer, Text]];
    let options: &[&[Arg]] = &[&[Text, Text], &[Text, Text, Text]];
    let truth = Returns::Type(DataType::Boolean);
    vec![
        text("regexp_extract", groups, regexp::extract).udf(),
        texts("regexp_extract_all", groups, regexp::extract_all).udf(),
        Scalar::new("regexp_full_match", options, truth, regexp::full_match).udf(),
        texts("regexp_split_to_array", options, regexp::split)
            .or(&["regexp_split", "string_split_regex", "str_split_regex"])
            .udf(),
        text("regexp_escape", &[&[Text]], regexp::escape).udf(),
    ]
}

/// How alike texts are.
fn distances() -> Vec<Arc<ScalarUDF>> {
    let two: &[&[Arg]] = &[&[Text, Text]];
    vec![
        integer("damerau_levenshtein", two, distance::damerau_levenshtein).udf(),
        integer("hamming", two, distance::hamming).or(&["mismatches"]).udf(),
        float("jaccard", two, distance::jaccard).udf(),
        float("jaro_similarity", two, distance::jaro).udf(),
        float("jaro_winkler_similarity", two, distance::jaro_winkler).or(&["jaro_winkler"]).udf(),
        text("soundex", &[&[Text]], distance::soundex).udf(),
    ]
}

/// Texts and bytes in other notations, and their hashes.
fn codes() -> Vec<Arc<ScalarUDF>> {
    let values: &[&[Arg]] = &[&[Long], &[Bytes]];
    let numbers = Returns::Type(DataType::UInt64);
    vec![
        text("hex", values, code::hex).udf(),
        text("bin", values, code::bin).or(&["to_binary"]).udf(),
        bytes("unhex", &[&[Text]], code::unhex).or(&["from_hex"]).udf(),
        bytes("unbin", &[&[Text]], code::unbin).or(&["from_binary"]).udf(),
        text("url_encode", &[&[Text]], code::url_encode).udf(),
        text("url_decode", &[&[Text]], code::url_decode).udf(),
        integer("crc32", &[&[Bytes]], code::crc32).udf(),
        Scalar::new("hash", &[&[Any, Any]], numbers, code::hash).repeating().udf(),
        integer("xxhash64", &[&[Any, Any]], code::xxhash64).repeating().udf(),
        Shorthand::new("to_base64", 1..=1, |mut args| {
            Ok(encode(args.pop().unwrap_or_default(), lit("base64pad")))
        })
        .or(&["base64", "base64_encode"])
        .udf(),
        Shorthand::new("from_base64", 1..=1, |mut args| {
            Ok(decode(args.pop().unwrap_or_default(), lit("base64pad")))
        })
        .or(&["unbase64", "base64_decode"])
        .udf(),
    ]
}

/// Paths of files.
fn paths() -> Vec<Arc<ScalarUDF>> {
    let separated: &[&[Arg]] = &[&[Text], &[Text, Text]];
    let trimmed: &[&[Arg]] = &[&[Text], &[Text, Boolean], &[Text, Text], &[Text, Boolean, Text]];
    vec![
        text("parse_filename", trimmed, path::file_name).udf(),
        text("parse_dirname", separated, path::first_folder).udf(),
        text("parse_dirpath", separated, path::folders).udf(),
        texts("parse_path", separated, path::names).udf(),
    ]
}

/// Parts of texts, and texts put into a form.
fn pieces() -> Vec<Arc<ScalarUDF>> {
    let sized: &[&[Arg]] = &[&[Text, Integer]];
    let filled: &[&[Arg]] = &[&[Text, Integer], &[Text, Integer, Text]];
    let masks: &[&[Arg]] = &[
        &[Text],
        &[Text, Text],
        &[Text, Text, Text],
        &[Text, Text, Text, Text],
        &[Text, Text, Text, Text, Text],
    ];
    vec![
        texts("string_split", &[&[Text, Text]], piece::split).or(&["split", "str_split"]).udf(),
        integer("unicode", &[&[Text]], piece::unicode).or(&["ord"]).udf(),
        integer("len", &[&[Any]], piece::len).udf(),
        integer("length_grapheme", &[&[Text]], piece::length_grapheme).udf(),
        text("left_grapheme", sized, piece::left_grapheme).udf(),
        text("right_grapheme", sized, piece::right_grapheme).udf(),
        text(
            "substring_grapheme",
            &[&[Text, Integer], &[Text, Integer, Integer]],
            piece::substring_grapheme,
        )
        .udf(),
        text("zfill", sized, piece::zfill).udf(),
        text("center", filled, piece::center).udf(),
        integer("locate", &[&[Text, Text], &[Text, Text, Integer]], piece::locate)
            .or(&["charindex"])
            .udf(),
        text("mask", masks, piece::mask).udf(),
        text("strip_accents", &[&[Text]], piece::strip_accents).udf(),
        text("printf", &[&[Text, Any]], template::printf).or(&["format_string"]).repeating().udf(),
        text("format", &[&[Text, Any]], template::format).repeating().udf(),
    ]
}

/// Numbers as text for people, and text of people as numbers.
fn numbers() -> Vec<Arc<ScalarUDF>> {
    let bars: &[&[Arg]] = &[&[Float, Float, Float], &[Float, Float, Float, Float]];
    vec![
        text("bar", bars, number::bar).udf(),
        text("format_bytes", &[&[Integer]], number::format_bytes).or(&["formatreadablesize"]).udf(),
        text("formatreadabledecimalsize", &[&[Integer]], number::format_bytes_decimal).udf(),
        float("to_numeric", &[&[Text], &[Float]], number::to_numeric).or(&["try_to_number"]).udf(),
    ]
}
