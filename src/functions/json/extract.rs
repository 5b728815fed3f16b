//! Functions of the parts of a JSON text that a path leads to.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BooleanArray, ListBuilder, StringViewArray, StringViewBuilder, UInt64Array,
};
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::internal_datafusion_err;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ReturnFieldArgs, ScalarUDF};

use super::super::define::{Call, field, gives_text, scalar};
use super::find::{AllFound, Found, Invalid, gives_lists, takes, takes_path};
use super::path::{array_length, keys};
use super::reader::{Kind, Malformed, kind, minified, text_of};
use super::{is_json, json_field, json_lists_field};

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![
        json_extract(),
        json_extract_string(),
        scalar("json_value", &[], takes_path, gives_texts, |call| {
            parts(call, |value| is_scalar(value).then(|| minified(value)))
        }),
        scalar("json_query", &[], takes_path, gives_jsons, |call| {
            parts(call, |value| (!is_scalar(value)).then(|| minified(value)))
        }),
        scalar("get_json_object", &[], takes_path, gives_text, get_json_object),
        scalar("json_exists", &["json_path_exists"], takes_path, gives_flags, |call| {
            found(call, |found| Ok(Arc::new(found.iter().map(exists).collect::<BooleanArray>())))
        }),
        scalar("json_type", &["json_typeof"], takes, gives_texts, |call| {
            parts(call, |value| Some(Cow::Borrowed(type_name(value))))
        }),
        scalar("json_keys", &["json_object_keys"], takes, gives_keys, |call| found(call, all_keys)),
        scalar("json_array_length", &[], takes, gives_lengths, |call| found(call, all_lengths)),
    ]
}

/// What a path leads to, as JSON.
pub(super) fn json_extract() -> Arc<ScalarUDF> {
    scalar("json_extract", &["json_extract_path"], takes_path, gives_jsons, |call| {
        parts(call, |value| Some(minified(value)))
    })
}

/// What a path leads to, as text; JSON's null is NULL.
pub(super) fn json_extract_string() -> Arc<ScalarUDF> {
    scalar("json_extract_string", &["json_extract_path_text"], takes_path, gives_texts, |call| {
        parts(call, |value| (kind(value) != Kind::Null).then(|| text_of(value)))
    })
}

/// The field of a value, or of a list of values if the path gives several.
fn one_or_list(name: &str, args: &ReturnFieldArgs<'_>, one: FieldRef) -> Result<FieldRef> {
    if !gives_lists(name, args)? {
        return Ok(one);
    }
    Ok(if is_json(&one) {
        json_lists_field(name)
    } else {
        field(name, DataType::new_list(one.data_type().clone(), true))
    })
}

fn gives_jsons(name: &str, args: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    one_or_list(name, args, json_field(name))
}

fn gives_texts(name: &str, args: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    one_or_list(name, args, field(name, DataType::Utf8View))
}

fn gives_flags(name: &str, args: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    one_or_list(name, args, field(name, DataType::Boolean))
}

fn gives_lengths(name: &str, args: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    one_or_list(name, args, field(name, DataType::UInt64))
}

fn gives_keys(name: &str, args: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    one_or_list(name, args, field(name, DataType::new_list(DataType::Utf8View, true)))
}

/// The values that `make` makes of the parts that the path leads to.
fn found(call: &Call<'_>, make: impl FnOnce(&[Found<'_>]) -> Result<ArrayRef>) -> Result<ArrayRef> {
    let texts = call.array(0)?;
    AllFound::new(call, texts.as_string_view(), Invalid::Fails)?.into_array(call.gives, make)
}

/// A text for each part that the path leads to.
fn parts(
    call: &Call<'_>,
    text: impl for<'t> Fn(&'t str) -> Option<Cow<'t, str>>,
) -> Result<ArrayRef> {
    found(call, |found| {
        let texts = found.iter().map(|found| match found {
            Found::Value(value) => text(value),
            Found::Null | Found::Nothing => None,
        });
        Ok(Arc::new(StringViewArray::from_iter(texts)))
    })
}

fn exists(found: &Found<'_>) -> Option<bool> {
    match found {
        Found::Null => None,
        Found::Nothing => Some(false),
        Found::Value(_) => Some(true),
    }
}

fn is_scalar(value: &str) -> bool {
    !matches!(kind(value), Kind::Array | Kind::Object | Kind::Null)
}

/// The SQL type that a value would have.
pub(super) fn type_name(value: &str) -> &'static str {
    match kind(value) {
        Kind::Null => "NULL",
        Kind::Boolean => "BOOLEAN",
        Kind::Text => "VARCHAR",
        Kind::Array => "ARRAY",
        Kind::Object => "OBJECT",
        Kind::Number if value.parse::<u64>().is_ok() => "UBIGINT",
        Kind::Number if value.parse::<i64>().is_ok() => "BIGINT",
        Kind::Number => "DOUBLE",
    }
}

fn all_keys(found: &[Found<'_>]) -> Result<ArrayRef> {
    let mut lists = ListBuilder::new(StringViewBuilder::new());
    for found in found {
        if let Found::Value(value) = found {
            for key in keys(value).map_err(checked_already)? {
                lists.values().append_value(key);
            }
        }
        lists.append(matches!(found, Found::Value(_)));
    }
    Ok(Arc::new(lists.finish()))
}

fn all_lengths(found: &[Found<'_>]) -> Result<ArrayRef> {
    let lengths = found.iter().map(|found| match found {
        Found::Value(value) => array_length(value).map(Some).map_err(checked_already),
        Found::Null | Found::Nothing => Ok(None),
    });
    Ok(Arc::new(lengths.collect::<Result<UInt64Array>>()?))
}

/// Parts of a text are found only after they have been checked.
pub(super) fn checked_already(error: Malformed) -> DataFusionError {
    internal_datafusion_err!("a part of JSON text cannot be read: {error:?}")
}

/// Spark's: text where JSON has text, NULL where the text is not JSON, and an array of all
/// if the path leads to several values.
fn get_json_object(call: &Call<'_>) -> Result<ArrayRef> {
    let texts = call.array(0)?;
    let found = AllFound::new(call, texts.as_string_view(), Invalid::IsNull)?;
    Ok(Arc::new(StringViewArray::from_iter(found.rows().map(|row| match row {
        [] => None,
        [Found::Value(value)] => (kind(value) != Kind::Null).then(|| text_of(value)),
        [_] => None,
        several => {
            let values = several.iter().filter_map(|found| match found {
                Found::Value(value) => Some(minified(value)),
                Found::Null | Found::Nothing => None,
            });
            Some(Cow::Owned(format!("[{}]", values.collect::<Vec<_>>().join(","))))
        }
    }))))
}
