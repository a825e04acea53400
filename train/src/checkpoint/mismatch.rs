//! What differs between the tensors of a file and those of a network.

use std::fmt;

/// Lines of one kind of difference that a message shows.
const LINES: usize = 20;

/// Every difference between a file and a network, each list in the order of names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mismatch {
    /// Tensors of the network that the file lacks.
    pub missing: Vec<String>,
    /// Tensors of the file that the network lacks.
    pub unexpected: Vec<String>,
    /// Tensors of another shape: name and both shapes.
    pub shapes: Vec<String>,
    /// Tensors of another type of numbers: name and type.
    pub types: Vec<String>,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = [
            ("missing from the file", &self.missing),
            ("not in the network", &self.unexpected),
            ("of another shape", &self.shapes),
            ("of another type", &self.types),
        ];
        let present = kinds.iter().filter(|(_, lines)| !lines.is_empty());
        let blocks: Vec<String> = present.map(|(title, lines)| block(title, lines)).collect();
        f.write_str(&blocks.join("\n"))
    }
}

fn block(title: &str, lines: &[String]) -> String {
    let mut text = format!("{title} ({}):", lines.len());
    for line in lines.iter().take(LINES) {
        text.push_str("\n  ");
        text.push_str(line);
    }
    if lines.len() > LINES {
        text.push_str(&format!("\n  and {} more", lines.len() - LINES));
    }
    text
}

impl Mismatch {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
