//! Rules by their names, and their answers.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Images and nodes that a rule names, at most; it counts them all.
pub(super) const NAMED: usize = 20;

/// A rule by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// The clean accuracy is above chance.
    CleanAccuracy,
    /// The labels are the model's classes in the model's order.
    LabelOrder,
    /// No other customary scaling or order of colours makes the model better.
    InputScaling,
    /// The radius is in pixels of `[0, 1]`.
    EpsilonUnit,
    /// The images stand for their source, and for all classes of the model.
    ImageSelection,
    /// The output has scores of classes that a loss can be taken of.
    ScoresOfClasses,
    /// The logits are finite at every point of the threat model that was asked about.
    FiniteScores,
    /// The same image gives the same logits.
    Deterministic,
    /// The logits of an image do not depend on the others of a batch.
    IndependentImages,
    /// Every operator between images and output has its derivative, and most units pass it.
    DifferentiableOperators,
    /// The searched graphs are the function of the file.
    SearchedFunction,
    /// What the searched graphs misclassify, the file does too (indicator "transfer failure").
    Transfer,
    /// Another engine misclassifies the counterexamples too.
    EnginesAgree,
    /// Counterexamples are misclassified by more than rounding.
    BeyondRounding,
    /// Each image had a gradient to follow (indicator "unavailable gradients").
    AvailableGradients,
    /// No loss is flat at its start.
    UnsaturatedLosses,
    /// Gradients hold finite numbers.
    FiniteGradients,
    /// Scores hardly change under small noise (indicator "unstable predictions").
    StablePredictions,
    /// A step along the gradient changes the loss about as much as the gradient says.
    GradientsPredict,
    /// Every iterate of a search counts, not only its last (indicator "silent success").
    BestPointCounts,
    /// Losses have levelled off by the end of a search (indicator "incomplete optimisation").
    Converged,
    /// Twice as many steps break hardly more.
    StepsEnough,
    /// Another restart breaks hardly more.
    RestartsEnough,
    /// The attacks are those of the standard evaluation, or more.
    StandardAttacks,
    /// Several losses are raised, some towards a target.
    SeveralLosses,
    /// One step breaks nothing that many steps left.
    OneStepNotBetter,
    /// Attacks without gradients break nothing that attacks with gradients left.
    GradientFreeNotBetter,
    /// Counterexamples of a second model break nothing that attacks with gradients left.
    TransferNotBetter,
    /// Random points break nothing that attacks left.
    NoiseNotBetter,
    /// A larger radius never leaves more images robust.
    MonotoneInEpsilon,
    /// Without a limit but the box every image is broken (indicator "unconstrained attack failure").
    UnconstrainedAttack,
}

/// The answer of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RuleVerdict {
    /// Nothing is wrong by this rule.
    Pass,
    /// Something that a reader must know before believing the result.
    Warn,
    /// The result must not be believed as it is.
    Fail,
    /// Nobody looked.
    NotExamined,
}

impl fmt::Display for RuleVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::NotExamined => "not examined",
        })
    }
}

/// A rule and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleAnswer {
    /// The rule.
    pub rule: Rule,
    /// Its answer.
    pub verdict: RuleVerdict,
    /// What was found, in words and numbers.
    pub found: String,
    /// What can be done about it.
    pub way_out: Option<String>,
    /// Positions of images concerned, the first of them.
    pub images: Vec<usize>,
    /// How many images are concerned.
    pub image_count: usize,
    /// Nodes concerned, the first of them.
    pub nodes: Vec<String>,
    /// How many nodes are concerned.
    pub node_count: usize,
    /// Kinds of the warnings of the report that say the same.
    pub warnings: Vec<String>,
}

impl RuleAnswer {
    /// The rule's name in words: `label order`.
    pub fn name(&self) -> String {
        self.id().replace('_', " ")
    }

    /// The rule's name in the report: `label_order`.
    pub fn id(&self) -> String {
        serde_json::to_value(self.rule)
            .ok()
            .and_then(|name| name.as_str().map(str::to_owned))
            .unwrap_or_default()
    }
}

/// How many rules have which answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RuleCounts {
    /// Rules that pass.
    pub pass: usize,
    /// Rules that warn.
    pub warn: usize,
    /// Rules that fail.
    pub fail: usize,
    /// Rules that were not examined.
    pub not_examined: usize,
}

impl RuleCounts {
    /// Counts the answers.
    pub fn of(answers: &[RuleAnswer]) -> Self {
        let count = |verdict| answers.iter().filter(|answer| answer.verdict == verdict).count();
        Self {
            pass: count(RuleVerdict::Pass),
            warn: count(RuleVerdict::Warn),
            fail: count(RuleVerdict::Fail),
            not_examined: count(RuleVerdict::NotExamined),
        }
    }
}

impl fmt::Display for RuleCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pass, warn, fail, not_examined } = self;
        let fail = if *fail == 1 { "1 rule fails".to_owned() } else { format!("{fail} rules fail") };
        write!(f, "{fail}, {warn} warn, {pass} pass, {not_examined} not examined")
    }
}
