//! The arguments "JSON text and path" for all rows at once.

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, ListArray, StringViewArray};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{ScalarValue, exec_datafusion_err, exec_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::ReturnFieldArgs;

use super::super::define::Call;
use super::super::list::lists_of;
use super::path::Path;
use super::reader::{Malformed, document};
use super::{is_text, malformed};

/// Where a path leads to in a row.
#[derive(Debug, Clone, Copy)]
pub(super) enum Found<'a> {
    /// The text or the path is NULL.
    Null,
    /// Nowhere.
    Nothing,
    /// A checked part of the text.
    Value(&'a str),
}

/// What to do with text that is not JSON.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Invalid {
    Fails,
    IsNull,
}

/// A text, and optionally a path, an index or a list of paths.
pub(super) fn takes(name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    let (text, path) = match types {
        [text] => (text, None),
        [text, path] => (text, Some(path)),
        _ => return plan_err!("{name} takes JSON text and a path, not {} arguments", types.len()),
    };
    if !is_text(text) {
        return plan_err!("{name} takes JSON text, not {text}; to_json makes JSON of any value");
    }
    let path = match path {
        None => None,
        // A literal stays one, so that its wildcards are known when the plan is made.
        Some(path) if path.is_string() => Some(path.clone()),
        Some(path) if is_text(path) => Some(DataType::Utf8View),
        Some(path) if path.is_integer() => Some(DataType::Int64),
        Some(
            DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _),
        ) if is_text(item.data_type()) => Some(DataType::new_list(DataType::Utf8View, true)),
        Some(path) => {
            return plan_err!("{name} takes a path, an index or a list of paths, not {path}");
        }
    };
    Ok(std::iter::once(DataType::Utf8View).chain(path).collect())
}

/// As [`takes`], but the path must be there.
pub(super) fn takes_path(name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    if types.len() == 1 {
        return plan_err!("{name} takes JSON text and a path");
    }
    takes(name, types)
}

/// Whether a call gives a list for each text: its path has wildcards, or there are several.
pub(super) fn gives_lists(name: &str, args: &ReturnFieldArgs<'_>) -> Result<bool> {
    let Some(path) = args.arg_fields.get(1) else {
        return Ok(false);
    };
    if matches!(path.data_type(), DataType::List(_)) {
        return Ok(true);
    }
    match args.scalar_arguments.get(1).copied().flatten().and_then(ScalarValue::try_as_str) {
        Some(Some(path)) => Ok(parse(name, path)?.is_many()),
        _ => Ok(false),
    }
}

fn parse(name: &str, path: &str) -> Result<Path> {
    match Path::parse(path) {
        Ok(path) => Ok(path),
        Err(rest) => plan_err!("{name}: cannot read the JSON path '{path}' from '{rest}' on"),
    }
}

/// What was found: one value a row, or lists of them.
pub(super) struct AllFound<'a> {
    values: Vec<Found<'a>>,
    lists: Option<(Vec<usize>, NullBuffer)>,
}

impl<'a> AllFound<'a> {
    /// Follows the path in each row.
    pub(super) fn new(
        call: &Call<'_>,
        texts: &'a StringViewArray,
        invalid: Invalid,
    ) -> Result<Self> {
        let find = |text: Option<&'a str>, path: Option<&Path>| match (text, path) {
            (Some(text), Some(path)) => match path.find(text) {
                Ok(found) => Ok(found.map_or(Found::Nothing, Found::Value)),
                Err(error) => refused(call, text, &error, invalid).map(|()| Found::Null),
            },
            _ => Ok(Found::Null),
        };
        if call.args.len() == 1 {
            return Self::singles(texts.iter().map(|text| match text.map(|t| (t, document(t))) {
                None => Ok(Found::Null),
                Some((_, Ok(value))) => Ok(Found::Value(value)),
                Some((text, Err(error))) => {
                    refused(call, text, &error, invalid).map(|()| Found::Null)
                }
            }));
        }
        match call.constant(1) {
            Some(ScalarValue::Int64(index)) => {
                let path = index.map(Path::index);
                Self::singles(texts.iter().map(|text| find(text, path.as_ref())))
            }
            Some(path) if path.data_type().is_string() => {
                let path = path.try_as_str().flatten();
                let path = path.map(|path| parse(call.name, path)).transpose()?;
                match path {
                    Some(path) if path.is_many() => Self::all(call, texts, &path, invalid),
                    path => Self::singles(texts.iter().map(|text| find(text, path.as_ref()))),
                }
            }
            _ => {
                let paths = call.array(1)?;
                match paths.data_type() {
                    DataType::Int64 => {
                        let paths: &Int64Array = paths.as_primitive::<Int64Type>();
                        Self::singles(
                            texts
                                .iter()
                                .zip(paths)
                                .map(|(text, index)| find(text, index.map(Path::index).as_ref())),
                        )
                    }
                    DataType::List(_) => Self::each_path(call, texts, paths.as_list(), find),
                    _ => {
                        let paths = cast(&paths, &DataType::Utf8View)?;
                        let paths = paths.as_string_view();
                        Self::singles(texts.iter().zip(paths).map(|(text, path)| {
                            let path = path.map(|path| single(call.name, path)).transpose()?;
                            find(text, path.as_ref())
                        }))
                    }
                }
            }
        }
    }

    fn singles(values: impl Iterator<Item = Result<Found<'a>>>) -> Result<Self> {
        Ok(AllFound { values: values.collect::<Result<_>>()?, lists: None })
    }

    /// All that a path with wildcards leads to.
    fn all(
        call: &Call<'_>,
        texts: &'a StringViewArray,
        path: &Path,
        invalid: Invalid,
    ) -> Result<Self> {
        let (mut values, mut lengths, mut valid) = (Vec::new(), Vec::new(), Vec::new());
        for text in texts {
            let before = values.len();
            let found = match text.map(|text| (text, path.find_all(text))) {
                None => None,
                Some((_, Ok(found))) => Some(found),
                Some((text, Err(error))) => {
                    refused(call, text, &error, invalid)?;
                    None
                }
            };
            valid.push(found.is_some());
            values.extend(found.into_iter().flatten().map(Found::Value));
            lengths.push(values.len() - before);
        }
        Ok(AllFound { values, lists: Some((lengths, valid.into())) })
    }

    /// What each path of a list leads to.
    fn each_path(
        call: &Call<'_>,
        texts: &'a StringViewArray,
        lists: &ListArray,
        find: impl Fn(Option<&'a str>, Option<&Path>) -> Result<Found<'a>>,
    ) -> Result<Self> {
        let (mut values, mut lengths, mut valid) = (Vec::new(), Vec::new(), Vec::new());
        let constant = call.constant(1).is_some();
        let mut parsed: Vec<Option<Path>> = Vec::new();
        for (row, text) in texts.iter().enumerate() {
            let is_valid = text.is_some() && lists.is_valid(row);
            valid.push(is_valid);
            lengths.push(0);
            if !is_valid {
                continue;
            }
            if !constant || parsed.is_empty() {
                let paths = lists.value(row);
                parsed = (paths.as_string_view().iter())
                    .map(|path| path.map(|path| single(call.name, path)).transpose())
                    .collect::<Result<_>>()?;
            }
            for path in &parsed {
                values.push(find(text, path.as_ref())?);
            }
            lengths[row] = parsed.len();
        }
        Ok(AllFound { values, lists: Some((lengths, valid.into())) })
    }

    /// What was found in each row.
    pub(super) fn rows(&self) -> impl Iterator<Item = &[Found<'a>]> {
        let lengths: Vec<usize> = match &self.lists {
            Some((lengths, _)) => lengths.clone(),
            None => vec![1; self.values.len()],
        };
        let mut rest = self.values.as_slice();
        lengths.into_iter().map(move |length| {
            let (row, after) = rest.split_at(length);
            rest = after;
            row
        })
    }

    /// The result of a function that makes a value of each part that was found.
    pub(super) fn into_array(
        self,
        gives: &DataType,
        make: impl FnOnce(&[Found<'a>]) -> Result<ArrayRef>,
    ) -> Result<ArrayRef> {
        let made = make(&self.values)?;
        let Some((lengths, valid)) = self.lists else {
            return Ok(made);
        };
        if i32::try_from(made.len()).is_err() {
            return exec_err!("a list column would have more than 2³¹ elements");
        }
        lists_of(gives, made, lengths, Some(valid))
    }
}

fn refused(call: &Call<'_>, text: &str, error: &Malformed, invalid: Invalid) -> Result<()> {
    match invalid {
        Invalid::Fails => Err(malformed(call, text, error)),
        Invalid::IsNull => Ok(()),
    }
}

/// A path that leads to one value, since a column of paths must give values of one type.
fn single(name: &str, path: &str) -> Result<Path> {
    let parsed = Path::parse(path).map_err(|rest| {
        exec_datafusion_err!("{name}: cannot read the JSON path '{path}' from '{rest}' on")
    })?;
    if parsed.is_many() {
        return exec_err!("{name}: the path '{path}' has wildcards, so it must be the only path");
    }
    Ok(parsed)
}
