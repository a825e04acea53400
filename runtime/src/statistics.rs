//! What counts say about two models or two sets of images. Intervals of one proportion are those of `mimir-bundle`.

use std::collections::BTreeMap;

pub use mimir_bundle::statistics::{
    CONFIDENCE, Interval, IntervalMethod, accuracies, clopper_pearson, fraction, lower_limit,
};
use statrs::distribution::{Beta, ChiSquared, ContinuousCDF};

/// The share of labels that a model is right on which knows nothing of the images: the larger of one class in `classes`, and the
/// most frequent label, which a model always says that says one class only.
pub fn by_guessing(labels: impl IntoIterator<Item = usize>, classes: usize) -> f64 {
    let (mut counts, mut images) = (BTreeMap::<usize, usize>::new(), 0);
    for label in labels {
        *counts.entry(label).or_default() += 1;
        images += 1;
    }
    let most = counts.values().max().copied().unwrap_or_default();
    fraction(most, images).max(fraction(1, classes))
}

/// The two-sided p-value of McNemar's exact test: the chance of changes at least as uneven as `lost` and `won`, if an
/// image is as likely to change for the worse as for the better.
pub fn mcnemar(lost: usize, won: usize) -> f64 {
    let (fewer, changes) = (lost.min(won), lost + won);
    if 2 * fewer >= changes.saturating_sub(1) {
        return 1.0;
    }
    // P[X ≤ k] of Binomial(n, 1/2) is P[X ≥ n - k], the distribution function of Beta(n-k, k+1) at one half.
    let Ok(beta) = Beta::new((changes - fewer) as f64, fewer as f64 + 1.0) else { return 1.0 };
    (2.0 * beta.cdf(0.5)).min(1.0)
}

/// How two proportions of the same images differ.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PairedDifference {
    /// Share of the images that were lost, less the share won: positive where the second proportion is smaller.
    pub lost: f64,
    /// Lower end of its interval, in `[-1, 1]`.
    pub lower: f64,
    /// Upper end of its interval, in `[-1, 1]`.
    pub upper: f64,
}

/// The 97.5 % quantile of the normal distribution: two-sided intervals of [`CONFIDENCE`].
const NORMAL_QUANTILE: f64 = 1.959_963_984_540_054;

/// The difference of two proportions of the same images, with Newcombe's interval at [`CONFIDENCE`].
///
/// `both` images count in both, `lost` in the first only, `won` in the second only, `neither` in none. Method 10 of
/// Newcombe (1998), "Improved confidence intervals for the difference between binomial proportions based on paired data",
/// Statistics in Medicine 17: Wilson's score intervals of the two proportions, squared and added, with the correlation of
/// the pairs corrected for continuity. It is an approximation (coverage near the stated one also for few images and few
/// changes), where [`mcnemar`] is exact: near 0.05 the two may disagree. No images say nothing: `[-1, 1]`.
pub fn paired_difference(both: usize, lost: usize, won: usize, neither: usize) -> PairedDifference {
    let images = both + lost + won + neither;
    if images == 0 {
        return PairedDifference { lost: 0.0, lower: -1.0, upper: 1.0 };
    }
    let (first, second) = (Wilson::new(both + lost, images), Wilson::new(both + won, images));
    let difference = (lost as f64 - won as f64) / images as f64;
    let correlation = correlation(both as f64, lost as f64, won as f64, neither as f64);
    let reach = |a: f64, b: f64| (a * a - 2.0 * correlation * a * b + b * b).max(0.0).sqrt();
    PairedDifference {
        lost: difference,
        lower: (difference - reach(first.below, second.above)).max(-1.0),
        upper: (difference + reach(first.above, second.below)).min(1.0),
    }
}

/// How far Wilson's score interval reaches from a proportion.
struct Wilson {
    below: f64,
    above: f64,
}

impl Wilson {
    fn new(successes: usize, trials: usize) -> Self {
        let (n, share) = (trials as f64, fraction(successes, trials));
        let square = NORMAL_QUANTILE * NORMAL_QUANTILE;
        let middle = (share + square / (2.0 * n)) / (1.0 + square / n);
        let half = NORMAL_QUANTILE * (share * (1.0 - share) / n + square / (4.0 * n * n)).sqrt()
            / (1.0 + square / n);
        Self { below: share - (middle - half).max(0.0), above: (middle + half).min(1.0) - share }
    }
}

/// The correlation of pairs, `φ`, its numerator moved towards zero by half the images where it is positive.
fn correlation(both: f64, lost: f64, won: f64, neither: f64) -> f64 {
    let product = (both + lost) * (won + neither) * (both + won) * (lost + neither);
    if product == 0.0 {
        return 0.0;
    }
    let numerator = both * neither - lost * won;
    let corrected =
        if numerator > 0.0 { (numerator - (both + lost + won + neither) / 2.0).max(0.0) } else { numerator };
    corrected / product.sqrt()
}

/// How likely a random part of a set, drawn without replacement, has classes at least as far from the whole's as these.
///
/// Both are numbers of images of each class. The distance is Pearson's `X² = Σ (o - e)² / e` with `e` the share of the
/// whole; under random drawing its mean is `(K - 1)(M - N)/(M - 1)` for `N` of `M` images, and `X² (M - 1)/(M - N)` is
/// held against the chi-square distribution of `K - 1` degrees of freedom.
pub fn class_mix_probability(part: &BTreeMap<usize, usize>, whole: &BTreeMap<usize, usize>) -> f64 {
    let total = |counts: &BTreeMap<usize, usize>| counts.values().sum::<usize>() as f64;
    let (n, m) = (total(part), total(whole));
    let distance: f64 = whole
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(class, count)| {
            let expected = n * *count as f64 / m;
            let found = part.get(class).copied().unwrap_or_default() as f64;
            (found - expected).powi(2) / expected
        })
        .sum();
    let freedom = whole.values().filter(|count| **count > 0).count() as f64 - 1.0;
    match ChiSquared::new(freedom) {
        Ok(chi_square) if 0.0 < n && n < m => chi_square.sf(distance * (m - 1.0) / (m - n)),
        // All images, or one class.
        _ => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sums of binomial coefficients over powers of two.
    #[test]
    fn mcnemar_is_the_exact_binomial_test() {
        let cases = [
            (0, 0, 1.0),
            (1, 0, 1.0),
            (1, 2, 1.0),
            (5, 0, 2.0 / 32.0),
            (0, 5, 2.0 / 32.0),
            (1, 9, 22.0 / 1024.0),
            (12, 3, 2.0 * 576.0 / 32768.0),
        ];
        for (lost, won, expected) in cases {
            assert!((mcnemar(lost, won) - expected).abs() < 1e-12, "{lost} {won}: {}", mcnemar(lost, won));
        }
    }

    /// Ends computed in Python from the formulas of the paper, which has the first four among its examples.
    #[test]
    fn paired_differences_have_the_interval_of_newcombe() {
        let cases = [
            ((36, 12, 2, 0), (0.2, 0.056_929_584, 0.340_427_603)),
            ((36, 14, 0, 0), (0.28, 0.152_839_518, 0.416_651_237)),
            ((20, 12, 2, 16), (0.2, 0.056_156_425, 0.329_206_995)),
            ((20, 14, 0, 16), (0.28, 0.144_133_576, 0.396_648_941)),
            ((212, 144, 256, 707), (-0.084_912_813, -0.114_191_533, -0.055_433_473)),
            ((0, 0, 0, 10), (0.0, -0.277_532_800, 0.277_532_800)),
            ((10, 0, 0, 0), (0.0, -0.277_532_800, 0.277_532_800)),
            ((0, 0, 0, 0), (0.0, -1.0, 1.0)),
        ];
        for ((both, lost, won, neither), expected) in cases {
            let PairedDifference { lost: found, lower, upper } = paired_difference(both, lost, won, neither);
            for (found, expected) in [(found, expected.0), (lower, expected.1), (upper, expected.2)] {
                assert!(
                    (found - expected).abs() < 1e-8,
                    "{both} {lost} {won} {neither}: {found}, not {expected}"
                );
            }
        }
    }

    #[test]
    fn parts_of_a_sorted_set_are_unlikely() {
        let counts = |counts: &[usize]| counts.iter().copied().enumerate().collect::<BTreeMap<_, _>>();
        let whole = counts(&[6; 12]);
        // The first class alone, and every class alike.
        assert!(class_mix_probability(&counts(&[6]), &whole) < 1e-6);
        assert!(class_mix_probability(&counts(&[2; 12]), &whole) > 0.999);
        // Half of the classes of CIFAR-10, all of them with the usual scatter, one image, everything.
        let whole = counts(&[1000; 10]);
        assert!(class_mix_probability(&counts(&[100; 5]), &whole) < 1e-6);
        assert!(
            class_mix_probability(&counts(&[103, 89, 100, 103, 90, 86, 112, 102, 106, 109]), &whole) > 0.1
        );
        assert!(class_mix_probability(&counts(&[0, 1]), &whole) > 0.1);
        assert_eq!(class_mix_probability(&whole, &whole), 1.0);
        assert_eq!(class_mix_probability(&counts(&[3]), &counts(&[9])), 1.0);
        // scipy.stats.chi2.sf(18 * 9999 / 9998, 9): two images of one class.
        assert!((class_mix_probability(&counts(&[2]), &whole) - 0.035_16).abs() < 1e-4);
    }
}
