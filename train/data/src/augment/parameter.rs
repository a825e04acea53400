//! Checks of parameters against their ranges.

use std::fmt::Display;

use crate::error::DataError;

/// A parameter that must be a probability.
pub(super) fn probability(name: &'static str, value: f64) -> Result<(), DataError> {
    require(name, (0.0..=1.0).contains(&value), &value, "0 to 1")
}

/// A parameter `[low, high]` with `smallest < low <= high <= largest`.
pub(super) fn interval(name: &'static str, ends: [f64; 2], within: [f64; 2]) -> Result<(), DataError> {
    let [smallest, largest] = within;
    let fits = ends[0] > smallest && ends[0] <= ends[1] && ends[1] <= largest;
    let wanted = format!("two ends in order, above {smallest} and up to {largest}");
    require(name, fits, &format!("{ends:?}"), &wanted)
}

/// An error about that parameter unless `fits`.
pub(super) fn require(
    name: &'static str,
    fits: bool,
    found: &dyn Display,
    wanted: &str,
) -> Result<(), DataError> {
    if fits {
        return Ok(());
    }
    Err(DataError::InvalidParameter { name, found: found.to_string(), wanted: wanted.to_owned() })
}
