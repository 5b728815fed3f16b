//! Names of SQL types ↔ arrow types, for options that hold types.

use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, TimeUnit};

use crate::error::{Error, Result};

/// The type of this name, in any case: SQL's names, DuckDB's, and the ones pandas has.
///
/// # Errors
/// `Config` for a name that is not known.
pub(crate) fn parse_type(name: &str) -> Result<DataType> {
    let upper = name.trim().to_uppercase();
    let (word, arguments) = match upper.split_once('(') {
        Some((word, rest)) => {
            let (inside, after) = rest.split_once(')').ok_or_else(|| unknown(name))?;
            (format!("{}{after}", word.trim_end()), Some(inside.to_string()))
        }
        None => (upper, None),
    };
    Ok(match word.as_str() {
        "BOOLEAN" | "BOOL" | "LOGICAL" => DataType::Boolean,
        "TINYINT" | "INT1" => DataType::Int8,
        "SMALLINT" | "INT2" | "INT16" | "SHORT" => DataType::Int16,
        "INTEGER" | "INT" | "INT4" | "INT32" | "SIGNED" => DataType::Int32,
        "BIGINT" | "INT8" | "INT64" | "LONG" => DataType::Int64,
        "UTINYINT" | "UINT8" => DataType::UInt8,
        "USMALLINT" | "UINT16" => DataType::UInt16,
        "UINTEGER" | "UINT32" => DataType::UInt32,
        "UBIGINT" | "UINT64" => DataType::UInt64,
        "REAL" | "FLOAT" | "FLOAT4" | "FLOAT32" => DataType::Float32,
        "DOUBLE" | "DOUBLE PRECISION" | "FLOAT8" | "FLOAT64" => DataType::Float64,
        "DECIMAL" | "NUMERIC" | "DEC" => decimal(name, arguments.as_deref())?,
        "DATE" => DataType::Date32,
        "TIME" => DataType::Time64(TimeUnit::Microsecond),
        "TIMESTAMP" | "DATETIME" | "DATETIME64" | "TIMESTAMP WITHOUT TIME ZONE" => {
            DataType::Timestamp(unit(name, arguments.as_deref())?, None)
        }
        "TIMESTAMPTZ" | "TIMESTAMP WITH TIME ZONE" => {
            DataType::Timestamp(unit(name, arguments.as_deref())?, Some("+00:00".into()))
        }
        "VARCHAR" | "TEXT" | "STRING" | "CHAR" | "BPCHAR" | "OBJECT" | "STR" => DataType::Utf8View,
        "BLOB" | "BYTEA" | "BINARY" | "VARBINARY" => DataType::Binary,
        _ => return Err(unknown(name)),
    })
}

fn decimal(name: &str, arguments: Option<&str>) -> Result<DataType> {
    // Those of DuckDB.
    const PRECISION: u8 = 18;
    const SCALE: i8 = 3;
    let Some(arguments) = arguments else {
        return Ok(DataType::Decimal128(PRECISION, SCALE));
    };
    let (precision, scale) = arguments.split_once(',').unwrap_or((arguments, "0"));
    let parsed = (precision.trim().parse::<u8>(), scale.trim().parse::<i8>());
    match parsed {
        (Ok(precision @ 1..=DECIMAL128_MAX_PRECISION), Ok(scale @ 0..))
            if scale.unsigned_abs() <= precision =>
        {
            Ok(DataType::Decimal128(precision, scale))
        }
        _ => Err(Error::config(format!("\"{name}\" is not a decimal type"))
            .with_hint("write DECIMAL(precision, scale) with 1 to 38 digits")),
    }
}

/// The coarsest unit that has as many digits after the second; microseconds if nothing is said.
fn unit(name: &str, digits: Option<&str>) -> Result<TimeUnit> {
    match digits.map(|digits| digits.trim().parse::<u8>()) {
        Some(Ok(0)) => Ok(TimeUnit::Second),
        Some(Ok(1..=3)) => Ok(TimeUnit::Millisecond),
        None | Some(Ok(4..=6)) => Ok(TimeUnit::Microsecond),
        Some(Ok(7..=9)) => Ok(TimeUnit::Nanosecond),
        _ => Err(Error::config(format!("\"{name}\" is not a timestamp type"))
            .with_hint("write TIMESTAMP(digits) with 0 to 9 digits after the second")),
    }
}

fn unknown(name: &str) -> Error {
    let names: Vec<String> = [
        "BOOLEAN",
        "TINYINT",
        "SMALLINT",
        "INTEGER",
        "BIGINT",
        "REAL",
        "DOUBLE",
        "DECIMAL",
        "DATE",
        "TIME",
        "TIMESTAMP",
        "TIMESTAMPTZ",
        "VARCHAR",
        "TEXT",
        "BLOB",
    ]
    .map(ToString::to_string)
    .to_vec();
    let error = Error::config(format!("no type \"{name}\""));
    match crate::error::nearest(name, &names) {
        Some(near) => error.with_hint(format!("did you mean {near}?")),
        None => error.with_hint(format!("the types are {}", names.join(", "))),
    }
}

/// The SQL name of a type that [`parse_type`] can give.
pub(crate) fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "BOOLEAN".to_string(),
        DataType::Int8 => "TINYINT".to_string(),
        DataType::Int16 => "SMALLINT".to_string(),
        DataType::Int32 => "INTEGER".to_string(),
        DataType::Int64 => "BIGINT".to_string(),
        DataType::UInt8 => "UTINYINT".to_string(),
        DataType::UInt16 => "USMALLINT".to_string(),
        DataType::UInt32 => "UINTEGER".to_string(),
        DataType::UInt64 => "UBIGINT".to_string(),
        DataType::Float32 => "FLOAT".to_string(),
        DataType::Float64 => "DOUBLE".to_string(),
        DataType::Decimal128(precision, scale) => format!("DECIMAL({precision}, {scale})"),
        DataType::Date32 => "DATE".to_string(),
        DataType::Time64(_) => "TIME".to_string(),
        DataType::Timestamp(unit, zone) => {
            let name = if zone.is_some() { "TIMESTAMPTZ" } else { "TIMESTAMP" };
            match unit {
                TimeUnit::Second => format!("{name}(0)"),
                TimeUnit::Millisecond => format!("{name}(3)"),
                TimeUnit::Microsecond => name.to_string(),
                TimeUnit::Nanosecond => format!("{name}(9)"),
            }
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "VARCHAR".to_string(),
        DataType::Binary => "BLOB".to_string(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        for name in [
            "BOOLEAN",
            "TINYINT",
            "SMALLINT",
            "INTEGER",
            "BIGINT",
            "UTINYINT",
            "UBIGINT",
            "FLOAT",
            "DOUBLE",
            "DECIMAL(10, 2)",
            "DATE",
            "TIME",
            "TIMESTAMP",
            "TIMESTAMP(0)",
            "TIMESTAMP(9)",
            "TIMESTAMPTZ",
            "TIMESTAMPTZ(3)",
            "VARCHAR",
            "BLOB",
        ] {
            assert_eq!(type_name(&parse_type(name).unwrap()), name);
        }
    }

    #[test]
    fn spellings() {
        assert_eq!(parse_type("varchar(20)").unwrap(), DataType::Utf8View);
        assert_eq!(parse_type("double precision").unwrap(), DataType::Float64);
        assert_eq!(parse_type("int64").unwrap(), DataType::Int64);
        assert_eq!(parse_type("numeric(9)").unwrap(), DataType::Decimal128(9, 0));
        assert_eq!(
            parse_type("timestamp(6) with time zone").unwrap(),
            DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()))
        );
        assert_eq!(
            parse_type("timestamp(1)").unwrap(),
            DataType::Timestamp(TimeUnit::Millisecond, None)
        );
        for wrong in [
            "timestamp(10)",
            "timestamptz(x)",
            "decimal(0)",
            "decimal(5,6)",
            "decimal(40,2)",
            "decimal(1",
            "integr",
            "",
        ] {
            assert!(parse_type(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(parse_type("integr").unwrap_err().hint(), Some("did you mean INTEGER?"));
    }
}
