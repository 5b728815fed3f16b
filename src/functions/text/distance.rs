//! How alike texts are.

use std::collections::HashSet;

use arrow::array::ArrayRef;
use arrow::datatypes::{Float64Type, Int64Type};
use datafusion::common::exec_err;
use datafusion::error::Result;

use crate::functions::inputs::Inputs;

fn counts(inputs: &Inputs, count: impl Fn(&str, &str) -> Result<usize>) -> Result<ArrayRef> {
    let (left, right) = (inputs.texts(0), inputs.texts(1));
    inputs.numbers::<Int64Type>(|row| {
        let (Some(left), Some(right)) = (left.get(row), right.get(row)) else { return Ok(None) };
        Ok(i64::try_from(count(left, right)?).ok())
    })
}

fn shares(inputs: &Inputs, share: impl Fn(&str, &str) -> f64) -> Result<ArrayRef> {
    let (left, right) = (inputs.texts(0), inputs.texts(1));
    inputs.numbers::<Float64Type>(|row| {
        let (Some(left), Some(right)) = (left.get(row), right.get(row)) else { return Ok(None) };
        Ok(Some(share(left, right)))
    })
}

/// Insertions, deletions, replacements and swaps of neighbours from one text to the other.
pub(super) fn damerau_levenshtein(inputs: &Inputs) -> Result<ArrayRef> {
    counts(inputs, |left, right| Ok(strsim::damerau_levenshtein(left, right)))
}

/// The places where texts of the same length differ.
pub(super) fn hamming(inputs: &Inputs) -> Result<ArrayRef> {
    counts(inputs, |left, right| match strsim::hamming(left, right) {
        Ok(count) => Ok(count),
        Err(_) => {
            exec_err!("{}: \"{left}\" and \"{right}\" are not of the same length", inputs.name)
        }
    })
}

/// The share of characters that both texts have, of those that one has.
pub(super) fn jaccard(inputs: &Inputs) -> Result<ArrayRef> {
    shares(inputs, |left, right| {
        let left: HashSet<char> = left.chars().collect();
        let right: HashSet<char> = right.chars().collect();
        let both = left.intersection(&right).count();
        let either = left.len() + right.len() - both;
        if either == 0 { 1.0 } else { both as f64 / either as f64 }
    })
}

/// Jaro's similarity, from 0 to 1.
pub(super) fn jaro(inputs: &Inputs) -> Result<ArrayRef> {
    shares(inputs, |left, right| {
        if left.is_empty() && right.is_empty() { 0.0 } else { strsim::jaro(left, right) }
    })
}

/// Jaro's similarity, more for texts that begin alike.
pub(super) fn jaro_winkler(inputs: &Inputs) -> Result<ArrayRef> {
    shares(inputs, |left, right| {
        if left.is_empty() && right.is_empty() { 0.0 } else { strsim::jaro_winkler(left, right) }
    })
}

/// The American Soundex code of a name; empty if there is no letter.
pub(super) fn soundex(inputs: &Inputs) -> Result<ArrayRef> {
    inputs.map_text(|text, out| {
        let mut last = None;
        let mut length = 0;
        for letter in text.chars().filter(char::is_ascii_alphabetic) {
            let letter = letter.to_ascii_uppercase();
            let code = soundex_code(letter);
            if length == 0 {
                out.push(letter);
                length = 1;
            } else if let Some(code) = code
                && code != '0'
                && last != Some(code)
            {
                out.push(code);
                length += 1;
            }
            if length == 4 {
                break;
            }
            // H and W do not part equal codes; vowels do.
            if code.is_some() {
                last = code;
            }
        }
        if length > 0 {
            out.extend(std::iter::repeat_n('0', 4 - length));
        }
    })
}

/// The digit of a letter, 0 for vowels, or `None` for those that are passed over.
fn soundex_code(letter: char) -> Option<char> {
    Some(match letter {
        'B' | 'F' | 'P' | 'V' => '1',
        'C' | 'G' | 'J' | 'K' | 'Q' | 'S' | 'X' | 'Z' => '2',
        'D' | 'T' => '3',
        'L' => '4',
        'M' | 'N' => '5',
        'R' => '6',
        'H' | 'W' => return None,
        _ => '0',
    })
}
