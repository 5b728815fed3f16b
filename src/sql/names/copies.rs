//! INTERSECT ALL and EXCEPT ALL, which count how often a row is there.
//!
//! DataFusion would keep every copy that has a match, or none. The copies of each row get numbers, on
//! both sides; then no two rows of a side are equal, and those that both sides have, or one has more
//! of, are found without counting.

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, SelectItem, SetExpr, TableAliasColumnDef, TableFactor,
};

use super::tables::Column;
use crate::error::Result;
use crate::sql::dialect::{call, derived, over, select, taken};

/// The side of a set operation, with a number for each copy of a row.
pub(super) fn numbered(side: &mut SetExpr, width: usize) -> Result<()> {
    let mut rows = derived(taken(side)?, "rows");
    if let TableFactor::Derived { alias: Some(alias), .. } = &mut rows {
        let column = |name| TableAliasColumnDef { name, data_type: None };
        alias.columns = (0..width).map(place_name).map(column).collect();
    }
    let columns = || (0..width).map(|place| Expr::Identifier(place_name(place)));
    let number = over(call("row_number", Vec::new()), columns().collect(), Vec::new());
    let alias = Ident::with_quote('"', "__copy");
    let number = SelectItem::ExprWithAlias { expr: number, alias };
    let items = columns().map(SelectItem::UnnamedExpr).chain([number]).collect();
    *side = *select(items, Some(rows))?.body;
    Ok(())
}

/// The rows of an operation on numbered sides, without the numbers and with these names.
pub(super) fn named(operation: &mut SetExpr, columns: &[Column]) -> Result<()> {
    let copies = derived(taken(operation)?, "copies");
    let items = columns.iter().enumerate().map(|(place, column)| SelectItem::ExprWithAlias {
        expr: Expr::Identifier(place_name(place)),
        alias: Ident::with_quote('"', &column.name),
    });
    *operation = *select(items.collect(), Some(copies))?.body;
    Ok(())
}

fn place_name(place: usize) -> Ident {
    Ident::with_quote('"', format!("__{place}"))
}
