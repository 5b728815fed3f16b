//! Macros: expressions and queries with parameters, put in the place of their calls.
//!
//! `CREATE MACRO f(a, b := 1) AS a + b` and `CREATE MACRO t(n) AS TABLE SELECT …` are kept in the
//! session. A call is replaced before names are looked up, so a body can name whatever the
//! statement can; the tables and columns it names are those at the call. Parameters of functions
//! inside a body get new names, so that they hide nothing of the arguments.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    AccessExpr, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident,
    LambdaFunction, MacroArg, MacroDefinition, ObjectName, ObjectNamePart, OneOrManyWithParens,
    Select, SelectItem, Statement as Sql, TableAlias, TableFactor, VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::tokenizer::Span;
use parking_lot::RwLock;

use super::names::{at, unchain, unused, visit_queries};
use crate::error::{Error, Result};

/// A statement about macros.
#[derive(Debug)]
pub(crate) enum MacroStatement {
    /// `CREATE MACRO`
    Create { name: Ident, definition: Box<Macro>, or_replace: bool },
    /// `DROP MACRO`
    Drop { names: Vec<Ident>, if_exists: bool },
}

/// What a call stands for.
#[derive(Debug)]
pub(crate) struct Macro {
    params: Vec<MacroArg>,
    body: MacroDefinition,
}

/// The macros of a session by their names in small letters.
#[derive(Debug, Default)]
pub(crate) struct Macros {
    by_name: RwLock<HashMap<String, Arc<Macro>>>,
}

/// The statement, if it is about macros.
pub(crate) fn macro_statement(statement: &Statement) -> Option<MacroStatement> {
    let Statement::Statement(sql) = statement else { return None };
    match sql.as_ref() {
        Sql::CreateMacro { or_replace, name, args, definition, .. } => {
            Some(MacroStatement::Create {
                name: single(name)?.clone(),
                definition: Box::new(Macro {
                    params: args.clone().unwrap_or_default(),
                    body: definition.clone(),
                }),
                or_replace: *or_replace,
            })
        }
        Sql::DropFunction(drop) => Some(MacroStatement::Drop {
            names: drop
                .func_desc
                .iter()
                .map(|function| single(&function.name).cloned())
                .collect::<Option<_>>()?,
            if_exists: drop.if_exists,
        }),
        _ => None,
    }
}

impl Macros {
    /// Creates or drops macros.
    ///
    /// # Errors
    /// `Query` for names that are taken or not there, and for macros that call themselves.
    pub(crate) fn change(&self, statement: MacroStatement) -> Result<()> {
        match statement {
            MacroStatement::Create { name, definition, or_replace } => {
                self.create(&name, *definition, or_replace)
            }
            MacroStatement::Drop { names, if_exists } => {
                let mut by_name = self.by_name.write();
                for name in &names {
                    if by_name.remove(&key(name)).is_none() && !if_exists {
                        let error = Error::query(format!("no macro \"{}\"", name.value));
                        return Err(at(error, name.span));
                    }
                }
                Ok(())
            }
        }
    }

    fn create(&self, name: &Ident, definition: Macro, or_replace: bool) -> Result<()> {
        for (place, param) in definition.params.iter().enumerate() {
            let same = |other: &MacroArg| key(&other.name) == key(&param.name);
            if definition.params[..place].iter().any(same) {
                let error =
                    Error::query(format!("the parameter \"{}\" is there twice", param.name.value));
                return Err(at(error, param.name.span));
            }
        }
        let key = key(name);
        let replaced = self.by_name.read().get(&key).cloned();
        if replaced.is_some() && !or_replace {
            let error = Error::query(format!("the macro \"{}\" is there already", name.value))
                .with_hint("write CREATE OR REPLACE MACRO");
            return Err(at(error, name.span));
        }
        let definition = Arc::new(definition);
        self.by_name.write().insert(key.clone(), Arc::clone(&definition));
        // A body that leads back to itself would never end.
        let mut expander = Expander { macros: self, within: vec![key.clone()], renamed: 0 };
        let mut body = definition.body.clone();
        let checked = match &mut body {
            MacroDefinition::Expr(expr) => expr.visit(&mut expander),
            MacroDefinition::Table(query) => query.visit(&mut expander),
        };
        let ControlFlow::Break(error) = checked else { return Ok(()) };
        let mut by_name = self.by_name.write();
        match replaced {
            Some(replaced) => by_name.insert(key, replaced),
            None => by_name.remove(&key),
        };
        Err(error)
    }

    /// Puts bodies in the place of calls.
    ///
    /// # Errors
    /// `Query` with a position for wrong arguments.
    pub(crate) fn expand(&self, statement: &mut Statement) -> Result<()> {
        if self.by_name.read().is_empty() {
            return Ok(());
        }
        let mut expander = Expander { macros: self, within: Vec::new(), renamed: 0 };
        match visit_queries(statement, &mut expander) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(error) => Err(error),
        }
    }

    fn get(&self, name: &ObjectName) -> Option<(String, Arc<Macro>)> {
        let key = key(single(name)?);
        let found = self.by_name.read().get(&key).cloned();
        found.map(|found| (key, found))
    }
}

/// Replaces calls.
struct Expander<'a> {
    macros: &'a Macros,
    /// The macros whose bodies we are inside of.
    within: Vec<String>,
    /// How many parameters of inner functions have new names.
    renamed: usize,
}

impl Expander<'_> {
    /// The body of a macro with the arguments of a call.
    fn body<T: VisitMut>(
        &mut self,
        name: &str,
        span: Span,
        definition: &Macro,
        args: &[FunctionArg],
        mut body: T,
    ) -> Result<T> {
        if self.within.iter().any(|outer| outer == name) {
            return Err(at(Error::query(format!("the macro \"{name}\" calls itself")), span));
        }
        let bound = bind(name, span, definition, args)?;
        self.within.push(name.to_string());
        let flow = body.visit(self);
        self.within.pop();
        if let ControlFlow::Break(error) = flow {
            return Err(error);
        }
        let _ = body.visit(&mut Rename { count: &mut self.renamed });
        substitute(&mut body, &bound);
        Ok(body)
    }

    fn call(&mut self, function: &Function) -> Result<Option<Expr>> {
        let Some((name, definition)) = self.macros.get(&function.name) else { return Ok(None) };
        let MacroDefinition::Expr(body) = &definition.body else { return Ok(None) };
        let FunctionArguments::List(list) = &function.args else { return Ok(None) };
        let span = span_of(&function.name);
        if function.over.is_some() || function.filter.is_some() || !list.clauses.is_empty() {
            let error = Error::query(format!("the macro \"{name}\" takes arguments only"));
            return Err(at(error, span));
        }
        let body = self.body(&name, span, &definition, &list.args, body.clone())?;
        Ok(Some(Expr::Nested(Box::new(body))))
    }

    /// Whether an expression calls a macro, maybe as `value.function(…)`.
    fn is_call(&self, expr: &Expr) -> bool {
        match expr {
            Expr::Function(function) => {
                let name = function.name.0.last().and_then(ObjectNamePart::as_ident);
                let by_name = self.macros.by_name.read();
                let found = name.and_then(|name| by_name.get(&key(name)));
                found.is_some_and(|found| matches!(found.body, MacroDefinition::Expr(_)))
            }
            Expr::CompoundFieldAccess { access_chain, .. } => access_chain.iter().any(
                |step| matches!(step, AccessExpr::Dot(call @ Expr::Function(_)) if self.is_call(call)),
            ),
            _ => false,
        }
    }

    fn table(&mut self, factor: &TableFactor) -> Result<Option<TableFactor>> {
        let TableFactor::Table { name: function, args: Some(args), alias, sample, .. } = factor
        else {
            return Ok(None);
        };
        let Some((name, definition)) = self.macros.get(function) else { return Ok(None) };
        let MacroDefinition::Table(body) = &definition.body else { return Ok(None) };
        let span = span_of(function);
        let subquery = self.body(&name, span, &definition, &args.args, body.clone())?;
        let alias = alias.clone().or_else(|| {
            let name = single(function)?.clone();
            Some(TableAlias { explicit: true, name, columns: Vec::new(), at: None })
        });
        let sample = sample.clone();
        Ok(Some(TableFactor::Derived { lateral: false, subquery, alias, sample }))
    }
}

fn flow<T>(result: Result<Option<T>>, place: &mut T) -> ControlFlow<Error> {
    match result {
        Ok(None) => ControlFlow::Continue(()),
        Ok(Some(new)) => {
            *place = new;
            ControlFlow::Continue(())
        }
        Err(error) => ControlFlow::Break(error),
    }
}

impl VisitorMut for Expander<'_> {
    type Break = Error;

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Error> {
        // Results are named by the call, not by what it stands for.
        let mut names = HashSet::new();
        for item in &mut select.projection {
            if let SelectItem::UnnamedExpr(expr) = item
                && self.is_call(expr)
            {
                let name = unused(expr.to_string(), |name| names.contains(name));
                let alias = Ident::with_quote('"', &name);
                names.insert(name);
                *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
            }
        }
        ControlFlow::Continue(())
    }

    // `value.function(…)` can hide a macro, and in a body a parameter.
    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        if !self.within.is_empty() || self.is_call(expr) {
            unchain(expr);
        }
        ControlFlow::Continue(())
    }

    // Arguments first: what is put in is whole.
    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        let Expr::Function(function) = &*expr else { return ControlFlow::Continue(()) };
        let result = self.call(function);
        flow(result, expr)
    }

    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Error> {
        let result = self.table(factor);
        flow(result, factor)
    }
}

/// The parameters with their arguments or defaults.
fn bind(
    name: &str,
    span: Span,
    definition: &Macro,
    args: &[FunctionArg],
) -> Result<Vec<(Ident, Expr)>> {
    let params = &definition.params;
    let signature = || {
        let list: Vec<String> = params.iter().map(ToString::to_string).collect();
        format!("it is {name}({})", list.join(", "))
    };
    let wrong = |what: String| at(Error::query(what).with_hint(signature()), span);
    let mut values: Vec<Option<Expr>> = vec![None; params.len()];
    for (place, arg) in args.iter().enumerate() {
        let (place, arg) = match arg {
            FunctionArg::Unnamed(arg) => (place, arg),
            FunctionArg::Named { name: param, arg, .. } => {
                let found = params.iter().position(|p| key(&p.name) == key(param));
                let place = found.ok_or_else(|| {
                    wrong(format!("the macro \"{name}\" has no parameter \"{}\"", param.value))
                })?;
                (place, arg)
            }
            FunctionArg::ExprNamed { .. } => {
                return Err(wrong(format!("the macro \"{name}\" takes no such argument: {arg}")));
            }
        };
        let FunctionArgExpr::Expr(expr) = arg else {
            return Err(wrong(format!("the macro \"{name}\" takes no such argument: {arg}")));
        };
        match values.get_mut(place) {
            None => {
                return Err(wrong(format!(
                    "the macro \"{name}\" takes {} arguments, not {}",
                    params.len(),
                    args.len()
                )));
            }
            Some(value @ None) => *value = Some(expr.clone()),
            Some(Some(_)) => {
                let param = &params[place].name.value;
                return Err(wrong(format!("\"{param}\" of \"{name}\" has two arguments")));
            }
        }
    }
    let bound = params.iter().zip(values).map(|(param, value)| {
        let value = value.or_else(|| param.default_expr.clone());
        let value = value.ok_or_else(|| {
            wrong(format!("the macro \"{name}\" lacks the argument \"{}\"", param.name.value))
        })?;
        Ok((param.name.clone(), value))
    });
    bound.collect()
}

/// Puts expressions in the place of names, but where a function has a parameter of that name.
pub(super) fn substitute(node: &mut impl VisitMut, bound: &[(Ident, Expr)]) {
    let _ = node.visit(&mut Substitute { bound, hidden: Vec::new() });
}

struct Substitute<'a> {
    bound: &'a [(Ident, Expr)],
    /// Parameters of the functions we are inside of.
    hidden: Vec<Vec<String>>,
}

impl Substitute<'_> {
    fn value(&self, ident: &Ident) -> Option<&Expr> {
        let name = key(ident);
        if self.hidden.iter().flatten().any(|hidden| *hidden == name) {
            return None;
        }
        self.bound.iter().find(|(param, _)| key(param) == name).map(|(_, value)| value)
    }
}

impl VisitorMut for Substitute<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Lambda(lambda) = expr {
            self.hidden.push(params_of(lambda).map(key).collect());
        }
        ControlFlow::Continue(())
    }

    // After what is inside, so that nothing is replaced in what was put in.
    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Lambda(_) => {
                self.hidden.pop();
            }
            Expr::Identifier(ident) => {
                if let Some(value) = self.value(ident) {
                    *expr = as_operand(value);
                }
            }
            Expr::CompoundIdentifier(parts) => {
                if let Some(value) = self.value(&parts[0]) {
                    let fields = parts[1..].iter().cloned().map(Expr::Identifier);
                    *expr = Expr::CompoundFieldAccess {
                        root: Box::new(as_operand(value)),
                        access_chain: fields.map(AccessExpr::Dot).collect(),
                    };
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// An expression in parentheses, if it could be torn apart without.
fn as_operand(expr: &Expr) -> Expr {
    match expr {
        Expr::Identifier(_)
        | Expr::CompoundIdentifier(_)
        | Expr::Value(_)
        | Expr::Function(_)
        | Expr::Array(_)
        | Expr::Lambda(_)
        | Expr::Nested(_) => expr.clone(),
        other => Expr::Nested(Box::new(other.clone())),
    }
}

/// Gives parameters of functions names that nothing else has.
struct Rename<'a> {
    count: &'a mut usize,
}

impl VisitorMut for Rename<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let Expr::Lambda(lambda) = expr else { return ControlFlow::Continue(()) };
        let params: Vec<Ident> = params_of(lambda).cloned().collect();
        let mut bound = Vec::new();
        for param in &params {
            *self.count += 1;
            let fresh = Ident::new(format!("{}__{}", key(param), self.count));
            bound.push((param.clone(), Expr::Identifier(fresh)));
        }
        substitute(&mut lambda.body, &bound);
        let fresh = bound.iter().filter_map(|(_, expr)| match expr {
            Expr::Identifier(ident) => Some(ident.clone()),
            _ => None,
        });
        let params: Vec<&mut Ident> = match &mut lambda.params {
            OneOrManyWithParens::One(param) => vec![&mut param.name],
            OneOrManyWithParens::Many(params) => params.iter_mut().map(|p| &mut p.name).collect(),
        };
        params.into_iter().zip(fresh).for_each(|(param, fresh)| *param = fresh);
        ControlFlow::Continue(())
    }
}

fn params_of(lambda: &LambdaFunction) -> impl Iterator<Item = &Ident> {
    lambda.params.iter().map(|param| &param.name)
}

fn single(name: &ObjectName) -> Option<&Ident> {
    match name.0.as_slice() {
        [ObjectNamePart::Identifier(ident)] => Some(ident),
        _ => None,
    }
}

fn key(ident: &Ident) -> String {
    ident.value.to_lowercase()
}

fn span_of(name: &ObjectName) -> Span {
    single(name).map_or(Span::empty(), |ident| ident.span)
}
