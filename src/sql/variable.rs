//! Variables of a session: `SET VARIABLE x = …`, `getvariable('x')`, `RESET VARIABLE x`.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{ScalarValue, exec_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use datafusion::sql::parser::{ResetStatement, Statement};
use datafusion::sql::sqlparser::ast::{ObjectName, SelectItem, Set, Statement as Sql};
use parking_lot::RwLock;

use super::dialect::select;

/// A statement about variables.
#[derive(Debug)]
pub(crate) enum VariableStatement {
    /// `SET VARIABLE name = value`, with the query that gives the value.
    Set { name: String, value: Statement },
    /// `RESET VARIABLE name`
    Reset { name: String },
}

/// The statement, if it is about a variable.
///
/// # Errors
/// `Query` if a variable is set to several values.
pub(crate) fn variable_statement(
    statement: &Statement,
) -> crate::Result<Option<VariableStatement>> {
    match statement {
        Statement::Statement(sql) => {
            let Sql::Set(Set::SingleAssignment { variable, values, .. }) = sql.as_ref() else {
                return Ok(None);
            };
            let Some(name) = variable_name(variable) else { return Ok(None) };
            let [value] = values.as_slice() else {
                return Err(crate::Error::query(format!("SET VARIABLE {name} takes one value")));
            };
            let query = select(vec![SelectItem::UnnamedExpr(value.clone())], None)?;
            let value = Statement::Statement(Box::new(Sql::Query(Box::new(query))));
            Ok(Some(VariableStatement::Set { name, value }))
        }
        Statement::Reset(ResetStatement::Variable(variable)) => {
            Ok(variable_name(variable).map(|name| VariableStatement::Reset { name }))
        }
        _ => Ok(None),
    }
}

/// The name after `VARIABLE`, which `tokens` has made the first part of it.
fn variable_name(name: &ObjectName) -> Option<String> {
    let parts: Option<Vec<_>> = name.0.iter().map(|part| part.as_ident()).collect();
    match parts?.as_slice() {
        [variable, name] if variable.value.eq_ignore_ascii_case("variable") => {
            Some(name.value.to_lowercase())
        }
        _ => None,
    }
}

/// The variables of a session by their names in small letters.
#[derive(Debug, Default)]
pub(crate) struct Variables {
    values: RwLock<HashMap<String, ScalarValue>>,
}

impl Variables {
    pub(crate) fn set(&self, name: String, value: ScalarValue) {
        self.values.write().insert(name, value);
    }

    pub(crate) fn reset(&self, name: &str) {
        self.values.write().remove(name);
    }

    fn get(&self, name: &str) -> ScalarValue {
        let values = self.values.read();
        values.get(&name.to_lowercase()).cloned().unwrap_or(ScalarValue::Null)
    }

    /// The function that reads them.
    pub(crate) fn reader(self: &Arc<Self>) -> ScalarUDF {
        ScalarUDF::new_from_impl(GetVariable {
            variables: Arc::clone(self),
            // Another value may be set between two statements, not within one.
            signature: Signature::any(1, Volatility::Stable),
        })
    }
}

/// `getvariable('x')`
#[derive(Debug)]
struct GetVariable {
    variables: Arc<Variables>,
    signature: Signature,
}

impl PartialEq for GetVariable {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.variables, &other.variables)
    }
}

impl Eq for GetVariable {}

impl Hash for GetVariable {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.variables).hash(state);
    }
}

impl ScalarUDFImpl for GetVariable {
    fn name(&self) -> &str {
        "getvariable"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        plan_err!("getvariable takes the name of a variable as a text: getvariable('x')")
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let name = args.scalar_arguments.first().copied().flatten().and_then(text_of);
        let Some(name) = name else { return self.return_type(&[]).map(field) };
        Ok(field(self.variables.get(name).data_type()))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(ColumnarValue::Scalar(name)) = args.args.first() else {
            return exec_err!("getvariable takes the name of a variable as a text");
        };
        let value = self.variables.get(text_of(name).unwrap_or_default());
        Ok(ColumnarValue::Scalar(value.cast_to(args.return_field.data_type())?))
    }
}

fn text_of(value: &ScalarValue) -> Option<&str> {
    value.try_as_str().flatten()
}

fn field(data_type: DataType) -> FieldRef {
    Arc::new(Field::new("getvariable", data_type, true))
}
