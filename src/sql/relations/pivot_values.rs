//! The values of pivots that do not name them, found by a query of what is pivoted.

use std::ops::ControlFlow;

use datafusion::execution::context::SessionState;
use datafusion::physical_plan::collect;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, PivotValueSource, Query, SelectItem,
    SetExpr, Statement as Sql, TableFactor, TableWithJoins, Value, VisitorMut, With,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

use crate::error::{Error, Result};
use crate::relations::pivot::{MOST_COLUMNS, name_of, too_many, values};
use crate::sql::names;

/// The function that gives a text a type: what is written for values that have no literals.
const TYPED: &str = "arrow_cast";

/// Puts the values that there are into pivots that name none. Runs a query for each.
///
/// # Errors
/// `Query` if there are too many values; those of the queries.
pub(crate) async fn find_values(state: &SessionState, statement: &mut Statement) -> Result<()> {
    let mut found = None;
    loop {
        let mut search = Search { scopes: Vec::new(), found };
        match names::visit_queries(statement, &mut search) {
            ControlFlow::Continue(()) => return Ok(()),
            ControlFlow::Break(query) => {
                found = Some(Box::pin(distinct_values(state, (*query)?)).await?);
            }
        }
    }
}

/// A query around the place where the search is.
struct Scope {
    with: Option<With>,
    /// Queries directly inside of it, so far; those of WITH come first.
    inside: usize,
}

/// Looks for the first column of a pivot without values; puts those in that were found for the last
/// one.
struct Search {
    scopes: Vec<Scope>,
    found: Option<Vec<Expr>>,
}

impl VisitorMut for Search {
    type Break = Box<Result<Query>>;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Self::Break> {
        if let Some(outer) = self.scopes.last_mut() {
            outer.inside += 1;
        }
        self.scopes.push(Scope { with: query.with.clone(), inside: 0 });
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<Self::Break> {
        self.scopes.pop();
        ControlFlow::Continue(())
    }

    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Self::Break> {
        let TableFactor::Pivot { table, value_column, value_source, .. } = factor else {
            return ControlFlow::Continue(());
        };
        if !matches!(value_source, PivotValueSource::Any(_)) {
            return ControlFlow::Continue(());
        }
        for column in value_column {
            let expr = inside(column.clone());
            if matches!(expr, Expr::InList { .. }) {
                continue;
            }
            match self.found.take() {
                Some(list) => {
                    let list = Expr::InList { expr: Box::new(expr), list, negated: false };
                    *column = Expr::Nested(Box::new(list));
                }
                None => return ControlFlow::Break(Box::new(self.query(table, expr))),
            }
        }
        ControlFlow::Continue(())
    }
}

impl Search {
    /// The query of the values of an expression of a table.
    fn query(&self, table: &TableFactor, expr: Expr) -> Result<Query> {
        let text = format!(
            "SELECT DISTINCT 1 FROM t WHERE x IS NOT NULL ORDER BY 1 LIMIT {}",
            MOST_COLUMNS + 1
        );
        let parsed = Parser::new(&GenericDialect {}).try_with_sql(&text);
        let mut query = *parsed
            .and_then(|mut parser| parser.parse_query())
            .map_err(|err| Error::internal(format!("a query was not understood: {err}")))?;
        let SetExpr::Select(select) = query.body.as_mut() else {
            return Err(Error::internal("a SELECT became another query"));
        };
        select.selection = Some(Expr::IsNotNull(Box::new(Expr::Nested(Box::new(expr.clone())))));
        select.projection = vec![SelectItem::UnnamedExpr(expr)];
        select.from = vec![TableWithJoins { relation: table.clone(), joins: Vec::new() }];
        query.with = self.ctes();
        Ok(query)
    }

    /// The CTEs in sight.
    fn ctes(&self) -> Option<With> {
        let mut all: Option<With> = None;
        let innermost = self.scopes.len().saturating_sub(1);
        for (depth, scope) in self.scopes.iter().enumerate() {
            let Some(with) = &scope.with else { continue };
            let mut with = with.clone();
            if depth < innermost && scope.inside <= with.cte_tables.len() {
                // We are in one of them, which sees those before it.
                with.cte_tables.truncate(scope.inside.saturating_sub(1));
            }
            match &mut all {
                None => all = Some(with),
                Some(all) => {
                    all.recursive |= with.recursive;
                    // A name that is there again hides the outer one.
                    all.cte_tables.retain(|outer| {
                        !with.cte_tables.iter().any(|cte| cte.alias.name == outer.alias.name)
                    });
                    all.cte_tables.extend(with.cte_tables);
                }
            }
        }
        all.filter(|with| !with.cte_tables.is_empty())
    }
}

/// Runs a query of one column; gives its values as literals.
async fn distinct_values(state: &SessionState, query: Query) -> Result<Vec<Expr>> {
    let mut statement = Statement::Statement(Box::new(Sql::Query(Box::new(query))));
    Box::pin(names::resolve(state, &mut statement)).await?;
    let plan = state.statement_to_plan(statement).await?;
    let plan = state.create_physical_plan(&plan).await?;
    let batches = collect(plan, state.task_ctx()).await?;
    let mut literals = Vec::new();
    for batch in &batches {
        for value in values(batch.column(0))? {
            literals.push(literal(&name_of(&value)?, &value)?);
        }
    }
    if literals.len() > MOST_COLUMNS {
        return Err(too_many());
    }
    Ok(literals)
}

fn literal(text: &str, value: &datafusion::common::ScalarValue) -> Result<Expr> {
    let data_type = value.data_type();
    let quoted = text.replace('\'', "''");
    let sql = if data_type.is_string() {
        format!("'{quoted}'")
    } else if data_type.is_integer() || data_type == arrow::datatypes::DataType::Boolean {
        text.to_string()
    } else {
        format!("{TYPED}('{quoted}', '{}')", data_type.to_string().replace('\'', "''"))
    };
    Parser::new(&GenericDialect {})
        .try_with_sql(&sql)
        .and_then(|mut parser| parser.parse_expr())
        .map_err(|err| Error::internal(format!("the value {sql} was not understood: {err}")))
}

/// The text of a value that was given a type.
pub(super) fn text_of_typed(value: &Expr) -> Option<String> {
    let Expr::Function(function) = value else { return None };
    let FunctionArguments::List(list) = &function.args else { return None };
    if !function.name.to_string().eq_ignore_ascii_case(TYPED) {
        return None;
    }
    match list.args.first()? {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(text))) => match &text.value {
            Value::SingleQuotedString(text) => Some(text.clone()),
            _ => None,
        },
        _ => None,
    }
}

/// An expression without brackets.
pub(super) fn inside(expr: Expr) -> Expr {
    match expr {
        Expr::Nested(expr) => inside(*expr),
        expr => expr,
    }
}
