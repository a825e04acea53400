//! What searches are given in place of gradients and losses that are not finite.
//!
//! A number that is not finite says nothing about the image: a graph that takes 0·∞ for NaN, or overflows, is at fault,
//! not the model. So the search goes on with what is left: an entry that is NaN counts as zero, an infinite one keeps
//! its sign. Where nothing is left, the direction is random, so that the search moves at all.

use crate::attack::Answer;
use crate::logits::all_finite;
use crate::random::{Key, Stream};

/// Stands for an infinite slope. The sum of many such entries is still finite.
const HUGE: f32 = 1e30;

/// Room for gradients that had to be mended.
#[derive(Debug, Default)]
pub(super) struct Mender {
    gradient: Vec<f32>,
}

impl Mender {
    /// The answer with finite numbers only, and whether its gradient had others. Where no slope is left it draws from
    /// `noise`, which is made when first needed.
    pub(super) fn mend<'a>(
        &'a mut self,
        answer: &Answer<'a>,
        noise: &mut Option<Stream>,
        new_noise: impl FnOnce() -> Stream,
    ) -> (Answer<'a>, bool) {
        let answer = Answer { loss: finite_loss(answer.loss), ..*answer };
        if all_finite(answer.gradient) {
            return (answer, false);
        }
        self.gradient.clear();
        self.gradient.extend(answer.gradient.iter().map(|slope| finite_slope(*slope)));
        if self.gradient.iter().all(|slope| *slope == 0.0) {
            noise.get_or_insert_with(new_noise).fill_uniform(&mut self.gradient);
        }
        (Answer { gradient: &self.gradient, ..answer }, true)
    }
}

/// The noise of a unit whose gradients say nothing.
pub(super) fn noise(seed: u64, image: usize, attack: u16, unit: u32) -> Stream {
    let target = Some(usize::from(attack));
    Stream::new(&Key { seed, image, attack: "mend", target, restart: unit as usize })
}

/// The worst loss in place of NaN, so that no search takes the point for its best.
fn finite_loss(loss: f32) -> f32 {
    if loss.is_nan() { f32::MIN } else { loss.clamp(f32::MIN, f32::MAX) }
}

fn finite_slope(slope: f32) -> f32 {
    match slope {
        slope if slope.is_finite() => slope,
        slope if slope.is_nan() => 0.0,
        slope => HUGE.copysign(slope),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mended(loss: f32, gradient: &[f32]) -> (f32, Vec<f32>, bool) {
        let (mut mender, mut stream) = (Mender::default(), None);
        let answer = Answer { logits: &[], loss, gradient };
        let (answer, is_mended) = mender.mend(&answer, &mut stream, || noise(0, 3, 0, 1));
        (answer.loss, answer.gradient.to_vec(), is_mended)
    }

    #[test]
    fn finite_answers_pass_untouched() {
        assert_eq!(mended(2.0, &[0.0, -3.0]), (2.0, vec![0.0, -3.0], false));
        assert_eq!(mended(2.0, &[0.0, 0.0]), (2.0, vec![0.0, 0.0], false));
        assert_eq!(mended(2.0, &[]), (2.0, vec![], false));
    }

    #[test]
    fn nan_counts_for_nothing_and_infinity_keeps_its_sign() {
        let gradient = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.5];
        assert_eq!(mended(1.0, &gradient), (1.0, vec![0.0, HUGE, -HUGE, 0.5], true));
        assert_eq!(mended(f32::NAN, &[1.0]).0, f32::MIN);
        assert_eq!(mended(f32::INFINITY, &[1.0]).0, f32::MAX);
        assert_eq!(mended(f32::NEG_INFINITY, &[1.0]).0, f32::MIN);
    }

    #[test]
    fn where_no_slope_is_left_the_direction_is_random_and_the_same_each_time() {
        let (_, first, is_mended) = mended(1.0, &[f32::NAN; 4]);
        assert!(is_mended && first.iter().all(|slope| *slope != 0.0 && slope.abs() <= 1.0));
        assert_eq!(mended(1.0, &[0.0, f32::NAN, 0.0, 0.0]).1, first);
    }
}
