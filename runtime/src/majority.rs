//! Which class a model with random operators predicts: a sequential test, draw by draw, at a stated error rate.
//!
//! The prediction of such a model at a point is the class that it names most often. Only draws show which that is, and a
//! search that asks thousands of times would sooner or later see a lucky majority of any fixed number of them. So the
//! question is answered by a test that may be stopped at any time: a gambler bets on each draw before it is seen, and wins
//! on average only if the null hypothesis is false. By Ville's inequality the chance that the fortune ever reaches
//! `1 / error rate` under the null hypothesis is at most the error rate (Shafer, "Testing by betting", JRSS A 2021).
//!
//! - *The label is the majority* is rejected by bets on the wrong class that was named most often so far against the
//!   label. A draw of that class multiplies the fortune by `2 p`, a draw of the label by `2 (1 - p)`, another by 1. No bet
//!   gains on average while the label is at least as likely as every other class.
//! - *Some other class is at least as likely as the label* is rejected by the same bets on the label, against each other
//!   class by itself, once the smallest of these fortunes is large enough.
//!
//! The fortune is split over several `p`, so that clear majorities are seen after some 15 draws, and close ones later.

use mimir_bundle::certificate::MajorityTest;

/// The chance, for each image, that it is counted as broken or misclassified although the label is the majority at every
/// point that was asked about.
pub const ERROR_RATE: f64 = 0.001;

/// Draws at one point, at most.
pub const MOST_DRAWS: usize = 1_000;

/// The chance that a point at which the label is not the majority is given up.
const GIVE_UP: f64 = 0.05;

/// The name of the test in reports and certificates.
const NAME: &str = "sequential test of the majority by betting (Ville's inequality)";

/// Stakes: the probability of the class that a part of the fortune bets on.
const BETS: [f64; 4] = [0.55, 0.65, 0.8, 0.95];

/// What the test says about one point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Majority {
    /// The label is drawn more often than each other class.
    Label,
    /// That class is drawn more often than the label.
    Other(usize),
    /// Neither is certain after all draws.
    Undecided,
}

/// How the evaluation decides what a model with random operators predicts, as records name it.
pub fn description() -> MajorityTest {
    MajorityTest { test: NAME.to_owned(), error_rate: ERROR_RATE, most_draws: MOST_DRAWS }
}

/// The share of the error rate of an image that one candidate may use: those of all attacks, units and candidates,
/// each numbered from 0, add up to at most [`ERROR_RATE`].
pub(crate) fn share_of_candidate(attack: usize, unit: usize, candidate: usize) -> f64 {
    // The sum of 1 / n² is π² / 6.
    let weight = |index: usize| 6.0 / (std::f64::consts::PI * (index as f64 + 1.0)).powi(2);
    ERROR_RATE * weight(attack) * weight(unit) * weight(candidate)
}

/// The draws at one point so far.
#[derive(Debug, Clone)]
pub(crate) struct MajorityCount {
    label: usize,
    most_draws: usize,
    /// Fortunes that decide for another class, and for the label.
    enough: (f64, f64),
    draws: usize,
    /// How often each class was drawn.
    votes: Vec<usize>,
    on_other: Fortune,
    /// Bets on the label against each class.
    on_label: Vec<Fortune>,
}

/// What became of the parts of a fortune of 1, by their stake.
type Fortune = [f64; BETS.len()];

impl MajorityCount {
    /// Rejects the majority of the label at that error rate; gives the point up where the label is likely to have it.
    pub(crate) fn of_candidate(label: usize, classes: usize, error_rate: f64) -> Self {
        Self::new(label, classes, (1.0 / error_rate, 1.0 / GIVE_UP), MOST_DRAWS)
    }

    /// Decides for the label or for another class, each at that error rate.
    pub(crate) fn of_both(label: usize, classes: usize, error_rate: f64, most_draws: usize) -> Self {
        Self::new(label, classes, (1.0 / error_rate, 1.0 / error_rate), most_draws)
    }

    fn new(label: usize, classes: usize, enough: (f64, f64), most_draws: usize) -> Self {
        let part = [1.0 / BETS.len() as f64; BETS.len()];
        let (votes, on_label) = (vec![0; classes], vec![part; classes]);
        Self { label, most_draws, enough, draws: 0, votes, on_other: part, on_label }
    }

    /// The class that the test is about.
    pub(crate) fn label(&self) -> usize {
        self.label
    }

    /// Draws so far.
    pub(crate) fn draws(&self) -> usize {
        self.draws
    }

    /// The wrong class that was drawn most often, the first of several; none before a wrong class was drawn.
    fn challenger(&self) -> Option<usize> {
        let most =
            |best: usize, class: usize| if self.votes[class] > self.votes[best] { class } else { best };
        let wrong = (0..self.votes.len()).filter(|class| *class != self.label);
        wrong.reduce(most).filter(|class| self.votes[*class] > 0)
    }

    /// The fortune against the class that is most likely as likely as the label.
    fn smallest_on_label(&self) -> f64 {
        let against = self.on_label.iter().enumerate().filter(|(class, _)| *class != self.label);
        against.map(|(_, fortune)| total(fortune)).fold(f64::INFINITY, f64::min)
    }

    /// Counts a draw; the answer, once there is one.
    pub(crate) fn draw(&mut self, class: usize) -> Option<Majority> {
        let is_label = class == self.label;
        match self.challenger() {
            Some(challenger) if class == challenger || is_label => bet(&mut self.on_other, !is_label),
            Some(_) | None => {}
        }
        if is_label {
            self.on_label.iter_mut().for_each(|fortune| bet(fortune, true));
        } else {
            bet(&mut self.on_label[class], false);
        }
        self.votes[class] += 1;
        self.draws += 1;
        let (other, label) = self.enough;
        match self.challenger() {
            Some(challenger) if total(&self.on_other) >= other => Some(Majority::Other(challenger)),
            _ if self.smallest_on_label() >= label => Some(Majority::Label),
            _ if self.draws >= self.most_draws => Some(Majority::Undecided),
            _ => None,
        }
    }
}

fn bet(fortune: &mut Fortune, won: bool) {
    for (part, stake) in fortune.iter_mut().zip(BETS) {
        *part *= 2.0 * if won { stake } else { 1.0 - stake };
    }
}

fn total(fortune: &Fortune) -> f64 {
    fortune.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;
    use crate::testing::key;

    /// Draws classes with those probabilities until the test answers.
    fn answer(count: MajorityCount, probabilities: &[f64], seed: u64) -> (Majority, usize) {
        let mut stream = Stream::new(&key(seed, 0, "draws"));
        let mut count = count;
        loop {
            let mut uniform = [0.0_f32];
            stream.fill_uniform(&mut uniform);
            let mut left = f64::from(uniform[0]).mul_add(0.5, 0.5);
            let class = probabilities.iter().position(|probability| {
                left -= probability;
                left < 0.0
            });
            if let Some(majority) = count.draw(class.unwrap_or(probabilities.len() - 1)) {
                return (majority, count.draws());
            }
        }
    }

    #[test]
    fn clear_majorities_need_few_draws() {
        let candidate = || MajorityCount::of_candidate(0, 3, share_of_candidate(0, 0, 0));
        let (majority, draws) = answer(candidate(), &[0.0, 1.0, 0.0], 1);
        assert_eq!(majority, Majority::Other(1));
        assert!(draws <= 20, "{draws}");
        let (majority, draws) = answer(candidate(), &[1.0, 0.0, 0.0], 1);
        assert_eq!(majority, Majority::Label);
        assert!(draws <= 10, "{draws}");
        assert_eq!(
            answer(MajorityCount::of_both(0, 3, ERROR_RATE, MOST_DRAWS), &[1.0, 0.0, 0.0], 1).0,
            Majority::Label
        );
    }

    #[test]
    fn most_real_majorities_are_found() {
        let found = |probabilities: &[f64]| {
            let test = || MajorityCount::of_candidate(0, 3, share_of_candidate(0, 0, 3));
            (0..200)
                .filter(|seed| matches!(answer(test(), probabilities, *seed).0, Majority::Other(1)))
                .count()
        };
        assert!(found(&[0.3, 0.7, 0.0]) > 180, "{}", found(&[0.3, 0.7, 0.0]));
        // The label is behind one class, with less than half of the draws for either.
        assert!(found(&[0.2, 0.45, 0.35]) > 170, "{}", found(&[0.2, 0.45, 0.35]));
    }

    /// At the edge of the null hypothesis the error rate holds, whenever one looks.
    #[test]
    fn the_error_rate_is_kept_at_the_edge() {
        let rate = 0.05;
        for probabilities in [&[0.5, 0.5, 0.0][..], &[0.4, 0.4, 0.2], &[1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0]] {
            let test = || MajorityCount::of_both(0, 3, rate, 400);
            let wrong =
                (0..1000).filter(|seed| matches!(answer(test(), probabilities, *seed).0, Majority::Other(_)));
            // Three standard deviations above 50.
            let wrong = wrong.count();
            assert!(wrong <= 71, "{wrong} of 1000 at {probabilities:?}");
        }
    }

    #[test]
    fn candidates_share_the_error_rate_of_their_image() {
        let sum: f64 = (0..9)
            .flat_map(|attack| (0..9).map(move |unit| (attack, unit)))
            .flat_map(|(attack, unit)| {
                (0..500).map(move |candidate| share_of_candidate(attack, unit, candidate))
            })
            .sum();
        assert!(sum < ERROR_RATE && sum > 0.8 * ERROR_RATE, "{sum}");
    }
}
