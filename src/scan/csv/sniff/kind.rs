//! What values look like, and so the types of columns.

use arrow::datatypes::{DataType, TimeUnit};

use super::day::Days;
use crate::scan::csv::values::{
    DateFormat, EXACT_INTEGERS, NumberStyle, parse_bool, parse_exact_date, parse_exact_time_us,
    parse_exact_timestamp, parse_f64_styled, parse_i64_styled, parse_timestamp,
};

/// Words that stand for a missing value if they are found in a column of numbers or dates. Elsewhere
/// they may mean something, so they are only looked for where the sample has them.
pub(super) const DOUBTFUL_NULL_WORDS: [&[u8]; 8] =
    [b"-", b"--", b"?", b".", b"None", b"none", b"nan", b"NaN"];

/// What a value looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Bool,
    Int,
    /// An integer that a double cannot hold.
    WideInt,
    Float,
    /// `12E4`: a number if others say so, else more likely a name of something.
    Code,
    Date,
    Time,
    Timestamp,
    TimestampUtc,
    Text,
}

/// Digits of a second's fraction that microseconds and nanoseconds have.
const MICRO_DIGITS: usize = 6;
const NANO_DIGITS: usize = 9;

/// With a comma before the fraction.
pub(super) const COMMA: NumberStyle = NumberStyle { decimal: b',', thousands: None };

impl Kind {
    pub(super) fn of(field: &[u8], null_words: &[String], style: NumberStyle) -> Self {
        if field.is_empty() || null_words.iter().any(|word| word.as_bytes() == field) {
            return Kind::Null;
        }
        match field[0] {
            b'0'..=b'9' | b'-' | b'.' | b',' => match Self::of_number(field, style) {
                Kind::Text => Self::of_moment(field),
                number => number,
            },
            b't' | b'T' | b'f' | b'F' if parse_bool(field).is_some() => Kind::Bool,
            _ => Kind::Text,
        }
    }

    fn of_number(field: &[u8], style: NumberStyle) -> Self {
        /// Longer numbers are codes, or have more digits than a double keeps.
        const MAX_FLOAT_BYTES: usize = 40;
        let digits = field.strip_prefix(b"-").unwrap_or(field);
        let zero_first = digits.len() > 1 && digits[0] == b'0';
        let numeric = |b: &u8| {
            b.is_ascii_digit()
                || *b == style.decimal
                || Some(*b) == style.thousands
                || matches!(b, b'e' | b'E' | b'-' | b'+')
        };
        if !zero_first && let Some(value) = parse_i64_styled(field, &style) {
            if value.unsigned_abs() < EXACT_INTEGERS { Kind::Int } else { Kind::WideInt }
        } else if field.len() <= MAX_FLOAT_BYTES
            && field.iter().all(numeric)
            && field
                .iter()
                .any(|b| !b.is_ascii_digit() && *b != b'-' && Some(*b) != style.thousands)
            && !(zero_first && digits[1] != style.decimal)
            && let Some(value) = parse_f64_styled(field, &style)
            && value.is_finite()
        {
            let exponent = memchr::memchr2(b'e', b'E', field);
            let others = |at: usize| field[..at].iter().chain(&field[at + 1..]);
            match exponent {
                // A double would not even keep all digits before the fraction.
                None if value.abs() >= EXACT_INTEGERS as f64 => Kind::Text,
                Some(at) if field[at] == b'E' && others(at).all(u8::is_ascii_digit) => Kind::Code,
                _ => Kind::Float,
            }
        } else {
            Kind::Text
        }
    }

    /// What the scan takes for one as well.
    fn of_moment(field: &[u8]) -> Self {
        fn is_timestamp<const ZONED: bool>(field: &[u8]) -> bool {
            // One of nanoseconds, or one of other years.
            let is_of = |unit| parse_exact_timestamp::<ZONED>(field, unit).is_some();
            is_of(TimeUnit::Nanosecond) || is_of(TimeUnit::Microsecond)
        }
        const LEAST_TIMESTAMP: usize = "2015-01-15 19:05".len();
        if parse_exact_date(field).is_some() {
            Kind::Date
        } else if field.len() >= LEAST_TIMESTAMP && is_timestamp::<false>(field) {
            Kind::Timestamp
        } else if field.len() >= LEAST_TIMESTAMP && is_timestamp::<true>(field) {
            Kind::TimestampUtc
        } else if parse_exact_time_us(field).is_some() {
            // Without seconds it could as well be minutes and seconds.
            Kind::Time
        } else {
            Kind::Text
        }
    }

    /// Whether a header field would not look like this.
    pub(super) fn is_typed(self) -> bool {
        !matches!(self, Kind::Null | Kind::Text)
    }

    /// The kind that holds values of both.
    pub(super) fn or(self, other: Kind) -> Kind {
        match (self, other) {
            (a, b) if a == b => a,
            (Kind::Null, kind) | (kind, Kind::Null) => kind,
            (Kind::Int | Kind::WideInt, Kind::Int | Kind::WideInt) => Kind::WideInt,
            (Kind::Int | Kind::Code, Kind::Int | Kind::Code) => Kind::Code,
            (Kind::Int | Kind::Float | Kind::Code, Kind::Int | Kind::Float | Kind::Code) => {
                Kind::Float
            }
            (Kind::Date | Kind::Timestamp, Kind::Date | Kind::Timestamp) => Kind::Timestamp,
            _ => Kind::Text,
        }
    }

    pub(super) fn data_type(self) -> DataType {
        match self {
            Kind::Bool => DataType::Boolean,
            Kind::Int | Kind::WideInt => DataType::Int64,
            Kind::Float => DataType::Float64,
            Kind::Date => DataType::Date32,
            Kind::Time => DataType::Time64(TimeUnit::Microsecond),
            Kind::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Kind::TimestampUtc => DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())),
            // A column in which nothing was seen may hold anything.
            Kind::Null | Kind::Text | Kind::Code => DataType::Utf8View,
        }
    }
}

/// Whether points stand in a number as they do between thousands: `1.234` or `12.345.678`.
fn has_grouping_points(field: &[u8]) -> bool {
    let digits = field.strip_prefix(b"-").unwrap_or(field);
    let mut groups = digits.split(|byte| *byte == b'.');
    let all_digits = |group: &[u8]| group.iter().all(u8::is_ascii_digit);
    let first = groups.next().unwrap_or_default();
    (1..=3).contains(&first.len())
        && first[0] != b'0'
        && all_digits(first)
        && groups.all(|group| group.len() == 3 && all_digits(group))
}

/// Digits of the second's fraction that a timestamp has, without zeros at the end.
fn fraction_digits(field: &[u8]) -> usize {
    let Some(point) = memchr::memchr(b'.', field) else { return 0 };
    let fraction = &field[point + 1..];
    let count = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
    fraction[..count].iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1)
}

/// A format that the user names, as text and ready for parsing.
#[derive(Debug)]
pub(super) struct GivenFormat {
    pub(super) text: String,
    pub(super) parser: DateFormat,
}

/// Formats that the user names for all columns.
#[derive(Debug, Default)]
pub(super) struct GivenFormats {
    pub(super) date: Option<GivenFormat>,
    pub(super) timestamp: Option<GivenFormat>,
}

/// What the values of a column have been so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Column {
    /// With numbers as the user says or as usual.
    kind: Option<Kind>,
    /// With a comma before the fraction, where that is looked for.
    comma_kind: Option<Kind>,
    /// Whether some number can only be read with the comma.
    needs_comma: bool,
    /// Whether some number has a point that cannot stand between thousands.
    plain_points: bool,
    /// Whether microseconds are too coarse for some timestamp.
    needs_nanos: bool,
    /// Whether some date or timestamp is out of the range of nanoseconds, or finer.
    no_nanos: bool,
    days: Days,
    /// Whether all values have the formats that the user names.
    not_given_date: bool,
    not_given_timestamp: bool,
    /// Values other than NULL.
    values: usize,
    /// Which of [`DOUBTFUL_NULL_WORDS`] were seen.
    doubtful: [bool; DOUBTFUL_NULL_WORDS.len()],
}

/// What is looked for in columns.
pub(super) struct Looks<'a> {
    pub(super) null_words: &'a [String],
    /// Whether [`DOUBTFUL_NULL_WORDS`] may mean NULL.
    pub(super) doubtful_words: bool,
    pub(super) style: NumberStyle,
    /// Whether fractions may begin with a comma although `style` says otherwise.
    pub(super) maybe_comma: bool,
    pub(super) given: &'a GivenFormats,
}

/// What a column is settled to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settled {
    pub(super) kind: Kind,
    /// Whether timestamps have digits below a microsecond.
    pub(super) nanos: bool,
    /// How dates and timestamps are written, if not as ISO 8601 has it.
    pub(super) format: Option<String>,
}

impl Settled {
    pub(super) fn data_type(&self) -> DataType {
        match self.kind.data_type() {
            DataType::Timestamp(_, zone) if self.nanos => {
                DataType::Timestamp(TimeUnit::Nanosecond, zone)
            }
            data_type => data_type,
        }
    }
}

impl Column {
    /// Looks at one value.
    pub(super) fn add(&mut self, field: &[u8], looks: &Looks<'_>) {
        if field.is_empty() {
            return;
        }
        if looks.doubtful_words
            && field.len() <= 4
            && let Some(word) = DOUBTFUL_NULL_WORDS.iter().position(|word| *word == field)
        {
            self.doubtful[word] = true;
            return;
        }
        let kind = Kind::of(field, looks.null_words, looks.style);
        if kind == Kind::Null {
            return;
        }
        self.values += 1;
        if looks.maybe_comma && self.comma_kind != Some(Kind::Text) {
            let found = Kind::of(field, looks.null_words, COMMA);
            self.comma_kind = Some(self.comma_kind.map_or(found, |before| before.or(found)));
            // `1,234` may be a thousand and more.
            let digits = field.strip_prefix(b"-").unwrap_or(field);
            self.needs_comma |= match memchr::memchr(b',', digits) {
                Some(at) => !((1..=3).contains(&at) && digits.len() - at == 4),
                None => false,
            };
        }
        self.plain_points |= field.contains(&b'.') && !has_grouping_points(field);
        if matches!(kind, Kind::Date | Kind::Timestamp | Kind::TimestampUtc) {
            let digits = fraction_digits(field);
            self.needs_nanos |= digits > MICRO_DIGITS;
            self.no_nanos |=
                digits > NANO_DIGITS || parse_timestamp(field, TimeUnit::Nanosecond).is_none();
        }
        self.days.add(field);
        let fits = |format: &Option<GivenFormat>| {
            format.as_ref().is_some_and(|f| f.parser.parse_timestamp_us(field).is_some())
        };
        self.not_given_date = self.not_given_date || !fits(&looks.given.date);
        self.not_given_timestamp = self.not_given_timestamp || !fits(&looks.given.timestamp);
        self.kind = Some(self.kind.map_or(kind, |before| before.or(kind)));
    }

    /// The kind as far as formats are not needed to know it.
    pub(super) fn kind(&self) -> Kind {
        self.kind.unwrap_or(Kind::Null)
    }

    /// Whether the column has fractions, all of them after a comma, and at least one that is
    /// nothing else.
    pub(super) fn is_comma_float(&self) -> bool {
        self.kind() == Kind::Text && self.comma_kind == Some(Kind::Float) && self.needs_comma
    }

    /// Whether the column has fractions after a point, or what can be nothing else.
    pub(super) fn is_point_float(&self) -> bool {
        self.kind() == Kind::Float && self.plain_points
    }

    /// Words that mean NULL if the column is no text.
    pub(super) fn doubtful_words(&self) -> impl Iterator<Item = &'static str> {
        let seen = DOUBTFUL_NULL_WORDS.iter().zip(self.doubtful).filter(|(_, seen)| *seen);
        seen.map(|(word, _)| str::from_utf8(word).expect("they are ASCII"))
    }

    /// What the column is. `comma` says that fractions of the file begin with a comma.
    pub(super) fn settle(&self, given: &GivenFormats, comma: bool) -> Settled {
        let given_format = |format: &Option<GivenFormat>, fails: bool, kind: Kind| {
            let format = format.as_ref().filter(|_| self.values > 0 && !fails)?;
            let kind = match kind {
                Kind::Timestamp if format.parser.has_zone() => Kind::TimestampUtc,
                kind => kind,
            };
            Some(Settled { kind, nanos: false, format: Some(format.text.clone()) })
        };
        let by_format = || {
            let format = self.days.format()?;
            let kind = if format.has_time { Kind::Timestamp } else { Kind::Date };
            Some(Settled { kind, nanos: false, format: Some(format.text.clone()) })
        };
        let own = match self.comma_kind.filter(|_| comma).unwrap_or(self.kind()) {
            Kind::Timestamp | Kind::TimestampUtc if self.needs_nanos && self.no_nanos => Kind::Text,
            kind => kind,
        };
        given_format(&given.timestamp, self.not_given_timestamp, Kind::Timestamp)
            .or_else(|| given_format(&given.date, self.not_given_date, Kind::Date))
            .or_else(|| if own == Kind::Text { by_format() } else { None })
            .unwrap_or(Settled { kind: own, nanos: self.needs_nanos, format: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_values() {
        let words = vec!["null".to_string()];
        for (value, kind) in [
            ("", Kind::Null),
            ("null", Kind::Null),
            ("-12", Kind::Int),
            ("0", Kind::Int),
            ("007", Kind::Text),
            ("0000", Kind::Text),
            (".50", Kind::Float),
            ("0.5", Kind::Float),
            ("1e3", Kind::Float),
            ("92233720368547758070", Kind::Text),
            ("9007199254740991", Kind::Int),
            ("-9007199254740992", Kind::WideInt),
            ("9007199254740991.25", Kind::Float),
            ("9007199254740992.25", Kind::Text),
            ("12345678901234567.89", Kind::Text),
            ("123456789012345.89", Kind::Float),
            ("1234567890123456789012e3", Kind::Float),
            ("40.750110626220703", Kind::Float),
            ("-73.993896484375000", Kind::Float),
            ("12E4", Kind::Code),
            ("-12E4", Kind::Float),
            ("12E-4", Kind::Float),
            ("1.2E4", Kind::Float),
            ("2015-01-15", Kind::Date),
            ("2015-01-15 19:05:39", Kind::Timestamp),
            ("2015-01-15T19:05:39Z", Kind::TimestampUtc),
            ("2015-01-15 19:05:39 UTC", Kind::Timestamp),
            ("2015-01-15 19:05:39 America/New_York", Kind::TimestampUtc),
            ("2015-01-15 19:05:39 America/Port-au-Prince", Kind::TimestampUtc),
            ("2015-02-30", Kind::Text),
            ("2015-1-015", Kind::Text),
            ("3/1/16 0:07", Kind::Text),
            ("True", Kind::Bool),
            ("-", Kind::Text),
            ("1,5", Kind::Text),
            ("09:03:00", Kind::Time),
            ("09:03:00.25", Kind::Time),
            ("09:03:00.250000000", Kind::Time),
            ("09:03:00.250000001", Kind::Text),
            ("25:10:00", Kind::Text),
            ("09:03", Kind::Text),
        ] {
            assert_eq!(
                Kind::of(value.as_bytes(), &words, NumberStyle::default()),
                kind,
                "{value:?}"
            );
        }
    }

    #[test]
    fn numbers_of_other_styles() {
        let comma = COMMA;
        let german = NumberStyle { decimal: b',', thousands: Some(b'.') };
        let english = NumberStyle { decimal: b'.', thousands: Some(b',') };
        for (value, style, kind) in [
            ("1,5", comma, Kind::Float),
            (",5", comma, Kind::Float),
            ("-12", comma, Kind::Int),
            ("1.5", comma, Kind::Text),
            ("1,5,0", comma, Kind::Text),
            ("1.234,5", german, Kind::Float),
            ("1.234.567", german, Kind::Int),
            ("1.23", german, Kind::Text),
            ("1234.567", german, Kind::Text),
            ("19,582", english, Kind::Int),
            ("-1,582.25", english, Kind::Float),
            ("19,58", english, Kind::Text),
            (",582", english, Kind::Text),
            ("200,000,", english, Kind::Text),
        ] {
            assert_eq!(Kind::of(value.as_bytes(), &[], style), kind, "{value:?}");
        }
    }

    fn settled(values: &[&str]) -> (Settled, Vec<&'static str>) {
        let given = GivenFormats::default();
        let looks = Looks {
            null_words: &[],
            doubtful_words: true,
            style: NumberStyle::default(),
            maybe_comma: true,
            given: &given,
        };
        let mut column = Column::default();
        values.iter().for_each(|value| column.add(value.as_bytes(), &looks));
        let settled = column.settle(&given, column.is_comma_float());
        (settled, column.doubtful_words().collect())
    }

    #[test]
    fn columns() {
        let kind = |values: &[&str]| settled(values).0.kind;
        assert_eq!(kind(&["1", "-", "2"]), Kind::Int);
        assert_eq!(settled(&["1", "-", "?"]).1, ["-", "?"]);
        assert_eq!(kind(&["1", "NaN"]), Kind::Int);
        assert_eq!(kind(&["-", "-"]), Kind::Null);
        assert_eq!(kind(&["1", "-", "x"]), Kind::Text);
        assert_eq!(kind(&["1,5", "2"]), Kind::Float);
        // Those may be thousands.
        assert_eq!(kind(&["1,500", "2,250"]), Kind::Text);
        assert_eq!(kind(&["1,5", "1.5"]), Kind::Text);
        assert_eq!(kind(&["31/01/2015", "01/02/2015"]), Kind::Date);
        assert_eq!(settled(&["1/31/15 0:00"]).0.format.as_deref(), Some("%m/%d/%y %H:%M"));
        assert_eq!(kind(&["01/02/2015"]), Kind::Text);
        assert_eq!(kind(&["2015-01-02", "2015-01-02 00:00:00"]), Kind::Timestamp);
        assert_eq!(kind(&[]), Kind::Null);
    }

    #[test]
    fn numbers_that_would_lose_digits_are_text() {
        let data_type = |values: &[&str]| settled(values).0.data_type();
        for (values, expected) in [
            (&["1", "123456789012345678"][..], DataType::Int64),
            (&["1.5", "123456789012345678"], DataType::Utf8View),
            (&["123456789012345678", "1.5"], DataType::Utf8View),
            (&["1.5", "123456789012345"], DataType::Float64),
            (&["12345678901234567.89", "1"], DataType::Utf8View),
            (&["1e20", "1.5"], DataType::Float64),
        ] {
            assert_eq!(data_type(values), expected, "{values:?}");
        }
    }

    #[test]
    fn codes_that_could_be_numbers_are_text() {
        let data_type = |values: &[&str]| settled(values).0.data_type();
        for (values, expected) in [
            (&["12E4", "13E5", "14"][..], DataType::Utf8View),
            (&["14", "-3", "12E4"], DataType::Utf8View),
            (&["12E4", "1.5"], DataType::Float64),
            (&["12E4", "3E-2"], DataType::Float64),
            (&["12E4", "-3E2"], DataType::Float64),
            (&["12E4", "123456789012345678", "1.5"], DataType::Utf8View),
            (&["1e-5", "1e5"], DataType::Float64),
            (&["1.5e10", "2.5E10"], DataType::Float64),
        ] {
            assert_eq!(data_type(values), expected, "{values:?}");
        }
    }

    #[test]
    fn points_between_thousands() {
        for (value, expected) in [
            ("1.234", true),
            ("-12.345.678", true),
            ("12", true),
            ("0.123", false),
            ("1234.567", false),
            ("1.23", false),
            ("1.2345", false),
            (".123", false),
            ("1.234e5", false),
        ] {
            assert_eq!(has_grouping_points(value.as_bytes()), expected, "{value}");
        }
    }

    #[test]
    fn nanoseconds() {
        let data_type = |values: &[&str]| settled(values).0.data_type();
        let of = |unit| DataType::Timestamp(unit, None);
        let (micros, nanos) = (of(TimeUnit::Microsecond), of(TimeUnit::Nanosecond));
        for (values, expected) in [
            (&["2015-01-02 01:00:00.123456000"][..], micros),
            (&["2015-01-02 01:00:00.123456001", "2015-01-02", "2015-01-02 01:00:00"], nanos),
            (&["2015-01-02 01:00:00.123456001", "1500-01-02 01:00:00"], DataType::Utf8View),
            (&["2300-01-02", "2015-01-02 01:00:00.123456001"], DataType::Utf8View),
            (&["2015-01-02 01:00:00.123456001234"], DataType::Utf8View),
            (&["25.12.2015 01:00:00.123456001"], DataType::Utf8View),
            (
                &["2015-01-02 01:00:00.123456001Z", "2015-01-02 01:00:00+02:00"],
                DataType::Timestamp(TimeUnit::Nanosecond, Some("+00:00".into())),
            ),
        ] {
            assert_eq!(data_type(values), expected, "{values:?}");
        }
    }
}
