//! Taxi trips in the shape of New York's yellow cabs: January 2015 with coordinates, or March 2019
//! with zone numbers.
//!
//! The spellings are those of the public files, `.50` for half a mile and all digits of a
//! single-precision coordinate, and so are their flaws: coordinates of 0, trips of no distance, and
//! refunds that repeat a fare with all its amounts negative.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use chrono::{Days, NaiveDate};

use crate::generate::TaxiLayout;
use crate::generate::random::Random;
use crate::generate::rows::{BLOCK_ROW_COUNT, Rows};
use crate::generate::taxi_trips::{DAY_COUNT, SECONDS_PER_DAY, Trip, Trips};
use crate::generate::text::{push_cents, push_degrees, push_miles, push_number, push_time};

/// The trips of one seed.
pub(super) struct Taxi {
    seed: u64,
    layout: TaxiLayout,
    separator: u8,
    schema: SchemaRef,
    /// Microseconds from 1970 to the month.
    month_start_us: i64,
    /// `2015-01-01 ` and so on, for every day a trip may touch.
    days: Vec<String>,
    trips: Trips,
}

impl Taxi {
    /// The trips of `seed`, whose lines have `separator` between the fields.
    pub(super) fn new(seed: u64, layout: TaxiLayout, separator: u8) -> Taxi {
        let (year, month) = match layout {
            TaxiLayout::Y2015 => (2015, 1),
            TaxiLayout::Y2019 => (2019, 3),
        };
        let first = NaiveDate::from_ymd_opt(year, month, 1).expect("a month has a first day");
        let days = (0..u64::from(DAY_COUNT) + 1)
            .map(|day| format!("{} ", first + Days::new(day)))
            .collect();
        let since_1970 = first - NaiveDate::default();
        Taxi {
            seed,
            layout,
            separator,
            schema: schema(layout),
            month_start_us: since_1970.num_days() * i64::from(SECONDS_PER_DAY) * 1_000_000,
            days,
            trips: Trips::new(layout),
        }
    }

    fn push_moment(&self, out: &mut Vec<u8>, second: u32) {
        out.extend_from_slice(self.days[(second / SECONDS_PER_DAY) as usize].as_bytes());
        push_time(out, second % SECONDS_PER_DAY);
    }
}

impl Rows for Taxi {
    type Row = Trip;

    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn block(&self, block: u64, count: usize, rows: &mut Vec<Trip>) {
        debug_assert!(count as u64 <= BLOCK_ROW_COUNT);
        let dataset = match self.layout {
            TaxiLayout::Y2015 => *b"taxi2015",
            TaxiLayout::Y2019 => *b"taxi2019",
        };
        let mut random = Random::new(self.seed, dataset, block);
        rows.extend((0..count).map(|_| self.trips.trip(&mut random)));
    }

    fn push_line(&self, trip: &Trip, out: &mut Vec<u8>) {
        let separator = self.separator;
        out.extend_from_slice(&[b'0' + trip.vendor, separator]);
        self.push_moment(out, trip.pickup_second);
        out.push(separator);
        self.push_moment(out, trip.dropoff_second);
        out.extend_from_slice(&[separator, b'0' + trip.passengers, separator]);
        push_miles(out, trip.distance);
        out.push(separator);
        let stored = if trip.stored { b'Y' } else { b'N' };
        match self.layout {
            TaxiLayout::Y2015 => {
                push_degrees(out, trip.pickup.longitude);
                out.push(separator);
                push_degrees(out, trip.pickup.latitude);
                let (before, after) = (separator, separator);
                out.extend_from_slice(&[before, b'0' + trip.rate_code, separator, stored, after]);
                push_degrees(out, trip.dropoff.longitude);
                out.push(separator);
                push_degrees(out, trip.dropoff.latitude);
            }
            TaxiLayout::Y2019 => {
                out.extend_from_slice(&[b'0' + trip.rate_code, separator, stored, separator]);
                push_number(out, u64::from(trip.pickup.zone));
                out.push(separator);
                push_number(out, u64::from(trip.dropoff.zone));
            }
        }
        out.extend_from_slice(&[separator, b'0' + trip.payment_type]);
        for amount in trip.amounts.into_iter().chain([trip.total]) {
            out.push(separator);
            push_cents(out, amount);
        }
        if self.layout == TaxiLayout::Y2019 {
            out.push(separator);
            if let Some(amount) = trip.congestion {
                push_cents(out, amount);
            }
        }
        out.push(b'\n');
    }

    fn batch(&self, trips: &[Trip]) -> Result<RecordBatch, ArrowError> {
        let int = |value: &dyn Fn(&Trip) -> i64| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values(trips.iter().map(value)))
        };
        let float = |value: &dyn Fn(&Trip) -> f64| -> ArrayRef {
            Arc::new(Float64Array::from_iter_values(trips.iter().map(value)))
        };
        let moment = |value: &dyn Fn(&Trip) -> u32| -> ArrayRef {
            let since_1970 =
                trips.iter().map(|trip| self.month_start_us + i64::from(value(trip)) * 1_000_000);
            Arc::new(TimestampMicrosecondArray::from_iter_values(since_1970))
        };
        let stored = trips.iter().map(|trip| if trip.stored { "Y" } else { "N" });
        let stored: ArrayRef = Arc::new(StringArray::from_iter_values(stored));
        let rate_code = int(&|trip| i64::from(trip.rate_code));
        let mut columns = vec![
            int(&|trip| i64::from(trip.vendor)),
            moment(&|trip| trip.pickup_second),
            moment(&|trip| trip.dropoff_second),
            int(&|trip| i64::from(trip.passengers)),
            float(&|trip| f64::from(trip.distance) / 100.0),
        ];
        match self.layout {
            TaxiLayout::Y2015 => columns.extend([
                float(&|trip| f64::from(trip.pickup.longitude)),
                float(&|trip| f64::from(trip.pickup.latitude)),
                rate_code,
                stored,
                float(&|trip| f64::from(trip.dropoff.longitude)),
                float(&|trip| f64::from(trip.dropoff.latitude)),
            ]),
            TaxiLayout::Y2019 => columns.extend([
                rate_code,
                stored,
                int(&|trip| i64::from(trip.pickup.zone)),
                int(&|trip| i64::from(trip.dropoff.zone)),
            ]),
        }
        columns.push(int(&|trip| i64::from(trip.payment_type)));
        for index in 0..6 {
            columns.push(float(&|trip| f64::from(trip.amounts[index]) / 100.0));
        }
        columns.push(float(&|trip| f64::from(trip.total) / 100.0));
        if self.layout == TaxiLayout::Y2019 {
            let amounts = trips.iter().map(|trip| Some(f64::from(trip.congestion?) / 100.0));
            columns.push(Arc::new(Float64Array::from_iter(amounts)));
        }
        RecordBatch::try_new(self.schema.clone(), columns)
    }
}

/// The columns under the names of the original, whose spelling changed with the layout.
fn schema(layout: TaxiLayout) -> SchemaRef {
    let (int, float) = (DataType::Int64, DataType::Float64);
    let moment = DataType::Timestamp(TimeUnit::Microsecond, None);
    let mut columns = vec![
        ("VendorID", int.clone()),
        ("tpep_pickup_datetime", moment.clone()),
        ("tpep_dropoff_datetime", moment),
        ("passenger_count", int.clone()),
        ("trip_distance", float.clone()),
    ];
    match layout {
        TaxiLayout::Y2015 => columns.extend([
            ("pickup_longitude", float.clone()),
            ("pickup_latitude", float.clone()),
            ("RateCodeID", int.clone()),
            ("store_and_fwd_flag", DataType::Utf8),
            ("dropoff_longitude", float.clone()),
            ("dropoff_latitude", float.clone()),
        ]),
        TaxiLayout::Y2019 => columns.extend([
            ("RatecodeID", int.clone()),
            ("store_and_fwd_flag", DataType::Utf8),
            ("PULocationID", int.clone()),
            ("DOLocationID", int.clone()),
        ]),
    }
    columns.push(("payment_type", int));
    columns.extend(
        [
            "fare_amount",
            "extra",
            "mta_tax",
            "tip_amount",
            "tolls_amount",
            "improvement_surcharge",
            "total_amount",
        ]
        .map(|name| (name, float.clone())),
    );
    if layout == TaxiLayout::Y2019 {
        columns.push(("congestion_surcharge", float));
    }
    let field = |(name, data_type)| Field::new(name, data_type, true);
    Arc::new(Schema::new(columns.into_iter().map(field).collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    use arrow::array::AsArray;
    use arrow::datatypes::Float64Type;

    use crate::generate::rows::testing;

    const HEADER_2015: &str = "VendorID,tpep_pickup_datetime,tpep_dropoff_datetime,\
        passenger_count,trip_distance,pickup_longitude,pickup_latitude,RateCodeID,\
        store_and_fwd_flag,dropoff_longitude,dropoff_latitude,payment_type,fare_amount,extra,\
        mta_tax,tip_amount,tolls_amount,improvement_surcharge,total_amount";
    const HEADER_2019: &str = "VendorID,tpep_pickup_datetime,tpep_dropoff_datetime,\
        passenger_count,trip_distance,RatecodeID,store_and_fwd_flag,PULocationID,DOLocationID,\
        payment_type,fare_amount,extra,mta_tax,tip_amount,tolls_amount,improvement_surcharge,\
        total_amount,congestion_surcharge";

    fn taxi(layout: TaxiLayout) -> Taxi {
        Taxi::new(42, layout, b',')
    }

    #[test]
    fn trips_repeat() {
        testing::check_repeats(&taxi(TaxiLayout::Y2015));
        testing::check_repeats(&taxi(TaxiLayout::Y2019));
    }

    #[test]
    fn another_seed_gives_other_trips() {
        let other = Taxi::new(43, TaxiLayout::Y2015, b',');
        assert_ne!(testing::text(&other, 10, 1), testing::text(&taxi(TaxiLayout::Y2015), 10, 1));
    }

    #[test]
    fn the_text_has_the_columns_and_flaws_of_the_original() {
        for (layout, header) in [(TaxiLayout::Y2015, HEADER_2015), (TaxiLayout::Y2019, HEADER_2019)]
        {
            let text = testing::text(&taxi(layout), 10_000, 2);
            let mut lines = text.lines();
            assert_eq!(lines.next(), Some(header));
            let names: Vec<&str> = header.split(',').collect();
            let column = |name| names.iter().position(|other| *other == name).unwrap();
            let (distance, total) = (column("trip_distance"), column("total_amount"));
            let payment = column("payment_type");
            let (mut short, mut refunds, mut cards, mut lost, mut empty) = (0, 0, 0, 0, 0);
            for line in lines {
                let fields: Vec<&str> = line.split(',').collect();
                assert_eq!(fields.len(), names.len(), "{line}");
                assert!(fields[1] < fields[2], "{line}");
                short += u32::from(fields[distance].starts_with('.'));
                refunds += u32::from(fields[total].starts_with('-'));
                cards += u32::from(fields[payment] == "1");
                lost += u32::from(fields[5] == "0");
                empty += u32::from(fields[names.len() - 1].is_empty());
            }
            assert!((1_000..4_000).contains(&short), "{short}");
            assert!((1..50).contains(&refunds), "{refunds}");
            assert!((5_500..7_000).contains(&cards), "{cards}");
            assert_eq!(lost > 100, layout == TaxiLayout::Y2015);
            assert_eq!(empty > 10, layout == TaxiLayout::Y2019);
        }
    }

    #[test]
    fn the_parquet_has_the_values_of_the_text() {
        let source = taxi(TaxiLayout::Y2015);
        let text = testing::text(&source, 3_000, 2);
        let (_, batch) = testing::parquet(&source, 3_000, 2);
        for name in ["trip_distance", "pickup_longitude", "dropoff_latitude", "total_amount"] {
            let index = batch.schema().index_of(name).unwrap();
            let written =
                text.lines().skip(1).map(|line| line.split(',').nth(index).unwrap().parse::<f64>());
            let column = batch.column(index).as_primitive::<Float64Type>();
            assert!(written.map(Result::unwrap).eq(column.values().iter().copied()), "{name}");
        }
        let pickup = arrow::util::display::array_value_to_string(batch.column(1), 0).unwrap();
        assert!(text.lines().nth(1).unwrap().contains(&pickup.replace('T', " ")));
    }
}
