//! What was sniffed, as a row that people can read: the answer of `sniff_csv(…)`.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, ListArray, StringArray, StructArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Fields};
use arrow::record_batch::RecordBatch;

use super::Sniffed;
use crate::error::Result;
use crate::scan::options::OptionValue;
use crate::scan::types::type_name;

/// Options that [`Sniffed::report`] spells out itself.
const SPELT_OUT: [&str; 32] = [
    "delim",
    "sep",
    "delimiter",
    "quote",
    "quotechar",
    "escape",
    "escapechar",
    "comment",
    "header",
    "has_header",
    "skip",
    "skiprows",
    "encoding",
    "decimal_separator",
    "decimal",
    "names",
    "column_names",
    "types",
    "dtypes",
    "dtype",
    "column_types",
    "columns",
    "all_varchar",
    "all_text",
    "dateformat",
    "date_format",
    "timestampformat",
    "timestamp_format",
    "datetime_format",
    "sample_size",
    "auto_detect",
    "newlines_in_values",
];

impl Sniffed {
    /// One row: the dialect, the columns, and a call of `read_csv` that reads the files exactly so.
    /// `options` are those that the user has given.
    pub(crate) fn report(
        &self,
        paths: &[String],
        options: &[(String, OptionValue)],
    ) -> Result<RecordBatch> {
        let dialect = &self.dialect;
        let character = |byte: u8| match byte {
            b'\t' => "\\t".to_string(),
            byte => char::from(byte).to_string(),
        };
        let fields = self.schema.fields();
        let names: Vec<&str> = fields.iter().map(|field| field.name().as_str()).collect();
        let types: Vec<String> = fields.iter().map(|field| type_name(field.data_type())).collect();
        let formats = |wanted: fn(&DataType) -> bool| -> Vec<(String, OptionValue)> {
            let columns = fields.iter().enumerate().filter(|(_, field)| wanted(field.data_type()));
            let of = columns.filter_map(|(column, field)| {
                let format = dialect.format_of(column, field.data_type())?;
                Some((field.name().clone(), OptionValue::Text(format.to_string())))
            });
            of.collect()
        };
        let dates = formats(|data_type| *data_type == DataType::Date32);
        let timestamps = formats(|data_type| matches!(data_type, DataType::Timestamp(..)));
        let escape = dialect.quote.map(|quote| dialect.escape.unwrap_or(quote));

        let text = |byte: Option<u8>| OptionValue::Text(byte.map(character).unwrap_or_default());
        let typed = names.iter().zip(&types);
        let typed =
            typed.map(|(name, data_type)| (name.to_string(), OptionValue::Text(data_type.clone())));
        let mut spelt = vec![
            ("delim", text(Some(dialect.delimiter))),
            ("quote", text(dialect.quote)),
            ("escape", text(escape)),
            ("comment", text(dialect.comment)),
            ("header", OptionValue::Boolean(dialect.header)),
            ("skip", OptionValue::Number(dialect.skip_lines.to_string())),
            ("encoding", OptionValue::Text(dialect.encoding.name().to_string())),
            ("decimal_separator", text(Some(dialect.decimal))),
            ("columns", OptionValue::Struct(typed.collect())),
        ];
        if !dates.is_empty() {
            spelt.push(("dateformat", OptionValue::Struct(dates.clone())));
        }
        if !timestamps.is_empty() {
            spelt.push(("timestampformat", OptionValue::Struct(timestamps.clone())));
        }
        let others =
            options.iter().filter(|(name, _)| !SPELT_OUT.contains(&name.to_lowercase().as_str()));
        let others = others.map(|(name, value)| (name.as_str(), value.clone()));
        let arguments: Vec<String> = spelt
            .into_iter()
            .chain(others)
            .map(|(name, value)| format!("{name} = {}", value.to_sql()))
            .collect();
        let paths: Vec<OptionValue> = paths.iter().cloned().map(OptionValue::Text).collect();
        let paths = match paths.as_slice() {
            [one] => one.to_sql(),
            _ => OptionValue::List(paths).to_sql(),
        };
        let prompt = format!("read_csv({paths}, {})", arguments.join(", "));

        let one = |value: Option<String>| Arc::new(StringArray::from(vec![value])) as ArrayRef;
        let skip = i64::try_from(dialect.skip_lines).unwrap_or(i64::MAX);
        Ok(RecordBatch::try_from_iter_with_nullable([
            ("delimiter", one(Some(character(dialect.delimiter))), true),
            ("quote", one(dialect.quote.map(character)), true),
            ("escape", one(escape.map(character)), true),
            ("newline", one(Some(self.line_end.to_string())), true),
            ("skip", Arc::new(Int64Array::from(vec![skip])), true),
            ("comment", one(dialect.comment.map(character)), true),
            ("header", Arc::new(BooleanArray::from(vec![dialect.header])), true),
            ("encoding", one(Some(dialect.encoding.name().to_string())), true),
            ("decimal_separator", one(Some(character(dialect.decimal))), true),
            ("columns", list_of_columns(&names, &types), true),
            ("dateformat", one(one_format(&dates)), true),
            ("timestampformat", one(one_format(&timestamps)), true),
            ("prompt", one(Some(prompt)), true),
        ])?)
    }
}

/// The format, or a struct of columns and formats if they differ.
fn one_format(formats: &[(String, OptionValue)]) -> Option<String> {
    let (_, first) = formats.first()?;
    if let OptionValue::Text(format) = first
        && formats.iter().all(|(_, other)| other == first)
    {
        return Some(format.clone());
    }
    Some(OptionValue::Struct(formats.to_vec()).to_sql())
}

/// A list with one struct of name and type a column.
fn list_of_columns(names: &[&str], types: &[String]) -> ArrayRef {
    let fields = Fields::from(vec![
        Field::new("name", DataType::Utf8, false),
        Field::new("type", DataType::Utf8, false),
    ]);
    let names: ArrayRef = Arc::new(StringArray::from(names.to_vec()));
    let types: ArrayRef = Arc::new(StringArray::from_iter_values(types));
    let length = names.len();
    let columns = StructArray::new(fields.clone(), vec![names, types], None);
    let item = Arc::new(Field::new("item", DataType::Struct(fields), false));
    Arc::new(ListArray::new(item, OffsetBuffer::from_lengths([length]), Arc::new(columns), None))
}
