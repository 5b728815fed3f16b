//! Aggregates of the values of each list: every aggregate function under the names `list_…`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::compute::{CastOptions, cast, cast_with_options, nullif};
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use datafusion::common::{ScalarValue, exec_err, plan_datafusion_err, plan_err};
use datafusion::error::Result;
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::type_coercion::functions::fields_with_udf;
use datafusion::logical_expr::{AggregateUDF, EmitTo, ReturnFieldArgs, ScalarUDF};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::{AggregateExprBuilder, AggregateFunctionExpr};
use datafusion::physical_expr::expressions::{Column, Literal};

use super::super::aggregate::meant;
use super::super::define::{Call, field, scalar};
use super::super::{ALL, aggregate_named};
use super::{Lists, list_type};

/// Names of functions and the aggregates behind them.
const NAMED: &[(&str, &[&str], &str)] = &[
    ("list_sum", &["array_sum"], "sum"),
    ("list_avg", &["list_mean", "array_avg", "array_mean"], "avg"),
    ("list_min", &["array_min"], "min"),
    ("list_max", &["array_max"], "max"),
    ("list_count", &["array_count"], "count"),
    ("list_median", &["array_median"], "median"),
    ("list_any_value", &["array_any_value"], "any_value"),
    ("list_last", &["array_last"], "last_value"),
    ("list_first", &[], "first_value"),
    ("list_stddev_samp", &["list_stddev", "array_stddev"], "stddev"),
    ("list_stddev_pop", &["array_stddev_pop"], "stddev_pop"),
    ("list_var_samp", &["list_variance", "list_var", "array_var"], "var"),
    ("list_var_pop", &["array_var_pop"], "var_pop"),
    ("list_bool_and", &["array_bool_and"], "bool_and"),
    ("list_bool_or", &["array_bool_or"], "bool_or"),
    ("list_bit_and", &["array_bit_and"], "bit_and"),
    ("list_bit_or", &["array_bit_or"], "bit_or"),
    ("list_bit_xor", &["array_bit_xor"], "bit_xor"),
    ("list_approx_count_distinct", &["array_approx_count_distinct"], "approx_distinct"),
    ("list_string_agg", &["list_listagg"], "string_agg"),
    // Those below are aggregates of ours.
    ("list_product", &["array_product"], "product"),
    ("list_mode", &["array_mode"], "mode"),
    ("list_kurtosis", &["array_kurtosis"], "kurtosis"),
    ("list_kurtosis_pop", &[], "kurtosis_pop"),
    ("list_skewness", &["array_skewness"], "skewness"),
    ("list_entropy", &["array_entropy"], "entropy"),
    ("list_mad", &["array_mad"], "mad"),
    ("list_sem", &["array_sem"], "sem"),
    ("list_histogram", &["array_histogram"], "histogram"),
];

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    let function = |name, aliases| scalar(name, aliases, takes, gives, computes);
    let any = function("list_aggregate", &["list_aggr", "array_aggregate", "array_aggr"]);
    NAMED.iter().map(|(name, aliases, _)| function(name, aliases)).chain([any]).collect()
}

/// A list, the aggregate's name for `list_aggregate`, and what the aggregate takes besides.
fn takes(name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    let Some((list, others)) = types.split_first() else {
        return plan_err!("{name} takes a list");
    };
    Ok(std::iter::once(list_type(name, list)?).chain(others.iter().cloned()).collect())
}

/// An aggregate with the arguments that follow the list.
struct Aggregate {
    function: Arc<AggregateUDF>,
    /// The types of all arguments of the aggregate.
    fields: Vec<FieldRef>,
    /// Those after the first, as far as they are known.
    constants: Vec<Option<ScalarValue>>,
}

impl Aggregate {
    /// The aggregate that a call is for, given what follows the list: a list that is written as one
    /// is a constant only later.
    fn new(
        name: &str,
        list: &DataType,
        others: Vec<DataType>,
        constants: &[Option<&ScalarValue>],
    ) -> Result<Self> {
        let (mut others, mut constants) = (others, constants.to_vec());
        let known = NAMED.iter().find(|(known, _, _)| *known == name);
        let wanted = match known {
            Some((_, _, aggregate)) => (*aggregate).to_string(),
            None if constants.is_empty() => {
                return plan_err!("{name} takes a list and the name of an aggregate function");
            }
            None => {
                others.remove(0);
                match constants.remove(0).map(|aggregate| aggregate.try_as_str().flatten()) {
                    Some(Some(aggregate)) => aggregate.to_lowercase(),
                    Some(None) => return plan_err!("{name}: the aggregate's name must be text"),
                    None => return not_constant(name),
                }
            }
        };
        let mut constants: Vec<Option<ScalarValue>> =
            constants.into_iter().map(Option::<&ScalarValue>::cloned).collect();
        let Some(mut function) = aggregate_named(&*ALL, &wanted) else {
            let names: Vec<String> = ALL.udafs().into_iter().collect();
            let near = crate::error::nearest(&wanted, &names);
            let near = near.map(|near| format!("; did you mean '{near}'?")).unwrap_or_default();
            return plan_err!("{name}: no aggregate function '{wanted}'{near}");
        };
        let second_is_list = others.first().is_some_and(DataType::is_list);
        if let Some(meant) = meant(function.name(), others.len() + 1, second_is_list) {
            function = meant;
        }
        if function.name() == "string_agg" && constants.is_empty() {
            others.push(DataType::Utf8);
            constants.push(Some(ScalarValue::from(",")));
        }
        let element = super::element_type(list).unwrap_or(DataType::Null);
        let given: Vec<FieldRef> = std::iter::once(element)
            .chain(others)
            .map(|data_type| field("value", data_type))
            .collect();
        let fields = fields_with_udf(&given, function.as_ref()).map_err(|_| {
            plan_datafusion_err!("{name}: no {wanted} of a list of {}", given[0].data_type())
        })?;
        Ok(Aggregate { function, fields, constants })
    }

    /// Whether values are added up that may not fit their sum's type.
    fn is_sum_of_integers(&self) -> bool {
        self.function.name() == "sum" && self.fields[0].data_type().is_integer()
    }

    fn gives(&self) -> Result<DataType> {
        Ok(self.function.return_field(&self.fields)?.data_type().clone())
    }

    /// What follows the values, of the types that the function takes.
    fn constants(&self, name: &str) -> Result<Vec<ScalarValue>> {
        let constants = self.constants.iter().zip(&self.fields[1..]);
        constants
            .map(|(constant, field)| match constant {
                Some(constant) => constant.cast_to(field.data_type()),
                None => not_constant(name),
            })
            .collect()
    }

    fn expression(
        &self,
        values: &DataType,
        constants: &[ScalarValue],
    ) -> Result<AggregateFunctionExpr> {
        let schema = Schema::new(vec![Field::new("value", values.clone(), true)]);
        let mut args: Vec<Arc<dyn PhysicalExpr>> = vec![Arc::new(Column::new("value", 0))];
        for constant in constants {
            args.push(Arc::new(Literal::new(constant.clone())));
        }
        AggregateExprBuilder::new(Arc::clone(&self.function), args)
            .schema(Arc::new(schema))
            .alias("value")
            .build()
    }

    /// The aggregate of each list.
    fn of(&self, name: &str, lists: &Lists) -> Result<ArrayRef> {
        let values = if self.is_sum_of_integers() {
            cast(&lists.values, &DataType::Decimal128(20, 0))?
        } else {
            cast(&lists.values, self.fields[0].data_type())?
        };
        let constants = self.constants(name)?;
        let expression = self.expression(values.data_type(), &constants)?;
        let mut args = vec![values];
        for constant in constants {
            args.push(constant.to_array_of_size(args[0].len())?);
        }
        if expression.groups_accumulator_supported() {
            grouped(&expression, &args, lists)
        } else {
            one_by_one(&expression, &args, lists)
        }
    }
}

fn not_constant<T>(name: &str) -> Result<T> {
    plan_err!("{name}: what follows the list must be constants")
}

/// All lists at once, each of them a group.
fn grouped(
    expression: &AggregateFunctionExpr,
    args: &[ArrayRef],
    lists: &Lists,
) -> Result<ArrayRef> {
    let mut groups = Vec::with_capacity(args[0].len());
    for row in 0..lists.len() {
        groups.resize(lists.offsets[row + 1], row);
    }
    let mut accumulator = expression.create_groups_accumulator()?;
    accumulator.update_batch(args, &groups, None, lists.len())?;
    accumulator.evaluate(EmitTo::All)
}

fn one_by_one(
    expression: &AggregateFunctionExpr,
    args: &[ArrayRef],
    lists: &Lists,
) -> Result<ArrayRef> {
    let results = (0..lists.len()).map(|row| {
        let range = lists.range(row);
        let args: Vec<_> = args.iter().map(|arg| arg.slice(range.start, range.len())).collect();
        let mut accumulator = expression.create_accumulator()?;
        accumulator.update_batch(&args)?;
        accumulator.evaluate()
    });
    ScalarValue::iter_to_array(results.collect::<Result<Vec<_>>>()?)
}

fn gives(name: &str, args: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    let list = args.arg_fields[0].data_type();
    let others = args.arg_fields[1..].iter().map(|field| field.data_type().clone()).collect();
    let aggregate = Aggregate::new(name, list, others, &args.scalar_arguments[1..])?;
    Ok(field(name, aggregate.gives()?))
}

fn computes(call: &Call<'_>) -> Result<ArrayRef> {
    let constants: Vec<_> = (1..call.args.len()).map(|arg| call.constant(arg)).collect();
    let array = call.array(0)?;
    let others = call.fields[1..].iter().map(|field| field.data_type().clone()).collect();
    let aggregate = Aggregate::new(call.name, array.data_type(), others, &constants)?;
    let lists = Lists::new(&array);
    if lists.len() == 0 {
        return Ok(arrow::array::new_empty_array(call.gives));
    }
    let values = aggregate.of(call.name, &lists)?;
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let values = match cast_with_options(&values, call.gives, &strict) {
        Ok(values) => values,
        Err(error) => return exec_err!("{}: {error}", call.name),
    };
    match &lists.nulls {
        None => Ok(values),
        Some(nulls) => Ok(nullif(&values, &BooleanArray::from(!nulls.inner()))?),
    }
}
