//! Extra passes after the attacks: a few always, most where they are asked for. Whatever stops them, the result of the attacks stays.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use mimir_bundle::{ImageShape, Manifest};
use mimir_runtime::attack::Query;
use mimir_runtime::evaluate::{Ending, EvaluateError, Evaluation, EvaluationSet, Observer, Plan};
use mimir_runtime::experiments::{
    Experiments, FirstOrder, experiment, first_order, first_order_of_margins, landscapes, plan_of_experiments,
};
use mimir_runtime::landscape::Landscapes;
use mimir_runtime::model::{KeptModels, Loss};
use mimir_runtime::session::{OnnxModels, Precision};

use crate::error::with_causes;
use crate::model::CalibratedModel;

/// What the extra passes found, or why there were none.
pub(crate) type ExtraPasses = Result<Experiments, String>;

/// What extra passes are about.
#[derive(Clone, Copy)]
pub(crate) struct Evaluated<'a> {
    pub(crate) model: &'a CalibratedModel,
    pub(crate) precision: Precision,
    pub(crate) set: &'a EvaluationSet<'a>,
    pub(crate) plan: &'a Plan,
    pub(crate) evaluation: &'a Evaluation,
    pub(crate) observer: &'a dyn Observer,
    pub(crate) interrupted: &'a AtomicBool,
}

impl Evaluated<'_> {
    /// What gradients promise at a few images that nothing broke, in every run: some hundred passes.
    pub(crate) fn first_order(&self, models: &KeptModels) -> Result<FirstOrder, String> {
        let start = Instant::now();
        if self.model.votes() > 1 {
            return Err("losses of a model with random operators differ by draw".to_owned());
        }
        if self.evaluation.ending == Ending::Interrupted {
            return Err("the run was interrupted".to_owned());
        }
        let Self { model, set, plan, evaluation, .. } = self;
        let Manifest { image, classes, .. } = *model.manifest();
        let found = first_order(models, set, plan, (image, classes), evaluation).map_err(words);
        let found = found.and_then(|found| self.or_of_margins(found, (image, classes)));
        self.observer.detail(&format!(
            "what gradients promise was looked at in {:.3} s",
            start.elapsed().as_secs_f64()
        ));
        found
    }

    /// What gradients promise by the margin, where attacks follow no loss that tells it at every image: a cross entropy that is saturated
    /// hides as much as one whose gradients mislead.
    fn or_of_margins(
        &self,
        found: Option<FirstOrder>,
        (image, classes): (ImageShape, usize),
    ) -> Result<FirstOrder, String> {
        let Self { model, set, plan, evaluation, .. } = self;
        let queries = plan.queries(image, classes).map_err(|error| error.to_string())?;
        let follow_gradients = queries.iter().any(|query| matches!(query, Query::Gradient(_)));
        match found {
            Some(found) if found.left_out == 0 || !follow_gradients => Ok(found),
            None if !follow_gradients => Err("no attack follows gradients of a loss".to_owned()),
            _ => {
                let margin = BTreeSet::from([Query::Gradient(Loss::Margin)]);
                let models =
                    model.sessions_for(&margin, self.precision).map_err(|error| with_causes(&error))?;
                first_order_of_margins(&models, set, plan, evaluation).map_err(words)
            }
        }
    }

    /// Makes the experiments of [`mimir_runtime::experiments`] on what the evaluation has found.
    pub(crate) fn extra_passes(&self) -> ExtraPasses {
        let start = Instant::now();
        let models = self.models()?;
        let models = KeptModels::new(&models);
        let Self { set, plan, evaluation, interrupted, .. } = self;
        let found = experiment(&models, set, plan, evaluation, interrupted);
        self.observer.detail(&format!("extra passes took {:.1} s", start.elapsed().as_secs_f64()));
        found.map_err(words)
    }

    /// Draws the loss around so many images, and around the weights.
    pub(crate) fn landscapes(&self, most: usize) -> Result<Landscapes, String> {
        let start = Instant::now();
        let models = self.models()?;
        let models = KeptModels::new(&models);
        let Self { model, set, plan, evaluation, interrupted, .. } = self;
        let images = landscapes(&models, set, plan, evaluation, most).map_err(words)?;
        // Weights that cannot be moved are no reason to draw nothing.
        let weights = model.weight_landscape(set, plan.seed, interrupted).unwrap_or_default();
        self.observer.detail(&format!("landscapes took {:.1} s", start.elapsed().as_secs_f64()));
        Ok(Landscapes { images, weights })
    }

    /// Sessions of the graphs that the experiments need.
    fn models(&self) -> Result<OnnxModels, String> {
        if self.model.votes() > 1 {
            return Err("the model has random operators, so that each point would need many draws".to_owned());
        }
        if self.evaluation.ending == Ending::Interrupted {
            return Err("the run was interrupted".to_owned());
        }
        let sessions = match plan_of_experiments(self.plan) {
            Some(plan) => self.model.sessions(&plan, self.precision),
            None => self.model.original(),
        };
        sessions.map_err(|error| with_causes(&error))
    }
}

fn words(error: EvaluateError) -> String {
    match error {
        EvaluateError::Interrupted => "they were interrupted".to_owned(),
        other => other.to_string(),
    }
}
