//! The names of columns and types as the user sees them, and what follows from a type: which way
//! its values are aligned.

use std::collections::HashSet;

use arrow::datatypes::{DataType, Schema};

/// The SQL name of an Arrow type, in lower case: `varchar`, `bigint`, `decimal(10,2)`, `double[]`.
pub fn sql_type_name(data_type: &DataType) -> String {
    let name = match data_type {
        DataType::Null => "null",
        DataType::Boolean => "boolean",
        DataType::Int8 => "tinyint",
        DataType::Int16 => "smallint",
        DataType::Int32 => "int",
        DataType::Int64 => "bigint",
        DataType::UInt8 => "tinyint unsigned",
        DataType::UInt16 => "smallint unsigned",
        DataType::UInt32 => "int unsigned",
        DataType::UInt64 => "bigint unsigned",
        DataType::Float16 => "half",
        DataType::Float32 => "float",
        DataType::Float64 => "double",
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => return format!("decimal({precision},{scale})"),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "varchar",
        DataType::Binary
        | DataType::LargeBinary
        | DataType::FixedSizeBinary(_)
        | DataType::BinaryView => "varbinary",
        DataType::Date32 | DataType::Date64 => "date",
        DataType::Time32(_) | DataType::Time64(_) => "time",
        DataType::Timestamp(_, None) => "timestamp",
        DataType::Timestamp(_, Some(_)) => "timestamptz",
        DataType::Duration(_) | DataType::Interval(_) => "interval",
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::ListView(field)
        | DataType::LargeListView(field)
        | DataType::FixedSizeList(field, _) => {
            return format!("{}[]", sql_type_name(field.data_type()));
        }
        DataType::Struct(_) => "struct",
        DataType::Map(_, _) => "map",
        DataType::Union(_, _) => "union",
        DataType::Dictionary(_, values) => return sql_type_name(values),
        DataType::RunEndEncoded(_, values) => return sql_type_name(values.data_type()),
    };
    name.to_string()
}

/// Whether values of the type are numbers, which are aligned on the right.
pub(super) fn is_numeric(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, values) => is_numeric(values),
        DataType::RunEndEncoded(_, values) => is_numeric(values.data_type()),
        other => other.is_numeric(),
    }
}

/// Whether values of the type are short, and worth nothing when cut: numbers, dates, times.
pub(super) fn is_short(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, values) => is_short(values),
        DataType::RunEndEncoded(_, values) => is_short(values.data_type()),
        other => other.is_numeric() || other.is_temporal() || *other == DataType::Boolean,
    }
}

/// The column names made distinct: the first of several equal ones keeps its name, later ones are
/// numbered `_1`, `_2`, …
pub(super) fn unique_names(schema: &Schema) -> Vec<String> {
    let given: HashSet<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let mut used: HashSet<String> = HashSet::new();
    let mut names = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let mut name = field.name().clone();
        let mut number = 0_u64;
        while used.contains(&name) || (number > 0 && given.contains(name.as_str())) {
            number += 1;
            name = format!("{}_{number}", field.name());
        }
        used.insert(name.clone());
        names.push(name);
    }
    names
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{Field, TimeUnit};

    use super::*;

    #[test]
    fn types_have_sql_names() {
        let list = DataType::List(Arc::new(Field::new("item", DataType::Float64, true)));
        assert_eq!(sql_type_name(&list), "double[]");
        let dictionary = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8));
        assert_eq!(sql_type_name(&dictionary), "varchar");
        assert_eq!(sql_type_name(&DataType::Decimal128(10, 2)), "decimal(10,2)");
        let moment = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        assert_eq!(sql_type_name(&moment), "timestamptz");
    }

    #[test]
    fn equal_names_are_numbered_around_given_ones() {
        let fields: Vec<Field> = ["a", "b", "a", "a_1", "a"]
            .iter()
            .map(|name| Field::new(*name, DataType::Int32, true))
            .collect();
        assert_eq!(unique_names(&Schema::new(fields)), ["a", "b", "a_2", "a_1", "a_3"]);
    }
}
