//! Warnings: what a reader must know besides the numbers.

use std::fmt;

use mimir_bundle::certificate::{AcceptedDifference, ComparedQuantity, Processor};
use mimir_bundle::{Scan, ScannedNode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Something unusual about the model or the run. `Display` is a sentence for people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Warning {
    /// The model returns probabilities: gradients were taken of their logarithm.
    ProbabilityOutput,
    /// The file takes a fixed number of images a call; we changed its batch dimension and its logits stayed the same.
    Rebatched,
    /// The file takes one image a call and was evaluated so.
    BatchOfOne,
    /// The file takes so many images a call and was evaluated so.
    FixedBatch {
        /// Images a call.
        rows: usize,
    },
    /// The file takes a fixed number of images a call, could be changed, but its logits did not stay the same.
    RebatchingChangesLogits,
    /// The model has random operators: its class is the one that it names most often, by a test on fresh draws.
    Random {
        /// Evaluations at one point, at most.
        votes: usize,
        /// The chance, for each image, that the test counts it as broken or misclassified wrongly: at most this.
        error_rate: f64,
        /// The nodes.
        nodes: Vec<String>,
    },
    /// Of a model with random operators: clean images whose class no test could decide.
    UndecidedImages {
        /// Their number.
        images: usize,
    },
    /// Operators whose gradient is a stand-in: attacks along it are weaker than along a derivative.
    GradientApproximation {
        /// The nodes.
        nodes: Vec<String>,
    },
    /// Operators that stand between the images and the output, and pass no gradient.
    GradientCut {
        /// The nodes.
        nodes: Vec<String>,
    },
    /// Images of a batch influence each other: evaluated one image at a time.
    MixesImages {
        /// The nodes; none where only running the model showed it.
        nodes: Vec<String>,
    },
    /// The file computes in other numbers than float32, and searches run in float32 copies.
    Float32Copies {
        /// The types of the file.
        types: Vec<String>,
    },
    /// An attack used `z_t - z_y` because the ratio needs more classes.
    MarginForRatio {
        /// Its name.
        attack: String,
        /// Number of classes.
        classes: usize,
    },
    /// No gradient reaches the images: only attacks without gradients were run.
    NoGradient {
        /// Names of the attacks that were left out.
        skipped: Vec<String>,
        /// Names of those that ran.
        ran: Vec<String>,
    },
    /// The first gradient of images was zero in every entry.
    ZeroGradients {
        /// Name of the attack.
        attack: String,
        /// Number of such images.
        images: usize,
        /// Images that the attack was run on.
        attacked: usize,
    },
    /// Gradients of images held entries that were not finite.
    NonFiniteGradients {
        /// Name of the attack.
        attack: String,
        /// Number of such images.
        images: usize,
        /// Images that the attack was run on.
        attacked: usize,
    },
    /// Random search broke images that attacks with gradients had left.
    SquareBeatsGradients {
        /// Number of such images.
        images: usize,
    },
    /// Gradients say nothing of what a step along them does, on images that nothing broke.
    MisleadingGradients {
        /// Their positions in the evaluation set.
        images: Vec<usize>,
        /// Images that it was looked at.
        judged: usize,
    },
    /// The model that `transfer` takes its way from is hardly right more often than guessing is.
    UselessSurrogate {
        /// Images that it classifies correctly.
        correct: usize,
        /// Of so many, spread over the set.
        images: usize,
    },
    /// Gradients of a model without random operators were averaged.
    NeedlessExpectation {
        /// Name of the attack.
        attack: String,
        /// Gradients at each point.
        eot: usize,
    },
    /// The model's logits hold NaN or +∞ at points inside the threat model.
    NonFinite {
        /// Number of images that nothing can be said about.
        count: usize,
        /// The first of them.
        images: Vec<usize>,
    },
    /// A settings file that may have come with the model named more than it may decide.
    IgnoredSettings {
        /// Its path.
        file: String,
        /// What had no effect.
        keys: Vec<String>,
    },
    /// No ONNX Runtime was found, and none was asked for: rten ran the model.
    NoOnnxRuntime {
        /// Why there was none.
        reason: String,
    },
    /// Another engine does not misclassify every counterexample.
    EnginesDisagree {
        /// The other engine and its version.
        engine: String,
        /// Counterexamples that it was shown.
        counterexamples: usize,
        /// The images whose counterexample it does not misclassify.
        images: Vec<usize>,
    },
    /// Most units of an activation pass no gradient, or hardly any: attacks along gradients may miss what is behind them.
    SilentUnits {
        /// The activation with most of them, on the worst image of the sample.
        activation: String,
        /// Share of its units whose result is the same on the whole ball, by interval arithmetic.
        inactive: f64,
        /// Share of its units whose derivative at the image is zero, or that of a gate at its limit, the inactive ones included.
        /// Of a Softmax, units are rows.
        silent: f64,
        /// Images of the sample with as large a share in some activation.
        images: usize,
        /// Images of the sample.
        sampled: usize,
    },
    /// The logits of a quantised file differ from those of its copy in floats by more than rounding explains.
    QuantisedLogitsDiffer {
        /// Length of the difference over the length of the copy's logits, on the first images.
        difference: f64,
        /// What ran the file.
        processor: Processor,
    },
    /// The graphs that were searched are not the function of the file, which was accepted.
    ApproximateSearch {
        /// Where they differ.
        differences: Vec<AcceptedDifference>,
    },
    /// Images whose only counterexamples the file misclassifies by no more than rounding.
    Fragile {
        /// Their positions in the evaluation set.
        images: Vec<usize>,
    },
    /// Images whose counterexample the same numbers classify correctly in float64.
    BrokenInFloat32Only {
        /// Their positions in the evaluation set.
        images: Vec<usize>,
        /// Counterexamples whose margin in float64 is known.
        known: usize,
    },
    /// The attacks are those of the fast preset: fewer than the standard evaluation's.
    FastPreset,
    /// Rules of the diagnosis fail, and no other warning says so.
    DiagnosisFails {
        /// Each rule with what was found.
        rules: Vec<String>,
    },
    /// No tensor was named for the attacks on features, and the program chose one.
    FeatureChosen {
        /// Its name in the model file.
        tensor: String,
        /// Whether the last linear layer reads it; else it is the last tensor before the scores.
        is_penultimate: bool,
    },
    /// The model classifies no image correctly: there was nothing to attack.
    NothingToAttack,
    /// The scores of each of the first images fall, or rise, from class to class: sorted scores do, and they are no
    /// scores of classes.
    SortedScores {
        /// Number of those images.
        images: usize,
    },
    /// Too few images to tell the clean accuracy from chance.
    FewImages {
        /// Number of images.
        images: usize,
        /// Number of classes.
        classes: usize,
    },
    /// The images are a part of their source whose classes are not mixed as in the whole.
    ClassMix {
        /// Number of images.
        images: usize,
        /// Number of images of the source.
        of_images: usize,
        /// Classes among the images.
        classes: usize,
        /// Classes of the source.
        of_classes: usize,
        /// How likely a random part has classes at least as far from the whole's.
        probability: f64,
    },
    /// The images have fewer classes than the model.
    FewerClasses {
        /// Classes of the images, by name and index: `NAME → INDEX`.
        class_map: Vec<String>,
        /// Classes of the model.
        classes: usize,
    },
    /// Class folders are named by numbers and were taken in numeric order, in which they are not as text.
    NumberedClasses {
        /// Number of class folders.
        folders: usize,
    },
    /// Files have an alpha channel, and the model takes none.
    AlphaDropped {
        /// Number of files.
        files: usize,
    },
    /// Files of the class folders are no images.
    FilesLeftOut {
        /// Number of files.
        files: usize,
        /// The first of them.
        first: String,
    },
    /// The model is hardly better than chance on the images as they are.
    NearChance {
        /// Share of images classified correctly.
        clean_accuracy: f64,
        /// Number of classes.
        classes: usize,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ProbabilityOutput => f.write_str(PROBABILITY_OUTPUT),
            Self::Rebatched => f.write_str(REBATCHED),
            Self::BatchOfOne => f.write_str(BATCH_OF_ONE),
            Self::FixedBatch { rows } => fmt_fixed_batch(f, *rows),
            Self::RebatchingChangesLogits => f.write_str(REBATCHING_CHANGES_LOGITS),
            Self::Random { votes, error_rate, nodes } => fmt_random(f, *votes, *error_rate, nodes),
            Self::UndecidedImages { images } => fmt_undecided_images(f, *images),
            Self::GradientApproximation { nodes } => fmt_gradient_approximation(f, nodes),
            Self::GradientCut { nodes } => fmt_gradient_cut(f, nodes),
            Self::MixesImages { nodes } => fmt_mixes_images(f, nodes),
            Self::Float32Copies { types } => fmt_float32_copies(f, types),
            Self::MarginForRatio { attack, classes } => fmt_margin_for_ratio(f, attack, *classes),
            Self::ZeroGradients { attack, images, attacked } => {
                fmt_zero_gradients(f, attack, *images, *attacked)
            }
            Self::NoGradient { skipped, ran } => fmt_no_gradient(f, skipped, ran),
            Self::NonFiniteGradients { attack, images, attacked } => {
                fmt_non_finite_gradients(f, attack, *images, *attacked)
            }
            Self::SquareBeatsGradients { images } => fmt_square_beats_gradients(f, *images),
            Self::MisleadingGradients { images, judged } => fmt_misleading_gradients(f, images, *judged),
            Self::UselessSurrogate { correct, images } => fmt_useless_surrogate(f, *correct, *images),
            Self::NeedlessExpectation { attack, eot } => fmt_needless_expectation(f, attack, *eot),
            Self::NonFinite { count, images } => fmt_non_finite(f, *count, images),
            Self::IgnoredSettings { file, keys } => fmt_ignored_settings(f, file, keys),
            Self::NoOnnxRuntime { reason } => fmt_no_onnx_runtime(f, reason),
            Self::EnginesDisagree { engine, counterexamples, images } => {
                fmt_engines_disagree(f, engine, *counterexamples, images)
            }
            Self::SilentUnits { activation, inactive, silent, images, sampled } => {
                fmt_silent_units(f, activation, [*inactive, *silent], [*images, *sampled])
            }
            Self::QuantisedLogitsDiffer { difference, processor } => {
                fmt_quantised_logits_differ(f, *difference, processor)
            }
            Self::ApproximateSearch { differences } => fmt_approximate_search(f, differences),
            Self::Fragile { images } => fmt_fragile(f, images),
            Self::BrokenInFloat32Only { images, known } => fmt_broken_in_float32_only(f, images, *known),
            Self::FastPreset => f.write_str(FAST_PRESET),
            Self::DiagnosisFails { rules } => fmt_diagnosis_fails(f, rules),
            Self::FeatureChosen { tensor, is_penultimate } => fmt_feature_chosen(f, tensor, *is_penultimate),
            Self::NothingToAttack => f.write_str(NOTHING_TO_ATTACK),
            Self::SortedScores { images } => fmt_sorted_scores(f, *images),
            Self::FewImages { images, classes } => fmt_few_images(f, *images, *classes),
            Self::ClassMix { images, of_images, classes, of_classes, probability } => {
                fmt_class_mix(f, [*images, *of_images], [*classes, *of_classes], *probability)
            }
            Self::FewerClasses { class_map, classes } => fmt_fewer_classes(f, class_map, *classes),
            Self::NumberedClasses { folders } => fmt_numbered_classes(f, *folders),
            Self::AlphaDropped { files } => fmt_alpha_dropped(f, *files),
            Self::FilesLeftOut { files, first } => write!(
                f,
                "{files} files in the class folders are no PNG or JPEG files and were left out (the first: {first})"
            ),
            Self::NearChance { clean_accuracy, classes } => fmt_near_chance(f, *clean_accuracy, *classes),
        }
    }
}

fn fmt_useless_surrogate(f: &mut fmt::Formatter<'_>, correct: usize, images: usize) -> fmt::Result {
    write!(
        f,
        "the surrogate is right on {correct} of {images} images, hardly more than by guessing: what transfer finds with it says \
         little about the model. Check its normalisation (--surrogate-mean, --surrogate-std) and the order of its classes"
    )
}

fn fmt_diagnosis_fails(f: &mut fmt::Formatter<'_>, rules: &[String]) -> fmt::Result {
    write!(
        f,
        "the result must not be believed as it is: {}. See `diagnosis` in the report for what to do",
        rules.join("; ")
    )
}

fn fmt_feature_chosen(f: &mut fmt::Formatter<'_>, tensor: &str, is_penultimate: bool) -> fmt::Result {
    let what = if is_penultimate { "what the last linear layer reads" } else { "the last before the scores" };
    write!(
        f,
        "the attacks on features moved the tensor `{tensor}`, {what}, because none was named: --feature names another, \
         and `mimir-certify features` lists them"
    )
}

fn fmt_alpha_dropped(f: &mut fmt::Formatter<'_>, files: usize) -> fmt::Result {
    write!(
        f,
        "{files} images have an alpha channel, which was dropped as Pillow's convert(\"RGB\") does: pixels that were \
         transparent have the colour that lies under them. Save the images without alpha as in training"
    )
}

/// What a warning means for the verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The verdict means what it says; the warning says how it was found.
    Information,
    /// The attacked accuracy may be higher than a better evaluation would find, or mean less than it seems.
    WeakensVerdict,
}

impl Warning {
    /// What it means for the verdict: the one place that decides what `--deny-warnings` counts.
    pub fn severity(&self) -> Severity {
        match self {
            Self::ProbabilityOutput
            | Self::Rebatched
            | Self::BatchOfOne
            | Self::FixedBatch { .. }
            | Self::RebatchingChangesLogits
            | Self::Random { .. }
            | Self::UndecidedImages { .. }
            | Self::Float32Copies { .. }
            | Self::MarginForRatio { .. }
            | Self::NeedlessExpectation { .. }
            | Self::FastPreset
            | Self::FeatureChosen { .. }
            | Self::Fragile { .. }
            | Self::BrokenInFloat32Only { .. }
            | Self::IgnoredSettings { .. }
            | Self::NoOnnxRuntime { .. }
            // Labels that are wrong make no gate pass.
            | Self::FewerClasses { .. }
            | Self::NumberedClasses { .. }
            | Self::AlphaDropped { .. }
            | Self::FilesLeftOut { .. } => Severity::Information,
            Self::GradientApproximation { .. }
            | Self::GradientCut { .. }
            | Self::MixesImages { .. }
            | Self::ZeroGradients { .. }
            | Self::SquareBeatsGradients { .. }
            | Self::MisleadingGradients { .. }
            | Self::NonFinite { .. }
            | Self::NonFiniteGradients { .. }
            | Self::NoGradient { .. }
            | Self::UselessSurrogate { .. }
            | Self::EnginesDisagree { .. }
            | Self::SilentUnits { .. }
            | Self::QuantisedLogitsDiffer { .. }
            | Self::ApproximateSearch { .. }
            | Self::ClassMix { .. }
            | Self::FewImages { .. }
            | Self::NothingToAttack
            | Self::DiagnosisFails { .. }
            | Self::SortedScores { .. }
            | Self::NearChance { .. } => Severity::WeakensVerdict,
        }
    }

    /// Its name in the report, for programs.
    pub fn kind(&self) -> String {
        let value = serde_json::to_value(self).unwrap_or_default();
        value["kind"].as_str().unwrap_or_default().to_owned()
    }

    /// The warnings that the static scan of a model calls for. Whether images influence each other is not among them:
    /// the caller knows more about that than the scan.
    pub fn from_scan(scan: &Scan) -> Vec<Self> {
        let names = |nodes: &[ScannedNode]| nodes.iter().map(ToString::to_string).collect::<Vec<_>>();
        let mut warnings = Vec::new();
        if !scan.straight_through.is_empty() {
            warnings.push(Self::GradientApproximation { nodes: names(&scan.straight_through) });
        }
        if !scan.gradient_cuts.is_empty() {
            warnings.push(Self::GradientCut { nodes: names(&scan.gradient_cuts) });
        }
        if !scan.float32_copy_of.is_empty() {
            warnings.push(Self::Float32Copies { types: scan.float32_copy_of.clone() });
        }
        warnings
    }
}

const PROBABILITY_OUTPUT: &str = "the model returns probabilities (softmax output): searches use their logarithms, or the \
    scores that they are computed from, as cross entropy of probabilities saturates. Where operators hide those scores, a \
    probability that rounded to 0 or 1 has no gradient. Export the model without its last softmax";

const REBATCHED: &str = "the file has a fixed batch: its batch dimension was changed for speed, and the logits were \
    checked to stay the same";

const BATCH_OF_ONE: &str = "the file takes one image a call and its batch dimension could not be changed: evaluated one \
    image at a time, which is slow. Export the model with a dynamic batch";

const REBATCHING_CHANGES_LOGITS: &str = "the file has a fixed batch, and with another batch dimension it gives \
    other logits: evaluated with the batch of the file, which is slow. Export the model with a dynamic batch";

fn fmt_fixed_batch(f: &mut fmt::Formatter<'_>, rows: usize) -> fmt::Result {
    write!(
        f,
        "the file takes {rows} images a call and its batch dimension could not be changed: batches that are not full \
         were filled with copies of an image, which is slow. Export the model with a dynamic batch"
    )
}

const FAST_PRESET: &str = "the preset fast makes a fraction of the passes of the standard evaluation, and its accuracy is none that \
    publications mean. Beside it, on two networks, it left at most 0.2 points more in Linf and L2, and 1.8 in L1 (docs/results/fast.md); on \
    another network it may leave more. Run --attacks standard before the number is published";
const NOTHING_TO_ATTACK: &str = "the model classifies no image correctly, so there was nothing to attack. Check \
    normalisation (--mean, --std), --layout and the labels";

fn fmt_random(f: &mut fmt::Formatter<'_>, votes: usize, error_rate: f64, nodes: &[String]) -> fmt::Result {
    write!(
        f,
        "the model has random operators ({}): the class that it names most often counts, by a sequential test on at \
         most {votes} fresh evaluations of each point. An image is counted as broken or misclassified wrongly with a \
         chance of at most {:.1} %. Another run can differ",
        nodes.join(", "),
        100.0 * error_rate,
    )
}

fn fmt_undecided_images(f: &mut fmt::Formatter<'_>, images: usize) -> fmt::Result {
    write!(
        f,
        "the model names the label of {images} clean images about as often as another class: they count as classified \
         correctly and were attacked, so that the accuracies stay upper bounds",
    )
}

fn fmt_gradient_approximation(f: &mut fmt::Formatter<'_>, nodes: &[String]) -> fmt::Result {
    write!(
        f,
        "gradient approximation (BPDA) at {}: rounding has no useful derivative, so gradients pass straight through it, \
         and attacks along them are weaker than they look. Keep square among the attacks; every counterexample was \
         confirmed by the file itself",
        shortened(nodes),
    )
}

fn fmt_gradient_cut(f: &mut fmt::Formatter<'_>, nodes: &[String]) -> fmt::Result {
    write!(
        f,
        "no gradient passes {}: attacks see only what goes around, which can look like robustness. Keep square among the \
         attacks, or attack the model adaptively with a smooth substitute",
        shortened(nodes),
    )
}

fn fmt_mixes_images(f: &mut fmt::Formatter<'_>, nodes: &[String]) -> fmt::Result {
    if nodes.is_empty() {
        return f.write_str(
            "the model gives an image other logits in a batch than alone: evaluated one image at a time, which is slow, \
             and says nothing about batches. Export the model in inference mode",
        );
    }
    write!(
        f,
        "images of a batch influence each other at {}: evaluated one image at a time, which is slow, and says nothing \
         about batches. Export the model in inference mode; quantise it statically",
        shortened(nodes),
    )
}

fn fmt_float32_copies(f: &mut fmt::Formatter<'_>, types: &[String]) -> fmt::Result {
    write!(
        f,
        "the file computes in {}: attacks search in float32 copies of it, and the file itself decides what is broken",
        types.join(", "),
    )
}

fn fmt_margin_for_ratio(f: &mut fmt::Formatter<'_>, attack: &str, classes: usize) -> fmt::Result {
    write!(
        f,
        "{attack} used the difference of two logits as its loss: the difference of logits ratio needs more than \
         {classes} classes",
    )
}

fn fmt_no_gradient(f: &mut fmt::Formatter<'_>, skipped: &[String], ran: &[String]) -> fmt::Result {
    write!(
        f,
        "no gradient reaches the images, so {} did not run: the attacked accuracy is that of {} alone, which is a much \
         weaker statement. Raise --queries, or attack the model adaptively with a smooth substitute",
        skipped.join(", "),
        ran.join(", "),
    )
}

fn fmt_zero_gradients(
    f: &mut fmt::Formatter<'_>,
    attack: &str,
    images: usize,
    attacked: usize,
) -> fmt::Result {
    write!(
        f,
        "the first gradient of {attack} was exactly zero for {images} of {attacked} images: a saturated loss or masked \
         gradients, which weaken every attack that follows them. apgd-dlr, apgd-t and square do not depend on the scale \
         of the logits; an operator that cuts the gradient needs an adaptive attack",
    )
}

fn fmt_non_finite_gradients(
    f: &mut fmt::Formatter<'_>,
    attack: &str,
    images: usize,
    attacked: usize,
) -> fmt::Result {
    write!(
        f,
        "gradients of {attack} held NaN or infinity for {images} of {attacked} images: NaN counted as zero, and the \
         search went on with the rest, so it is weaker than it looks. Keep square among the attacks; an operator that \
         overflows, or whose slope is infinite, is the usual cause",
    )
}

fn fmt_square_beats_gradients(f: &mut fmt::Formatter<'_>, images: usize) -> fmt::Result {
    write!(
        f,
        "square, which uses no gradients, broke {images} images that attacks with gradients had left: a sign of masked \
         gradients. Raise --queries and --restarts, or attack the model adaptively",
    )
}

fn fmt_misleading_gradients(f: &mut fmt::Formatter<'_>, images: &[usize], judged: usize) -> fmt::Result {
    write!(
        f,
        "gradients mislead: at {} of {judged} images that nothing broke ({}), a step along the gradient does not change the loss as \
         the gradient promises, by a factor of five or more, so that attacks which follow it are weaker than they look. Add square with \
         many queries, or attack the model adaptively: gradients averaged over noise, a smooth substitute",
        images.len(),
        first_few(images),
    )
}

fn fmt_needless_expectation(f: &mut fmt::Formatter<'_>, attack: &str, eot: usize) -> fmt::Result {
    write!(
        f,
        "{attack} averaged {eot} gradients at each point, but the model has no random operators: they are all the same. \
         Leave --eot away, or take --attacks standard",
    )
}

fn fmt_non_finite(f: &mut fmt::Formatter<'_>, count: usize, images: &[usize]) -> fmt::Result {
    write!(
        f,
        "the model's logits hold NaN or +infinity for {count} images ({}), as they are or at a point inside the threat \
         model, so that they mean no class: these images count as not robust",
        listed(images, count),
    )
}

fn fmt_no_onnx_runtime(f: &mut fmt::Formatter<'_>, reason: &str) -> fmt::Result {
    write!(
        f,
        "rten ran the model, the engine that is a part of this program: {reason}. ONNX Runtime is the faster one and \
         knows more operators; --engine rten takes rten without this warning",
    )
}

fn fmt_fragile(f: &mut fmt::Formatter<'_>, images: &[usize]) -> fmt::Result {
    write!(
        f,
        "{} images ({}) are broken by rounding only: the best point that was found lies so close to a tie of two \
         classes that another engine or processor may classify it correctly. They count as broken, because the file \
         misclassifies them here; run more restarts or steps for points that do not depend on rounding",
        images.len(),
        first_few(images),
    )
}

fn fmt_broken_in_float32_only(f: &mut fmt::Formatter<'_>, images: &[usize], known: usize) -> fmt::Result {
    write!(
        f,
        "{} of {known} counterexamples (images {}) exist in the rounding of float32 only: the same numbers of the file \
         classify these points correctly in float64. They count as broken, because the file misclassifies them; a model \
         whose layers cancel large numbers loses such images to rounding, not to a perturbation",
        images.len(),
        first_few(images),
    )
}

/// The first positions of a list that may be long.
fn first_few(images: &[usize]) -> String {
    const SHOWN: usize = 5;
    listed(&images[..images.len().min(SHOWN)], images.len())
}

fn fmt_engines_disagree(
    f: &mut fmt::Formatter<'_>,
    engine: &str,
    counterexamples: usize,
    images: &[usize],
) -> fmt::Result {
    write!(
        f,
        "{engine} does not misclassify {} of the {counterexamples} counterexamples (images {}): close to the decision \
         the rounding of an engine decides, and elsewhere one of them is wrong. The verdicts are those of the engine \
         that ran the attacks",
        images.len(),
        listed(&images[..images.len().min(LISTED)], images.len()),
    )
}

fn fmt_silent_units(
    f: &mut fmt::Formatter<'_>,
    activation: &str,
    [inactive, silent]: [f64; 2],
    [images, sampled]: [usize; 2],
) -> fmt::Result {
    write!(
        f,
        "of the units of {activation}, {:.1} % pass no gradient, or hardly any, on the worst image ({:.1} % are off on the whole \
         ball by interval bounds); so do 90 % or more in some activation, or 98 % in some gate, for {images} of {sampled} sampled \
         images. Attacks along gradients miss what would turn such units on or off, which looks like robustness. The preset \
         standard runs relaxed-pgd after its four attacks for such models; elsewhere name it among the attacks",
        100.0 * silent,
        100.0 * inactive,
    )
}

fn fmt_quantised_logits_differ(
    f: &mut fmt::Formatter<'_>,
    difference: f64,
    processor: &Processor,
) -> fmt::Result {
    let Processor { name, features } = processor;
    let cause = match processor.may_saturate() {
        true => "8-bit products saturate on processors without VNNI, as this one",
        false => {
            "this processor's 8-bit products do not saturate, so the engine may be at fault (--cross-check)"
        }
    };
    write!(
        f,
        "the quantised file's logits differ from those of its copy in floats by {:.1} % of their length, more than \
         rounding explains: {cause} ({name}; {}). Accuracy and verdicts may not hold on other processors: run on the one \
         that the model is deployed on, or quantise with reduce_range",
        100.0 * difference,
        features.join(", "),
    )
}

fn fmt_approximate_search(f: &mut fmt::Formatter<'_>, differences: &[AcceptedDifference]) -> fmt::Result {
    write!(
        f,
        "the graphs that were searched are not the function of the file (--accept-approximate): {}. Attacks look for what \
         breaks the graphs, so what they did not find says little. Every counterexample was confirmed by the file itself",
        shown_differences(differences),
    )
}

/// Where searched graphs differ from the file, in words.
pub fn shown_differences(differences: &[AcceptedDifference]) -> String {
    let shown = |found: &AcceptedDifference| {
        let AcceptedDifference { graph, quantity, difference, explained, differing, compared } = found;
        let what = match quantity {
            ComparedQuantity::Scores => "has other scores",
            ComparedQuantity::Order => "puts another class first",
            ComparedQuantity::Gradient => "has another gradient",
        };
        let (difference, explained) = (relative(*difference), relative(*explained));
        format!(
            "the graph `{graph}` {what} in {differing} of {compared} comparisons, by up to {difference}, where rounding \
             explains {explained}"
        )
    };
    differences.iter().map(shown).collect::<Vec<_>>().join("; ")
}

/// A share in percent, with two digits that count.
fn relative(share: f64) -> String {
    let percent = 100.0 * share;
    if percent >= 10.0 { format!("{percent:.0} %") } else { format!("{percent:.2} %") }
}

fn fmt_sorted_scores(f: &mut fmt::Formatter<'_>, images: usize) -> fmt::Result {
    write!(
        f,
        "in each of the first {images} images the scores are in the order of the classes: if the model sorts them, the \
         largest is always first, and no attack can succeed whatever the model is. Check that the output has one score \
         for each class, or choose another one (--output)",
    )
}

fn fmt_few_images(f: &mut fmt::Formatter<'_>, images: usize, classes: usize) -> fmt::Result {
    write!(
        f,
        "{images} images are too few to tell the clean accuracy from chance for {classes} classes: the accuracies say \
         little. Take more images"
    )
}

fn fmt_class_mix(
    f: &mut fmt::Formatter<'_>,
    [images, of_images]: [usize; 2],
    [classes, of_classes]: [usize; 2],
    probability: f64,
) -> fmt::Result {
    write!(
        f,
        "the {images} images have {classes} of the {of_classes} classes of all {of_images} images, in shares unlike the \
         whole's (chi-square test: p = {probability:.1e}): sources are often sorted by class. The accuracies and the \
         interval speak about images like these only. --sample {images} draws as many, with the \
         classes in the shares of the whole"
    )
}

fn fmt_fewer_classes(f: &mut fmt::Formatter<'_>, class_map: &[String], classes: usize) -> fmt::Result {
    const NAMED: usize = 12;
    let shown = class_map[..class_map.len().min(NAMED)].join(", ");
    let more = if class_map.len() > NAMED { ", …" } else { "" };
    write!(
        f,
        "the images have {} classes, the model {classes}: they were taken as {shown}{more}. Where the model has other \
         indices for them, give these with --class-map",
        class_map.len(),
    )
}

fn fmt_numbered_classes(f: &mut fmt::Formatter<'_>, folders: usize) -> fmt::Result {
    write!(
        f,
        "the {folders} class folders are named by numbers and were taken in numeric order (2 before 10). torchvision's \
         ImageFolder takes them as text (10 before 2): if the model was trained so, give its indices with --class-map"
    )
}

fn fmt_ignored_settings(f: &mut fmt::Formatter<'_>, file: &str, keys: &[String]) -> fmt::Result {
    write!(
        f,
        "the settings file {file} is in the folder of the model, and may have come with it. Such a file decides no \
         attacks, gates, paths or engines: its {} had no effect. If you trust it, name it with --config {file}",
        keys.join(", "),
    )
}

fn fmt_near_chance(f: &mut fmt::Formatter<'_>, clean_accuracy: f64, classes: usize) -> fmt::Result {
    write!(
        f,
        "the clean accuracy of {:.1} % is hardly above chance for {classes} classes. Check normalisation (--mean, \
         --std), --layout and the labels",
        100.0 * clean_accuracy,
    )
}

/// Images that a sentence names, at most; the report has them all.
const LISTED: usize = 10;

/// The first nodes of a list, and how many more there are.
fn shortened(nodes: &[String]) -> String {
    const NAMED: usize = 5;
    let named = nodes[..nodes.len().min(NAMED)].join(", ");
    match nodes.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more (model.scan in report.json has all)"),
    }
}

/// `3, 5, …` where there are more than those.
fn listed(images: &[usize], count: usize) -> String {
    let names = images.iter().map(ToString::to_string);
    let more = (count > images.len()).then(|| "…".to_owned());
    names.chain(more).collect::<Vec<_>>().join(", ")
}
