//! Expectation over transformation (Athalye, Engstrom, Ilyas and Kwok, "Synthesizing robust adversarial examples", ICML
//! 2018): the mean of several gradients at one point, for models whose answers are random.

use super::Answer;

/// Gathers the answers about one point. One answer for each point passes through untouched.
#[derive(Debug)]
pub(super) struct Expectation {
    /// Answers about each point, at least 1.
    evaluations: usize,
    /// Answers about the present point so far.
    seen: usize,
    /// Sum of their gradients; then their mean. Empty where a point has one answer.
    gradient: Vec<f32>,
}

impl Expectation {
    /// That many answers about each point of so many pixels.
    pub(super) fn new(evaluations: usize, pixels: usize) -> Self {
        let gradient = if evaluations > 1 { vec![0.0; pixels] } else { Vec::new() };
        Self { evaluations, seen: 0, gradient }
    }

    /// Takes one answer. With the last about a point it gives the mean gradient, and logits and loss of that last
    /// answer, as the reference does; before that the point must be asked about again.
    pub(super) fn gather<'a>(&'a mut self, answer: &Answer<'a>) -> Option<Answer<'a>> {
        if self.evaluations <= 1 {
            return Some(*answer);
        }
        if self.seen == 0 {
            self.gradient.copy_from_slice(answer.gradient);
        } else {
            for (sum, slope) in self.gradient.iter_mut().zip(answer.gradient) {
                *sum += slope;
            }
        }
        self.seen += 1;
        if self.seen < self.evaluations {
            return None;
        }
        self.seen = 0;
        let count = self.evaluations as f32;
        self.gradient.iter_mut().for_each(|sum| *sum = (*sum / count).clamp(f32::MIN, f32::MAX));
        Some(Answer { gradient: &self.gradient, ..*answer })
    }

    /// Drops what was gathered about the present point: the next answer is about another one.
    pub(super) fn forget(&mut self) {
        self.seen = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(loss: f32, gradient: &[f32]) -> Answer<'_> {
        Answer { logits: &[], loss, gradient }
    }

    #[test]
    fn the_last_answer_comes_with_the_mean_gradient_of_its_point_alone() {
        let mut expectation = Expectation::new(3, 2);
        for offset in [0.0, 30.0] {
            assert!(expectation.gather(&answer(9.0, &[offset + 1.0, -3.0])).is_none());
            assert!(expectation.gather(&answer(8.0, &[offset + 2.0, -6.0])).is_none());
            let gradient = [offset + 6.0, 0.0];
            let last = expectation.gather(&answer(7.0, &gradient)).unwrap();
            assert_eq!((last.loss, last.gradient), (7.0, &[offset + 3.0, -3.0][..]));
        }
    }

    #[test]
    fn one_answer_is_passed_on_without_a_copy() {
        let gradient = [1.0, 2.0];
        let mut expectation = Expectation::new(1, 2);
        let last = expectation.gather(&answer(7.0, &gradient)).unwrap();
        assert!(std::ptr::eq(last.gradient, &gradient[..]));
    }
}
