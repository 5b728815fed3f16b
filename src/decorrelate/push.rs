//! A subquery for all outer values at once: each operator is given the columns of the domain.
//!
//! After Neumann and Kemper, *Unnesting Arbitrary Queries* (BTW 2015). The domain goes down the
//! operators to where nothing refers to outer columns any more; there it is joined with each row.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{DFSchema, ScalarValue, not_impl_err};
use datafusion::error::Result;
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{
    Aggregate, Distinct, DistinctOn, Expr, ExprFunctionExt, Filter, Limit, LogicalPlan,
    LogicalPlanBuilder, SortExpr, Union, Unnest, Values, Window, cast, lit,
};

use super::domain::{Domain, Read, columns, named, projected};
use crate::keys::{Apart, apart};
use crate::relations::pivot::with_filter;

impl Domain<'_> {
    /// The rows that a plan gives for each row of the domain, with the columns of the domain beside
    /// those of the plan.
    pub(super) fn push(&self, plan: &LogicalPlan) -> Result<LogicalPlan> {
        if !self.is_used_by(plan)? {
            return self.beside(plan);
        }
        match plan {
            LogicalPlan::Projection(projection) => {
                let input = self.push(&projection.input)?;
                let mut exprs = self.keys();
                exprs.extend(self.bind_named(plan, &projection.expr)?);
                projected(input, exprs)
            }
            LogicalPlan::Filter(filter) => {
                let input = self.push(&filter.input)?;
                let predicate = self.bind(filter.predicate.clone())?;
                Ok(LogicalPlan::Filter(Filter::try_new(predicate, Arc::new(input))?))
            }
            LogicalPlan::SubqueryAlias(alias) => {
                let input = self.push(&alias.input)?;
                self.with_names(input, alias.input.schema(), &alias.schema)
            }
            LogicalPlan::Subquery(subquery) => self.push(&subquery.subquery),
            // The order is lost in a join anyway; a limit looks for it itself.
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => self.push(&sort.input),
            LogicalPlan::Limit(limit) => self.limit(limit),
            LogicalPlan::Aggregate(aggregate) if aggregate.group_expr.is_empty() => {
                self.total(aggregate)
            }
            LogicalPlan::Aggregate(aggregate) => self.aggregate(aggregate),
            LogicalPlan::Distinct(Distinct::All(input)) => {
                Ok(LogicalPlan::Distinct(Distinct::All(Arc::new(self.push(input)?))))
            }
            LogicalPlan::Distinct(Distinct::On(distinct)) => self.distinct_on(distinct),
            LogicalPlan::Window(window) => self.window(plan, window),
            LogicalPlan::Join(join) => self.join(join),
            LogicalPlan::Union(union) => self.union(union),
            LogicalPlan::Unnest(unnest) => {
                let input = Arc::new(self.push(&unnest.input)?);
                let (columns, options) = (unnest.exec_columns.clone(), unnest.options.clone());
                Ok(LogicalPlan::Unnest(Unnest::try_new(input, columns, options)?))
            }
            LogicalPlan::Values(values) => self.values(values),
            LogicalPlan::Extension(node) => match Apart::input(node) {
                Some(input) => apart(self.push(input)?),
                None => refused(plan),
            },
            _ => refused(plan),
        }
    }

    /// Each row of the domain with each row of a plan that does not refer to it.
    fn beside(&self, plan: &LogicalPlan) -> Result<LogicalPlan> {
        match plan {
            _ if self.is_empty() => Ok(plan.clone()),
            LogicalPlan::EmptyRelation(empty)
                if empty.produce_one_row && empty.schema.fields().is_empty() =>
            {
                Ok(self.rows.clone())
            }
            _ => LogicalPlanBuilder::from(self.rows.clone()).cross_join(keyless(plan)?)?.build(),
        }
    }

    /// The expressions of a node with the names they had.
    fn bind_named(&self, plan: &LogicalPlan, exprs: &[Expr]) -> Result<Vec<Expr>> {
        let names = NamePreserver::new(plan);
        let bind = |expr: &Expr| {
            let name = names.save(expr);
            Ok(name.restore(self.bind(expr.clone())?))
        };
        exprs.iter().map(bind).collect()
    }

    fn bind_sorts(&self, sorts: &[SortExpr]) -> Result<Vec<SortExpr>> {
        let bind =
            |sort: &SortExpr| Ok(SortExpr { expr: self.bind(sort.expr.clone())?, ..sort.clone() });
        sorts.iter().map(bind).collect()
    }

    /// The columns that a plan has by the names of one schema, by those of another beside ours.
    pub(super) fn with_names(
        &self,
        plan: LogicalPlan,
        from: &DFSchema,
        to: &DFSchema,
    ) -> Result<LogicalPlan> {
        let mut exprs = self.keys();
        let names = to.iter().map(|(qualifier, field)| (qualifier.cloned(), field.name()));
        exprs.extend(columns(from).zip(names).map(|(column, (qualifier, name))| match &column {
            Expr::Column(known) if known.relation == qualifier && known.name == *name => column,
            _ => column.alias_qualified(qualifier, name),
        }));
        projected(plan, exprs)
    }

    /// The first rows of each value, counted in the order of the sort below.
    fn limit(&self, limit: &Limit) -> Result<LogicalPlan> {
        match limit.input.as_ref() {
            // Columns that only the order needs are left out between the two.
            LogicalPlan::Projection(projection) => {
                let input = self.limit(&Limit {
                    input: Arc::clone(&projection.input),
                    skip: limit.skip.clone(),
                    fetch: limit.fetch.clone(),
                })?;
                let mut exprs = self.keys();
                exprs.extend(self.bind_named(&limit.input, &projection.expr)?);
                projected(input, exprs)
            }
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => {
                self.first(&sort.input, &sort.expr, limit)
            }
            input => self.first(input, &[], limit),
        }
    }

    fn first(&self, input: &LogicalPlan, order: &[SortExpr], limit: &Limit) -> Result<LogicalPlan> {
        let (rows, number) = self.numbered(self.push(input)?, self.bind_sorts(order)?)?;
        let number = cast(number, DataType::Int64);
        let wanted = |expr: &Option<Box<Expr>>| -> Result<Option<Expr>> {
            match expr.as_deref() {
                None | Some(Expr::Literal(ScalarValue::Int64(None) | ScalarValue::Null, _)) => {
                    Ok(None)
                }
                Some(expr) => Ok(Some(cast(self.bind(expr.clone())?, DataType::Int64))),
            }
        };
        let skip = wanted(&limit.skip)?.unwrap_or_else(|| lit(0_i64));
        let mut kept = number.clone().gt(skip.clone());
        if let Some(fetch) = wanted(&limit.fetch)? {
            kept = kept.and(number.lt_eq(skip + fetch));
        }
        let mut exprs = self.keys();
        exprs.extend(columns(input.schema()));
        let kept = LogicalPlan::Filter(Filter::try_new(kept, Arc::new(rows))?);
        projected(kept, exprs)
    }

    /// Rows with their number among those of the same value.
    fn numbered(&self, rows: LogicalPlan, order: Vec<SortExpr>) -> Result<(LogicalPlan, Expr)> {
        let name = self.names.fresh();
        let mut number = row_number();
        if !self.is_empty() || !order.is_empty() {
            let mut builder = number.partition_by(self.keys());
            if !order.is_empty() {
                builder = builder.order_by(order);
            }
            number = builder.build()?;
        }
        let window = Window::try_new(vec![number.alias(&name)], Arc::new(rows))?;
        Ok((LogicalPlan::Window(window), named(&name)))
    }

    fn aggregate(&self, aggregate: &Aggregate) -> Result<LogicalPlan> {
        let input = self.push(&aggregate.input)?;
        let plan = LogicalPlan::Aggregate(aggregate.clone());
        let mut groups = self.keys();
        match aggregate.group_expr.as_slice() {
            [set @ Expr::GroupingSet(_)] => {
                if set.contains_outer() {
                    return not_impl_err!("GROUPING SETS of columns of an outer query");
                }
                groups.push(set.clone());
            }
            exprs => groups.extend(self.bind_named(&plan, exprs)?),
        }
        let aggregates = self.bind_named(&plan, &aggregate.aggr_expr)?;
        let grouped = Aggregate::try_new(Arc::new(input), groups, aggregates)?;
        Ok(LogicalPlan::Aggregate(grouped))
    }

    /// Aggregates of all rows, which have a value for no rows too. Beside the rows there is one for
    /// each value, which no aggregate counts, so that every value makes a group.
    fn total(&self, aggregate: &Aggregate) -> Result<LogicalPlan> {
        let rows = self.push(&aggregate.input)?;
        let plan = LogicalPlan::Aggregate(aggregate.clone());
        // A union gives columns of no table.
        let mut read = Read::new(self.names, None);
        let is_row = self.names.fresh();
        let names = NamePreserver::new(&plan);
        let of_rows_only = |expr: &Expr| {
            let name = names.save(expr);
            let renamed = read.renamed(self.bind(expr.clone())?)?;
            Ok(name.restore(filtered(renamed, &named(&is_row))?))
        };
        let aggregates = aggregate.aggr_expr.iter().map(of_rows_only).collect::<Result<_>>()?;

        let mut of_rows = self.keys();
        let mut of_none = self.keys();
        for (column, name) in read.columns {
            let data_type = rows.schema().qualified_field_from_column(&column)?.1.data_type();
            of_none.push(lit(ScalarValue::try_from(data_type)?).alias(&name.name));
            of_rows.push(Expr::Column(column).alias(name.name));
        }
        of_rows.push(lit(true).alias(&is_row));
        of_none.push(lit(false).alias(&is_row));
        let inputs = vec![
            Arc::new(projected(rows, of_rows)?),
            Arc::new(projected(self.rows.clone(), of_none)?),
        ];
        let union = LogicalPlan::Union(Union::try_new(inputs)?);
        Ok(LogicalPlan::Aggregate(Aggregate::try_new(Arc::new(union), self.keys(), aggregates)?))
    }

    fn distinct_on(&self, distinct: &DistinctOn) -> Result<LogicalPlan> {
        let input = self.push(&distinct.input)?;
        let plan = LogicalPlan::Distinct(Distinct::On(distinct.clone()));
        let mut on = self.keys();
        for expr in &distinct.on_expr {
            on.push(self.bind(expr.clone())?);
        }
        let mut select = self.keys();
        select.extend(self.bind_named(&plan, &distinct.select_expr)?);
        let mut sorts: Vec<SortExpr> =
            self.keys().into_iter().map(|key| key.sort(true, false)).collect();
        sorts.extend(self.bind_sorts(distinct.sort_expr.as_deref().unwrap_or_default())?);
        let sorts = distinct.sort_expr.is_some().then_some(sorts);
        let distinct = DistinctOn::try_new(on, select, sorts, Arc::new(input))?;
        Ok(LogicalPlan::Distinct(Distinct::On(distinct)))
    }

    fn window(&self, plan: &LogicalPlan, window: &Window) -> Result<LogicalPlan> {
        let input = self.push(&window.input)?;
        let names = NamePreserver::new(plan);
        let apart = |expr: &Expr| {
            let name = names.save(expr);
            let parted = self.bind(expr.clone())?.transform(|expr| match expr {
                Expr::WindowFunction(mut function) => {
                    function.params.partition_by.extend(self.keys());
                    Ok(Transformed::yes(Expr::WindowFunction(function)))
                }
                expr => Ok(Transformed::no(expr)),
            });
            Ok(name.restore(parted.data()?))
        };
        let exprs = window.window_expr.iter().map(apart).collect::<Result<_>>()?;
        Ok(LogicalPlan::Window(Window::try_new(exprs, Arc::new(input))?))
    }

    fn union(&self, union: &Union) -> Result<LogicalPlan> {
        let widths = union.schema.fields().len();
        let common: Vec<String> = (0..widths).map(|_| self.names.fresh()).collect();
        let input = |input: &Arc<LogicalPlan>| {
            let mut exprs = self.keys();
            let columns = columns(input.schema()).zip(&common);
            exprs.extend(columns.map(|(column, name)| column.alias(name)));
            Ok(Arc::new(projected(self.push(input)?, exprs)?))
        };
        let inputs = union.inputs.iter().map(input).collect::<Result<_>>()?;
        let all = LogicalPlan::Union(Union::try_new(inputs)?);
        let mut exprs = self.keys();
        for ((qualifier, field), name) in union.schema.iter().zip(&common) {
            exprs.push(named(name).alias_qualified(qualifier.cloned(), field.name()));
        }
        projected(all, exprs)
    }

    /// A branch for each row, as its values differ from value to value of the domain.
    fn values(&self, values: &Values) -> Result<LogicalPlan> {
        let branch = |row: &Vec<Expr>| {
            let mut exprs = self.keys();
            for (expr, (qualifier, field)) in row.iter().zip(values.schema.iter()) {
                let expr = cast(self.bind(expr.clone())?, field.data_type().clone());
                exprs.push(expr.alias_qualified(qualifier.cloned(), field.name()));
            }
            Ok(Arc::new(projected(self.rows.clone(), exprs)?))
        };
        let mut branches: Vec<_> = values.values.iter().map(branch).collect::<Result<_>>()?;
        match (branches.pop(), branches.is_empty()) {
            (Some(only), true) => Ok(Arc::unwrap_or_clone(only)),
            (last, _) => {
                branches.extend(last);
                Ok(LogicalPlan::Union(Union::try_new(branches)?))
            }
        }
    }
}

/// The plan without keys, which it may have from an aggregate or a DISTINCT inside.
pub(super) fn keyless(plan: &LogicalPlan) -> Result<LogicalPlan> {
    let may_have_keys = plan
        .exists(|node| Ok(matches!(node, LogicalPlan::Aggregate(_) | LogicalPlan::Distinct(_))))?;
    if may_have_keys { apart(plan.clone()) } else { Ok(plan.clone()) }
}

/// The aggregates of an expression, of those rows only for which a condition is true.
fn filtered(expr: Expr, condition: &Expr) -> Result<Expr> {
    let filtered = expr.transform(|expr| match expr {
        Expr::AggregateFunction(function) => {
            Ok(Transformed::yes(with_filter(function, condition.clone())))
        }
        expr => Ok(Transformed::no(expr)),
    });
    filtered.data()
}

fn refused<T>(plan: &LogicalPlan) -> Result<T> {
    not_impl_err!("a reference to an outer query from within {}", plan.display())
}
