//! Constants: paired by name, then by content, then by type in their order.

use std::collections::HashMap;

use super::document::{WeightChange, WeightDifferences};
use super::elements::element_differences;
use super::pairs::Pairs;
use crate::onnx::listing::{TensorListing, value_name};

/// The constants of a model, each with its name.
pub(super) type Constants<'l> = Vec<(&'l str, &'l TensorListing)>;

/// How the constants differ; the pairs go into `names`, from before to after.
pub(super) fn compare_weights<'l>(
    before: &Constants<'l>,
    after: &Constants<'l>,
    tolerance: f64,
    names: &mut HashMap<&'l str, &'l str>,
) -> WeightDifferences {
    let mut pairs = Pairs::new(before.len(), after.len());
    for (key, sequence) in
        [(name as fn(&(&str, &TensorListing)) -> String, false), (content, true), (form, true)]
    {
        let keys = |all: &Constants<'l>| -> Vec<String> { all.iter().map(key).collect() };
        match sequence {
            true => pairs.in_sequence(&keys(before), &keys(after)),
            false => pairs.by_key(&keys(before), &keys(after)),
        }
    }
    let mut found = WeightDifferences::default();
    for ((name, tensor), partner) in before.iter().zip(&pairs.of_before) {
        let Some((new_name, new_tensor)) = partner.map(|partner| after[partner]) else {
            found.removed.push(shown(name, tensor));
            continue;
        };
        names.insert(name, new_name);
        compare_pair(new_name, tensor, new_tensor, tolerance, &mut found);
    }
    found.added =
        pairs.unpaired_after().map(|position| shown(after[position].0, after[position].1)).collect();
    found
}

fn name((name, _): &(&str, &TensorListing)) -> String {
    (*name).to_owned()
}

fn form((_, tensor): &(&str, &TensorListing)) -> String {
    tensor_type(tensor)
}

fn content((_, tensor): &(&str, &TensorListing)) -> String {
    format!("{} {}", tensor_type(tensor), tensor.sha256)
}

fn compare_pair(
    name: &str,
    before: &TensorListing,
    after: &TensorListing,
    tolerance: f64,
    found: &mut WeightDifferences,
) {
    let same_type = tensor_type(before) == tensor_type(after);
    if same_type && before.sha256 == after.sha256 {
        found.equal += 1;
        return;
    }
    let elements = element_differences(before, after);
    // Elements of other bytes and equal value, such as 0 and -0, differ only within a tolerance.
    let is_within = tolerance > 0.0
        && elements.is_some_and(|elements| elements.not_finite == 0 && elements.largest <= tolerance);
    if same_type && is_within {
        found.within_tolerance += 1;
        return;
    }
    found.changed.push(WeightChange {
        name: name.to_owned(),
        before: tensor_type(before),
        after: tensor_type(after),
        elements,
    });
}

fn tensor_type(tensor: &TensorListing) -> String {
    let sparse = if tensor.sparse { "sparse " } else { "" };
    format!("{sparse}{}{:?}", tensor.element, tensor.dims)
}

fn shown(name: &str, tensor: &TensorListing) -> String {
    format!("{}: {}", value_name(name), tensor_type(tensor))
}
