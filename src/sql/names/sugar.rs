//! Operators and calls that DataFusion does not know, said by those it does.

use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    AccessExpr, BinaryOperator, CaseWhen, CastKind, DataType, Expr, Function, FunctionArg,
    FunctionArgExpr, FunctionArguments, Ident, Interval, ObjectName, ObjectNamePart,
    OneOrManyWithParens, Subscript, UnaryOperator,
};

use crate::sql::dialect::{self, call, lambda_of, number, text};

/// Rewrites one expression; what is inside of it is left for its own turn.
pub(super) fn remove(expr: &mut Expr) {
    unchain(expr);
    replace(expr, rewritten);
}

/// Makes `value.function(…)` the call it is; what is inside of it is left for its own turn.
pub(crate) fn unchain(expr: &mut Expr) {
    replace(expr, |expr| match expr {
        Expr::CompoundFieldAccess { root, access_chain } => access(*root, access_chain),
        Expr::Function(function) if function.name.0.len() > 1 => of_value(function),
        other => other,
    });
}

fn replace(expr: &mut Expr, by: impl FnOnce(Expr) -> Expr) {
    *expr = by(std::mem::replace(expr, Expr::Tuple(Vec::new())));
}

fn rewritten(expr: Expr) -> Expr {
    match expr {
        Expr::BinaryOp { left, op, right } => binary(*left, op, *right),
        Expr::UnaryOp { op: UnaryOperator::PGPostfixFactorial, expr } => {
            call("factorial", vec![*expr])
        }
        Expr::InUnnest { expr, array_expr, negated } => {
            not(negated, call("array_has", vec![*array_expr, *expr]))
        }
        Expr::SimilarTo { negated, expr, pattern, escape_char: None } => {
            let start = plus(text("^(?s:"), Expr::Nested(pattern));
            not(negated, call("regexp_like", vec![*expr, plus(start, text(")$"))]))
        }
        Expr::RLike { negated, expr, pattern, .. } => {
            not(negated, call("regexp_like", vec![*expr, *pattern]))
        }
        Expr::Function(function) => called(function),
        Expr::Interval(interval) => of_units(interval),
        Expr::Lambda(mut lambda) => {
            if let OneOrManyWithParens::Many(params) = &mut lambda.params
                && params.len() == 1
            {
                let param = params.remove(0);
                lambda.params = OneOrManyWithParens::One(param);
            }
            Expr::Lambda(lambda)
        }
        other => other,
    }
}

fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    match op {
        BinaryOperator::BitwiseXor => call("power", vec![left, right]),
        BinaryOperator::PGStartsWith => call("starts_with", vec![left, right]),
        // Integers are divided as such in any case.
        BinaryOperator::DuckIntegerDivide => dialect::binary(left, BinaryOperator::Divide, right),
        op => dialect::binary(left, op, right),
    }
}

/// `INTERVAL (a + 1) DAY`: DataFusion knows intervals of literals only.
fn of_units(interval: Interval) -> Expr {
    let computed = matches!(
        interval.value.as_ref(),
        Expr::Nested(_) | Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Function(_)
    );
    let Some(unit) = interval.leading_field.as_ref().filter(|_| computed) else {
        return Expr::Interval(interval);
    };
    let unit = text(format!(" {}", unit.to_string().to_lowercase()));
    let cast = |expr, data_type| Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(expr),
        data_type,
        array: false,
        format: None,
    };
    let count = cast(*interval.value, DataType::Varchar(None));
    cast(plus(count, unit), DataType::Interval { fields: None, precision: None })
}

fn plus(left: Expr, right: Expr) -> Expr {
    dialect::binary(left, BinaryOperator::StringConcat, right)
}

fn not(negated: bool, expr: Expr) -> Expr {
    if !negated {
        return expr;
    }
    Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(Expr::Nested(Box::new(expr))) }
}

/// `value.function(…)`, `value.field`, and slices without an end.
fn access(root: Expr, chain: Vec<AccessExpr>) -> Expr {
    let mut path = Path { root, steps: Vec::new() };
    for step in chain {
        match step {
            AccessExpr::Dot(Expr::Function(function)) => {
                let root = with_first_argument(function, path.expr());
                path = Path { root, steps: Vec::new() };
            }
            AccessExpr::Dot(Expr::Identifier(field)) => path.dot(field),
            AccessExpr::Subscript(Subscript::Slice { lower_bound, upper_bound, stride }) => {
                path.steps.push(AccessExpr::Subscript(Subscript::Slice {
                    lower_bound: Some(lower_bound.unwrap_or_else(|| number(1))),
                    upper_bound: Some(upper_bound.unwrap_or_else(|| Expr::UnaryOp {
                        op: UnaryOperator::Minus,
                        expr: Box::new(number(1)),
                    })),
                    stride,
                }));
            }
            step => path.steps.push(step),
        }
    }
    path.expr()
}

/// A value and the way to a part of it.
struct Path {
    root: Expr,
    steps: Vec<AccessExpr>,
}

impl Path {
    /// A name after names is one of a column, elsewhere it is a field.
    fn dot(&mut self, field: Ident) {
        if self.steps.is_empty() {
            match &mut self.root {
                Expr::Identifier(first) => {
                    self.root = Expr::CompoundIdentifier(vec![first.clone(), field]);
                    return;
                }
                Expr::CompoundIdentifier(parts) => {
                    parts.push(field);
                    return;
                }
                _ => {}
            }
        }
        self.steps.push(AccessExpr::Dot(text(field.value)));
    }

    fn expr(self) -> Expr {
        if self.steps.is_empty() {
            return self.root;
        }
        Expr::CompoundFieldAccess { root: Box::new(self.root), access_chain: self.steps }
    }
}

fn with_first_argument(mut function: Function, first: Expr) -> Expr {
    if let FunctionArguments::List(list) = &mut function.args {
        list.args.insert(0, FunctionArg::Unnamed(FunctionArgExpr::Expr(first)));
    }
    Expr::Function(function)
}

/// `column.function(…)`, of which the parser takes all for the name.
fn of_value(mut function: Function) -> Expr {
    let idents: Option<Vec<_>> =
        function.name.0.iter().map(|part| part.as_ident().cloned()).collect();
    let Some(mut idents) = idents else { return Expr::Function(function) };
    function.name = ObjectName::from(idents.split_off(idents.len() - 1));
    let value = match idents.len() {
        1 => Expr::Identifier(idents.remove(0)),
        _ => Expr::CompoundIdentifier(idents),
    };
    with_first_argument(function, value)
}

fn called(mut function: Function) -> Expr {
    let [ObjectNamePart::Identifier(name)] = function.name.0.as_slice() else {
        return Expr::Function(function);
    };
    let FunctionArguments::List(list) = &mut function.args else {
        return Expr::Function(function);
    };
    match (name.value.to_lowercase().as_str(), list.args.len()) {
        ("count", 0) => list.args.push(FunctionArg::Unnamed(FunctionArgExpr::Wildcard)),
        ("struct_pack", _) => {
            let mut args = Vec::new();
            for arg in std::mem::take(&mut list.args) {
                match arg {
                    FunctionArg::Named { name, arg, .. } => {
                        args.push(FunctionArg::Unnamed(FunctionArgExpr::Expr(text(name.value))));
                        args.push(FunctionArg::Unnamed(arg));
                    }
                    other => args.push(other),
                }
            }
            list.args = args;
            function.name = ObjectName::from(vec!["named_struct".into()]);
        }
        ("try", 1) => {
            if let FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) = &mut list.args[0]
                && !matches!(value, Expr::Lambda(_))
            {
                let mut body = std::mem::replace(value, Expr::Tuple(Vec::new()));
                // The optimizer does the casts of literals, and fails with them.
                if let Expr::Cast { kind, expr, .. } = &mut body
                    && matches!(expr.as_ref(), Expr::Value(_))
                {
                    *kind = CastKind::TryCast;
                }
                *value = lambda_of(vec!["__row".into()], body);
            }
        }
        ("if", 3) => {
            let args: Option<Vec<Expr>> = list.args.iter().map(argument).collect();
            if let Some([condition, result, otherwise]) = args.as_deref() {
                return Expr::Case {
                    case_token: AttachedToken::empty(),
                    end_token: AttachedToken::empty(),
                    operand: None,
                    conditions: vec![CaseWhen {
                        condition: condition.clone(),
                        result: result.clone(),
                    }],
                    else_result: Some(Box::new(otherwise.clone())),
                };
            }
        }
        _ => {}
    }
    Expr::Function(function)
}

fn argument(arg: &FunctionArg) -> Option<Expr> {
    match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    }
}
