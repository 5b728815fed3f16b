//! Expressions that DataFusion does not encode: those with plans, and columns of the query around
//! one. A call of a function stands for each.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, Spans, internal_err};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{Exists, InSubquery, SetComparison, SetQuantifier};
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Subquery, Volatility,
};
use datafusion_proto::generated::datafusion_common;
use datafusion_proto::protobuf;
use prost::{Message, Oneof};

use super::codec::{Codec, damaged};

/// What a call stands for. Its arguments are the expression that is compared, if there is one, then
/// the outer columns of the plan.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Meaning {
    /// Of the outer column, or of the value.
    #[prost(message, optional, tag = "1")]
    field: Option<protobuf::Field>,
    #[prost(oneof = "Kind", tags = "2, 3, 4, 5, 6")]
    kind: Option<Kind>,
}

#[derive(Clone, PartialEq, Oneof)]
enum Kind {
    /// A column of the query around.
    #[prost(message, tag = "2")]
    Outer(datafusion_common::Column),
    #[prost(uint32, tag = "3")]
    Value(u32),
    #[prost(message, tag = "4")]
    Exists(Test),
    #[prost(message, tag = "5")]
    In(Test),
    #[prost(message, tag = "6")]
    Comparison(Comparison),
}

#[derive(Clone, PartialEq, Message)]
struct Test {
    #[prost(uint32, tag = "1")]
    plan: u32,
    #[prost(bool, tag = "2")]
    negated: bool,
}

#[derive(Clone, PartialEq, Message)]
struct Comparison {
    #[prost(uint32, tag = "1")]
    plan: u32,
    /// As SQL writes it.
    #[prost(string, tag = "2")]
    operator: String,
    #[prost(bool, tag = "3")]
    all: bool,
}

/// The operators that a subquery can be compared with.
const OPERATORS: [Operator; 6] =
    [Operator::Eq, Operator::NotEq, Operator::Lt, Operator::LtEq, Operator::Gt, Operator::GtEq];

fn subquery_in(expr: &Expr) -> Option<&Subquery> {
    match expr {
        Expr::ScalarSubquery(subquery)
        | Expr::Exists(Exists { subquery, .. })
        | Expr::InSubquery(InSubquery { subquery, .. })
        | Expr::SetComparison(SetComparison { subquery, .. }) => Some(subquery),
        _ => None,
    }
}

/// The plan that an expression has itself.
pub(super) fn plan_in(expr: &Expr) -> Option<&LogicalPlan> {
    subquery_in(expr).map(|subquery| subquery.subquery.as_ref())
}

/// The call that stands for an expression, if DataFusion does not encode it; `place` is that of its
/// plan.
pub(super) fn stand_in(expr: &Expr, place: Option<usize>) -> Result<Option<Expr>> {
    if let Expr::OuterReferenceColumn(field, column) = expr {
        let kind = Kind::Outer(column.clone().into());
        return Ok(Some(Meaning::new(kind, field)?.call(Vec::new())));
    }
    let (Some(subquery), Some(place)) = (subquery_in(expr), place) else { return Ok(None) };
    let plan = place as u32;
    let boolean = Arc::new(Field::new("", DataType::Boolean, true));
    let (compared, kind, field) = match expr {
        Expr::ScalarSubquery(_) => {
            let field = Arc::clone(subquery.subquery.schema().field(0));
            (None, Kind::Value(plan), field)
        }
        Expr::Exists(exists) => {
            (None, Kind::Exists(Test { plan, negated: exists.negated }), boolean)
        }
        Expr::InSubquery(within) => {
            let test = Test { plan, negated: within.negated };
            (Some(&within.expr), Kind::In(test), boolean)
        }
        Expr::SetComparison(SetComparison { expr, op, quantifier, .. }) => {
            let all = *quantifier == SetQuantifier::All;
            let comparison = Comparison { plan, operator: op.to_string(), all };
            (Some(expr), Kind::Comparison(comparison), boolean)
        }
        _ => return Ok(None),
    };
    let compared = compared.map(|expr| expr.as_ref().clone());
    let mut args: Vec<Expr> = compared.into_iter().collect();
    args.extend(outer_columns(subquery)?);
    Ok(Some(Meaning::new(kind, &field)?.call(args)))
}

/// What stands for the outer columns of a subquery, which are not among the expressions of a node.
pub(super) fn outer_columns(subquery: &Subquery) -> Result<Vec<Expr>> {
    let columns = subquery
        .outer_ref_columns
        .iter()
        .map(|outer| Ok(stand_in(outer, None)?.unwrap_or_else(|| outer.clone())));
    columns.collect()
}

/// The expression that a call stands for.
pub(super) fn replaced(expr: Expr, codec: &Codec) -> Result<Transformed<Expr>> {
    let Expr::ScalarFunction(call) = &expr else { return Ok(Transformed::no(expr)) };
    let Some(StandInFunction { meaning, field, .. }) = call.func.inner().downcast_ref() else {
        return Ok(Transformed::no(expr));
    };
    let mut args = call.args.iter().cloned();
    let mut compared =
        || args.next().map(Box::new).ok_or_else(|| damaged("a comparison of nothing"));
    let plan = |place: u32, outer_ref_columns: Vec<Expr>| {
        let subquery = codec.plan(place as usize)?;
        Ok::<_, datafusion::error::DataFusionError>(Subquery {
            subquery,
            outer_ref_columns,
            spans: Spans::new(),
        })
    };
    let expr = match &meaning.kind {
        Some(Kind::Outer(column)) => {
            Expr::OuterReferenceColumn(Arc::clone(field), Column::from(column))
        }
        Some(Kind::Value(place)) => Expr::ScalarSubquery(plan(*place, args.collect())?),
        Some(Kind::Exists(Test { plan: place, negated })) => {
            Expr::Exists(Exists::new(plan(*place, args.collect())?, *negated))
        }
        Some(Kind::In(Test { plan: place, negated })) => {
            let compared = compared()?;
            Expr::InSubquery(InSubquery::new(compared, plan(*place, args.collect())?, *negated))
        }
        Some(Kind::Comparison(Comparison { plan: place, operator, all })) => {
            let compared = compared()?;
            let operator = OPERATORS.into_iter().find(|known| known.to_string() == *operator);
            let operator = operator.ok_or_else(|| damaged("a comparison by no known operator"))?;
            let quantifier = if *all { SetQuantifier::All } else { SetQuantifier::Any };
            let plan = plan(*place, args.collect())?;
            Expr::SetComparison(SetComparison::new(compared, plan, operator, quantifier))
        }
        None => return Err(damaged("a function that stands for nothing")),
    };
    Ok(Transformed::yes(expr))
}

impl Meaning {
    fn new(kind: Kind, field: &Field) -> Result<Self> {
        let field = protobuf::Field::try_from(field)?;
        Ok(Meaning { field: Some(field), kind: Some(kind) })
    }

    fn call(self, args: Vec<Expr>) -> Expr {
        // Types of the arguments matter to nobody.
        let function = self.function().expect("a field that was encoded is decoded");
        function.call(args)
    }

    /// The function whose calls mean this.
    pub(super) fn function(self) -> Result<ScalarUDF> {
        let field = self.field.as_ref().ok_or_else(|| damaged("a value without a type"))?;
        let field = Arc::new(Field::try_from(field)?);
        let signature = Signature::user_defined(Volatility::Immutable);
        Ok(ScalarUDF::from(StandInFunction { meaning: self, field, signature }))
    }

    /// The meaning of a function's calls, if it stands for expressions.
    pub(super) fn of(function: &ScalarUDF) -> Option<&Self> {
        function.inner().downcast_ref().map(|function: &StandInFunction| &function.meaning)
    }
}

#[derive(Debug, PartialEq)]
struct StandInFunction {
    meaning: Meaning,
    field: FieldRef,
    signature: Signature,
}

impl Eq for StandInFunction {}

impl Hash for StandInFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.meaning.encode_to_vec().hash(state);
    }
}

impl ScalarUDFImpl for StandInFunction {
    fn name(&self) -> &'static str {
        "__stand_in"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(types.to_vec())
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.field.data_type().clone())
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::clone(&self.field))
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        internal_err!("what a call stands for was not put back")
    }
}
