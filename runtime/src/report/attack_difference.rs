//! What differs between two lists of attacks, in words.

use std::collections::{BTreeMap, BTreeSet};

use mimir_bundle::AttackSpec;
use serde_json::Value;

/// What is in the first list and in the second, where they differ: the names, or else the parameters of the first attack that has
/// others, as `apgd-ce with steps 100, restarts 5`.
pub fn differing_attacks(old: &[&AttackSpec], new: &[&AttackSpec]) -> Option<(String, String)> {
    let names = |specs: &[&AttackSpec]| specs.iter().map(|spec| spec.name()).collect::<Vec<_>>().join(", ");
    let (was, is) = (names(old), names(new));
    if was != is {
        return Some((was, is));
    }
    let (old, new) = old.iter().zip(new).find(|(old, new)| old != new)?;
    let (was, is) = (parameters(old), parameters(new));
    let all: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
    let differing: Vec<&String> = all.into_iter().filter(|key| was.get(*key) != is.get(*key)).collect();
    let words = |values: &BTreeMap<String, String>| {
        let word = |key: &&String| {
            let value = values.get(*key).map_or("none", String::as_str);
            format!("{key} {value}")
        };
        format!("{} with {}", new.name(), differing.iter().map(word).collect::<Vec<_>>().join(", "))
    };
    Some((words(&was), words(&is)))
}

/// Each parameter by itself, those of a surrogate by `surrogate.digest` and so on.
fn parameters(spec: &AttackSpec) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    if let Ok(value) = serde_json::to_value(spec) {
        add("", &value, &mut found);
    }
    // The same model elsewhere is the same.
    found.remove("surrogate.file");
    found
}

fn add(name: &str, value: &Value, found: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(entries) => {
            let dot = if name.is_empty() { "" } else { "." };
            entries.iter().for_each(|(key, value)| add(&format!("{name}{dot}{key}"), value, found));
        }
        Value::Null => {}
        Value::String(text) => drop(found.insert(name.to_owned(), text.clone())),
        other => drop(found.insert(name.to_owned(), other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use mimir_bundle::attack::{SurrogateModel, TransferSpec};
    use mimir_bundle::{ChannelOrder, Normalisation};

    use super::*;

    #[test]
    fn names_or_what_differs_of_the_first_that_differs_is_said() {
        let [ce, square] = ["apgd-ce", "square"].map(|name| AttackSpec::named(name).unwrap());
        assert_eq!(differing_attacks(&[&ce, &square], &[&ce, &square]), None);
        let said = differing_attacks(&[&ce, &square], &[&ce]).unwrap();
        assert_eq!(said, ("apgd-ce, square".to_owned(), "apgd-ce".to_owned()));
        let mut fewer = ce.clone();
        assert!(fewer.set("steps", mimir_bundle::attack::Argument::Count(7)));
        let said = differing_attacks(&[&square, &ce], &[&square, &fewer]).unwrap();
        assert_eq!(said, ("apgd-ce with steps 100".to_owned(), "apgd-ce with steps 7".to_owned()));
    }

    /// A surrogate is what is in its file, whatever that is called.
    #[test]
    fn the_same_surrogate_elsewhere_is_the_same() {
        let transfer = |file: &str, digest: &str, mean: Option<f64>| {
            let surrogate = SurrogateModel {
                file: file.into(),
                model_digest: digest.into(),
                normalisation: mean.map(|mean| Normalisation::new([mean], [1.0])),
                channel_order: ChannelOrder::Rgb,
                output_name: "logits".into(),
            };
            AttackSpec::Transfer(TransferSpec { surrogate: Some(surrogate), ..TransferSpec::default() })
        };
        let first = transfer("a.onnx", "12", None);
        assert_eq!(differing_attacks(&[&first], &[&transfer("b.onnx", "12", None)]), None);
        let (was, is) = differing_attacks(&[&first], &[&transfer("a.onnx", "13", None)]).unwrap();
        assert_eq!(
            (&*was, &*is),
            ("transfer with surrogate.model_digest 12", "transfer with surrogate.model_digest 13")
        );
        let (was, is) = differing_attacks(&[&first], &[&transfer("a.onnx", "12", Some(0.5))]).unwrap();
        assert!(
            was.contains("surrogate.normalisation.mean none") && is.contains("mean [0.5]"),
            "{was}; {is}"
        );
    }
}
