//! Names that DuckDB, Postgres, Spark and ClickHouse have for functions that are there under
//! another.
//!
//! A registry knows a function by the names it says it has, so those with more names are wrapped.
//! Much compares functions with those it knows, so plans get the wrapped ones back before anything
//! looks at them.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::DFSchema;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::error::Result;
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::{
    AggregateUDF, Expr, ScalarUDF, WindowFunctionDefinition, WindowUDF,
};

use super::aggregate::is_sliding;
use super::fold::with_constants;
use super::shorthand::Shorthand;

type Names = &'static [&'static str];

/// Scalar functions and their other names.
const SCALARS: &[(&str, Names)] = &[
    ("array_length", &["array_size", "list_size"]),
    ("arrays_zip", &["array_zip"]),
    ("cardinality", &["map_length", "map_size"]),
    ("ceil", &["ceiling"]),
    ("chr", &["char"]),
    ("current_date", &["curdate", "get_current_date"]),
    ("current_time", &["curtime", "get_current_time"]),
    ("ends_with", &["endswith", "suffix"]),
    ("flatten", &["array_flatten", "list_flatten"]),
    ("gcd", &["greatest_common_divisor"]),
    ("lcm", &["least_common_multiple"]),
    ("levenshtein", &["edit_distance", "editdist3"]),
    ("lower", &["lcase"]),
    ("make_array", &["array_value", "list_pack", "list_value", "unpivot_list"]),
    ("make_date", &["date_from_parts", "datefromparts"]),
    ("map", &["map_from_arrays", "map_from_lists"]),
    ("now", &["get_current_timestamp", "getdate", "transaction_timestamp"]),
    ("octet_length", &["strlen"]),
    ("regexp_like", &["regexp_matches"]),
    ("repeat", &["replicate"]),
    ("signum", &["sign"]),
    ("starts_with", &["prefix", "startswith"]),
    ("substr", &["mid"]),
    ("to_timestamp", &["to_datetime"]),
    ("to_timestamp_micros", &["timestamp_micros"]),
    ("to_timestamp_millis", &["timestamp_millis"]),
    ("to_timestamp_nanos", &["timestamp_nanos"]),
    ("to_timestamp_seconds", &["timestamp_seconds"]),
    ("trunc", &["truncate"]),
    ("upper", &["ucase"]),
    ("uuid", &["gen_random_uuid", "generate_uuid", "newid", "uuidv4"]),
];

/// Aggregate functions and their other names.
const AGGREGATES: &[(&str, Names)] = &[
    ("any_value", &["any"]),
    ("approx_distinct", &["approx_count_distinct", "ndv", "uniq"]),
    ("approx_percentile_cont", &["approx_percentile", "approx_quantile", "percentile_approx"]),
    ("array_agg", &["grouparray", "list"]),
    ("bit_and", &["bitand_agg", "groupbitand"]),
    ("bit_or", &["bitor_agg", "groupbitor"]),
    ("bit_xor", &["bitxor_agg", "groupbitxor"]),
    ("bool_and", &["booland_agg", "every", "logical_and"]),
    ("bool_or", &["boolor_agg", "logical_or", "some"]),
    ("covar_pop", &["covarpop"]),
    ("covar_samp", &["covarsamp"]),
    ("first_value", &["arbitrary", "first"]),
    ("grouping", &["grouping_id"]),
    ("last_value", &["last"]),
    ("percentile_cont", &["percentile"]),
    ("stddev", &["std", "stddevsamp", "stdev"]),
    ("stddev_pop", &["stddevpop", "stdevp"]),
    ("string_agg", &["group_concat", "listagg"]),
    ("var", &["varsamp", "variance"]),
    ("var_pop", &["varp", "varpop"]),
];

/// Window functions and their other names.
const WINDOWS: &[(&str, Names)] =
    &[("first_value", &["arbitrary", "first"]), ("last_value", &["last"])];

/// Registers each function again under all of its names, and gives what finds the function itself.
///
/// # Errors
/// `Plan` if there is no such function.
pub(super) fn register(registry: &mut dyn FunctionRegistry) -> Result<Meanings> {
    let mut meanings = Meanings::default();
    for (name, others) in SCALARS {
        let function = registry.udf(name)?;
        let wrapped = function.as_ref().clone().with_aliases(others.iter().copied());
        meanings.scalars.insert(function.name().to_string(), function);
        registry.register_udf(Arc::new(wrapped))?;
    }
    for (name, others) in AGGREGATES {
        let function = registry.udaf(name)?;
        let wrapped = function.as_ref().clone().with_aliases(others.iter().copied());
        meanings.aggregates.insert(function.name().to_string(), function);
        registry.register_udaf(Arc::new(wrapped))?;
    }
    for (name, others) in WINDOWS {
        let Ok(function) = registry.udwf(name) else { continue };
        let wrapped = function.as_ref().clone().with_aliases(others.iter().copied());
        meanings.windows.insert(function.name().to_string(), function);
        registry.register_udwf(Arc::new(wrapped))?;
    }
    Ok(meanings)
}

/// Puts into plans what other names, shorthands and constant arguments stand for.
#[derive(Debug, Default)]
pub(super) struct Meanings {
    scalars: HashMap<String, Arc<ScalarUDF>>,
    aggregates: HashMap<String, Arc<AggregateUDF>>,
    windows: HashMap<String, Arc<WindowUDF>>,
}

impl Meanings {
    /// The function itself, if this one has been wrapped.
    fn aggregate(&self, function: &AggregateUDF) -> Option<Arc<AggregateUDF>> {
        let known = self.aggregates.get(function.name())?;
        (**known != *function && !is_sliding(function)).then(|| Arc::clone(known))
    }

    fn window(&self, function: &WindowFunctionDefinition) -> Option<WindowFunctionDefinition> {
        match function {
            WindowFunctionDefinition::AggregateUDF(function) => {
                self.aggregate(function).map(WindowFunctionDefinition::AggregateUDF)
            }
            WindowFunctionDefinition::WindowUDF(function) => {
                let known = self.windows.get(function.name())?;
                let wrapped = **known != **function;
                wrapped.then(|| WindowFunctionDefinition::WindowUDF(Arc::clone(known)))
            }
        }
    }

    fn scalar(&self, call: &ScalarFunction) -> Result<Option<Expr>> {
        if let Some(shorthand) = call.func.inner().downcast_ref::<Shorthand>() {
            return shorthand.meaning(call.args.clone()).map(Some);
        }
        let known = self.scalars.get(call.func.name()).filter(|known| ***known != *call.func);
        Ok(known.map(|known| known.call(call.args.clone())).or_else(|| with_constants(call)))
    }
}

impl FunctionRewrite for Meanings {
    fn name(&self) -> &str {
        "meanings of function names"
    }

    fn rewrite(
        &self,
        mut expr: Expr,
        _schema: &DFSchema,
        _config: &ConfigOptions,
    ) -> Result<Transformed<Expr>> {
        match &mut expr {
            Expr::ScalarFunction(call) => {
                if let Some(meaning) = self.scalar(call)? {
                    return Ok(Transformed::yes(meaning));
                }
            }
            Expr::AggregateFunction(call) => {
                if let Some(function) = self.aggregate(&call.func) {
                    call.func = function;
                    return Ok(Transformed::yes(expr));
                }
            }
            Expr::WindowFunction(call) => {
                if let Some(function) = self.window(&call.fun) {
                    call.fun = function;
                    return Ok(Transformed::yes(expr));
                }
            }
            _ => {}
        }
        Ok(Transformed::no(expr))
    }
}
