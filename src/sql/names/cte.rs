//! CTEs whose rows may be others each time they are computed.

use std::ops::ControlFlow;

use datafusion::execution::context::SessionState;
use datafusion::logical_expr::Volatility;
use datafusion::sql::sqlparser::ast::{
    Expr, Query, SelectItem, TableFactor, Visit, Visitor, WildcardAdditionalOptions,
};

use crate::error::Result;
use crate::share::cte_name;
use crate::sql::dialect::{derived, select};

/// Gives the query of a CTE a name that its plan can be told by, if its references would not see
/// the same rows else.
pub(super) fn name_if_random(state: &SessionState, query: &mut Query) -> Result<()> {
    if !is_random(state, query) {
        return Ok(());
    }
    let inner = std::mem::replace(query, select(Vec::new(), None)?);
    let all = SelectItem::Wildcard(WildcardAdditionalOptions::default());
    *query = select(vec![all], Some(derived(inner, &cte_name())))?;
    Ok(())
}

/// Whether a part of a statement calls a function that gives another value each time, or takes some
/// rows of many: which ones is open.
fn is_random(state: &SessionState, part: &impl Visit) -> bool {
    part.visit(&mut Draws { state }).is_break()
}

/// Looks for what is drawn anew each time.
struct Draws<'a> {
    state: &'a SessionState,
}

impl Visitor for Draws<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        let Expr::Function(function) = expr else { return ControlFlow::Continue(()) };
        let name = function.name.to_string().to_lowercase();
        let known = self.state.scalar_functions().get(&name);
        found(known.is_some_and(|known| known.signature().volatility == Volatility::Volatile))
    }

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        found(query.limit_clause.is_some() || query.fetch.is_some())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        match factor {
            TableFactor::Table { sample, .. } | TableFactor::Derived { sample, .. } => {
                found(sample.is_some())
            }
            _ => ControlFlow::Continue(()),
        }
    }
}

fn found(is_drawn: bool) -> ControlFlow<()> {
    if is_drawn { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}
