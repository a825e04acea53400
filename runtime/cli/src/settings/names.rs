//! Words for choices that both the flags and a `[[gate]]` have.

use std::ffi::OsStr;

use clap::builder::{EnumValueParser, PossibleValue, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Arg, Command, ValueEnum};
use serde::{Deserialize, Serialize};

/// Norm of the perturbation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum NormName {
    Linf,
    L2,
    L1,
}

/// Reads a norm, and says of the one that other tools have why it is none here.
#[derive(Debug, Clone)]
pub(super) struct NormParser;

impl TypedValueParser for NormParser {
    type Value = NormName;

    fn parse_ref(
        &self,
        command: &Command,
        argument: Option<&Arg>,
        value: &OsStr,
    ) -> Result<NormName, clap::Error> {
        if value.eq_ignore_ascii_case("l0") {
            let message = "--norm l0: no attack here searches few changed pixels well enough for the number to mean \
                 something; wanted linf, l2 or l1, which is the nearest to it\n";
            return Err(clap::Error::raw(ErrorKind::InvalidValue, message).with_cmd(command));
        }
        EnumValueParser::<NormName>::new().parse_ref(command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(NormName::value_variants().iter().filter_map(ValueEnum::to_possible_value)))
    }
}

/// What is held against the required attacked accuracy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum GateOnName {
    /// The attacked accuracy on these images
    Estimate,
    /// The lower end of its interval too
    Lower,
}
