//! The plan of a query as a picture: for Graphviz, or drawn as SVG.
//!
//! Operators are boxes, and rows go upwards. Boxes of one colour work at the same time; where the
//! colour changes, an operator takes in all of its rows before it gives the first.

use std::fmt::Write;

use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, displayable};

use super::DataFrame;
use crate::error::Result;

/// Characters of a line of a box, and most lines of what an operator does.
const LINE_CHARS: usize = 44;
const MOST_LINES: usize = 4;

const CHAR_WIDTH: usize = 7;
const LINE_HEIGHT: usize = 16;
const PADDING: usize = 10;
const GAP: usize = 24;
const LAYER_GAP: usize = 36;

/// Colours of stages, one after the other, that black text can be read on.
const COLOURS: [&str; 8] =
    ["#dbeafe", "#dcfce7", "#fef9c3", "#fee2e2", "#f3e8ff", "#ffedd5", "#cffafe", "#e7e5e4"];

/// The format of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Picture {
    /// The language of Graphviz.
    Dot,
    /// A drawing that any browser shows, complete in itself.
    #[default]
    Svg,
}

impl DataFrame {
    /// The plan of the query as a picture. It is planned, and not run.
    ///
    /// # Errors
    /// Those of planning.
    pub async fn visualize(self, picture: Picture) -> Result<String> {
        let plan = self.plan.create_physical_plan().await?;
        let mut graph = Graph::default();
        graph.add(plan.as_ref(), None, 0, 0);
        Ok(match picture {
            Picture::Dot => graph.dot(),
            Picture::Svg => graph.svg(),
        })
    }
}

/// The boxes of a plan, each after the one above it.
#[derive(Default)]
struct Graph {
    boxes: Vec<Operator>,
    stages: usize,
}

struct Operator {
    name: String,
    details: String,
    parts: usize,
    stage: usize,
    above: Option<usize>,
    below: Vec<usize>,
    layer: usize,
}

impl Graph {
    /// Adds an operator and those below it; gives its number.
    fn add(
        &mut self,
        plan: &dyn ExecutionPlan,
        above: Option<usize>,
        layer: usize,
        stage: usize,
    ) -> usize {
        let line = displayable(plan).one_line().to_string();
        let name = plan.name().to_string();
        let details = line.trim().strip_prefix(&name).unwrap_or(line.trim());
        let details = details.trim_start_matches(':').trim().to_string();
        let number = self.boxes.len();
        self.stages = self.stages.max(stage + 1);
        self.boxes.push(Operator {
            name,
            details,
            parts: plan.output_partitioning().partition_count(),
            stage,
            above,
            below: Vec::new(),
            layer,
        });
        let waits = plan.pipeline_behavior() == EmissionType::Final;
        for child in plan.children() {
            let stage = if waits { self.stages } else { stage };
            let below = self.add(child.as_ref(), Some(number), layer + 1, stage);
            self.boxes[number].below.push(below);
        }
        number
    }

    fn dot(&self) -> String {
        let mut text = String::from(
            "digraph plan {\n  rankdir=BT;\n  node [shape=box, style=filled, fontname=monospace];\n",
        );
        for stage in 0..self.stages {
            let _ =
                writeln!(text, "  subgraph cluster_{stage} {{\n    label=\"stage {}\";", stage + 1);
            for (number, operator) in self.boxes.iter().enumerate() {
                if operator.stage == stage {
                    let lines = operator.lines().join("\n");
                    let _ = writeln!(
                        text,
                        "    n{number} [label=\"{}\", fillcolor=\"{}\"];",
                        escaped_dot(&lines),
                        COLOURS[stage % COLOURS.len()]
                    );
                }
            }
            text.push_str("  }\n");
        }
        for (number, operator) in self.boxes.iter().enumerate() {
            if let Some(above) = operator.above {
                let _ = writeln!(text, "  n{number} -> n{above} [label=\"{}\"];", operator.parts);
            }
        }
        text.push_str("}\n");
        text
    }

    fn svg(&self) -> String {
        let places = self.places();
        let width = places.iter().zip(&self.boxes).map(|(place, of)| place.x + of.width());
        let height = places.iter().zip(&self.boxes).map(|(place, of)| place.y + of.height());
        let (width, height) = (width.max().unwrap_or(0) + GAP, height.max().unwrap_or(0) + GAP);
        let mut text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" font-family=\"monospace\" font-size=\"12\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
        );
        for (number, operator) in self.boxes.iter().enumerate() {
            if let Some(above) = operator.above {
                self.draw_edge(&mut text, &places, number, above);
            }
        }
        for (operator, place) in self.boxes.iter().zip(&places) {
            operator.draw(&mut text, place);
        }
        text.push_str("</svg>\n");
        text
    }

    /// A line from the top of a box to the bottom of the one above, with its number of parts.
    fn draw_edge(&self, text: &mut String, places: &[Place], below: usize, above: usize) {
        let middle = |number: usize| places[number].x + self.boxes[number].width() / 2;
        let (x, y) = (middle(below), places[below].y);
        let (end_x, end_y) = (middle(above), places[above].y + self.boxes[above].height());
        let bend = y - LAYER_GAP / 2;
        let _ = writeln!(
            text,
            "<path d=\"M {x} {y} L {x} {bend} L {end_x} {bend} L {end_x} {end_y}\" fill=\"none\" \
             stroke=\"#57534e\"/>\n<text x=\"{}\" y=\"{}\" fill=\"#57534e\">{}</text>",
            x + 4,
            y - 4,
            self.boxes[below].parts
        );
    }

    /// Where the boxes are: each layer below the one above it, boxes in the middle of those that
    /// they read from.
    fn places(&self) -> Vec<Place> {
        let layers = self.boxes.iter().map(|operator| operator.layer + 1).max().unwrap_or(0);
        let mut heights = vec![0; layers];
        for operator in &self.boxes {
            heights[operator.layer] = operator.height().max(heights[operator.layer]);
        }
        let mut tops = Vec::with_capacity(layers);
        let mut top = GAP;
        for height in heights {
            tops.push(top);
            top += height + LAYER_GAP;
        }
        let mut places: Vec<Place> =
            self.boxes.iter().map(|operator| Place { x: 0, y: tops[operator.layer] }).collect();
        if !self.boxes.is_empty() {
            self.place(0, GAP, &mut places);
        }
        places
    }

    /// The width of a box and all below it.
    fn breadth(&self, number: usize) -> usize {
        let operator = &self.boxes[number];
        let below: usize = operator.below.iter().map(|below| self.breadth(*below) + GAP).sum();
        operator.width().max(below.saturating_sub(GAP))
    }

    fn place(&self, number: usize, left: usize, places: &mut [Place]) {
        let operator = &self.boxes[number];
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
    /// Its name, and what it does in lines that are not too long.
    fn lines(&self) -> Vec<String> {
        let chars: Vec<char> = self.details.chars().collect();
        let mut lines = vec![self.name.clone()];
        lines.extend(chars.chunks(LINE_CHARS).take(MOST_LINES).map(|line| line.iter().collect()));
        if chars.len() > LINE_CHARS * MOST_LINES
            && let Some(last) = lines.last_mut()
        {
            last.pop();
            last.push('…');
        }
        lines
    }

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
            escaped_xml(&self.name),
            escaped_xml(&self.details),
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
                escaped_xml(line)
            );
        }
        text.push_str("</g>\n");
    }
}

/// Text as XML can hold it; characters that it cannot are left out.
fn escaped_xml(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\t' | '\n' => escaped.push(' '),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            c => escaped.push(c),
        }
    }
    escaped
}

/// Text as a label of Graphviz.
fn escaped_dot(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\l")
}
