//! Functions beyond DataFusion's, and the names other engines have for what is there.
//!
//! SQL finds them by name; the library's dataframe calls them through [`call`]. Each file holds
//! the functions of one kind and lists them in `functions()`.

pub(crate) mod aggregate;
mod alias;
mod attempt;
mod date;
mod define;
mod fold;
mod inputs;
mod json;
mod lambda;
mod list;
mod map;
mod math;
pub(crate) mod operation;
mod rows;
mod scalar;
mod shorthand;
mod structs;
mod text;

use std::sync::{Arc, LazyLock};

use datafusion::error::Result;
use datafusion::execution::FunctionRegistry;
use datafusion::execution::SessionStateDefaults;
use datafusion::execution::registry::MemoryFunctionRegistry;
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::planner::ExprPlanner;
use datafusion::logical_expr::{AggregateUDF, Expr, HigherOrderUDF, ScalarUDF};

pub(crate) use json::{compact, is_json};

pub use datafusion::functions::expr_fn::*;
pub use datafusion::functions_nested::expr_fn::*;
pub use datafusion::logical_expr::{case, cast, in_list, try_cast, when};

/// Adds every function and every other name to a registry that holds DataFusion's, and gives the
/// rewrite that plans with these functions need.
///
/// # Errors
/// `Plan` if the registry refuses one.
pub(crate) fn register(
    registry: &mut dyn FunctionRegistry,
) -> Result<Arc<dyn FunctionRewrite + Send + Sync>> {
    for function in scalar_functions() {
        registry.register_udf(function)?;
    }
    for function in aggregate_functions() {
        registry.register_udaf(function)?;
    }
    for function in higher_order_functions() {
        registry.register_higher_order_function(function)?;
    }
    Ok(Arc::new(alias::register(registry)?))
}

/// Our plans of operators.
pub(crate) fn operators() -> Vec<Arc<dyn ExprPlanner>> {
    vec![Arc::new(json::JsonOperators)]
}

/// Our scalar functions.
fn scalar_functions() -> Vec<Arc<ScalarUDF>> {
    [
        date::functions(),
        text::functions(),
        math::functions(),
        json::functions(),
        list::functions(),
        map::functions(),
        structs::functions(),
    ]
    .concat()
}

/// Our functions that take lambdas.
fn higher_order_functions() -> Vec<Arc<HigherOrderUDF>> {
    [attempt::lambda_functions(), list::lambda_functions(), map::lambda_functions()].concat()
}

/// Our aggregate functions.
fn aggregate_functions() -> Vec<Arc<AggregateUDF>> {
    aggregate::functions()
}

/// Every function by its names: DataFusion's and ours.
static ALL: LazyLock<MemoryFunctionRegistry> = LazyLock::new(|| {
    let mut registry = MemoryFunctionRegistry::new();
    let added = SessionStateDefaults::default_scalar_functions()
        .into_iter()
        .try_for_each(|function| registry.register_udf(function).map(drop))
        .and_then(|()| {
            SessionStateDefaults::default_aggregate_functions()
                .into_iter()
                .try_for_each(|function| registry.register_udaf(function).map(drop))
        })
        .and_then(|()| register(&mut registry).map(drop));
    added.expect("functions have names that can be registered");
    registry
});

/// A call of a scalar or aggregate function by its name in SQL: `call("strftime", [col("t"),
/// lit("%Y")])`.
///
/// # Errors
/// `Query` if there is no such function, with the nearest name.
pub fn call(name: &str, args: impl IntoIterator<Item = Expr>) -> crate::Result<Expr> {
    call_of(&*ALL, name, args)
}

/// A call of a function of a registry by its name in SQL, in any case.
///
/// # Errors
/// As for [`call`].
pub(crate) fn call_of(
    registry: &dyn FunctionRegistry,
    name: &str,
    args: impl IntoIterator<Item = Expr>,
) -> crate::Result<Expr> {
    let args = args.into_iter().collect();
    let lower = name.to_lowercase();
    if let Some(function) = scalar_named(registry, &lower) {
        return Ok(function.call(args));
    }
    if let Some(function) = aggregate_named(registry, &lower) {
        return Ok(function.call(args));
    }
    let names: Vec<String> = registry.udfs().into_iter().chain(registry.udafs()).collect();
    let error = crate::Error::query(format!("no function \"{name}\""));
    Err(match crate::error::nearest(&lower, &names) {
        Some(near) => error.with_hint(format!("did you mean \"{near}\"?")),
        None => error,
    })
}

/// The scalar function of a name. Not every registry finds one by its other names.
fn scalar_named(registry: &dyn FunctionRegistry, name: &str) -> Option<Arc<ScalarUDF>> {
    registry.udf(name).ok().or_else(|| {
        let all = registry.udfs();
        let mut all = all.iter().filter_map(|known| registry.udf(known).ok());
        all.find(|function| function.aliases().iter().any(|alias| alias == name))
    })
}

/// The aggregate function of a name.
fn aggregate_named(registry: &dyn FunctionRegistry, name: &str) -> Option<Arc<AggregateUDF>> {
    registry.udaf(name).ok().or_else(|| {
        let all = registry.udafs();
        let mut all = all.iter().filter_map(|known| registry.udaf(known).ok());
        all.find(|function| function.aliases().iter().any(|alias| alias == name))
    })
}
