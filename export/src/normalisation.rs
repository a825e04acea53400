//! A normalisation as steps of float32 arithmetic whose results are those of PyTorch and NumPy.

use mimir_bundle::Normalisation;

use crate::error::{Error, ErrorKind, Result};

/// How far from a whole number, as a share, a factor may be that the user meant to be whole: 1/255 has 16 digits.
const WHOLE: f64 = 1e-9;

/// The largest level of 8-bit images.
const LEVELS: f64 = 255.0;

/// One operation on all pixels.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Step {
    /// `Mul`, `Sub` or `Div`.
    pub(crate) operator: &'static str,
    /// One operand a channel, or one for all.
    pub(crate) values: Vec<f32>,
}

/// Refuses a normalisation that does not fit images with so many channels, or divides by zero.
pub(crate) fn check(normalisation: &Normalisation, channels: usize) -> Result<()> {
    let refused = |text: String| Err(Error::new(ErrorKind::NotAClassifier, text));
    for (flag, values) in [("--mean", &normalisation.mean), ("--std", &normalisation.std)] {
        if values.len() != 1 && values.len() != channels {
            return refused(format!(
                "{flag} has {} values, but the images have {channels} channels: give a single value, or one per channel",
                values.len()
            ));
        }
        if let Some(value) = values.iter().find(|value| !value.is_finite()) {
            return refused(format!("{flag} contains {value}, wanted finite numbers"));
        }
    }
    if normalisation.std.contains(&0.0) {
        return refused(
            "--std contains 0, but pixels are divided by it: give the standard deviation of the pixels"
                .to_owned(),
        );
    }
    normalisation.check().or_else(|invalid| refused(format!("--{} {}", invalid.field, invalid.reason)))
}

/// `(scale · pixel - mean) / std` without the operations that change nothing.
///
/// `k/255` in float32 times 255 is `k` exactly; divided by the float32 that is nearest to 1/255 it is not, for 120 of
/// the 256 levels. A threshold in the model then sees another number than it was trained on. So a division by 1/255
/// becomes a multiplication by 255 before the mean is taken off, and every other division by the reciprocal of a whole
/// number a multiplication.
pub(crate) fn steps(normalisation: &Normalisation) -> Vec<Step> {
    let Normalisation { scale, mean, std } = normalisation;
    let takes_levels = *scale == 1.0 && std.iter().all(|std| is_near(1.0 / std, LEVELS));
    let (scale, mean, std) = match takes_levels {
        true => (LEVELS, mean.iter().map(|mean| mean * LEVELS).collect(), vec![1.0; std.len()]),
        false => (*scale, mean.clone(), std.clone()),
    };
    let reciprocals: Vec<f64> = std.iter().map(|std| 1.0 / std).collect();
    let are_whole = reciprocals.iter().all(|factor| is_near(*factor, factor.round()));
    let divide = match are_whole {
        true => step("Mul", reciprocals.iter().map(|factor| factor.round()), 1.0),
        false => step("Div", std.iter().copied(), 1.0),
    };
    let steps = [step("Mul", [scale].into_iter(), 1.0), step("Sub", mean.iter().copied(), 0.0), divide];
    steps.into_iter().flatten().collect()
}

/// The operation, unless every operand is the one that changes nothing.
fn step(operator: &'static str, values: impl Iterator<Item = f64>, neutral: f64) -> Option<Step> {
    let values: Vec<f32> = values.map(|value| value as f32).collect();
    values.iter().any(|value| f64::from(*value) != neutral).then_some(Step { operator, values })
}

fn is_near(value: f64, wanted: f64) -> bool {
    (value - wanted).abs() <= WHOLE * wanted.abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(normalisation: &Normalisation, pixel: f32, channel: usize) -> f32 {
        steps(normalisation).iter().fold(pixel, |value, step| {
            let operand = step.values[channel.min(step.values.len() - 1)];
            match step.operator {
                "Mul" => value * operand,
                "Sub" => value - operand,
                _ => value / operand,
            }
        })
    }

    fn level(level: u8) -> f32 {
        f32::from(level) / 255.0
    }

    #[test]
    fn a_scale_of_1_255_gives_the_levels_back() {
        for std in [1.0 / 255.0, 0.003_921_568_627_450_98, 0.003_921_568_627] {
            let whole = Normalisation::new([0.0], [std]);
            let centred = Normalisation::new([127.5 / 255.0], [std]);
            let caffe = Normalisation::new([103.939 / 255.0, 116.779 / 255.0, 123.68 / 255.0], [std]);
            for k in 0..=255 {
                assert_eq!(applied(&whole, level(k), 0), f32::from(k), "{std}");
                assert_eq!(applied(&centred, level(k), 0), f32::from(k) - 127.5, "{std}");
                assert_eq!(applied(&caffe, level(k), 1), f32::from(k) - 116.779, "{std}");
            }
        }
    }

    #[test]
    fn levels_are_normalised_as_the_training_did_it() {
        let (mean, std) = ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375]);
        let normalisation = Normalisation { scale: 255.0, mean: mean.to_vec(), std: std.to_vec() };
        for channel in 0..3 {
            for k in 0..=255 {
                let wanted = (f32::from(k) - mean[channel] as f32) / std[channel] as f32;
                assert_eq!(applied(&normalisation, level(k), channel), wanted);
            }
        }
    }

    /// What `(x - mean) / std` gives in PyTorch and NumPy, in float32.
    #[test]
    fn other_numbers_divide_as_float32_does() {
        let (mean, std) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
        let normalisation = Normalisation::new(mean, std);
        for channel in 0..3 {
            for k in 0..=255 {
                let wanted = (level(k) - mean[channel] as f32) / std[channel] as f32;
                assert_eq!(applied(&normalisation, level(k), channel), wanted);
            }
        }
        // Powers of two are exact either way.
        let half = Normalisation::new([0.5], [0.5]);
        assert!((0..=255).all(|k| applied(&half, level(k), 0) == (level(k) - 0.5) / 0.5));
    }

    #[test]
    fn what_changes_nothing_is_left_out() {
        assert_eq!(steps(&Normalisation::new([0.0; 3], [1.0; 3])), []);
        let operators =
            |normalisation| steps(&normalisation).iter().map(|step| step.operator).collect::<Vec<_>>();
        assert_eq!(operators(Normalisation::new([0.0], [1.0 / 255.0])), ["Mul"]);
        assert_eq!(operators(Normalisation::new([0.5, 0.0], [1.0; 2])), ["Sub"]);
        assert_eq!(operators(Normalisation::new([0.5], [0.3])), ["Sub", "Div"]);
        let caffe = Normalisation { scale: 255.0, mean: vec![104.0, 117.0, 123.0], std: vec![1.0; 3] };
        assert_eq!(operators(caffe), ["Mul", "Sub"]);
    }
}
