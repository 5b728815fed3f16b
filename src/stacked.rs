//! Projections over projections that compute the same: `SELECT v + 1 AS v FROM (SELECT v + 1 AS v …)`.
//!
//! DataFusion's `optimize_projections` takes the second of two equal projections for superfluous. It is
//! not, where one gives a column that it uses another value: then the name means two things. Here each
//! such value gets a name of its own first, and the old one in a projection above, so that no two
//! projections are equal, whatever moves away from between them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use datafusion::common::Column;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlan, Projection};
use datafusion::optimizer::AnalyzerRule;

/// Gives values names of their own.
#[derive(Debug)]
pub(crate) struct StackedProjections;

impl AnalyzerRule for StackedProjections {
    fn name(&self) -> &'static str {
        "stacked_projections"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let mut uses: HashMap<String, usize> = HashMap::new();
        plan.apply_with_subqueries(|node| {
            if let LogicalPlan::Projection(projection) = node {
                for place in redefined(projection) {
                    let name = projection.schema.field(place).name().clone();
                    *uses.entry(name).or_default() += 1;
                }
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        uses.retain(|_, count| *count > 1);
        if uses.is_empty() {
            return Ok(plan);
        }
        let mut number = 0;
        plan.transform_up_with_subqueries(|node| match node {
            LogicalPlan::Projection(projection) => with_own_names(projection, &uses, &mut number),
            node => Ok(Transformed::no(node)),
        })
        .data()
    }
}

/// The places of the columns that have the name of one that the projection uses, and another value.
fn redefined(projection: &Projection) -> Vec<usize> {
    let used = projection.expr.iter().flat_map(Expr::column_refs);
    let used: HashSet<&str> = used.map(|column| column.name.as_str()).collect();
    let fields = projection.schema.fields().iter().zip(&projection.expr).enumerate();
    let redefined = fields.filter(|(_, (field, expr))| {
        let is_itself = matches!(expr, Expr::Column(column) if column.name == *field.name());
        !is_itself && used.contains(field.name().as_str())
    });
    redefined.map(|(place, _)| place).collect()
}

fn with_own_names(
    projection: Projection,
    names: &HashMap<String, usize>,
    number: &mut usize,
) -> Result<Transformed<LogicalPlan>> {
    let mut places = redefined(&projection);
    places.retain(|place| names.contains_key(projection.schema.field(*place).name()));
    if places.is_empty() {
        return Ok(Transformed::no(LogicalPlan::Projection(projection)));
    }
    let mut values = projection.expr.clone();
    let mut columns: Vec<Expr> =
        projection.schema.columns().into_iter().map(Expr::Column).collect();
    for place in places {
        *number += 1;
        let (qualifier, field) = projection.schema.qualified_field(place);
        let own = format!("{}#{number}", field.name());
        let Expr::Alias(alias) = &mut values[place] else { continue };
        (alias.relation, alias.name) = (None, own.clone());
        columns[place] = Expr::Column(Column::new_unqualified(own))
            .alias_qualified(qualifier.cloned(), field.name());
    }
    let values = Projection::try_new(values, Arc::clone(&projection.input))?;
    let named = Projection::try_new(columns, Arc::new(LogicalPlan::Projection(values)))?;
    // What only looked like the same column may not be one.
    match named.schema.as_arrow() == projection.schema.as_arrow() {
        true => Ok(Transformed::yes(LogicalPlan::Projection(named))),
        false => Ok(Transformed::no(LogicalPlan::Projection(projection))),
    }
}
