//! Bounds on the mutual information I(x + δ; z) in bits, as functions of the error probability p_e = P(ỹ ≠ ŷ)
//! (propositions 3.2 and 3.3; figure 2).
//!
//! A classifier predicts the label ỹ of the adversarial image x + δ and the label ŷ of its reconstruction from the
//! latent z. Both bounds decrease with p_e: if the reconstruction is classified as the natural image and the
//! adversarial image is not, then z contains little information about the attack.

use crate::plot::{Figure, Panel, Scale, Series, Stroke};

/// Points of a curve of [`chart`].
const CURVE_POINTS: usize = 201;

/// The distribution of the predicted labels ỹ: number of classes and entropy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LabelDistribution {
    classes: u32,
    entropy: f64,
}

/// Arguments for which the bounds are not defined.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum BoundsError {
    /// Fewer than two classes.
    #[error("{found} classes: a bound needs at least 2")]
    Classes {
        /// Number of classes.
        found: u32,
    },
    /// An entropy outside of [0, log2 `classes`].
    #[error("an entropy of {found} bits: {classes} classes have 0 to {largest:.3}")]
    Entropy {
        /// Entropy in bits.
        found: f64,
        /// Number of classes.
        classes: u32,
        /// Largest entropy in bits.
        largest: f64,
    },
    /// Not a probability.
    #[error("p_e = {found}: wanted a number of [0, 1]")]
    Probability {
        /// The number.
        found: f64,
    },
    /// A table of fewer than two rows.
    #[error("a table of {found} points: wanted at least 2, for p_e = 0 and p_e = 1")]
    Points {
        /// Number of rows.
        found: usize,
    },
}

impl LabelDistribution {
    /// `classes` ≥ 2 labels of equal probability.
    pub fn uniform(classes: u32) -> Result<Self, BoundsError> {
        if classes < 2 {
            return Err(BoundsError::Classes { found: classes });
        }
        Ok(Self { classes, entropy: f64::from(classes).log2() })
    }

    /// `classes` ≥ 2 labels with H(ỹ) = `entropy` bits, of [0, log2 `classes`].
    pub fn with_entropy(classes: u32, entropy: f64) -> Result<Self, BoundsError> {
        let largest = Self::uniform(classes)?.entropy;
        if !(0.0..=largest).contains(&entropy) {
            return Err(BoundsError::Entropy { found: entropy, classes, largest });
        }
        Ok(Self { classes, entropy })
    }

    /// Lower bound: I(x + δ; z) ≥ H(ỹ) − H_b(p_e) − p_e·log2(|𝒴| − 1) bits (proposition 3.2, equation 11; Fano's
    /// inequality). It decreases up to p_e = 1 − 1/|𝒴| and increases beyond. It can be negative, and is then vacuous,
    /// if the labels are not uniform.
    pub fn lower(&self, p_e: f64) -> Result<f64, BoundsError> {
        check_probability(p_e)?;
        let spread = p_e * f64::from(self.classes - 1).log2();
        Ok(self.entropy - binary_entropy(p_e) - spread)
    }

    /// Approximate upper bound: I(x + δ; z) ⪅ H(ỹ) − 2·p_e bits, if the labels preserve the information of x + δ
    /// (proposition 3.3, equation 15; Hellman and Raviv). `None` for p_e > 1 − 1/|𝒴|: the inequality holds for the
    /// Bayes-optimal prediction of ỹ from ŷ, whose error is at most 1 − 1/|𝒴|.
    pub fn upper(&self, p_e: f64) -> Result<Option<f64>, BoundsError> {
        check_probability(p_e)?;
        Ok((p_e <= self.largest_error()).then_some(self.entropy - 2.0 * p_e))
    }

    /// Error of guessing among equally likely labels, 1 − 1/|𝒴|.
    fn largest_error(&self) -> f64 {
        1.0 - 1.0 / f64::from(self.classes)
    }
}

fn check_probability(p_e: f64) -> Result<(), BoundsError> {
    if (0.0..=1.0).contains(&p_e) { Ok(()) } else { Err(BoundsError::Probability { found: p_e }) }
}

/// H_b(p) in bits.
fn binary_entropy(p: f64) -> f64 {
    // 0·log 0 is 0.
    let term = |p: f64| if p > 0.0 { -p * p.log2() } else { 0.0 };
    term(p) + term(1.0 - p)
}

/// Both bounds for `classes` equally likely labels at `points` values of p_e, evenly from 0 to 1. Columns `p_e`,
/// `lower` and `upper`, in bits; `-` where there is no upper bound.
pub fn table(classes: u32, points: usize) -> Result<String, BoundsError> {
    let labels = LabelDistribution::uniform(classes)?;
    if points < 2 {
        return Err(BoundsError::Points { found: points });
    }
    let mut text = format!("{:>6}  {:>7}  {:>7}\n", "p_e", "lower", "upper");
    for p_e in evenly(points) {
        let upper = labels.upper(p_e)?.map_or_else(|| "-".to_owned(), digits);
        text.push_str(&format!("{p_e:>6.3}  {:>7}  {upper:>7}\n", digits(labels.lower(p_e)?)));
    }
    Ok(text)
}

/// `points` ≥ 2 numbers from 0 to 1.
fn evenly(points: usize) -> impl Iterator<Item = f64> {
    (0..points).map(move |index| index as f64 / (points - 1) as f64)
}

/// Three decimals, without the sign of a rounded zero.
fn digits(bits: f64) -> String {
    format!("{:.3}", (bits * 1000.0).round() / 1000.0 + 0.0)
}

/// Figure 2 for `classes` equally likely labels, to be drawn.
pub fn chart(classes: u32) -> Result<Figure, BoundsError> {
    let labels = LabelDistribution::uniform(classes)?;
    let (mut lower, mut upper) = (Vec::with_capacity(CURVE_POINTS), Vec::new());
    for p_e in evenly(CURVE_POINTS) {
        lower.push((p_e, labels.lower(p_e)?));
        upper.extend(labels.upper(p_e)?.map(|bits| (p_e, bits)));
    }
    // The end of the curve, which may lie between two points.
    let end = labels.largest_error();
    upper.push((end, labels.entropy - 2.0 * end));
    let series =
        |name: &str, points, colour, stroke| Series { name: name.to_owned(), points, colour, stroke };
    let panel = Panel {
        title: String::new(),
        x_label: "p_e, probability that the label of the reconstruction differs".to_owned(),
        y_label: "I(x + δ; z), bits".to_owned(),
        y_scale: Scale::Linear,
        y_ends: None,
        series: vec![
            series("upper bound, proposition 3.3", upper, 1, Stroke::Dashed),
            series("lower bound, proposition 3.2", lower, 0, Stroke::Solid),
        ],
    };
    Ok(Figure {
        title: format!("Bounds on I(x + δ; z), {classes} classes"),
        description: format!(
            "Lower and upper bound on the mutual information of adversarial image and latent in bits, by the probability \
             that adversarial image and reconstruction are given different labels, for {classes} equally likely labels. \
             Both fall up to a probability of {end:.3}."
        ),
        panels: vec![panel],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_figure_2() {
        let labels = LabelDistribution::uniform(10).unwrap();
        let lower = [3.322, 2.536, 1.966, 1.490, 1.083, 0.737, 0.449, 0.222, 0.064, 0.000, 0.152];
        for (tenth, wanted) in lower.into_iter().enumerate() {
            let p_e = tenth as f64 / 10.0;
            let found = labels.lower(p_e).unwrap();
            assert!((found - wanted).abs() <= 5.01e-4, "{p_e}: {found}");
            let upper = labels.upper(p_e).unwrap();
            match tenth {
                10 => assert_eq!(upper, None),
                _ => assert!((upper.unwrap() - (3.322 - 0.2 * tenth as f64)).abs() <= 5.01e-4, "{p_e}"),
            }
        }
    }

    #[test]
    fn the_table_in_full() {
        insta::assert_snapshot!(table(10, 11).unwrap(), @r"
          p_e    lower    upper
        0.000    3.322    3.322
        0.100    2.536    3.122
        0.200    1.966    2.922
        0.300    1.490    2.722
        0.400    1.083    2.522
        0.500    0.737    2.322
        0.600    0.449    2.122
        0.700    0.222    1.922
        0.800    0.064    1.722
        0.900    0.000    1.522
        1.000    0.152        -
        ");
        assert_eq!(table(2, 3).unwrap().lines().nth(3), Some(" 1.000    1.000        -"));
    }

    #[test]
    fn the_lower_bound_is_below_the_upper_and_falls() {
        for classes in [2, 3, 10, 200, 1000, u32::MAX] {
            let labels = LabelDistribution::uniform(classes).unwrap();
            let mut before = f64::INFINITY;
            for p_e in evenly(1001) {
                let lower = labels.lower(p_e).unwrap();
                if let Some(upper) = labels.upper(p_e).unwrap() {
                    assert!(lower <= upper + 1e-12, "{classes} {p_e}: {lower} {upper}");
                    assert!(lower < before, "{classes} {p_e}");
                    before = lower;
                }
                // Fano's bound on uniform labels is an information, so never negative.
                assert!(lower > -1e-12, "{classes} {p_e}: {lower}");
            }
        }
    }

    #[test]
    fn a_given_entropy_shifts_both() {
        let (uniform, skewed) =
            (LabelDistribution::uniform(4).unwrap(), LabelDistribution::with_entropy(4, 1.5).unwrap());
        for p_e in [0.0, 0.25, 0.5] {
            assert!((uniform.lower(p_e).unwrap() - skewed.lower(p_e).unwrap() - 0.5).abs() < 1e-12);
            let upper = |labels: LabelDistribution| labels.upper(p_e).unwrap().unwrap();
            assert!((upper(uniform) - upper(skewed) - 0.5).abs() < 1e-12);
        }
    }

    #[test]
    fn what_has_no_bound_is_an_error() {
        let labels = LabelDistribution::uniform(10).unwrap();
        for (error, wanted) in [
            (LabelDistribution::uniform(1).unwrap_err(), "1 classes: a bound needs at least 2"),
            (
                LabelDistribution::with_entropy(4, 2.5).unwrap_err(),
                "an entropy of 2.5 bits: 4 classes have 0 to 2.000",
            ),
            (
                LabelDistribution::with_entropy(4, f64::NAN).unwrap_err(),
                "an entropy of NaN bits: 4 classes have 0 to 2.000",
            ),
            (labels.lower(1.5).unwrap_err(), "p_e = 1.5: wanted a number of [0, 1]"),
            (labels.upper(-0.1).unwrap_err(), "p_e = -0.1: wanted a number of [0, 1]"),
            (labels.lower(f64::NAN).unwrap_err(), "p_e = NaN: wanted a number of [0, 1]"),
            (table(10, 1).unwrap_err(), "a table of 1 points: wanted at least 2, for p_e = 0 and p_e = 1"),
            (chart(0).unwrap_err(), "0 classes: a bound needs at least 2"),
        ] {
            assert_eq!(error.to_string(), wanted);
        }
    }

    #[test]
    fn the_chart_has_both_curves() {
        let series = chart(10).unwrap().panels.remove(0).series;
        let ends = |index: usize| {
            let Series { name, points, .. } = &series[index];
            (name.as_str(), points[0], *points.last().unwrap())
        };
        let bits = 10f64.log2();
        assert_eq!(ends(0), ("upper bound, proposition 3.3", (0.0, bits), (0.9, bits - 1.8)));
        assert_eq!(ends(1), ("lower bound, proposition 3.2", (0.0, bits), (1.0, bits - 9f64.log2())));
    }
}
