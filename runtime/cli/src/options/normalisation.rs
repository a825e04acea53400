//! Whether mean and standard deviation are for pixels in `[0, 1]` or for levels of 0 to 255.

use mimir_bundle::Normalisation;
use mimir_certify::ErrorKind;

use crate::failure::{Failure, failure};
use crate::settings::{Fraction, Settings};

/// The largest level.
const LEVELS: f64 = 255.0;

/// The least standard deviation without a mean that can only be one of levels.
const LEAST_OF_LEVELS: f64 = 16.0;

/// The normalisation that the settings describe, with the scale that its numbers show.
///
/// # Errors
/// When one of the two is missing, or their numbers do not belong together.
pub(super) fn normalisation(settings: &Settings) -> Result<Option<Normalisation>, Failure> {
    let (mean, std) = match (&settings.mean, &settings.std) {
        (None, None) => return Ok(None),
        (Some(mean), Some(std)) => (values(mean), values(std)),
        (Some(_), None) => return Err(usage("--mean without --std: give both, or --std 1 to subtract only")),
        (None, Some(_)) => return Err(usage("--std without --mean: give both, or --mean 0 to divide only")),
    };
    if mean.len() != std.len() {
        return Err(usage(format!(
            "--mean has {} values and --std {}: give one per channel, or a single one",
            mean.len(),
            std.len()
        )));
    }
    if let Some(value) = std.iter().find(|value| **value <= 0.0) {
        return Err(usage(format!("--std {value}: wanted positive numbers")));
    }
    let scale = scale(&mean, &std).map_err(|problem| {
        usage(format!(
            "{problem}: give both for pixels in [0, 1], such as --mean 0.485 --std 0.229, or both for levels of 0 to \
             255 (the same times 255), such as --mean 123.675 --std 58.395"
        ))
    })?;
    Ok(Some(Normalisation { scale, mean, std }))
}

fn usage(message: impl std::fmt::Display) -> Failure {
    failure(ErrorKind::Options, message)
}

fn values(numbers: &[Fraction]) -> Vec<f64> {
    numbers.iter().map(Fraction::value).collect()
}

/// 255 where a mean or a standard deviation can only be one of levels, otherwise 1.
fn scale(mean: &[f64], std: &[f64]) -> Result<f64, String> {
    let largest = |values: &[f64]| values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let smallest = |values: &[f64]| values.iter().copied().fold(f64::INFINITY, f64::min);
    let (high, low) = (largest(mean), smallest(mean));
    if high > LEVELS || low < -LEVELS {
        return Err(format!(
            "--mean {} is outside the range of a pixel",
            if high > LEVELS { high } else { low }
        ));
    }
    if high > 1.0 {
        return match (mean.iter().find(|mean| **mean < 1.0 && **mean != 0.0), smallest(std)) {
            (Some(mean), _) => Err(format!("--mean has {high}, which is a level, and {mean}, which is none")),
            (None, std) if std < 1.0 => {
                Err(format!("--mean has {high}, which is a level, but --std has {std}, which is for [0, 1]"))
            }
            (None, _) => Ok(LEVELS),
        };
    }
    if largest(std) <= 1.0 {
        return Ok(1.0);
    }
    match mean.iter().all(|mean| *mean == 0.0) && smallest(std) >= LEAST_OF_LEVELS {
        true => Ok(LEVELS),
        false => Err(format!("--std has {}, more than any deviation of pixels in [0, 1]", largest(std))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_show_which_pixels_they_are_for() {
        let cases: [(&[f64], &[f64], f64); 8] = [
            (&[0.485, 0.456, 0.406], &[0.229, 0.224, 0.225], 1.0),
            (&[0.0], &[1.0 / 255.0], 1.0),
            (&[0.0], &[1.0], 1.0),
            (&[1.0], &[0.5], 1.0),
            (&[123.675, 116.28, 103.53], &[58.395, 57.12, 57.375], 255.0),
            (&[103.939, 116.779, 123.68], &[1.0; 3], 255.0),
            (&[127.5], &[127.5], 255.0),
            (&[0.0], &[255.0], 255.0),
        ];
        for (mean, std, wanted) in cases {
            assert_eq!(scale(mean, std), Ok(wanted), "{mean:?} {std:?}");
        }
    }

    #[test]
    fn numbers_that_do_not_belong_together_are_refused() {
        let cases: [(&[f64], &[f64], &str); 6] = [
            (&[123.675], &[0.229], "--std has 0.229"),
            (&[123.675, 0.456], &[58.0, 57.0], "and 0.456"),
            (&[0.485], &[58.395], "--std has 58.395"),
            (&[0.0], &[2.0], "--std has 2"),
            (&[300.0], &[58.0], "--mean 300"),
            (&[-300.0], &[1.0], "--mean -300"),
        ];
        for (mean, std, wanted) in cases {
            let error = scale(mean, std).unwrap_err();
            assert!(error.contains(wanted), "{error}");
        }
    }
}
