//! Functions on structs: their names, and structs made of structs.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, StringArray, StructArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::common::{ScalarValue, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::{ReturnFieldArgs, ScalarUDF};

use super::define::{Call, field, gives_flag, scalar, takes_any};
use super::list::lists_of;
use super::rows::comparable_pair;

/// All of this file.
pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![
        scalar("struct_extract", &["struct_extract_at"], takes_any, gives_member, member),
        scalar("struct_keys", &[], takes_struct, gives_names, names),
        scalar("struct_values", &[], takes_struct, gives_numbered, values),
        scalar("struct_concat", &[], takes_structs, gives_concat, concat),
        scalar("struct_pack", &[], takes_any, gives_packed, |call| with_members(call, false)),
        scalar("struct_insert", &[], takes_any, gives_inserted, |call| with_members(call, true)),
        scalar("struct_update", &[], takes_any, gives_updated, |call| with_members(call, true)),
        scalar("struct_contains", &["struct_has"], takes_value, gives_flag, |call| {
            let places = places(call)?;
            Ok(Arc::new(
                places.iter().map(|place| place.map(|at| at > 0)).collect::<BooleanArray>(),
            ))
        }),
        scalar("struct_position", &["struct_indexof"], takes_value, gives_position, |call| {
            let places = places(call)?;
            Ok(Arc::new(
                places.into_iter().map(|at| at.filter(|at| *at > 0)).collect::<Int64Array>(),
            ))
        }),
    ]
}

/// The fields of a struct type.
fn fields_of<'a>(name: &str, data_type: &'a DataType) -> Result<&'a Fields> {
    match data_type {
        DataType::Struct(fields) => Ok(fields),
        other => plan_err!("{name} takes a struct, not {other}"),
    }
}

fn takes_struct(name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    match types {
        [only] => fields_of(name, only).map(|_| types.to_vec()),
        _ => plan_err!("{name} takes one struct, not {} arguments", types.len()),
    }
}

fn takes_structs(name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    if types.is_empty() {
        return plan_err!("{name} takes structs");
    }
    for data_type in types {
        fields_of(name, data_type)?;
    }
    Ok(types.to_vec())
}

fn takes_value(name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    let [structs, value] = types else {
        return plan_err!("{name} takes a struct and a value, not {} arguments", types.len());
    };
    fields_of(name, structs)?;
    Ok(vec![structs.clone(), value.clone()])
}

/// The number of the member that a constant names or counts from 1.
fn member_at(name: &str, fields: &Fields, wanted: Option<&ScalarValue>) -> Result<usize> {
    let known = || {
        let names: Vec<&str> = fields.iter().map(|field| field.name().as_str()).collect();
        names.join(", ")
    };
    let Some(wanted) = wanted else {
        return plan_err!("{name}: the member must be a constant name or number");
    };
    if let Some(Some(wanted)) = wanted.try_as_str() {
        let exact = fields.iter().position(|field| field.name() == wanted);
        let any_case = || fields.iter().position(|field| field.name().eq_ignore_ascii_case(wanted));
        return match exact.or_else(any_case) {
            Some(at) => Ok(at),
            None => plan_err!("{name}: no member '{wanted}'; there are {}", known()),
        };
    }
    match wanted.cast_to(&DataType::Int64)? {
        ScalarValue::Int64(Some(number)) => match usize::try_from(number - 1) {
            Ok(at) if at < fields.len() => Ok(at),
            _ => plan_err!("{name}: no member {number}; there are {}", known()),
        },
        _ => plan_err!("{name}: the member must be a constant name or number"),
    }
}

fn gives_member(name: &str, args: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    let [structs, _] = args.arg_fields else {
        return plan_err!("{name} takes a struct and the name or number of a member");
    };
    let fields = fields_of(name, structs.data_type())?;
    let at = member_at(name, fields, args.scalar_arguments[1])?;
    Ok(field(name, fields[at].data_type().clone()))
}

fn member(call: &Call<'_>) -> Result<ArrayRef> {
    let structs = call.array(0)?;
    let structs = structs.as_struct();
    let at = member_at(call.name, structs.fields(), call.constant(1))?;
    masked(structs, structs.column(at))
}

/// A member, NULL where the struct is.
fn masked(structs: &StructArray, member: &ArrayRef) -> Result<ArrayRef> {
    Ok(match structs.nulls() {
        Some(nulls) => arrow::compute::nullif(member, &BooleanArray::from(!nulls.inner()))?,
        None => Arc::clone(member),
    })
}

fn gives_names(name: &str, _: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    Ok(field(name, DataType::new_list(DataType::Utf8, true)))
}

fn names(call: &Call<'_>) -> Result<ArrayRef> {
    let structs = call.array(0)?;
    let fields = structs.as_struct().fields();
    let of_row = |row| if structs.is_null(row) { 0 } else { fields.len() };
    let lengths: Vec<usize> = (0..call.rows).map(of_row).collect();
    let names = lengths.iter().flat_map(|count| fields.iter().take(*count));
    let names: Vec<&str> = names.map(|field| field.name().as_str()).collect();
    let names = StringArray::from(names);
    lists_of(call.gives, Arc::new(names), lengths, structs.nulls().cloned())
}

/// A struct like the one that `row(…)` makes.
fn gives_numbered(name: &str, args: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    let fields = fields_of(name, args.arg_fields[0].data_type())?;
    let numbered = fields
        .iter()
        .enumerate()
        .map(|(at, field)| Field::new(format!("c{at}"), field.data_type().clone(), true));
    Ok(field(name, DataType::Struct(numbered.collect())))
}

fn values(call: &Call<'_>) -> Result<ArrayRef> {
    let structs = call.array(0)?;
    let structs = structs.as_struct();
    struct_of(call, structs.columns().to_vec(), structs.nulls().cloned())
}

fn struct_of(
    call: &Call<'_>,
    columns: Vec<ArrayRef>,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef> {
    let fields = fields_of(call.name, call.gives)?;
    Ok(Arc::new(StructArray::try_new(fields.clone(), columns, nulls)?))
}

/// A struct type of these members, whose names must differ.
fn struct_field(name: &str, members: Vec<Field>) -> Result<FieldRef> {
    for (at, member) in members.iter().enumerate() {
        if members[..at].iter().any(|other| other.name().eq_ignore_ascii_case(member.name())) {
            return plan_err!("{name}: two members are named '{}'", member.name());
        }
    }
    Ok(field(name, DataType::Struct(members.into())))
}

fn nullable(field: &Field) -> Field {
    field.clone().with_nullable(true)
}

fn gives_concat(name: &str, args: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    let mut members = Vec::new();
    for structs in args.arg_fields {
        members.extend(fields_of(name, structs.data_type())?.iter().map(|field| nullable(field)));
    }
    struct_field(name, members)
}

fn concat(call: &Call<'_>) -> Result<ArrayRef> {
    let mut columns = Vec::new();
    for arg in 0..call.args.len() {
        let structs = call.array(arg)?;
        let structs = structs.as_struct();
        for column in structs.columns() {
            columns.push(masked(structs, column)?);
        }
    }
    struct_of(call, columns, None)
}

/// Names and values in turn, from an argument on.
fn named(name: &str, args: &ReturnFieldArgs<'_>, from: usize) -> Result<Vec<Field>> {
    let (fields, constants) = (&args.arg_fields[from..], &args.scalar_arguments[from..]);
    if !fields.len().is_multiple_of(2) {
        return plan_err!("{name} takes names and values in turn");
    }
    let pairs = fields.chunks_exact(2).zip(constants.chunks_exact(2));
    pairs
        .map(|(fields, constants)| {
            match constants[0].and_then(|constant| constant.try_as_str()).flatten() {
                Some(member) => Ok(Field::new(member, fields[1].data_type().clone(), true)),
                None => plan_err!("{name}: the names must be constant texts"),
            }
        })
        .collect()
}

fn gives_packed(name: &str, args: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    struct_field(name, named(name, args, 0)?)
}

fn first_fields(name: &str, args: &ReturnFieldArgs<'_>) -> Result<Vec<Field>> {
    let Some(structs) = args.arg_fields.first() else {
        return plan_err!("{name} takes a struct, then names and values in turn");
    };
    Ok(fields_of(name, structs.data_type())?.iter().map(|field| nullable(field)).collect())
}

fn gives_inserted(name: &str, args: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    let mut members = first_fields(name, args)?;
    members.extend(named(name, args, 1)?);
    struct_field(name, members)
}

fn gives_updated(name: &str, args: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    let mut members = first_fields(name, args)?;
    for new in named(name, args, 1)? {
        match members.iter_mut().find(|old| old.name().eq_ignore_ascii_case(new.name())) {
            Some(old) => *old = new.with_name(old.name()),
            None => members.push(new),
        }
    }
    struct_field(name, members)
}

/// The members of the first struct, if there is one, with those that follow by their names.
fn with_members(call: &Call<'_>, has_struct: bool) -> Result<ArrayRef> {
    let fields = fields_of(call.name, call.gives)?;
    let from = usize::from(has_struct);
    let mut columns: Vec<Option<ArrayRef>> = vec![None; fields.len()];
    if has_struct {
        let structs = call.array(0)?;
        let structs = structs.as_struct();
        for (column, place) in structs.columns().iter().zip(&mut columns) {
            *place = Some(masked(structs, column)?);
        }
    }
    for arg in (from..call.args.len()).step_by(2) {
        let at = member_at(call.name, fields, call.constant(arg))?;
        columns[at] = Some(call.array(arg + 1)?);
    }
    if columns.is_empty() {
        return Ok(Arc::new(StructArray::new_empty_fields(call.rows, None)));
    }
    struct_of(call, columns.into_iter().flatten().collect(), None)
}

fn gives_position(name: &str, _: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    Ok(field(name, DataType::Int64))
}

/// For each row the number of the first member with the wanted value, 0 if there is none, NULL if
/// the struct or the value is. Texts are members that are texts, and no others.
fn places(call: &Call<'_>) -> Result<Vec<Option<i64>>> {
    let (structs, wanted) = (call.array(0)?, call.array(1)?);
    let nulls = NullBuffer::union(structs.nulls(), wanted.logical_nulls().as_ref());
    let valid = |row| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
    let mut places: Vec<Option<i64>> = (0..call.rows).map(|row| valid(row).then_some(0)).collect();
    for (at, column) in (1..).zip(structs.as_struct().columns()) {
        if column.data_type().is_string() != wanted.data_type().is_string() {
            continue;
        }
        let Some([members, wanted]) = comparable_pair(column, &wanted)? else { continue };
        for (row, place) in places.iter_mut().enumerate() {
            if *place == Some(0) && members.row(row) == wanted.row(row) {
                *place = Some(at);
            }
        }
    }
    Ok(places)
}
