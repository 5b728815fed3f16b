//! The invented distributors, pharmacies and products of the drug shipments.
//!
//! There are some thousands of them and each occurs in many rows, so what they contribute to a
//! line is put together once, ready to be copied.

use crate::generate::arcos_names::{
    CHAINS, COUNTIES, DISTRIBUTOR_ENDINGS, DRUGS, Drug, FIRMS, LABELERS, PHARMACY_ENDINGS, STATES,
    STREETS, TOWN_BEGINNINGS, TOWN_ENDINGS,
};
use crate::generate::random::Random;
use crate::generate::text::{push_field, push_float};

/// The distributors that report.
pub(super) const REPORTER_COUNT: usize = 400;

/// The pharmacies that buy.
pub(super) const BUYER_COUNT: usize = 16_000;

/// The products sold.
pub(super) const PRODUCT_COUNT: usize = 300;

/// How the files spell a missing value.
pub(super) const NULL: &str = "null";

/// The reporter or the buyer of a shipment.
pub(super) struct Party {
    /// The ten columns: number, kind, name, additional name, two address lines, city, state, postal
    /// code and county. A missing value is [`NULL`].
    pub(super) fields: [String; 10],
    /// The family of companies, for reporters.
    pub(super) family: String,
    /// The ten columns as they stand in a line, each with its separator behind it.
    pub(super) text: Vec<u8>,
    /// The family as it stands in a line, with its separator.
    pub(super) family_text: Vec<u8>,
}

/// A product.
pub(super) struct Product {
    pub(super) drug: &'static Drug,
    pub(super) national_code: String,
    pub(super) label: String,
    pub(super) labeler: &'static str,
    pub(super) company: &'static str,
    /// Milligrams in a dose.
    pub(super) strength: f64,
    /// Doses in a package.
    pub(super) package_doses: u32,
    /// `TRANSACTION_CODE` to `DRUG_NAME`, each with its separator.
    pub(super) head_text: Vec<u8>,
    /// `Product_Name` to `Measure`, each with its separator.
    pub(super) label_text: Vec<u8>,
    /// `MME_Conversion_Factor` with its separator.
    pub(super) factor_text: Vec<u8>,
    /// The two companies, each with its separator.
    pub(super) company_text: Vec<u8>,
    /// `dos_str` with the newline.
    pub(super) strength_text: Vec<u8>,
}

/// The distributors.
pub(super) fn reporters(random: &mut Random, separator: u8) -> Vec<Party> {
    (0..REPORTER_COUNT)
        .map(|_| {
            let firm = *random.pick(&FIRMS);
            let additional = match random.below(40) {
                0 => format!("DBA {} PHARMACEUTICALS/{} LABS", random.pick(&FIRMS), firm),
                1 => format!("DBA: {} MEDICAL", random.pick(&FIRMS)),
                _ => NULL.to_string(),
            };
            let maker = random.one_in(25);
            let number = registration(random, if maker { b'R' } else { b'P' });
            let kind = if maker { "MANUFACTURER" } else { "DISTRIBUTOR" };
            let name = format!("{firm} {}", random.pick(&DISTRIBUTOR_ENDINGS));
            let place = place(random, true);
            let family = title_case(firm);
            party([number, kind.to_string(), name, additional], place, family, separator)
        })
        .collect()
}

/// The pharmacies and practitioners.
pub(super) fn buyers(random: &mut Random, separator: u8) -> Vec<Party> {
    (0..BUYER_COUNT)
        .map(|_| {
            let first = *random.pick(b"ABF");
            let number = registration(random, first);
            let firm = *random.pick(&FIRMS);
            let (kind, name, additional) = match random.below(100) {
                0..45 => {
                    let chain = *random.pick(&CHAINS);
                    let store = format!("STORE #{}", random.between(100, 9999));
                    ("CHAIN PHARMACY", chain.to_string(), store)
                }
                45..97 => {
                    let name = format!("{firm} {}", random.pick(&PHARMACY_ENDINGS));
                    let additional = match random.below(5) {
                        0 => format!("DBA: {} PHARMACY", random.pick(&FIRMS)),
                        _ => NULL.to_string(),
                    };
                    ("RETAIL PHARMACY", name, additional)
                }
                _ => ("PRACTITIONER", format!("{firm} CLINIC, P.A."), NULL.to_string()),
            };
            let place = place(random, false);
            party([number, kind.to_string(), name, additional], place, String::new(), separator)
        })
        .collect()
}

/// The products.
pub(super) fn products(random: &mut Random, separator: u8) -> Vec<Product> {
    (0..PRODUCT_COUNT)
        .map(|index| {
            // By position and not by chance: the shares of the drugs hold exactly.
            let mut position = (index * 37 % 100) as u32;
            let drug = DRUGS
                .iter()
                .find(|drug| {
                    let found = position < drug.weight;
                    position = position.wrapping_sub(drug.weight);
                    found
                })
                .unwrap_or(&DRUGS[0]);
            let (labeler, company) = *random.pick(&LABELERS);
            let strength = *random.pick(drug.strengths);
            let package_doses = match drug.measure {
                "TAB" => *random.pick(&[30, 100, 100, 100, 500, 500, 1000]),
                "ML" => *random.pick(&[118, 473, 500]),
                _ => *random.pick(&[5_000, 25_000]),
            };
            // The database behind the original cut these at 36 characters.
            let mut label = random.pick(drug.labels).replace('#', &strength.to_string());
            label.truncate(36);
            let label = label.trim_end().to_string();
            let national_code = format!(
                "{:05}{:04}{:02}",
                random.between(100, 69_999),
                random.between(1, 9_999),
                random.between(0, 99)
            );
            let fields = |fields: &[&str]| joined(fields, separator);
            let mut factor_text = Vec::new();
            push_float(&mut factor_text, drug.factor);
            factor_text.push(separator);
            let mut strength_text = Vec::new();
            push_float(&mut strength_text, strength);
            strength_text.push(b'\n');
            Product {
                head_text: fields(&["S", drug.code, &national_code, drug.name]),
                label_text: fields(&[&label, drug.ingredient, drug.measure]),
                factor_text,
                company_text: fields(&[labeler, company]),
                strength_text,
                drug,
                national_code,
                label,
                labeler,
                company,
                strength,
                package_doses,
            }
        })
        .collect()
}

fn party(names: [String; 4], place: [String; 6], family: String, separator: u8) -> Party {
    let [number, kind, name, additional] = names;
    let [address, address2, city, state, postal_code, county] = place;
    let fields =
        [number, kind, name, additional, address, address2, city, state, postal_code, county];
    let text = joined(&fields.each_ref().map(String::as_str), separator);
    let family_text = joined(&[&family], separator);
    Party { fields, family, text, family_text }
}

/// The fields, each with its separator behind it.
fn joined(fields: &[&str], separator: u8) -> Vec<u8> {
    let mut text = Vec::new();
    for field in fields {
        push_field(&mut text, field, separator);
        text.push(separator);
    }
    text
}

/// A registration number: two letters and seven digits, whose last one checks the others. Here it
/// is always wrong, so that no number can be that of a real registrant.
fn registration(random: &mut Random, first: u8) -> String {
    let number = random.below(1_000_000);
    let digit = |place: u32| number / 10_u32.pow(place) % 10;
    let check = digit(5) + digit(3) + digit(1) + 2 * (digit(4) + digit(2) + digit(0));
    let second = b'A' + random.below(26) as u8;
    format!("{}{}{number:06}{}", char::from(first), char::from(second), (check + 5) % 10)
}

/// Two lines of address, a city, a state, a postal code and a county.
fn place(random: &mut Random, warehouse: bool) -> [String; 6] {
    let total: u32 = STATES.iter().map(|state| u32::from(state.3)).sum();
    let mut position = random.below(total);
    let state_index = STATES
        .iter()
        .position(|state| {
            let found = position < u32::from(state.3);
            position = position.wrapping_sub(u32::from(state.3));
            found
        })
        .unwrap_or(0);
    let (state, low, high, population) = STATES[state_index];
    // Large states have many counties. Which ones, and how their towns are called, follows from
    // the numbers of the state and the county, so that a county is always in the same place.
    let county_index = random.below(3 + u32::from(population)) as usize;
    let county = COUNTIES[(state_index * 7 + county_index * 11) % COUNTIES.len()];
    let town = state_index * 5 + county_index * 3 + random.below(2) as usize;
    let city = format!(
        "{}{}",
        TOWN_BEGINNINGS[town % TOWN_BEGINNINGS.len()],
        TOWN_ENDINGS[(town / 2) % TOWN_ENDINGS.len()]
    );
    let prefix = u32::from(low) + county_index as u32 % u32::from(high - low + 1);
    // A number, as in the original: in the states of the north-east its first zero is lost.
    let postal_code = (prefix * 100 + town as u32 * 7 % 100).to_string();
    let street = random.pick(&STREETS);
    let house = random.between(1, 9999);
    let (first, second) = match random.below(12) {
        0 => (format!("P.O. BOX {}", random.between(1, 2000)), format!("{house} {street}")),
        1 => (format!("{house} {street}, SUITE {}", random.between(1, 400)), NULL.to_string()),
        2 | 3 => (format!("{house} {street}"), format!("SUITE {}", random.between(100, 400))),
        4..7 if warehouse => {
            (format!("{house} {street}"), format!("DISTRIBUTION CENTER {}", random.between(2, 60)))
        }
        _ => (format!("{house} {street}"), NULL.to_string()),
    };
    [first, second, city, state.to_string(), postal_code, county.to_string()]
}

fn title_case(text: &str) -> String {
    let word = |word: &str| format!("{}{}", &word[..1], word[1..].to_ascii_lowercase());
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::collections::HashSet;

    fn random() -> Random {
        Random::new(42, *b"parties\0", 0)
    }

    #[test]
    fn every_state_has_counties_of_its_own() {
        let buyers = buyers(&mut random(), b',');
        let states: HashSet<&str> = buyers.iter().map(|buyer| buyer.fields[7].as_str()).collect();
        assert_eq!(states.len(), 51);
        let counties: HashSet<_> =
            buyers.iter().map(|buyer| (&buyer.fields[7], &buyer.fields[9])).collect();
        assert!((300..600).contains(&counties.len()), "{}", counties.len());
    }

    #[test]
    fn postal_codes_lose_their_zero() {
        let reporters = reporters(&mut random(), b',');
        let jersey: Vec<_> =
            reporters.iter().filter(|reporter| reporter.fields[7] == "NJ").collect();
        assert!(!jersey.is_empty());
        assert!(jersey.iter().all(|reporter| reporter.fields[8].len() == 4));
    }

    #[test]
    fn national_codes_have_eleven_digits() {
        let products = products(&mut random(), b',');
        assert!(products.iter().all(|product| product.national_code.len() == 11));
        assert!(products.iter().any(|product| product.national_code.starts_with('0')));
        assert!(products.iter().any(|product| product.label_text.starts_with(b"\"")));
        let tablets = products.iter().filter(|product| product.drug.measure == "TAB").count();
        assert_eq!(tablets * 100 / PRODUCT_COUNT, 91);
    }
}
