//! Parts of a query that are there more than once, such as a CTE with two references, are run once.
//!
//! - this module: finds them in the optimized logical plan, where equality is exact: same expressions
//!   with the same types, same tables
//! - `cte`: CTEs that must be the same for all references, found before the optimizer
//! - `exec`: [`SharedExec`], which runs such a part into governed storage and reads
//!   its rows from there
//!
//! Filters and columns were pushed down before, for each reference on its own; where that made them
//! differ they are not shared.

mod cte;
mod exec;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchemaRef, internal_err};
use datafusion::datasource::source_as_provider;
use datafusion::error::Result;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{
    Expr, Extension, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore,
};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};
use parking_lot::Mutex;

use crate::attempt::InMemoryFirst;
use crate::keys::Apart;
pub(crate) use cte::{RandomCtes, cte_name};
use exec::{Shared, SharedExec};

/// A part of a plan that is there more than once.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd)]
struct SharedNode {
    /// The same for all references, and for no other part of the plan.
    number: usize,
    input: LogicalPlan,
}

impl UserDefinedLogicalNodeCore for SharedNode {
    fn name(&self) -> &str {
        "Shared"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        self.input.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Shared: {}", self.number)
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        match (inputs.pop(), inputs.is_empty()) {
            (Some(input), true) => Ok(SharedNode { number: self.number, input }),
            _ => internal_err!("a shared part has one input"),
        }
    }
}

/// The plan as a part that runs once, however often it is put into a query: for rows that may be
/// others the next time. Nothing is pushed into it.
pub(crate) fn run_once(input: LogicalPlan) -> LogicalPlan {
    shared(new_number(), input)
}

/// Whether a node is a part that runs once.
pub(crate) fn is_run_once(node: &LogicalPlan) -> bool {
    number_of(node).is_some()
}

fn shared(number: usize, input: LogicalPlan) -> LogicalPlan {
    LogicalPlan::Extension(Extension { node: Arc::new(SharedNode { number, input }) })
}

fn number_of(node: &LogicalPlan) -> Option<usize> {
    match node {
        LogicalPlan::Extension(extension) => {
            extension.node.as_any().downcast_ref().map(|node: &SharedNode| node.number)
        }
        _ => None,
    }
}

/// A number that no other part has.
fn new_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(FIRST_OF_OTHERS);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Numbers below are for the equal parts that are found in a plan.
const FIRST_OF_OTHERS: usize = 1 << 20;

/// A part of a plan, and the addresses of its tables, whose names need not say which they are.
type Part = (LogicalPlan, Vec<usize>);

/// The part that a plan is, if it may be run once for several references.
fn shareable(plan: &LogicalPlan) -> Option<Part> {
    let mut tables = Vec::new();
    let (mut is_costly, mut is_volatile, mut is_closed) = (false, false, true);
    let looked = plan.apply(|node| {
        match node {
            LogicalPlan::Aggregate(_)
            | LogicalPlan::Distinct(_)
            | LogicalPlan::Join(_)
            | LogicalPlan::Window(_) => is_costly = true,
            LogicalPlan::TableScan(scan) => {
                let table = source_as_provider(&scan.source)?;
                tables.push(Arc::as_ptr(&table).cast::<()>() as usize);
            }
            LogicalPlan::Extension(extension) if extension.node.as_any().is::<Apart>() => {}
            // What is inside of a recursion is another thing in each round.
            LogicalPlan::RecursiveQuery(_)
            | LogicalPlan::Extension(_)
            | LogicalPlan::Subquery(_)
            | LogicalPlan::Copy(_)
            | LogicalPlan::Dml(_)
            | LogicalPlan::Ddl(_)
            | LogicalPlan::Explain(_)
            | LogicalPlan::Analyze(_)
            | LogicalPlan::Statement(_) => is_closed = false,
            _ => {}
        }
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                is_volatile |= expr.is_volatile_node();
                is_closed &= !matches!(
                    expr,
                    Expr::OuterReferenceColumn(..)
                        | Expr::ScalarSubquery(_)
                        | Expr::Exists(_)
                        | Expr::InSubquery(_)
                        | Expr::Placeholder(_)
                );
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    // Two queries that happen to be alike are random each on its own.
    let is_wanted = is_costly && !is_volatile;
    (looked.is_ok() && is_closed && is_wanted).then(|| (plan.clone(), tables))
}

/// Whether parts below a node are left alone: a recursion runs them again and again, of the two
/// plans of an attempt the second rarely runs, and what is within a part that runs once is there once.
fn is_apart(node: &LogicalPlan) -> bool {
    match node {
        LogicalPlan::RecursiveQuery(_) => true,
        LogicalPlan::Extension(extension) => {
            let node = extension.node.as_any();
            node.is::<InMemoryFirst>() || node.is::<SharedNode>()
        }
        _ => false,
    }
}

/// Marks the largest parts that are there more than once.
pub(crate) fn with_shared_parts(plan: &LogicalPlan) -> Result<LogicalPlan> {
    let mut counts: HashMap<Part, usize> = HashMap::new();
    plan.apply_with_subqueries(|node| {
        if is_apart(node) {
            return Ok(TreeNodeRecursion::Jump);
        }
        if let Some(part) = shareable(node) {
            *counts.entry(part).or_default() += 1;
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    counts.retain(|_, count| *count > 1);
    if counts.is_empty() {
        return Ok(plan.clone());
    }
    let mut numbers: HashMap<Part, usize> = HashMap::new();
    let marked = plan.clone().transform_down_with_subqueries(|node| {
        if is_apart(&node) {
            return Ok(Transformed::new(node, false, TreeNodeRecursion::Jump));
        }
        match shareable(&node).filter(|part| counts.contains_key(part)) {
            None => Ok(Transformed::no(node)),
            Some(part) => {
                let next = numbers.len() + 1;
                let number = *numbers.entry(part).or_insert(next);
                Ok(Transformed::new(shared(number, node), true, TreeNodeRecursion::Jump))
            }
        }
    })?;
    Ok(marked.data)
}

/// Plans the parts of one query; keeps what the references of each share.
#[derive(Default)]
pub(crate) struct Parts(Mutex<HashMap<usize, Arc<Shared>>>);

#[async_trait]
impl ExtensionPlanner for Parts {
    async fn plan_extension(
        &self,
        _: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _: &[&LogicalPlan],
        inputs: &[Arc<dyn ExecutionPlan>],
        _: &dyn Session,
        _: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let Some(node) = node.as_any().downcast_ref::<SharedNode>() else { return Ok(None) };
        let [input] = inputs else { return internal_err!("a shared part has one input") };
        let shared = Arc::clone(self.0.lock().entry(node.number).or_default());
        Ok(Some(Arc::new(SharedExec::new(node.number, Arc::clone(input), shared))))
    }
}
