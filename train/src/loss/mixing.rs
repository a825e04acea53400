//! Mixup and cutmix, timm's batch mode.

use mimir_data::random::Stream;
use tch::Tensor;

use crate::config::MixConfig;
use crate::random::{BatchRng, Purpose};

/// How the images of one batch are mixed: row i with row N − 1 − i.
#[derive(Debug, Clone, PartialEq)]
pub enum Mixing {
    /// Not at all.
    None,
    /// `share · x + (1 − share) · mirrored`.
    Mixup {
        /// Weight of the image itself.
        share: f64,
    },
    /// A box of the mirrored image pasted in; the share is that of the pixels that stay.
    Cutmix {
        /// First row and column of the box.
        from: [i64; 2],
        /// One past its last row and column.
        to: [i64; 2],
        /// Weight of the image itself.
        share: f64,
    },
}

impl Mixing {
    /// Samples how a batch is mixed, of images of `size` × `size` pixels.
    pub fn sample(config: &MixConfig, rng: BatchRng<'_>, size: i64) -> Self {
        let mut stream = rng.batch_stream(Purpose::Mix);
        if !stream.bernoulli(config.probability) {
            return Self::None;
        }
        let cut = match (config.mixup > 0.0, config.cutmix > 0.0) {
            (true, true) => stream.bernoulli(config.switch),
            (_, cut) => cut,
        };
        if cut {
            let share = beta(&mut stream, config.cutmix);
            Self::cut(&mut stream, share, size)
        } else {
            Self::Mixup { share: beta(&mut stream, config.mixup) }
        }
    }

    /// A box of (1 − share) of the area around a uniform centre, cut at the border; the share is corrected for the cut.
    fn cut(stream: &mut Stream, share: f64, size: i64) -> Self {
        let half = ((1.0 - share).sqrt() * size as f64) as i64 / 2;
        let mut interval = || {
            let centre = (stream.unit() * size as f64) as i64;
            ((centre - half).max(0), (centre + half).min(size))
        };
        let ((top, bottom), (left, right)) = (interval(), interval());
        let share = 1.0 - ((bottom - top) * (right - left)) as f64 / (size * size) as f64;
        Self::Cutmix { from: [top, left], to: [bottom, right], share }
    }

    /// Mixes images `[N, C, S, S]` and targets `[N, K]`.
    pub fn apply(&self, images: &Tensor, targets: &Tensor) -> (Tensor, Tensor) {
        let mixed = match *self {
            Self::None => return (images.shallow_clone(), targets.shallow_clone()),
            Self::Mixup { share } => images * share + images.flip([0]) * (1.0 - share),
            Self::Cutmix { from, to, .. } => {
                let cut =
                    |x: &Tensor| x.narrow(2, from[0], to[0] - from[0]).narrow(3, from[1], to[1] - from[1]);
                let mixed = images.copy();
                cut(&mixed).copy_(&cut(&images.flip([0])));
                mixed
            }
        };
        let share = self.share();
        (mixed, targets * share + targets.flip([0]) * (1.0 - share))
    }

    fn share(&self) -> f64 {
        match *self {
            Self::None => 1.0,
            Self::Mixup { share } | Self::Cutmix { share, .. } => share,
        }
    }
}

/// A number of the symmetric Beta(α, α) distribution: the ratio of two Gamma(α) numbers.
fn beta(stream: &mut Stream, alpha: f64) -> f64 {
    let (a, b) = (gamma(stream, alpha), gamma(stream, alpha));
    // Both can underflow for a tiny α, where the distribution is a coin.
    if a + b > 0.0 { a / (a + b) } else { stream.unit().round() }
}

/// Gamma(shape, 1) by Marsaglia and Tsang (2000); shapes below 1 by their boost.
fn gamma(stream: &mut Stream, shape: f64) -> f64 {
    if shape < 1.0 {
        let boost = (1.0 - stream.unit()).powf(1.0 / shape);
        return gamma(stream, shape + 1.0) * boost;
    }
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = stream.normal();
        let v = (1.0 + c * x).powi(3);
        let u = 1.0 - stream.unit();
        if v > 0.0 && u.ln() < 0.5 * x * x + d - d * v + d * v.ln() {
            return d * v;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::smooth_targets;

    fn batch() -> (Tensor, Tensor) {
        let images = Tensor::from_slice(&[0.0f32, 1.0]).reshape([2, 1, 1, 1]).expand([2, 1, 4, 4], false);
        (images.copy(), smooth_targets(&Tensor::from_slice(&[0i64, 1]), 2, 0.0))
    }

    #[test]
    fn mixup_mixes_pixels_and_targets_alike() {
        let (images, targets) = batch();
        let (mixed, soft) = Mixing::Mixup { share: 0.75 }.apply(&images, &targets);
        assert_eq!(mixed.double_value(&[0, 0, 2, 2]), 0.25);
        assert_eq!(soft.double_value(&[0, 1]), 0.25);
        assert_eq!(soft.double_value(&[1, 1]), 0.75);
    }

    #[test]
    fn cutmix_pastes_a_box_and_weighs_by_area() {
        let (images, targets) = batch();
        let mixing = Mixing::Cutmix { from: [1, 0], to: [3, 2], share: 0.75 };
        let (mixed, soft) = mixing.apply(&images, &targets);
        assert_eq!(mixed.get(0).sum(tch::Kind::Float).double_value(&[]), 4.0);
        assert_eq!(mixed.double_value(&[0, 0, 1, 1]), 1.0);
        assert_eq!(soft.double_value(&[0, 1]), 0.25);
        assert_eq!(images.get(0).sum(tch::Kind::Float).double_value(&[]), 0.0, "the batch itself stays");
    }

    #[test]
    fn shares_have_the_moments_of_their_beta_distribution() {
        for alpha in [0.8, 1.0, 2.0] {
            let mut stream = crate::random::for_name(7, "beta");
            let shares: Vec<f64> = (0..20_000).map(|_| beta(&mut stream, alpha)).collect();
            let mean = shares.iter().sum::<f64>() / 20_000.0;
            let variance = shares.iter().map(|s| (s - 0.5) * (s - 0.5)).sum::<f64>() / 20_000.0;
            let wanted = 1.0 / (4.0 * (2.0 * alpha + 1.0));
            // Five standard errors of the mean; the variance within 4 %, some five of its own.
            assert!((mean - 0.5).abs() < 5.0 * (wanted / 20_000.0).sqrt(), "{alpha} {mean}");
            assert!((variance / wanted - 1.0).abs() < 0.04, "{alpha} {variance} {wanted}");
        }
    }

    #[test]
    fn a_batch_is_mixed_by_its_configuration() {
        let draw = |mixup, cutmix, probability, first| {
            let config = MixConfig { mixup, cutmix, probability, switch: 0.5 };
            Mixing::sample(&config, BatchRng { seed: 0, epoch: 0, sample_ids: &[first] }, 32)
        };
        assert_eq!(draw(0.8, 1.0, 0.0, 1), Mixing::None);
        assert!((0..50).all(|first| matches!(draw(0.8, 0.0, 1.0, first), Mixing::Mixup { .. })));
        assert!((0..50).all(|first| matches!(draw(0.0, 1.0, 1.0, first), Mixing::Cutmix { .. })));
        let cuts =
            (0..200).filter(|&first| matches!(draw(0.8, 1.0, 1.0, first), Mixing::Cutmix { .. })).count();
        assert!((70..130).contains(&cuts), "{cuts}");
    }
}
