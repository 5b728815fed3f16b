//! Stopping a query: Ctrl-C, termination, a deadline.

use std::future::Future;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::error::{Error, ErrorKind, Result};

/// How long a query that is stopped may take to drop what it holds.
const LONGEST_STOP: Duration = Duration::from_millis(150);

/// Runs `work` as a task of `workers` until it ends, the user interrupts it or the time is over. When
/// it is stopped, everything it held (streams, writers, temporary files) is dropped before this
/// returns, unless that takes longer than [`LONGEST_STOP`].
pub(super) async fn interruptible<T: Send + 'static>(
    workers: &Handle,
    timeout: Option<Duration>,
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    let mut tasks = JoinSet::new();
    tasks.spawn_on(work, workers);
    let deadline = async {
        match timeout {
            Some(timeout) => tokio::time::sleep(timeout).await,
            None => std::future::pending().await,
        }
    };
    let stopped = tokio::select! {
        result = tasks.join_next() => {
            return match result {
                Some(Ok(result)) => result,
                Some(Err(join)) if join.is_panic() => {
                    std::panic::resume_unwind(join.into_panic())
                }
                _ => Err(Error::internal("the query's task was lost")),
            };
        }
        () = interrupted() => Error::new(ErrorKind::Cancelled, "interrupted"),
        () = deadline => {
            let seconds = timeout.unwrap_or_default().as_secs_f64();
            Error::new(ErrorKind::Timeout, format!("the query ran longer than {seconds} s"))
                .with_hint("give it more time with --timeout, or look at its plan with EXPLAIN")
        }
    };
    // The task drops what it holds at its next `await`; this waits for that, unless it waits itself
    // for a reader that does not read.
    let _ = tokio::time::timeout(LONGEST_STOP, tasks.shutdown()).await;
    Err(stopped)
}

/// Waits for Ctrl-C or a request to terminate.
async fn interrupted() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let (Ok(mut terminate), Ok(mut hang_up)) =
            (signal(SignalKind::terminate()), signal(SignalKind::hangup()))
        {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
                _ = hang_up.recv() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}
