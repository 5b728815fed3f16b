//! Table functions: `read_csv('a.csv', header = true)` and its like.
//!
//! A call in a FROM is replaced by a table whose name is the text of the call, and that name is
//! opened like the name of a file. So whatever can be done with a file's name can be done with a
//! call: join it, make a view of it, write it into another statement.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use datafusion::catalog::TableProvider;
use datafusion::execution::context::SessionState;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, FunctionArg, FunctionArgExpr, FunctionArguments,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

use super::csv::CsvOptions;
use super::files::{FileKind, FileTable};
use super::literal::value_of;
use super::options::{FileOptions, Given, OptionValue, no_option};
use crate::error::{Error, Result};

/// What is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Function {
    /// Reads files of a format.
    Read(FileKind),
    /// Says how CSV files would be read.
    SniffCsv,
}

/// Names of the functions; the first of each kind is the usual one.
const FUNCTIONS: [(&str, Function); 10] = [
    ("read_csv", Function::Read(FileKind::Csv)),
    ("read_parquet", Function::Read(FileKind::Parquet)),
    ("read_json", Function::Read(FileKind::Json)),
    ("read_arrow", Function::Read(FileKind::Arrow)),
    ("sniff_csv", Function::SniffCsv),
    ("read_csv_auto", Function::Read(FileKind::Csv)),
    ("parquet_scan", Function::Read(FileKind::Parquet)),
    ("read_json_auto", Function::Read(FileKind::Json)),
    ("read_ndjson", Function::Read(FileKind::Json)),
    ("arrow_scan", Function::Read(FileKind::Arrow)),
];

/// A call of a table function.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TableCall {
    name: String,
    function: Function,
    paths: Vec<String>,
    options: Vec<(String, OptionValue)>,
}

impl TableCall {
    /// A call with these arguments; `None` if there is no function of this name.
    ///
    /// # Errors
    /// `Query` if the arguments are not a path, or a list of paths, and options with literals.
    pub(crate) fn new(name: &str, args: &[FunctionArg]) -> Result<Option<Self>> {
        let name = name.to_lowercase();
        let Some((_, function)) = FUNCTIONS.iter().find(|(known, _)| *known == name) else {
            return Ok(None);
        };
        let mut call =
            TableCall { name, function: *function, paths: Vec::new(), options: Vec::new() };
        for (place, arg) in args.iter().enumerate() {
            call.add(place, arg)?;
        }
        if call.paths.is_empty() {
            return Err(Error::query(format!("{} needs the path of a file", call.name))
                .with_hint(format!("write {}('folder/file.csv')", call.name)));
        }
        // Wrong options are found before any file is looked at.
        call.table()?;
        Ok(Some(call))
    }

    fn add(&mut self, place: usize, arg: &FunctionArg) -> Result<()> {
        let (name, value) = match arg {
            FunctionArg::Named { name, arg: FunctionArgExpr::Expr(value), .. } => {
                (Some(name.value.clone()), value)
            }
            FunctionArg::ExprNamed { name, arg: FunctionArgExpr::Expr(value), .. } => {
                (Some(option_name(name).unwrap_or_else(|| name.to_string())), value)
            }
            // `name = value` is a comparison to the parser.
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => match expr {
                Expr::BinaryOp { left, op: BinaryOperator::Eq, right } => {
                    (option_name(left), right.as_ref())
                }
                expr => (None, expr),
            },
            other => {
                return Err(Error::query(format!("{}: \"{other}\" is no option", self.name)));
            }
        };
        let literal = value_of(value).ok_or_else(|| {
            let what = name.as_deref().unwrap_or("the path");
            let error =
                Error::query(format!("{}: {what} must be a literal, not {value}", self.name));
            match value {
                Expr::Identifier(word) => {
                    error.with_hint(format!("put texts in single quotes: '{}'", word.value))
                }
                _ => error,
            }
        })?;
        match name {
            Some(name) => self.options.push((name, literal)),
            None if place == 0 => {
                let given = Given { name: "path", value: &literal };
                self.paths = given.texts().map_err(|_| {
                    Error::query(format!(
                        "{}: the path must be a text or a list of texts",
                        self.name
                    ))
                })?;
            }
            None => {
                return Err(Error::query(format!(
                    "{}: only the path stands without a name, {} does, too",
                    self.name,
                    literal.to_sql()
                ))
                .with_hint("several paths are a list: ['a.csv', 'b.csv']"));
            }
        }
        Ok(())
    }

    /// The call that a table's name is the text of; `None` for other names.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (name, rest) = text.split_once('(')?;
        if !rest.ends_with(')') || !FUNCTIONS.iter().any(|(known, _)| *known == name) {
            return None;
        }
        let mut parser = Parser::new(&GenericDialect {}).try_with_sql(text).ok()?;
        let Expr::Function(function) = parser.parse_expr().ok()? else { return None };
        let FunctionArguments::List(list) = function.args else { return None };
        Self::new(name, &list.args).ok()?
    }

    /// A near name for one that is no function.
    pub(crate) fn near(name: &str) -> Option<&'static str> {
        let names: Vec<String> = FUNCTIONS.iter().map(|(name, _)| name.to_string()).collect();
        let near = crate::error::nearest(name, &names)?;
        FUNCTIONS.iter().find(|(name, _)| *name == near).map(|(name, _)| *name)
    }

    /// What the table is called if there is no alias: the path if there is one, else the function.
    pub(crate) fn alias(&self) -> &str {
        match self.paths.as_slice() {
            [one] => one,
            _ => &self.name,
        }
    }

    /// The files and how to read them.
    fn table(&self) -> Result<FileTable> {
        let kind = match self.function {
            Function::Read(FileKind::Csv) | Function::SniffCsv => {
                return Ok(FileTable::csv(self.paths.clone(), self.csv_options()?));
            }
            Function::Read(kind) => kind,
        };
        let locations = self.paths.clone();
        let mut table = FileTable { locations, kind: Some(kind), ..Default::default() };
        match kind {
            FileKind::Csv => {}
            FileKind::Json => self.other_options(&mut table, "JSON", |table, given| {
                match given.name.to_lowercase().as_str() {
                    "format" => {
                        table.json_array = match given.text()?.to_lowercase().as_str() {
                            "auto" => None,
                            "array" => Some(true),
                            "newline_delimited" | "nd" | "ndjson" | "lines" => Some(false),
                            _ => {
                                return Err(given.must_be("auto, array or newline_delimited"));
                            }
                        };
                    }
                    "columns" => {
                        let fields = given.types_by_name()?;
                        let fields = fields.into_iter().map(|(n, t)| Field::new(n, t, true));
                        table.schema = Some(Schema::new(fields.collect::<Vec<_>>()).into());
                    }
                    _ => return Ok(false),
                }
                Ok(true)
            })?,
            FileKind::Parquet => self.other_options(&mut table, "Parquet", |_, _| Ok(false))?,
            FileKind::Arrow => self.other_options(&mut table, "Arrow", |_, _| Ok(false))?,
        }
        Ok(table)
    }

    fn csv_options(&self) -> Result<CsvOptions> {
        let mut options = CsvOptions::default();
        for (name, value) in &self.options {
            options.set(&Given { name, value })?;
        }
        Ok(options)
    }

    /// Sets options of files other than CSV; `own` sets those that only their format has.
    fn other_options(
        &self,
        table: &mut FileTable,
        format: &str,
        own: fn(&mut FileTable, &Given<'_>) -> Result<bool>,
    ) -> Result<()> {
        // The other formats say inside of the files how they are compressed.
        let compressed = table.kind == Some(FileKind::Json);
        for (name, value) in &self.options {
            let given = Given { name, value };
            let of_files = compressed || !name.eq_ignore_ascii_case("compression");
            if own(table, &given)? || of_files && table.files.set(&given)? {
                continue;
            }
            let mut names = FileOptions::NAMES.to_vec();
            names.retain(|names| compressed || names[0] != "compression");
            if table.kind == Some(FileKind::Json) {
                names.extend([&["format"][..], &["columns"]]);
            }
            return Err(no_option(format, name, &names));
        }
        Ok(())
    }

    /// Looks at the files and makes the table.
    ///
    /// # Errors
    /// Those of [`FileTable::open`].
    pub(crate) async fn open(&self, state: &SessionState) -> Result<Arc<dyn TableProvider>> {
        let table = self.table()?;
        match self.function {
            Function::Read(_) => table.open(state).await,
            Function::SniffCsv => table.sniffed(state, &self.options).await,
        }
    }
}

/// The name of an option, of an argument before `=`.
fn option_name(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Identifier(name) => Some(name.value.clone()),
        _ => None,
    }
}

/// A text that [`TableCall::parse`] reads back.
impl fmt::Display for TableCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths: Vec<OptionValue> = self.paths.iter().cloned().map(OptionValue::Text).collect();
        let paths = match paths.as_slice() {
            [one] => one.to_sql(),
            _ => OptionValue::List(paths).to_sql(),
        };
        write!(f, "{}({paths}", self.name)?;
        for (name, value) in &self.options {
            // A name that is a keyword would not be read as one.
            write!(f, ", \"{}\" = {}", name.replace('"', "\"\""), value.to_sql())?;
        }
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(text: &str) -> Result<TableCall> {
        let mut parser = Parser::new(&GenericDialect {}).try_with_sql(text).unwrap();
        let Expr::Function(function) = parser.parse_expr().unwrap() else { panic!("{text}") };
        let FunctionArguments::List(list) = function.args else { panic!("{text}") };
        TableCall::new(&function.name.to_string(), &list.args).map(|call| call.expect(text))
    }

    #[test]
    fn calls_come_back() {
        for text in [
            "read_csv('a.csv')",
            "READ_CSV(['a.csv', 'it''s.csv'], header => true, sep := ';')",
            "read_csv('a.csv', types = {'id': 'BIGINT', day: 'DATE'}, skip = 2, quote = '')",
            "parquet_scan('a.parquet', filename = 'path')",
            "read_json('a.json', format = 'array')",
            "sniff_csv('a.csv', delim = '\\t')",
        ] {
            let parsed = call(text).unwrap();
            assert_eq!(TableCall::parse(&parsed.to_string()).as_ref(), Some(&parsed), "{text}");
        }
        assert_eq!(TableCall::parse("a.csv"), None);
        assert_eq!(TableCall::parse("count('a.csv')"), None);
        assert_eq!(call("read_csv('f/a.csv')").unwrap().alias(), "f/a.csv");
        assert_eq!(call("read_csv(['a.csv', 'b.csv'])").unwrap().alias(), "read_csv");
    }

    #[test]
    fn wrong_calls() {
        for (text, message) in [
            ("read_csv()", "needs the path"),
            ("read_csv(a)", "must be a literal"),
            ("read_csv('a', 'b')", "only the path"),
            ("read_csv('a', delimeter = ';')", "no CSV option \"delimeter\""),
            ("read_csv('a', header = 'maybe')", "must be true or false"),
            ("read_csv('a', skip = -1)", "must be a number"),
            ("read_csv('a', columns = ['a'])", "must be a struct"),
            ("read_csv('a', types = {'a': 'INTEGR'})", "no type \"INTEGR\""),
            ("read_parquet('a', header = true)", "no Parquet option \"header\""),
            ("read_parquet('a', compression = 'gzip')", "no Parquet option \"compression\""),
        ] {
            let error = call(text).unwrap_err();
            assert!(error.to_string().contains(message), "{text}: {error}");
        }
    }
}
