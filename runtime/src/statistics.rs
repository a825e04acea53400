//! What counts say about two models or two sets of images. Intervals of one proportion are those of `mimir-bundle`.

use std::collections::BTreeMap;

pub use mimir_bundle::statistics::{
    CONFIDENCE, Interval, IntervalMethod, accuracies, clopper_pearson, fraction,
};
use statrs::distribution::{Beta, ChiSquared, ContinuousCDF};

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
