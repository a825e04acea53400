//! Which run a journal belongs to.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Everything that decides the result of a run: named values in the order in which a difference is to be reported.
///
/// JSON has no NaN and no infinity; they become null and so compare equal. Leave them out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Header(Vec<(String, Value)>);

impl Header {
    /// No fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more field, after the others; a field of that name is replaced where it stands.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        let (name, value) = (name.into(), value.into());
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, slot)) => *slot = value,
            None => self.0.push((name, value)),
        }
        self
    }

    /// The first field in which this header, of a journal, differs from that of a run, in the run's order; then
    /// those that only the journal has. `None` where they say the same.
    pub fn difference(&self, run: &Self) -> Option<HeaderDifference> {
        let of_run = run.0.iter().map(|(name, _)| name);
        let of_journal = self.0.iter().map(|(name, _)| name);
        let mut names = of_run.chain(of_journal);
        names.find_map(|name| difference(name, self.get(name), run.get(name)))
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find_map(|(known, value)| (known == name).then_some(value))
    }
}

/// A field in which a journal and a run differ.
#[derive(Debug, Clone, PartialEq)]
pub struct HeaderDifference {
    /// Where: `threat_model.epsilon`, `attacks[2].steps`.
    pub field: String,
    /// The journal's value, where it has that field.
    pub in_journal: Option<Value>,
    /// The run's value, where it has that field.
    pub in_run: Option<Value>,
}

impl fmt::Display for HeaderDifference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, in_journal, in_run } = self;
        write!(formatter, "{field} is {} in the journal and {} now", shown(in_journal), shown(in_run))
    }
}

/// As JSON, cut where it would fill the screen: a digest fits.
fn shown(value: &Option<Value>) -> String {
    const LONGEST: usize = 80;
    let text = value.as_ref().map_or_else(|| "absent".to_owned(), Value::to_string);
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// The first difference inside of two values, as deep as they have the same shape.
fn difference(field: &str, in_journal: Option<&Value>, in_run: Option<&Value>) -> Option<HeaderDifference> {
    match (in_journal, in_run) {
        (Some(journal), Some(run)) if journal == run => None,
        (Some(Value::Object(journal)), Some(Value::Object(run))) => run
            .keys()
            .chain(journal.keys())
            .find_map(|key| difference(&format!("{field}.{key}"), journal.get(key), run.get(key))),
        (Some(Value::Array(journal)), Some(Value::Array(run))) => (0..journal.len().max(run.len()))
            .find_map(|index| difference(&format!("{field}[{index}]"), journal.get(index), run.get(index))),
        _ => Some(HeaderDifference {
            field: field.to_owned(),
            in_journal: in_journal.cloned(),
            in_run: in_run.cloned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn header(epsilon: f64, attacks: Value) -> Header {
        Header::new()
            .with("model_digest", "ab12")
            .with("threat_model", json!({ "norm": "linf", "epsilon": epsilon }))
            .with("attacks", attacks)
    }

    #[test]
    fn the_first_difference_is_named() {
        struct Case {
            journal: Header,
            run: Header,
            text: Option<&'static str>,
        }
        let plan = || json!([{ "name": "fgsm" }, { "name": "pgd", "steps": 10 }]);
        let longer = json!([{ "name": "fgsm" }, { "name": "pgd", "steps": 20 }, { "name": "fab" }]);
        let table = [
            Case { journal: header(0.5, plan()), run: header(0.5, plan()), text: None },
            Case {
                journal: header(0.25, plan()),
                run: header(0.5, longer.clone()),
                text: Some("threat_model.epsilon is 0.25 in the journal and 0.5 now"),
            },
            Case {
                journal: header(0.5, plan()),
                run: header(0.5, longer),
                text: Some("attacks[1].steps is 10 in the journal and 20 now"),
            },
            Case {
                journal: header(0.5, plan()),
                run: header(0.5, json!([{ "name": "fgsm" }])),
                text: Some(r#"attacks[1] is {"name":"pgd","steps":10} in the journal and absent now"#),
            },
            Case {
                journal: header(0.5, plan()).with("seed", 7),
                run: header(0.5, plan()),
                text: Some("seed is 7 in the journal and absent now"),
            },
            Case {
                journal: header(0.5, plan()),
                run: header(0.5, plan()).with("seed", Value::Null),
                text: Some("seed is absent in the journal and null now"),
            },
            Case {
                journal: header(0.5, plan()).with("model_digest", json!({ "sha256": "ab12" })),
                run: header(0.5, plan()),
                text: Some(r#"model_digest is {"sha256":"ab12"} in the journal and "ab12" now"#),
            },
        ];
        for Case { journal, run, text } in table {
            let found = journal.difference(&run).map(|difference| difference.to_string());
            assert_eq!(found.as_deref(), text);
        }
    }

    #[test]
    fn the_order_is_that_of_the_run() {
        let journal = Header::new().with("a", 1).with("z", 1);
        let run = Header::new().with("z", 2).with("a", 2);
        assert_eq!(journal.difference(&run).unwrap().field, "z");
        assert_eq!(run.difference(&journal).unwrap().field, "a");
    }

    #[test]
    fn a_long_value_is_cut_between_characters() {
        let journal = Header::new().with("name", "ε".repeat(100));
        let text = journal.difference(&Header::new()).unwrap().to_string();
        assert_eq!(text, format!("name is \"{}… in the journal and absent now", "ε".repeat(79)));
    }

    #[test]
    fn a_name_stands_once() {
        let twice = Header::new().with("seed", 1).with("data", "x").with("seed", 2);
        assert_eq!(twice, Header::new().with("seed", 2).with("data", "x"));
    }
}
