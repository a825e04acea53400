//! Configurations as sets of keys: their digest, and what differs between two.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use toml::{Table, Value};

use super::RunError;

/// SHA-256 over keys and values of a TOML text, in hexadecimal. Order and comments do not count, nor do the keys of
/// `may_differ` and everything below them (`data` stands for `data.path` too).
///
/// # Errors
/// [`RunError::Config`].
pub fn config_digest(text: &str, may_differ: &[&str]) -> Result<String, RunError> {
    let mut digest = Sha256::new();
    for (key, value) in keys(text, may_differ)? {
        digest.update(format!("{key} = {value}\n"));
    }
    Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// One line for each key whose value differs between two TOML texts, in the order of keys, as [`config_digest`] sees them.
///
/// # Errors
/// [`RunError::Config`].
pub fn config_differences(then: &str, now: &str, may_differ: &[&str]) -> Result<Vec<String>, RunError> {
    let (then, now) = (keys(then, may_differ)?, keys(now, may_differ)?);
    let mut names: Vec<&String> = then.keys().chain(now.keys()).collect();
    names.sort();
    names.dedup();
    let shown = |value: Option<&String>| value.map_or("not set", String::as_str).to_owned();
    let changed = names.into_iter().filter(|&name| then.get(name) != now.get(name));
    Ok(changed
        .map(|name| format!("{name}: {} then, {} now", shown(then.get(name)), shown(now.get(name))))
        .collect())
}

/// Dotted keys and their values as TOML.
fn keys(text: &str, may_differ: &[&str]) -> Result<BTreeMap<String, String>, RunError> {
    let mut keys = BTreeMap::new();
    flatten("", &text.parse::<Table>()?, &mut keys);
    keys.retain(|key, _| !may_differ.iter().any(|free| is_below(key, free)));
    Ok(keys)
}

fn flatten(prefix: &str, table: &Table, keys: &mut BTreeMap<String, String>) {
    for (name, value) in table {
        match value {
            Value::Table(inner) => flatten(&format!("{prefix}{name}."), inner, keys),
            other => {
                keys.insert(format!("{prefix}{name}"), other.to_string());
            }
        }
    }
}

fn is_below(key: &str, table: &str) -> bool {
    key.strip_prefix(table).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "epochs = 50\n[data]\npath = \"a\"\n[attack]\nsteps = 10\nepsilon = 0.03\n";

    #[test]
    fn order_and_comments_do_not_change_the_digest_and_values_do() {
        let same =
            "# comment\nattack = { epsilon = 0.03, steps = 10 }\nepochs = 50 # here\ndata.path = \"a\"\n";
        let moved = CONFIG.replace("\"a\"", "\"b\"");
        let digest = |text: &str, free: &[&str]| config_digest(text, free).unwrap();
        assert_eq!(digest(CONFIG, &[]), digest(same, &[]));
        assert_ne!(digest(CONFIG, &[]), digest(&moved, &[]));
        assert_eq!(digest(CONFIG, &["data"]), digest(&moved, &["data"]));
        assert_ne!(digest(CONFIG, &["dat"]), digest(&moved, &["dat"]));
        assert_eq!(digest(CONFIG, &[]).len(), 64);
    }

    #[test]
    fn differences_name_key_and_both_values() {
        let now = "epochs = 60\n[data]\npath = \"b\"\n[attack]\nsteps = 10\nrestarts = 2\n";
        let found = config_differences(CONFIG, now, &["data.path"]).unwrap();
        let wanted = [
            "attack.epsilon: 0.03 then, not set now",
            "attack.restarts: not set then, 2 now",
            "epochs: 50 then, 60 now",
        ];
        assert_eq!(found, wanted);
        assert_eq!(config_differences(CONFIG, CONFIG, &[]).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn what_is_no_toml_is_an_error() {
        assert!(matches!(config_digest("epochs =", &[]), Err(RunError::Config(_))));
    }
}
