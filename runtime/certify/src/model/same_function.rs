//! Whether the graphs that are searched are the function of the file: what is expected of this model's.

use std::sync::atomic::AtomicBool;

use mimir_bundle::PixelType;
use mimir_bundle::certificate::AcceptedDifference;
use mimir_export::SearchScores;
use mimir_runtime::attack::Query;
use mimir_runtime::evaluate::{EvaluationSet, Plan};
use mimir_runtime::model::KeptModels;
use mimir_runtime::report::shown_differences;
use mimir_runtime::same_function::{
    Expected, ExpectedGradients, Rounding, Sample, SearchedGraphs, SearchedScores, differences,
};
use mimir_runtime::session::{Device, Precision};

use super::CalibratedModel;
use crate::error::{Error, ErrorKind, OptionName, OrKind, Result};
use crate::options::ApproximateSearch;

/// What rounding explains, by the coarsest type that file or graphs compute in. Networks in float32 differ by about 10⁻⁶;
/// the bounds leave room for deep ones, and are far below what another function differs by.
const FLOAT32: Rounding = Rounding { unit: 1.0 / (1 << 23) as f64, relative: 1e-3 };
const FLOAT16: Rounding = Rounding { unit: 1.0 / (1 << 10) as f64, relative: 0.05 };
const BFLOAT16: Rounding = Rounding { unit: 1.0 / (1 << 7) as f64, relative: 0.25 };

/// GPUs multiply float32 numbers with the ten bits of TF32.
const TF32: Rounding = Rounding { unit: 1.0 / (1 << 10) as f64, relative: 0.02 };

/// Of a quantised file: sums of 8-bit products that saturate on some processors move scores by many percent, of which a
/// warning tells ([`super::quantised`]).
const QUANTISED: Rounding = Rounding { unit: 1.0 / (1 << 7) as f64, relative: 0.5 };

/// How graphs are searched.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SearchedWays {
    pub(crate) precision: Precision,
    /// What happens where they are not the function of the file.
    pub(crate) approximate: ApproximateSearch,
}

impl CalibratedModel {
    /// Where the graphs that will be searched are not the function of the file, as far as that is accepted.
    ///
    /// # Errors
    /// [`ErrorKind::Model`] where it is not accepted; else as [`Self::differences`].
    pub(crate) fn accepted_differences(
        &self,
        models: &KeptModels,
        plan: &Plan,
        set: &EvaluationSet,
        ways: SearchedWays,
        interrupted: &AtomicBool,
    ) -> Result<Vec<AcceptedDifference>> {
        let found = self.differences(models, plan, set, ways.precision, interrupted)?;
        if found.is_empty() || ways.approximate == ApproximateSearch::Accept {
            return Ok(found);
        }
        let (cause, option) = match ways.precision {
            Precision::Float32 => (
                "Either the engine changed what the file computes when it optimised it, or this program reads an operator \
                 otherwise than the engine",
                OptionName::ApproximateSearch,
            ),
            Precision::Mixed => ("Products in bfloat16 are too coarse for it", OptionName::Precision),
        };
        let message = format!(
            "the graphs that would be searched are not the function of the file: {}. {cause}; attacks would look for what \
             breaks another model",
            shown_differences(&found)
        );
        Err(Error::new(ErrorKind::Model, message).about(option))
    }

    /// Compares the graphs of a plan with the file on the first images: those that are not its function by more than rounding
    /// explains. None of a model with random operators, which cannot be compared with itself.
    ///
    /// # Errors
    /// [`ErrorKind::Interrupted`] when somebody set `interrupted`, else as
    /// [`evaluate`](mimir_runtime::evaluate::evaluate).
    fn differences(
        &self,
        models: &KeptModels,
        plan: &Plan,
        set: &EvaluationSet,
        precision: Precision,
        interrupted: &AtomicBool,
    ) -> Result<Vec<AcceptedDifference>> {
        if !self.classifier.random_operators().is_empty() {
            return Ok(Vec::new());
        }
        let queries = self.queries(plan).or_kind(ErrorKind::Options)?;
        let losses = queries.iter().filter_map(|query| match query {
            Query::Forward | Query::Features | Query::FeatureGradient => None,
            Query::Gradient(loss) => Some(*loss),
        });
        let graphs = SearchedGraphs {
            forward: queries.contains(&Query::Forward),
            losses: losses.collect(),
            features: queries.iter().any(|query| query.is_about_features()),
        };
        let sample = Sample { set, threat_model: &plan.threat_model, seed: plan.seed };
        let expected = self.expected(precision).or_kind(ErrorKind::Model)?;
        Ok(differences(models, &graphs, &sample, &expected, interrupted)?)
    }

    fn expected(&self, precision: Precision) -> mimir_export::Result<Expected> {
        let scan = self.scan();
        let has_steps = !scan.straight_through.is_empty() || !scan.gradient_cuts.is_empty();
        let derives = !has_steps && self.manifest().pixel_type == PixelType::Float;
        Ok(Expected {
            scores: match self.classifier.search_scores()? {
                SearchScores::Returned => SearchedScores::Equal,
                SearchScores::Logarithms => SearchedScores::Logarithms,
                SearchScores::SameOrder => SearchedScores::Ordered,
            },
            rounding: self.rounding(precision),
            has_steps,
            gradients: if derives { ExpectedGradients::Derivatives } else { ExpectedGradients::StandIns },
        })
    }

    fn rounding(&self, precision: Precision) -> Rounding {
        let computes_in = |name: &str| self.scan().float32_copy_of.iter().any(|found| found == name);
        let all = [
            (true, FLOAT32),
            (self.engine.device() != Device::Cpu, TF32),
            (computes_in("float16"), FLOAT16),
            (computes_in("bfloat16") || precision == Precision::Mixed, BFLOAT16),
            (self.is_quantised(), QUANTISED),
        ];
        let holding = all.into_iter().filter(|(holds, _)| *holds).map(|(_, rounding)| rounding);
        holding.fold(FLOAT32, |coarsest, rounding| Rounding {
            unit: coarsest.unit.max(rounding.unit),
            relative: coarsest.relative.max(rounding.relative),
        })
    }
}
