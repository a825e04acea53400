//! MAE, adv-MAE and MIMIR.

use anyhow::Result;
use mimir_bundle::checkpoint::{CheckpointHeader, Stage};
use serde_json::{Map, json};
use tch::{Device, Tensor};

use crate::adversary::attack_reconstruction;
use crate::config::{Experiment, PretrainConfig};
use crate::images::EvaluationSet;
use crate::model::{Architecture, Mask, MaskedAutoencoder, reconstruction_loss};
use crate::parameters::Parameters;
use crate::penalty::{Penalty, PenaltyConfig, PenaltyConfigError};
use crate::random::Purpose;
use crate::stage::{HeldOutResult, MicroBatch, MicroBatchLoss, Task};

/// A masked autoencoder and what it is trained with.
#[derive(Debug)]
pub struct Pretraining {
    parameters: Parameters,
    model: MaskedAutoencoder,
    architecture: Architecture,
    config: PretrainConfig,
    penalty: Option<(Penalty, PenaltyConfig)>,
}

impl Pretraining {
    /// The network of a checked experiment, with its first weights.
    ///
    /// # Errors
    /// A penalty that cannot be taken.
    pub fn new(
        experiment: &Experiment,
        architecture: Architecture,
        config: PretrainConfig,
        device: Device,
    ) -> Result<Self, PenaltyConfigError> {
        let mut parameters = Parameters::new(experiment.seed, device);
        let compute = config.training.precision.compute();
        let model = MaskedAutoencoder::new(&mut parameters.root(), &architecture, config.decoder, compute);
        let penalty = match config.penalty.clone() {
            Some(penalty) => Some((Penalty::new(&penalty)?, penalty)),
            None => None,
        };
        Ok(Self { parameters, model, architecture, config, penalty })
    }

    /// The images that are encoded: adversarial ones, or the clean ones of MAE.
    fn inputs(&self, micro_batch: &MicroBatch<'_>, mask: &Mask) -> Tensor {
        match &self.config.adversary {
            None => micro_batch.images.shallow_clone(),
            Some(adversary) => attack_reconstruction(
                &self.model,
                &self.architecture,
                adversary,
                &micro_batch.images,
                mask,
                micro_batch.rng,
            ),
        }
    }

    fn mask(&self, rng: crate::random::BatchRng<'_>) -> Mask {
        let patches = self.architecture.num_patches();
        let keep = Mask::visible_patches(patches, self.config.mask_ratio);
        Mask::random(rng, Purpose::Mask, patches, keep, self.parameters.device())
    }

    /// Adds λ · I(x + δ; z) between the encoded images and the latent, the mean over the parts of a batch.
    fn add_penalty(
        &self,
        reconstruction: Tensor,
        inputs: &Tensor,
        latent: &Tensor,
        mask: &Mask,
    ) -> Result<MicroBatchLoss> {
        let mut found = MicroBatchLoss { total: reconstruction, penalties: Vec::new() };
        let Some((penalty, config)) = &self.penalty else {
            return Ok(found);
        };
        let (side, patch) = (self.architecture.grid_size(), self.architecture.patch_size);
        let x = config.image.rows(inputs, &mask.visible_pixels(side, side, patch));
        let z = config.latent.rows(latent);
        let rows = x.size()[0];
        let batch = config.batch.map_or(rows, |batch| batch as i64).max(1);
        let parts = rows as f64 / batch as f64;
        for (x, z) in x.split(batch, 0).iter().zip(z.split(batch, 0)) {
            let part = penalty.loss(x, &z)?;
            // 0 where it is left out.
            found.total = &found.total + part.loss * (config.lambda / parts);
            found.penalties.push(part.found);
        }
        Ok(found)
    }
}

impl Task for Pretraining {
    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Eq. 5: the reconstruction error of the masked patches of the *clean* image from the adversarial one, plus λ ·
    /// I(x + δ; z).
    fn loss(&self, micro_batch: &MicroBatch<'_>) -> Result<MicroBatchLoss> {
        let mask = self.mask(micro_batch.rng);
        let inputs = self.inputs(micro_batch, &mask);
        let latent = self.model.encode(&inputs, &mask);
        let prediction = self.model.decode(&latent, &mask);
        let reconstruction = reconstruction_loss(&prediction, &self.model.target(&micro_batch.images), &mask);
        self.add_penalty(reconstruction, &inputs, &latent, &mask)
    }

    /// The reconstruction loss of clean held-out images, each under a fixed mask.
    fn evaluate_held_out(&self, held_out: &EvaluationSet) -> Result<HeldOutResult> {
        let (mut sum, mut count) = (0.0, 0);
        for batch in held_out.batches(self.parameters.device()) {
            let batch = batch?;
            let mask = self.mask(batch.rng());
            let loss = tch::no_grad(|| {
                let prediction = self.model.decode(&self.model.encode(&batch.images, &mask), &mask);
                reconstruction_loss(&prediction, &self.model.target(&batch.images), &mask).double_value(&[])
            });
            sum += loss * batch.labels.len() as f64;
            count += batch.labels.len();
        }
        let loss = sum / count as f64;
        let fields = Map::from_iter([("held_out_loss".to_string(), json!(loss))]);
        Ok(HeldOutResult { metric: -loss, fields })
    }

    fn is_evaluation_due(&self, _epoch: u64, _epochs: u64) -> bool {
        true
    }

    fn header(&self) -> CheckpointHeader {
        CheckpointHeader {
            decoder: Some(self.config.decoder.into()),
            ..CheckpointHeader::new(Stage::Pretrain, self.architecture.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Method;
    use crate::penalty::Unread;
    use crate::testing;

    /// With the authors' attack, which moves masked pixels too, so that it matters which image is reconstructed.
    fn task(method: Method, penalty: &str) -> Pretraining {
        let adversary = "[pretrain.adversary]\nvariant = \"authors\"";
        let mut experiment = testing::experiment(&format!("{adversary}\n{penalty}"));
        let config = experiment.pretrain.as_mut().unwrap();
        config.method = method;
        config.penalty = config.penalty.take().filter(|_| method == Method::Mimir);
        let (architecture, config) =
            (experiment.model.architecture().unwrap(), experiment.pretrain.clone().unwrap());
        Pretraining::new(&experiment, architecture, config, Device::Cpu).unwrap()
    }

    fn micro_batch() -> MicroBatch<'static> {
        testing::micro_batch([0, 1, 0, 1], 0.0)
    }

    #[test]
    fn the_penalty_enters_the_loss_with_its_factor() {
        let loss = |task: &Pretraining| {
            let found = task.loss(&micro_batch()).unwrap();
            let penalties = found.penalties.into_iter().map(Unread::read).collect::<Vec<_>>();
            (found.total.double_value(&[]), penalties)
        };
        let (without, none) = loss(&task(Method::AdvMae, ""));
        let (with, penalty) = loss(&task(Method::Mimir, "[pretrain.penalty]\nlambda = 0.5\n"));
        assert_eq!(none, []);
        let [Ok(value)] = penalty[..] else { panic!("{penalty:?}") };
        assert!(value > 0.01);
        assert!((with - without - 0.5 * value).abs() < 1e-5, "{with} {without} {value}");
    }

    /// A batch whose penalty is measured on halves is the mean of two batches: the network may run on more images at once than
    /// the penalty looks at.
    #[test]
    fn the_penalty_of_parts_is_that_of_smaller_batches() {
        let loss = |task: &Pretraining, micro_batch: &MicroBatch<'_>| {
            let found = task.loss(micro_batch).unwrap();
            (
                found.total.double_value(&[]),
                found.penalties.into_iter().map(|found| found.read().unwrap()).collect::<Vec<_>>(),
            )
        };
        let whole = micro_batch();
        let parts = task(Method::Mimir, "[pretrain.penalty]\nlambda = 0.5\nbatch = 2\n");
        let (total, penalties) = loss(&parts, &whole);
        let single = task(Method::Mimir, "[pretrain.penalty]\nlambda = 0.5\n");
        let halves = [0, 2].map(|from| {
            let rng =
                crate::random::BatchRng { sample_ids: &whole.rng.sample_ids[from..from + 2], ..whole.rng };
            let narrow = |tensor: &Tensor| tensor.narrow(0, from as i64, 2);
            let half =
                MicroBatch { images: narrow(&whole.images), labels: narrow(&whole.labels), rng, epoch: 0.0 };
            loss(&single, &half)
        });
        // Every image masks as many patches, so that the loss of the whole is the mean of the halves.
        let mean = (halves[0].0 + halves[1].0) / 2.0;
        assert!((total - mean).abs() < 1e-5, "{total} {mean}");
        let by_halves = [halves[0].1[0], halves[1].1[0]];
        assert!(penalties.len() == 2 && (penalties[0] - by_halves[0]).abs() < 1e-3 * by_halves[0]);
    }

    #[test]
    fn adversarial_images_are_encoded_and_clean_ones_reconstructed() {
        let (task, micro_batch) = (task(Method::AdvMae, ""), micro_batch());
        let mask = task.mask(micro_batch.rng);
        let inputs = task.inputs(&micro_batch, &mask);
        assert!((&inputs - &micro_batch.images).abs().max().double_value(&[]) > 7.0 / 255.0);
        let prediction = task.model.decode(&task.model.encode(&inputs, &mask), &mask);
        let against = |images: &Tensor| {
            reconstruction_loss(&prediction, &task.model.target(images), &mask).double_value(&[])
        };
        let found = task.loss(&micro_batch).unwrap().total.double_value(&[]);
        assert!((found - against(&micro_batch.images)).abs() < 1e-6);
        assert!((against(&inputs) - found).abs() > 1e-3);
    }
}
