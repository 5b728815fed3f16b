//! Functions on JSON, which is text here: results that are JSON say so in their field's metadata,
//! so that functions that make JSON put them in as they are.
//!
//! ```text
//! reader   text from left to right, checked, nothing built
//! path     $.a[0], /a/0 or a name: from a text to the parts it leads to
//! find     the arguments "text and path", for all rows
//! extract  functions of the parts that are found
//! node     a value as a tree, for those that look at it more than once
//! whole    functions of whole texts
//! make     values as JSON
//! operator -> and ->>
//! ```

mod extract;
mod find;
mod make;
mod node;
mod operator;
mod path;
mod reader;
mod whole;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, StringViewArray};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::plan_err;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ReturnFieldArgs, ScalarUDF};

use super::define::Call;
pub(super) use operator::JsonOperators;

/// All of this folder.
pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    [extract::functions(), whole::functions(), make::functions()].concat()
}

/// Arrow's name for text that is JSON.
const EXTENSION: (&str, &str) = ("ARROW:extension:name", "arrow.json");

/// What a field of lists says whose texts are JSON. It is said of the field, not of the items: lists
/// of JSON are of the same type as those of other texts.
const ITEMS: (&str, &str) = ("brimful:items", "json");

/// A field of lists, whose texts are JSON.
fn json_lists_field(name: &str) -> FieldRef {
    let metadata = HashMap::from([(ITEMS.0.to_string(), ITEMS.1.to_string())]);
    let lists = DataType::new_list(DataType::Utf8View, true);
    Arc::new(Field::new(name, lists, true).with_metadata(metadata))
}

/// Whether the texts in the lists of a field are JSON.
fn has_json_items(field: &Field) -> bool {
    field.metadata().get(ITEMS.0).is_some_and(|items| items == ITEMS.1)
}

/// A field of JSON texts.
fn json_field(name: &str) -> FieldRef {
    let metadata = HashMap::from([(EXTENSION.0.to_string(), EXTENSION.1.to_string())]);
    Arc::new(Field::new(name, DataType::Utf8View, true).with_metadata(metadata))
}

/// Whether the texts of a field are JSON.
pub(crate) fn is_json(field: &Field) -> bool {
    field.metadata().get(EXTENSION.0).is_some_and(|name| name == EXTENSION.1)
}

/// The JSON of a text, without blanks between its parts; `None` if the text is not JSON.
pub(crate) fn compact(text: &str) -> Option<Cow<'_, str>> {
    reader::document(text).ok().map(reader::minified)
}

/// The type texts are cast to.
fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => true,
        DataType::Dictionary(_, values) => is_text(values),
        _ => false,
    }
}

/// All arguments are texts, and there are as many as the range says.
fn takes_texts(
    name: &str,
    types: &[DataType],
    count: std::ops::RangeInclusive<usize>,
) -> Result<Vec<DataType>> {
    if !count.contains(&types.len()) {
        let (least, most) = (count.start(), count.end());
        let wanted = if least == most { format!("{least}") } else { format!("{least} to {most}") };
        return plan_err!("{name} takes {wanted} arguments, not {}", types.len());
    }
    if let Some(other) = types.iter().find(|data_type| !is_text(data_type)) {
        return plan_err!("{name} takes JSON text, not {other}; to_json makes JSON of any value");
    }
    Ok(vec![DataType::Utf8View; types.len()])
}

fn takes_one_text(name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    takes_texts(name, types, 1..=1)
}

fn takes_two_texts(name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    takes_texts(name, types, 2..=2)
}

fn gives_json(name: &str, _: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    Ok(json_field(name))
}

/// A text for each row from a text for each row; NULL of NULL.
fn map_texts<'a>(
    texts: &'a ArrayRef,
    change: impl Fn(&'a str) -> Result<Option<Cow<'a, str>>>,
) -> Result<ArrayRef> {
    let changed = texts.as_string_view().iter().map(|text| match text {
        Some(text) => change(text),
        None => Ok(None),
    });
    let changed = changed.collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(StringViewArray::from_iter(changed)))
}

/// What to say of a text that is not JSON.
fn malformed(call: &Call<'_>, text: &str, error: &reader::Malformed) -> DataFusionError {
    let shown: String = text.chars().take(40).collect();
    let more = if shown.len() < text.len() { "…" } else { "" };
    DataFusionError::Execution(format!(
        "{}: not JSON at byte {} ({}): {shown}{more}",
        call.name, error.at, error.what
    ))
}
