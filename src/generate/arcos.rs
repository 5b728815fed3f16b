//! Drug shipments in the shape of the DEA's ARCOS file as the Washington Post published it: 42
//! columns and the traps that come with them.
//!
//! A missing value is the text `null`. Some columns hold nothing else, or nothing else for the
//! first thousands of rows, so that a reader that infers types from the first rows fails late.
//! Codes and dates are digits whose leading zeros matter or are lost already.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringViewBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use chrono::{Datelike, NaiveDate};

use crate::generate::arcos_parties::{self, NULL, Party, Product};
use crate::generate::random::Random;
use crate::generate::rows::{BLOCK_ROW_COUNT, Rows};
use crate::generate::text::{push_float, push_number, push_padded};

/// The first row, from 0, without a conversion factor; from there on one in
/// [`NO_FACTOR_ONE_IN`] has none.
const FIRST_NO_FACTOR_ROW: u64 = 1_200;
const NO_FACTOR_ONE_IN: u32 = 2_000;

/// The first row with an action, and how rare they are from there on. The number is beyond the
/// rows most readers look at to infer types.
const FIRST_ACTION_ROW: u64 = 5_200;
const ACTION_ONE_IN: u32 = 8_000;

/// The first row that can have a correction number, and how rare they are.
const FIRST_CORRECTION_ROW: u64 = 6_000;
const CORRECTION_ONE_IN: u32 = 20_000;

/// The rows one reporter ships to one buyer in a run, at the most.
const RUN_ROW_COUNT: u32 = 12;

/// Packages in a shipment.
const QUANTITIES: [u16; 32] = [
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 4, 4, 5, 6, 6, 8, 10, 12,
    24,
];

/// The columns, and whether they are a number in Parquet.
const COLUMNS: [(&str, Kind); 42] = [
    ("REPORTER_DEA_NO", Kind::Text),
    ("REPORTER_BUS_ACT", Kind::Text),
    ("REPORTER_NAME", Kind::Text),
    ("REPORTER_ADDL_CO_INFO", Kind::Text),
    ("REPORTER_ADDRESS1", Kind::Text),
    ("REPORTER_ADDRESS2", Kind::Text),
    ("REPORTER_CITY", Kind::Text),
    ("REPORTER_STATE", Kind::Text),
    ("REPORTER_ZIP", Kind::Text),
    ("REPORTER_COUNTY", Kind::Text),
    ("BUYER_DEA_NO", Kind::Text),
    ("BUYER_BUS_ACT", Kind::Text),
    ("BUYER_NAME", Kind::Text),
    ("BUYER_ADDL_CO_INFO", Kind::Text),
    ("BUYER_ADDRESS1", Kind::Text),
    ("BUYER_ADDRESS2", Kind::Text),
    ("BUYER_CITY", Kind::Text),
    ("BUYER_STATE", Kind::Text),
    ("BUYER_ZIP", Kind::Text),
    ("BUYER_COUNTY", Kind::Text),
    ("TRANSACTION_CODE", Kind::Text),
    ("DRUG_CODE", Kind::Text),
    ("NDC_NO", Kind::Text),
    ("DRUG_NAME", Kind::Text),
    ("QUANTITY", Kind::Float),
    ("UNIT", Kind::Text),
    ("ACTION_INDICATOR", Kind::Text),
    ("ORDER_FORM_NO", Kind::Text),
    ("CORRECTION_NO", Kind::Text),
    ("STRENGTH", Kind::Text),
    ("TRANSACTION_DATE", Kind::Text),
    ("CALC_BASE_WT_IN_GM", Kind::Float),
    ("DOSAGE_UNIT", Kind::Float),
    ("TRANSACTION_ID", Kind::Int),
    ("Product_Name", Kind::Text),
    ("Ingredient_Name", Kind::Text),
    ("Measure", Kind::Text),
    ("MME_Conversion_Factor", Kind::Float),
    ("Combined_Labeler_Name", Kind::Text),
    ("Revised_Company_Name", Kind::Text),
    ("Reporter_family", Kind::Text),
    ("dos_str", Kind::Float),
];

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Float,
    Int,
}

/// The number of an order form.
#[derive(Clone, Copy)]
enum OrderForm {
    None,
    /// Nine digits of a paper form.
    Paper(u32),
    /// The year and the count of an electronic order: `10X000015`.
    Electronic {
        year: u8,
        count: u32,
    },
}

/// One shipment: indices into the lists of [`Arcos`] and what is its own.
pub(super) struct Shipment {
    reporter: u16,
    buyer: u16,
    product: u16,
    date: u16,
    quantity: u16,
    transaction: u32,
    order_form: OrderForm,
    /// `STRENGTH` is either missing or `0000`.
    zero_strength: bool,
    action: Option<u8>,
    correction: Option<u32>,
    no_factor: bool,
}

/// The shipments of one seed.
pub(super) struct Arcos {
    seed: u64,
    separator: u8,
    schema: SchemaRef,
    reporters: Vec<Party>,
    buyers: Vec<Party>,
    products: Vec<Product>,
    /// Every day of the years covered, as a number MMDDYYYY.
    dates: Vec<String>,
}

impl Arcos {
    /// The shipments of `seed`, whose lines have `separator` between the fields.
    pub(super) fn new(seed: u64, separator: u8) -> Arcos {
        let random = |list| Random::new(seed, *b"arcosdef", list);
        let kind = |kind| match kind {
            Kind::Text => DataType::Utf8View,
            Kind::Float => DataType::Float64,
            Kind::Int => DataType::Int64,
        };
        let fields: Vec<_> =
            COLUMNS.iter().map(|(name, k)| Field::new(*name, kind(*k), true)).collect();
        let first = NaiveDate::from_ymd_opt(2006, 1, 1).expect("a year has a first day");
        let dates = first
            .iter_days()
            .take_while(|date| date.year() <= 2012)
            // A number has no leading zero: 1042007 is 4 January.
            .map(|date| format!("{}{:02}{}", date.month(), date.day(), date.year()))
            .collect();
        Arcos {
            seed,
            separator,
            schema: Arc::new(Schema::new(fields)),
            reporters: arcos_parties::reporters(&mut random(0), separator),
            buyers: arcos_parties::buyers(&mut random(1), separator),
            products: arcos_parties::products(&mut random(2), separator),
            dates,
        }
    }

    fn shipment(&self, random: &mut Random, row: u64, reporter: u16, buyer: u16) -> Shipment {
        let product = random.below(arcos_parties::PRODUCT_COUNT as u32) as u16;
        let needs_form = self.products[product as usize].drug.needs_form;
        let order_form = match random.below(5) {
            _ if !needs_form => OrderForm::None,
            0..3 => OrderForm::Paper(random.below(200_000_000)),
            _ => OrderForm::Electronic {
                year: random.between(6, 12) as u8,
                count: random.between(1, 3_000),
            },
        };
        Shipment {
            reporter,
            buyer,
            product,
            date: random.below(self.dates.len() as u32) as u16,
            quantity: *random.pick(&QUANTITIES),
            transaction: match random.below(10) {
                0 => 1_201_000_000 + random.below(7_000_000),
                _ => random.between(1, 4_000_000),
            },
            order_form,
            zero_strength: random.one_in(11),
            action: (row == FIRST_ACTION_ROW
                || row > FIRST_ACTION_ROW && random.one_in(ACTION_ONE_IN))
            .then(|| *random.pick(b"AAID")),
            correction: (row >= FIRST_CORRECTION_ROW && random.one_in(CORRECTION_ONE_IN))
                .then(|| random.below(100_000_000)),
            no_factor: row == FIRST_NO_FACTOR_ROW
                || row > FIRST_NO_FACTOR_ROW && random.one_in(NO_FACTOR_ONE_IN),
        }
    }

    /// Doses in a shipment.
    fn doses(&self, shipment: &Shipment) -> f64 {
        let product = &self.products[shipment.product as usize];
        f64::from(shipment.quantity) * f64::from(product.package_doses)
    }

    /// Grams of the drug in a shipment. The order of the operations is on purpose: it leaves
    /// values such as 0.8964999999999999, as the original has them.
    fn grams(&self, shipment: &Shipment) -> f64 {
        let product = &self.products[shipment.product as usize];
        self.doses(shipment) * (product.strength * product.drug.base_share / 1000.0)
    }
}

impl OrderForm {
    fn push(self, out: &mut Vec<u8>) {
        match self {
            OrderForm::None => out.extend_from_slice(NULL.as_bytes()),
            OrderForm::Paper(number) => push_padded(out, u64::from(number), 9),
            OrderForm::Electronic { year, count } => {
                push_padded(out, u64::from(year), 2);
                out.push(b'X');
                push_padded(out, u64::from(count), 6);
            }
        }
    }
}

/// A column of texts that are there already.
fn known<'a>(rows: &'a [Shipment], value: impl Fn(&'a Shipment) -> &'a str) -> ArrayRef {
    let mut column = StringViewBuilder::with_capacity(rows.len());
    for row in rows {
        column.append_option(Some(value(row)).filter(|value| *value != NULL));
    }
    Arc::new(column.finish())
}

impl Rows for Arcos {
    type Row = Shipment;

    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn block(&self, block: u64, count: usize, rows: &mut Vec<Shipment>) {
        let mut random = Random::new(self.seed, *b"arcosrow", block);
        let (mut reporter, mut buyer, mut left) = (0, 0, 0);
        let mut previous = 0;
        for index in 0..count as u64 {
            if left == 0 {
                left = random.between(1, RUN_ROW_COUNT);
                let buyers = arcos_parties::BUYER_COUNT as u32;
                // The smaller of two numbers: some pharmacies buy far more than others.
                buyer = random.below(buyers).min(random.below(buyers)) as u16;
                // Each pharmacy has three suppliers.
                let supplier = usize::from(buyer) * 7 + random.below(3) as usize * 131;
                reporter = (supplier % arcos_parties::REPORTER_COUNT) as u16;
            }
            left -= 1;
            let row = block * BLOCK_ROW_COUNT + index;
            let mut shipment = self.shipment(&mut random, row, reporter, buyer);
            // The identifier is not unique: several products go under one.
            if previous != 0 && random.one_in(4) {
                shipment.transaction = previous;
            }
            previous = shipment.transaction;
            rows.push(shipment);
        }
    }

    fn push_line(&self, shipment: &Shipment, out: &mut Vec<u8>) {
        let separator = self.separator;
        let reporter = &self.reporters[shipment.reporter as usize];
        let product = &self.products[shipment.product as usize];
        let null = |out: &mut Vec<u8>| {
            out.extend_from_slice(NULL.as_bytes());
            out.push(separator);
        };
        out.extend_from_slice(&reporter.text);
        out.extend_from_slice(&self.buyers[shipment.buyer as usize].text);
        out.extend_from_slice(&product.head_text);
        push_float(out, f64::from(shipment.quantity));
        out.push(separator);
        null(out);
        match shipment.action {
            Some(action) => out.extend_from_slice(&[action, separator]),
            None => null(out),
        }
        shipment.order_form.push(out);
        out.push(separator);
        match shipment.correction {
            Some(number) => {
                push_padded(out, u64::from(number), 9);
                out.push(separator);
            }
            None => null(out),
        }
        out.extend_from_slice(if shipment.zero_strength { b"0000" } else { NULL.as_bytes() });
        out.push(separator);
        out.extend_from_slice(self.dates[shipment.date as usize].as_bytes());
        out.push(separator);
        push_float(out, self.grams(shipment));
        out.push(separator);
        push_float(out, self.doses(shipment));
        out.push(separator);
        push_number(out, u64::from(shipment.transaction));
        out.push(separator);
        out.extend_from_slice(&product.label_text);
        match shipment.no_factor {
            true => null(out),
            false => out.extend_from_slice(&product.factor_text),
        }
        out.extend_from_slice(&product.company_text);
        out.extend_from_slice(&reporter.family_text);
        out.extend_from_slice(&product.strength_text);
    }

    fn batch(&self, rows: &[Shipment]) -> Result<RecordBatch, ArrowError> {
        let product = |row: &Shipment| &self.products[row.product as usize];
        let reporter = |row: &Shipment| &self.reporters[row.reporter as usize];
        let text = |value: &dyn for<'r> Fn(&'r Shipment, &'r mut Vec<u8>)| -> ArrayRef {
            let mut column = StringViewBuilder::with_capacity(rows.len());
            let mut scratch = Vec::new();
            for row in rows {
                scratch.clear();
                value(row, &mut scratch);
                column.append_option(std::str::from_utf8(&scratch).ok().filter(|v| *v != NULL));
            }
            Arc::new(column.finish())
        };
        let float = |value: &dyn Fn(&Shipment) -> Option<f64>| -> ArrayRef {
            Arc::new(Float64Array::from_iter(rows.iter().map(value)))
        };
        let buyer = |row: &Shipment| &self.buyers[row.buyer as usize];
        let mut columns = Vec::with_capacity(COLUMNS.len());
        columns.extend((0..10).map(|field| known(rows, move |row| &reporter(row).fields[field])));
        columns.extend((0..10).map(|field| known(rows, move |row| &buyer(row).fields[field])));
        columns.extend([
            known(rows, |_| "S"),
            known(rows, |row| product(row).drug.code),
            known(rows, |row| &product(row).national_code),
            known(rows, |row| product(row).drug.name),
            float(&|row| Some(f64::from(row.quantity))),
            known(rows, |_| NULL),
            text(&|row, out| match row.action {
                Some(action) => out.push(action),
                None => out.extend_from_slice(NULL.as_bytes()),
            }),
            text(&|row, out| row.order_form.push(out)),
            text(&|row, out| match row.correction {
                Some(number) => push_padded(out, u64::from(number), 9),
                None => out.extend_from_slice(NULL.as_bytes()),
            }),
            known(rows, |row| if row.zero_strength { "0000" } else { NULL }),
            known(rows, |row| &self.dates[row.date as usize]),
            float(&|row| Some(self.grams(row))),
            float(&|row| Some(self.doses(row))),
            Arc::new(Int64Array::from_iter_values(
                rows.iter().map(|row| i64::from(row.transaction)),
            )),
            known(rows, |row| &product(row).label),
            known(rows, |row| product(row).drug.ingredient),
            known(rows, |row| product(row).drug.measure),
            float(&|row| (!row.no_factor).then_some(product(row).drug.factor)),
            known(rows, |row| product(row).labeler),
            known(rows, |row| product(row).company),
            known(rows, |row| &reporter(row).family),
            float(&|row| Some(product(row).strength)),
        ]);
        RecordBatch::try_new(self.schema.clone(), columns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::collections::HashSet;

    use arrow::array::{Array, AsArray};

    use crate::generate::rows::testing;

    fn column(name: &str) -> usize {
        COLUMNS.iter().position(|(other, _)| *other == name).unwrap()
    }

    /// The fields of the lines, which `separator` never occurs in.
    fn fields(row_count: u64) -> Vec<Vec<String>> {
        let source = Arcos::new(42, b'\t');
        let mut rows = Vec::new();
        for block in 0..row_count.div_ceil(BLOCK_ROW_COUNT) {
            source.block(block, BLOCK_ROW_COUNT as usize, &mut rows);
        }
        let mut text = Vec::new();
        rows.iter().for_each(|row| source.push_line(row, &mut text));
        let text = String::from_utf8(text).unwrap();
        let split = |line: &str| line.split('\t').map(str::to_string).collect();
        text.lines().take(row_count as usize).map(split).collect()
    }

    #[test]
    fn shipments_repeat() {
        testing::check_repeats(&Arcos::new(42, b','));
    }

    #[test]
    fn every_line_has_42_fields_of_the_usual_length() {
        let rows = fields(20_000);
        assert!(rows.iter().all(|row| row.len() == 42));
        let text = testing::text(&Arcos::new(42, b','), 20_000, 2);
        assert!(text.starts_with("REPORTER_DEA_NO,REPORTER_BUS_ACT,"));
        assert!(text.contains("\"Meridian Labs, Inc.\""));
        assert!((430..480).contains(&(text.len() / 20_000)), "{}", text.len() / 20_000);
    }

    #[test]
    fn nulls_and_rare_values_come_late() {
        let rows = fields(60_000);
        let first = |name: &str, wanted: &dyn Fn(&str) -> bool| {
            rows.iter().position(|row| wanted(&row[column(name)]))
        };
        assert_eq!(first("MME_Conversion_Factor", &|value| value == NULL), Some(1_200));
        assert_eq!(first("ACTION_INDICATOR", &|value| value != NULL), Some(5_200));
        assert!(first("CORRECTION_NO", &|value| value != NULL).is_none_or(|row| row >= 6_000));
        assert_eq!(first("UNIT", &|value| value != NULL), None);
        let without =
            rows.iter().filter(|row| row[column("MME_Conversion_Factor")] == NULL).count();
        assert!((15..60).contains(&without), "{without}");
    }

    #[test]
    fn the_traps_are_there() {
        let rows = fields(1_500);
        let any = |name: &str, wanted: &dyn Fn(&str) -> bool| {
            rows.iter().any(|row| wanted(&row[column(name)]))
        };
        assert!(any("TRANSACTION_DATE", &|value| value.len() == 7));
        assert!(any("TRANSACTION_DATE", &|value| value.len() == 8));
        assert!(any("NDC_NO", &|value| value.starts_with('0')));
        assert!(any("REPORTER_ZIP", &|value| value.len() == 4));
        assert!(any("STRENGTH", &|value| value == "0000"));
        assert!(any("ORDER_FORM_NO", &|value| value.contains('X')));
        assert!(any("CALC_BASE_WT_IN_GM", &|value| value.len() > 15));
        assert!(any("Product_Name", &|value| value.contains(',')));
        assert!(any("Measure", &|value| value != "TAB"));
        let tablets = rows.iter().filter(|row| row[column("Measure")] == "TAB").count();
        assert!((1_300..1_430).contains(&tablets), "{tablets}");
        let ids: HashSet<_> = rows.iter().map(|row| &row[column("TRANSACTION_ID")]).collect();
        assert!((1_000..1_300).contains(&ids.len()), "{}", ids.len());
    }

    #[test]
    fn the_parquet_has_the_values_of_the_text() {
        let rows = fields(8_000);
        let (_, batch) = testing::parquet(&Arcos::new(42, b','), 8_000, 2);
        for (index, (name, kind)) in COLUMNS.iter().enumerate() {
            let values = batch.column(index);
            for (number, row) in rows.iter().enumerate() {
                let written = &row[index];
                assert_eq!(values.is_null(number), written == NULL, "{name} in row {number}");
                if values.is_null(number) {
                    continue;
                }
                match kind {
                    Kind::Text => assert_eq!(values.as_string_view().value(number), written),
                    Kind::Float => {
                        let values = values.as_primitive::<arrow::datatypes::Float64Type>();
                        assert_eq!(values.value(number), written.parse::<f64>().unwrap());
                    }
                    Kind::Int => {
                        let values = values.as_primitive::<arrow::datatypes::Int64Type>();
                        assert_eq!(values.value(number), written.parse::<i64>().unwrap());
                    }
                }
            }
        }
    }
}
