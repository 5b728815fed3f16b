//! Columns that have one value a file: its path, and what `name=value/` in its path says.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::ScalarValue;
use percent_encoding::percent_decode_str;

use super::found::{Found, FoundFile};
use super::options::FileOptions;
use super::store::FileStore;
use crate::error::{Error, Result};

/// What Hive writes for NULL in a path.
pub(crate) const NULL_NAME: &str = "__HIVE_DEFAULT_PARTITION__";

/// Such columns of a table.
#[derive(Debug, Clone)]
pub(super) struct FileColumns {
    /// Those of `name=value/`.
    pub(super) in_path: Vec<FieldRef>,
    /// That of the path itself.
    pub(super) filename: Option<FieldRef>,
    /// Whether the whole path of a file says something, or only what is below a folder that was
    /// named.
    pub(super) whole_paths: bool,
}

impl FileColumns {
    /// The columns of a table of files. `given` are those in the path if the user names them.
    ///
    /// # Errors
    /// `Input` if the path of one file says what that of another does not.
    pub(super) fn of(
        found: &Found,
        options: &FileOptions,
        given: Option<&[(String, DataType)]>,
    ) -> Result<Self> {
        let asked = options.hive_partitioning == Some(true);
        let filename = options.filename.as_ref();
        let mut columns = FileColumns {
            in_path: Vec::new(),
            filename: filename.map(|name| Arc::new(Field::new(name, DataType::Utf8, false))),
            whole_paths: asked,
        };
        let field = |name: &str, data_type| Arc::new(Field::new(name, data_type, true));
        match given {
            Some(given) if !given.is_empty() || !asked => {
                columns.whole_paths = true;
                let fields = given.iter().map(|(name, data_type)| field(name, data_type.clone()));
                columns.in_path = fields.collect();
            }
            _ if options.hive_partitioning == Some(false) => {}
            _ => {
                let names = columns.names_of_all(found)?;
                columns.in_path = names.iter().map(|name| field(name, DataType::Utf8)).collect();
            }
        }
        Ok(columns)
    }

    /// The names that the path of each file says.
    fn names_of_all<'a>(&self, found: &'a Found) -> Result<Vec<String>> {
        let names = |file: &'a FoundFile| -> Vec<String> {
            path_values(self.saying(file)).into_iter().map(|(name, _)| name).collect()
        };
        let Some((first, others)) = found.files.split_first() else { return Ok(Vec::new()) };
        let of_first = names(first);
        for other in others {
            let of_other = names(other);
            let missing = |from: &[String], of: &[String]| {
                of.iter().find(|name| !from.contains(name)).cloned()
            };
            if let Some(name) = missing(&of_other, &of_first) {
                return Err(does_not_say(other, &name));
            }
            if let Some(name) = missing(&of_first, &of_other) {
                return Err(does_not_say(first, &name));
            }
        }
        Ok(of_first)
    }

    /// The part of a file's path that may say something.
    fn saying<'a>(&self, file: &'a FoundFile) -> &'a str {
        match file.below_folder() {
            Some(below) => below,
            None if self.whole_paths => &file.path,
            None => "",
        }
    }

    /// All columns: those of `name=value/`, then the path itself.
    pub(super) fn fields(&self) -> Vec<FieldRef> {
        self.in_path.iter().chain(&self.filename).map(Arc::clone).collect()
    }

    /// Those of `name=value/` if there is no other, so that a new row tells its file.
    pub(super) fn only_in_path(&self) -> Option<&[FieldRef]> {
        (!self.in_path.is_empty() && self.filename.is_none()).then_some(&self.in_path)
    }

    /// The values of all columns for a file.
    ///
    /// # Errors
    /// `Input` if its path does not say one of them, or one that is not of the column's type.
    pub(super) fn values(&self, store: &FileStore, file: &FoundFile) -> Result<Vec<ScalarValue>> {
        let said = path_values(self.saying(file));
        let mut values = Vec::with_capacity(self.in_path.len() + 1);
        for field in &self.in_path {
            let (name, data_type) = (field.name(), field.data_type());
            let value = said.iter().find(|(said, _)| said == name);
            let (_, value) = value.ok_or_else(|| does_not_say(file, name))?;
            values.push(match value {
                None => ScalarValue::try_from(data_type)?,
                Some(text) => {
                    let value = ScalarValue::try_from_string(text.clone(), data_type);
                    value.map_err(|_| {
                        let path = &file.path;
                        Error::input(format!(
                            "\"{path}\": the path says {name}={text}, which is not of type \
                             {data_type}"
                        ))
                    })?
                }
            });
        }
        if self.filename.is_some() {
            values.push(ScalarValue::Utf8(Some(store.shown(&file.meta.location))));
        }
        Ok(values)
    }
}

fn does_not_say(file: &FoundFile, name: &str) -> Error {
    Error::input(format!("the path of \"{}\" does not say {name}=", file.path))
        .with_hint("hive_partitioning = false reads the files without such columns")
}

/// The `name=value` parts of the folders in a file's path; a value is `None` where it says NULL.
fn path_values(path: &str) -> Vec<(String, Option<String>)> {
    let mut folders: Vec<&str> = Vec::new();
    for folder in path.rsplit_once('/').map_or("", |(folders, _)| folders).split('/') {
        match folder {
            ".." => drop(folders.pop()),
            folder => folders.push(folder),
        }
    }
    let parts = folders.into_iter().filter_map(|folder| folder.split_once('='));
    parts
        .map(|(name, value)| (decoded(name), (value != NULL_NAME).then(|| decoded(value))))
        .collect()
}

/// A text with the characters that its percent codes stand for.
fn decoded(text: &str) -> String {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map_or_else(|_| text.to_string(), |decoded| decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_of_paths() {
        let values = |path| {
            let values = path_values(path).into_iter();
            values.map(|(name, value)| (name, value.unwrap_or("NULL".to_string()))).collect()
        };
        let expected = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
        };
        let check = |path, pairs: &[(&str, &str)]| {
            let found: Vec<(String, String)> = values(path);
            assert_eq!(found, expected(pairs), "{path}");
        };
        check("year=2019/kind=a=b/x.csv", &[("year", "2019"), ("kind", "a=b")]);
        check("/data/year=2019/../year=2020/x=1.csv", &[("year", "2020")]);
        check("gr%C3%B6%C3%9Fe=a%2Fb%20%25/x.csv", &[("größe", "a/b %")]);
        check("k=__HIVE_DEFAULT_PARTITION__/x.csv", &[("k", "NULL")]);
        // What are no codes, and codes that are no text.
        check("a=100%/b=%FF/x.csv", &[("a", "100%"), ("b", "%FF")]);
        check("x=1.csv", &[]);
    }
}
