//! The plan of a query in formats for programs, browsers and drawing tools.
//!
//! - this module: [`PlanFormat`], and the operators of a plan, with what they did if it ran
//! - `text`: JSON and YAML
//! - `graph`: the languages of Graphviz and Mermaid
//! - `svg`: a drawing, also as a page
//! - `statement`: `EXPLAIN (FORMAT …)`
//!
//! Operators are boxes, and rows go upwards. Those of one stage work at the same time; a stage ends
//! below an operator that takes in all of its rows before it gives the first.

mod graph;
mod statement;
mod svg;
mod text;

use std::str::FromStr;

use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::metrics::MetricValue;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, displayable};

use crate::error::{Error, Result};
use crate::session::ByteSize;

pub(crate) use statement::{Explained, explained, parse_explain};

/// A format of plans that is not for a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PlanFormat {
    /// Objects of `name`, `details`, `partitions`, `stage`, `metrics` and `children`. Times are
    /// nanoseconds.
    Json,
    /// The same as YAML.
    Yaml,
    /// The language of Graphviz.
    Graphviz,
    /// The language of Mermaid, which many pages of documentation draw.
    Mermaid,
    /// A drawing that any browser shows, complete in itself.
    #[default]
    Svg,
    /// A page with the drawing, complete in itself.
    Html,
}

impl FromStr for PlanFormat {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Ok(match name.to_ascii_lowercase().as_str() {
            "json" => PlanFormat::Json,
            "yaml" => PlanFormat::Yaml,
            "graphviz" | "dot" => PlanFormat::Graphviz,
            "mermaid" => PlanFormat::Mermaid,
            "svg" => PlanFormat::Svg,
            "html" => PlanFormat::Html,
            _ => {
                return Err(Error::query(format!("\"{name}\" is no format of plans"))
                    .with_hint("write text, tree, json, yaml, graphviz, mermaid, svg or html"));
            }
        })
    }
}

/// A plan in a format, with what its operators have done so far.
pub(crate) fn formatted(plan: &dyn ExecutionPlan, format: PlanFormat) -> String {
    let mut operators = Operators::default();
    operators.add(plan, None, 0, 0);
    match format {
        PlanFormat::Json => operators.json(),
        PlanFormat::Yaml => operators.yaml(),
        PlanFormat::Graphviz => operators.graphviz(),
        PlanFormat::Mermaid => operators.mermaid(),
        PlanFormat::Svg => operators.svg(),
        PlanFormat::Html => operators.html(),
    }
}

/// The operators of a plan, each after the one above it.
#[derive(Default)]
struct Operators {
    all: Vec<Operator>,
    stages: usize,
}

struct Operator {
    name: String,
    details: String,
    partitions: usize,
    /// Counted from 0 at the top.
    stage: usize,
    /// How many operators are above it.
    layer: usize,
    above: Option<usize>,
    below: Vec<usize>,
    /// What it has counted; empty if it has not run.
    metrics: Vec<Metric>,
}

struct Metric {
    /// With the unit, where it is not a plain number.
    name: String,
    value: usize,
    /// For people.
    text: String,
}

impl Operators {
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
        let number = self.all.len();
        self.stages = self.stages.max(stage + 1);
        self.all.push(Operator {
            name,
            details,
            partitions: plan.output_partitioning().partition_count(),
            stage,
            layer,
            above,
            below: Vec::new(),
            metrics: metrics(plan),
        });
        let waits = waits(plan);
        for child in plan.children() {
            let stage = if waits { self.stages } else { stage };
            let below = self.add(child.as_ref(), Some(number), layer + 1, stage);
            self.all[number].below.push(below);
        }
        number
    }

    /// Pairs of an operator and the one above it, by number.
    fn edges(&self) -> impl Iterator<Item = (usize, usize)> {
        let numbered = self.all.iter().enumerate();
        numbered.filter_map(|(number, operator)| Some((number, operator.above?)))
    }
}

/// Whether an operator takes in all of its rows before it gives the first. DataFusion says so of those
/// above it, too; they hand on rows in the order in which they come, or between partitions.
fn waits(plan: &dyn ExecutionPlan) -> bool {
    let is_final = |plan: &dyn ExecutionPlan| plan.pipeline_behavior() == EmissionType::Final;
    let hands_on = plan.maintains_input_order().contains(&true)
        || plan.is::<RepartitionExec>()
        || plan.is::<CoalescePartitionsExec>();
    let follows = plan.children().into_iter().any(|child| is_final(child.as_ref()));
    is_final(plan) && !(follows && hands_on)
}

/// What an operator has counted, over all partitions, without what is 0.
fn metrics(plan: &dyn ExecutionPlan) -> Vec<Metric> {
    let Some(metrics) = plan.metrics() else { return Vec::new() };
    let metrics = metrics.aggregate_by_name().sorted_for_display();
    let counted = metrics.iter().filter(|metric| {
        let is_moment =
            matches!(metric.value(), MetricValue::StartTimestamp(_) | MetricValue::EndTimestamp(_));
        !is_moment && metric.value().as_usize() > 0
    });
    let named = counted.map(|metric| {
        let (value, name) = (metric.value().as_usize(), metric.value().name());
        let is_time =
            matches!(metric.value(), MetricValue::ElapsedCompute(_) | MetricValue::Time { .. });
        let is_bytes = name.ends_with("_bytes") || name.starts_with("bytes_");
        Metric {
            name: if is_time { format!("{name}_ns") } else { name.to_string() },
            value,
            text: match (is_time, is_bytes) {
                (true, _) => format!("{:.3} s", value as f64 / 1e9),
                (false, true) => ByteSize(value as u64).to_string(),
                (false, false) => value.to_string(),
            },
        }
    });
    named.collect()
}

impl Operator {
    /// Its name, what it does, and what it has counted that matters most, in lines of at most so
    /// many characters.
    fn lines(&self) -> Vec<String> {
        const LINE_CHARS: usize = 44;
        const MOST_LINES: usize = 4;
        let chars: Vec<char> = self.details.chars().collect();
        let mut lines = vec![self.name.clone()];
        lines.extend(chars.chunks(LINE_CHARS).take(MOST_LINES).map(|line| line.iter().collect()));
        if chars.len() > LINE_CHARS * MOST_LINES
            && let Some(last) = lines.last_mut()
        {
            last.pop();
            last.push('…');
        }
        let shown =
            [("output_rows", "rows"), ("elapsed_compute_ns", ""), ("spilled_bytes", "spilled")];
        let counted = shown.iter().filter_map(|(name, word)| {
            let metric = self.metrics.iter().find(|metric| metric.name == *name)?;
            Some(format!("{} {word}", metric.text).trim_end().to_string())
        });
        let counted: Vec<String> = counted.collect();
        if !counted.is_empty() {
            lines.push(counted.join(", "));
        }
        lines
    }
}
