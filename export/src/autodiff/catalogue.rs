//! What is known of every operator, for `docs/operators.md` and for whoever asks before exporting.

use std::fmt;

use crate::operators::gradient::{self as rules, GradientKind};
use crate::operators::types::known_operators;
use crate::upgrade::{AI_ONNX_ML, DECOMPOSED};

/// One operator, of the default domain where its name has no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operator {
    /// Its name, as `op_type` has it.
    pub op_type: &'static str,
    /// The first opset that has it, where a gradient is registered.
    pub since: Option<u32>,
    /// What its gradient is; `None` for one that may stand anywhere but between the images and the logits.
    pub gradient: Option<GradientKind>,
    /// What is refused, or what is chosen at a kink; empty where there is nothing to say.
    pub limits: &'static str,
}

/// All operators that a model may have, in alphabetical order.
pub fn operators() -> impl Iterator<Item = Operator> {
    let mut operators: Vec<Operator> =
        known_operators().map(with_rule).chain(decomposed()).chain(ai_onnx_ml()).collect();
    operators.sort_by_key(|operator| operator.op_type);
    operators.into_iter()
}

fn with_rule(op_type: &'static str) -> Operator {
    match rules::entries().find(|entry| entry.op_type == op_type) {
        Some(entry) => {
            Operator { op_type, since: Some(entry.since), gradient: Some(entry.kind), limits: entry.limits }
        }
        None => Operator { op_type, since: None, gradient: None, limits: "" },
    }
}

/// Operators that are gone before anything is differentiated.
fn decomposed() -> impl Iterator<Item = Operator> {
    DECOMPOSED.iter().map(|&(op_type, since, limits)| Operator {
        op_type,
        since: Some(since),
        gradient: Some(GradientKind::Exact),
        limits,
    })
}

/// Operators of scikit-learn's models, which are gone too.
fn ai_onnx_ml() -> impl Iterator<Item = Operator> {
    AI_ONNX_ML.iter().map(|operator| Operator {
        op_type: operator.op_type,
        since: Some(1),
        gradient: Some(operator.gradient),
        limits: operator.limits,
    })
}

impl fmt::Display for GradientKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exact => "exact",
            Self::Kinked => "exact away from kinks",
            Self::StraightThrough => "straight-through",
            Self::Zero => "zero: cuts the path",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::onnx::OPSETS;

    /// The table of `docs/operators.md`, one line an operator.
    fn table() -> String {
        let line = |operator: Operator| {
            let opsets = operator.since.map_or_else(String::new, |since| {
                format!("{} – {}", since.max(*OPSETS.start() as u32), OPSETS.end())
            });
            let gradient = operator.gradient.map_or("none".to_owned(), |kind| kind.to_string());
            format!("| {} | {opsets} | {gradient} | {} |\n", operator.op_type, operator.limits)
        };
        operators().map(line).collect()
    }

    /// `MIMIR_BLESS=1 cargo test -p mimir-export catalogue` writes the table anew.
    #[test]
    fn the_document_is_the_registry() {
        const HEAD: &str = "| operator | opsets | gradient | limits |\n| --- | --- | --- | --- |\n";
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operators.md");
        let document = std::fs::read_to_string(&path).unwrap();
        let (words, written) = document.split_once(HEAD).expect("the document has the table");
        if std::env::var_os("MIMIR_BLESS").is_some() {
            std::fs::write(&path, format!("{words}{HEAD}{}", table())).unwrap();
        } else {
            assert_eq!(written, table(), "docs/operators.md is stale: run with MIMIR_BLESS=1");
        }
    }

    #[test]
    fn every_rule_is_of_an_operator_whose_shapes_are_known() {
        let known: Vec<&str> = known_operators().collect();
        for entry in rules::entries() {
            assert!(known.contains(&entry.op_type), "{} has no shape rule", entry.op_type);
        }
    }
}
