//! How often a model is asked what it predicts.

use mimir_bundle::AttackSpec;
use mimir_export::ImageClassifier;
use mimir_runtime::report::Warning;

use crate::error::{Error, ErrorKind, OptionName, Result};

/// Evaluations that decide what the model predicts: as many as the attacks average over, where it has random operators.
///
/// # Errors
/// When the model has random operators and no attack averages: it would report too high an accuracy.
pub(super) fn votes(
    classifier: &ImageClassifier,
    attacks: &[AttackSpec],
) -> Result<(usize, Option<Warning>)> {
    let nodes = classifier.random_operators();
    let most = attacks.iter().max_by_key(|attack| attack.eot());
    let votes = most.map_or(1, AttackSpec::eot);
    match (nodes.is_empty(), votes) {
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
        (false, votes) => Ok((votes, Some(Warning::Random { votes, nodes: nodes.to_vec() }))),
    }
}
