//! Functions that stand for an expression of others: `year(d)` is `date_part('year', d)`.
//!
//! They are replaced before anything else looks at the plan, so an optimizer that knows
//! `date_part` knows them too.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::RangeInclusive;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use datafusion::common::{DFSchema, plan_err};
use datafusion::error::Result;
use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility, col,
};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_expr::create_physical_expr;

/// What makes the expression of the arguments.
pub(super) type Meaning = fn(Vec<Expr>) -> Result<Expr>;

/// A function that stands for an expression.
pub(super) struct Shorthand {
    name: &'static str,
    aliases: Vec<String>,
    signature: Signature,
    args: RangeInclusive<usize>,
    meaning: Meaning,
}

impl Shorthand {
    /// A function of so many arguments.
    pub(super) fn new(name: &'static str, args: RangeInclusive<usize>, meaning: Meaning) -> Self {
        let signature = Signature::user_defined(Volatility::Immutable);
        Shorthand { name, aliases: Vec::new(), signature, args, meaning }
    }

    /// With other names.
    pub(super) fn or(mut self, names: &[&str]) -> Self {
        self.aliases.extend(names.iter().map(|name| (*name).to_string()));
        self
    }

    /// For the registry.
    pub(super) fn udf(self) -> Arc<ScalarUDF> {
        Arc::new(ScalarUDF::new_from_impl(self))
    }

    /// What a call means.
    ///
    /// # Errors
    /// `Plan` if there are too few arguments, or too many.
    pub(super) fn meaning(&self, args: Vec<Expr>) -> Result<Expr> {
        self.check(args.len())?;
        (self.meaning)(args)
    }

    fn check(&self, args: usize) -> Result<()> {
        if self.args.contains(&args) {
            return Ok(());
        }
        let (least, most) = (self.args.start(), self.args.end());
        let wanted = if least == most { least.to_string() } else { format!("{least} to {most}") };
        plan_err!("{} takes {wanted} arguments, not {args}", self.name)
    }
}

impl fmt::Debug for Shorthand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shorthand").field("name", &self.name).finish_non_exhaustive()
    }
}

/// There is one function of a name.
impl PartialEq for Shorthand {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Shorthand {}

impl Hash for Shorthand {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Shorthand {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(types.to_vec())
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let fields: Vec<FieldRef> =
            types.iter().map(|t| Arc::new(Field::new("", t.clone(), true))).collect();
        let scalar_arguments = vec![None; types.len()];
        let args = ReturnFieldArgs { arg_fields: &fields, scalar_arguments: &scalar_arguments };
        Ok(self.return_field_from_args(args)?.data_type().clone())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let schema = schema_of(args.arg_fields)?;
        let values = args.scalar_arguments.iter().enumerate().map(|(i, scalar)| match scalar {
            Some(scalar) => Expr::Literal((*scalar).clone(), None),
            None => column(i),
        });
        let expr = coerced(self.meaning(values.collect())?, &schema)?;
        let (_, field) = expr.to_field(&schema)?;
        Ok(Arc::new(Field::new(self.name, field.data_type().clone(), field.is_nullable())))
    }

    /// For the few calls that no plan holds, and nobody has replaced.
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let schema = schema_of(&args.arg_fields)?;
        let mut values = Vec::with_capacity(args.args.len());
        let mut columns = Vec::with_capacity(args.args.len());
        for (i, arg) in args.args.iter().enumerate() {
            values.push(match arg {
                ColumnarValue::Scalar(scalar) => Expr::Literal(scalar.clone(), None),
                ColumnarValue::Array(_) => column(i),
            });
            columns.push(arg.to_array(args.number_rows)?);
        }
        let expr = coerced(self.meaning(values)?, &schema)?;
        let batch = RecordBatch::try_new_with_options(
            Arc::new(schema.as_arrow().clone()),
            columns,
            &RecordBatchOptions::new().with_row_count(Some(args.number_rows)),
        )?;
        create_physical_expr(&expr, &schema, &ExecutionProps::new())?.evaluate(&batch)
    }
}

/// The arguments as columns of a table.
fn schema_of(fields: &[FieldRef]) -> Result<DFSchema> {
    let fields: Vec<Field> = fields
        .iter()
        .enumerate()
        .map(|(i, field)| Field::new(i.to_string(), field.data_type().clone(), true))
        .collect();
    DFSchema::try_from(Schema::new(fields))
}

fn column(index: usize) -> Expr {
    col(format!("\"{index}\""))
}

/// The expression with the casts its parts need.
fn coerced(expr: Expr, schema: &DFSchema) -> Result<Expr> {
    ExprSimplifier::new(SimplifyContext::default()).coerce(expr, schema)
}
