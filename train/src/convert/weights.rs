//! Where in a checkpoint the weights are.

use super::error::ConvertError;
use super::torch_file::TorchFile;
use crate::pickle::Value;

/// Keys under which training programs save weights, in the order in which they are tried.
const KEYS: [&str; 5] = ["model", "state_dict", "model_state_dict", "model_ema", "state_dict_ema"];

/// The dictionary of tensors.
pub(super) struct Weights {
    /// Keys and values in the order of the file.
    pub(super) entries: Vec<(String, Value)>,
    /// Keys of the file beside it.
    pub(super) beside: Vec<String>,
}

/// The weights under `take`, or else under one of [`KEYS`], or the file itself.
pub(super) fn find(file: &TorchFile, take: Option<&str>) -> Result<Weights, ConvertError> {
    let root = file.root();
    let Some(entries) = file.entries(&root) else {
        return Err(file.refuse(format!("a {}", file.type_name(&root)), "a dictionary"));
    };
    let under = |key: &str| {
        let (_, value) = entries.iter().rev().find(|(name, _)| name == key)?;
        let weights = file.entries(value).filter(|weights| is_weights(file, weights))?;
        let beside = entries.iter().map(|(name, _)| name).filter(|name| *name != key).cloned().collect();
        Some(Weights { entries: weights, beside })
    };
    let found = match take {
        Some(key) => under(key),
        None => KEYS.iter().find_map(|key| under(key)),
    };
    match found {
        Some(found) => Ok(found),
        None if take.is_none() && is_weights(file, &entries) => Ok(Weights { entries, beside: Vec::new() }),
        None => {
            let place = take.map_or_else(
                || "no weights found (--take names their key)".to_owned(),
                |key| format!("no weights under `{key}`"),
            );
            let keys: Vec<String> = entries.into_iter().map(|(name, _)| name).collect();
            Err(ConvertError::NoWeights { place, keys: keys.join(", ") })
        }
    }
}

fn is_weights(file: &TorchFile, entries: &[(String, Value)]) -> bool {
    entries.iter().any(|(_, value)| file.is_tensor(value))
}
