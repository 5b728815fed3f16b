//! Arguments that are constants without being written as one: `'%Y' || '-%m'`.
//!
//! The type of some functions follows from a constant. The optimizer makes constants of more
//! arguments than are written as one, and must not change a type, so that is done before.

use datafusion::common::DFSchema;
use datafusion::error::Result;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, ScalarUDF};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;

use super::{define, scalar};

/// The same call with constants for arguments that have one value; `None` if nothing changes.
pub(super) fn with_constants(call: &ScalarFunction) -> Option<Expr> {
    if !is_typed_by_constants(&call.func) {
        return None;
    }
    let values: Vec<Option<Expr>> = call.args.iter().map(constant).collect();
    if values.iter().all(Option::is_none) {
        return None;
    }
    let args = call.args.iter().zip(values);
    Some(call.func.call(args.map(|(arg, value)| value.unwrap_or_else(|| arg.clone())).collect()))
}

/// Whether the type of a function may depend on what its constants are.
fn is_typed_by_constants(function: &ScalarUDF) -> bool {
    let inner: &dyn std::any::Any = function.inner().as_ref();
    inner.is::<define::Scalar>()
        || inner.downcast_ref::<scalar::Scalar>().is_some_and(scalar::Scalar::is_typed_by_constants)
}

/// The value of an expression that has one and is more than that value.
fn constant(expr: &Expr) -> Option<Expr> {
    let is_plain = matches!(expr, Expr::Literal(..) | Expr::Column(_));
    if is_plain || expr.any_column_refs() {
        return None;
    }
    match simplified(expr.clone()) {
        Ok(value @ Expr::Literal(..)) => Some(value),
        // What goes wrong is said when there are rows.
        _ => None,
    }
}

fn simplified(expr: Expr) -> Result<Expr> {
    let simplifier = ExprSimplifier::new(SimplifyContext::default());
    simplifier.simplify(simplifier.coerce(expr, &DFSchema::empty())?)
}
