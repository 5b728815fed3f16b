//! The table of taxi zones: 265 places in the shape of the taxi commission's list.
//!
//! The boroughs are New York's; the zones and their names are invented.

use std::path::Path;

use crate::error::Result;
use crate::generate::aside::Aside;
use crate::generate::text::{push_field, push_number};

/// The zones there are, numbered from 1.
pub(super) const ZONE_COUNT: u32 = 265;

/// The last zone that is a place; those above stand for trips whose end is not known.
pub(super) const LAST_PLACE: u32 = 263;

const HEADER: &str = "location_id,borough,zone,service_zone\n";

const FIRST_WORDS: [&str; 17] = [
    "Amber",
    "Birch",
    "Copper",
    "Drover",
    "Elder",
    "Falcon",
    "Granite",
    "Harbor",
    "Iron",
    "Juniper",
    "Kestrel",
    "Lantern",
    "Millstone",
    "Nettle",
    "Orchard",
    "Pewter",
    "Quarry",
];

const SECOND_WORDS: [&str; 16] = [
    "Heights", "Landing", "Square", "Park", "Hill", "Basin", "Gate", "Terrace", "Point", "Yards",
    "Crossing", "Green", "Market", "Slip", "Commons", "Row",
];

/// How the places divide among the boroughs: the borough and its last position, where positions
/// are a shuffling of the zone numbers.
const BOROUGHS: [(&str, u32); 5] =
    [("Manhattan", 69), ("Brooklyn", 130), ("Queens", 199), ("Bronx", 242), ("Staten Island", 262)];

/// The borough, the name and the service zone of zone `id`.
fn zone(id: u32) -> (&'static str, String, &'static str) {
    match id {
        1 => return ("EWR", "Kestrel Airfield".to_string(), "EWR"),
        264 => return ("Unknown", "Unknown".to_string(), "N/A"),
        265 => return ("Unknown", "Outside the City".to_string(), "N/A"),
        _ => {}
    }
    let position = position(id);
    let borough = BOROUGHS
        .iter()
        .find(|(_, last)| position < *last)
        .map_or("Staten Island", |(borough, _)| borough);
    let (first, second) = (position as usize % 17, (position as usize * 5 + 3) % 16);
    let name = match position {
        // A comma inside a field, as names of places have it.
        0..3 => format!("{} {}, North", FIRST_WORDS[first], SECOND_WORDS[second]),
        _ => format!("{} {}", FIRST_WORDS[first], SECOND_WORDS[second]),
    };
    let service_zone = match position {
        0..55 => "Yellow Zone",
        130 | 131 => "Airports",
        _ => "Boro Zone",
    };
    (borough, name, service_zone)
}

/// Shuffles the numbers 2 to 263 into 0 to 261, so that boroughs are not ranges of numbers.
fn position(id: u32) -> u32 {
    (id - 2) * 95 % 262
}

/// The zone numbers by position: the first ones are in Manhattan, where most trips begin.
pub(super) fn by_position() -> Vec<u16> {
    let mut zones: Vec<u16> = (2..=LAST_PLACE as u16).collect();
    zones.sort_by_key(|id| position(u32::from(*id)));
    zones
}

/// Writes the table as CSV, under a temporary name yet, and returns it with its number of rows.
///
/// # Errors
///
/// Those of the file.
pub(super) fn write(path: &Path) -> Result<(Aside, u64)> {
    let mut out = HEADER.as_bytes().to_vec();
    for id in 1..=ZONE_COUNT {
        let (borough, name, service_zone) = zone(id);
        push_number(&mut out, u64::from(id));
        for field in [borough, &name, service_zone] {
            out.push(b',');
            push_field(&mut out, field, b',');
        }
        out.push(b'\n');
    }
    let mut file = Aside::create(path)?;
    file.append(&out)?;
    Ok((file, u64::from(ZONE_COUNT)))
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::collections::HashSet;

    #[test]
    fn there_are_265_zones_of_different_names() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("zones.csv");
        write(&path).unwrap().0.finish().unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(text.lines().count(), 266);
        assert!(text.lines().any(|line| line.contains(", North\"")));
        let names: HashSet<_> = (1..=ZONE_COUNT).map(|id| zone(id).1).collect();
        assert_eq!(names.len(), 265);
        let manhattan = (1..=ZONE_COUNT).filter(|id| zone(*id).0 == "Manhattan").count();
        assert_eq!(manhattan, 69);
        assert_eq!((1..=ZONE_COUNT).filter(|id| zone(*id).2 == "Airports").count(), 2);
    }

    #[test]
    fn every_place_has_a_position() {
        let zones = by_position();
        assert_eq!(zones.iter().collect::<HashSet<_>>().len(), 262);
        assert!(zones[..69].iter().all(|id| zone(u32::from(*id)).0 == "Manhattan"));
    }
}
