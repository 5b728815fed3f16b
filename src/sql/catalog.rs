//! `SHOW TABLES` as people expect it: their tables, not those that describe the catalog.

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::Statement as Sql;

use crate::error::Result;

/// Whether the statement is a plain `SHOW TABLES`.
pub(crate) fn is_show_tables(statement: &Statement) -> bool {
    let Statement::Statement(sql) = statement else { return false };
    matches!(sql.as_ref(), Sql::ShowTables { .. }) && sql.to_string() == "SHOW TABLES"
}

/// The query for the tables and views of the user.
pub(crate) fn list_of_tables() -> Statement {
    let sql = "SELECT table_name AS name, lower(table_type) AS type \
               FROM information_schema.tables \
               WHERE table_schema <> 'information_schema' ORDER BY name";
    super::parse(sql).expect("a constant").remove(0)
}

/// `SHOW t` is `DESCRIBE t` if there is such a table.
///
/// # Errors
/// `Query` if the name cannot be one.
pub(crate) fn shown_table(statement: &Statement, tables: &[String]) -> Result<Option<Statement>> {
    let Statement::Statement(sql) = statement else { return Ok(None) };
    let Sql::ShowVariable { variable } = sql.as_ref() else { return Ok(None) };
    let [name] = variable.as_slice() else { return Ok(None) };
    if !tables.iter().any(|table| table.eq_ignore_ascii_case(&name.value)) {
        return Ok(None);
    }
    Ok(super::parse(&format!("DESCRIBE {name}"))?.into_iter().next())
}
