//! Functions of the program that embeds Brimful, for SQL and the dataframe.
//!
//! - this module: how they are registered and called
//! - `types`: which Rust types they may take and give
//! - `scalar`, `aggregate`, `window`, `table`: closures of each kind as functions of DataFusion
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> brimful::Result<()> {
//! use brimful::{Session, SessionOptions};
//!
//! let session = Session::new(SessionOptions::new().threads(1))?;
//! session.register_scalar("plus_one", |x: i64| x + 1);
//! session.register_scalar("initial", |name: &str| name.chars().next().map(String::from));
//! let frame = session.sql("SELECT plus_one(41), initial('Ann')").await?;
//! assert_eq!(frame.collect().await?[0].num_rows(), 1);
//! # Ok(())
//! # }
//! ```

mod aggregate;
mod scalar;
mod table;
mod types;
mod window;

use std::any::Any;
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use datafusion::common::exec_err;
use datafusion::logical_expr::{AggregateUDF, Expr, ScalarUDF, WindowUDF};

pub use aggregate::{Accumulate, State};
pub use scalar::ScalarClosure;
pub use table::{IntoFrame, TableClosure};
pub use types::{Output, Param, Value};

use crate::error::Result;
use crate::functions::call_of;
use crate::session::Session;

/// Whether a function is a closure of the program, which no name but that it was registered by tells.
pub(crate) fn is_closure(function: &dyn Any) -> bool {
    function.is::<scalar::Function>()
        || function.is::<aggregate::Function>()
        || function.is::<window::Function>()
}

impl Session {
    /// Gives a closure of one to four plain values a name that SQL can call. It should give the
    /// same result for the same values whenever it is asked.
    ///
    /// Types are those of the closure: numbers, `bool`, `String` and `&str`; other columns are
    /// converted where SQL does so by itself. NULL gives NULL, unless the closure takes an `Option`.
    /// `None` is NULL, and an `Err` ends the query, as a panic does.
    pub fn register_scalar<M: 'static>(&self, name: &str, closure: impl ScalarClosure<M>) {
        self.register_udf(scalar::function(name.to_lowercase(), closure));
    }

    /// Makes a scalar function of DataFusion known.
    pub fn register_udf(&self, function: ScalarUDF) {
        self.context().register_udf(function);
    }

    /// Gives an aggregate a name that SQL can call, also as a window function.
    ///
    /// `init` makes the state of a group, a plain value or a tuple of up to four, `accumulate` adds
    /// the values of a row, `merge` adds the state of other rows of the group, and `finish` gives
    /// the result. Rows with NULL are left out, unless the closure takes an `Option`.
    ///
    /// ```
    /// # let session = brimful::Session::new(brimful::SessionOptions::new().threads(1)).unwrap();
    /// session.register_aggregate(
    ///     "geometric_mean",
    ///     || (0.0, 0_i64),
    ///     |state: &mut (f64, i64), x: f64| *state = (state.0 + x.ln(), state.1 + 1),
    ///     |state, other| *state = (state.0 + other.0, state.1 + other.1),
    ///     |(sum, count)| (count > 0).then(|| (sum / count as f64).exp()),
    /// );
    /// ```
    pub fn register_aggregate<S: State, M: 'static, O: Output + 'static>(
        &self,
        name: &str,
        init: impl Fn() -> S + Send + Sync + 'static,
        accumulate: impl Accumulate<S, M>,
        merge: impl Fn(&mut S, S) + Send + Sync + 'static,
        finish: impl Fn(S) -> O + Send + Sync + 'static,
    ) {
        let name = name.to_lowercase();
        let function = aggregate::function(name, init, accumulate, merge, finish);
        self.context().register_udaf(function);
    }

    /// Makes an aggregate function of DataFusion known.
    pub fn register_udaf(&self, function: AggregateUDF) {
        self.context().register_udaf(function);
    }

    /// Gives a closure a name that SQL can call with OVER. It is given all values of a partition in
    /// the order of the window, and gives as many.
    ///
    /// The rows of a partition are in memory while it runs; a frame has no meaning for it.
    pub fn register_window<V: Value, O: Output + 'static>(
        &self,
        name: &str,
        closure: impl Fn(&[Option<V>]) -> Vec<O> + Send + Sync + 'static,
    ) {
        self.register_udwf(window::function(name.to_lowercase(), closure));
    }

    /// Makes a window function of DataFusion known.
    pub fn register_udwf(&self, function: WindowUDF) {
        self.context().register_udwf(function);
    }

    /// Gives a closure a name that SQL can use in FROM: `SELECT * FROM first_rows(10)`. It takes up
    /// to four plain values, which are constants in SQL, and gives a [`DataFrame`] or a `Result` of
    /// one.
    ///
    /// A frame that the closure holds keeps its session, and with it the temporary files, for as
    /// long as the closure lives.
    ///
    /// [`DataFrame`]: crate::DataFrame
    pub fn register_table<M: 'static>(&self, name: &str, closure: impl TableClosure<M>) {
        let name = name.to_lowercase();
        self.context().register_udtf(&name, table::function(name.clone(), closure));
    }

    /// A call of a scalar or aggregate function by its name in SQL, those of this session included.
    ///
    /// # Errors
    /// `Query` if there is no such function, with the nearest name.
    pub fn call(&self, name: &str, args: impl IntoIterator<Item = Expr>) -> Result<Expr> {
        call_of(&self.state(), name, args)
    }
}

/// Whether a function is a closure of the program.
pub(crate) fn is_scalar(function: &ScalarUDF) -> bool {
    function.inner().is::<scalar::Function>()
}

/// As [`is_scalar`], of an aggregate.
pub(crate) fn is_aggregate(function: &AggregateUDF) -> bool {
    function.inner().is::<aggregate::Function>()
}

/// As [`is_scalar`], of a window function.
pub(crate) fn is_window(function: &WindowUDF) -> bool {
    function.inner().is::<window::Function>()
}

/// A closure, which equals only itself.
struct Same<T: ?Sized>(Arc<T>);

impl<T: ?Sized> Clone for Same<T> {
    fn clone(&self) -> Self {
        Same(Arc::clone(&self.0))
    }
}

impl<T: ?Sized> Same<T> {
    fn address(&self) -> usize {
        Arc::as_ptr(&self.0).cast::<()>() as usize
    }
}

impl<T: ?Sized> PartialEq for Same<T> {
    fn eq(&self, other: &Self) -> bool {
        self.address() == other.address()
    }
}

impl<T: ?Sized> Eq for Same<T> {}

impl<T: ?Sized> Hash for Same<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.address().hash(state);
    }
}

impl<T: ?Sized> std::fmt::Debug for Same<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a closure")
    }
}

/// What a function of the program gives; its failure or panic as an error that names it.
fn guarded<T>(name: &str, run: impl FnOnce() -> Result<T, String>) -> datafusion::error::Result<T> {
    match caught(run) {
        Ok(Ok(result)) => Ok(result),
        Ok(Err(message)) => exec_err!("function \"{name}\": {message}"),
        Err(said) => exec_err!("function \"{name}\" panicked: {said}"),
    }
}

/// Runs what the program wrote.
///
/// # Errors
/// What it panics with.
pub(crate) fn caught<T>(run: impl FnOnce() -> T) -> std::result::Result<T, String> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        text.unwrap_or("no message").to_string()
    })
}
