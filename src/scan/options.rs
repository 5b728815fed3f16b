//! Options of files: values as SQL gives them, and those that hold for files of every format.
//!
//! `CREATE EXTERNAL TABLE … OPTIONS (…)` gives texts; a table function gives numbers, booleans,
//! lists and structs too. A list or a struct may also be written inside a text.

use arrow::datatypes::DataType;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;

use super::types::parse_type;
use crate::error::{Error, Result};

/// The value of an option.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum OptionValue {
    Null,
    Boolean(bool),
    /// A number as it was written.
    Number(String),
    Text(String),
    List(Vec<OptionValue>),
    /// Names with their values, in order.
    Struct(Vec<(String, OptionValue)>),
}

impl OptionValue {
    /// The text of a value that is not made of others.
    fn scalar(&self) -> Option<String> {
        match self {
            OptionValue::Text(text) | OptionValue::Number(text) => Some(text.clone()),
            OptionValue::Boolean(yes) => Some(yes.to_string()),
            OptionValue::Null | OptionValue::List(_) | OptionValue::Struct(_) => None,
        }
    }

    /// The value as SQL writes it.
    pub(crate) fn to_sql(&self) -> String {
        let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
        match self {
            OptionValue::Null => "NULL".to_string(),
            OptionValue::Boolean(yes) => yes.to_string(),
            OptionValue::Number(text) => text.clone(),
            OptionValue::Text(text) => quoted(text),
            OptionValue::List(values) => {
                let values: Vec<String> = values.iter().map(OptionValue::to_sql).collect();
                format!("[{}]", values.join(", "))
            }
            OptionValue::Struct(entries) => {
                let entries: Vec<String> = entries
                    .iter()
                    .map(|(name, value)| format!("{}: {}", quoted(name), value.to_sql()))
                    .collect();
                format!("{{{}}}", entries.join(", "))
            }
        }
    }
}

/// An option that was given: its name as written and its value.
///
/// The methods read the value as some type; they fail with `Config` and say what is allowed.
pub(crate) struct Given<'a> {
    pub(crate) name: &'a str,
    pub(crate) value: &'a OptionValue,
}

impl Given<'_> {
    pub(crate) fn must_be(&self, allowed: &str) -> Error {
        let shown = match self.value {
            OptionValue::Text(text) => format!("\"{text}\""),
            other => other.to_sql(),
        };
        Error::config(format!("the option \"{}\" must be {allowed}, not {shown}", self.name))
    }

    pub(crate) fn text(&self) -> Result<String> {
        self.value.scalar().ok_or_else(|| self.must_be("a text"))
    }

    pub(crate) fn boolean(&self) -> Result<bool> {
        let text = self.value.scalar().unwrap_or_default().to_lowercase();
        match text.as_str() {
            "true" | "1" | "yes" | "on" => Ok(true),
            "false" | "0" | "no" | "off" => Ok(false),
            _ => Err(self.must_be("true or false")),
        }
    }

    /// One ASCII character. A tab may be written `\t`.
    pub(crate) fn byte(&self) -> Result<u8> {
        let text = self.value.scalar().unwrap_or_default();
        match text.as_bytes() {
            [byte] if byte.is_ascii() && !matches!(byte, b'\n' | b'\r') => Ok(*byte),
            br"\t" => Ok(b'\t'),
            _ => Err(self.must_be("one ASCII character")),
        }
    }

    /// As [`Given::byte`], or `None` for an empty text or NULL.
    pub(crate) fn byte_or_none(&self) -> Result<Option<u8>> {
        match self.value {
            OptionValue::Null => Ok(None),
            OptionValue::Text(text) if text.is_empty() => Ok(None),
            _ => match self.byte() {
                Ok(byte) => Ok(Some(byte)),
                Err(_) => Err(self.must_be("one ASCII character, or '' for none")),
            },
        }
    }

    pub(crate) fn count(&self) -> Result<usize> {
        let text = self.value.scalar().unwrap_or_default();
        text.replace('_', "").parse().map_err(|_| self.must_be("a number from 0 on"))
    }

    /// One text, or a list of texts.
    pub(crate) fn texts(&self) -> Result<Vec<String>> {
        let texts = match self.value {
            OptionValue::List(values) => values.iter().map(OptionValue::scalar).collect(),
            one => one.scalar().map(|text| vec![text]),
        };
        texts.ok_or_else(|| self.must_be("a text or a list of texts"))
    }

    /// Names with the types that their values name.
    pub(crate) fn types_by_name(&self) -> Result<Vec<(String, DataType)>> {
        let OptionValue::Struct(entries) = self.value else {
            return Err(self.must_be("a struct of names and types, such as {'id': 'BIGINT'}"));
        };
        let types = entries.iter().map(|(name, value)| Ok((name.clone(), self.type_of(value)?)));
        types.collect()
    }

    pub(crate) fn type_of(&self, value: &OptionValue) -> Result<DataType> {
        let name = value.scalar().unwrap_or_default();
        parse_type(&name).map_err(|err| {
            let error = Error::config(format!("the option \"{}\": {err}", self.name));
            err.hint().map(str::to_string).into_iter().fold(error, Error::with_hint)
        })
    }
}

/// What holds for files of every format.
#[derive(Debug, Clone, Default)]
pub(crate) struct FileOptions {
    /// Whether columns of several files are matched by their names, and missing ones are NULL.
    pub(crate) union_by_name: bool,
    /// Name of a column that holds each row's path.
    pub(crate) filename: Option<String>,
    /// Whether `name=value/` in a path makes a column; `None`: below a folder that is read.
    pub(crate) hive_partitioning: Option<bool>,
    /// Compression; by the extension when `None`.
    pub(crate) compression: Option<FileCompressionType>,
}

impl FileOptions {
    /// Names of these options; the first of each line is the one that is shown.
    pub(crate) const NAMES: [&'static [&'static str]; 4] =
        [&["union_by_name"], &["filename"], &["hive_partitioning"], &["compression"]];

    /// Sets the option if it is one of these; gives whether it is.
    ///
    /// # Errors
    /// `Config` if the value is not allowed.
    pub(crate) fn set(&mut self, given: &Given<'_>) -> Result<bool> {
        match given.name.to_lowercase().as_str() {
            "union_by_name" => self.union_by_name = given.boolean()?,
            "filename" => {
                self.filename = match given.boolean() {
                    Ok(yes) => yes.then(|| "filename".to_string()),
                    Err(_) => Some(given.text()?),
                };
            }
            "hive_partitioning" => self.hive_partitioning = Some(given.boolean()?),
            "compression" => self.compression = parse_compression(&given.text()?)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// The compression of this name; `None` for `auto`.
///
/// # Errors
/// `Config` for another name.
pub(crate) fn parse_compression(name: &str) -> Result<Option<FileCompressionType>> {
    match name.to_lowercase().as_str() {
        "auto" | "auto_detect" | "infer" => Ok(None),
        "gz" | "gzip" => Ok(Some(FileCompressionType::GZIP)),
        "zst" | "zstd" => Ok(Some(FileCompressionType::ZSTD)),
        "bz2" | "bzip2" => Ok(Some(FileCompressionType::BZIP2)),
        "xz" => Ok(Some(FileCompressionType::XZ)),
        "" | "none" | "uncompressed" => Ok(Some(FileCompressionType::UNCOMPRESSED)),
        _ => Err(Error::config(format!("no compression \"{name}\""))
            .with_hint("the compressions are gzip, zstd, bzip2, xz, uncompressed and auto")),
    }
}

/// How a compression is written down: as its extension.
pub(crate) mod compression_name {
    use datafusion::common::GetExt;
    use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        compression: &FileCompressionType,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(compression.get_ext().trim_start_matches('.'))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<FileCompressionType, D::Error> {
        let name = String::deserialize(deserializer)?;
        let compression = super::parse_compression(&name).map_err(D::Error::custom)?;
        compression.ok_or_else(|| D::Error::custom("a compression has no name"))
    }
}

/// That there is no option of this name, with the one that may be meant.
pub(crate) fn no_option(format: &str, name: &str, names: &[&[&str]]) -> Error {
    let error = Error::config(format!("no {format} option \"{name}\""));
    let all: Vec<String> = names.iter().flat_map(|n| n.iter()).map(ToString::to_string).collect();
    match crate::error::nearest(name, &all) {
        Some(near) => error.with_hint(format!("did you mean \"{near}\"?")),
        None => {
            let shown: Vec<&str> = names.iter().map(|names| names[0]).collect();
            error.with_hint(format!("the options are {}", shown.join(", ")))
        }
    }
}
