//! Scalar functions as a table of what they take and give, and a body for a batch.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{ArrayRef, new_empty_array};
use arrow::datatypes::{DataType, Field, FieldRef, IntervalUnit, TimeUnit};
use datafusion::common::{ScalarValue, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use super::inputs::Inputs;

/// What an argument is, and so what is made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arg {
    /// `Utf8View`.
    Text,
    /// A list of `Utf8View`.
    Texts,
    /// `BinaryView`, from bytes or text.
    Bytes,
    /// `Int64`, from any integer.
    Integer,
    /// `Int64` or, of those that may not fit there, `UInt64`.
    Long,
    /// `Float64`, from any number.
    Float,
    /// An integer of any type, as it is.
    Whole,
    /// A timestamp of any unit, with or without a zone. Dates and texts become microseconds.
    Moment,
    /// `Date32`, from dates, timestamps and texts.
    Date,
    /// A date or timestamp as it is; texts become timestamps of microseconds.
    DateOrMoment,
    /// Months, days and nanoseconds, from intervals, durations and texts.
    Interval,
    Boolean,
    /// Anything, as it is.
    Any,
}

/// The type of timestamps that are made of something else.
pub(super) fn micros() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, None)
}

/// The type of intervals.
pub(super) const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

impl Arg {
    /// What a value of this type is cast to, or `None` if it is no such argument.
    fn coerced(self, from: &DataType) -> Option<DataType> {
        let from = match from {
            DataType::Dictionary(_, values) => values.as_ref(),
            DataType::RunEndEncoded(_, values) => values.data_type(),
            other => other,
        };
        let null = from.is_null();
        let date = matches!(from, DataType::Date32 | DataType::Date64);
        match self {
            // A text is left as it is: a cast would hide from the function that it is a constant.
            Arg::Text if null => Some(DataType::Utf8View),
            Arg::Text => is_text(from).then(|| from.clone()),
            Arg::Texts => match from {
                DataType::List(field)
                | DataType::LargeList(field)
                | DataType::FixedSizeList(field, _)
                    if is_text(field.data_type()) || field.data_type().is_null() =>
                {
                    Some(texts())
                }
                _ => None,
            },
            Arg::Bytes => (null || is_text(from) || is_bytes(from)).then_some(DataType::BinaryView),
            Arg::Integer => (null || from.is_integer()).then_some(DataType::Int64),
            Arg::Long if *from == DataType::UInt64 => Some(DataType::UInt64),
            Arg::Long => Arg::Integer.coerced(from),
            Arg::Float => (null || from.is_numeric()).then_some(DataType::Float64),
            Arg::Whole if null => Some(DataType::Int64),
            Arg::Whole => from.is_integer().then(|| from.clone()),
            Arg::Moment => match from {
                DataType::Timestamp(..) => Some(from.clone()),
                _ => (null || date || is_text(from)).then(micros),
            },
            Arg::Date => {
                let moment = matches!(from, DataType::Timestamp(..));
                (null || date || moment || is_text(from)).then_some(DataType::Date32)
            }
            Arg::DateOrMoment => match from {
                DataType::Timestamp(..) => Some(from.clone()),
                _ if date => Some(DataType::Date32),
                _ => (null || is_text(from)).then(micros),
            },
            Arg::Interval => {
                let span = matches!(from, DataType::Interval(_) | DataType::Duration(_));
                (null || span || is_text(from)).then_some(INTERVAL)
            }
            Arg::Boolean => (null || *from == DataType::Boolean).then_some(DataType::Boolean),
            Arg::Any => Some(from.clone()),
        }
    }
}

/// The type of lists of texts.
pub(super) fn texts() -> DataType {
    DataType::List(Arc::new(Field::new_list_field(DataType::Utf8View, true)))
}

fn is_bytes(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
            | DataType::FixedSizeBinary(_)
    )
}

/// The type of a result.
pub(super) enum Returns {
    Type(DataType),
    /// The type of an argument, after the casts.
    Argument(usize),
    /// What follows from the types of the arguments, after the casts, and from those that are
    /// constants.
    Of(fn(&[DataType], &[Option<&ScalarValue>]) -> Result<DataType>),
}

/// A list of arguments that a function takes.
pub(super) type Form = &'static [Arg];

/// A scalar function.
pub(super) struct Scalar {
    name: &'static str,
    aliases: Vec<String>,
    signature: Signature,
    forms: &'static [Form],
    /// Whether the last argument of the form may come again, or not at all.
    repeats: bool,
    returns: Returns,
    body: Body,
}

/// What makes the result of a batch.
pub(super) type Body = fn(&Inputs) -> Result<ArrayRef>;

impl Scalar {
    /// A function that takes one of these lists of arguments; the first that fits is taken.
    pub(super) fn new(
        name: &'static str,
        forms: &'static [Form],
        returns: Returns,
        body: Body,
    ) -> Self {
        let signature = Signature::user_defined(Volatility::Immutable);
        let aliases = Vec::new();
        Scalar { name, aliases, signature, forms, repeats: false, returns, body }
    }

    /// With other names.
    pub(super) fn or(mut self, names: &[&str]) -> Self {
        self.aliases.extend(names.iter().map(|name| (*name).to_string()));
        self
    }

    /// With any number of what the form has last.
    pub(super) fn repeating(mut self) -> Self {
        self.repeats = true;
        self
    }

    /// Called for each row, whatever the arguments.
    pub(super) fn volatile(mut self) -> Self {
        self.signature = Signature::user_defined(Volatility::Volatile);
        self
    }

    /// Whether the type of the result may follow from what the constants are.
    pub(super) fn is_typed_by_constants(&self) -> bool {
        matches!(self.returns, Returns::Of(_))
    }

    /// For the registry.
    pub(super) fn udf(self) -> Arc<ScalarUDF> {
        Arc::new(ScalarUDF::new_from_impl(self))
    }

    fn fitting(&self, form: Form, types: &[DataType]) -> Option<Vec<DataType>> {
        let fixed = form.len() - usize::from(self.repeats);
        let fits = if self.repeats { types.len() >= fixed } else { types.len() == fixed };
        let last = form.last().copied();
        fits.then(|| {
            let args = form[..fixed].iter().copied().chain(std::iter::repeat(last).flatten());
            types.iter().zip(args).map(|(data_type, arg)| arg.coerced(data_type)).collect()
        })?
    }
}

impl fmt::Debug for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scalar").field("name", &self.name).finish_non_exhaustive()
    }
}

/// There is one function of a name.
impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Scalar {}

impl Hash for Scalar {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Scalar {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        // What fits no form is refused where the type of the result is asked for: there, a message
        // reaches the user as it is.
        Ok(self.cast_to(types).unwrap_or_else(|| types.to_vec()))
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.returned(types, &vec![None; types.len()])
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let types: Vec<DataType> = args.arg_fields.iter().map(|f| f.data_type().clone()).collect();
        let returned = self.returned(&types, args.scalar_arguments)?;
        Ok(Arc::new(Field::new(self.name, returned, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if args.number_rows == 0 {
            return Ok(ColumnarValue::Array(new_empty_array(args.return_type())));
        }
        let constant = !args.args.is_empty()
            && args.args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let inputs = Inputs::new(self.name, &args.args, rows, args.return_type().clone())?;
        let result = (self.body)(&inputs)?;
        Ok(if constant {
            ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?)
        } else {
            ColumnarValue::Array(result)
        })
    }
}

impl Scalar {
    fn cast_to(&self, types: &[DataType]) -> Option<Vec<DataType>> {
        self.forms.iter().find_map(|form| self.fitting(form, types))
    }

    fn returned(&self, types: &[DataType], scalars: &[Option<&ScalarValue>]) -> Result<DataType> {
        if self.cast_to(types).is_none() {
            let wanted: Vec<String> = self.forms.iter().map(|form| self.described(form)).collect();
            let types: Vec<String> = types.iter().map(crate::output::sql_type_name).collect();
            return plan_err!(
                "no function {}({}); it is called as {}",
                self.name,
                types.join(", "),
                wanted.join(" or ")
            );
        }
        match &self.returns {
            Returns::Type(data_type) => Ok(data_type.clone()),
            Returns::Argument(index) => Ok(types[*index].clone()),
            Returns::Of(of) => of(types, scalars),
        }
    }

    /// A form as it is said to the user: `strftime(moment, text)`.
    fn described(&self, form: Form) -> String {
        let args: Vec<String> = form.iter().map(|a| format!("{a:?}").to_lowercase()).collect();
        let more = if self.repeats { ", …" } else { "" };
        format!("{}({}{more})", self.name, args.join(", "))
    }
}
