//! Plans for drawing tools: the languages of Graphviz and Mermaid.

use std::fmt::Write;

use super::Operators;
use super::svg::COLOURS;

impl Operators {
    pub(super) fn graphviz(&self) -> String {
        let mut text = String::from(
            "digraph plan {\n  rankdir=BT;\n  node [shape=box, style=filled, fontname=monospace];\n",
        );
        for stage in 0..self.stages {
            let _ =
                writeln!(text, "  subgraph cluster_{stage} {{\n    label=\"stage {}\";", stage + 1);
            for (number, label) in self.labels(stage, escaped_for_graphviz) {
                let colour = COLOURS[stage % COLOURS.len()];
                let _ =
                    writeln!(text, "    n{number} [label=\"{label}\", fillcolor=\"{colour}\"];");
            }
            text.push_str("  }\n");
        }
        for (below, above) in self.edges() {
            let partitions = self.all[below].partitions;
            let _ = writeln!(text, "  n{below} -> n{above} [label=\"{partitions}\"];");
        }
        text.push_str("}\n");
        text
    }

    pub(super) fn mermaid(&self) -> String {
        let mut text = String::from("flowchart BT\n");
        for stage in 0..self.stages {
            let _ = writeln!(text, "  subgraph stage{0} [\"stage {0}\"]", stage + 1);
            for (number, label) in self.labels(stage, escaped_for_mermaid) {
                let _ = writeln!(text, "    n{number}[\"{label}\"]");
            }
            text.push_str("  end\n");
        }
        for (below, above) in self.edges() {
            let _ = writeln!(text, "  n{below} -->|{}| n{above}", self.all[below].partitions);
        }
        text
    }

    /// Numbers and labels of the operators of a stage.
    fn labels(
        &self,
        stage: usize,
        escaped: fn(&str) -> String,
    ) -> impl Iterator<Item = (usize, String)> {
        let numbered = self.all.iter().enumerate();
        let of_stage = numbered.filter(move |(_, operator)| operator.stage == stage);
        of_stage.map(move |(number, operator)| (number, escaped(&operator.lines().join("\n"))))
    }
}

fn escaped_for_graphviz(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\l") + "\\l"
}

/// Letters, digits and what has no meaning in Mermaid or HTML stay; the rest is written by number.
fn escaped_for_mermaid(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => escaped.push_str("<br/>"),
            c if c.is_alphanumeric() || " _.,:=()+-".contains(c) => escaped.push(c),
            c => {
                let _ = write!(escaped, "#{};", u32::from(c));
            }
        }
    }
    escaped
}
