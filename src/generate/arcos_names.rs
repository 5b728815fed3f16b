//! The words the drug shipments are made of.
//!
//! States, their postal ranges and the kinds of drugs are plain facts. Companies, pharmacies,
//! towns and streets are invented.

/// A state: its code, the first and the last of its postal prefixes (three digits), and its
/// population in about a million (at least 1).
pub(super) const STATES: [(&str, u16, u16, u8); 51] = [
    ("AK", 995, 999, 1),
    ("AL", 350, 369, 5),
    ("AR", 716, 729, 3),
    ("AZ", 850, 865, 6),
    ("CA", 900, 961, 37),
    ("CO", 800, 816, 5),
    ("CT", 60, 69, 4),
    ("DC", 200, 205, 1),
    ("DE", 197, 199, 1),
    ("FL", 320, 349, 19),
    ("GA", 300, 319, 10),
    ("HI", 967, 968, 1),
    ("IA", 500, 528, 3),
    ("ID", 832, 838, 2),
    ("IL", 600, 629, 13),
    ("IN", 460, 479, 6),
    ("KS", 660, 679, 3),
    ("KY", 400, 427, 4),
    ("LA", 700, 714, 5),
    ("MA", 10, 27, 7),
    ("MD", 206, 219, 6),
    ("ME", 39, 49, 1),
    ("MI", 480, 499, 10),
    ("MN", 550, 567, 5),
    ("MO", 630, 658, 6),
    ("MS", 386, 397, 3),
    ("MT", 590, 599, 1),
    ("NC", 270, 289, 10),
    ("ND", 580, 588, 1),
    ("NE", 680, 693, 2),
    ("NH", 30, 38, 1),
    ("NJ", 70, 89, 9),
    ("NM", 870, 884, 2),
    ("NV", 889, 898, 3),
    ("NY", 100, 149, 19),
    ("OH", 430, 459, 12),
    ("OK", 730, 749, 4),
    ("OR", 970, 979, 4),
    ("PA", 150, 196, 13),
    ("RI", 28, 29, 1),
    ("SC", 290, 299, 5),
    ("SD", 570, 577, 1),
    ("TN", 370, 385, 6),
    ("TX", 750, 799, 25),
    ("UT", 840, 847, 3),
    ("VA", 220, 246, 8),
    ("VT", 50, 59, 1),
    ("WA", 980, 994, 7),
    ("WI", 530, 549, 6),
    ("WV", 247, 268, 2),
    ("WY", 820, 831, 1),
];

/// Names that counties of many states have.
pub(super) const COUNTIES: [&str; 61] = [
    "ADAMS",
    "ALLEN",
    "BENTON",
    "BOONE",
    "BROWN",
    "BUTLER",
    "CALHOUN",
    "CARROLL",
    "CASS",
    "CLARK",
    "CLAY",
    "CLINTON",
    "CRAWFORD",
    "CUMBERLAND",
    "DECATUR",
    "DOUGLAS",
    "FAYETTE",
    "FLOYD",
    "FRANKLIN",
    "FULTON",
    "GRANT",
    "GREENE",
    "HAMILTON",
    "HANCOCK",
    "HARRISON",
    "HENRY",
    "HOWARD",
    "JACKSON",
    "JASPER",
    "JEFFERSON",
    "JOHNSON",
    "KNOX",
    "LAKE",
    "LAWRENCE",
    "LEE",
    "LINCOLN",
    "LOGAN",
    "MACON",
    "MADISON",
    "MARION",
    "MARSHALL",
    "MERCER",
    "MONROE",
    "MONTGOMERY",
    "MORGAN",
    "NOBLE",
    "ORANGE",
    "PERRY",
    "PIKE",
    "POLK",
    "PULASKI",
    "PUTNAM",
    "RANDOLPH",
    "SCOTT",
    "SHELBY",
    "TAYLOR",
    "UNION",
    "WARREN",
    "WASHINGTON",
    "WAYNE",
    "WHITE",
];

pub(super) const TOWN_BEGINNINGS: [&str; 24] = [
    "ALDER", "BRIAR", "COLD", "DUN", "EVER", "FERN", "GLEN", "HOLLOW", "IVY", "KINGS", "LARK",
    "MARSH", "NEW ", "OAK", "PINE", "RAVEN", "SILVER", "STONE", "THORN", "VALE", "WEST ", "WILLOW",
    "WOLF", "YARROW",
];

pub(super) const TOWN_ENDINGS: [&str; 11] =
    ["BRIDGE", "BURG", "CREEK", "FIELD", "FORD", "HAVEN", "MERE", "MOUNT", "TON", "VILLE", "WICK"];

pub(super) const STREETS: [&str; 20] = [
    "INDUSTRIAL PARKWAY",
    "COMMERCE DRIVE",
    "DISTRIBUTION WAY",
    "OLD MILL ROAD",
    "MARKET STREET",
    "DEPOT STREET",
    "COURTHOUSE SQUARE",
    "STATE ROUTE 41",
    "RIVERBEND AVENUE",
    "FOUNDRY LANE",
    "COLLEGE AVENUE",
    "NORTH MAIN STREET",
    "SOUTH MAIN STREET",
    "QUARRY ROAD",
    "STATION ROAD",
    "HOSPITAL DRIVE",
    "TURNPIKE ROAD",
    "WAREHOUSE BOULEVARD",
    "ORCHARD LANE",
    "LAKESHORE DRIVE",
];

/// Beginnings of the names of companies and pharmacies.
pub(super) const FIRMS: [&str; 28] = [
    "ASTERBY",
    "BELLWICK",
    "CARDAMOR",
    "DELFORD",
    "EASTMERE",
    "FENWARD",
    "GALLOWAY PIKE",
    "HAWKSMOOR",
    "INGLEBROOK",
    "JUNCTION CITY",
    "KELDON",
    "LOWCROFT",
    "MERIDIAN",
    "NORTHGATE",
    "OSTERLEY",
    "PEMBERWICK",
    "QUILLAN",
    "REDSTOWE",
    "SALTMARSH",
    "TARRANMORE",
    "UPFIELD",
    "VANTREES",
    "WESTERHOLM",
    "YELVERTON",
    "ZEPHYR HILL",
    "ORMSKIRK",
    "BRACKENRIDGE",
    "CALDERWAY",
];

pub(super) const DISTRIBUTOR_ENDINGS: [&str; 8] = [
    "WHOLESALE DRUG CO",
    "DRUG DISTRIBUTORS, INC.",
    "CORPORATION",
    "HEALTH SUPPLY LLC",
    "PHARMA DISTRIBUTION, L.P.",
    "DRUG COMPANY",
    "MEDICAL SUPPLY, INC",
    "WAREHOUSE CO.",
];

pub(super) const PHARMACY_ENDINGS: [&str; 10] = [
    "PHARMACY INC",
    "DRUG STORE",
    "PHARMACY, LLC",
    "DRUG COMPANY INC",
    "FAMILY PHARMACY",
    "APOTHECARY, INC.",
    "PRESCRIPTION SHOP",
    "COMMUNITY PHARMACY",
    "DISCOUNT DRUGS, INC",
    "PROFESSIONAL PHARMACY",
];

/// Chains of pharmacies.
pub(super) const CHAINS: [&str; 6] = [
    "ROWAN & REED PHARMACY",
    "DAYBREAK DRUG, INC.",
    "BLUE HERON PHARMACY",
    "FIVE POINTS DRUG STORES, L.L.C.",
    "HOMESTEAD RX",
    "MIDCOUNTRY PHARMACIES, INC.",
];

/// Makers of the drugs: the name on the label and the name of the company behind it.
pub(super) const LABELERS: [(&str, &str); 16] = [
    ("Meridian Labs, Inc.", "Osterley Group, Inc."),
    ("Fenward Pharmaceutical", "Calderway Pharmaceuticals, Inc."),
    ("TarranGx LLC", "Tarranmore"),
    ("Hawksmoor Generics, Inc.", "Osterley Group, Inc."),
    ("Quillan Pharma LP", "Quillan Pharma LP"),
    ("Saltmarsh Laboratories, Inc.", "Saltmarsh Laboratories, Inc."),
    ("Keldon Pharmaceuticals, Inc.", "Calderway Pharmaceuticals, Inc."),
    ("Inglebrook, Inc.", "Inglebrook, Inc."),
    ("Lowcroft Health Care, Ltd.", "Westerholm International"),
    ("Pemberwick Pharma USA, Inc.", "Pemberwick Industries, Ltd."),
    ("Bellwick Rx", "Bellwick"),
    ("Northgate Therapeutics, Inc.", "Westerholm International"),
    ("Asterby Pharmaceuticals", "Asterby"),
    ("Delford Packaging, LLC", "Delford"),
    ("Upfield Repack Services, Inc.", "Upfield Repack Services, Inc."),
    ("Redstowe Pharmaceuticals, L.L.C.", "Redstowe"),
];

/// A kind of drug.
pub(super) struct Drug {
    /// The controlled substance code, four digits.
    pub(super) code: &'static str,
    /// The drug.
    pub(super) name: &'static str,
    /// The salt it is sold as.
    pub(super) ingredient: &'static str,
    /// The unit of a dose: a tablet, a millilitre of a solution, a milligram of powder.
    pub(super) measure: &'static str,
    /// Morphine milligram equivalents of a milligram.
    pub(super) factor: f64,
    /// The part of the salt's weight that is the drug.
    pub(super) base_share: f64,
    /// Milligrams in a dose.
    pub(super) strengths: &'static [f64],
    /// What a product is called, with the strength in place of the `#`.
    pub(super) labels: &'static [&'static str],
    /// Whether it is ordered on the numbered forms of the stricter schedule.
    pub(super) needs_form: bool,
    /// Products of this kind in a hundred.
    pub(super) weight: u32,
}

/// The kinds of drugs; their weights add up to 100.
pub(super) const DRUGS: [Drug; 6] = [
    Drug {
        code: "9193",
        name: "HYDROCODONE",
        ingredient: "HYDROCODONE BITARTRATE HEMIPENTAHYDRATE",
        measure: "TAB",
        factor: 1.0,
        base_share: 0.6054,
        strengths: &[5.0, 7.5, 10.0, 10.0],
        labels: &[
            "HYDROCODONE BITARTRATE #MG/ACETAMINOPHEN 325MG TABLETS",
            "HYDROCODONE BIT./ACET.,#MG & 650MG",
            "HYDROCODONE BIT. #MG/ACETAMINOPHEN 500MG USP",
            "HYDROCOD.BIT # TAB",
        ],
        needs_form: false,
        weight: 58,
    },
    Drug {
        code: "9143",
        name: "OXYCODONE",
        ingredient: "OXYCODONE HYDROCHLORIDE",
        measure: "TAB",
        factor: 1.5,
        base_share: 0.8965,
        strengths: &[5.0, 10.0, 15.0, 20.0, 30.0, 40.0],
        labels: &[
            "OXYCODONE HYDROCHLORIDE TABLETS USP, #MG",
            "OXYCODONE HCL #MG EXTENDED RELEASE TABLETS",
            "OXYCODONE HCL/ACETAMINOPHEN,#MG/325MG",
        ],
        needs_form: true,
        weight: 30,
    },
    Drug {
        code: "9150",
        name: "HYDROMORPHONE",
        ingredient: "HYDROMORPHONE HYDROCHLORIDE",
        measure: "TAB",
        factor: 4.0,
        base_share: 0.8868,
        strengths: &[2.0, 4.0, 8.0],
        labels: &["HYDROMORPHONE HYDROCHLORIDE TABLETS, #MG"],
        needs_form: true,
        weight: 3,
    },
    Drug {
        code: "9193",
        name: "HYDROCODONE",
        ingredient: "HYDROCODONE BITARTRATE HEMIPENTAHYDRATE",
        measure: "ML",
        factor: 1.0,
        base_share: 0.6054,
        strengths: &[0.5],
        labels: &["HYDROCODONE/ACETAMINOPHEN ORAL SOLUTION #MG/ML"],
        needs_form: false,
        weight: 5,
    },
    Drug {
        code: "9143",
        name: "OXYCODONE",
        ingredient: "OXYCODONE HYDROCHLORIDE",
        measure: "ML",
        factor: 1.5,
        base_share: 0.8965,
        strengths: &[1.0, 20.0],
        labels: &["OXYCODONE HCL ORAL SOLUTION, #MG/ML"],
        needs_form: true,
        weight: 2,
    },
    Drug {
        code: "9050",
        name: "CODEINE",
        ingredient: "CODEINE PHOSPHATE HEMIHYDRATE",
        measure: "MG",
        factor: 0.15,
        base_share: 0.7366,
        strengths: &[1.0],
        labels: &["CODEINE PHOSPHATE POWDER FOR COMPOUNDING"],
        needs_form: true,
        weight: 2,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weights_of_the_drugs_are_percents() {
        assert_eq!(DRUGS.iter().map(|drug| drug.weight).sum::<u32>(), 100);
        let tablets = DRUGS.iter().filter(|drug| drug.measure == "TAB");
        assert_eq!(tablets.map(|drug| drug.weight).sum::<u32>(), 91);
    }
}
