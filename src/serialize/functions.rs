//! Functions: most by their names, which the session that reads a plan knows; some with what makes
//! them.

use std::sync::Arc;

use datafusion::error::{DataFusionError, Result};
use datafusion::execution::FunctionRegistry;
use datafusion::execution::context::SessionState;
use datafusion::logical_expr::{AggregateUDF, HigherOrderUDF, ScalarUDF, Signature, WindowUDF};
use prost::{Message, Oneof};

use super::codec::damaged;
use super::subquery::Meaning;
use crate::error::Error;
use crate::frame;
use crate::functions::aggregate::{is_sliding, sliding_named};
use crate::functions::operation::{self, Written};
use crate::relations::sample;
use crate::udf::is_closure;

/// A scalar function that no name says.
#[derive(Clone, PartialEq, Message)]
struct WrittenScalar {
    #[prost(oneof = "ScalarKind", tags = "1, 2")]
    kind: Option<ScalarKind>,
}

#[derive(Clone, PartialEq, Oneof)]
enum ScalarKind {
    #[prost(message, tag = "1")]
    Operation(WrittenOperation),
    /// It stands for an expression.
    #[prost(message, tag = "2")]
    Meaning(Meaning),
}

#[derive(Clone, PartialEq, Message)]
struct WrittenOperation {
    #[prost(string, tag = "1")]
    kind: String,
    /// As JSON.
    #[prost(string, tag = "2")]
    state: String,
    #[prost(bool, tag = "3")]
    is_check: bool,
}

/// What is written of an aggregate that is better in sliding windows than that of its name.
const SLIDING: &[u8] = b"sliding";

/// What is written down of a function, besides its name.
///
/// # Errors
/// `Query` if the name does not say what it is.
pub(super) fn scalar(state: &SessionState, function: &ScalarUDF) -> Result<Vec<u8>> {
    let kind = if let Some(Written { kind, state, is_check }) = operation::written(function) {
        let (kind, state) = (kind.to_string(), state.to_string());
        ScalarKind::Operation(WrittenOperation { kind, state, is_check })
    } else if let Some(meaning) = Meaning::of(function) {
        ScalarKind::Meaning(meaning.clone())
    } else {
        let is_closure = is_closure(function.inner().as_ref());
        let known = state.udf(function.name());
        return by_name(known, function, function.name(), ScalarUDF::signature, is_closure);
    };
    Ok(WrittenScalar { kind: Some(kind) }.encode_to_vec())
}

pub(super) fn read_scalar(name: &str, bytes: &[u8]) -> Result<Arc<ScalarUDF>> {
    if bytes.is_empty() {
        return Err(unknown(name));
    }
    let written = WrittenScalar::decode(bytes).map_err(damaged)?;
    match written.kind {
        Some(ScalarKind::Operation(WrittenOperation { kind, state, is_check })) => {
            let written = Written { kind: &kind, state: &state, is_check };
            let function = frame::operation(written).or_else(|| sample::operation(written));
            Ok(Arc::new(function.ok_or_else(|| unknown(name))??))
        }
        Some(ScalarKind::Meaning(meaning)) => Ok(Arc::new(meaning.function()?)),
        None => Err(unknown(name)),
    }
}

/// As [`scalar`].
pub(super) fn aggregate(state: &SessionState, function: &AggregateUDF) -> Result<Vec<u8>> {
    if is_sliding(function) {
        return Ok(SLIDING.to_vec());
    }
    let is_closure = is_closure(function.inner().as_ref());
    let known = state.udaf(function.name());
    by_name(known, function, function.name(), AggregateUDF::signature, is_closure)
}

pub(super) fn read_aggregate(name: &str, bytes: &[u8]) -> Result<Arc<AggregateUDF>> {
    let sliding = (bytes == SLIDING).then(|| sliding_named(name)).flatten();
    sliding.ok_or_else(|| unknown(name))
}

/// As [`scalar`].
pub(super) fn window(state: &SessionState, function: &WindowUDF) -> Result<Vec<u8>> {
    if let Some(written) = frame::written_window(function) {
        return Ok(written.into_bytes());
    }
    let is_closure = is_closure(function.inner().as_ref());
    let known = state.udwf(function.name());
    by_name(known, function, function.name(), WindowUDF::signature, is_closure)
}

pub(super) fn read_window(name: &str, bytes: &[u8]) -> Result<Arc<WindowUDF>> {
    match bytes {
        [] => Err(unknown(name)),
        written => Ok(frame::read_window(written).map_err(damaged)?),
    }
}

/// That the name says what a function is.
///
/// # Errors
/// `Query` if it does not.
pub(super) fn higher_order(state: &SessionState, function: &HigherOrderUDF) -> Result<()> {
    match state.higher_order_function(function.name()) {
        Ok(known) if known.signature() == function.signature() => Ok(()),
        _ => Err(of_the_program(function.name())),
    }
}

/// Nothing, if a session knows the function by its name. That of the session may have more names, and
/// what is set there.
fn by_name<F: PartialEq>(
    known: Result<Arc<F>>,
    function: &F,
    name: &str,
    signature: fn(&F) -> &Signature,
    is_closure: bool,
) -> Result<Vec<u8>> {
    let is_known = known.is_ok_and(|known| {
        known.as_ref() == function || !is_closure && signature(&known) == signature(function)
    });
    if is_known { Ok(Vec::new()) } else { Err(of_the_program(name)) }
}

/// The error for functions that nothing finds again.
fn of_the_program(name: &str) -> DataFusionError {
    Error::query(format!(
        "the function \"{name}\" is one of this program, which has no name for it"
    ))
    .with_hint("register it, with the session that reads the query too")
    .into()
}

/// The error for functions that a plan names.
pub(super) fn unknown(name: &str) -> DataFusionError {
    Error::query(format!("this session has no function \"{name}\", which the query calls"))
        .with_hint("register it before the query is read")
        .into()
}
