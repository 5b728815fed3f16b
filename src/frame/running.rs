//! Queries that can be stopped from elsewhere, or after some time.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use futures::{Stream, StreamExt};
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep_until};

use super::DataFrame;
use crate::error::{Error, ErrorKind, Result};
use crate::session::{QueryMetrics, QueryStream};

/// Stops queries from another task or thread. Clones stop the same ones.
#[derive(Debug, Clone)]
pub struct CancelHandle {
    stopped: Arc<watch::Sender<bool>>,
}

impl CancelHandle {
    /// A handle that stops nothing yet.
    pub fn new() -> Self {
        CancelHandle { stopped: Arc::new(watch::Sender::new(false)) }
    }

    /// Stops all queries that were started with this handle; ones that are started later end at
    /// once.
    pub fn cancel(&self) {
        self.stopped.send_replace(true);
    }

    /// Whether it has been used.
    pub fn is_cancelled(&self) -> bool {
        *self.stopped.borrow()
    }
}

impl Default for CancelHandle {
    fn default() -> Self {
        Self::new()
    }
}

/// A stream of record batches that ends with an error when it is stopped: of the kind `Cancelled`
/// by its handle, `Timeout` when its time is over. What it held is set free then.
pub struct RunningQuery {
    /// None once it has ended.
    stream: Option<QueryStream>,
    schema: SchemaRef,
    metrics: QueryMetrics,
    cancelled: Pin<Box<dyn Future<Output = ()> + Send>>,
    timeout: Option<(Duration, Pin<Box<Sleep>>)>,
}

impl DataFrame {
    /// As [`DataFrame::stream`], for a query that `cancel` stops, or the end of `timeout`, which
    /// begins now.
    ///
    /// # Errors
    /// Those of planning, and those of being stopped; the stream gives those of running.
    pub async fn stream_until(
        self,
        cancel: &CancelHandle,
        timeout: Option<Duration>,
    ) -> Result<RunningQuery> {
        let deadline =
            timeout.and_then(|timeout| Some((timeout, Instant::now().checked_add(timeout)?)));
        let timeout = deadline.map(|(timeout, end)| (timeout, Box::pin(sleep_until(end))));
        let mut stopped = cancel.stopped.subscribe();
        let cancelled = Box::pin(async move {
            if stopped.wait_for(|stopped| *stopped).await.is_err() {
                // No handle is left that could stop it.
                std::future::pending::<()>().await;
            }
        });
        if cancel.is_cancelled() {
            return Err(was_cancelled());
        }
        let stream = self.stream().await?;
        let (schema, metrics) = (stream.schema(), stream.metrics());
        Ok(RunningQuery { stream: Some(stream), schema, metrics, cancelled, timeout })
    }
}

impl RunningQuery {
    /// Names and types of the columns.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// What the query has read, returned and spilled so far; what it had when it ended, after that.
    pub fn metrics(&self) -> QueryMetrics {
        self.stream.as_ref().map_or(self.metrics, QueryStream::metrics)
    }

    fn end(&mut self) {
        self.metrics = self.metrics();
        self.stream = None;
    }

    /// The error of being stopped, if it is.
    fn stopped(&mut self, context: &mut Context<'_>) -> Option<Error> {
        if self.cancelled.as_mut().poll(context).is_ready() {
            return Some(was_cancelled());
        }
        let (timeout, end) = self.timeout.as_mut()?;
        let is_over = end.as_mut().poll(context).is_ready();
        is_over.then(|| {
            Error::new(ErrorKind::Timeout, format!("the query took longer than {timeout:?}"))
        })
    }
}

fn was_cancelled() -> Error {
    Error::new(ErrorKind::Cancelled, "the query was cancelled")
}

impl Stream for RunningQuery {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.stream.is_none() {
            return Poll::Ready(None);
        }
        if let Some(error) = self.stopped(context) {
            self.end();
            return Poll::Ready(Some(Err(error)));
        }
        let Some(stream) = &mut self.stream else { return Poll::Ready(None) };
        match stream.poll_next_unpin(context) {
            Poll::Ready(Some(Ok(batch))) => Poll::Ready(Some(Ok(batch))),
            Poll::Pending => Poll::Pending,
            ended => {
                self.end();
                ended
            }
        }
    }
}

impl std::fmt::Debug for RunningQuery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunningQuery").field("schema", &self.schema).finish_non_exhaustive()
    }
}
