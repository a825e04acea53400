//! How often a model is asked what it predicts.

use mimir_bundle::AttackSpec;
use mimir_export::ImageClassifier;
use mimir_runtime::majority::{ERROR_RATE, MOST_DRAWS};
use mimir_runtime::report::Warning;

use crate::error::{Error, ErrorKind, OptionName, Result};

/// Evaluations that may decide what the model predicts at a point: one, or as many as the
/// [test](mimir_runtime::majority) of a model with random operators may make.
///
/// # Errors
/// When the model has random operators and no attack averages: it would report too high an accuracy.
pub(super) fn votes(
    classifier: &ImageClassifier,
    attacks: &[AttackSpec],
) -> Result<(usize, Option<Warning>)> {
    let nodes = classifier.random_operators();
    let most = attacks.iter().max_by_key(|attack| attack.eot());
    match (nodes.is_empty(), most.map_or(1, AttackSpec::eot)) {
        (true, 1) => Ok((1, None)),
        (true, eot) => {
            let attack = most.map_or("", AttackSpec::name).to_owned();
            Ok((1, Some(Warning::NeedlessExpectation { attack, eot })))
        }
        (false, 1) => {
            let message = format!(
                "the model has random operators ({}), and these attacks assume a deterministic model: they would \
                 report too high an accuracy",
                nodes.join(", ")
            );
            Err(Error::new(ErrorKind::Model, message).about(OptionName::Attacks))
        }
        (false, _) => {
            let nodes = nodes.to_vec();
            Ok((MOST_DRAWS, Some(Warning::Random { votes: MOST_DRAWS, error_rate: ERROR_RATE, nodes })))
        }
    }
}
