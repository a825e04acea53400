//! The rows and columns of table 12.

use clap::ValueEnum;

use crate::config::{ConfigError, Experiment, Precision};
use crate::efficiency::flops;
use crate::model::{Architecture, Preset};

/// What a training step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Work {
    /// Adversarial training with PGD-10.
    Pgd10,
    /// The same with three steps, for `scripts/compare-train`.
    #[value(skip)]
    Pgd3,
    /// One-step adversarial training.
    FastAt,
    /// Masked autoencoding.
    Mae,
    /// MIMIR: an attack, and the penalty.
    Mimir,
}

/// Images of a data set's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Images {
    /// 50,000 of 32 pixels, patches of 2.
    Cifar10,
    /// 100,000 of 64 pixels, patches of 4.
    TinyImagenet,
    /// 1,281,167 of 224 pixels, patches of 16.
    Imagenet,
}

impl Images {
    /// In the training set.
    pub(super) fn count(self) -> u64 {
        match self {
            Self::Cifar10 => 50_000,
            Self::TinyImagenet => 100_000,
            Self::Imagenet => 1_281_167,
        }
    }

    /// Pixels of a side.
    pub(super) fn size(self) -> i64 {
        match self {
            Self::Cifar10 => 32,
            Self::TinyImagenet => 64,
            Self::Imagenet => 224,
        }
    }

    /// The `[model]` of a network on them.
    pub(super) fn model(self, network: Preset) -> String {
        let (name, patch, size) = (network.name(), self.patch(), self.size());
        format!("name = \"{name}\"\npatch_size = {patch}\nimage_size = {size}\n")
    }

    fn patch(self) -> i64 {
        match self {
            Self::Cifar10 => 2,
            Self::TinyImagenet => 4,
            Self::Imagenet => 16,
        }
    }

    pub(super) fn classes(self) -> i64 {
        match self {
            Self::Cifar10 => 10,
            Self::TinyImagenet => 200,
            Self::Imagenet => 1000,
        }
    }
}

const PRETRAIN: &str = "
[pretrain.optimizer]
betas = [0.9, 0.95]
weight_decay = 0.05
[pretrain.schedule]
base_learning_rate = 1e-4
[pretrain.training]
epochs = 1
";

const ADVERSARY: &str = "
[pretrain.adversary]
variant = \"paper\"
epsilon = \"8/255\"
step_size = \"10/255\"
steps = 1
[pretrain.penalty]
";

const FINETUNE: &str = "
[finetune]
drop_path = 0.1
label_smoothing = 0.1
[finetune.optimizer]
betas = [0.9, 0.999]
weight_decay = 0.05
[finetune.schedule]
base_learning_rate = 1e-4
[finetune.training]
epochs = 1
";

impl Work {
    /// The experiment whose steps are taken, of the network that the keys of `[model]` describe; its images are never read.
    ///
    /// # Errors
    /// Keys that describe no network.
    pub fn experiment(
        self,
        model: &str,
        classes: i64,
        batch: usize,
        precision: Precision,
    ) -> Result<Experiment, ConfigError> {
        let precision = match precision {
            Precision::Float32 => "float32",
            Precision::Tf32 => "tf32",
            Precision::Bfloat16 => "bfloat16",
        };
        let training = format!("batch = {batch}\nprecision = \"{precision}\"\n");
        let attack = |attack: &str| format!("{FINETUNE}{training}[finetune.attack]\n{attack}");
        let pgd = |steps: usize| {
            attack(&format!("kind = \"pgd\"\nepsilon = \"8/255\"\nstep_size = \"2/255\"\nsteps = {steps}\n"))
        };
        let stage = match self {
            Self::Pgd10 => pgd(10),
            Self::Pgd3 => pgd(3),
            Self::FastAt => attack("kind = \"fgsm\"\nepsilon = \"8/255\"\nstep_size = \"10/255\"\n"),
            Self::Mae => format!("{PRETRAIN}{training}[pretrain]\nmethod = \"mae\"\n"),
            Self::Mimir => format!("{PRETRAIN}{training}[pretrain]\nmethod = \"mimir\"\n{ADVERSARY}"),
        };
        let data = format!("[data]\nsource = \"cifar10:none\"\nclasses = {classes}\n");
        let text = format!("[model]\n{model}{data}{stage}");
        let experiment: Experiment = toml::from_str(&text)
            .map_err(|source| ConfigError::Parse { path: "efficiency".into(), source: Box::new(source) })?;
        experiment.check()?;
        Ok(experiment)
    }

    /// Operations for an image: passes forward, and twice as many operations back.
    pub(super) fn operations(self, architecture: &Architecture) -> f64 {
        match self {
            Self::Pgd10 => 33.0 * flops::classifier(architecture),
            Self::Pgd3 => 12.0 * flops::classifier(architecture),
            Self::FastAt => 6.0 * flops::classifier(architecture),
            Self::Mae => 3.0 * flops::autoencoder(architecture),
            Self::Mimir => 6.0 * flops::autoencoder(architecture),
        }
    }

    /// As table 12 calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pgd10 => "PGD-10 AT",
            Self::Pgd3 => "PGD-3 AT",
            Self::FastAt => "FastAT",
            Self::Mae => "MAE",
            Self::Mimir => "MIMIR",
        }
    }
}

impl Images {
    /// The data set.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cifar10 => "CIFAR-10",
            Self::TinyImagenet => "Tiny-ImageNet",
            Self::Imagenet => "ImageNet",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_table_is_an_experiment() {
        for work in Work::value_variants() {
            for images in Images::value_variants() {
                for network in [Preset::VitSmall, Preset::VitBase, Preset::ConvitSmall] {
                    let (model, classes) = (images.model(network), images.classes());
                    let experiment = work.experiment(&model, classes, 4, Precision::Bfloat16).unwrap();
                    assert_eq!(experiment.pretrain.is_some(), matches!(work, Work::Mae | Work::Mimir));
                    let architecture = experiment.model.architecture().unwrap();
                    let patches = if *images == Images::Imagenet { 196 } else { 256 };
                    assert_eq!(architecture.num_patches(), patches);
                }
            }
        }
    }

    #[test]
    fn an_attack_of_ten_steps_costs_eleven_times_a_plain_step() {
        let architecture = Preset::VitSmall.architecture(32, 2);
        let plain = 3.0 * flops::classifier(&architecture);
        assert_eq!(Work::Pgd10.operations(&architecture), 11.0 * plain);
        assert_eq!(Work::FastAt.operations(&architecture), 2.0 * plain);
        assert_eq!(Work::Pgd3.operations(&architecture), 4.0 * plain);
        // Facts of table 12: MIMIR costs an eighth of PGD-10 at ViT-S.
        let ratio = Work::Mimir.operations(&architecture) / Work::Pgd10.operations(&architecture);
        assert!((0.03..0.06).contains(&ratio), "{ratio}");
    }
}
