//! The attack on a masked autoencoder (eq. 6).

use tch::{Kind, Tensor};

use crate::adversary::LinfBall;
use crate::adversary::ball::gradient;
use crate::config::{AdversaryVariant, PretrainAdversary};
use crate::model::{Architecture, Mask, MaskedAutoencoder};
use crate::random::{BatchRng, Purpose};

/// Adversarial images x + δ, `[N, 3, H, W]`, detached. `mask` is the one of the training pass.
///
/// - [`AdversaryVariant::Paper`]: increases the reconstruction error of the *clean* patches under the mask of the
///   training pass, and moves visible patches only; masked ones have no effect.
/// - [`AdversaryVariant::Authors`]: uses random masks of its own, a fresh one for each step, and increases the reconstruction error of the
///   *perturbed* patches, so masked pixels move too, through the target (the authors' `pgd_mae.py`).
pub fn attack_reconstruction(
    model: &MaskedAutoencoder,
    architecture: &Architecture,
    adversary: &PretrainAdversary,
    images: &Tensor,
    mask: &Mask,
    rng: BatchRng<'_>,
) -> Tensor {
    let epsilon = adversary.epsilon.0;
    match adversary.variant {
        AdversaryVariant::Paper => {
            let side = architecture.grid_size();
            let movable = mask.visible_pixels(side, side, architecture.patch_size);
            let ball = LinfBall::restricted(images, epsilon, &movable);
            let target = model.target(images);
            gradient_ascent(adversary, &ball, images, rng, |_, x| summed_loss(model, x, &target, mask))
        }
        AdversaryVariant::Authors => {
            let (patches, steps) = (architecture.num_patches(), adversary.steps);
            let (keep, device) = (mask.keep(), images.device());
            let masks = Mask::random_series(rng, Purpose::AttackMask, patches, keep, steps, device);
            let ball = LinfBall::new(images, epsilon);
            gradient_ascent(adversary, &ball, images, rng, |step, x| {
                summed_loss(model, x, &model.target(x), &masks[step])
            })
        }
    }
}

fn gradient_ascent(
    adversary: &PretrainAdversary,
    ball: &LinfBall,
    images: &Tensor,
    rng: BatchRng<'_>,
    loss: impl Fn(usize, &Tensor) -> Tensor,
) -> Tensor {
    let mut x = ball.random_start(images, rng, Purpose::AttackStart);
    for step in 0..adversary.steps {
        let gradient = gradient(&x, |x| loss(step, x));
        x = tch::no_grad(|| ball.signed_step(&x, &gradient, adversary.step_size.0));
    }
    x
}

/// The reconstruction loss times the number of masked patches: a sum over the batch, see the module documentation.
fn summed_loss(model: &MaskedAutoencoder, x: &Tensor, target: &Tensor, mask: &Mask) -> Tensor {
    let prediction = model.decode(&model.encode(x, mask), mask);
    let error = (prediction.to_kind(Kind::Float) - target).square().mean_dim(-1, false, Kind::Float); // [N, L]
    (error * &mask.masked).sum(Kind::Float)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PixelDistance;
    use crate::model::{DecoderShape, Family, reconstruction_loss};
    use crate::parameters::Parameters;
    use crate::testing;
    use tch::Device;

    const ARCHITECTURE: Architecture =
        Architecture { family: Family::Vit, width: 16, depth: 2, heads: 2, image_size: 8, patch_size: 2 };

    struct Fixture {
        parameters: Parameters,
        model: MaskedAutoencoder,
        images: Tensor,
        ids: Vec<u64>,
    }

    impl Fixture {
        fn new() -> Self {
            let mut parameters = Parameters::new(1, Device::Cpu);
            let decoder = DecoderShape { width: 16, depth: 1, heads: 2 };
            let model = MaskedAutoencoder::new(&mut parameters.root(), &ARCHITECTURE, decoder, Kind::Float);
            let ids: Vec<u64> = (0..6).collect();
            let rng = BatchRng { seed: 5, epoch: 0, sample_ids: &ids };
            let images = testing::images(rng, 8);
            Self { parameters, model, images, ids }
        }

        fn rng(&self) -> BatchRng<'_> {
            BatchRng { seed: 2, epoch: 0, sample_ids: &self.ids }
        }

        fn mask(&self) -> Mask {
            Mask::random(self.rng(), Purpose::Mask, 16, 4, Device::Cpu)
        }

        fn attack(&self, variant: AdversaryVariant, steps: usize) -> Tensor {
            let (epsilon, step_size) = (PixelDistance::from_255ths(8.0), PixelDistance::from_255ths(10.0));
            let adversary = PretrainAdversary { variant, epsilon, step_size, steps };
            let mask = self.mask();
            attack_reconstruction(&self.model, &ARCHITECTURE, &adversary, &self.images, &mask, self.rng())
        }

        /// Reconstruction loss of the clean patches from `x` under the training mask.
        fn loss(&self, x: &Tensor) -> f64 {
            let mask = self.mask();
            let prediction = self.model.decode(&self.model.encode(x, &mask), &mask);
            reconstruction_loss(&prediction, &self.model.target(&self.images), &mask).double_value(&[])
        }

        /// Largest change of a masked pixel.
        fn masked_movement(&self, x: &Tensor) -> f64 {
            let hidden = 1.0f64 - self.mask().visible_pixels(4, 4, 2);
            ((x - &self.images).abs() * hidden).max().double_value(&[])
        }
    }

    #[test]
    fn the_papers_attack_raises_the_loss_by_visible_pixels_alone() {
        let fixture = Fixture::new();
        let x = fixture.attack(AdversaryVariant::Paper, 3);
        assert_eq!(fixture.masked_movement(&x), 0.0);
        assert!((&x - &fixture.images).abs().max().double_value(&[]) <= 8.0 / 255.0 + 1e-6);
        assert!(
            fixture.loss(&x) > fixture.loss(&fixture.images),
            "{} {}",
            fixture.loss(&x),
            fixture.loss(&fixture.images)
        );
    }

    #[test]
    fn the_authors_attack_moves_masked_pixels_too() {
        let fixture = Fixture::new();
        let x = fixture.attack(AdversaryVariant::Authors, 1);
        assert!(fixture.masked_movement(&x) > 2.0 / 255.0);
        // Steps of 10/255 from anywhere in ±8/255 end at least 2/255 away (spec 2.1), where the range of pixels allows.
        let inside = fixture.images.gt(0.05).logical_and(&fixture.images.lt(0.95)).to_kind(Kind::Float);
        let least = ((&x - &fixture.images).abs() + (1.0f64 - inside)).min().double_value(&[]);
        assert!(least >= 2.0 / 255.0 - 1e-6, "{least}");
    }

    /// Two steps by hand: the second one under the second mask of the series.
    #[test]
    fn the_authors_attack_draws_a_fresh_mask_for_each_step() {
        let fixture = Fixture::new();
        let (epsilon, step) = (8.0 / 255.0, 10.0 / 255.0);
        let ball = LinfBall::new(&fixture.images, epsilon);
        let by_hand = |masks: [&Mask; 2]| {
            let start = ball.random_start(&fixture.images, fixture.rng(), Purpose::AttackStart);
            masks.iter().fold(start, |x, mask| {
                let model = &fixture.model;
                let slope = gradient(&x, |x| summed_loss(model, x, &model.target(x), mask));
                tch::no_grad(|| ball.signed_step(&x, &slope, step))
            })
        };
        let masks = Mask::random_series(fixture.rng(), Purpose::AttackMask, 16, 4, 2, Device::Cpu);
        let found = fixture.attack(AdversaryVariant::Authors, 2);
        assert_eq!(found, by_hand([&masks[0], &masks[1]]));
        assert_ne!(found, by_hand([&masks[0], &masks[0]]));
    }

    #[test]
    fn an_attack_leaves_no_gradient_in_the_parameters() {
        let fixture = Fixture::new();
        let _ = fixture.attack(AdversaryVariant::Paper, 1);
        assert!(fixture.parameters.trainable().all(|parameter| !parameter.tensor.grad().defined()));
    }

    #[test]
    fn an_image_is_attacked_the_same_in_any_batch() {
        let fixture = Fixture::new();
        let whole = fixture.attack(AdversaryVariant::Paper, 2);
        let ids = fixture.ids[2..4].to_vec();
        let part = Fixture { images: fixture.images.narrow(0, 2, 2), ids, ..Fixture::new() };
        let alone = part.attack(AdversaryVariant::Paper, 2);
        // The last bits of a product depend on the batch; a sign could flip at a gradient of nearly 0, and none does
        // here.
        assert!(alone.allclose(&whole.narrow(0, 2, 2), 0.0, 1e-6, false));
    }
}
