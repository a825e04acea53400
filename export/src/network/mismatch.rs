//! What differs between the tensors of a file and those of a network.

use std::fmt;

use mimir_bundle::one_line;

/// Lines of one kind of difference that a message shows: more than any network here has tensors.
const LINES: usize = 2000;

/// Every difference between a file and a network.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Mismatch {
    /// Tensors of the network that the file lacks.
    pub(super) missing: Vec<String>,
    /// Tensors of the file that the network lacks.
    pub(super) unexpected: Vec<String>,
    /// Tensors of another shape: name and both shapes.
    pub(super) shapes: Vec<String>,
    /// Tensors of another type: name and type.
    pub(super) types: Vec<String>,
}

impl Mismatch {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the tensors of the file are not those of the network")?;
        let kinds = [
            ("missing from the file", &self.missing),
            ("not in the network", &self.unexpected),
            ("of another shape", &self.shapes),
            ("of another type", &self.types),
        ];
        for (title, lines) in kinds.iter().filter(|(_, lines)| !lines.is_empty()) {
            write!(f, "\n{title} ({}):", lines.len())?;
            lines.iter().take(LINES).try_for_each(|line| write!(f, "\n  {}", one_line(line)))?;
            if lines.len() > LINES {
                write!(f, "\n  and {} more", lines.len() - LINES)?;
            }
        }
        Ok(())
    }
}
