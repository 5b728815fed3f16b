//! Samples as they are written: `10%`, `10 PERCENT (bernoulli, 7)`, `reservoir(5 ROWS)`,
//! `5 ROWS REPEATABLE (7)`.

use datafusion::common::{plan_datafusion_err, plan_err};
use datafusion::error::Result as PlanResult;
use datafusion::sql::sqlparser::ast::{
    Expr, TableSample, TableSampleKind, TableSampleMethod, TableSampleUnit, Value,
};
use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan};

use super::tokens::Script;
use crate::error::Result;
use crate::relations::sample::{Amount, Sample};

/// Stands for a table in the join that marks a sampled FROM.
pub(crate) const SAMPLED: &str = "__sampled";

/// The parts of a sample in a script.
pub(super) struct Written {
    method: &'static str,
    amount: Token,
    is_percent: bool,
    seed: Option<Token>,
}

impl Written {
    /// What stands at a place of a script, and where it ends; `None` if it is no sample.
    ///
    /// # Errors
    /// `Query` for methods that there are not.
    pub(super) fn parse(script: &Script, start: usize) -> Result<Option<(Written, usize)>> {
        let mut index = start;
        let mut method = None;
        if matches!(script.token(index + 1), Token::LParen) && script.word(index).is_some() {
            method = Some(Self::method(script, index)?);
            index += 1;
        }
        let is_bracketed = *script.token(index) == Token::LParen;
        index += usize::from(is_bracketed);
        let amount = script.token(index).clone();
        if !matches!(amount, Token::Number(..)) {
            return Ok(None);
        }
        index += 1;
        let unit = script.word(index).map(str::to_ascii_uppercase);
        let is_percent = *script.token(index) == Token::Mod || unit.as_deref() == Some("PERCENT");
        index += usize::from(is_percent || matches!(unit.as_deref(), Some("ROWS" | "ROW")));
        let mut seed = None;
        if is_bracketed {
            if *script.token(index) != Token::RParen {
                return Ok(None);
            }
            index += 1;
        } else if *script.token(index) == Token::LParen && script.word(index + 1).is_some() {
            method = Some(Self::method(script, index + 1)?);
            index += 2;
            if *script.token(index) == Token::Comma {
                seed = Some(script.token(index + 1).clone());
                index += 2;
            }
            if *script.token(index) != Token::RParen {
                return Ok(None);
            }
            index += 1;
        }
        let repeats = script.word(index).map(str::to_ascii_uppercase);
        if matches!(repeats.as_deref(), Some("REPEATABLE" | "SEED"))
            && *script.token(index + 1) == Token::LParen
            && *script.token(index + 3) == Token::RParen
        {
            seed = Some(script.token(index + 2).clone());
            index += 4;
        }
        let method = method.unwrap_or(if is_percent { "SYSTEM" } else { "ROW" });
        Ok(Some((Written { method, amount, is_percent, seed }, index)))
    }

    fn method(script: &Script, index: usize) -> Result<&'static str> {
        let name = script.word(index).unwrap_or_default().to_lowercase();
        match name.as_str() {
            "bernoulli" => Ok("BERNOULLI"),
            "system" | "block" => Ok("SYSTEM"),
            "reservoir" | "row" => Ok("ROW"),
            _ => {
                let error = script.error(index, &format!("no way to sample called \"{name}\""));
                Err(error.with_hint("there are bernoulli, system and reservoir"))
            }
        }
    }

    /// In a form that the parser knows.
    pub(super) fn tokens(self, span: Span) -> Vec<TokenWithSpan> {
        let unit = if self.is_percent { "PERCENT" } else { "ROWS" };
        let mut tokens = vec![
            Token::make_keyword("TABLESAMPLE"),
            Token::make_keyword(self.method),
            Token::LParen,
            self.amount,
            Token::make_keyword(unit),
            Token::RParen,
        ];
        if let Some(seed) = self.seed {
            tokens.extend([Token::make_keyword("REPEATABLE"), Token::LParen, seed, Token::RParen]);
        }
        tokens.into_iter().map(|token| TokenWithSpan::new(token, span)).collect()
    }
}

/// What a parsed clause means.
///
/// # Errors
/// If an amount is none, or a method cannot give it.
pub(super) fn of(kind: &TableSampleKind) -> PlanResult<Sample> {
    let (TableSampleKind::BeforeTableAlias(sample) | TableSampleKind::AfterTableAlias(sample)) =
        kind;
    let TableSample { name, quantity, seed, bucket: None, offset: None, .. } = sample.as_ref()
    else {
        return plan_err!("samples by buckets or with an offset are not supported");
    };
    let Some(quantity) = quantity else { return plan_err!("a sample without an amount") };
    let number = |value: &Value| match value {
        Value::Number(text, _) => Some(text.to_string()),
        _ => None,
    };
    let amount = match &quantity.value {
        Expr::Value(value) => number(&value.value),
        _ => None,
    };
    let not_a_number =
        || plan_datafusion_err!("a sample of {}, which is no number", quantity.value);
    let amount = amount.ok_or_else(not_a_number)?;
    let is_percent = quantity.unit == Some(TableSampleUnit::Percent);
    let amount = if is_percent {
        let percent: f64 = amount.parse().map_err(|_| not_a_number())?;
        if !(0.0..=100.0).contains(&percent) {
            return plan_err!("a sample of {percent}%, which is not between 0 and 100");
        }
        match name {
            Some(TableSampleMethod::Row) => Amount::ExactFraction(percent / 100.0),
            _ => Amount::Fraction(percent / 100.0),
        }
    } else {
        if !matches!(name, None | Some(TableSampleMethod::Row)) {
            return plan_err!("bernoulli and system take a percentage, reservoir takes rows");
        }
        let rows = amount.parse().map_err(|_| {
            plan_datafusion_err!("a sample of {amount} rows, which is not a whole number")
        })?;
        Amount::Rows(rows)
    };
    let seed = match seed {
        None => None,
        Some(seed) => {
            let text = number(&seed.value.value);
            let parsed = text.and_then(|text| text.parse::<u64>().ok());
            Some(parsed.ok_or_else(|| {
                plan_datafusion_err!("a seed of {}, which is no whole number", seed.value)
            })?)
        }
    };
    Ok(Sample { amount, seed })
}
