//! The certificate: a record of one evaluation, bound to the model and the images by digests.
//!
//! It is not a proof of robustness. What may be concluded from it, and every field, is in `docs/certificate.md`.

mod check;
mod derived;
mod settings;

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::FileDigest;
use crate::{AttackSpec, Manifest, ThreatModel, strict_json};

/// The version of the format that this crate writes, and the only one that it reads.
pub const CERTIFICATE_VERSION: u32 = 4;

/// What every certificate says about itself.
pub const STATEMENT: &str = "This is a record of an evaluation, not a proof. For each image counted as broken, a \
    perturbation within the threat model was found and confirmed by the model itself. For each image counted as \
    still robust, the listed attacks found none; others may. The attacked accuracy is an upper bound of the robust \
    accuracy on these images, for this model file, executed as stated.";

/// Kinds of [`WarningRecord`] that do not weaken what the numbers say. Whoever refuses warnings refuses every other kind,
/// those included that a later program may write.
pub const INFORMATION: &[&str] = &[
    "probability_output",
    "rebatched",
    "batch_of_one",
    "fixed_batch",
    "rebatching_changes_logits",
    "random",
    "undecided_images",
    "float32_copies",
    "margin_for_ratio",
    "needless_expectation",
    "fragile",
    "broken_in_float32_only",
    "ignored_settings",
    "no_onnx_runtime",
    "fast_preset",
    "feature_chosen",
    "fewer_classes",
    "numbered_classes",
    "alpha_dropped",
    "files_left_out",
];

/// A record of one evaluation of one model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// [`CERTIFICATE_VERSION`].
    pub schema_version: u32,
    /// What the record means: [`STATEMENT`].
    pub statement: String,
    /// When the evaluation ended, RFC 3339 in UTC.
    pub created_at: String,
    /// The program that evaluated.
    pub tool: Tool,
    /// The model, with the digest of its bytes.
    pub model: Manifest,
    /// The images and labels, with their digests.
    pub data: EvaluationData,
    /// What the adversary was allowed to do.
    pub threat_model: ThreatModel,
    /// Key of all randomness.
    pub seed: u64,
    /// The preset whose attacks these are, with all their parameters: `standard`, `plus`, `rand` or `fast`. None where one of them
    /// is another, or has another parameter.
    pub preset: Option<String>,
    /// The attacks in the order in which they ran, each on the images that were still robust.
    pub attacks: Vec<AttackRecord>,
    /// Images that the attacks of the standard evaluation left, where others were added after them.
    pub standard_still_robust: Option<usize>,
    /// How much of the evaluation was done.
    pub extent: Extent,
    /// What was set, and where.
    pub settings: RunSettings,
    /// How the model was executed.
    pub execution: Execution,
    /// How predictions were decided, where the model has random operators.
    pub majority_test: Option<MajorityTest>,
    /// What another engine says about the counterexamples, where it was asked.
    pub cross_check: Option<CrossCheck>,
    /// Where the graphs that were searched are not the function of the file, which whoever ran the evaluation accepted.
    /// Absent where they agree.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepted_differences: Vec<AcceptedDifference>,
    /// What came out.
    pub counts: Counts,
    /// What was required, and the answer.
    pub gate: GateRecord,
    /// What a reader must know besides the numbers.
    pub warnings: Vec<WarningRecord>,
    /// The stored counterexamples, where they were asked for.
    pub counterexamples: Option<Counterexamples>,
}

/// How it was decided what a model with random operators predicts at a point: by draws, until a test is certain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MajorityTest {
    /// The test.
    pub test: String,
    /// The chance, for each image, that it is counted as broken or misclassified although the model names its label
    /// most often at every point that was asked about: at most this.
    pub error_rate: f64,
    /// Evaluations of the model at one point, at most.
    pub most_draws: usize,
}

/// How much of an evaluation was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Extent {
    /// Every attack was done with every image, or left it out as its `subset` says.
    Complete,
    /// It stopped when the answer of a gate was certain: the attacked accuracy is an upper bound of what all attacks
    /// would have left.
    GateDecided,
}

/// The program that made a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The commit that it was built from, with `-modified` behind it where the sources differed from it; none where it
    /// was built outside a checkout.
    pub commit: Option<String>,
}

/// Which images were evaluated. The digests bind; the rest says where they came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvaluationData {
    /// Kind and place, as the user named it: `cifar10:PATH`.
    pub source: String,
    /// The part of the data set, `test` or `train`, where it has parts.
    pub split: Option<String>,
    /// Only the first so many images, in file order; all where absent.
    pub first: Option<usize>,
    /// A part that was drawn; the digests bind what was drawn.
    pub sample: Option<SampleRecord>,
    /// What was done to each picture before the model saw it. The ball is around what came out.
    pub preprocessing: Option<Preprocessing>,
    /// The indices of classes by their names, where a file gave them.
    pub class_map: Option<BTreeMap<String, usize>>,
    /// The decoder of JPEG files and its version, where the source may have such files: others give other pixels.
    pub jpeg_decoder: Option<String>,
    /// Names of the classes by label, where the source names them.
    pub class_names: Option<Vec<String>>,
    /// The file of each image, relative to the folder of the source, where each image has a file of its own.
    pub image_files: Option<Vec<String>>,
    /// [`digest_tensor`](crate::digest::digest_tensor) of the decoded images `[N, C, H, W]` in `[0, 1]`.
    pub images_digest: String,
    /// [`digest_labels`](crate::digest::digest_labels) of the labels `[N]`.
    pub labels_digest: String,
}

/// A part of a set of images that was drawn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SampleRecord {
    /// Images drawn.
    pub count: usize,
    /// Key of the draw.
    pub seed: u64,
    /// The rule of the draw, in words.
    pub method: String,
}

/// Resizing and cropping, as torchvision's `Resize` and `CenterCrop` do on 8-bit PIL images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Preprocessing {
    /// What pictures were resized to.
    pub resize: Option<Resize>,
    /// Height and width of the middle that was taken, black around what was smaller.
    pub crop: Option<[usize; 2]>,
    /// How pixels in between were made.
    pub interpolation: Interpolation,
}

/// What pictures are resized to, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Resize {
    /// The shorter side; the longer one keeps the ratio.
    ShorterSide(usize),
    /// Height and width.
    Exact([usize; 2]),
}

/// How pixels in between are made, with antialiasing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Interpolation {
    /// Pillow's `BILINEAR`.
    Bilinear,
    /// Pillow's `BICUBIC`.
    Bicubic,
}

impl fmt::Display for Preprocessing {
    /// `resized to 256 (shorter side, bilinear), middle 224 x 224`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let filter = match self.interpolation {
            Interpolation::Bilinear => "bilinear",
            Interpolation::Bicubic => "bicubic",
        };
        match self.resize {
            None => {}
            Some(Resize::ShorterSide(side)) => write!(f, "resized to {side} (shorter side, {filter})")?,
            Some(Resize::Exact([height, width])) => write!(f, "resized to {height} x {width} ({filter})")?,
        }
        let comma = if self.resize.is_some() { ", " } else { "" };
        match self.crop {
            None => Ok(()),
            Some([height, width]) => write!(f, "{comma}middle {height} x {width}"),
        }
    }
}

/// One attack: what it was, how many images it met and broke, and what it cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AttackRecord {
    /// Its name, e.g. `apgd-ce`.
    pub name: String,
    /// Everything that decides what it does.
    pub parameters: AttackSpec,
    /// Images that were left for it: with the parameter `subset` it was run on that share of them.
    pub attacked: usize,
    /// Images of those that it broke.
    pub broken: usize,
    /// Images of those for which the model's logits were not finite.
    pub non_finite: usize,
    /// Images of those that stayed robust: `attacked - broken - non_finite`.
    pub still_robust: usize,
    /// Images of those that it was not done with when the evaluation stopped.
    pub unfinished: usize,
    /// Forward passes, counted in images, those that confirm counterexamples included.
    pub forwards: u64,
    /// Backward passes, counted in images.
    pub backwards: u64,
}

/// The settings of a run, and which files they came from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunSettings {
    /// The settings files that were read; those before have precedence.
    pub files: Vec<SettingsFile>,
    /// Every setting that held, by the name of its flag; empty where a program called the library.
    pub effective: BTreeMap<String, serde_json::Value>,
}

/// A settings file that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SettingsFile {
    /// Its path.
    pub path: String,
    /// SHA-256 of its bytes.
    pub sha256: String,
    /// Why it was read.
    pub place: SettingsPlace,
    /// The settings that it decided, by the names of their flags: no flag and no file before this one gave them.
    pub keys: Vec<String>,
    /// Settings in it that had no effect, because a file in its place may not decide them.
    pub ignored: Vec<String>,
}

/// Why a settings file was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SettingsPlace {
    /// It was named.
    Named,
    /// It is in the folder that the program was started in.
    WorkingFolder,
    /// It is beside the model, and may only describe the model.
    BesideModel,
}

/// How the model was executed. Another engine, version or machine may round differently.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Execution {
    /// The engine: `onnxruntime` or `rten`.
    pub engine: String,
    /// Its version.
    pub engine_version: String,
    /// The file of its library, by its path; none where the engine is a part of the program.
    pub library: Option<FileDigest>,
    /// What it ran on: `cpu`, `cuda:N` or `tensorrt:N`.
    pub device: String,
    /// Graph optimisation level of the sessions.
    pub optimisation: String,
    /// What the searches compute in: `float32`, or `mixed` where the processor may use less. What breaks an image is
    /// always decided in float32.
    pub precision: String,
    /// Images in a call, at most.
    pub batch: usize,
    /// Sessions side by side.
    pub workers: usize,
    /// Threads inside each session.
    pub threads: usize,
    /// Processor architecture, e.g. `x86_64`.
    pub architecture: String,
    /// Operating system, e.g. `linux`.
    pub operating_system: String,
    /// The processor. Engines choose their kernels by it, and 8-bit products may saturate on some.
    pub processor: Processor,
}

/// The processor that ran an evaluation, as far as results depend on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Processor {
    /// The name that it gives itself, e.g. `Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz`; `unknown` where there is none.
    pub name: String,
    /// Instruction sets that engines choose kernels by, in alphabetical order: of `avx2`, `avx512bf16`, `avx512f`,
    /// `avx512vnni`, `avxvnni` and `fma` on x86_64, of `bf16`, `dotprod` and `i8mm` on aarch64. Empty on others.
    pub features: Vec<String>,
}

impl Processor {
    /// Whether sums of products of unsigned and signed 8-bit numbers may saturate: x86_64 without VNNI, where engines
    /// add pairs of them in 16 bits.
    pub fn may_saturate(&self) -> bool {
        let has = |name: &str| self.features.iter().any(|feature| feature == name);
        (has("avx2") || has("avx512f")) && !has("avx512vnni") && !has("avxvnni")
    }

    /// Instruction sets that one of the two has and the other has not, in alphabetical order.
    pub fn differing_features(&self, other: &Self) -> Vec<String> {
        let only = |these: &Self, those: &Self| {
            let missing = these.features.iter().filter(|feature| !those.features.contains(feature));
            missing.cloned().collect::<Vec<_>>()
        };
        let mut differing = [only(self, other), only(other, self)].concat();
        differing.sort();
        differing
    }
}

/// What another engine says about the counterexamples. It changes no verdict: the engine of [`Execution`] decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CrossCheck {
    /// The other engine: `onnxruntime` or `rten`, on the processor.
    pub engine: String,
    /// Its version.
    pub engine_version: String,
    /// Counterexamples that it was shown: those of all broken images.
    pub counterexamples: usize,
    /// Those that it misclassifies too.
    pub confirmed: usize,
    /// The same for each attack.
    pub attacks: Vec<CrossCheckedAttack>,
    /// The others, in the order of the images.
    pub disagreements: Vec<Disagreement>,
}

/// A graph that was searched, and differs from the file's own session by more than rounding explains.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AcceptedDifference {
    /// The graph: `forward`, or `gradient of LOSS`.
    pub graph: String,
    /// What differs.
    pub quantity: ComparedQuantity,
    /// The largest difference: of scores relative to their largest distance from their mean, of gradients relative to the
    /// larger of slope and difference.
    pub difference: f64,
    /// What rounding explains of it.
    pub explained: f64,
    /// Comparisons in which rounding does not explain the difference.
    pub differing: usize,
    /// Comparisons.
    pub compared: usize,
}

/// What of a searched graph is compared with the file's own session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ComparedQuantity {
    /// The scores of the classes.
    Scores,
    /// Which class has the highest score.
    Order,
    /// The gradient, with differences of the file's scores.
    Gradient,
}

/// The kind of the [`WarningRecord`] of a certificate with [`AcceptedDifference`]s.
pub const APPROXIMATE_SEARCH: &str = "approximate_search";

/// One attack before another engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CrossCheckedAttack {
    /// Its name.
    pub name: String,
    /// Images that it broke.
    pub counterexamples: usize,
    /// Those whose counterexample the other engine misclassifies too.
    pub confirmed: usize,
}

/// A counterexample that another engine classifies correctly, or whose logits are not finite there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Disagreement {
    /// Position of the image in the evaluation set.
    pub image: usize,
    /// The attack that found it.
    pub attack: String,
    /// Class that the other engine predicts; none where its logits are not finite.
    pub prediction: Option<usize>,
}

/// How many images there were, and what became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Images evaluated.
    pub images: usize,
    /// Images that the model classifies correctly as they are.
    pub clean_correct: usize,
    /// Images of those that a confirmed counterexample breaks, the fragile ones included.
    pub broken: usize,
    /// Images of those that are broken by rounding only: the file misclassifies the counterexample by no more than 16
    /// units in the last place of its largest logit, and no attack found a stronger one. They count as broken.
    pub fragile: usize,
    /// Images of those for which all attacks found none.
    pub still_robust: usize,
    /// Images for which the model returned a number that is not finite, and nothing else is known: not robust.
    pub non_finite: usize,
    /// Images for which none was found before the evaluation stopped.
    pub unfinished: usize,
}

impl Counts {
    /// Images that are not known to be broken: what the attacked accuracy counts.
    pub fn not_broken(&self) -> usize {
        self.still_robust + self.unfinished
    }
}

/// The verdict: whether what was required holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GateRecord {
    /// `no_requirement`, `holds`, `does_not_hold` or `inconclusive`.
    pub conclusion: String,
    /// The first line of the summary.
    pub sentence: String,
    /// The attacked accuracy that was required, where one was.
    pub min_attacked_accuracy: Option<f64>,
    /// The exit code of the program.
    pub exit_code: u8,
}

/// A warning of the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WarningRecord {
    /// For programs.
    pub kind: String,
    /// For people.
    pub message: String,
}

/// Where the counterexamples are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Counterexamples {
    /// Name of the file beside the certificate.
    pub file: String,
    /// [`digest_bytes`](crate::digest::digest_bytes) of the file.
    pub digest: String,
}

/// Why a text is not a certificate that we read.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// Not JSON, a field too many, a field missing, or of the wrong type.
    #[error("not a certificate: {0}")]
    Format(#[from] serde_json::Error),
    /// A format from before files of a model were told apart.
    #[error(
        "certificate has schema version {0}, this program reads version {CERTIFICATE_VERSION}: before version 4 the \
         digest of a model did not say where one of its files ends and the next begins, so that it does not bind the \
         certificate to one model. Evaluate the model again"
    )]
    AmbiguousModel(u64),
    /// A format that this version does not know.
    #[error("certificate has schema version {0}, this program reads version {CERTIFICATE_VERSION}")]
    Version(u64),
    /// Fields that cannot all be true.
    #[error("certificate contradicts itself: {0}")]
    Contradiction(String),
}

impl Certificate {
    /// Parses and checks a certificate. The version is looked at before any other field.
    ///
    /// # Errors
    /// When the text is not JSON of this format, has another version, or contradicts itself.
    pub fn from_json(text: &str) -> Result<Self, CertificateError> {
        #[derive(Deserialize)]
        struct Version {
            schema_version: u64,
        }
        let Version { schema_version } = strict_json::from_slice(text.as_bytes())?;
        match schema_version {
            1..=3 => return Err(CertificateError::AmbiguousModel(schema_version)),
            version if version == u64::from(CERTIFICATE_VERSION) => {}
            version => return Err(CertificateError::Version(version)),
        }
        let certificate: Self = serde_json::from_str(text)?;
        certificate.check()?;
        Ok(certificate)
    }
}

#[cfg(test)]
mod tests;
