//! Plans as drawings: SVG, and a page of HTML around it.

use std::fmt::Write;

use super::{Operator, Operators};

const CHAR_WIDTH: usize = 7;
const LINE_HEIGHT: usize = 16;
const PADDING: usize = 10;
const GAP: usize = 24;
const LAYER_GAP: usize = 36;

/// Colours of stages, one after the other, that black text can be read on.
pub(super) const COLOURS: [&str; 8] =
    ["#dbeafe", "#dcfce7", "#fef9c3", "#fee2e2", "#f3e8ff", "#ffedd5", "#cffafe", "#e7e5e4"];

impl Operators {
    pub(super) fn html(&self) -> String {
        let mut text = String::from(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>Plan</title>\n<style>\n\
             body { font: 14px/1.4 sans-serif; margin: 24px; color: #1c1917 }\n\
             table { border-collapse: collapse; margin-top: 24px }\n\
             td, th { border: 1px solid #d6d3d1; padding: 4px 8px; text-align: left; vertical-align: top }\n\
             td code { white-space: pre-wrap; overflow-wrap: anywhere }\n\
             </style>\n</head>\n<body>\n\
             <p>Rows go upwards, over as many partitions as an arrow says. Operators of one colour work at the \
             same time.</p>\n",
        );
        text.push_str(&self.svg());
        text.push_str(
            "<table>\n<tr><th>stage</th><th>operator</th><th>details</th><th>counted</th></tr>\n",
        );
        for operator in &self.all {
            let counted = operator.metrics.iter();
            let counted = counted
                .map(|metric| format!("{}: {}", metric.name.trim_end_matches("_ns"), metric.text));
            let _ = writeln!(
                text,
                "<tr style=\"background: {}\"><td>{}</td><td>{}</td><td><code>{}</code></td><td>{}</td></tr>",
                COLOURS[operator.stage % COLOURS.len()],
                operator.stage + 1,
                escaped(&operator.name),
                escaped(&operator.details),
                escaped(&counted.collect::<Vec<_>>().join("\n")).replace('\n', "<br>"),
            );
        }
        text.push_str("</table>\n</body>\n</html>\n");
        text
    }

    pub(super) fn svg(&self) -> String {
        let places = self.places();
        let width = places.iter().zip(&self.all).map(|(place, of)| place.x + of.width());
        let height = places.iter().zip(&self.all).map(|(place, of)| place.y + of.height());
        let (width, height) = (width.max().unwrap_or(0) + GAP, height.max().unwrap_or(0) + GAP);
        let mut text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" font-family=\"monospace\" font-size=\"12\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
        );
        for (below, above) in self.edges() {
            self.draw_edge(&mut text, &places, below, above);
        }
        for (operator, place) in self.all.iter().zip(&places) {
            operator.draw(&mut text, place);
        }
        text.push_str("</svg>\n");
        text
    }

    /// A line from the top of a box to the bottom of the one above, with its number of parts.
    fn draw_edge(&self, text: &mut String, places: &[Place], below: usize, above: usize) {
        let middle = |number: usize| places[number].x + self.all[number].width() / 2;
        let (x, y) = (middle(below), places[below].y);
        let (end_x, end_y) = (middle(above), places[above].y + self.all[above].height());
        let bend = y - LAYER_GAP / 2;
        let _ = writeln!(
            text,
            "<path d=\"M {x} {y} L {x} {bend} L {end_x} {bend} L {end_x} {end_y}\" fill=\"none\" \
             stroke=\"#57534e\"/>\n<text x=\"{}\" y=\"{}\" fill=\"#57534e\">{}</text>",
            x + 4,
            y - 4,
            self.all[below].partitions
        );
    }

    /// Where the boxes are: each layer below the one above it, boxes in the middle of those that
    /// they read from.
    fn places(&self) -> Vec<Place> {
        let layers = self.all.iter().map(|operator| operator.layer + 1).max().unwrap_or(0);
        let mut heights = vec![0; layers];
        for operator in &self.all {
            heights[operator.layer] = operator.height().max(heights[operator.layer]);
        }
        let mut tops = Vec::with_capacity(layers);
        let mut top = GAP;
        for height in heights {
            tops.push(top);
            top += height + LAYER_GAP;
        }
        let mut places: Vec<Place> =
            self.all.iter().map(|operator| Place { x: 0, y: tops[operator.layer] }).collect();
        if !self.all.is_empty() {
            self.place(0, GAP, &mut places);
        }
        places
    }

    /// The width of a box and all below it.
    fn breadth(&self, number: usize) -> usize {
        let operator = &self.all[number];
        let below: usize = operator.below.iter().map(|below| self.breadth(*below) + GAP).sum();
        operator.width().max(below.saturating_sub(GAP))
    }

    fn place(&self, number: usize, left: usize, places: &mut [Place]) {
        let operator = &self.all[number];
        let breadth = self.breadth(number);
        places[number].x = left + (breadth - operator.width()) / 2;
        let below: usize = operator.below.iter().map(|below| self.breadth(*below) + GAP).sum();
        let mut next = left + (breadth - below.saturating_sub(GAP)) / 2;
        for below in &operator.below {
            self.place(*below, next, places);
            next += self.breadth(*below) + GAP;
        }
    }
}

/// The left upper corner of a box.
struct Place {
    x: usize,
    y: usize,
}

impl Operator {
    fn width(&self) -> usize {
        let longest = self.lines().iter().map(|line| line.chars().count()).max().unwrap_or(0);
        longest * CHAR_WIDTH + CHAR_WIDTH + 2 * PADDING
    }

    fn height(&self) -> usize {
        self.lines().len() * LINE_HEIGHT + 2 * PADDING
    }

    fn draw(&self, text: &mut String, place: &Place) {
        let _ = writeln!(
            text,
            "<g><title>{} {}</title><rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"4\" \
             fill=\"{}\" stroke=\"#57534e\"/>",
            escaped(&self.name),
            escaped(&self.details),
            place.x,
            place.y,
            self.width(),
            self.height(),
            COLOURS[self.stage % COLOURS.len()]
        );
        for (number, line) in self.lines().iter().enumerate() {
            let weight = if number == 0 { " font-weight=\"bold\"" } else { "" };
            let _ = writeln!(
                text,
                "<text x=\"{}\" y=\"{}\"{weight} xml:space=\"preserve\">{}</text>",
                place.x + PADDING,
                place.y + PADDING + (number + 1) * LINE_HEIGHT - 4,
                escaped(line)
            );
        }
        text.push_str("</g>\n");
    }
}

/// Text as XML and HTML can hold it; characters that it cannot are left out.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\t' => escaped.push(' '),
            '\n' => escaped.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            c => escaped.push(c),
        }
    }
    escaped
}
