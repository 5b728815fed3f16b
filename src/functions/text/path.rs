//! Parts of the paths of files.

use std::sync::Arc;

use arrow::array::{ArrayRef, ListBuilder, StringViewBuilder};
use datafusion::common::exec_err;
use datafusion::error::Result;

use crate::functions::inputs::Inputs;

/// What is between the names of a path.
#[derive(Clone, Copy)]
struct Separators(&'static [char]);

impl Separators {
    fn of(word: &str, function: &str) -> Result<Self> {
        Ok(Separators(match word {
            "both_slash" | "system" if cfg!(windows) => &['/', '\\'],
            "both_slash" => &['/', '\\'],
            "forward_slash" | "system" => &['/'],
            "backslash" => &['\\'],
            _ => {
                return exec_err!(
                    "{function}: no separator \"{word}\"; they are both_slash, forward_slash, \
                     backslash and system"
                );
            }
        }))
    }

    fn last(self, path: &str) -> Option<usize> {
        path.rfind(self.0)
    }
}

/// The separators, if an argument says them; `None` for NULL.
fn separators(inputs: &Inputs, index: usize) -> Result<Option<Separators>> {
    if inputs.len() <= index {
        return Separators::of("both_slash", inputs.name).map(Some);
    }
    let word = inputs.constant_text(index, "separator")?;
    word.map(|word| Separators::of(word, inputs.name)).transpose()
}

/// `parse_filename(path [, without extension] [, separator])`: what comes last.
pub(super) fn file_name(inputs: &Inputs) -> Result<ArrayRef> {
    let has_flag = inputs.len() > 1 && *inputs.data_type(1) == arrow::datatypes::DataType::Boolean;
    let separators = separators(inputs, if has_flag { 2 } else { 1 })?;
    let paths = inputs.texts(0);
    let trims = has_flag.then(|| inputs.booleans_of(1));
    inputs.write(|row, out| {
        let trim = match &trims {
            Some(trims) => trims.get(row),
            None => Some(false),
        };
        let (Some(path), Some(separators), Some(trim)) = (paths.get(row), separators, trim) else {
            return Ok(false);
        };
        let name = separators.last(path).map_or(path, |end| &path[end + 1..]);
        let end = if trim { name.rfind('.') } else { None };
        out.push_str(&name[..end.unwrap_or(name.len())]);
        Ok(true)
    })
}

/// `parse_dirname(path [, separator])`: the first folder, `/` for a path from the root.
pub(super) fn first_folder(inputs: &Inputs) -> Result<ArrayRef> {
    folder(inputs, |path, separators| match path.find(separators.0) {
        Some(0) => &path[..1],
        Some(end) => &path[..end],
        None => "",
    })
}

/// `parse_dirpath(path [, separator])`: all but what comes last.
pub(super) fn folders(inputs: &Inputs) -> Result<ArrayRef> {
    folder(inputs, |path, separators| match separators.last(path) {
        Some(0) => &path[..1],
        Some(end) => &path[..end],
        None => "",
    })
}

fn folder(inputs: &Inputs, part: impl Fn(&str, Separators) -> &str) -> Result<ArrayRef> {
    let separators = separators(inputs, 1)?;
    let paths = inputs.texts(0);
    inputs.write(|row, out| {
        let (Some(path), Some(separators)) = (paths.get(row), separators) else {
            return Ok(false);
        };
        out.push_str(part(path, separators));
        Ok(true)
    })
}

/// `parse_path(path [, separator])`: all names of a path, with `/` for the root.
pub(super) fn names(inputs: &Inputs) -> Result<ArrayRef> {
    let separators = separators(inputs, 1)?;
    let paths = inputs.texts(0);
    let mut lists = ListBuilder::new(StringViewBuilder::new());
    for row in inputs.rows() {
        let (Some(path), Some(separators)) = (paths.get(row), separators) else {
            lists.append_null();
            continue;
        };
        if path.starts_with(separators.0) {
            lists.values().append_value(&path[..1]);
        }
        for name in path.split(separators.0).filter(|name| !name.is_empty()) {
            lists.values().append_value(name);
        }
        lists.append(true);
    }
    Ok(Arc::new(lists.finish()))
}
