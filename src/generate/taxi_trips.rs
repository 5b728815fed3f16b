//! What happens on a taxi trip: where and when, how far, and what it costs.
//!
//! The distributions are rough, the tariff is that of the years. [`super::taxi`] writes the trips
//! down.

use crate::generate::TaxiLayout;
use crate::generate::random::Random;
use crate::generate::zones;

pub(super) const SECONDS_PER_DAY: u32 = 86_400;

/// Both months have 31 days; a trip may end on the day after.
pub(super) const DAY_COUNT: u32 = 31;

/// Quantiles of the hour at which trips begin: few in the early morning, most in the evening.
const HOURS: [u32; 25] =
    [0, 1, 3, 7, 8, 8, 9, 10, 11, 12, 13, 13, 14, 15, 16, 17, 18, 18, 19, 19, 20, 21, 22, 23, 24];

/// Quantiles of the distance in hundredths of a mile.
const DISTANCES: [u32; 18] =
    [20, 50, 65, 78, 90, 102, 116, 130, 147, 165, 186, 212, 245, 290, 355, 470, 820, 2000];

const PASSENGERS: [u8; 50] = [
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 3, 3, 4, 5, 5, 6, 6,
];

/// Tips on card payments, in percent of the fare.
const TIP_PERCENTS: [i32; 12] = [0, 10, 15, 18, 20, 20, 20, 20, 22, 25, 25, 30];

/// The directions a trip can take, as shares of its length to the east and to the north: the
/// avenues of Manhattan most often.
const DIRECTIONS: [(f64, f64); 6] =
    [(0.45, 0.75), (-0.45, -0.75), (0.7, -0.35), (-0.7, 0.35), (0.1, 0.85), (-0.2, -0.85)];

const DEGREES_EAST_PER_MILE: f64 = 0.0191;
const DEGREES_NORTH_PER_MILE: f64 = 0.0145;

/// A place: coordinates for one layout, a zone for the other.
#[derive(Clone, Copy, Default)]
pub(super) struct Place {
    pub(super) longitude: f32,
    pub(super) latitude: f32,
    pub(super) zone: u16,
}

/// One trip. Amounts are in cents.
pub(super) struct Trip {
    pub(super) vendor: u8,
    pub(super) pickup_second: u32,
    pub(super) dropoff_second: u32,
    pub(super) passengers: u8,
    /// In hundredths of a mile.
    pub(super) distance: u32,
    pub(super) rate_code: u8,
    pub(super) stored: bool,
    pub(super) pickup: Place,
    pub(super) dropoff: Place,
    pub(super) payment_type: u8,
    /// `fare_amount` to `improvement_surcharge` in the order of the columns.
    pub(super) amounts: [i32; 6],
    pub(super) total: i32,
    pub(super) congestion: Option<i32>,
}

/// Makes the trips of a layout.
pub(super) struct Trips {
    layout: TaxiLayout,
    zones: Vec<u16>,
}

impl Trips {
    pub(super) fn new(layout: TaxiLayout) -> Trips {
        Trips { layout, zones: zones::by_position() }
    }

    /// The next trip.
    pub(super) fn trip(&self, random: &mut Random) -> Trip {
        let vendor = random.between(1, 2) as u8;
        let hour = random.quantile(&HOURS);
        let day = random.below(DAY_COUNT);
        let pickup_second = day * SECONDS_PER_DAY + hour * 3600 + random.below(3600);
        let passengers = if random.one_in(1500) { 0 } else { *random.pick(&PASSENGERS) };

        let airport = random.one_in(45);
        let mut distance = match airport {
            true => 1600 + random.below(700),
            false => random.quantile(&DISTANCES),
        };
        if random.one_in(160) {
            distance = 0;
        }
        if vendor == 1 {
            distance = distance / 10 * 10;
        }
        // Tenths of a second for a hundredth of a mile: long trips take the fast roads.
        let pace = if distance > 800 { random.between(14, 34) } else { random.between(24, 66) };
        let seconds = 40 + random.below(60) + distance * pace / 10;

        let (pickup, dropoff) = self.places(random, airport, distance);
        let payment_type = match random.below(1000) {
            0..626 => 1,
            626..993 => 2,
            993..998 => 3,
            _ => 4,
        };
        let mut trip = Trip {
            vendor,
            pickup_second,
            dropoff_second: pickup_second + seconds,
            passengers,
            distance,
            rate_code: match random.below(1000) {
                _ if airport => 2,
                0..3 => 5,
                3 => 3,
                4 => 4,
                _ => 1,
            },
            stored: random.one_in(110),
            pickup,
            dropoff,
            payment_type,
            amounts: [0; 6],
            total: 0,
            congestion: None,
        };
        self.charge(&mut trip, random, day, hour, seconds);
        trip
    }

    /// Sets the amounts, by the tariff.
    fn charge(&self, trip: &mut Trip, random: &mut Random, day: u32, hour: u32, seconds: u32) {
        // Half a dollar for each fifth of a mile, or for each minute slower than 15 miles an hour.
        let slow_seconds = seconds.saturating_sub(trip.distance * 24 / 10);
        let units = trip.distance / 20 + slow_seconds / 60;
        let fare = if trip.rate_code == 2 { 5200 } else { 250 + 50 * units as i32 };
        // 1 January 2015 was a Thursday, 1 March 2019 a Friday.
        let weekday = match self.layout {
            TaxiLayout::Y2015 => (day + 3) % 7,
            TaxiLayout::Y2019 => (day + 4) % 7,
        };
        let mut extra = match hour {
            _ if trip.rate_code == 2 => 0,
            20.. | 0..6 => 50,
            16..20 if weekday < 5 => 100,
            _ => 0,
        };
        if self.layout == TaxiLayout::Y2019 {
            let charge = if random.one_in(12) { 0 } else { 250 };
            // The first months of 2019 have empty fields, from before there was the charge.
            trip.congestion = (!random.one_in(200)).then_some(charge);
            if trip.vendor == 1 {
                // This vendor counts the charge among the extras too.
                extra += charge;
            }
        }
        let mta_tax = if trip.rate_code == 5 { 0 } else { 50 };
        let tolls = match random.below(30) {
            0 if trip.distance > 400 => 533,
            _ if trip.rate_code == 2 && random.one_in(2) => 533,
            _ => 0,
        };
        let improvement = match self.layout {
            TaxiLayout::Y2015 if random.one_in(20) => 0,
            _ => 30,
        };
        let tip = match trip.payment_type {
            1 if random.one_in(4) => *random.pick(&[100, 100, 200, 200, 300, 500]),
            1 => (fare + extra + mta_tax + tolls) * *random.pick(&TIP_PERCENTS) / 100,
            _ => 0,
        };
        trip.amounts = [fare, extra, mta_tax, tip, tolls, improvement];
        if random.one_in(1200) {
            trip.payment_type = *random.pick(&[3, 4]);
            trip.amounts[3] = 0;
            trip.amounts = trip.amounts.map(|amount| -amount);
            trip.congestion = trip.congestion.map(|amount| -amount);
        }
        // One vendor leaves the congestion charge out of its sum, as it is in the extras already.
        let congestion = if trip.vendor == 1 { 0 } else { trip.congestion.unwrap_or(0) };
        trip.total = trip.amounts.iter().sum::<i32>() + congestion;
    }

    fn places(&self, random: &mut Random, airport: bool, distance: u32) -> (Place, Place) {
        if self.layout == TaxiLayout::Y2019 {
            let mut zone = || match random.below(200) {
                0 => zones::ZONE_COUNT as u16 - 1,
                1 => *random.pick(&[1, 265]),
                2..180 => {
                    // The smaller of two numbers: some zones are far busier than others.
                    let position = random.below(62).min(random.below(62));
                    self.zones[position as usize]
                }
                _ => *random.pick(&self.zones),
            };
            let at = |zone| Place { zone, ..Place::default() };
            return (at(zone()), at(zone()));
        }
        let along = f64::from(random.bell()) / 1000.0;
        let across = f64::from(random.bell()) / 1000.0;
        let (mut east, mut north) =
            (-73.981 + 0.034 * along + 0.014 * across, 40.752 + 0.058 * along - 0.008 * across);
        if airport {
            (east, north) = (-73.7822 + 0.008 * along, 40.6446 + 0.004 * across);
        }
        let (to_east, to_north) = *random.pick(&DIRECTIONS);
        let miles = f64::from(distance) / 100.0 * if airport { 0.7 } else { 0.8 };
        let (to_east, to_north) = if airport { (-0.8, 0.45) } else { (to_east, to_north) };
        let pickup = Place { longitude: east as f32, latitude: north as f32, zone: 0 };
        let dropoff = Place {
            longitude: (east + miles * to_east * DEGREES_EAST_PER_MILE) as f32,
            latitude: (north + miles * to_north * DEGREES_NORTH_PER_MILE) as f32,
            zone: 0,
        };
        // The receiver had no signal, most often at both ends.
        match random.below(400) {
            0..7 => (Place::default(), Place::default()),
            7 => (Place::default(), dropoff),
            8 => (pickup, Place::default()),
            _ => (pickup, dropoff),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_total_is_the_sum_of_its_parts() {
        let trips = Trips::new(TaxiLayout::Y2015);
        let mut random = Random::new(42, *b"taxitest", 0);
        for _ in 0..5_000 {
            let trip = trips.trip(&mut random);
            assert_eq!(trip.total, trip.amounts.iter().sum::<i32>());
            assert!(trip.dropoff_second < (DAY_COUNT + 1) * SECONDS_PER_DAY);
        }
    }

    #[test]
    fn zones_are_those_of_the_table() {
        let trips = Trips::new(TaxiLayout::Y2019);
        let mut random = Random::new(42, *b"taxitest", 0);
        for _ in 0..5_000 {
            let trip = trips.trip(&mut random);
            assert!((1..=zones::ZONE_COUNT as u16).contains(&trip.pickup.zone));
            assert!((1..=zones::ZONE_COUNT as u16).contains(&trip.dropoff.zone));
        }
    }
}
