//! Plans for programs: JSON and YAML.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::Operators;

impl Operators {
    pub(super) fn json(&self) -> String {
        let text = serde_json::to_string_pretty(&self.value(0));
        text.expect("objects of texts and numbers") + "\n"
    }

    pub(super) fn yaml(&self) -> String {
        let mut text = String::new();
        self.write_yaml(0, "", &mut text);
        text
    }

    fn value(&self, number: usize) -> Value {
        let operator = &self.all[number];
        let metrics =
            operator.metrics.iter().map(|metric| (metric.name.clone(), metric.value.into()));
        let below = operator.below.iter().map(|below| self.value(*below));
        json!({
            "name": operator.name,
            "details": operator.details,
            "partitions": operator.partitions,
            "stage": operator.stage + 1,
            "metrics": metrics.collect::<Map<_, _>>(),
            "children": below.collect::<Vec<_>>(),
        })
    }

    /// Writes an operator whose first line goes on where the text ends, and whose others are indented.
    fn write_yaml(&self, number: usize, indent: &str, text: &mut String) {
        let operator = &self.all[number];
        // A text of JSON is one of YAML 1.2, whatever is in it.
        let quoted = |value: &str| Value::from(value).to_string();
        let _ = writeln!(text, "name: {}", quoted(&operator.name));
        let _ = writeln!(text, "{indent}details: {}", quoted(&operator.details));
        let _ = writeln!(text, "{indent}partitions: {}", operator.partitions);
        let _ = writeln!(text, "{indent}stage: {}", operator.stage + 1);
        if !operator.metrics.is_empty() {
            let _ = writeln!(text, "{indent}metrics:");
            for metric in &operator.metrics {
                let _ = writeln!(text, "{indent}  {}: {}", quoted(&metric.name), metric.value);
            }
        }
        if !operator.below.is_empty() {
            let _ = writeln!(text, "{indent}children:");
            for below in &operator.below {
                let _ = write!(text, "{indent}  - ");
                self.write_yaml(*below, &format!("{indent}    "), text);
            }
        }
    }
}
