//! What is required of the model, and what of it has no effect.

use mimir_certify::{BaselineOptions, ErrorKind, Gate, GateMode};
use mimir_runtime::attack::Preset;
use mimir_runtime::report::{Comparison, MinAccuracy, Requirements};

use crate::failure::{Failure, failure};
use crate::settings::{GateOnName, Settings};

/// The gate of a run; `None` where nothing is required.
///
/// # Errors
/// When a fraction is none, or a setting has no effect.
pub(super) fn gate(settings: &Settings) -> Result<Option<Gate>, Failure> {
    let requirements = Requirements {
        min_attacked_accuracy: fraction("--min-attacked-accuracy", settings.min_attacked_accuracy)?,
        compared: compared(settings)?,
        min_clean_accuracy: fraction("--min-clean-accuracy", settings.min_clean_accuracy)?,
        deny_warnings: settings.deny_warnings == Some(true),
    };
    let (full, baseline) = (settings.full == Some(true), baseline(settings)?);
    if requirements.is_empty() && baseline.is_none() {
        return no_gate(settings).map(|()| None);
    }
    // Without a requirement on the attacked accuracy there is nothing to stop for, but its number is wanted.
    let stops = requirements.min_attacked_accuracy.is_some() && !full;
    let mode = if stops { GateMode::StopWhenDecided } else { GateMode::RunAll };
    Ok(Some(Gate { requirements, min_preset: min_preset(settings)?, baseline, mode }))
}

/// What has no effect where nothing is required.
fn no_gate(settings: &Settings) -> Result<(), Failure> {
    if settings.full == Some(true) {
        return Err(usage(
            "--full has no effect without a gate such as --min-attacked-accuracy: every attack runs to its end anyway",
        ));
    }
    if settings.min_preset.is_some() {
        return Err(usage("--min-preset has no effect without a gate such as --min-attacked-accuracy"));
    }
    Ok(())
}

fn baseline(settings: &Settings) -> Result<Option<BaselineOptions>, Failure> {
    match (&settings.baseline, settings.baseline_tolerance) {
        (None, Some(_)) => {
            Err(usage("--baseline-tolerance has no effect without --baseline: name the old report.json"))
        }
        (None, None) => Ok(None),
        (Some(report), tolerance) => {
            let tolerance = tolerance.unwrap_or(0.0);
            fraction("--baseline-tolerance", Some(tolerance))?;
            Ok(Some(BaselineOptions { report: report.clone(), tolerance }))
        }
    }
}

fn min_preset(settings: &Settings) -> Result<Option<Preset>, Failure> {
    let Some(name) = &settings.min_preset else { return Ok(None) };
    let names = Preset::NAMES.join(", ");
    let preset = Preset::named(name);
    preset
        .map(Some)
        .ok_or_else(|| usage(format!("--min-preset {name}: there is no such preset; known: {names}")))
}

fn compared(settings: &Settings) -> Result<Comparison, Failure> {
    match (settings.gate_on, settings.min_attacked_accuracy) {
        (Some(GateOnName::Lower), None) => Err(usage(
            "--gate-on lower has no effect without --min-attacked-accuracy: give the least accuracy",
        )),
        (Some(GateOnName::Lower), Some(_)) => Ok(Comparison::LowerLimit),
        (Some(GateOnName::Estimate) | None, _) => Ok(Comparison::PointEstimate),
    }
}

fn fraction(flag: &str, value: Option<f64>) -> Result<Option<MinAccuracy>, Failure> {
    let Some(value) = value else { return Ok(None) };
    match MinAccuracy::new(value) {
        None => Err(usage(format!("{flag} {value}: wanted a fraction in [0, 1] (40 % is 0.40)"))),
        required => Ok(required),
    }
}

fn usage(message: impl std::fmt::Display) -> Failure {
    failure(ErrorKind::Options, message)
}
