//! CTEs whose rows may be others each time they are computed: all references see the same ones.
//!
//! A plan says no more of a CTE than each of its references repeats. So the query of such a CTE is
//! given a name of its own while names are resolved, and by that name the rule finds its references.
//! It runs before the optimizer, which would push different filters and columns into them.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::AnalyzerRule;

use super::{new_number, number_of, shared};
use crate::rewrite::{gives_same_rows, reads_work_table};

/// What the names of such CTEs begin with.
const NAME: &str = "__cte_";

/// A name that no other CTE has.
pub(crate) fn cte_name() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    format!("{NAME}{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Runs CTEs with a name of ours once, if they are referred to more than once.
#[derive(Debug)]
pub(crate) struct RandomCtes;

impl AnalyzerRule for RandomCtes {
    fn name(&self) -> &'static str {
        "random_ctes"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let numbers = numbers(&plan)?;
        if numbers.is_empty() {
            return Ok(plan);
        }
        let marked = plan.transform_up_with_subqueries(|node| {
            let number = cte_of(&node).and_then(|name| numbers.get(name)).copied();
            match number {
                Some(number) if may_differ(&node)? => Ok(Transformed::yes(shared(number, node))),
                _ => Ok(Transformed::no(node)),
            }
        });
        marked.data()
    }
}

/// A number for each CTE that is referred to more than once.
fn numbers(plan: &LogicalPlan) -> Result<HashMap<String, usize>> {
    let mut counts: HashMap<String, usize> = HashMap::new();
    let mut parts = HashSet::new();
    plan.apply_with_subqueries(|node| {
        // What is inside of a copy is there once.
        let is_copy = match (number_of(node), cte_of(node)) {
            (Some(number), _) => !parts.insert(number),
            (_, Some(name)) => {
                let count = counts.entry(name.to_string()).or_default();
                *count += 1;
                *count > 1
            }
            _ => false,
        };
        Ok(if is_copy { TreeNodeRecursion::Jump } else { TreeNodeRecursion::Continue })
    })?;
    let several = counts.into_iter().filter(|(_, count)| *count > 1);
    Ok(several.map(|(name, _)| (name, new_number())).collect())
}

/// The name of the CTE that a node is.
fn cte_of(node: &LogicalPlan) -> Option<&str> {
    match node {
        LogicalPlan::SubqueryAlias(alias) => {
            Some(alias.alias.table()).filter(|name| name.starts_with(NAME))
        }
        _ => None,
    }
}

/// Whether two copies may differ. What refers to the query around it, or to the round of a recursion,
/// is another thing each time.
fn may_differ(plan: &LogicalPlan) -> Result<bool> {
    let mut is_closed = true;
    plan.apply_with_subqueries(|node| {
        is_closed &= !node.contains_outer_reference();
        Ok(if is_closed { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    })?;
    Ok(is_closed && !gives_same_rows(plan)? && !reads_work_table(plan)?)
}
