//! The parameters of an attack by name: their ranges, and how the command line changes them.

use super::point::PgdPoint;
use crate::Norm;

/// What every struct of parameters provides.
pub trait Parameters: Clone {
    /// Every parameter that has a range or that the command line can change, under the name of its field.
    ///
    /// Some names mean the same for all attacks: `restarts` is the number of independent runs on each image and target,
    /// `targets` the number of target classes, `eot` the number of gradients averaged at each step. An attack without
    /// them has one restart, no targets, and averages nothing.
    fn parameters(&mut self) -> Vec<Parameter<'_>>;
}

/// A parameter, and where its value is.
#[derive(Debug, PartialEq)]
pub struct Parameter<'a> {
    /// Name of the field.
    pub name: &'static str,
    /// The value, by its range.
    pub value: Value<'a>,
}

/// The value of a parameter, by its range.
#[derive(Debug, PartialEq)]
pub enum Value<'a> {
    /// A number of steps, restarts, queries or targets: 1 to 1000000.
    Count(&'a mut usize),
    /// A number from 0 to 1.
    Fraction(&'a mut f64),
    /// A finite number above 0.
    Positive(&'a mut f64),
    /// A finite number, 0 or above.
    NotNegative(&'a mut f64),
    /// Which iterates may break an image.
    Point(&'a mut PgdPoint),
}

/// A new value for a parameter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Argument {
    /// For [`Value::Count`].
    Count(usize),
    /// For [`Value::Fraction`], [`Value::Positive`] and [`Value::NotNegative`].
    Number(f64),
    /// For [`Value::Point`].
    Point(PgdPoint),
}

impl std::fmt::Display for Argument {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Count(count) => count.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Point(point) => write!(f, "{point:?}"),
        }
    }
}

/// Why an attack cannot be run as it is asked for.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SpecError {
    /// A parameter is out of its range.
    #[error("{attack}: {invalid}")]
    Parameter {
        /// Name of the attack.
        attack: &'static str,
        /// The parameter.
        invalid: InvalidParameter,
    },
    /// The attack does not minimise distances of that norm.
    #[error(
        "{attack} is an attack in {wanted}, not in {found}: its points would lie far outside the ball; for the smallest \
         distance in {found} use fmn, fab or fab-t"
    )]
    Norm {
        /// Name of the attack.
        attack: &'static str,
        /// Norm of the threat model.
        found: Norm,
        /// The norm that the attack is made for.
        wanted: Norm,
    },
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

impl<'a> Parameter<'a> {
    pub(super) fn count(name: &'static str, value: &'a mut usize) -> Self {
        Self { name, value: Value::Count(value) }
    }

    pub(super) fn fraction(name: &'static str, value: &'a mut f64) -> Self {
        Self { name, value: Value::Fraction(value) }
    }

    pub(super) fn positive(name: &'static str, value: &'a mut f64) -> Self {
        Self { name, value: Value::Positive(value) }
    }

    pub(super) fn not_negative(name: &'static str, value: &'a mut f64) -> Self {
        Self { name, value: Value::NotNegative(value) }
    }

    pub(super) fn point(name: &'static str, value: &'a mut PgdPoint) -> Self {
        Self { name, value: Value::Point(value) }
    }

    /// What is wrong with the value; `None` where it lies in its range.
    pub(super) fn invalid(&self) -> Option<InvalidParameter> {
        let (found, fits, wanted) = match &self.value {
            Value::Count(value) => (**value as f64, (1..=1_000_000).contains(*value), "1 to 1000000"),
            Value::Fraction(value) => (**value, (0.0..=1.0).contains(*value), "0 to 1"),
            Value::Positive(value) => (**value, value.is_finite() && **value > 0.0, "more than 0"),
            Value::NotNegative(value) => (**value, value.is_finite() && **value >= 0.0, "0 or more"),
            Value::Point(_) => return None,
        };
        (!fits).then_some(InvalidParameter { parameter: self.name, found, wanted })
    }

    /// Replaces the value, in its range or not; false, and no change, for a value of another kind.
    pub(super) fn set(&mut self, argument: Argument) -> bool {
        match (&mut self.value, argument) {
            (Value::Count(value), Argument::Count(new)) => **value = new,
            (
                Value::Fraction(value) | Value::Positive(value) | Value::NotNegative(value),
                Argument::Number(new),
            ) => **value = new,
            (Value::Point(value), Argument::Point(new)) => **value = new,
            _ => return false,
        }
        true
    }

    /// The value as an argument that would set it.
    pub fn argument(&self) -> Argument {
        match &self.value {
            Value::Count(value) => Argument::Count(**value),
            Value::Fraction(value) | Value::Positive(value) | Value::NotNegative(value) => {
                Argument::Number(**value)
            }
            Value::Point(value) => Argument::Point(**value),
        }
    }
}
