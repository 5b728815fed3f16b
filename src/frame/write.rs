//! Writing a frame into files as `COPY` does: one file, a folder of them, or a folder for each value
//! of some columns.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use arrow::array::AsArray;
use arrow::datatypes::UInt64Type;
use datafusion::datasource::file_format::format_as_file_type;
use datafusion::logical_expr::LogicalPlanBuilder;
use futures::TryStreamExt;
use tokio::task::spawn_blocking;

use super::DataFrame;
use super::names::exact_names;
use crate::error::{Error, Result};
use crate::scan::files::{FileKind, FileKindName};
use crate::session::QueryMetrics;

/// What happens to what is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfExists {
    /// The new file or folder takes its place, once it is complete.
    Replace,
    /// Files are added to those of the folder.
    Append,
    /// Nothing is written, and that is an error; an empty folder does not count.
    Fail,
}

/// How and as what a frame is written.
///
/// The format is that of the extension, such as `.csv.gz`, unless it is given. A path with an
/// extension is a file, another one a folder. Whatever is written gets its name when all of it is
/// complete.
#[derive(Debug, Clone, Default)]
pub struct WriteOptions {
    format: Option<&'static str>,
    partition_by: Vec<String>,
    keep_partition_columns: bool,
    single_file: Option<bool>,
    if_exists: Option<IfExists>,
    format_options: HashMap<String, String>,
}

impl WriteOptions {
    /// Files of the format that the extension says.
    pub fn new() -> Self {
        WriteOptions::default()
    }

    /// CSV files.
    pub fn csv() -> Self {
        WriteOptions { format: Some("csv"), ..Self::default() }
    }

    /// Parquet files.
    pub fn parquet() -> Self {
        WriteOptions { format: Some("parquet"), ..Self::default() }
    }

    /// Files of one JSON object a line.
    pub fn json() -> Self {
        WriteOptions { format: Some("json"), ..Self::default() }
    }

    /// Arrow IPC files.
    pub fn arrow() -> Self {
        WriteOptions { format: Some("arrow"), ..Self::default() }
    }

    /// A folder for each combination of values of these columns, `year=2024/month=1/`. The columns
    /// are left out of the files.
    pub fn partition_by(self, columns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let partition_by = columns.into_iter().map(Into::into).collect();
        WriteOptions { partition_by, ..self }
    }

    /// Whether the files have the columns that their folders are named after, too.
    pub fn keep_partition_columns(self, yes: bool) -> Self {
        WriteOptions { keep_partition_columns: yes, ..self }
    }

    /// Whether all rows go into one file of this name, or into files in a folder of this name.
    pub fn single_file(self, yes: bool) -> Self {
        WriteOptions { single_file: Some(yes), ..self }
    }

    /// What happens to what is there. If nothing is said, a file is replaced, and nothing is written
    /// into a folder with something in it.
    pub fn if_exists(self, what: IfExists) -> Self {
        WriteOptions { if_exists: Some(what), ..self }
    }

    /// The compression: gzip, zstd, bzip2, xz or uncompressed for texts; zstd(3), snappy, lz4 and so
    /// on for Parquet.
    pub fn compression(self, name: &str) -> Self {
        self.option("compression", name)
    }

    /// Any option of the format, as in `COPY … OPTIONS (name 'value')`.
    pub fn option(mut self, name: &str, value: impl ToString) -> Self {
        let name = if name.contains('.') { name.to_string() } else { format!("format.{name}") };
        self.format_options.insert(name, value.to_string());
        self
    }

    /// The format, completed by what the name of the target says.
    fn for_target(mut self, target: &Path) -> Result<(&'static str, Self)> {
        let named = FileKindName::of(&target.to_string_lossy());
        if let Some(named) = &named
            && named.compression.is_compressed()
        {
            let name = named.compression.get_variant().to_string().to_lowercase();
            self.format_options.entry("format.compression".to_string()).or_insert(name);
        }
        let by_name = named.map(|named| match named.kind {
            FileKind::Csv if named.tabs => "tsv",
            FileKind::Csv => "csv",
            FileKind::Parquet => "parquet",
            FileKind::Json => "json",
            FileKind::Arrow => "arrow",
        });
        match self.format.or(by_name) {
            Some(format) => Ok((format, self)),
            None => Err(Error::config(format!("\"{}\" does not say its format", target.display()))
                .with_hint("use WriteOptions::parquet(), csv(), json() or arrow()")),
        }
    }

    fn is_file(&self, target: &Path) -> bool {
        let by_name = target.extension().is_some() && !target.is_dir();
        self.partition_by.is_empty() && self.single_file.unwrap_or(by_name)
    }
}

impl DataFrame {
    /// Runs the query and writes its rows into files, as the options say.
    ///
    /// # Errors
    /// Those of planning, running and writing; `Config` if an option is unknown or does not fit;
    /// `Io` if something is there that may not be replaced. Then all is as it was before.
    pub async fn write(
        self,
        path: impl AsRef<Path>,
        options: WriteOptions,
    ) -> Result<QueryMetrics> {
        let target = path.as_ref();
        let (format, options) = options.for_target(target)?;
        let is_file = options.is_file(target);
        match options.if_exists {
            Some(IfExists::Append) if is_file => Err(Error::config(format!(
                "a file cannot be appended to: \"{}\"",
                target.display()
            ))
            .with_hint("write a folder of files: single_file(false)")),
            Some(IfExists::Fail) if is_taken(target) => Err(taken(target)),
            None if !is_file && is_taken(target) => Err(taken(target)
                .with_hint("say with if_exists whether the files are added or replace the others")),
            Some(IfExists::Replace) if target.is_dir() => {
                let (new, folder) = beside(target)?;
                let metrics = self.copy_to(&new, is_file, format, options).await?;
                let target = target.to_path_buf();
                let swapped = spawn_blocking(move || swap(folder, &new, &target));
                swapped
                    .await
                    .map_err(|err| Error::internal(format!("a task was lost: {err}")))??;
                Ok(metrics)
            }
            _ => self.copy_to(target, is_file, format, options).await,
        }
    }

    async fn copy_to(
        self,
        target: &Path,
        is_file: bool,
        format: &str,
        options: WriteOptions,
    ) -> Result<QueryMetrics> {
        let names: Vec<&str> = options.partition_by.iter().map(String::as_str).collect();
        let partition_by = exact_names(self.plan.schema(), &names)?;
        let factory = self.session.state().get_file_format_factory(format);
        let factory =
            factory.ok_or_else(|| Error::internal(format!("there is no format {format}")))?;
        let mut settings = options.format_options;
        settings.insert("single_file_output".to_string(), is_file.to_string());
        settings.insert(
            "execution.keep_partition_by_columns".to_string(),
            options.keep_partition_columns.to_string(),
        );
        let mut url = target.to_string_lossy().into_owned();
        if !is_file && !url.ends_with('/') {
            url.push('/');
        }
        let plan = LogicalPlanBuilder::copy_to(
            self.logical(),
            url,
            format_as_file_type(factory),
            settings,
            partition_by,
        )?;
        let mut stream = self.planned(plan.build()?).stream().await?;
        let mut rows = 0;
        while let Some(batch) = stream.try_next().await? {
            rows += batch.column(0).as_primitive::<UInt64Type>().values().iter().sum::<u64>();
        }
        Ok(QueryMetrics { rows, ..stream.metrics() })
    }
}

fn taken(target: &Path) -> Error {
    Error::io("write", target, std::io::Error::from(std::io::ErrorKind::AlreadyExists))
}

/// Whether there is a file, or a folder with something in it.
fn is_taken(path: &Path) -> bool {
    match fs::read_dir(path) {
        Ok(mut entries) => entries.next().is_some(),
        Err(_) => path.symlink_metadata().is_ok(),
    }
}

/// A place on the same file system for what will replace a folder: a path in a hidden folder, which
/// is removed when it is dropped.
fn beside(target: &Path) -> Result<(PathBuf, tempfile::TempDir)> {
    let target = target.canonicalize().map_err(|err| Error::io("find", target, err))?;
    let parent = target.parent().unwrap_or(&target);
    let made = tempfile::Builder::new().prefix(".brimful-").tempdir_in(parent);
    let made = made.map_err(|err| Error::io("write to", parent, err))?;
    Ok((made.path().join("new"), made))
}

/// Puts a new folder, or file, in the place of one; what was there goes with `hidden`.
fn swap(hidden: tempfile::TempDir, new: &Path, target: &Path) -> Result<()> {
    let refused = |err| Error::io("replace", target, err);
    let old = hidden.path().join("old");
    let place = target.canonicalize().map_err(refused)?;
    fs::rename(&place, &old).map_err(refused)?;
    if let Err(err) = fs::rename(new, &place) {
        fs::rename(&old, &place).map_err(refused)?;
        return Err(refused(err));
    }
    Ok(())
}
