//! Calls of table functions that read files, as tables.

use std::ops::ControlFlow;

use datafusion::execution::context::SessionState;
use datafusion::sql::parser::{CopyToSource, Statement};
use datafusion::sql::sqlparser::ast::{
    Ident, ObjectName, ObjectNamePart, TableFactor, VisitMut, VisitorMut,
};

use super::exact::at;
use crate::error::{Error, Result};
use crate::scan::TableCall;

/// Replaces each such call by a table of the call's text as its name.
///
/// # Errors
/// `Query` or `Config` with a position for wrong arguments and misspelt functions.
pub(super) fn replace(state: &SessionState, statement: &mut Statement) -> Result<()> {
    match visit_queries(statement, &mut Calls { state }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

/// Visits what a statement queries.
pub(crate) fn visit_queries<V: VisitorMut>(
    statement: &mut Statement,
    visitor: &mut V,
) -> ControlFlow<V::Break> {
    match statement {
        Statement::Statement(sql) => sql.visit(visitor),
        Statement::Explain(explain) => visit_queries(&mut explain.statement, visitor),
        Statement::CopyTo(copy) => match &mut copy.source {
            CopyToSource::Query(query) => query.visit(visitor),
            CopyToSource::Relation(_) => ControlFlow::Continue(()),
        },
        Statement::CreateExternalTable(_) | Statement::Reset(_) => ControlFlow::Continue(()),
    }
}

struct Calls<'a> {
    state: &'a SessionState,
}

impl VisitorMut for Calls<'_> {
    type Break = Error;

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Error> {
        let TableFactor::Table { name, args, .. } = factor else {
            return ControlFlow::Continue(());
        };
        let (Some(list), [ObjectNamePart::Identifier(function)]) = (&args, name.0.as_slice())
        else {
            return ControlFlow::Continue(());
        };
        let span = function.span;
        match TableCall::new(&function.value, &list.args) {
            Ok(Some(call)) => {
                let text = call.to_string();
                *name = ObjectName::from(vec![Ident::with_quote_and_span('"', span, text)]);
                *args = None;
                ControlFlow::Continue(())
            }
            Ok(None) => {
                let lower = function.value.to_lowercase();
                match TableCall::near(&lower) {
                    Some(near) if !self.state.table_functions().contains_key(&lower) => {
                        let error = Error::query(format!("no table function \"{lower}\""));
                        ControlFlow::Break(at(
                            error.with_hint(format!("did you mean \"{near}\"?")),
                            span,
                        ))
                    }
                    _ => ControlFlow::Continue(()),
                }
            }
            Err(error) => ControlFlow::Break(at(error, span)),
        }
    }
}
