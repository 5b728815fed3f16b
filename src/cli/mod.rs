//! The `brimful` command: flags → validated arguments → work → exit code.
//!
//! Only this module prints. Results go to standard output, everything else to standard error.
//! [`run`] is the one place that decides the exit code, by [`crate::ErrorKind::exit_code`].

#![expect(clippy::print_stderr, reason = "messages of a command line belong on standard error")]

mod args;
mod interrupt;
mod query;
mod repl;
mod report;

use std::ffi::OsString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use clap::Parser;
use tokio::runtime::{Handle, Runtime};

use crate::error::{Error, Result};
use crate::generate;
use crate::session::Session;

use args::{Arguments, Command, RunArgs};

/// Runs the command line and gives its exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        // clap prints help and the version on standard output with code 0, mistakes on standard
        // error with code 2, which is that of `ErrorKind::Config`.
        Err(err) => {
            let _ = err.print();
            return u8::try_from(err.exit_code()).unwrap_or(2);
        }
    };
    match dispatch(arguments) {
        Ok(()) => 0,
        // The reader of our output has seen enough: `brimful query … | head -1`.
        Err(err) if err.is_broken_pipe() => 0,
        Err(err) => err.kind().exit_code(),
    }
}

/// Does the work; errors that are returned have been reported.
fn dispatch(arguments: Arguments) -> Result<()> {
    match &arguments.command {
        Some(Command::Generate(generate)) => {
            let files = generate::run(generate).map_err(|err| report::reported(err, None))?;
            for file in files {
                eprintln!("{}: {} rows, {} bytes", file.path.display(), file.rows, file.bytes);
            }
            Ok(())
        }
        Some(Command::Query(query)) => {
            let run = arguments.run_args();
            with_session(&run, |session, workers| query::run(session, query, &run, workers))
        }
        None => {
            let run = arguments.run_args();
            with_session(&run, |session, workers| repl::run(session, &run, workers))
        }
    }
}

/// Gives `work` a session and the threads its queries run on. When it returns, these are stopped
/// before the session's folders are removed, so that nothing writes into them any more.
///
/// `work` itself runs on a runtime of its own, with its own timers and signals: those of the workers
/// wait when all of them are busy.
fn with_session<F>(run: &RunArgs, work: impl FnOnce(Session, Handle) -> F) -> Result<()>
where
    F: Future<Output = Result<()>>,
{
    /// How long tasks and threads that are inside a call may take to end.
    const LONGEST_SHUTDOWN: Duration = Duration::from_millis(150);
    let start = || -> Result<(Session, Runtime, Runtime)> {
        let options = run.session_options()?;
        let failed = |err| Error::internal(format!("could not start threads: {err}"));
        let workers = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(options.threads)
            .thread_name("brimful")
            .enable_all()
            .build()
            .map_err(failed)?;
        let control =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        Ok((Session::new(options)?, workers, control))
    };
    let (session, workers, control) = start().map_err(|err| report::reported(err, None))?;
    let handle = workers.handle().clone();
    // The panic's message is printed by the panic hook; what is left is to clean up.
    let result =
        catch_unwind(AssertUnwindSafe(|| control.block_on(work(session.clone(), handle.clone()))));
    let _ = control
        .block_on(async { tokio::time::timeout(LONGEST_SHUTDOWN, cleaned_up(&handle)).await });
    workers.shutdown_timeout(LONGEST_SHUTDOWN);
    session.close();
    result.unwrap_or_else(|_| Err(report::reported(Error::internal("the program panicked"), None)))
}

/// Waits until the tasks of a stopped query have dropped what they held, and until the threads for
/// blocking work have begun whatever that led to: the object store removes the temporary file of an
/// unfinished `COPY` on one of them, and a runtime that shuts down would forget to.
async fn cleaned_up(workers: &Handle) {
    while workers.metrics().num_alive_tasks() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // Blocking work is begun in order; what has begun is waited for by the shutdown.
    let _ = workers.spawn_blocking(|| ()).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn a_panic_is_an_internal_error_and_leaves_no_files() {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().to_str().unwrap();
        let words = ["brimful", "--threads", "1", "--temp-dir", folder];
        let run = Arguments::try_parse_from(words).unwrap().run_args();
        let result = with_session(&run, |session, workers| async move {
            assert_eq!(std::fs::read_dir(folder).unwrap().count(), 1, "the folder for spills");
            let work =
                async move { panic!("on purpose, with {:?} in hand", session.table_names()) };
            interrupt::interruptible::<()>(&workers, None, work).await
        });
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Internal);
        assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 0);
    }
}
