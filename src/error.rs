//! What went wrong, where, and what the user can do about it.
//!
//! There is one error type for the whole crate. Its [`ErrorKind`] says who has to act and decides
//! the exit code of the command line. Errors of the layers underneath are turned into it in one
//! place, [`Error::from`] a [`DataFusionError`], so that a kind and a position given deep inside a
//! scan survive the journey through DataFusion.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::Path;

use arrow::error::ArrowError;
use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;

/// The crate's result type.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Who has to act on an error, and so which exit code it ends the program with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The SQL or the plan is wrong, or an expression failed on a value. Exit code 1.
    Query,
    /// A setting or an argument is invalid. Exit code 2.
    Config,
    /// The content of an input file is wrong. Exit code 3.
    Input,
    /// A limit on memory or temporary disk was reached, or the disk is full. Exit code 4.
    Resources,
    /// The operating system refused: a file is missing, unreadable or unwritable. Exit code 5.
    Io,
    /// A defect in Brimful or in a library it stands on. Exit code 70.
    Internal,
    /// The query ran longer than the time it was given. Exit code 124.
    Timeout,
    /// The user stopped it. Exit code 130.
    Cancelled,
}

impl ErrorKind {
    /// The exit code of the `brimful` command for this kind.
    pub fn exit_code(self) -> u8 {
        match self {
            ErrorKind::Query => 1,
            ErrorKind::Config => 2,
            ErrorKind::Input => 3,
            ErrorKind::Resources => 4,
            ErrorKind::Io => 5,
            ErrorKind::Internal => 70,
            ErrorKind::Timeout => 124,
            ErrorKind::Cancelled => 130,
        }
    }

    /// The word that heads the message on the command line.
    pub fn label(self) -> &'static str {
        match self {
            ErrorKind::Query => "query error",
            ErrorKind::Config => "configuration error",
            ErrorKind::Input => "input error",
            ErrorKind::Resources => "out of resources",
            ErrorKind::Io => "I/O error",
            ErrorKind::Internal => "internal error",
            ErrorKind::Timeout => "timeout",
            ErrorKind::Cancelled => "cancelled",
        }
    }
}

/// A place in a text: 1-based line and column, counted in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Line, from 1.
    pub line: u64,
    /// Column, from 1.
    pub column: u64,
}

/// An error with its kind, its place in the SQL text where known, and a hint.
///
/// `Display` prints the message alone; [`Error::hint`] and [`StdError::source`] carry the rest.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    message: String,
    position: Option<Position>,
    hint: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of the given kind. The message is lower case, without a full stop.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let message = message.into();
        Error(Box::new(Inner { kind, message, position: None, hint: None, source: None }))
    }

    /// The SQL or the plan is wrong.
    pub fn query(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Query, message)
    }

    /// A setting or an argument is invalid.
    pub fn config(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Config, message)
    }

    /// The content of an input is wrong.
    pub fn input(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Input, message)
    }

    /// The bytes of a serialized query are none.
    pub(crate) fn damaged(what: impl fmt::Display) -> Self {
        Self::input(format!("a serialized query is damaged: {what}"))
    }

    /// Something that cannot happen did.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
            .with_hint("this is a defect in Brimful; please report it with the query")
    }

    /// The operating system refused `action` (a past participle, such as `read`) on `path`.
    pub fn io(action: &str, path: impl AsRef<Path>, err: io::Error) -> Self {
        let mut error = Self::from(err);
        error.0.message =
            format!("could not {action} \"{}\": {}", path.as_ref().display(), error.0.message);
        error
    }

    /// Puts the name of the file before the message, unless it is there.
    pub(crate) fn in_file(mut self, path: &str) -> Self {
        if !self.0.message.contains(path) {
            self.0.message = format!("\"{path}\": {}", self.0.message);
        }
        self
    }

    /// Adds what the user can do about it: a sentence without a full stop.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds the place in the SQL text.
    pub fn with_position(mut self, position: Position) -> Self {
        self.0.position = Some(position);
        self
    }

    /// Adds the error underneath.
    pub fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.0.source = Some(Box::new(source));
        self
    }

    /// Who has to act.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The place in the SQL text, where it is known.
    pub fn position(&self) -> Option<Position> {
        self.0.position
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// Whether the reader of our output went away, which ends a command quietly.
    pub fn is_broken_pipe(&self) -> bool {
        let mut next: Option<&(dyn StdError + 'static)> = Some(self);
        while let Some(err) = next {
            if let Some(io) = err.downcast_ref::<io::Error>() {
                return io.kind() == io::ErrorKind::BrokenPipe;
            }
            next = err.source();
        }
        false
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

impl From<io::Error> for Error {
    fn from(err: io::Error) -> Self {
        let err = match err.downcast::<Error>() {
            Ok(ours) => return ours,
            Err(err) => err,
        };
        // Layers underneath wrap errors in I/O errors of kind `Other`.
        let err = match err.downcast::<DataFusionError>() {
            Ok(datafusion) => return Error::from(datafusion),
            Err(err) => err,
        };
        let err = match err.downcast::<ArrowError>() {
            Ok(arrow) => return Error::from(arrow),
            Err(err) => err,
        };
        let message = match err.kind() {
            io::ErrorKind::NotFound => "no such file or directory".to_string(),
            io::ErrorKind::PermissionDenied => "permission denied".to_string(),
            io::ErrorKind::StorageFull => "the disk is full".to_string(),
            _ => err.to_string(),
        };
        if message.contains(DISK_LIMIT_SETTING) {
            return from_exhausted(&message);
        }
        // The system's number survives in the text of errors that others have wrapped.
        let full = matches!(err.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            || message.contains("(os error 28)");
        let message = if full { "the disk is full".to_string() } else { message };
        let kind = match err.kind() {
            _ if full => ErrorKind::Resources,
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::InvalidData
            | io::ErrorKind::InvalidInput => ErrorKind::Input,
            _ => ErrorKind::Io,
        };
        let mut error = Error::new(kind, message).with_source(err);
        if full {
            error = error.with_hint(
                "free some space, write elsewhere, or give another folder for temporary files \
                 with --temp-dir",
            );
        }
        error
    }
}

/// The message of an error about what a file holds.
fn about_content(err: &ArrowError) -> Option<&str> {
    match err {
        ArrowError::CsvError(message)
        | ArrowError::JsonError(message)
        | ArrowError::IpcError(message)
        | ArrowError::ParquetError(message)
        | ArrowError::ParseError(message) => Some(message),
        _ => None,
    }
}

impl From<ArrowError> for Error {
    fn from(err: ArrowError) -> Self {
        if let Some(message) = about_content(&err) {
            return Error::input(lower_first(message));
        }
        match err {
            ArrowError::ExternalError(inner) => from_external(inner),
            ArrowError::IoError(_, io) => Error::from(io),
            ArrowError::MemoryError(message) => Error::new(ErrorKind::Resources, message),
            // Casts, divisions by zero and overflows happen while an expression is evaluated.
            ArrowError::CastError(message) => Error::query(lower_first(&message))
                .with_hint("TRY_CAST gives NULL for values that cannot be converted"),
            other => Error::query(lower_first(&other.to_string())),
        }
    }
}

impl From<DataFusionError> for Error {
    fn from(err: DataFusionError) -> Self {
        match err {
            DataFusionError::External(inner) => from_external(inner),
            DataFusionError::Shared(shared) => from_shared(&shared),
            DataFusionError::Context(context, inner) => {
                let mut error = Error::from(*inner);
                if error.kind() != ErrorKind::Query {
                    error.0.message = format!("{}: {}", lower_first(&context), error.0.message);
                }
                error
            }
            DataFusionError::Diagnostic(diagnostic, inner) => {
                let mut error = Error::from(*inner);
                if error.0.position.is_none() {
                    error.0.position = diagnostic
                        .span
                        .map(|span| Position { line: span.start.line, column: span.start.column });
                }
                error
            }
            DataFusionError::Collection(errors) => match errors.into_iter().next() {
                Some(first) => Error::from(first),
                None => Error::internal("an empty list of errors"),
            },
            DataFusionError::IoError(io) => Error::from(io),
            DataFusionError::ArrowError(arrow, _) => Error::from(*arrow),
            DataFusionError::ParquetError(parquet) => from_parquet(*parquet),
            DataFusionError::ObjectStore(store) => from_object_store(*store),
            DataFusionError::SchemaError(schema, _) => from_schema(*schema),
            DataFusionError::SQL(parser, _) => from_parser(&parser.to_string()),
            DataFusionError::ResourcesExhausted(message) => from_exhausted(&message),
            DataFusionError::ExecutionJoin(join) => {
                Error::internal(format!("a task failed: {join}"))
            }
            // What DataFusion says when a file could not be completed, without the reason.
            DataFusionError::Internal(message) if message.contains("finalizing writes") => {
                Error::new(ErrorKind::Io, "the output could not be written to its end")
                    .with_hint("check that the disk is not full")
            }
            DataFusionError::Internal(message) => Error::internal(message),
            DataFusionError::NotImplemented(message) => {
                Error::query(format!("not supported: {}", lower_first(&message)))
            }
            DataFusionError::Configuration(message) => Error::config(lower_first(&message)),
            DataFusionError::Plan(message) | DataFusionError::Execution(message) => {
                Error::query(lower_first(&message))
            }
            other => Error::query(lower_first(&other.strip_backtrace())),
        }
    }
}

impl From<Error> for DataFusionError {
    fn from(err: Error) -> Self {
        DataFusionError::External(Box::new(err))
    }
}

impl From<parquet::errors::ParquetError> for Error {
    fn from(err: parquet::errors::ParquetError) -> Self {
        from_parquet(err)
    }
}

/// Recovers our own error, or a known one, from a boxed one.
fn from_external(inner: Box<dyn StdError + Send + Sync>) -> Error {
    let inner = match inner.downcast::<Error>() {
        Ok(ours) => return *ours,
        Err(inner) => inner,
    };
    let inner = match inner.downcast::<DataFusionError>() {
        Ok(datafusion) => return Error::from(*datafusion),
        Err(inner) => inner,
    };
    let inner = match inner.downcast::<ArrowError>() {
        Ok(arrow) => return Error::from(*arrow),
        Err(inner) => inner,
    };
    match inner.downcast::<io::Error>() {
        Ok(io) => Error::from(*io),
        Err(inner) => Error::query(lower_first(&inner.to_string())),
    }
}

/// An error that several streams share can only be looked at, so its parts are rebuilt.
fn from_shared(shared: &DataFusionError) -> Error {
    let mut next: Option<&(dyn StdError + 'static)> = Some(shared);
    while let Some(err) = next {
        if let Some(ours) = err.downcast_ref::<Error>() {
            let mut copy = Error::new(ours.kind(), ours.0.message.clone());
            copy.0.position = ours.0.position;
            copy.0.hint = ours.0.hint.clone();
            return copy;
        }
        if let Some(DataFusionError::ResourcesExhausted(message)) =
            err.downcast_ref::<DataFusionError>()
        {
            return from_exhausted(message);
        }
        if let Some(io) = err.downcast_ref::<io::Error>() {
            return Error::from(io::Error::new(io.kind(), io.to_string()));
        }
        if let Some(message) = err.downcast_ref::<ArrowError>().and_then(about_content) {
            return Error::input(lower_first(message));
        }
        next = err.source();
    }
    Error::query(lower_first(&shared.strip_backtrace()))
}

fn from_schema(err: SchemaError) -> Error {
    match &err {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let name = field.name();
            let names: Vec<String> = valid_fields.iter().map(|c| c.name().to_string()).collect();
            let mut error = Error::query(match &field.relation {
                Some(table) => format!("no column \"{name}\" in \"{table}\""),
                None => format!("no column \"{name}\""),
            });
            error.0.position = field
                .spans()
                .first()
                .map(|span| Position { line: span.start.line, column: span.start.column });
            error.0.hint = column_hint(name, &names);
            error
        }
        _ => Error::query(lower_first(&err.to_string())),
    }
}

/// Suggests a near name, or lists what there is when the list is short.
pub(crate) fn column_hint(name: &str, names: &[String]) -> Option<String> {
    if names.is_empty() {
        return None;
    }
    if let Some(near) = nearest(name, names) {
        return Some(format!("did you mean \"{near}\"?"));
    }
    const LISTED: usize = 12;
    let mut list: Vec<&str> = names.iter().map(String::as_str).collect();
    list.dedup();
    let more = list.len().saturating_sub(LISTED);
    list.truncate(LISTED);
    let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
    Some(format!("the columns are {}{tail}", list.join(", ")))
}

/// The name most like `name`, when one is near enough to be a likely slip.
pub(crate) fn nearest<'a>(name: &str, names: &'a [String]) -> Option<&'a str> {
    const NEAR: f64 = 0.7;
    let wanted = name.to_lowercase();
    names
        .iter()
        .map(|candidate| {
            (strsim::normalized_damerau_levenshtein(&wanted, &candidate.to_lowercase()), candidate)
        })
        .filter(|(similarity, _)| *similarity >= NEAR)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate.as_str())
}

/// `sql parser error: Expected: …, found: … at Line: 1, Column: 8`
fn from_parser(text: &str) -> Error {
    let text = text.trim_start_matches("sql parser error: ");
    let text = text.trim_start_matches("ParserError(\"").trim_end_matches("\")");
    let Some((message, place)) = text.rsplit_once(" at Line: ") else {
        return Error::query(format!("syntax error: {}", lower_first(text)));
    };
    let error = Error::query(format!("syntax error: {}", lower_first(message)));
    let mut numbers = place.split(", Column: ").map(|n| n.trim().parse::<u64>());
    match (numbers.next(), numbers.next()) {
        (Some(Ok(line)), Some(Ok(column))) => error.with_position(Position { line, column }),
        _ => error,
    }
}

fn from_object_store(err: object_store::Error) -> Error {
    match err {
        object_store::Error::NotFound { path, .. } => {
            // That of a local file is absolute.
            Error::new(ErrorKind::Io, format!("no such file: \"{}\"", path.trim_end_matches('/')))
        }
        other => {
            let mut next: Option<&(dyn StdError + 'static)> = Some(&other);
            while let Some(err) = next {
                if let Some(io) = err.downcast_ref::<io::Error>() {
                    let error = Error::from(io::Error::new(io.kind(), io.to_string()));
                    let message = format!("{}: {}", lower_first(&other.to_string()), error);
                    return Error(Box::new(Inner { message, ..*error.0 }));
                }
                next = err.source();
            }
            Error::new(ErrorKind::Io, lower_first(&other.to_string()))
        }
    }
}

fn from_parquet(err: parquet::errors::ParquetError) -> Error {
    match err {
        parquet::errors::ParquetError::External(inner) => from_external(inner),
        other => {
            let message = other.to_string();
            let message = message.trim_start_matches("Parquet error: ");
            Error::input(format!("not a readable Parquet file: {}", lower_first(message)))
        }
    }
}

/// What DataFusion names when temporary files take more than they may.
const DISK_LIMIT_SETTING: &str = "max_temp_directory_size";

/// Turns DataFusion's account of an exhausted pool or disk into one sentence and a hint.
fn from_exhausted(message: &str) -> Error {
    if message.contains(DISK_LIMIT_SETTING) {
        return Error::new(
            ErrorKind::Resources,
            "the query needs more temporary disk space than it may use",
        )
        .with_hint("raise --max-temp-size, or raise --memory-limit so that less is spilled")
        .with_source(io::Error::other(message.to_string()));
    }
    let holders: Vec<String> = message.lines().filter_map(holder).collect();
    let mut text = "the query needs more memory than it may use".to_string();
    if !holders.is_empty() {
        text.push_str(&format!("; most is held by {}", holders.join(", ")));
    }
    if let Some((_, asked)) = message.split_once("Error: ") {
        text.push_str(&format!("; {}", asked.trim()));
    }
    Error::new(ErrorKind::Resources, text)
        .with_hint("raise --memory-limit, or lower --threads so that fewer parts run at once")
        .with_source(io::Error::other(message.to_string()))
}

/// `  HashJoinInput[1]#4(can spill: false) consumed 22.3 MB, peak 22.3 MB,` → name and amount.
fn holder(line: &str) -> Option<String> {
    let (name, rest) = line.strip_prefix("  ")?.split_once('#')?;
    let (_, rest) = rest.split_once("consumed ")?;
    let (amount, _) = rest.split_once(',')?;
    Some(format!("{name} ({amount})"))
}

/// Messages of other libraries begin with a capital; ours do not.
pub(crate) fn lower_first(text: &str) -> String {
    let mut chars = text.trim().chars();
    match (chars.next(), chars.clone().next()) {
        // `SQL`, `UNION`: an acronym or a keyword keeps its case.
        (Some(first), Some(second)) if first.is_uppercase() && !second.is_uppercase() => {
            first.to_lowercase().chain(chars).collect()
        }
        _ => text.trim().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parser_error_gives_its_place() {
        let err = from_parser(
            "sql parser error: Expected: an expression, found: FROM at Line: 2, Column: 8",
        );
        assert_eq!(err.kind(), ErrorKind::Query);
        assert_eq!(err.to_string(), "syntax error: expected: an expression, found: FROM");
        assert_eq!(err.position(), Some(Position { line: 2, column: 8 }));
    }

    #[test]
    fn our_error_survives_datafusion() {
        let ours = Error::input("line 3 is short").with_hint("mend it");
        let there = DataFusionError::from(ours).context("scan");
        let back = Error::from(DataFusionError::Shared(std::sync::Arc::new(there)));
        assert_eq!(back.kind(), ErrorKind::Input);
        assert_eq!(back.to_string(), "line 3 is short");
        assert_eq!(back.hint(), Some("mend it"));
    }

    #[test]
    fn a_full_disk_is_a_resource() {
        let err = Error::from(io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!(err.kind(), ErrorKind::Resources);
        assert!(err.hint().unwrap().contains("--temp-dir"));
    }

    #[test]
    fn those_that_hold_the_memory_are_named() {
        let err = from_exhausted(
            "Additional allocation failed for B with top memory consumers (across reservations) as:\n  \
             A[1]#4(can spill: false) consumed 22.3 MB, peak 30.0 MB,\n  B#0(can spill: true) consumed \
             64.0 KB, peak 64.0 KB.\nError: B asked for 5.1 MB more than its 64.0 KB; 29.8 MB of 32.0 MB \
             are held",
        );
        assert_eq!(
            err.to_string(),
            "the query needs more memory than it may use; most is held by A[1] (22.3 MB), B (64.0 KB); \
             B asked for 5.1 MB more than its 64.0 KB; 29.8 MB of 32.0 MB are held"
        );
    }

    #[test]
    fn near_names_are_suggested() {
        let names = ["BUYER_STATE".to_string(), "BUYER_COUNTY".to_string()];
        assert_eq!(nearest("buyer_stat", &names), Some("BUYER_STATE"));
        assert_eq!(nearest("quantity", &names), None);
    }
}
