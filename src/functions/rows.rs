//! Values as bytes that compare as the values do.
//!
//! Of floats there are two zeros and many NaNs. For SQL, each is one value, so it gets the same bytes.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, make_array};
use arrow::compute::{SortOptions, cast};
use arrow::datatypes::{DataType, Float16Type, Float32Type, Float64Type};
use arrow::row::{RowConverter, Rows, SortField};
use datafusion::error::Result;
use datafusion::logical_expr::type_coercion::binary::comparison_coercion;

/// The rows of some columns.
pub(super) fn converted(converter: &RowConverter, columns: &[ArrayRef]) -> Result<Rows> {
    let columns = columns.iter().map(canonical).collect::<Result<Vec<_>>>()?;
    Ok(converter.convert_columns(&columns)?)
}

/// Columns of one type, each as rows of its own.
pub(super) fn comparable(columns: &[&ArrayRef], options: SortOptions) -> Result<Vec<Rows>> {
    let Some(first) = columns.first() else {
        return Ok(Vec::new());
    };
    let field = SortField::new_with_options(first.data_type().clone(), options);
    let converter = RowConverter::new(vec![field])?;
    columns.iter().map(|column| converted(&converter, &[Arc::clone(column)])).collect()
}

/// Two columns as rows of one type; `None` if their values cannot be compared.
pub(super) fn comparable_pair(one: &ArrayRef, other: &ArrayRef) -> Result<Option<[Rows; 2]>> {
    let (first, second) = (one.data_type(), other.data_type());
    let common =
        if first == second { Some(first.clone()) } else { comparison_coercion(first, second) };
    let Some(common) = common else { return Ok(None) };
    let (one, other) = (cast(one, &common)?, cast(other, &common)?);
    let rows = comparable(&[&one, &other], SortOptions::default())?;
    Ok(<[Rows; 2]>::try_from(rows).ok())
}

/// The column with one zero and one NaN, also among the values of nested ones.
fn canonical(column: &ArrayRef) -> Result<ArrayRef> {
    macro_rules! floats {
        ($data_type:ty) => {{
            type Float = <$data_type as ArrowPrimitiveType>::Native;
            let one =
                |float: Float| if float.is_nan() { Float::NAN } else { float + Float::default() };
            Arc::new(column.as_primitive::<$data_type>().unary::<_, $data_type>(one))
        }};
    }
    Ok(match column.data_type() {
        DataType::Float16 => floats!(Float16Type),
        DataType::Float32 => floats!(Float32Type),
        DataType::Float64 => floats!(Float64Type),
        data_type if has_floats(data_type) => {
            let data = column.to_data();
            let values = data.child_data().iter();
            let values = values
                .map(|values| Ok(canonical(&make_array(values.clone()))?.to_data()))
                .collect::<Result<Vec<_>>>()?;
            make_array(data.into_builder().child_data(values).build()?)
        }
        _ => Arc::clone(column),
    })
}

fn has_floats(data_type: &DataType) -> bool {
    match data_type {
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _)
        | DataType::RunEndEncoded(_, item) => has_floats(item.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| has_floats(field.data_type())),
        DataType::Dictionary(_, values) => has_floats(values),
        other => other.is_floating(),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, ListArray, StructArray};
    use arrow::datatypes::Field;

    use super::*;

    fn of(column: ArrayRef) -> Rows {
        comparable(&[&column], SortOptions::default()).unwrap().swap_remove(0)
    }

    fn assert_pairs_are_equal(column: ArrayRef) {
        let rows = of(column);
        assert_eq!(rows.row(0), rows.row(1));
        assert_eq!(rows.row(2), rows.row(3));
        assert!(rows.row(0) < rows.row(2));
    }

    #[test]
    fn zeros_and_nans_are_one_value_each_wherever_they_are() {
        let floats = || Float64Array::from(vec![0.0, -0.0, f64::NAN, -f64::NAN]);
        assert_pairs_are_equal(Arc::new(floats()));
        let field = Arc::new(Field::new("x", DataType::Float64, true));
        let structs = StructArray::from(vec![(field, Arc::new(floats()) as ArrayRef)]);
        assert_pairs_are_equal(Arc::new(structs));
        let lists = [0.0, 0.0, -0.0, f64::NAN, -f64::NAN].map(|x| Some(vec![Some(1.0), Some(x)]));
        let lists = ListArray::from_iter_primitive::<Float64Type, _, _>(lists);
        assert_pairs_are_equal(Arc::new(lists.slice(1, 4)));
    }

    #[test]
    fn pairs_are_compared_in_a_type_that_holds_both() {
        let one: ArrayRef = Arc::new(Float64Array::from(vec![1.0, 1.5]));
        let other: ArrayRef = Arc::new(arrow::array::Int64Array::from(vec![1, 1]));
        let [one, other] = comparable_pair(&one, &other).unwrap().unwrap();
        assert_eq!(one.row(0), other.row(0));
        assert_ne!(one.row(1), other.row(1));
        let flags: ArrayRef = Arc::new(arrow::array::BooleanArray::from(vec![true]));
        let days: ArrayRef = Arc::new(arrow::array::Date32Array::from(vec![1]));
        assert!(comparable_pair(&flags, &days).unwrap().is_none());
    }
}
