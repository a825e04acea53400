//! Every setting, once: the same struct is the flags and the settings file, so that neither can have a key more.

mod attack_flags;
mod attack_name;
mod description;
mod device_name;
mod epsilon;
mod file;
mod fraction;
mod gate_table;
mod names;
mod picture_size;
mod preset;
mod spelling;
mod time_limit;

use std::num::NonZero;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use mimir_bundle::attack::{Argument, PgdPoint};
use serde::{Deserialize, Serialize};

use attack_flags::{
    EOT, PGD_MOMENTUM, PGD_POINT, QUERIES, RESTARTS, SAMPLES, STEP_SIZE, STEPS, SUBSET, TARGETS, attacks_help,
};

pub(crate) use attack_flags::{ParameterFlag, attacks_with};
pub(crate) use attack_name::AttackName;
pub(crate) use device_name::DeviceName;
pub(crate) use epsilon::Epsilon;
pub use file::check_settings;
pub(crate) use file::{LoadedSettings, effective, given_settings, load_settings};
pub(crate) use fraction::Fraction;
pub(crate) use gate_table::GateTable;
use names::NormParser;
pub(crate) use names::{GateOnName, NormName};
pub(crate) use picture_size::PictureSize;
pub(crate) use preset::PresetName;
pub(crate) use spelling::did_you_mean;
pub(crate) use time_limit::TimeLimit;

/// Settings as somebody wrote them, on the command line or in a file; absent where nobody did.
#[derive(Debug, Default, Clone, PartialEq, Args, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Settings {
    /// Images and labels, for example cifar10:FOLDER or npz:FILE (--help lists the datasets)
    #[arg(long, value_name = "SCHEME:PATH", help_heading = "Data", long_help = data_help())]
    pub(crate) data: Option<String>,
    /// Split of the data set [default: test]
    #[arg(long, help_heading = "Data", hide_default_value = true)]
    pub(crate) split: Option<SplitName>,
    /// Only the first N images, in file order
    #[arg(long, value_name = "N", help_heading = "Data")]
    pub(crate) first: Option<usize>,
    /// Only N images, drawn by --seed, with the classes in the shares of the whole
    #[arg(long, value_name = "N", help_heading = "Data")]
    pub(crate) sample: Option<usize>,
    /// The model's index of each class by its name: JSON list or object, or lines NAME INDEX [default: folders in order]
    #[arg(long, value_name = "FILE", help_heading = "Data")]
    pub(crate) class_map: Option<PathBuf>,

    /// A data set's usual --resize, --crop, --interpolation, --mean and --std; each can be given to override it
    #[arg(long, help_heading = "Model input")]
    pub(crate) preset: Option<PresetName>,
    /// Resize the images, as torchvision and timm do on PIL images: the shorter side, or HEIGHTxWIDTH
    #[arg(long, value_name = "PIXELS", help_heading = "Model input")]
    pub(crate) resize: Option<PictureSize>,
    /// Take the middle of the images, after --resize: a square's side, or HEIGHTxWIDTH
    #[arg(long, value_name = "PIXELS", help_heading = "Model input")]
    pub(crate) crop: Option<PictureSize>,
    /// Filter of --resize, with antialiasing [default: bilinear]
    #[arg(long, help_heading = "Model input")]
    pub(crate) interpolation: Option<InterpolationName>,

    /// Mean of the normalisation, for pixels in [0, 1], or for levels of 0 to 255 where it is above 1: one value, or one
    /// per channel of the model, e.g. 0.485,0.456,0.406 or 123.675,116.28,103.53
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        allow_hyphen_values = true,
        help_heading = "Model input"
    )]
    pub(crate) mean: Option<Vec<Fraction>>,
    /// Standard deviation of the normalisation: one value, or one per channel; 1/255 for models that take levels of 0
    /// to 255
    #[arg(long, value_name = "LIST", value_delimiter = ',', help_heading = "Model input")]
    pub(crate) std: Option<Vec<Fraction>>,
    /// Order of the colours in the model's input [default: rgb]
    #[arg(long, help_heading = "Model input")]
    pub(crate) channels: Option<ChannelsName>,
    /// Layout of the model's input [default: inferred from the graph]
    #[arg(long, help_heading = "Model input")]
    pub(crate) layout: Option<LayoutName>,
    /// Channels, height and width of one image, e.g. 3,224,224 [default: those of the images]
    #[arg(long, value_name = "C,H,W", value_delimiter = ',', help_heading = "Model input")]
    pub(crate) input_shape: Option<Vec<usize>>,
    /// The model's output with the scores of the classes, by name [default: the only one that can have them]
    #[arg(long, value_name = "NAME", help_heading = "Model input")]
    pub(crate) output: Option<String>,

    /// Norm of the perturbation [default: linf]
    #[arg(long, help_heading = "Threat model", value_parser = NormParser)]
    pub(crate) norm: Option<NormName>,
    /// Radius of the perturbation, for pixels in [0, 1], e.g. 2/255 or 0.0078
    #[arg(long, help_heading = "Threat model")]
    pub(crate) epsilon: Option<Epsilon>,

    /// Pixel values that count: any, or only the 256 levels of 8-bit images [default: continuous; 8bit for models that
    /// take uint8]
    #[arg(long, help_heading = "Threat model")]
    pub(crate) pixels: Option<PixelsName>,

    #[arg(long, value_name = "LIST", value_delimiter = ',', help_heading = "Attacks", help = attacks_help())]
    pub(crate) attacks: Option<Vec<AttackName>>,
    /// Another model of the same images and classes, an ONNX file or a bundle: the attack transfer runs on it and shows what
    /// it finds to the model. Adds transfer after the other attacks, also after those of a preset
    #[arg(long, value_name = "FILE", help_heading = "Attacks")]
    pub(crate) surrogate: Option<PathBuf>,
    /// Mean of the surrogate's normalisation, as --mean [default: that of the model]
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        allow_hyphen_values = true,
        help_heading = "Attacks"
    )]
    pub(crate) surrogate_mean: Option<Vec<Fraction>>,
    /// Standard deviation of the surrogate's normalisation, as --std [default: that of the model]
    #[arg(long, value_name = "LIST", value_delimiter = ',', help_heading = "Attacks")]
    pub(crate) surrogate_std: Option<Vec<Fraction>>,
    #[arg(long, value_name = "N", help_heading = "Attacks", help = STEPS.help())]
    pub(crate) steps: Option<usize>,
    #[arg(long, value_name = "N", help_heading = "Attacks", help = RESTARTS.help())]
    pub(crate) restarts: Option<usize>,
    #[arg(long, value_name = "N", help_heading = "Attacks", help = TARGETS.help())]
    pub(crate) targets: Option<usize>,
    #[arg(long, value_name = "N", help_heading = "Attacks", help = QUERIES.help())]
    pub(crate) queries: Option<usize>,
    #[arg(long, value_name = "FRACTION", help_heading = "Attacks", help = SUBSET.help())]
    pub(crate) subset: Option<f64>,
    #[arg(long, value_name = "N", help_heading = "Attacks", help = EOT.help())]
    pub(crate) eot: Option<usize>,
    #[arg(long, value_name = "FRACTION", help_heading = "Attacks", help = STEP_SIZE.help())]
    pub(crate) step_size: Option<f64>,
    #[arg(long, value_name = "FACTOR", help_heading = "Attacks", help = PGD_MOMENTUM.help())]
    pub(crate) pgd_momentum: Option<f64>,
    #[arg(long, help_heading = "Attacks", help = PGD_POINT.help())]
    pub(crate) pgd_point: Option<PgdPointName>,
    #[arg(long, value_name = "N", help_heading = "Attacks", help = SAMPLES.help())]
    pub(crate) samples: Option<usize>,
    /// The tensor of the model whose values pgd-feature, pgd-mi and feature-ce move [default: the bundle's, or what the last
    /// linear layer reads; `mimir-certify features MODEL` lists them]
    #[arg(long, value_name = "NAME", help_heading = "Attacks")]
    pub(crate) feature: Option<String>,
    /// Attack the model although the graphs that are searched are not the function of the file; report and certificate say so
    #[arg(
        long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        hide_possible_values = true, help_heading = "Attacks"
    )]
    pub(crate) accept_approximate: Option<bool>,
    /// Seed of all random numbers [default: 0]
    #[arg(long, value_name = "N", help_heading = "Attacks")]
    pub(crate) seed: Option<u64>,

    /// Folder for report.json and certificate.json
    #[arg(long, value_name = "FOLDER", help_heading = "Report and gate")]
    pub(crate) report: Option<PathBuf>,
    /// Write the counterexamples as adversarial.npz beside the report
    #[arg(
        long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        hide_possible_values = true, help_heading = "Report and gate"
    )]
    pub(crate) save_adversarial: Option<bool>,
    /// Report the attacked accuracy over the radius, from minimum-norm searches
    #[arg(
        long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        hide_possible_values = true, help_heading = "Report and gate"
    )]
    pub(crate) curve: Option<bool>,
    /// Make some 100,000 extra passes after the attacks that show whether these worked, for the diagnosis in the report
    #[arg(
        long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        hide_possible_values = true, help_heading = "Report and gate"
    )]
    pub(crate) diagnose: Option<bool>,
    /// Draw the loss around N images, at most 6, and around the weights, for report.json and the page
    #[arg(long, value_name = "N", help_heading = "Report and gate")]
    pub(crate) landscape: Option<usize>,
    /// Do not write the certificate into the bundle
    #[arg(
        long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        hide_possible_values = true, help_heading = "Report and gate"
    )]
    pub(crate) keep_bundle: Option<bool>,
    /// Write the certificate in the place of one of the same threat model in the bundle, which is kept beside it
    #[arg(
        long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        hide_possible_values = true, help_heading = "Report and gate"
    )]
    pub(crate) replace_certificate: Option<bool>,
    /// Resume the run whose journal is in the report folder; without a journal, start from the beginning
    #[arg(
        long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        hide_possible_values = true, help_heading = "Report and gate"
    )]
    pub(crate) resume: Option<bool>,
    /// Exit with code 10 unless the attacked accuracy (point estimate) is at least this fraction; the run stops as
    /// soon as the answer is certain
    #[arg(long, value_name = "FRACTION", help_heading = "Report and gate")]
    pub(crate) min_attacked_accuracy: Option<f64>,
    /// What is held against it: the estimate, or the lower end of its 95 % interval too (exit code 11 where only the
    /// estimate is enough) [default: estimate]
    #[arg(long, help_heading = "Report and gate")]
    pub(crate) gate_on: Option<GateOnName>,
    /// Exit with code 10 unless the clean accuracy is at least this fraction
    #[arg(long, value_name = "FRACTION", help_heading = "Report and gate")]
    pub(crate) min_clean_accuracy: Option<f64>,
    /// Exit with code 11 where a warning weakens the verdict, e.g. masked gradients (docs/report.md lists them)
    #[arg(
        long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        hide_possible_values = true, help_heading = "Report and gate"
    )]
    pub(crate) deny_warnings: Option<bool>,
    /// Refuse to run a gate with fewer or weaker attacks than this preset: standard, plus, rand, fast or mimir
    #[arg(long, value_name = "PRESET", help_heading = "Report and gate")]
    pub(crate) min_preset: Option<String>,
    /// Exit with code 10 if the model is worse than in this earlier report.json of the same images, threat model and
    /// attacks; every attack runs to its end
    #[arg(long, value_name = "FILE", help_heading = "Report and gate")]
    pub(crate) baseline: Option<PathBuf>,
    /// By how much the clean and the attacked accuracy may be below the baseline's, a fraction [default: 0]
    #[arg(long, value_name = "FRACTION", help_heading = "Report and gate")]
    pub(crate) baseline_tolerance: Option<f64>,
    /// Run every attack to its end, even if the gate's answer is certain earlier
    #[arg(
        long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        hide_possible_values = true, help_heading = "Report and gate"
    )]
    pub(crate) full: Option<bool>,
    /// End the run in order after this time, e.g. 45m or 1h30m: it counts as interrupted, and --resume continues it
    #[arg(long, value_name = "TIME", help_heading = "Report and gate")]
    pub(crate) time_limit: Option<TimeLimit>,
    /// Do not show progress; the summary is still printed
    #[arg(
        long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        hide_possible_values = true, help_heading = "Report and gate"
    )]
    pub(crate) quiet: Option<bool>,

    /// Engine that runs the model: ONNX Runtime (ort), or the built-in rten [default: ort if it is found]
    #[arg(long, help_heading = "Engine")]
    pub(crate) engine: Option<EngineName>,
    /// Device: cpu, cuda:N or tensorrt:N [default: cpu]
    #[arg(long, value_name = "DEVICE", help_heading = "Engine")]
    pub(crate) device: Option<DeviceName>,
    /// Also classify every counterexample with the other engine, on the CPU; changes no verdict
    #[arg(
        long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        hide_possible_values = true, help_heading = "Engine"
    )]
    pub(crate) cross_check: Option<bool>,
    /// Parallel sessions [default: measured]; changes at most the rounding of results
    #[arg(long, value_name = "N", help_heading = "Engine")]
    pub(crate) workers: Option<NonZero<usize>>,
    /// Threads per session [default: measured]
    #[arg(long, value_name = "N", help_heading = "Engine")]
    pub(crate) threads: Option<NonZero<usize>>,
    /// Images per call [default: chosen automatically]; changes at most the rounding of results
    #[arg(long, value_name = "N", help_heading = "Engine")]
    pub(crate) batch: Option<NonZero<usize>>,
    /// Precision of the searches: mixed multiplies in bfloat16, on processors that have it (AVX512-BF16, aarch64); verdicts are
    /// always decided in float32 [default: float32]
    #[arg(long, help_heading = "Engine")]
    pub(crate) precision: Option<PrecisionName>,
    /// The ONNX Runtime library [default: found in the checkout, beside the program, or by the system]
    #[arg(long, value_name = "PATH", help_heading = "Engine")]
    pub(crate) onnxruntime: Option<PathBuf>,

    /// Several gates, each with its own threat model: in a settings file only. Last, because TOML wants tables last.
    #[arg(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) gate: Option<Vec<GateTable>>,
}

/// Part of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SplitName {
    Test,
    Train,
}

/// Filter of resizing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum InterpolationName {
    Bilinear,
    Bicubic,
}

/// Layout of the model's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LayoutName {
    Nchw,
    Nhwc,
    Flat,
}

/// Order of the colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ChannelsName {
    Rgb,
    Bgr,
}

/// Pixel values that count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub(crate) enum PixelsName {
    #[serde(rename = "continuous")]
    Continuous,
    #[value(name = "8bit")]
    #[serde(rename = "8bit")]
    EightBit,
}

/// Points of a pgd run that count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PgdPointName {
    Best,
    Last,
}

/// What runs the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EngineName {
    /// ONNX Runtime
    Ort,
    /// rten
    Rten,
}

/// Numbers that searches compute in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PrecisionName {
    Float32,
    Mixed,
}

/// The datasets, from the one table that `mimir-data` has of them.
fn data_help() -> String {
    format!("Images and labels:\n{}", mimir_data::DataSource::help())
}

impl Settings {
    /// What was given for parameters of attacks.
    pub(crate) fn attack_arguments(&self) -> Vec<(ParameterFlag, Argument)> {
        let count = |value: Option<usize>| value.map(Argument::Count);
        let point = self.pgd_point.map(|name| match name {
            PgdPointName::Best => PgdPoint::Best,
            PgdPointName::Last => PgdPoint::Last,
        });
        let all = [
            (STEPS, count(self.steps)),
            (RESTARTS, count(self.restarts)),
            (TARGETS, count(self.targets)),
            (QUERIES, count(self.queries)),
            (EOT, count(self.eot)),
            (SAMPLES, count(self.samples)),
            (STEP_SIZE, self.step_size.map(Argument::Number)),
            (SUBSET, self.subset.map(Argument::Number)),
            (PGD_MOMENTUM, self.pgd_momentum.map(Argument::Number)),
            (PGD_POINT, point.map(Argument::Point)),
        ];
        all.into_iter().filter_map(|(flag, argument)| Some((flag, argument?))).collect()
    }

    /// These settings, and `other`'s where these say nothing.
    #[expect(clippy::too_many_lines, reason = "one line for each setting")]
    fn or(self, other: Self) -> Self {
        Self {
            data: self.data.or(other.data),
            split: self.split.or(other.split),
            first: self.first.or(other.first),
            sample: self.sample.or(other.sample),
            class_map: self.class_map.or(other.class_map),
            preset: self.preset.or(other.preset),
            resize: self.resize.or(other.resize),
            crop: self.crop.or(other.crop),
            interpolation: self.interpolation.or(other.interpolation),
            mean: self.mean.or(other.mean),
            std: self.std.or(other.std),
            channels: self.channels.or(other.channels),
            layout: self.layout.or(other.layout),
            input_shape: self.input_shape.or(other.input_shape),
            output: self.output.or(other.output),
            norm: self.norm.or(other.norm),
            epsilon: self.epsilon.or(other.epsilon),
            pixels: self.pixels.or(other.pixels),
            attacks: self.attacks.or(other.attacks),
            surrogate: self.surrogate.or(other.surrogate),
            surrogate_mean: self.surrogate_mean.or(other.surrogate_mean),
            surrogate_std: self.surrogate_std.or(other.surrogate_std),
            steps: self.steps.or(other.steps),
            restarts: self.restarts.or(other.restarts),
            targets: self.targets.or(other.targets),
            queries: self.queries.or(other.queries),
            subset: self.subset.or(other.subset),
            eot: self.eot.or(other.eot),
            step_size: self.step_size.or(other.step_size),
            pgd_momentum: self.pgd_momentum.or(other.pgd_momentum),
            pgd_point: self.pgd_point.or(other.pgd_point),
            samples: self.samples.or(other.samples),
            feature: self.feature.or(other.feature),
            accept_approximate: self.accept_approximate.or(other.accept_approximate),
            seed: self.seed.or(other.seed),
            report: self.report.or(other.report),
            save_adversarial: self.save_adversarial.or(other.save_adversarial),
            curve: self.curve.or(other.curve),
            diagnose: self.diagnose.or(other.diagnose),
            landscape: self.landscape.or(other.landscape),
            keep_bundle: self.keep_bundle.or(other.keep_bundle),
            replace_certificate: self.replace_certificate.or(other.replace_certificate),
            resume: self.resume.or(other.resume),
            min_attacked_accuracy: self.min_attacked_accuracy.or(other.min_attacked_accuracy),
            gate_on: self.gate_on.or(other.gate_on),
            min_clean_accuracy: self.min_clean_accuracy.or(other.min_clean_accuracy),
            deny_warnings: self.deny_warnings.or(other.deny_warnings),
            min_preset: self.min_preset.or(other.min_preset),
            baseline: self.baseline.or(other.baseline),
            baseline_tolerance: self.baseline_tolerance.or(other.baseline_tolerance),
            full: self.full.or(other.full),
            time_limit: self.time_limit.or(other.time_limit),
            quiet: self.quiet.or(other.quiet),
            engine: self.engine.or(other.engine),
            device: self.device.or(other.device),
            cross_check: self.cross_check.or(other.cross_check),
            workers: self.workers.or(other.workers),
            threads: self.threads.or(other.threads),
            batch: self.batch.or(other.batch),
            precision: self.precision.or(other.precision),
            onnxruntime: self.onnxruntime.or(other.onnxruntime),
            gate: self.gate.or(other.gate),
        }
    }

    /// These settings, and those of their preset where they say nothing.
    fn or_preset(self) -> Self {
        let preset = self.preset.map_or_else(Self::default, Self::of_preset);
        self.or(preset)
    }

    /// The settings that a preset stands for.
    fn of_preset(name: PresetName) -> Self {
        match name {
            // torchvision's ImageClassification preset.
            PresetName::Imagenet => Self {
                resize: Some(PictureSize::Side(256)),
                crop: Some(PictureSize::Side(224)),
                interpolation: Some(InterpolationName::Bilinear),
                mean: Some([0.485, 0.456, 0.406].map(Fraction::decimal).into()),
                std: Some([0.229, 0.224, 0.225].map(Fraction::decimal).into()),
                ..Self::default()
            },
        }
    }

    /// What holds where nobody says anything. What is measured or required has no default.
    fn defaults() -> Self {
        Self {
            split: Some(SplitName::Test),
            channels: Some(ChannelsName::Rgb),
            norm: Some(NormName::Linf),
            attacks: Some(vec![AttackName::default_choice()]),
            accept_approximate: Some(false),
            seed: Some(0),
            save_adversarial: Some(false),
            curve: Some(false),
            diagnose: Some(false),
            keep_bundle: Some(false),
            replace_certificate: Some(false),
            resume: Some(false),
            deny_warnings: Some(false),
            full: Some(false),
            device: Some(DeviceName::default()),
            cross_check: Some(false),
            precision: Some(PrecisionName::Float32),
            quiet: Some(false),
            ..Self::default()
        }
    }
}
