//! A difference as text.

use std::fmt;

use super::document::{
    BundleDifferences, Change, Difference, GraphDifference, NodeDifferences, WeightChange, WeightDifferences,
};
use crate::onnx::listing::{quoted_unless_plain, value_name};

/// Of other names so many are shown; JSON has all.
const SHOWN_NAMES: usize = 5;

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", if self.equal { "equal" } else { "different" })?;
        if let Some(BundleDifferences { description, graphs }) = &self.bundle {
            description.iter().try_for_each(|change| writeln!(f, "{change}"))?;
            for GraphDifference { name, difference } in graphs {
                let text = difference.to_string();
                let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
                writeln!(f, "{name}: {first}")?;
                if !difference.equal {
                    rest.lines().try_for_each(|line| writeln!(f, "  {line}"))?;
                }
            }
        }
        self.model.iter().try_for_each(|change| writeln!(f, "{change}"))?;
        write!(f, "{}{}", self.nodes, self.weights)?;
        if self.weights.within_tolerance > 0 {
            let (count, tolerance) = (self.weights.within_tolerance, self.tolerance);
            writeln!(f, "within the tolerance of {tolerance}: {count} weights")?;
        }
        if self.renamed.is_empty() {
            return Ok(());
        }
        let shown = self.renamed.iter().take(SHOWN_NAMES);
        let shown: Vec<String> =
            shown.map(|(before, after)| format!("{} → {}", value_name(before), value_name(after))).collect();
        let more = if self.renamed.len() > SHOWN_NAMES { ", …" } else { "" };
        writeln!(f, "other names, which do not count: {} ({}{more})", self.renamed.len(), shown.join(", "))
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |text: &Option<String>| text.as_deref().unwrap_or("none").trim_end().to_owned();
        write!(f, "{}: {} → {}", self.what, side(&self.before), side(&self.after))
    }
}

impl fmt::Display for NodeDifferences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = [
            (self.equal, "equal"),
            (self.changed.len(), "changed"),
            (self.removed.len(), "removed"),
            (self.added.len(), "added"),
        ];
        writeln!(f, "nodes: {}", counted(&counts))?;
        for node in &self.changed {
            writeln!(f, "  ~ {} ({})", value_name(&node.name), quoted_unless_plain(&node.operator))?;
            node.changes.iter().try_for_each(|change| writeln!(f, "      {change}"))?;
        }
        self.removed.iter().try_for_each(|line| writeln!(f, "  - {line}"))?;
        self.added.iter().try_for_each(|line| writeln!(f, "  + {line}"))
    }
}

impl fmt::Display for WeightDifferences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = [
            (self.equal + self.within_tolerance, "equal"),
            (self.changed.len(), "changed"),
            (self.removed.len(), "removed"),
            (self.added.len(), "added"),
        ];
        writeln!(f, "weights: {}", counted(&counts))?;
        self.changed.iter().try_for_each(|weight| writeln!(f, "  ~ {weight}"))?;
        self.removed.iter().try_for_each(|line| writeln!(f, "  - {line}"))?;
        self.added.iter().try_for_each(|line| writeln!(f, "  + {line}"))
    }
}

impl fmt::Display for WeightChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", value_name(&self.name), self.before)?;
        if self.before != self.after {
            write!(f, " → {}", self.after)?;
        }
        let Some(elements) = &self.elements else { return Ok(()) };
        let (largest, mean) = (elements.largest, elements.mean);
        write!(f, "  largest difference {largest:.3e}, mean {mean:.3e}")?;
        write!(f, ", {} of {} elements differ", elements.different, elements.elements)?;
        match elements.not_finite {
            0 => Ok(()),
            count => write!(f, ", {count} of them NaN or infinite"),
        }
    }
}

/// `118 equal, 2 added`: what there is none of is left out.
fn counted(counts: &[(usize, &str)]) -> String {
    let shown: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    if shown.is_empty() { "none".to_owned() } else { shown.join(", ") }
}
