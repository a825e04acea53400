//! Adversarial training of a classifier.

use anyhow::Result;
use mimir_bundle::checkpoint::{CheckpointHeader, Stage};
use serde_json::{Map, json};
use tch::{Device, Kind, Tensor};

use crate::accuracy::{self, PgdAttack};
use crate::adversary::{self, LinfBall};
use crate::config::{Experiment, FinetuneAttack, FinetuneConfig, InitialWeights};
use crate::images::EvaluationSet;
use crate::loss::{Mixing, cross_entropy, kl_divergence, smooth_targets};
use crate::model::{Architecture, Classifier, DropPath, Pooling};
use crate::optim::schedule;
use crate::parameters::{Parameters, Scheme};
use crate::random::{BatchRng, Purpose};
use crate::stage::{HeldOutResult, MicroBatch, MicroBatchLoss, Task};

/// Standard deviation of the start of TRADES' attack (`trades.py`).
const TRADES_START: f64 = 0.001;

/// A classifier and what it is trained against.
#[derive(Debug)]
pub struct Finetuning {
    parameters: Parameters,
    model: Classifier,
    architecture: Architecture,
    config: FinetuneConfig,
    classes: i64,
}

impl Finetuning {
    /// The network of a checked experiment, with random weights; the caller loads others.
    pub fn new(
        experiment: &Experiment,
        architecture: Architecture,
        config: FinetuneConfig,
        device: Device,
    ) -> Self {
        let mut parameters = Parameters::with_scheme(experiment.seed, device, scheme(&config));
        let (classes, compute) = (experiment.data.classes, config.training.precision.compute());
        let pooling = pooling(&config, &architecture);
        let model = Classifier::new(
            &mut parameters.root(),
            &architecture,
            pooling,
            classes,
            config.head_std,
            compute,
        );
        Self { parameters, model, architecture, config, classes }
    }

    /// Pooling in front of the head.
    pub fn pooling(&self) -> Pooling {
        pooling(&self.config, &self.architecture)
    }

    fn drop_path(&self, rng: BatchRng<'_>, purpose: Purpose) -> Option<DropPath> {
        let device = self.parameters.device();
        DropPath::sample(rng, purpose, &self.architecture, self.config.drop_path, device)
    }

    /// Images and targets as they are trained on: smoothed, mixed.
    fn mixed(&self, micro_batch: &MicroBatch<'_>) -> (Tensor, Tensor) {
        let targets = smooth_targets(&micro_batch.labels, self.classes, self.config.label_smoothing);
        match &self.config.mix {
            None => (micro_batch.images.shallow_clone(), targets),
            Some(mix) => Mixing::sample(mix, micro_batch.rng, self.architecture.image_size)
                .apply(&micro_batch.images, &targets),
        }
    }

    /// Targets of the attack: hard labels, or the mixture where images are mixed.
    fn attack_targets(&self, micro_batch: &MicroBatch<'_>, targets: &Tensor) -> Tensor {
        match self.config.mix {
            None => smooth_targets(&micro_batch.labels, self.classes, 0.0),
            Some(_) => targets.shallow_clone(),
        }
    }

    /// ε of this moment over the final ε: grows from 0 during the warm-up.
    fn epsilon_scale(&self, micro_batch: &MicroBatch<'_>) -> f64 {
        schedule::epsilon(1.0, self.config.epsilon_warmup_epochs, micro_batch.epoch)
    }

    /// Logits `[N, K]` of images `[N, 3, S, S]` in `[0, 1]`, without stochastic depth.
    pub fn classify(&self, x: &Tensor) -> Tensor {
        self.model.logits(x, None)
    }

    /// Adversarial images; attacks see the network without stochastic depth.
    fn attack(&self, micro_batch: &MicroBatch<'_>, images: &Tensor, targets: &Tensor) -> Tensor {
        let Some(epsilon) = self.config.attack.epsilon() else {
            return images.shallow_clone();
        };
        let epsilon_scale = self.epsilon_scale(micro_batch);
        let epsilon = epsilon.0 * epsilon_scale;
        let ball = LinfBall::new(images, epsilon);
        let targets = self.attack_targets(micro_batch, targets);
        let losses = |x: &Tensor| cross_entropy(&self.classify(x), &targets);
        let start = || ball.random_start(images, micro_batch.rng, Purpose::AttackStart);
        match &self.config.attack {
            FinetuneAttack::None {} => images.shallow_clone(),
            FinetuneAttack::Fgsm { step_size, .. } => {
                adversary::pgd(&ball, &start(), 1, step_size.0 * epsilon_scale, |x| {
                    losses(x).sum(Kind::Float)
                })
            }
            FinetuneAttack::Pgd { step_size, steps, .. } => {
                adversary::pgd(&ball, &start(), *steps, step_size.0 * epsilon_scale, |x| {
                    losses(x).sum(Kind::Float)
                })
            }
            FinetuneAttack::Apgd { steps, .. } => adversary::apgd(&ball, images, epsilon, *steps, losses),
            FinetuneAttack::Trades { step_size, steps, .. } => {
                let clean = tch::no_grad(|| self.classify(images));
                let step_size = step_size.0 * epsilon_scale;
                let start = ball.normal_start(images, micro_batch.rng, Purpose::AttackStart, TRADES_START);
                adversary::trades(&ball, &start, *steps, step_size, &clean, |x| self.classify(x))
            }
        }
    }
}

/// What is trained from random weights starts as timm's classifiers do; else only the head keeps its first weights.
fn scheme(config: &FinetuneConfig) -> Scheme {
    match config.initial_weights {
        InitialWeights::Scratch => Scheme::Timm,
        InitialWeights::Pretrained | InitialWeights::File => Scheme::Mae,
    }
}

fn pooling(config: &FinetuneConfig, architecture: &Architecture) -> Pooling {
    config.pooling.unwrap_or(architecture.family.pooling())
}

impl Task for Finetuning {
    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Cross-entropy on adversarial images (eq. 3), or the two terms of TRADES, whose two passes drop branches of their own.
    fn loss(&self, micro_batch: &MicroBatch<'_>) -> Result<MicroBatchLoss> {
        let (images, targets) = self.mixed(micro_batch);
        let adversarial = self.attack(micro_batch, &images, &targets);
        let drop_path = |purpose| self.drop_path(micro_batch.rng, purpose);
        let logits = self.model.logits(&adversarial, drop_path(Purpose::DropPath).as_ref());
        let total = match self.config.attack {
            FinetuneAttack::Trades { beta, .. } => {
                // Casts of its own: the two gradients by a weight are then added in float32, not in the type of the cast.
                let _own = self.parameters.keep_casts();
                let clean = self.model.logits(&images, drop_path(Purpose::DropPathClean).as_ref());
                (cross_entropy(&clean, &targets) + kl_divergence(&clean, &logits) * beta).mean(Kind::Float)
            }
            FinetuneAttack::None {}
            | FinetuneAttack::Fgsm { .. }
            | FinetuneAttack::Pgd { .. }
            | FinetuneAttack::Apgd { .. } => cross_entropy(&logits, &targets).mean(Kind::Float),
        };
        Ok(MicroBatchLoss { total, penalties: Vec::new() })
    }

    /// Clean accuracy, and accuracy under PGD with the radius that is trained against.
    fn evaluate_held_out(&self, held_out: &EvaluationSet) -> Result<HeldOutResult> {
        let attack =
            self.config.attack.epsilon().filter(|_| self.config.selection.steps > 0).map(|epsilon| {
                let steps = self.config.selection.steps;
                PgdAttack { epsilon: epsilon.0, step_size: epsilon.0 / 4.0, steps }
            });
        let _kept = self.parameters.keep_casts();
        let logits = |x: &Tensor| self.classify(x);
        let batches = held_out.batches(self.parameters.device());
        let accuracy = accuracy::measure(logits, batches, attack.as_ref())?;
        let mut fields = Map::from_iter([("clean_accuracy".to_string(), json!(accuracy.clean()))]);
        if let Some(robust) = accuracy.robust() {
            fields.insert("robust_accuracy".into(), json!(robust));
        }
        Ok(HeldOutResult { metric: accuracy.robust().unwrap_or(accuracy.clean()), fields })
    }

    fn is_evaluation_due(&self, epoch: u64, epochs: u64) -> bool {
        (epoch + 1).is_multiple_of(self.config.selection.every_epochs) || epoch + 1 == epochs
    }

    fn header(&self) -> CheckpointHeader {
        CheckpointHeader {
            pooling: Some(self.pooling()),
            classes: usize::try_from(self.classes).ok(),
            ..CheckpointHeader::new(Stage::Finetune, self.architecture.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn task(changes: &str) -> Finetuning {
        let experiment = testing::experiment(&format!("[data]\nclasses = 3\n{changes}"));
        let (architecture, config) =
            (experiment.model.architecture().unwrap(), experiment.finetune.clone().unwrap());
        Finetuning::new(&experiment, architecture, config, Device::Cpu)
    }

    fn micro_batch(epoch: f64) -> MicroBatch<'static> {
        testing::micro_batch([0, 1, 2, 0], epoch)
    }

    fn movement(task: &Finetuning, micro_batch: &MicroBatch<'_>) -> f64 {
        let (images, targets) = task.mixed(micro_batch);
        (task.attack(micro_batch, &images, &targets) - images).abs().max().double_value(&[])
    }

    #[test]
    fn the_ball_grows_during_the_warm_up() {
        let attack =
            "[finetune.attack]\nkind = \"pgd\"\nepsilon = \"8/255\"\nstep_size = \"4/255\"\nsteps = 4\n";
        let task = task(&format!("{attack}[finetune]\nepsilon_warmup_epochs = 2\n"));
        for (epoch, share) in [(0.0, 0.0), (1.0, 0.5), (2.0, 1.0), (3.0, 1.0)] {
            let moved = movement(&task, &micro_batch(epoch));
            assert!((moved - share * 8.0 / 255.0).abs() < 1e-6, "epoch {epoch}: {moved}");
        }
    }

    #[test]
    fn an_attack_raises_the_loss() {
        let clean = task("[finetune.attack]\nkind = \"none\"\n");
        let loss = |task: &Finetuning| task.loss(&micro_batch(0.0)).unwrap().total.double_value(&[]);
        for attack in [
            "kind = \"fgsm\"\nepsilon = \"8/255\"\nstep_size = \"10/255\"",
            "kind = \"pgd\"\nepsilon = \"8/255\"\nstep_size = \"4/255\"\nsteps = 4",
            "kind = \"apgd\"\nepsilon = \"8/255\"\nsteps = 2",
        ] {
            let attacked = task(&format!("[finetune.attack]\n{attack}\n"));
            assert!(loss(&attacked) > loss(&clean), "{attack}");
        }
    }

    #[test]
    fn the_loss_of_trades_is_linear_in_its_weight() {
        let loss = |beta: u32| {
            let attack = "kind = \"trades\"\nepsilon = \"8/255\"\nstep_size = \"4/255\"\nsteps = 4";
            let task = task(&format!("[finetune.attack]\n{attack}\nbeta = {beta}\n"));
            task.loss(&micro_batch(0.0)).unwrap().total.double_value(&[])
        };
        let (low, middle, high) = (loss(3), loss(6), loss(9));
        assert!(middle > low);
        assert!(((high - middle) - (middle - low)).abs() < 1e-5, "{low} {middle} {high}");
    }

    const TRADES: &str =
        "kind = \"trades\"\nepsilon = \"8/255\"\nstep_size = \"4/255\"\nsteps = 1\nbeta = 6\n";

    /// One step of 4/255 from 0.001·N(0, 1): a uniform start would leave most pixels elsewhere.
    #[test]
    fn the_attack_of_trades_starts_next_to_the_image() {
        let task = task(&format!("[finetune.attack]\n{TRADES}"));
        let micro_batch = micro_batch(0.0);
        let (images, targets) = task.mixed(&micro_batch);
        let moved = (task.attack(&micro_batch, &images, &targets) - &images).abs();
        let inside = images.gt(0.05).logical_and(&images.lt(0.95));
        let distance = (moved - 4.0 / 255.0).abs().masked_select(&inside);
        assert!(distance.max().double_value(&[]) < 0.006, "{distance:?}");
        assert!(distance.mean(Kind::Double).double_value(&[]) < 0.0011);
    }

    #[test]
    fn the_two_passes_of_trades_drop_branches_of_their_own() {
        let task = task(&format!("[finetune]\ndrop_path = 0.5\n[finetune.attack]\n{TRADES}"));
        let rng = micro_batch(0.0).rng;
        let scales = |purpose| {
            let drop_path = task.drop_path(rng, purpose).unwrap();
            Tensor::cat(&[drop_path.scale(1, 0), drop_path.scale(1, 1)], 0)
        };
        assert_ne!(scales(Purpose::DropPath), scales(Purpose::DropPathClean));
    }

    /// Both use the same seed: what differs is the rule.
    #[test]
    fn random_weights_follow_timm_and_others_mae() {
        let scratch = task("[finetune]\ninitial_weights = \"scratch\"\n[finetune.attack]\nkind = \"none\"\n");
        let pretrained = task("[finetune.attack]\nkind = \"none\"\n");
        let deviation =
            |task: &Finetuning, name: &str| task.parameters().get(name).unwrap().std(false).double_value(&[]);
        for name in ["blocks.1.mlp.fc1.weight", "pos_embed", "blocks.0.attn.qkv.weight"] {
            let found = deviation(&scratch, name);
            // Hundreds of numbers: a tenth is more than two standard errors of the smallest.
            assert!((found - 0.02).abs() < 0.003, "{name}: {found}");
            assert!(deviation(&pretrained, name) > 0.1, "{name}");
        }
        let table =
            |task: &Finetuning| task.parameters().get("pos_embed").unwrap().abs().max().double_value(&[]);
        assert!(table(&scratch) < 0.1 && table(&pretrained) == 1.0);
        assert!(deviation(&scratch, "cls_token") < 1e-5);
        // PyTorch's rule for convolutions: uniform in ±1/√192, whose deviation is that over √3.
        let bound = 1.0 / 192f64.sqrt();
        let patches = deviation(&scratch, "patch_embed.proj.weight");
        assert!((patches * 3f64.sqrt() / bound - 1.0).abs() < 0.05, "{patches}");
        assert!(deviation(&scratch, "patch_embed.proj.bias") > 0.0);
    }

    /// Loss and gradients of a step, and how often a weight was cast for it.
    fn step(task: &Finetuning, kept: bool) -> (f64, Vec<Tensor>, usize) {
        let before = task.parameters.casts_made();
        let _kept = kept.then(|| task.parameters.keep_casts());
        let loss = task.loss(&micro_batch(0.0)).unwrap().total;
        loss.backward();
        let gradients = task.parameters.trainable().map(|parameter| {
            let mut gradient = parameter.tensor.grad();
            let found = gradient.copy();
            let _ = gradient.zero_();
            found
        });
        (loss.double_value(&[]), gradients.collect(), task.parameters.casts_made() - before)
    }

    /// To the last bit the same step, whether weights are cast once, as in the training loop, or in each of its passes.
    #[test]
    fn weights_are_cast_once_a_step() {
        let training = "[finetune.training]\nprecision = \"bfloat16\"\n";
        let pgd = "kind = \"pgd\"\nepsilon = \"8/255\"\nstep_size = \"2/255\"\nsteps = 10";
        // Passes of a step; those that have casts of their own.
        for (attack, passes, with_own) in [(pgd, 11, 1), (TRADES, 4, 2)] {
            let task = task(&format!("{training}[finetune.attack]\n{attack}\n"));
            let (once, always) = (step(&task, true), step(&task, false));
            assert_eq!((once.0, &once.1), (always.0, &always.1), "{attack}");
            assert!(once.1.iter().any(|gradient| gradient.abs().max().double_value(&[]) > 0.0));
            let weights = once.2 / with_own;
            assert!(weights > 10 && once.2 == weights * with_own, "{}", once.2);
            assert_eq!(always.2, weights * passes, "{attack}");
        }
    }

    #[test]
    fn smoothed_targets_are_trained_on_and_hard_ones_attacked() {
        let task = task("[finetune]\nlabel_smoothing = 0.3\n[finetune.attack]\nkind = \"none\"\n");
        let (_, targets) = task.mixed(&micro_batch(0.0));
        assert!((targets.double_value(&[1, 1]) - 0.8).abs() < 1e-6);
        assert_eq!(task.attack_targets(&micro_batch(0.0), &targets).double_value(&[1, 1]), 1.0);
    }
}
