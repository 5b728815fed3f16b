//! The interactive shell: lines → statements and dot commands → results.
//!
//! `command.rs` knows the dot commands, `helper.rs` when a statement is complete; this module is
//! the loop around them.

mod command;
mod helper;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::time::Instant;

use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{Config, Editor};
use tokio::runtime::Handle;

use crate::error::{Error, ErrorKind, Result};
use crate::output::{Format, Style};
use crate::session::{Outcome, Session};

use super::args::RunArgs;
use super::interrupt::interruptible;
use super::report::{Script, report_rejected, reported};
use command::{Command, Next};
use helper::ShellHelper;

/// Files that `.read` each other deeper than this do so without end.
const DEEPEST_READ: usize = 16;

/// Lines of history that are kept.
const HISTORY_LINES: usize = 10_000;

/// Reads and runs statements until the end of the input.
///
/// From a terminal, an error is shown and the shell goes on. From a pipe, the first error ends it
/// and decides the exit code, as a script's does.
pub(super) async fn run(session: Session, run: &RunArgs, workers: Handle) -> Result<()> {
    for (flag, given) in [("--output", run.output.is_some()), ("--stats", run.stats.is_some())] {
        if given {
            let err = Error::config(format!("{flag} is for `brimful query`, not for the shell"));
            return Err(reported(err, None));
        }
    }
    let interactive = io::stdin().is_terminal();
    let to_terminal = io::stdout().is_terminal();
    let mut shell = Shell {
        session,
        workers,
        format: run.format(to_terminal).map_err(|err| reported(err, None))?,
        style: run.style(to_terminal),
        timer: interactive,
        reading: 0,
        timeout: run.timeout,
    };
    if !interactive {
        let text = io::read_to_string(io::stdin())
            .map_err(|err| reported(Error::io("read", "standard input", err), None))?;
        return shell.run_lines("standard input", &text).await.map(drop);
    }
    shell.interact().await
}

/// What the shell remembers between statements.
struct Shell {
    session: Session,
    /// Where queries run.
    workers: Handle,
    format: Format,
    style: Style,
    /// How many files that `.read` began are being read, one inside the other.
    reading: usize,
    /// Whether the time of each statement is shown.
    timer: bool,
    timeout: Option<std::time::Duration>,
}

impl Shell {
    async fn interact(&mut self) -> Result<()> {
        eprintln!("Brimful {}. End statements with ; — .help for help.", env!("CARGO_PKG_VERSION"));
        let internal =
            |err: ReadlineError| Error::internal(format!("the line editor failed: {err}"));
        let config = Config::builder()
            .max_history_size(HISTORY_LINES)
            .map_err(internal)?
            .history_ignore_space(true)
            .auto_add_history(true)
            .build();
        let mut editor: Editor<ShellHelper, FileHistory> =
            Editor::with_config(config).map_err(internal)?;
        editor.set_helper(Some(ShellHelper::default()));
        let history = history_file();
        if let Some(path) = &history {
            // There is none yet at the first start.
            let _ = editor.load_history(path);
        }
        loop {
            // The editor blocks this thread; queries run on others.
            match editor.readline("brimful> ") {
                Ok(text) => {
                    // Errors were shown; the shell goes on.
                    if let Ok(Next::Quit) = self.run_lines("shell", &text).await {
                        break;
                    }
                }
                Err(ReadlineError::Interrupted) => {}
                Err(ReadlineError::Eof) => break,
                Err(err) => return Err(reported(internal(err), None)),
            }
        }
        if let Some(path) = &history
            && let Err(err) = editor.save_history(path)
        {
            eprintln!("could not save the history to {}: {err}", path.display());
        }
        Ok(())
    }

    /// Runs dot commands and statements of a text; stops at the first error, which it reports.
    async fn run_lines(&mut self, name: &str, text: &str) -> Result<Next> {
        let script = Script { name, text };
        for part in helper::parts(text) {
            let part = part.trim();
            let next = match Command::parse_line(part) {
                None => self.run_sql(part).await.map(|()| Next::Continue),
                Some(Ok(Command::Read(path))) => {
                    match std::fs::read_to_string(&path) {
                        // Its errors are reported with their place in that file.
                        Ok(_) if self.reading == DEEPEST_READ => Err(Error::query(format!(
                            "\"{}\" is read by a file that it reads itself",
                            path.display()
                        ))),
                        Ok(text) => {
                            let name = path.display().to_string();
                            self.reading += 1;
                            let read = Box::pin(self.run_lines(&name, &text)).await;
                            self.reading -= 1;
                            match read? {
                                Next::Quit => return Ok(Next::Quit),
                                Next::Continue => continue,
                            }
                        }
                        Err(err) => Err(Error::io("read", &path, err)),
                    }
                }
                Some(Ok(command)) => self.run_command(command).await,
                Some(Err(err)) => Err(err),
            };
            match next.map_err(|err| reported(script.place(part, err), Some(script)))? {
                Next::Continue => {}
                Next::Quit => return Ok(Next::Quit),
            }
        }
        Ok(Next::Continue)
    }

    async fn run_command(&mut self, command: Command) -> Result<Next> {
        match command {
            Command::Help => self.print(command::HELP)?,
            Command::Quit => return Ok(Next::Quit),
            Command::Tables => {
                let names = self.session.table_names();
                let list: String = names.iter().map(|name| format!("{name}\n")).collect();
                self.print(&list)?;
            }
            Command::Schema(table) => {
                let schema = self.session.table(&table).await?.schema();
                let width = schema.fields().iter().map(|f| f.name().len()).max().unwrap_or(0);
                let line = |f: &arrow::datatypes::FieldRef| {
                    format!(
                        "{:width$}  {}\n",
                        f.name(),
                        crate::output::sql_type_name(f.data_type())
                    )
                };
                self.print(&schema.fields().iter().map(line).collect::<String>())?;
            }
            // Run by `run_lines`, which reports the errors inside.
            Command::Read(_) => {}
            Command::Timer(on) => self.timer = on,
            Command::Mode(Some(format)) => self.format = format,
            Command::Mode(None) => self.print(&format!("{}\n", self.format))?,
        }
        Ok(Next::Continue)
    }

    async fn run_sql(&self, text: &str) -> Result<()> {
        for statement in self.session.parse(text)? {
            let started = Instant::now();
            let (session, format, style) = (self.session.clone(), self.format, self.style.clone());
            let work = async move {
                let frame = match session.execute(statement).await? {
                    Outcome::Rows(frame) => frame,
                    Outcome::Plan(frame) if format == Format::Table => {
                        let text = frame.plan_text().await?;
                        return Ok(io::stdout().write_all(text.as_bytes())?);
                    }
                    Outcome::Plan(frame) => frame,
                    Outcome::Done => return Ok(()),
                };
                frame.stream().await?.write_to(format, Box::new(io::stdout()), &style).await
            };
            let rejected = self.session.rejected_rows();
            let result = interruptible(&self.workers, self.timeout, work).await;
            report_rejected(self.session.rejected_rows() - rejected);
            match result {
                // A reader such as a pager that went away ends the result, not the shell.
                Err(err) if err.is_broken_pipe() && err.kind() == ErrorKind::Io => {}
                other => other?,
            }
            if self.timer {
                eprintln!("{:.3} s", started.elapsed().as_secs_f64());
            }
        }
        Ok(())
    }

    fn print(&self, text: &str) -> Result<()> {
        Ok(io::stdout().write_all(text.as_bytes())?)
    }
}

/// `$XDG_STATE_HOME/brimful/history`, by default below `~/.local/state`.
fn history_file() -> Option<PathBuf> {
    let state = match std::env::var_os("XDG_STATE_HOME") {
        Some(folder) if !folder.is_empty() => PathBuf::from(folder),
        _ => std::env::home_dir()?.join(".local/state"),
    };
    let folder = state.join("brimful");
    std::fs::create_dir_all(&folder).ok()?;
    Some(folder.join("history"))
}
