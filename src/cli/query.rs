//! `brimful query`: the statements of a script, one after another, each result in turn.

use std::io::{self, IsTerminal, Read, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use datafusion::sql::parser::Statement;
use tokio::runtime::Handle;

use crate::error::{Error, Result};
use crate::output::{Format, OutputFile, Style};
use crate::session::{Outcome, QueryMetrics, Session};
use crate::sql;

use super::args::{QueryArgs, RunArgs};
use super::interrupt::interruptible;
use super::report::{Script, report_rejected, reported};

/// Runs the script, and writes the statistics whether it went well or not.
pub(super) async fn run(
    session: Session,
    query: &QueryArgs,
    run: &RunArgs,
    workers: Handle,
) -> Result<()> {
    let started = Instant::now();
    let (name, text) = script(query).map_err(|err| reported(err, None))?;
    let values = query.definitions.iter().cloned().collect();
    let text = sql::substitute(&text, &values)
        .map_err(|err| reported(err, Some(Script { name: &name, text: &text })))?;
    let script = Script { name: &name, text: &text };
    let metrics = Arc::new(Mutex::new(QueryMetrics::default()));
    let store = session.clone();
    let result = run_script(session, &text, run, &workers, Arc::clone(&metrics)).await;
    let result = result.map_err(|err| reported(err, Some(script)));
    report_rejected(store.rejected_rows());
    if let Some(path) = &run.stats {
        let metrics = *metrics.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let written =
            write_stats(path, started, metrics, &store).map_err(|err| reported(err, None));
        return result.and(written);
    }
    result
}

/// The SQL and what to call it in messages.
fn script(query: &QueryArgs) -> Result<(String, String)> {
    if let Some(sql) = &query.sql {
        return Ok(("-c".to_string(), sql.clone()));
    }
    let file = query.file.as_deref().unwrap_or_else(|| Path::new("-"));
    if file == Path::new("-") {
        let mut text = String::new();
        let read = io::stdin().read_to_string(&mut text);
        read.map_err(|err| Error::io("read", "standard input", err))?;
        return Ok(("standard input".to_string(), without_mark(text)));
    }
    let text = std::fs::read_to_string(file).map_err(|err| Error::io("read", file, err))?;
    Ok((file.display().to_string(), without_mark(text)))
}

/// The text without the byte order mark that some editors put before it.
fn without_mark(text: String) -> String {
    match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_string(),
        None => text,
    }
}

async fn run_script(
    session: Session,
    text: &str,
    run: &RunArgs,
    workers: &Handle,
    metrics: Arc<Mutex<QueryMetrics>>,
) -> Result<()> {
    let to_terminal = run.output.is_none() && io::stdout().is_terminal();
    let format = run.format(to_terminal)?;
    let style = run.style(to_terminal);
    let statements = session.parse(text)?;
    let output = run.output.as_deref().map(OutputFile::create).transpose()?;
    let sink = Sink { output, format, style, results: 0 };
    interruptible(workers, run.timeout, run_statements(session, statements, sink, metrics)).await
}

async fn run_statements(
    session: Session,
    statements: Vec<Statement>,
    mut sink: Sink,
    metrics: Arc<Mutex<QueryMetrics>>,
) -> Result<()> {
    for statement in statements {
        let frame = match session.execute(statement).await? {
            Outcome::Rows(frame) => frame,
            Outcome::Plan(frame) if sink.format == Format::Table => {
                sink.write_text(&frame.plan_text().await?)?;
                continue;
            }
            Outcome::Plan(frame) => frame,
            Outcome::Done => continue,
        };
        let mut stream = frame.stream().await?;
        let result = sink.write(&mut stream).await;
        *metrics.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) += stream.metrics();
        result?;
    }
    sink.finish()
}

/// Where the results go, one after another.
struct Sink {
    output: Option<OutputFile>,
    format: Format,
    style: Style,
    /// Results written so far.
    results: usize,
}

impl Sink {
    async fn write(&mut self, stream: &mut crate::QueryStream) -> Result<()> {
        if self.results > 0 && self.format.is_binary() {
            return Err(Error::query(format!(
                "the script returns several results, and a {} file holds one",
                self.format
            ))
            .with_hint("write each with COPY (SELECT …) TO 'file', or choose a text format"));
        }
        let (format, style) = (self.format, self.style.clone());
        stream.write_to(format, self.target()?, &style).await
    }

    fn write_text(&mut self, text: &str) -> Result<()> {
        let mut target = self.target()?;
        target.write_all(text.as_bytes())?;
        Ok(target.flush()?)
    }

    /// Where the next result goes, after an empty line if it is not the first.
    fn target(&mut self) -> Result<Box<dyn Write + Send + '_>> {
        self.results += 1;
        let mut target: Box<dyn Write + Send + '_> = match &mut self.output {
            Some(file) => Box::new(file),
            None => Box::new(io::stdout()),
        };
        if self.results > 1 {
            writeln!(target)?;
        }
        Ok(target)
    }

    fn finish(self) -> Result<()> {
        match self.output {
            Some(file) => file.commit(),
            None => Ok(io::stdout().flush()?),
        }
    }
}

fn write_stats(
    path: &Path,
    started: Instant,
    metrics: QueryMetrics,
    session: &Session,
) -> Result<()> {
    let spills = session.spill_metrics();
    let stats = serde_json::json!({
        "elapsed_ms": started.elapsed().as_secs_f64() * 1e3,
        "peak_rss_bytes": crate::memory::peak_resident_bytes(),
        "rows": metrics.rows,
        "bytes_read": metrics.bytes_read,
        "rejected_rows": session.rejected_rows(),
        "spilled_bytes": metrics.spilled_bytes,
        "temporary_files": spills.files,
        "temporary_raw_bytes": spills.raw_bytes,
        "temporary_written_bytes": spills.written_bytes,
        "temporary_write_ms": spills.write_time.as_secs_f64() * 1e3,
    });
    let mut file = OutputFile::create(path)?;
    writeln!(file, "{stats:#}").map_err(|err| Error::io("write", path, err))?;
    file.commit()
}
