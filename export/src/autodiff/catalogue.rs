//! What is known of every operator, for `docs/operators.md` and for whoever asks before exporting.

use std::fmt;

use crate::graph::own_operators::is_ours;
use crate::operators::gradient::GradientKind;
use crate::operators::row::{Batch, Constants};
use crate::operators::table;
use crate::upgrade::{AI_ONNX_ML, DECOMPOSED};

/// One operator, of the default domain where its name has no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operator {
    /// Its name, as `op_type` has it.
    pub op_type: &'static str,
    /// The first opset that has it.
    pub since: u32,
    /// What its gradient is; `None` for one that may stand anywhere but between the images and the logits.
    pub gradient: Option<GradientKind>,
    /// What is refused, or what is chosen at a kink, or why there is no gradient; empty where there is nothing to say.
    pub limits: &'static str,
    /// Whether it is computed ahead of the run where its inputs are known, or why not.
    pub constants: &'static str,
    /// Whether the scan follows the images of a batch through it, or why not.
    pub batch: &'static str,
}

/// What is said of operators that are decomposed.
const AS_PARTS: &str = "as its parts";

/// All operators that a model may have, in alphabetical order.
pub fn operators() -> impl Iterator<Item = Operator> {
    let mut operators: Vec<Operator> = in_table().chain(decomposed()).chain(ai_onnx_ml()).collect();
    operators.sort_by_key(|operator| operator.op_type);
    operators.into_iter()
}

/// The operators of the table that a file may have.
fn in_table() -> impl Iterator<Item = Operator> {
    table::rows().filter(|row| !is_ours(row.name)).map(|row| Operator {
        op_type: row.name,
        since: row.since,
        gradient: row.gradient.kind(),
        limits: row.gradient.limits(),
        constants: match row.constants {
            Constants::NotEvaluated(why) => why,
            Constants::Evaluated(_)
            | Constants::Converted(_)
            | Constants::Parts(_)
            | Constants::Elements(_) => "evaluated",
        },
        batch: match row.batch {
            Batch::Followed(_) => "followed",
            Batch::SizesOnly => "reads sizes only",
            Batch::NotFollowed(why) => why,
        },
    })
}

/// Operators that are gone before anything is differentiated.
fn decomposed() -> impl Iterator<Item = Operator> {
    DECOMPOSED.iter().map(|&(op_type, since, limits)| Operator {
        op_type,
        since,
        gradient: Some(GradientKind::Exact),
        limits,
        constants: AS_PARTS,
        batch: AS_PARTS,
    })
}

/// Operators of scikit-learn's models, which are gone too.
fn ai_onnx_ml() -> impl Iterator<Item = Operator> {
    AI_ONNX_ML.iter().map(|operator| Operator {
        op_type: operator.op_type,
        since: 1,
        gradient: Some(operator.gradient),
        limits: operator.limits,
        constants: AS_PARTS,
        batch: AS_PARTS,
    })
}

impl fmt::Display for GradientKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exact => "exact",
            Self::Subgradient => "exact away from kinks",
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
            let opsets = format!("{} – {}", operator.since.max(*OPSETS.start() as u32), OPSETS.end());
            let gradient = operator.gradient.map_or("none".to_owned(), |kind| kind.to_string());
            let Operator { op_type, limits, constants, batch, .. } = operator;
            format!("| {op_type} | {opsets} | {gradient} | {limits} | {constants} | {batch} |\n")
        };
        operators().map(line).collect()
    }

    /// `MIMIR_BLESS=1 cargo test -p mimir-export catalogue` writes the table anew.
    #[test]
    fn the_document_is_the_registry() {
        const HEAD: &str = "| operator | opsets | gradient | limits | constants | batch |\n\
                            | --- | --- | --- | --- | --- | --- |\n";
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operators.md");
        let document = std::fs::read_to_string(&path).unwrap();
        let (words, written) = document.split_once(HEAD).expect("the document has the table");
        if std::env::var_os("MIMIR_BLESS").is_some() {
            std::fs::write(&path, format!("{words}{HEAD}{}", table())).unwrap();
        } else {
            assert_eq!(written, table(), "docs/operators.md is stale: run with MIMIR_BLESS=1");
        }
    }
}
