//! Ranges of parameters, and the error that names the parameter outside of its range.

/// A parameter of an attack is out of its range.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{attack}: {invalid}")]
pub struct SpecError {
    /// Name of the attack.
    pub attack: &'static str,
    /// The parameter.
    pub invalid: InvalidParameter,
}

/// Which parameter, what it is, and what it must be.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{parameter} is {found}, must be {wanted}")]
pub struct InvalidParameter {
    /// Name of the parameter.
    pub parameter: &'static str,
    /// Its value.
    pub found: f64,
    /// Its range.
    pub wanted: &'static str,
}

/// A value, whether it lies in its range, and the range in words.
pub(super) type RangeCheck = (&'static str, f64, bool, &'static str);

/// The first parameter that lies outside of its range.
pub(super) fn first_invalid<const COUNT: usize>(parameters: [RangeCheck; COUNT]) -> Option<InvalidParameter> {
    let outside = parameters.into_iter().find(|(_, _, fits, _)| !fits);
    outside.map(|(parameter, found, _, wanted)| InvalidParameter { parameter, found, wanted })
}

/// A number of steps, restarts, queries or targets.
pub(super) fn count(parameter: &'static str, value: usize) -> RangeCheck {
    (parameter, value as f64, (1..=1_000_000).contains(&value), "1 to 1000000")
}

/// A fraction.
pub(super) fn fraction(parameter: &'static str, value: f64) -> RangeCheck {
    (parameter, value, (0.0..=1.0).contains(&value), "0 to 1")
}

/// A number above zero.
pub(super) fn positive(parameter: &'static str, value: f64) -> RangeCheck {
    (parameter, value, value.is_finite() && value > 0.0, "more than 0")
}
