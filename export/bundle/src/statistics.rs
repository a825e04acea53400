//! What counts on a sample say about the population: exact binomial (Clopper–Pearson) intervals.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use statrs::distribution::{Beta, ContinuousCDF};

use crate::certificate::Counts;
pub use crate::share::{fraction, percent, percent_in_full};

/// Confidence of every interval that we report.
pub const CONFIDENCE: f64 = 0.95;

/// The most trials that beta distributions are inverted for. No evaluation has so many images, but a file may say so.
pub const MOST_TRIALS: usize = 1 << 22;

/// How an interval was computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum IntervalMethod {
    /// Inverts both one-sided binomial tests (Clopper and Pearson 1934): never covers less than it claims.
    #[serde(rename = "Clopper-Pearson")]
    ClopperPearson,
}

/// A confidence interval of a proportion.
///
/// It speaks about the population that the images are a random sample of, not about the images themselves.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Interval {
    /// Lower end, in `[0, 1]`.
    pub lower: f64,
    /// Upper end, in `[0, 1]`.
    pub upper: f64,
    /// Probability, over random samples, that the interval covers the population's proportion: at least this.
    pub confidence: f64,
    /// How it was computed.
    pub method: IntervalMethod,
}

/// The two-sided Clopper–Pearson interval of `successes` in `trials`, at [`CONFIDENCE`].
///
/// With `α = 1 - CONFIDENCE` the ends are the quantiles `B(α/2; k, n-k+1)` and `B(1-α/2; k+1, n-k)` of beta
/// distributions. No trials say nothing: the interval is `[0, 1]`. More successes than trials count as all. Beyond
/// [`MOST_TRIALS`] the ends are those of Hoeffding's inequality, which are wider and need no inverse.
pub fn clopper_pearson(successes: usize, trials: usize) -> Interval {
    let tail = (1.0 - CONFIDENCE) / 2.0;
    let failures = trials.saturating_sub(successes);
    let successes = successes.min(trials);
    Interval {
        lower: lower_end(successes, failures, tail),
        // The upper end of the successes is the lower end of the failures, seen from 1 and rounded outward.
        upper: (1.0 - lower_end(failures, successes, tail)).next_up().min(1.0),
        confidence: CONFIDENCE,
        method: IntervalMethod::ClopperPearson,
    }
}

/// The lower end of the one-sided interval of `successes` in `trials` that covers with the probability `1 - error`: what is above
/// a limit by chance is above it with this end with at most that probability.
pub fn lower_limit(successes: usize, trials: usize, error: f64) -> f64 {
    let successes = successes.min(trials);
    lower_end(successes, trials - successes, error)
}

/// Shares of the images, as they are reported: clean and attacked accuracy.
pub fn accuracies(counts: &Counts) -> (f64, f64) {
    (fraction(counts.clean_correct, counts.images), fraction(counts.not_broken(), counts.images))
}

/// Largest `p` at which `successes` or more in `successes + failures` trials have probability at most `tail`.
fn lower_end(successes: usize, failures: usize, tail: f64) -> f64 {
    if successes == 0 {
        return 0.0;
    }
    if successes.saturating_add(failures) > MOST_TRIALS {
        // P[X/n - p ≥ t] ≤ exp(-2nt²).
        let trials = successes as f64 + failures as f64;
        return (successes as f64 / trials - (-tail.ln() / (2.0 * trials)).sqrt()).max(0.0);
    }
    // P[X ≥ k | p] is the distribution function of Beta(k, n-k+1) at p.
    let Ok(beta) = Beta::new(successes as f64, failures as f64 + 1.0) else { return 0.0 };
    outward(beta.inverse_cdf(tail), |p| beta.cdf(p) <= tail)
}

/// Moves `end` towards 0 until `holds`.
///
/// Inverses of the beta distribution have been wrong in several libraries; the forward function is simple. An
/// interval that is a little too wide keeps its promise, one that is too narrow does not.
fn outward(end: f64, holds: impl Fn(f64) -> bool) -> f64 {
    let mut end = if end.is_finite() { end.clamp(0.0, 1.0) } else { 1.0 };
    let mut step = end * f64::EPSILON;
    while end > 0.0 && !holds(end) {
        end = (end - step).max(0.0);
        step = (2.0 * step).max(f64::MIN_POSITIVE);
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ends computed with mpmath 1.3.0 at 30 and 40 digits, by bisection on the binomial tails (sums of exact
    /// terms for n = 10,000 and n = 100, the regularised incomplete beta function elsewhere).
    const GOLDEN: [(usize, usize, f64, f64); 17] = [
        (0, 1, 0.0, 0.975),
        (1, 1, 0.025, 1.0),
        (0, 10, 0.0, 0.308_497_107_818_760_83),
        (10, 10, 0.691_502_892_181_239_2, 1.0),
        (1, 10, 0.002_528_578_544_461_784_3, 0.445_016_117_028_195_43),
        (5, 10, 0.187_086_028_447_398_52, 0.812_913_971_552_601_5),
        (50, 100, 0.398_321_129_503_300_95, 0.601_678_870_496_699),
        (0, 500, 0.0, 0.007_350_610_051_907_787),
        (1, 500, 5.063_433_400_741_521_5e-5, 0.011_092_476_898_968_79),
        (240, 500, 0.435_439_358_899_702, 0.524_798_421_232_048_7),
        (274, 500, 0.503_201_606_758_025_6, 0.592_227_658_413_625),
        (288, 500, 0.531_340_329_702_907_3, 0.619_755_823_393_268_3),
        (301, 500, 0.557_595_862_806_789_2, 0.645_190_743_177_359_2),
        (499, 500, 0.988_907_523_101_031_2, 0.999_949_365_665_992_6),
        (500, 500, 0.992_649_389_948_092_3, 1.0),
        (5978, 10_000, 0.588_112_131_404_254_6, 0.607_430_874_342_123_4),
        (9999, 10_000, 0.999_442_963_002_052_9, 0.999_997_468_222_406_5),
    ];

    #[test]
    fn agrees_with_an_independent_computation() {
        for (successes, trials, lower, upper) in GOLDEN {
            let interval = clopper_pearson(successes, trials);
            let error = (interval.lower - lower).abs().max((interval.upper - upper).abs());
            assert!(error < 1e-12, "{successes}/{trials}: {interval:?}, expected [{lower}, {upper}]");
        }
    }

    #[test]
    fn covers_the_estimate_and_is_symmetric() {
        for trials in [1, 2, 7, 40, 500] {
            for successes in 0..=trials {
                let interval = clopper_pearson(successes, trials);
                let estimate = fraction(successes, trials);
                assert!(interval.lower <= estimate && estimate <= interval.upper, "{successes}/{trials}");
                let mirrored = clopper_pearson(trials - successes, trials);
                assert!((interval.lower - (1.0 - mirrored.upper)).abs() < 1e-12, "{successes}/{trials}");
            }
        }
    }

    /// A file may claim any number of images: its interval is an answer, and at once.
    #[test]
    fn no_number_of_trials_is_too_large() {
        for (successes, trials) in
            [(1 << 21, 1 << 22), (1 << 40, 1 << 50), (usize::MAX / 2, usize::MAX), (usize::MAX, usize::MAX)]
        {
            let Interval { lower, upper, .. } = clopper_pearson(successes, trials);
            let share = fraction(successes, trials);
            assert!(0.0 <= lower && lower <= share && share <= upper && upper <= 1.0, "{successes}/{trials}");
            assert!(upper - lower < 0.002, "{successes}/{trials}: {lower} to {upper}");
        }
    }

    #[test]
    fn says_nothing_without_trials() {
        let Interval { lower, upper, .. } = clopper_pearson(0, 0);
        assert_eq!((lower, upper), (0.0, 1.0));
        assert_eq!(fraction(0, 0), 0.0);
    }

    #[test]
    fn a_wrong_inverse_is_moved_outward() {
        let end = outward(0.5, |p| p <= 0.3);
        assert!((0.0..=0.3).contains(&end), "{end}");
        assert!(outward(f64::NAN, |p| p <= 0.3) <= 0.3);
        assert_eq!(outward(0.25, |p| p <= 0.3), 0.25);
    }
}
