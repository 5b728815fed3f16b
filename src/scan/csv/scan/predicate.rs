//! Which rows are wanted, told from as few columns as may do.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::compute::prep_null_mask_filter;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, Column};
use datafusion::physical_expr::utils::{collect_columns, reassign_expr_columns};
use datafusion::physical_expr_common::physical_expr::snapshot_physical_expr;

use super::batch;

/// A condition on the rows of a file.
pub(crate) struct Predicate {
    /// Over the columns below.
    expr: Arc<dyn PhysicalExpr>,
    /// Indices of its columns in the file, in the order in which it names them.
    columns: Vec<usize>,
    schema: SchemaRef,
}

impl Predicate {
    /// A condition over the columns of a file.
    ///
    /// # Errors
    /// `Internal` if it has columns that the file has not.
    pub(crate) fn new(expr: Arc<dyn PhysicalExpr>, file_schema: &Schema) -> Result<Self> {
        let mut columns: Vec<usize> = Vec::new();
        expr.apply(|part| {
            if let Some(column) = part.downcast_ref::<Column>()
                && !columns.contains(&column.index())
            {
                columns.push(column.index());
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        let schema = Arc::new(file_schema.project(&columns)?);
        let expr = reassign_expr_columns(expr, &schema)?;
        Ok(Predicate { expr, columns, schema })
    }

    pub(crate) fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// What rows have to pass when the first column is known, the first two, and so on; the last one
    /// is the condition itself. `None` where another column tells no more.
    ///
    /// A condition may become stricter while it is used: these are those of now.
    pub(crate) fn stages(&self) -> Result<Vec<Option<Arc<dyn PhysicalExpr>>>> {
        if self.columns.len() < 2 {
            return Ok(vec![Some(Arc::clone(&self.expr))]);
        }
        let now = snapshot_physical_expr(Arc::clone(&self.expr))?;
        let mut stages: Vec<Option<Arc<dyn PhysicalExpr>>> = Vec::new();
        for known in 1..self.columns.len() {
            let needed = needed(&now, known).filter(|needed| {
                let before = stages.iter().rev().flatten().next();
                before.is_none_or(|before| before.as_ref() != needed.as_ref())
            });
            stages.push(needed);
        }
        stages.push(Some(now));
        Ok(stages)
    }

    /// Which rows pass a stage.
    pub(crate) fn passing(
        &self,
        stage: &Arc<dyn PhysicalExpr>,
        columns: &[ArrayRef],
        rows: usize,
    ) -> Result<BooleanArray> {
        let schema = match columns.len() == self.columns.len() {
            true => Arc::clone(&self.schema),
            false => Arc::new(Schema::new(self.schema.fields()[..columns.len()].to_vec())),
        };
        let batch = batch(&schema, columns.to_vec(), rows)?;
        let passing = stage.evaluate(&batch)?.into_array(rows)?;
        let passing = passing.as_boolean();
        Ok(match passing.null_count() {
            0 => passing.clone(),
            _ => prep_null_mask_filter(passing),
        })
    }
}

/// A condition on the first `known` columns that each row passes which passes this one; `None` if
/// there is none but that which all rows pass.
///
/// What depends on other columns is taken to be true, which makes AND and OR no stricter.
fn needed(expr: &Arc<dyn PhysicalExpr>, known: usize) -> Option<Arc<dyn PhysicalExpr>> {
    if collect_columns(expr).iter().all(|column| column.index() < known) {
        return Some(Arc::clone(expr));
    }
    let binary = expr.downcast_ref::<BinaryExpr>()?;
    let sides = (needed(binary.left(), known), needed(binary.right(), known));
    match (binary.op(), sides) {
        (Operator::And, (Some(one), None) | (None, Some(one))) => Some(one),
        (Operator::And | Operator::Or, (Some(left), Some(right))) => {
            Some(Arc::new(BinaryExpr::new(left, *binary.op(), right)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::Int64Array;
    use arrow::datatypes::{DataType, Field};
    use datafusion::common::ScalarValue;
    use datafusion::physical_expr::expressions::{binary, is_null, lit, not};

    use super::*;

    fn schema() -> Schema {
        let field = |name: &&str| Field::new(*name, DataType::Int64, true);
        Schema::new(["a", "b", "c"].iter().map(field).collect::<Vec<_>>())
    }

    fn compare(column: &str, op: Operator, value: i64) -> Arc<dyn PhysicalExpr> {
        let index = schema().index_of(column).unwrap();
        let column = Arc::new(Column::new(column, index));
        binary(column, op, lit(ScalarValue::Int64(Some(value))), &schema()).unwrap()
    }

    fn both(
        left: Arc<dyn PhysicalExpr>,
        op: Operator,
        right: Arc<dyn PhysicalExpr>,
    ) -> Arc<dyn PhysicalExpr> {
        binary(left, op, right, &schema()).unwrap()
    }

    #[test]
    fn stages_of_conditions() {
        use Operator::{And, Eq, Gt, Or};
        let shown = |expr| {
            let predicate = Predicate::new(expr, &schema()).unwrap();
            let stages = predicate.stages().unwrap();
            stages.iter().map(|stage| stage.as_ref().map(ToString::to_string)).collect::<Vec<_>>()
        };
        let stage = |text: &str| Some(text.to_string());
        let (a, b) = (compare("a", Gt, 1), compare("b", Gt, 2));
        assert_eq!(shown(Arc::clone(&a)), [stage("a@0 > 1")]);
        let conjunction = both(Arc::clone(&a), And, Arc::clone(&b));
        assert_eq!(shown(conjunction), [stage("a@0 > 1"), stage("a@0 > 1 AND b@1 > 2")]);
        let disjunction = both(Arc::clone(&a), Or, Arc::clone(&b));
        assert_eq!(shown(disjunction), [None, stage("a@0 > 1 OR b@1 > 2")]);
        let order = both(Arc::clone(&a), Or, both(compare("a", Eq, 1), And, Arc::clone(&b)));
        assert_eq!(
            shown(Arc::clone(&order)),
            [stage("a@0 > 1 OR a@0 = 1"), stage("a@0 > 1 OR a@0 = 1 AND b@1 > 2")]
        );
        // The columns are taken in the order of the condition, and the third tells what the second
        // did not.
        let late = both(compare("c", Gt, 0), And, both(Arc::clone(&a), Or, b));
        assert_eq!(
            shown(late),
            [stage("c@0 > 0"), None, stage("c@0 > 0 AND (a@1 > 1 OR b@2 > 2)")]
        );
        let negated = not(both(a, And, compare("b", Gt, 2))).unwrap();
        assert_eq!(shown(negated), [None, stage("NOT a@0 > 1 AND b@1 > 2")]);
    }

    #[test]
    fn a_stage_passes_all_that_the_condition_passes() {
        use Operator::{And, Eq, Gt, Or};
        let values = [None, Some(0), Some(1), Some(2)];
        let rows: Vec<[Option<i64>; 2]> =
            values.iter().flat_map(|a| values.iter().map(move |b| [*a, *b])).collect();
        let columns: Vec<ArrayRef> = (0..2)
            .map(|column| {
                Arc::new(rows.iter().map(|row| row[column]).collect::<Int64Array>()) as ArrayRef
            })
            .collect();
        let nulls = is_null(Arc::new(Column::new("a", 0))).unwrap();
        let order = both(compare("a", Eq, 1), And, compare("b", Gt, 0));
        for expr in [
            both(compare("a", Gt, 0), And, compare("b", Gt, 1)),
            both(compare("a", Gt, 1), Or, Arc::clone(&order)),
            both(nulls, Or, order),
        ] {
            let predicate = Predicate::new(expr, &schema()).unwrap();
            let stages = predicate.stages().unwrap();
            let passing = |known: usize| {
                let stage = stages[known - 1].as_ref().unwrap();
                predicate.passing(stage, &columns[..known], rows.len()).unwrap()
            };
            let (first, all) = (passing(1), passing(2));
            assert!(first.true_count() < rows.len());
            for (place, row) in rows.iter().enumerate() {
                assert!(first.value(place) || !all.value(place), "{row:?}");
            }
        }
    }
}
