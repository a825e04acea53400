//! What searches use in place of the output of a file.

/// What was found in place of an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Replaced {
    /// Nothing: the output is what searches use.
    No,
    /// The logarithms of the output.
    Logarithms,
    /// Scores in the same order.
    Scores,
    /// Scores in the same order, but the output often has equal scores where these differ: it is a second output.
    ScoresWithTies,
}

/// What the scores of the forward graph and of gradient graphs are to those that the file returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SearchScores {
    /// The same, up to rounding.
    Returned,
    /// Their logarithms, up to rounding and a constant for each image.
    Logarithms,
    /// Others, in which the classes have the same order.
    SameOrder,
}
