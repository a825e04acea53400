//! What searches use in place of the output of a file.

/// What was found in place of an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Replaced {
    /// Nothing: the output is what searches use.
    No,
    /// Scores in the same order.
    Scores,
    /// Scores in the same order, but the output often has equal scores where these differ: it is a second output.
    ScoresWithTies,
}
