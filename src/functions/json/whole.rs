//! Functions of whole JSON texts.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, StringViewArray};
use arrow::datatypes::DataType;
use datafusion::common::plan_err;
use datafusion::error::Result;
use datafusion::logical_expr::ScalarUDF;

use super::super::define::{Call, gives_flag, gives_text, scalar};
use super::node::Node;
use super::reader::{document, minified};
use super::{gives_json, is_text, malformed, map_texts, takes_one_text, takes_two_texts};

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![
        scalar("json_valid", &["is_json"], takes_one_text, gives_flag, |call| {
            let texts = call.array(0)?;
            let valid = texts.as_string_view().iter().map(|text| Some(document(text?).is_ok()));
            Ok(Arc::new(valid.collect::<BooleanArray>()))
        }),
        scalar("json", &["parse_json", "json_minify"], takes_one_text, gives_json, |call| {
            map_texts(&call.array(0)?, |text| match document(text) {
                Ok(value) => Ok(Some(minified(value))),
                Err(error) => Err(malformed(call, text, &error)),
            })
        }),
        scalar("try_parse_json", &[], takes_one_text, gives_json, |call| {
            map_texts(&call.array(0)?, |text| Ok(document(text).ok().map(minified)))
        }),
        scalar("json_pretty", &[], takes_one_text, gives_text, |call| {
            changed(call, |node, out| node.write(Some(0), out))
        }),
        scalar("json_strip_nulls", &[], takes_one_text, gives_json, |call| {
            changed(call, |node, out| node.without_nulls().write(None, out))
        }),
        scalar("json_structure", &["schema_of_json"], takes_one_text, gives_json, |call| {
            changed(call, |node, out| node.structure().write(out))
        }),
        scalar("json_contains", &[], takes_two_texts, gives_flag, json_contains),
        scalar("json_merge_patch", &[], takes_patches, gives_json, json_merge_patch),
    ]
}

fn takes_patches(name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    if types.len() < 2 {
        return plan_err!("{name} takes two JSON texts or more");
    }
    if let Some(other) = types.iter().find(|data_type| !is_text(data_type)) {
        return plan_err!("{name} takes JSON text, not {other}");
    }
    Ok(vec![DataType::Utf8View; types.len()])
}

fn parsed<'a>(call: &Call<'_>, text: &'a str) -> Result<Node<'a>> {
    Node::parse(text).map_err(|error| malformed(call, text, &error))
}

/// A text for each row, written from the tree of its text.
fn changed(call: &Call<'_>, write: impl Fn(Node<'_>, &mut String)) -> Result<ArrayRef> {
    map_texts(&call.array(0)?, |text| {
        let mut out = String::with_capacity(text.len());
        write(parsed(call, text)?, &mut out);
        Ok(Some(Cow::Owned(out)))
    })
}

fn json_contains(call: &Call<'_>) -> Result<ArrayRef> {
    let (texts, wanted) = (call.array(0)?, call.array(1)?);
    let rows = texts.as_string_view().iter().zip(wanted.as_string_view());
    let contains = rows.map(|(text, wanted)| match (text, wanted) {
        (Some(text), Some(wanted)) => {
            Ok(Some(parsed(call, text)?.contains(&parsed(call, wanted)?)))
        }
        _ => Ok(None),
    });
    Ok(Arc::new(contains.collect::<Result<BooleanArray>>()?))
}

/// Patches from left to right. A NULL patch gives NULL, and what follows one replaces all.
fn json_merge_patch(call: &Call<'_>) -> Result<ArrayRef> {
    let arrays = (0..call.args.len()).map(|arg| call.array(arg)).collect::<Result<Vec<_>>>()?;
    let texts: Vec<_> = arrays.iter().map(|array| array.as_string_view()).collect();
    let merged = (0..call.rows).map(|row| {
        let mut merged: Option<Node<'_>> = None;
        for texts in &texts {
            let patch = texts.is_valid(row).then(|| texts.value(row));
            merged = match (merged, patch) {
                (_, None) => None,
                (None, Some(patch)) => Some(parsed(call, patch)?),
                (Some(node), Some(patch)) => Some(node.patched(parsed(call, patch)?)),
            };
        }
        Ok(merged.map(|node| {
            let mut out = String::new();
            node.write(None, &mut out);
            out
        }))
    });
    let merged = merged.collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(StringViewArray::from_iter(merged)))
}
