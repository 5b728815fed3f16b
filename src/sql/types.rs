//! Names that DuckDB has for types.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::error::Result;
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::sql::sqlparser::ast::DataType as SqlType;

/// Knows the types that DataFusion does not.
#[derive(Debug)]
pub(crate) struct DuckTypes;

impl TypePlanner for DuckTypes {
    fn plan_type_field(&self, sql_type: &SqlType) -> Result<Option<FieldRef>> {
        let data_type = match sql_type {
            // As wide as there is: 38 digits, of the 39 that 128 bits can have.
            SqlType::HugeInt | SqlType::UHugeInt => DataType::Decimal128(38, 0),
            SqlType::UTinyInt => DataType::UInt8,
            SqlType::USmallInt => DataType::UInt16,
            SqlType::UBigInt => DataType::UInt64,
            SqlType::Custom(name, args) if args.is_empty() => {
                match name.to_string().to_lowercase().as_str() {
                    "utinyint" => DataType::UInt8,
                    "usmallint" => DataType::UInt16,
                    "uinteger" => DataType::UInt32,
                    "ubigint" => DataType::UInt64,
                    "timestamp_s" => DataType::Timestamp(TimeUnit::Second, None),
                    "timestamp_ms" => DataType::Timestamp(TimeUnit::Millisecond, None),
                    "timestamp_us" => DataType::Timestamp(TimeUnit::Microsecond, None),
                    "timestamp_ns" => DataType::Timestamp(TimeUnit::Nanosecond, None),
                    _ => return Ok(None),
                }
            }
            _ => return Ok(None),
        };
        Ok(Some(Arc::new(Field::new("", data_type, true))))
    }
}
