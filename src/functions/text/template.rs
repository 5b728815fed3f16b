//! `printf` and `format`: values put into a template.

use arrow::array::BooleanArray;
use arrow::array::{
    Array, ArrayRef, AsArray, Float64Array, Int64Array, StringViewArray, UInt64Array,
};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::exec_err;
use datafusion::error::Result;

use super::spec::{Align, Spec, Value};
use crate::functions::inputs::{Inputs, Last};

/// `printf(template, …)`, with the placeholders of C.
pub(super) fn printf(inputs: &Inputs) -> Result<ArrayRef> {
    fill(inputs, |template| Parser::new(template, inputs.name).printf())
}

/// `format(template, …)`, with placeholders in braces.
pub(super) fn format(inputs: &Inputs) -> Result<ArrayRef> {
    fill(inputs, |template| Parser::new(template, inputs.name).braces())
}

/// A part of a template.
enum Part {
    Literal(String),
    Placeholder {
        argument: usize,
        spec: Spec,
        /// The arguments that say the width and the precision.
        width: Option<usize>,
        precision: Option<usize>,
    },
}

fn fill(inputs: &Inputs, parse: impl Fn(&str) -> Result<Vec<Part>>) -> Result<ArrayRef> {
    let templates = inputs.texts(0);
    let arguments =
        (1..inputs.len()).map(|index| Argument::new(inputs, index)).collect::<Result<Vec<_>>>()?;
    let mut known = Last::new();
    inputs.write(|row, out| {
        let Some(template) = templates.get(row) else { return Ok(false) };
        if arguments.iter().any(|argument| argument.is_null(row)) {
            return Ok(false);
        }
        let parts = known.get(template, &parse)?;
        for part in parts {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Placeholder { argument, spec, width, precision } => {
                    let value = |index: usize| match arguments.get(index) {
                        Some(argument) => Ok(argument.value(row)),
                        None => exec_err!(
                            "{}: the template \"{template}\" wants more than the {} values there \
                             are",
                            inputs.name,
                            arguments.len()
                        ),
                    };
                    if width.is_none() && precision.is_none() {
                        spec.write(&value(*argument)?, inputs.name, out)?;
                        continue;
                    }
                    let mut spec = spec.clone();
                    if let Some(index) = width {
                        spec.width = count(&value(*index)?, inputs.name)?;
                    }
                    if let Some(index) = precision {
                        spec.precision = Some(count(&value(*index)?, inputs.name)?);
                    }
                    spec.write(&value(*argument)?, inputs.name, out)?;
                }
            }
        }
        Ok(true)
    })
}

/// A width or precision that is an argument.
fn count(value: &Value<'_>, function: &str) -> Result<usize> {
    match value {
        Value::Integer(number) if (0..=MOST_PLACES).contains(number) => {
            Ok(usize::try_from(*number).unwrap_or_default())
        }
        _ => exec_err!("{function}: a width is a number up to {MOST_PLACES}"),
    }
}

/// More is a mistake, and would fill memory.
const MOST_PLACES: i128 = 100_000;

/// A value for each row.
struct Argument {
    values: Values,
    constant: bool,
}

enum Values {
    Integers(Int64Array),
    Unsigned(UInt64Array),
    Floats(Float64Array),
    Booleans(BooleanArray),
    Texts(StringViewArray),
}

impl Argument {
    fn new(inputs: &Inputs, index: usize) -> Result<Self> {
        let (array, constant) = inputs.column(index);
        let values = match array.data_type() {
            DataType::UInt64 => Values::Unsigned(array.as_primitive().clone()),
            data_type if data_type.is_integer() => {
                Values::Integers(cast(array, &DataType::Int64)?.as_primitive().clone())
            }
            data_type if data_type.is_numeric() => {
                Values::Floats(cast(array, &DataType::Float64)?.as_primitive().clone())
            }
            DataType::Boolean => Values::Booleans(array.as_boolean().clone()),
            DataType::Utf8View => Values::Texts(array.as_string_view().clone()),
            DataType::Null => Values::Texts(StringViewArray::new_null(array.len())),
            _ => {
                let options = FormatOptions::default();
                let text = ArrayFormatter::try_new(array, &options)?;
                let texts = (0..array.len())
                    .map(|row| Ok(array.is_valid(row).then_some(text.value(row).try_to_string()?)));
                Values::Texts(texts.collect::<Result<_>>()?)
            }
        };
        Ok(Argument { values, constant })
    }

    fn is_null(&self, row: usize) -> bool {
        let array: &dyn Array = match &self.values {
            Values::Integers(array) => array,
            Values::Unsigned(array) => array,
            Values::Floats(array) => array,
            Values::Booleans(array) => array,
            Values::Texts(array) => array,
        };
        array.is_null(if self.constant { 0 } else { row })
    }

    fn value(&self, row: usize) -> Value<'_> {
        let row = if self.constant { 0 } else { row };
        match &self.values {
            Values::Integers(array) => Value::Integer(array.value(row).into()),
            Values::Unsigned(array) => Value::Integer(array.value(row).into()),
            Values::Floats(array) => Value::Float(array.value(row)),
            Values::Booleans(array) => Value::Boolean(array.value(row)),
            Values::Texts(array) => Value::Text(array.value(row)),
        }
    }
}

/// Reads a template.
struct Parser<'a> {
    template: &'a str,
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    function: &'static str,
    parts: Vec<Part>,
    /// The argument of the next placeholder that names none.
    next: usize,
}

impl<'a> Parser<'a> {
    fn new(template: &'a str, function: &'static str) -> Self {
        let rest = template.chars().peekable();
        Parser { template, rest, function, parts: Vec::new(), next: 0 }
    }

    fn literal(&mut self, c: char) {
        match self.parts.last_mut() {
            Some(Part::Literal(text)) => text.push(c),
            _ => self.parts.push(Part::Literal(c.to_string())),
        }
    }

    fn wrong<T>(&self, what: &str) -> Result<T> {
        exec_err!("{}: the template \"{}\" {what}", self.function, self.template)
    }

    fn number(&mut self) -> Result<Option<usize>> {
        let mut number = None;
        while let Some(digit) = self.rest.peek().and_then(|c| c.to_digit(10)) {
            self.rest.next();
            let value = number.unwrap_or(0) * 10 + i128::from(digit);
            if value > MOST_PLACES {
                return self.wrong("has a number that is too large");
            }
            number = Some(value);
        }
        Ok(number.and_then(|number| usize::try_from(number).ok()))
    }

    fn argument(&mut self) -> usize {
        self.next += 1;
        self.next - 1
    }

    fn accepts(&mut self, c: char) -> bool {
        self.rest.next_if_eq(&c).is_some()
    }

    fn printf(mut self) -> Result<Vec<Part>> {
        while let Some(c) = self.rest.next() {
            if c != '%' || self.accepts('%') {
                self.literal(c);
                continue;
            }
            let part = self.percent()?;
            self.parts.push(part);
        }
        Ok(self.parts)
    }

    /// What comes after `%`.
    fn percent(&mut self) -> Result<Part> {
        let mut spec = Spec { of_bits: true, align: None, ..Spec::default() };
        let mut named = None;
        // `%1$s` begins like a width; a 0 before it is a flag.
        if self.rest.peek() != Some(&'0')
            && let Some(number) = self.number()?
        {
            if self.accepts('$') {
                named = Some(number);
            } else {
                spec.width = number;
            }
        }
        let mut left = false;
        while spec.width == 0
            && let Some(flag) = self.rest.next_if(|c| "-+ #0,'".contains(*c))
        {
            match flag {
                '-' => left = true,
                '+' => spec.sign = Some('+'),
                ' ' => spec.sign = spec.sign.or(Some(' ')),
                '#' => spec.alternate = true,
                '0' => spec.zeros = true,
                _ => spec.group = Some(','),
            }
        }
        let mut width = None;
        if self.accepts('*') {
            width = Some(self.argument());
        } else if let Some(number) = self.number()? {
            spec.width = number;
        }
        let mut precision = None;
        if self.accepts('.') {
            if self.accepts('*') {
                precision = Some(self.argument());
            } else {
                spec.precision = Some(self.number()?.unwrap_or(0));
            }
        }
        while self.rest.next_if(|c| "hlLqjzt".contains(*c)).is_some() {}
        let Some(kind) = self.rest.next() else { return self.wrong("ends in a placeholder") };
        if !"diuxXocsfFeEgG".contains(kind) {
            return self.wrong(&format!("has %{kind}, which means nothing"));
        }
        spec.kind = Some(kind);
        // Texts are on the right too.
        let text = matches!(kind, 's' | 'c');
        spec.align = if left { Some(Align::Left) } else { text.then_some(Align::Right) };
        let argument = match named {
            Some(0) => return self.wrong("has a value 0; they are counted from 1"),
            Some(number) => number - 1,
            None => self.argument(),
        };
        Ok(Part::Placeholder { argument, spec, width, precision })
    }

    fn braces(mut self) -> Result<Vec<Part>> {
        while let Some(c) = self.rest.next() {
            if (c == '{' && !self.accepts('{')) || (c == '}' && !self.accepts('}')) {
                if c == '}' {
                    return self.wrong("has a } that is alone; write it twice");
                }
                let part = self.brace()?;
                self.parts.push(part);
            } else {
                self.literal(c);
            }
        }
        Ok(self.parts)
    }

    /// What comes after `{`, with the closing one.
    fn brace(&mut self) -> Result<Part> {
        let argument = match self.number()? {
            Some(number) => number,
            None => self.argument(),
        };
        let mut spec = Spec::default();
        if self.accepts(':') {
            self.brace_spec(&mut spec)?;
        }
        if !self.accepts('}') {
            return self.wrong("has a placeholder that is not {}, {0} or like {:>8.2f}");
        }
        Ok(Part::Placeholder { argument, spec, width: None, precision: None })
    }

    fn brace_spec(&mut self, spec: &mut Spec) -> Result<()> {
        let align = |c: char| match c {
            '<' => Some(Align::Left),
            '>' => Some(Align::Right),
            '^' => Some(Align::Center),
            _ => None,
        };
        let mut ahead = self.rest.clone();
        let (first, second) = (ahead.next(), ahead.next());
        if let (Some(fill), Some(aligned)) = (first, second.and_then(align)) {
            spec.fill = fill;
            spec.align = Some(aligned);
            self.rest = ahead;
        } else if let Some(aligned) = first.and_then(align) {
            spec.align = Some(aligned);
            self.rest.next();
        }
        if let Some(sign) = self.rest.next_if(|c| "+- ".contains(*c)) {
            spec.sign = (sign != '-').then_some(sign);
        }
        spec.alternate = self.accepts('#');
        spec.zeros = self.accepts('0');
        spec.width = self.number()?.unwrap_or(0);
        if let Some(mark) = self.rest.next_if(|c| ",_'".contains(*c)) {
            spec.group = Some(mark);
        }
        if self.accepts('.') {
            spec.precision = self.number()?;
        }
        if self.accepts('t') {
            spec.group = self.rest.next();
        } else {
            spec.kind = self.rest.next_if(|c| "dxXobBcsfFeEgG".contains(*c));
        }
        Ok(())
    }
}
