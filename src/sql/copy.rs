//! `COPY … TO 'file.csv.gz'`: format and compression by the extensions that can be read.

use datafusion::sql::parser::CopyToStatement;
use datafusion::sql::sqlparser::ast::Value;

use crate::scan::files::{FileKind, FileKindName};

/// Adds the format and the compression that the name of the target stands for, where the statement
/// says nothing of them.
pub(super) fn complete(copy: &mut CopyToStatement) {
    let Some(FileKindName { kind, compression, tabs }) = FileKindName::of(&copy.target) else {
        return;
    };
    if copy.stored_as.is_none() {
        let name = match kind {
            FileKind::Csv if tabs => "TSV",
            FileKind::Csv => "CSV",
            FileKind::Parquet => "PARQUET",
            FileKind::Json => "JSON",
            FileKind::Arrow => "ARROW",
        };
        copy.stored_as = Some(name.to_string());
    }
    let says = copy.options.iter().any(|(key, _)| {
        let key = key.to_lowercase();
        key == "compression" || key == "format.compression"
    });
    if compression.is_compressed() && !says {
        let name = compression.get_variant().to_string();
        copy.options.push((
            "format.compression".to_string(),
            Value::SingleQuotedString(name.to_lowercase()),
        ));
    }
}
