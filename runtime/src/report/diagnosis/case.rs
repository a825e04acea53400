//! What rules look at, and how they answer.

use super::answer::{NAMED, Rule, RuleAnswer, RuleVerdict};
use crate::evaluate::{AttackResult, Evaluation, Verdict};
use crate::experiments::Experiments;
use crate::report::{RunDescription, Warning};

/// What rules look at.
pub(super) struct Case<'a> {
    pub(super) description: &'a RunDescription,
    pub(super) evaluation: &'a Evaluation,
    /// Those of the report.
    pub(super) warnings: &'a [Warning],
}

impl<'a> Case<'a> {
    /// What the first warning that it is about says.
    pub(super) fn warned<T>(&self, of: impl FnMut(&'a Warning) -> Option<T>) -> Option<T> {
        self.warnings.iter().find_map(of)
    }

    /// Attacks that followed gradients of the model, in their order.
    pub(super) fn with_gradients(&self) -> impl Iterator<Item = &'a AttackResult> {
        self.evaluation.attacks.iter().filter(|attack| follows_gradients(attack))
    }

    /// Images that nothing broke, those included that were not done with.
    pub(super) fn unbroken(&self) -> impl Iterator<Item = usize> {
        let outcomes = self.evaluation.outcomes.iter();
        let unbroken = outcomes.filter(|outcome| {
            outcome.is_clean_correct()
                && matches!(outcome.verdict, Verdict::StillRobust | Verdict::Unfinished)
        });
        unbroken.map(|outcome| outcome.image)
    }

    /// Unbroken images that are in that list of each attack with gradients that some image of it was attacked by.
    pub(super) fn in_each(&self, list: fn(&AttackResult) -> &Vec<usize>) -> Vec<usize> {
        let lists: Vec<&Vec<usize>> = self.with_gradients().map(list).collect();
        let in_all =
            |image: &usize| !lists.is_empty() && lists.iter().all(|list| list.binary_search(image).is_ok());
        self.unbroken().filter(in_all).collect()
    }

    /// Images that an attack broke.
    pub(super) fn broken_by(&self, name: &str) -> Vec<usize> {
        let outcomes = self.evaluation.outcomes.iter();
        let broken = outcomes
            .filter(|outcome| matches!(&outcome.verdict, Verdict::Broken { attack, .. } if attack == name));
        broken.map(|outcome| outcome.image).collect()
    }

    /// Number of images.
    pub(super) fn images(&self) -> usize {
        self.evaluation.outcomes.len()
    }

    /// What extra passes found.
    pub(super) fn experiments(&self) -> Option<&'a Experiments> {
        self.description.experiments.as_ref()
    }

    /// The answer of a rule that needs extra passes that nobody asked for, or that could not be made.
    pub(super) fn without_passes(&self) -> Answer {
        match &self.description.without_experiments {
            Some(reason) => Answer::not_examined(format!("extra passes were not possible: {reason}")),
            None => Answer::not_examined("it needs extra passes").way_out("run with --diagnose"),
        }
    }
}

/// Whether an attack followed gradients of the attacked model, and not of another one.
pub(super) fn follows_gradients(attack: &AttackResult) -> bool {
    attack.passes.backwards > 0 && !attack.spec.needs_no_gradient()
}

/// The answer of a rule, before it has its name.
pub(super) struct Answer {
    verdict: RuleVerdict,
    found: String,
    way_out: Option<String>,
    images: Vec<usize>,
    nodes: Vec<String>,
    warnings: Vec<&'static str>,
}

impl Answer {
    pub(super) fn new(verdict: RuleVerdict, found: impl Into<String>) -> Self {
        let (images, nodes, warnings) = (Vec::new(), Vec::new(), Vec::new());
        Self { verdict, found: found.into(), way_out: None, images, nodes, warnings }
    }

    pub(super) fn pass(found: impl Into<String>) -> Self {
        Self::new(RuleVerdict::Pass, found)
    }

    pub(super) fn warn(found: impl Into<String>) -> Self {
        Self::new(RuleVerdict::Warn, found)
    }

    pub(super) fn fail(found: impl Into<String>) -> Self {
        Self::new(RuleVerdict::Fail, found)
    }

    pub(super) fn not_examined(why: impl Into<String>) -> Self {
        Self::new(RuleVerdict::NotExamined, why)
    }

    pub(super) fn way_out(self, way_out: impl Into<String>) -> Self {
        Self { way_out: Some(way_out.into()), ..self }
    }

    pub(super) fn of_images(self, images: Vec<usize>) -> Self {
        Self { images, ..self }
    }

    pub(super) fn at_nodes(self, nodes: Vec<String>) -> Self {
        Self { nodes, ..self }
    }

    /// Warnings that say the same.
    pub(super) fn warned_as(self, warnings: &[&'static str]) -> Self {
        Self { warnings: warnings.to_vec(), ..self }
    }

    /// With the name of its rule, and not more than so many images and nodes.
    pub(super) fn of_rule(self, rule: Rule) -> RuleAnswer {
        let Self { verdict, found, way_out, mut images, mut nodes, warnings } = self;
        let (image_count, node_count) = (images.len(), nodes.len());
        images.truncate(NAMED);
        nodes.truncate(NAMED);
        let warnings = warnings.into_iter().map(str::to_owned).collect();
        RuleAnswer { rule, verdict, found, way_out, images, image_count, nodes, node_count, warnings }
    }
}
