//! What the page of each operator allows: numbers of inputs and outputs, attributes, their types and their values.
//!
//! An engine reads what is outside of the page in its own way: where ONNX Runtime takes any Boolean attribute but 1 for
//! no, a rule that takes any but 0 for yes would search another function than the file. So [`check`] refuses it, when a
//! file is read and when a graph is written. The rows are in `pages`, one for each form that an operator has had.

mod form;
mod pages;
#[cfg(test)]
mod tests;

use std::fmt::Display;
use std::ops::RangeInclusive;

use crate::error::{Error, Result};
use crate::graph::{Attribute, Node};
use form::{Allowed, MANY, Numbers, Signature, Values};

/// Refuses a node that has more or fewer inputs or outputs than its operator, or attributes that the operator's page does
/// not allow. Nodes of operators that are not in the table are left alone. Attributes of the node that are graphs may be
/// named in `bodies` instead.
///
/// # Errors
/// [`ErrorKind::Format`](crate::ErrorKind::Format), with what was found and what is wanted, without a location.
pub(crate) fn check(node: &Node, bodies: &[&str], opset: u32) -> Result<()> {
    let forms = forms(&node.op_type, opset);
    let mut refused = None;
    for form in forms.iter().rev() {
        match form.check(node, bodies) {
            Ok(()) => return Ok(()),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    refused.map_or(Ok(()), Err)
}

/// The form of an operator in an opset of ONNX's own domain; every form of one of another domain, whose version a node
/// does not know.
fn forms(op_type: &str, opset: u32) -> &'static [Signature] {
    let begin = pages::PAGES.partition_point(|form| form.name < op_type);
    let named = &pages::PAGES[begin..];
    let named = &named[..named.partition_point(|form| form.name == op_type)];
    if op_type.contains("::") {
        return named;
    }
    let known = named.partition_point(|form| form.since <= opset);
    &named[known.saturating_sub(1)..known]
}

impl Signature {
    fn check(&self, node: &Node, bodies: &[&str]) -> Result<()> {
        self.check_count("input", node.inputs.len(), &self.inputs)?;
        self.check_count("output", node.outputs.len(), &self.outputs)?;
        for (name, value) in &node.attributes.0 {
            let allowed = self.attributes.iter().find(|allowed| allowed.name == name);
            allowed.ok_or_else(|| self.unknown(name))?.check(value)?;
        }
        let is_missing = |allowed: &&Allowed| {
            allowed.is_required
                && node.attributes.get(allowed.name).is_none()
                && !bodies.contains(&allowed.name)
        };
        match self.attributes.iter().find(is_missing) {
            Some(missing) => Err(Error::format(format!("has no attribute `{}`, wanted one", missing.name))),
            None => Ok(()),
        }
    }

    fn check_count(&self, what: &str, found: usize, wanted: &RangeInclusive<usize>) -> Result<()> {
        if wanted.contains(&found) {
            return Ok(());
        }
        let wanted = match (*wanted.start(), *wanted.end()) {
            (low, MANY) => format!("at least {low}"),
            (low, high) if low == high => low.to_string(),
            (low, high) => format!("{low} to {high}"),
        };
        let plural = if found == 1 { "" } else { "s" };
        Err(Error::format(format!("has {found} {what}{plural}, wanted {wanted}")))
    }

    fn unknown(&self, name: &str) -> Error {
        let known: Vec<String> =
            self.attributes.iter().map(|allowed| format!("`{}`", allowed.name)).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Error::format(format!(
            "has the attribute `{name}`; the operator has {known} (since opset {})",
            self.since
        ))
    }
}

impl Allowed {
    fn check(&self, found: &Attribute) -> Result<()> {
        match (self.values, found) {
            (Values::Int(numbers), Attribute::Int(number)) => self.check_number(numbers, *number),
            (Values::Ints(numbers), Attribute::Ints(found)) => {
                found.iter().try_for_each(|number| self.check_number(numbers, *number))
            }
            (Values::Text(texts), Attribute::Text(text)) if !texts.contains(&text.as_str()) => {
                Err(self.refuse(format!("`{text}`"), texts.join(", ")))
            }
            (Values::Float, Attribute::Float(_))
            | (Values::Floats, Attribute::Floats(_))
            | (Values::Text(_) | Values::AnyText, Attribute::Text(_))
            | (Values::Texts, Attribute::Texts(_))
            | (Values::Tensor, Attribute::Tensor(_))
            | (Values::Graph, Attribute::Graph(_)) => Ok(()),
            (wanted, found) => Err(self.refuse(found.type_name(), wanted.type_name())),
        }
    }

    fn check_number(&self, numbers: Numbers, found: i64) -> Result<()> {
        let (is_allowed, wanted) = match numbers {
            Numbers::Any => return Ok(()),
            Numbers::Flag => (found == 0 || found == 1, "0 or 1".to_owned()),
            Numbers::AtLeast(least) => (found >= least, format!("at least {least}")),
            Numbers::Within(low, high) => ((low..=high).contains(&found), format!("{low} to {high}")),
            Numbers::OneOf(listed) => {
                let wanted: Vec<String> = listed.iter().map(i64::to_string).collect();
                (listed.contains(&found), format!("one of {}", wanted.join(", ")))
            }
        };
        if is_allowed { Ok(()) } else { Err(self.refuse(found, wanted)) }
    }

    fn refuse(&self, found: impl Display, wanted: impl Display) -> Error {
        Error::format(format!("attribute `{}` is {found}, wanted {wanted}", self.name))
    }
}
