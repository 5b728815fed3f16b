//! Unquoted names match whatever their case; results keep the case of the file.
//!
//! DataFusion lowers unquoted names and then finds no `BUYER_STATE`. So, before it plans a
//! statement, every unquoted table and column name is replaced by the one it stands for, quoted.
//! The walk follows SQL's scopes: CTEs, the tables of each FROM, the aliases of each SELECT, the
//! scopes around a subquery. A name that matches several spellings is an error that names them. A
//! name that matches nothing is left for DataFusion to report, or to understand (some words that
//! look like names are not).
//!
//! The walk also
//! - names expressions by their text (`avg(total_amount)`), as DataFusion's own names repeat the
//!   path of a file;
//! - gives a file that is read without an alias its stem as one (`'data/taxi.csv'` → `taxi`);
//! - refuses `TABLESAMPLE`, which DataFusion would silently ignore.

use std::collections::{BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::datatypes::{DataType, Fields};
use datafusion::catalog::SchemaProvider;
use datafusion::common::{ResolvedTableReference, TableReference};
use datafusion::execution::context::SessionState;
use datafusion::sql::parser::{CopyToSource, Statement};
use datafusion::sql::sqlparser::ast::{
    AssignmentTarget, Distinct, ExcludeSelectItem, Expr, FromTable, GroupByExpr, Ident, Join,
    JoinConstraint, JoinOperator, NamedWindowExpr, ObjectName, ObjectNamePart, OrderBy,
    OrderByKind, Query, RenameSelectItem, Select, SelectFlavor, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, SetOperator, SetQuantifier, Statement as Sql,
    TableAlias, TableFactor, TableObject, TableWithJoins, VisitMut, VisitorMut,
    WildcardAdditionalOptions, visit_relations,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use crate::error::{Error, Position, Result};
use crate::scan::files::looks_like_path;

/// Makes every name of the statement exact.
///
/// # Errors
/// `Query` with a position for ambiguous names, unknown tables and `TABLESAMPLE`; the errors of
/// opening a file that is read as a table.
pub(crate) async fn resolve(state: &SessionState, statement: &mut Statement) -> Result<()> {
    let tables = Tables::load(state, statement).await?;
    Resolver { tables, ctes: Vec::new(), scopes: Vec::new() }.statement(statement)
}

/// A column as a name can refer to it.
#[derive(Debug, Clone)]
struct Column {
    name: String,
    /// Type, to find the fields of structs; `None` when not known.
    data_type: Option<DataType>,
}

/// Columns of a relation; `None` when they are only known to DataFusion.
type Columns = Option<Vec<Column>>;

/// One relation of a FROM.
#[derive(Debug)]
struct Relation {
    /// What qualifies its columns.
    name: Option<String>,
    columns: Columns,
}

/// The names one SELECT can see.
#[derive(Debug, Default)]
struct Scope {
    relations: Vec<Relation>,
    aliases: Vec<String>,
}

/// The tables a statement refers to, by their names as written.
struct Tables {
    by_name: HashMap<Vec<String>, Table>,
    /// All tables there are, for suggestions.
    all: Vec<String>,
}

struct Table {
    /// The table's exact name.
    name: String,
    columns: Vec<Column>,
}

impl Tables {
    async fn load(state: &SessionState, statement: &Statement) -> Result<Self> {
        let mut names: Vec<ObjectName> = Vec::new();
        relations(statement, &mut names);
        let options = &state.config_options().catalog;
        let (catalog, schema) = (&options.default_catalog, &options.default_schema);
        let all = state
            .catalog_list()
            .catalog(catalog)
            .and_then(|catalog| catalog.schema(schema))
            .map(|schema| schema.table_names())
            .unwrap_or_default();
        let mut by_name = HashMap::new();
        for name in names {
            let Some(parts) = idents(&name) else { continue };
            let key: Vec<String> = parts.iter().map(|part| part.value.clone()).collect();
            if by_name.contains_key(&key) {
                continue;
            }
            // Catalogs and schemas are lowered as DataFusion does.
            let lowered = |part: &Ident| match part.quote_style {
                Some(_) => part.value.clone(),
                None => part.value.to_lowercase(),
            };
            let reference = match parts.as_slice() {
                [table] => TableReference::bare(table.value.as_str()),
                [schema, table] => TableReference::partial(lowered(schema), table.value.as_str()),
                [catalog, schema, table] => {
                    TableReference::full(lowered(catalog), lowered(schema), table.value.as_str())
                }
                _ => continue,
            };
            let last = parts.last().expect("a name has parts");
            let resolved = reference.resolve(catalog, schema);
            let Some(provider) = schema_provider(state, &resolved) else { continue };
            let exact = if last.quote_style.is_some() {
                last.value.clone()
            } else {
                let found = provider.table_names();
                let same = found.into_iter().filter(|n| n.eq_ignore_ascii_case(&last.value));
                one_spelling(last, same)?.unwrap_or_else(|| last.value.to_lowercase())
            };
            if let Some(table) = provider.table(&exact).await? {
                let columns = columns_of(table.schema().fields());
                by_name.insert(key, Table { name: exact, columns });
            }
        }
        Ok(Tables { by_name, all })
    }

    fn get(&self, name: &ObjectName) -> Option<&Table> {
        let key: Vec<String> = idents(name)?.iter().map(|part| part.value.clone()).collect();
        self.by_name.get(&key)
    }
}

fn schema_provider(
    state: &SessionState,
    reference: &ResolvedTableReference,
) -> Option<Arc<dyn SchemaProvider>> {
    state
        .schema_for_ref(TableReference::full(
            reference.catalog.as_ref(),
            reference.schema.as_ref(),
            reference.table.as_ref(),
        ))
        .ok()
}

fn columns_of(fields: &Fields) -> Vec<Column> {
    fields
        .iter()
        .map(|field| Column {
            name: field.name().clone(),
            data_type: Some(field.data_type().clone()),
        })
        .collect()
}

/// Every name in a place where a table can stand.
fn relations(statement: &Statement, names: &mut Vec<ObjectName>) {
    let mut push = |name: &ObjectName| {
        names.push(name.clone());
        ControlFlow::<()>::Continue(())
    };
    match statement {
        Statement::Statement(sql) => {
            let _ = visit_relations(sql, &mut push);
            if let Sql::Drop { names: dropped, .. } = sql.as_ref() {
                names.extend(dropped.iter().cloned());
            }
            if let Sql::CreateView(view) = sql.as_ref() {
                names.push(view.name.clone());
            }
        }
        Statement::CopyTo(copy) => match &copy.source {
            CopyToSource::Relation(name) => names.push(name.clone()),
            CopyToSource::Query(query) => {
                let _ = visit_relations(query, &mut push);
            }
        },
        Statement::Explain(explain) => relations(&explain.statement, names),
        Statement::CreateExternalTable(create) => names.push(create.name.clone()),
        Statement::Reset(_) => {}
    }
}

fn idents(name: &ObjectName) -> Option<Vec<&Ident>> {
    name.0.iter().map(ObjectNamePart::as_ident).collect()
}

fn last_ident(name: &mut ObjectName) -> Option<&mut Ident> {
    match name.0.last_mut() {
        Some(ObjectNamePart::Identifier(ident)) => Some(ident),
        _ => None,
    }
}

/// Makes an identifier stand for exactly this name.
fn set_exact(ident: &mut Ident, name: &str) {
    ident.value = name.to_string();
    ident.quote_style = Some('"');
}

/// Keeps the case of a name that is introduced here.
fn keep_case(ident: &mut Ident) {
    ident.quote_style = ident.quote_style.or(Some('"'));
}

fn position(span: Span) -> Position {
    Position { line: span.start.line, column: span.start.column }
}

fn at(error: Error, span: Span) -> Error {
    if span.start.line == 0 { error } else { error.with_position(position(span)) }
}

/// The one spelling among matches.
///
/// # Errors
/// `Query` that names the spellings if there are several.
fn one_spelling(ident: &Ident, matches: impl Iterator<Item = String>) -> Result<Option<String>> {
    let spellings: BTreeSet<String> = matches.collect();
    if spellings.len() < 2 {
        return Ok(spellings.into_iter().next());
    }
    let list: Vec<String> = spellings.iter().map(|name| format!("\"{name}\"")).collect();
    let error = Error::query(format!("\"{}\" is ambiguous: {}", ident.value, list.join(" or ")))
        .with_hint("put the one that is meant in double quotes");
    Err(at(error, ident.span))
}

struct Resolver {
    tables: Tables,
    /// CTEs in sight, innermost last, with their exact names.
    ctes: Vec<(String, Columns)>,
    /// Scopes in sight, innermost last.
    scopes: Vec<Scope>,
}

impl Resolver {
    fn statement(&mut self, statement: &mut Statement) -> Result<()> {
        match statement {
            Statement::Statement(sql) => self.sql(sql),
            Statement::Explain(explain) => self.statement(&mut explain.statement),
            Statement::CopyTo(copy) => {
                let columns = match &mut copy.source {
                    CopyToSource::Relation(name) => self.table(name)?,
                    CopyToSource::Query(query) => self.query(query)?,
                };
                for name in &mut copy.partitioned_by {
                    let ident = Ident::new(name.clone());
                    if let Some(exact) = find(&columns, &ident)? {
                        *name = exact;
                    }
                }
                super::copy::complete(copy);
                Ok(())
            }
            Statement::CreateExternalTable(create) => {
                self.new_table(&mut create.name);
                let mut columns = Vec::new();
                for column in &mut create.columns {
                    keep_case(&mut column.name);
                    columns.push(Column { name: column.name.value.clone(), data_type: None });
                }
                let columns = (!columns.is_empty()).then_some(columns);
                for name in &mut create.table_partition_cols {
                    if let Some(exact) = find(&columns, &Ident::new(name.clone()))? {
                        *name = exact;
                    }
                }
                self.within(Relation { name: None, columns }, |resolver| {
                    for order in create.order_exprs.iter_mut().flatten() {
                        resolver.expr(&mut order.expr)?;
                    }
                    Ok(())
                })
            }
            Statement::Reset(_) => Ok(()),
        }
    }

    fn sql(&mut self, sql: &mut Sql) -> Result<()> {
        match sql {
            Sql::Query(query) => self.query(query).map(drop),
            Sql::CreateView(view) => {
                self.new_table(&mut view.name);
                view.columns.iter_mut().for_each(|column| keep_case(&mut column.name));
                self.query(&mut view.query).map(drop)
            }
            Sql::CreateTable(create) => {
                self.new_table(&mut create.name);
                create.columns.iter_mut().for_each(|column| keep_case(&mut column.name));
                match &mut create.query {
                    Some(query) => self.query(query).map(drop),
                    None => Ok(()),
                }
            }
            Sql::Drop { names, .. } => {
                names.iter_mut().for_each(|name| self.new_table(name));
                Ok(())
            }
            Sql::ExplainTable { table_name, .. } => self.table(table_name).map(drop),
            Sql::Explain { statement, .. } => self.sql(statement),
            Sql::Insert(insert) => {
                if let TableObject::TableName(name) = &mut insert.table {
                    let columns = self.table(name)?;
                    for column in &mut insert.columns {
                        if let Some(ident) = last_ident(column)
                            && let Some(exact) = find(&columns, ident)?
                        {
                            set_exact(ident, &exact);
                        }
                    }
                }
                match &mut insert.source {
                    Some(query) => self.query(query).map(drop),
                    None => Ok(()),
                }
            }
            Sql::Delete(delete) => {
                let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) =
                    &mut delete.from;
                self.scopes.push(Scope::default());
                let result = self.from(from).and_then(|()| self.exprs(&mut delete.selection));
                self.scopes.pop();
                result
            }
            Sql::Update(update) => {
                self.scopes.push(Scope::default());
                let result = self.update(update);
                self.scopes.pop();
                result
            }
            _ => Ok(()),
        }
    }

    fn update(&mut self, update: &mut datafusion::sql::sqlparser::ast::Update) -> Result<()> {
        self.table_with_joins(&mut update.table)?;
        for assignment in &mut update.assignments {
            if let AssignmentTarget::ColumnName(name) = &mut assignment.target
                && let Some(ident) = last_ident(name)
            {
                self.ident(ident, false)?;
            }
            self.expr(&mut assignment.value)?;
        }
        self.exprs(&mut update.selection)
    }

    /// A name that a statement creates or drops: that of an existing table if it is the same but
    /// for its case, else as written.
    fn new_table(&mut self, name: &mut ObjectName) {
        let existing = self.tables.get(name).map(|table| table.name.clone());
        if let Some(ident) = last_ident(name) {
            match existing {
                Some(exact) => set_exact(ident, &exact),
                None => keep_case(ident),
            }
        }
    }

    /// A table that must exist.
    fn table(&mut self, name: &mut ObjectName) -> Result<Columns> {
        if let [ObjectNamePart::Identifier(ident)] = name.0.as_mut_slice() {
            let cte = self.ctes.iter().rev().find(|(cte, _)| same(ident, cte));
            if let Some((exact, columns)) = cte {
                set_exact(ident, exact);
                return Ok(columns.clone());
            }
        }
        if let Some(table) = self.tables.get(name) {
            let (exact, columns) = (table.name.clone(), table.columns.clone());
            if let Some(ident) = last_ident(name) {
                set_exact(ident, &exact);
            }
            return Ok(Some(columns));
        }
        let Some(ident) = idents(name).and_then(|parts| parts.last().copied()) else {
            return Ok(None);
        };
        let error = Error::query(format!("no table \"{}\"", ident.value));
        let error = match crate::error::nearest(&ident.value, &self.tables.all) {
            Some(near) => error.with_hint(format!("did you mean \"{near}\"?")),
            None => error.with_hint(
                "a file is read as a table when its path is quoted: FROM 'folder/file.csv'",
            ),
        };
        Err(at(error, ident.span))
    }

    fn query(&mut self, query: &mut Query) -> Result<Columns> {
        let outer_ctes = self.ctes.len();
        let result = self.query_inner(query);
        self.ctes.truncate(outer_ctes);
        result
    }

    fn query_inner(&mut self, query: &mut Query) -> Result<Columns> {
        if let Some(with) = &mut query.with {
            for cte in &mut with.cte_tables {
                keep_case(&mut cte.alias.name);
                let name = cte.alias.name.value.clone();
                let aliases = alias_columns(&mut cte.alias);
                if with.recursive {
                    // The first part of the union, which does not refer to the CTE, names it.
                    let columns = match (&aliases, cte.query.body.as_mut()) {
                        (None, SetExpr::SetOperation { left, .. }) => self.set_expr(left)?,
                        _ => aliases.clone(),
                    };
                    self.ctes.push((name.clone(), columns));
                }
                let columns = self.query(&mut cte.query)?;
                if with.recursive {
                    self.ctes.pop();
                }
                self.ctes.push((name, aliases.or(columns)));
            }
        }
        if let SetExpr::Select(select) = query.body.as_mut() {
            return self.select(select, query.order_by.as_mut());
        }
        let columns = self.set_expr(&mut query.body)?;
        if let Some(order_by) = &mut query.order_by {
            let output = Relation { name: None, columns: columns.clone() };
            self.within(output, |resolver| resolver.order_by(order_by))?;
        }
        Ok(columns)
    }

    fn set_expr(&mut self, body: &mut SetExpr) -> Result<Columns> {
        match body {
            SetExpr::Select(select) => self.select(select, None),
            SetExpr::Query(query) => self.query(query),
            SetExpr::SetOperation { left, right, op, set_quantifier } => {
                let keeps_all =
                    matches!(set_quantifier, SetQuantifier::All | SetQuantifier::AllByName);
                if keeps_all && *op != SetOperator::Union {
                    // DataFusion would keep every copy that has a match, not the right number.
                    return Err(Error::query(format!("{op} ALL is not supported"))
                        .with_hint(format!("{op} without ALL keeps one copy of each row")));
                }
                let columns = self.set_expr(left)?;
                self.set_expr(right)?;
                Ok(columns)
            }
            SetExpr::Values(values) => {
                let width = values.rows.first().map_or(0, |row| row.content.len());
                for row in &mut values.rows {
                    for expr in &mut row.content {
                        self.expr(expr)?;
                    }
                }
                let name = |number| Column { name: format!("column{number}"), data_type: None };
                Ok(Some((1..=width).map(name).collect()))
            }
            _ => Ok(None),
        }
    }

    fn select(&mut self, select: &mut Select, order_by: Option<&mut OrderBy>) -> Result<Columns> {
        self.scopes.push(Scope::default());
        let result = self.select_inner(select, order_by);
        self.scopes.pop();
        result
    }

    fn select_inner(
        &mut self,
        select: &mut Select,
        order_by: Option<&mut OrderBy>,
    ) -> Result<Columns> {
        if select.flavor == SelectFlavor::FromFirstNoSelect {
            select.flavor = SelectFlavor::Standard;
            select.projection.push(SelectItem::Wildcard(WildcardAdditionalOptions::default()));
        }
        self.from(&mut select.from)?;
        let columns = self.projection(&mut select.projection)?;
        if let Some(Distinct::On(exprs)) = &mut select.distinct {
            self.exprs(exprs)?;
        }
        self.exprs(&mut select.prewhere)?;
        self.exprs(&mut select.selection)?;
        match &mut select.group_by {
            GroupByExpr::Expressions(exprs, _) => self.exprs(exprs)?,
            GroupByExpr::All(_) => {}
        }
        self.exprs(&mut select.having)?;
        self.exprs(&mut select.qualify)?;
        for window in &mut select.named_window {
            if let NamedWindowExpr::WindowSpec(spec) = &mut window.1 {
                self.exprs(&mut spec.partition_by)?;
                for order in &mut spec.order_by {
                    self.expr(&mut order.expr)?;
                }
            }
        }
        if let Some(order_by) = order_by {
            self.order_by(order_by)?;
        }
        Ok(columns)
    }

    fn order_by(&mut self, order_by: &mut OrderBy) -> Result<()> {
        let OrderByKind::Expressions(exprs) = &mut order_by.kind else { return Ok(()) };
        for order in exprs {
            match &mut order.expr {
                // An output column comes before one of the tables, as SQL has it.
                Expr::Identifier(ident) => self.ident(ident, true)?,
                expr => self.expr(expr)?,
            }
        }
        Ok(())
    }

    fn from(&mut self, from: &mut [TableWithJoins]) -> Result<()> {
        from.iter_mut().try_for_each(|table| self.table_with_joins(table))
    }

    fn table_with_joins(&mut self, table: &mut TableWithJoins) -> Result<()> {
        self.relation(&mut table.relation)?;
        for join in &mut table.joins {
            let left_count = self.scope().relations.len();
            self.relation(&mut join.relation)?;
            self.join(join, left_count)?;
        }
        Ok(())
    }

    fn join(&mut self, join: &mut Join, left_count: usize) -> Result<()> {
        let keeps_right = matches!(
            join.join_operator,
            JoinOperator::Right(_) | JoinOperator::RightOuter(_) | JoinOperator::FullOuter(_)
        );
        let constraint = match &mut join.join_operator {
            JoinOperator::Join(c)
            | JoinOperator::Inner(c)
            | JoinOperator::Left(c)
            | JoinOperator::LeftOuter(c)
            | JoinOperator::Right(c)
            | JoinOperator::RightOuter(c)
            | JoinOperator::FullOuter(c)
            | JoinOperator::CrossJoin(c)
            | JoinOperator::Semi(c)
            | JoinOperator::LeftSemi(c)
            | JoinOperator::RightSemi(c)
            | JoinOperator::Anti(c)
            | JoinOperator::LeftAnti(c)
            | JoinOperator::RightAnti(c)
            | JoinOperator::StraightJoin(c) => c,
            JoinOperator::AsOf { match_condition, constraint } => {
                self.expr(match_condition)?;
                constraint
            }
            _ => return Ok(()),
        };
        match constraint {
            JoinConstraint::On(expr) => self.expr(expr),
            JoinConstraint::Using(_) | JoinConstraint::Natural if keeps_right => {
                // DataFusion would give the left key, NULL for rows that are only on the right.
                Err(Error::query("USING and NATURAL are not supported in RIGHT and FULL joins")
                    .with_hint("write ON, and coalesce(a.key, b.key) for the key of either side"))
            }
            JoinConstraint::Using(names) => {
                for name in names {
                    let Some(ident) = last_ident(name) else { continue };
                    self.using(ident, left_count)?;
                }
                Ok(())
            }
            JoinConstraint::Natural | JoinConstraint::None => Ok(()),
        }
    }

    /// `USING (id)`: both sides must spell the column the same.
    fn using(&mut self, ident: &mut Ident, left_count: usize) -> Result<()> {
        let relations = &self.scope().relations;
        let side = |relations: &[Relation]| {
            let columns = relations.iter().filter_map(|r| r.columns.as_ref()).flatten();
            one_spelling(ident, columns.map(|c| c.name.clone()).filter(|name| same(ident, name)))
        };
        let (left, right) = (side(&relations[..left_count])?, side(&relations[left_count..])?);
        match (left, right) {
            (Some(left), Some(right)) if left != right => {
                let error = Error::query(format!(
                    "USING ({}) matches \"{left}\" on one side and \"{right}\" on the other",
                    ident.value
                ))
                .with_hint(format!("write ON with both names: ON a.\"{left}\" = b.\"{right}\""));
                Err(at(error, ident.span))
            }
            (Some(exact), _) | (_, Some(exact)) => {
                set_exact(ident, &exact);
                Ok(())
            }
            (None, None) => Ok(()),
        }
    }

    fn relation(&mut self, factor: &mut TableFactor) -> Result<()> {
        match factor {
            TableFactor::Table { name, alias, args, sample, .. } => {
                if sample.is_some() {
                    let span = idents(name).map_or(Span::empty(), |parts| parts[0].span);
                    let error = Error::query("TABLESAMPLE is not supported")
                        .with_hint("sample by a condition: WHERE random() < 0.01");
                    return Err(at(error, span));
                }
                if let Some(args) = args {
                    for arg in &mut args.args {
                        self.visit(arg)?;
                    }
                    return self.add_relation(None, None, alias);
                }
                let columns = self.table(name)?;
                let written = idents(name)
                    .and_then(|parts| parts.last().map(|part| part.value.clone()))
                    .unwrap_or_default();
                if alias.is_none() && name.0.len() == 1 && looks_like_path(&written) {
                    *alias = self.stem_alias(&written);
                }
                self.add_relation(Some(written), columns, alias)
            }
            TableFactor::Derived { subquery, alias, .. } => {
                let columns = self.query(subquery)?;
                self.add_relation(None, columns, alias)
            }
            TableFactor::NestedJoin { table_with_joins, alias } => match alias {
                None => self.table_with_joins(table_with_joins),
                Some(_) => {
                    self.scopes.push(Scope::default());
                    let result = self.table_with_joins(table_with_joins);
                    let inner = self.scopes.pop().expect("pushed above");
                    result?;
                    let columns: Option<Vec<Vec<Column>>> =
                        inner.relations.into_iter().map(|relation| relation.columns).collect();
                    self.add_relation(None, columns.map(|c| c.concat()), alias)
                }
            },
            TableFactor::UNNEST { alias, array_exprs, .. } => {
                for expr in array_exprs {
                    self.expr(expr)?;
                }
                self.add_relation(None, None, alias)
            }
            TableFactor::Function { args, alias, .. } => {
                for arg in args {
                    self.visit(arg)?;
                }
                self.add_relation(None, None, alias)
            }
            TableFactor::TableFunction { expr, alias } => {
                self.expr(expr)?;
                self.add_relation(None, None, alias)
            }
            _ => {
                self.scope_mut().relations.push(Relation { name: None, columns: None });
                Ok(())
            }
        }
    }

    /// The stem of a file as its alias, unless a relation beside it has that name.
    fn stem_alias(&self, path: &str) -> Option<TableAlias> {
        let file = path.trim_end_matches('/').rsplit('/').next()?;
        let stem = file.split('.').next()?;
        let plain = stem.chars().all(|c| c.is_alphanumeric() || c == '_');
        let taken =
            self.scope().relations.iter().any(|relation| {
                relation.name.as_deref().is_some_and(|n| n.eq_ignore_ascii_case(stem))
            });
        if stem.is_empty() || !plain || taken {
            return None;
        }
        Some(TableAlias {
            explicit: true,
            name: Ident::with_quote('"', stem),
            columns: Vec::new(),
            at: None,
        })
    }

    fn add_relation(
        &mut self,
        name: Option<String>,
        columns: Columns,
        alias: &mut Option<TableAlias>,
    ) -> Result<()> {
        let relation = match alias {
            None => Relation { name, columns },
            Some(alias) => {
                keep_case(&mut alias.name);
                let name = Some(alias.name.value.clone());
                let columns = match (alias_columns(alias), columns) {
                    // Fewer aliases than columns rename the first ones.
                    (Some(aliases), Some(columns)) => {
                        let rest = columns.into_iter().skip(aliases.len());
                        Some(aliases.iter().cloned().chain(rest).collect())
                    }
                    (aliases, columns) => aliases.or(columns),
                };
                Relation { name, columns }
            }
        };
        self.scope_mut().relations.push(relation);
        Ok(())
    }

    fn projection(&mut self, items: &mut [SelectItem]) -> Result<Columns> {
        let mut output: Columns = Some(Vec::new());
        let mut aliases = Vec::new();
        let mut plain: Vec<Expr> = Vec::new();
        let mut wildcards = false;
        for item in items.iter_mut() {
            wildcards |=
                matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..));
            match item {
                SelectItem::UnnamedExpr(expr) => {
                    let text = expr.to_string();
                    self.expr(expr)?;
                    let repeated = plain.contains(expr) || (wildcards && is_column(expr));
                    plain.push(expr.clone());
                    let name = match expr {
                        // A column that is there twice needs a second name.
                        Expr::Identifier(last) if repeated => {
                            let name = unused_name(&output, last.value.clone());
                            *item = aliased(expr, &name);
                            name
                        }
                        Expr::CompoundIdentifier(parts) if repeated => {
                            let last = parts.last().map(|last| last.value.clone());
                            let name = unused_name(&output, last.unwrap_or_default());
                            *item = aliased(expr, &name);
                            name
                        }
                        Expr::Identifier(ident) => ident.value.clone(),
                        Expr::CompoundIdentifier(parts) if parts.len() == 2 => {
                            parts[1].value.clone()
                        }
                        // These make columns of their own names.
                        Expr::Function(function)
                            if function.name.to_string().eq_ignore_ascii_case("unnest") =>
                        {
                            output = None;
                            continue;
                        }
                        _ => {
                            let name = unused_name(&output, text);
                            *item = aliased(expr, &name);
                            name
                        }
                    };
                    push(&mut output, name);
                }
                SelectItem::ExprWithAlias { expr, alias } => {
                    self.expr(expr)?;
                    keep_case(alias);
                    aliases.push(alias.value.clone());
                    push(&mut output, alias.value.clone());
                }
                SelectItem::ExprWithAliases { .. } => output = None,
                SelectItem::Wildcard(options) => {
                    let columns = self.all_columns(None);
                    self.wildcard(options)?;
                    append(&mut output, columns);
                }
                SelectItem::QualifiedWildcard(kind, options) => {
                    let mut qualifier = None;
                    if let SelectItemQualifiedWildcardKind::ObjectName(name) = kind
                        && let Some(ident) = last_ident(name)
                        && let Some(exact) = self.qualifier(ident)
                    {
                        set_exact(ident, &exact);
                        qualifier = Some(exact);
                    }
                    let columns = match qualifier {
                        Some(name) => self.all_columns(Some(&name)),
                        None => None,
                    };
                    self.wildcard(options)?;
                    append(&mut output, columns);
                }
            }
        }
        self.scope_mut().aliases = aliases;
        Ok(output)
    }

    /// `* EXCLUDE (…) REPLACE (…) RENAME (…)`
    fn wildcard(&mut self, options: &mut WildcardAdditionalOptions) -> Result<()> {
        match &mut options.opt_exclude {
            Some(ExcludeSelectItem::Single(name)) => {
                if let Some(ident) = last_ident(name) {
                    self.ident(ident, false)?;
                }
            }
            Some(ExcludeSelectItem::Multiple(names)) => {
                for name in names {
                    if let Some(ident) = last_ident(name) {
                        self.ident(ident, false)?;
                    }
                }
            }
            None => {}
        }
        if let Some(except) = &mut options.opt_except {
            self.ident(&mut except.first_element, false)?;
            for ident in &mut except.additional_elements {
                self.ident(ident, false)?;
            }
        }
        if let Some(replace) = &mut options.opt_replace {
            for item in &mut replace.items {
                self.expr(&mut item.expr)?;
                self.ident(&mut item.column_name, false)?;
            }
        }
        match &mut options.opt_rename {
            Some(RenameSelectItem::Single(item)) => self.ident(&mut item.ident, false),
            Some(RenameSelectItem::Multiple(items)) => {
                items.iter_mut().try_for_each(|item| self.ident(&mut item.ident, false))
            }
            None => Ok(()),
        }
    }

    fn all_columns(&self, qualifier: Option<&str>) -> Columns {
        let mut all = Vec::new();
        for relation in &self.scope().relations {
            if qualifier.is_none() || relation.name.as_deref() == qualifier {
                all.extend(relation.columns.clone()?);
            }
        }
        Some(all)
    }

    /// Runs `body` in a scope of one relation.
    fn within(
        &mut self,
        relation: Relation,
        body: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        self.scopes.push(Scope { relations: vec![relation], aliases: Vec::new() });
        let result = body(self);
        self.scopes.pop();
        result
    }

    fn scope(&self) -> &Scope {
        self.scopes.last().expect("names are looked up inside a SELECT")
    }

    fn scope_mut(&mut self) -> &mut Scope {
        self.scopes.last_mut().expect("names are looked up inside a SELECT")
    }

    fn expr(&mut self, expr: &mut Expr) -> Result<()> {
        self.visit(expr)
    }

    fn exprs<T: VisitMut>(&mut self, exprs: &mut T) -> Result<()> {
        self.visit(exprs)
    }

    fn visit(&mut self, node: &mut impl VisitMut) -> Result<()> {
        match node.visit(&mut ExprVisitor { resolver: self, query_depth: 0 }) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(err) => Err(err),
        }
    }

    /// Replaces an unquoted column name by the one it stands for. With `aliases_first`, names of
    /// the output come before those of the tables.
    fn ident(&self, ident: &mut Ident, aliases_first: bool) -> Result<()> {
        if ident.quote_style.is_some() {
            return Ok(());
        }
        for scope in self.scopes.iter().rev() {
            let alias = |ident: &Ident| {
                one_spelling(ident, scope.aliases.iter().filter(|a| same(ident, a)).cloned())
            };
            let mut found = if aliases_first { alias(ident)? } else { None };
            if found.is_none() {
                let columns = scope.relations.iter().filter_map(|r| r.columns.as_ref()).flatten();
                let names = columns.map(|c| c.name.clone()).filter(|name| same(ident, name));
                found = one_spelling(ident, names)?;
            }
            if found.is_none() {
                found = alias(ident)?;
            }
            if let Some(exact) = found {
                set_exact(ident, &exact);
                return Ok(());
            }
            if scope.relations.iter().any(|relation| relation.columns.is_none()) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// `table.column`, `schema.table.column`, `column.field`, and longer ones.
    fn compound(&self, parts: &mut [Ident]) -> Result<()> {
        for index in (0..parts.len() - 1).rev() {
            let Some(relation) = self.find_relation(&parts[index]) else { continue };
            if let Some(name) = &relation.name {
                set_exact(&mut parts[index], name);
            }
            let rest = &mut parts[index + 1..];
            if let Some(columns) = &relation.columns {
                let Some(exact) = find_in(columns, &rest[0])? else { return Ok(()) };
                let column = columns.iter().find(|column| column.name == exact);
                set_exact(&mut rest[0], &exact);
                return fields(column.and_then(|c| c.data_type.as_ref()), &mut rest[1..]);
            }
            return Ok(());
        }
        self.ident(&mut parts[0], false)?;
        let name = &parts[0].value;
        let columns = self.scopes.iter().rev().flat_map(|scope| &scope.relations);
        let column = columns
            .filter_map(|relation| relation.columns.as_ref())
            .flatten()
            .find(|column| column.name == *name);
        let data_type = column.and_then(|column| column.data_type.clone());
        fields(data_type.as_ref(), &mut parts[1..])
    }

    fn find_relation(&self, ident: &Ident) -> Option<&Relation> {
        self.scopes.iter().rev().find_map(|scope| {
            scope
                .relations
                .iter()
                .find(|relation| relation.name.as_ref().is_some_and(|name| same(ident, name)))
        })
    }

    fn qualifier(&self, ident: &Ident) -> Option<String> {
        self.find_relation(ident).and_then(|relation| relation.name.clone())
    }
}

/// Makes the names of struct fields exact.
fn fields(data_type: Option<&DataType>, parts: &mut [Ident]) -> Result<()> {
    let (Some(DataType::Struct(fields)), Some((first, rest))) =
        (data_type, parts.split_first_mut())
    else {
        return Ok(());
    };
    let columns = columns_of(fields);
    if let Some(exact) = find_in(&columns, first)? {
        set_exact(first, &exact);
        let field = columns.iter().find(|column| column.name == exact);
        return self::fields(field.and_then(|f| f.data_type.as_ref()), rest);
    }
    Ok(())
}

/// Whether an identifier can stand for a name.
fn same(ident: &Ident, name: &str) -> bool {
    match ident.quote_style {
        Some(_) => ident.value == name,
        None => ident.value.to_lowercase() == name.to_lowercase(),
    }
}

fn find(columns: &Columns, ident: &Ident) -> Result<Option<String>> {
    columns.as_ref().map_or(Ok(None), |columns| find_in(columns, ident))
}

fn find_in(columns: &[Column], ident: &Ident) -> Result<Option<String>> {
    let matches = columns.iter().map(|column| &column.name).filter(|name| same(ident, name));
    one_spelling(ident, matches.cloned())
}

fn alias_columns(alias: &mut TableAlias) -> Columns {
    if alias.columns.is_empty() {
        return None;
    }
    alias.columns.iter_mut().for_each(|column| keep_case(&mut column.name));
    let column = |name: &Ident| Column { name: name.value.clone(), data_type: None };
    Some(alias.columns.iter().map(|alias| column(&alias.name)).collect())
}

fn push(output: &mut Columns, name: String) {
    if let Some(columns) = output {
        columns.push(Column { name, data_type: None });
    }
}

fn append(output: &mut Columns, more: Columns) {
    match (output.as_mut(), more) {
        (Some(columns), Some(more)) => columns.extend(more),
        _ => *output = None,
    }
}

fn is_column(expr: &Expr) -> bool {
    matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_))
}

/// The expression with a name for its column.
fn aliased(expr: &mut Expr, name: &str) -> SelectItem {
    let alias = Ident::with_quote('"', name);
    let expr = std::mem::replace(expr, Expr::Identifier(alias.clone()));
    SelectItem::ExprWithAlias { expr, alias }
}

/// `count(*)`, then `count(*)_1`, …: DataFusion wants the names of expressions to differ.
fn unused_name(output: &Columns, name: String) -> String {
    let Some(columns) = output else { return name };
    let mut unused = name.clone();
    let mut number = 1;
    while columns.iter().any(|column| column.name == unused) {
        unused = format!("{name}_{number}");
        number += 1;
    }
    unused
}

/// Resolves the names inside an expression; subqueries go back to the resolver.
struct ExprVisitor<'a> {
    resolver: &'a mut Resolver,
    /// How many queries we are inside of: their expressions are resolved by the resolver.
    query_depth: usize,
}

impl ExprVisitor<'_> {
    fn flow(result: Result<()>) -> ControlFlow<Error> {
        match result {
            Ok(()) => ControlFlow::Continue(()),
            Err(err) => ControlFlow::Break(err),
        }
    }
}

impl VisitorMut for ExprVisitor<'_> {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Error> {
        self.query_depth += 1;
        if self.query_depth > 1 {
            return ControlFlow::Continue(());
        }
        Self::flow(self.resolver.query(query).map(drop))
    }

    fn post_visit_query(&mut self, _query: &mut Query) -> ControlFlow<Error> {
        self.query_depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        if self.query_depth > 0 {
            return ControlFlow::Continue(());
        }
        match expr {
            Expr::Identifier(ident) => Self::flow(self.resolver.ident(ident, false)),
            Expr::CompoundIdentifier(parts) => Self::flow(self.resolver.compound(parts)),
            Expr::Lambda(lambda) => {
                // The parameters hide columns of the same name.
                let names = lambda.params.iter().map(|parameter| Column {
                    name: parameter.name.value.to_lowercase(),
                    data_type: None,
                });
                let relation = Relation { name: None, columns: Some(names.collect()) };
                let scope = Scope { relations: vec![relation], aliases: Vec::new() };
                self.resolver.scopes.push(scope);
                ControlFlow::Continue(())
            }
            _ => ControlFlow::Continue(()),
        }
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        if self.query_depth == 0 && matches!(expr, Expr::Lambda(_)) {
            self.resolver.scopes.pop();
        }
        ControlFlow::Continue(())
    }
}
