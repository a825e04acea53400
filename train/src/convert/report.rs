//! What became of every key of a checkpoint.

use std::fmt;

/// Keys of the file in its order, each with a note.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConversionReport {
    /// Written under their own names.
    pub kept: Vec<(String, String)>,
    /// Written under another name.
    pub renamed: Vec<(String, String)>,
    /// Left out, and why that changes nothing.
    pub dropped: Vec<(String, String)>,
    /// Not understood, and why.
    pub unknown: Vec<(String, String)>,
}

impl fmt::Display for ConversionReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = [
            ("kept", &self.kept),
            ("renamed", &self.renamed),
            ("dropped", &self.dropped),
            ("unknown", &self.unknown),
        ];
        for (kind, entries) in kinds {
            writeln!(f, "{kind}: {}", entries.len())?;
            for (key, note) in entries {
                writeln!(f, "  {key}: {note}")?;
            }
        }
        Ok(())
    }
}
