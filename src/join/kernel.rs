//! The join of two inputs in memory: DataFusion's operators, given other inputs.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::datatypes::SchemaRef;
use datafusion::common::{JoinType, NullEquality, internal_err};
use datafusion::error::Result;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::DynamicFilterPhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::{
    CrossJoinExec, HashJoinExec, NestedLoopJoinExec, NestedLoopJoinExecBuilder, PartitionMode,
};

/// A join without its inputs. Which of them is built and which probes can be turned round.
#[derive(Clone)]
pub(super) struct Kernel {
    join: Join,
    /// Whether the right input of `join` is built instead of the left.
    is_swapped: bool,
    shape: Shape,
}

#[derive(Clone)]
enum Join {
    Hash(Arc<HashJoinExec>),
    Loop(Arc<NestedLoopJoinExec>),
    Cross(Arc<CrossJoinExec>),
}

/// What becomes of the columns that the join gives.
#[derive(Clone)]
enum Shape {
    /// They are the result.
    AsIs,
    /// These of them are the result.
    Projected(Option<Vec<usize>>),
    /// They are those of the right input; NULLs stand for the left one, and these of all are the
    /// result.
    LeftIsNull { left: SchemaRef, projection: Option<Vec<usize>> },
}

/// The side of a join as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

/// Expressions that are equal where rows match.
pub(super) type Keys = Vec<Arc<dyn PhysicalExpr>>;

impl Kernel {
    /// The join that a node of a plan does, unless it is none we can take over.
    pub(super) fn of(plan: &dyn ExecutionPlan) -> Result<Option<Self>> {
        let join = if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
            let collected = join.builder().with_partition_mode(PartitionMode::CollectLeft);
            Join::Hash(Arc::new(collected.with_fetch(None).build()?))
        } else if let Some(join) = plan.downcast_ref::<NestedLoopJoinExec>() {
            Join::Loop(Arc::new(NestedLoopJoinExecBuilder::from(join).build()?))
        } else if let Some(join) = plan.downcast_ref::<CrossJoinExec>() {
            Join::Cross(Arc::new(CrossJoinExec::new(
                Arc::clone(join.left()),
                Arc::clone(join.right()),
            )))
        } else {
            return Ok(None);
        };
        Ok(Some(Kernel { join, is_swapped: false, shape: Shape::AsIs }))
    }

    /// The node of the plan.
    pub(super) fn plan(&self) -> Arc<dyn ExecutionPlan> {
        match &self.join {
            Join::Hash(join) => Arc::clone(join) as _,
            Join::Loop(join) => Arc::clone(join) as _,
            Join::Cross(join) => Arc::clone(join) as _,
        }
    }

    pub(super) fn name(&self) -> &'static str {
        match self.join {
            Join::Hash(_) => "SpillingHashJoinExec",
            Join::Loop(_) => "SpillingNestedLoopJoinExec",
            Join::Cross(_) => "SpillingCrossJoinExec",
        }
    }

    pub(super) fn join_type(&self) -> JoinType {
        match &self.join {
            Join::Hash(join) => *join.join_type(),
            Join::Loop(join) => *join.join_type(),
            Join::Cross(_) => JoinType::Inner,
        }
    }

    /// The keys of the sides that are built and that probe, where there are any.
    pub(super) fn keys(&self) -> Option<(Keys, Keys)> {
        let Join::Hash(join) = &self.join else { return None };
        let (left, right) = join.on().iter().cloned().unzip();
        Some(if self.is_swapped { (right, left) } else { (left, right) })
    }

    /// Whether a NULL in a key equals nothing, as in SQL's `=`.
    pub(super) fn null_equals_nothing(&self) -> bool {
        match &self.join {
            Join::Hash(join) => join.null_equality() == NullEquality::NullEqualsNothing,
            Join::Loop(_) | Join::Cross(_) => false,
        }
    }

    /// Whether this is NOT IN: a NULL on the probe side leaves no row.
    pub(super) fn is_null_aware(&self) -> bool {
        matches!(&self.join, Join::Hash(join) if join.null_aware)
    }

    /// Which sides rows are given of that match nothing: build, probe.
    pub(super) fn preserves(&self) -> (bool, bool) {
        use JoinType::{Full, Left, LeftAnti, LeftMark, Right, RightAnti, RightMark};
        let join_type = self.join_type();
        let left = matches!(join_type, Left | Full | LeftAnti | LeftMark);
        let right = matches!(join_type, Right | Full | RightAnti | RightMark);
        if self.is_swapped { (right, left) } else { (left, right) }
    }

    /// The side whose rows can be joined in parts with all rows of the other, the results of the
    /// parts being the result of the whole; both where either is right, none for full joins.
    pub(super) fn divisible(&self) -> Divisible {
        use JoinType::{
            Full, Inner, Left, LeftAnti, LeftMark, LeftSemi, Right, RightAnti, RightMark, RightSemi,
        };
        let side = match self.join_type() {
            Inner => return Divisible::Either,
            Full => return Divisible::Neither,
            Left | LeftSemi | LeftAnti | LeftMark => Side::Left,
            Right | RightSemi | RightAnti | RightMark => Side::Right,
        };
        Divisible::Only(side)
    }

    /// The side that is built.
    pub(super) fn build_side(&self) -> Side {
        if self.is_swapped { Side::Right } else { Side::Left }
    }

    /// The same join with its sides turned round.
    pub(super) fn turned(&self) -> Self {
        Kernel { is_swapped: !self.is_swapped, ..self.clone() }
    }

    /// The same join with this side built.
    pub(super) fn building(&self, side: Side) -> Self {
        Kernel { is_swapped: side == Side::Right, ..self.clone() }
    }

    /// The same join for inputs of which it is known that no key is NULL where that matters.
    pub(super) fn without_null_awareness(&self) -> Result<Self> {
        let Join::Hash(join) = &self.join else { return Ok(self.clone()) };
        let join = join.builder().reset_state().with_null_aware(false).build()?;
        Ok(Kernel { join: Join::Hash(Arc::new(join)), ..self.clone() })
    }

    /// A full join as two: the left join, and the rows of the right input without a match.
    pub(super) fn halves_of_full(&self) -> Result<[Self; 2]> {
        let (left, projection) = match &self.join {
            Join::Hash(join) => (join.left().schema(), join.projection.clone()),
            Join::Loop(join) => (join.left().schema(), join.projection().clone()),
            Join::Cross(_) => return internal_err!("a cross join is not a full join"),
        };
        let projection = projection.map(|columns| columns.to_vec());
        let with_type = |join_type: JoinType| -> Result<Join> {
            Ok(match &self.join {
                Join::Hash(join) => Join::Hash(Arc::new(
                    join.builder()
                        .reset_state()
                        .with_projection(None)
                        .with_type(join_type)
                        .build()?,
                )),
                Join::Loop(join) => Join::Loop(Arc::new(
                    NestedLoopJoinExecBuilder::new(
                        Arc::clone(join.left()),
                        Arc::clone(join.right()),
                        join_type,
                    )
                    .with_filter(join.filter().cloned())
                    .build()?,
                )),
                Join::Cross(_) => return internal_err!("a cross join is not a full join"),
            })
        };
        Ok([
            Kernel {
                join: with_type(JoinType::Left)?,
                is_swapped: false,
                shape: Shape::Projected(projection.clone()),
            },
            Kernel {
                join: with_type(JoinType::RightAnti)?,
                is_swapped: true,
                shape: Shape::LeftIsNull { left, projection },
            },
        ])
    }

    /// The filter that the build side gives to what is read on the probe side, if there is one.
    pub(super) fn dynamic_filter(&self) -> Option<Arc<DynamicFilterPhysicalExpr>> {
        let Join::Hash(join) = &self.join else { return None };
        let filter = join.dynamic_expressions_produced().into_iter().next()?;
        Arc::downcast(filter).ok()
    }

    /// The join of these inputs; `build` has one partition. With `dynamic_filter`, which only a join
    /// of all rows may give, the build side tells it what to look for.
    pub(super) fn with_inputs(
        &self,
        build: Arc<dyn ExecutionPlan>,
        probe: Arc<dyn ExecutionPlan>,
        dynamic_filter: Option<Arc<DynamicFilterPhysicalExpr>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (left, right) = if self.is_swapped { (probe, build) } else { (build, probe) };
        match &self.join {
            Join::Hash(join) => {
                let builder = join.builder().reset_state().recompute_properties();
                let mut join = builder.with_new_children(vec![left, right])?.build()?;
                if self.is_swapped {
                    return join.swap_inputs(PartitionMode::CollectLeft);
                }
                if let Some(filter) = dynamic_filter {
                    join = join.with_dynamic_filter_expr(filter)?;
                }
                Ok(Arc::new(join))
            }
            Join::Loop(join) => {
                let join = NestedLoopJoinExecBuilder::new(left, right, *join.join_type())
                    .with_filter(join.filter().cloned())
                    .with_projection_ref(join.projection().clone())
                    .build()?;
                if self.is_swapped { join.swap_inputs() } else { Ok(Arc::new(join)) }
            }
            Join::Cross(_) => {
                let join = CrossJoinExec::new(left, right);
                if self.is_swapped { join.swap_inputs() } else { Ok(Arc::new(join)) }
            }
        }
    }

    /// A batch that the join gave, as a batch of the result, which has this schema.
    pub(super) fn shaped(&self, batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
        let rows = batch.num_rows();
        let (columns, projection): (Vec<ArrayRef>, _) = match &self.shape {
            Shape::AsIs => (batch.columns().to_vec(), &None),
            Shape::Projected(projection) => (batch.columns().to_vec(), projection),
            Shape::LeftIsNull { left, projection } => {
                let nulls =
                    left.fields().iter().map(|field| new_null_array(field.data_type(), rows));
                (nulls.chain(batch.columns().iter().cloned()).collect(), projection)
            }
        };
        let columns = match projection {
            Some(projection) => projection.iter().map(|&i| Arc::clone(&columns[i])).collect(),
            None => columns,
        };
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(SchemaRef::clone(schema), columns, &options)?)
    }
}

/// See [`Kernel::divisible`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Divisible {
    Either,
    Only(Side),
    Neither,
}
