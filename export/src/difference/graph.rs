//! Two listings: what belongs together, and what of it differs.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::document::{Change, Difference, NodeChange, NodeDifferences};
use super::pairs::Pairs;
use super::weights::{Constants, compare_weights};
use crate::onnx::listing::{
    AttributeListing, GraphListing, Listing, NodeListing, ValueListing, attribute_text, node_text,
    quoted_unless_plain, value_name,
};

/// Names of values before, and what they are called after.
type Names<'l> = HashMap<&'l str, &'l str>;

/// What differs between two models; weights whose elements all differ by at most `tolerance` count as equal.
pub fn compare(before: &Listing, after: &Listing, tolerance: f64) -> Difference {
    let (old, new) = (&before.graph, &after.graph);
    let mut names: Names<'_> = HashMap::new();
    names.extend(old.inputs.iter().zip(&new.inputs).map(|(old, new)| (old.name.as_str(), new.name.as_str())));
    let weights = compare_weights(&constants(old), &constants(new), tolerance, &mut names);
    let nodes = compare_nodes(&operations(old), &operations(new), &mut names);
    let model = compare_model(before, after, &names);
    let mut renamed: Vec<(String, String)> = names
        .iter()
        .filter(|(before, after)| before != after)
        .map(|(before, after)| ((*before).to_owned(), (*after).to_owned()))
        .collect();
    renamed.sort();
    let equal_nodes = nodes.changed.is_empty() && nodes.removed.is_empty() && nodes.added.is_empty();
    let equal_weights = weights.changed.is_empty() && weights.removed.is_empty() && weights.added.is_empty();
    Difference {
        format: Difference::FORMAT,
        version: Difference::VERSION,
        equal: model.is_empty() && equal_nodes && equal_weights,
        tolerance,
        model,
        nodes,
        weights,
        renamed,
        bundle: None,
    }
}

/// Initialisers, and the tensors of `Constant` nodes.
fn constants(graph: &GraphListing) -> Constants<'_> {
    let initialisers = graph.constants.iter().map(|tensor| (tensor.name.as_str(), tensor));
    let of_nodes =
        graph.nodes.iter().filter_map(|node| match (node.attributes.get("value"), is_constant(node)) {
            (Some(AttributeListing::Tensor(tensor)), true) => Some((first_output(node), &**tensor)),
            _ => None,
        });
    initialisers.chain(of_nodes).collect()
}

fn operations(graph: &GraphListing) -> Vec<&NodeListing> {
    graph.nodes.iter().filter(|node| !is_constant(node)).collect()
}

fn is_constant(node: &NodeListing) -> bool {
    node.operator == "Constant" && matches!(node.attributes.get("value"), Some(AttributeListing::Tensor(_)))
}

fn first_output(node: &NodeListing) -> &str {
    node.outputs.iter().map(|output| output.name.as_str()).find(|name| !name.is_empty()).unwrap_or_default()
}

fn compare_nodes<'l>(
    before: &[&'l NodeListing],
    after: &[&'l NodeListing],
    names: &mut Names<'l>,
) -> NodeDifferences {
    let pairs = pair_nodes(before, after);
    let partners = || before.iter().zip(&pairs.of_before);
    for (node, partner) in partners() {
        let Some(partner) = partner.map(|partner| after[partner]) else { continue };
        let outputs = node.outputs.iter().zip(&partner.outputs);
        names.extend(outputs.map(|(old, new)| (old.name.as_str(), new.name.as_str())));
    }
    let mut found = NodeDifferences::default();
    for (node, partner) in partners() {
        let Some(partner) = partner.map(|partner| after[partner]) else {
            found.removed.push(node_text(node, 0));
            continue;
        };
        match node_changes(node, partner, names) {
            changes if changes.is_empty() => found.equal += 1,
            changes => found.changed.push(NodeChange {
                name: first_output(partner).to_owned(),
                operator: partner.operator.clone(),
                changes,
            }),
        }
    }
    found.added = pairs.unpaired_after().map(|position| node_text(after[position], 0)).collect();
    found
}

fn pair_nodes(before: &[&NodeListing], after: &[&NodeListing]) -> Pairs {
    let mut pairs = Pairs::new(before.len(), after.len());
    let keys = |nodes: &[&NodeListing], key: fn(&NodeListing) -> String| -> Vec<String> {
        nodes.iter().map(|node| key(node)).collect()
    };
    let named = |node: &NodeListing| format!("{} {}", first_output(node), form(node));
    pairs.by_key(&keys(before, named), &keys(after, named));
    pairs.in_sequence(&keys(before, form), &keys(after, form));
    let name = |node: &NodeListing| first_output(node).to_owned();
    pairs.by_key(&keys(before, name), &keys(after, name));
    pairs
}

/// Everything of a node but its names.
fn form(node: &NodeListing) -> String {
    let attributes =
        node.attributes.iter().map(|(name, value)| format!("{name:?} = {}", attribute_text(value, 0)));
    let attributes = attributes.collect::<Vec<_>>().join(", ");
    let types: Vec<_> = node.outputs.iter().map(|output| &output.value_type).collect();
    format!("{} {attributes} {types:?} {}", node.operator, node.inputs.len())
}

fn node_changes(before: &NodeListing, after: &NodeListing, names: &Names<'_>) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut compare = |what: &str, before: String, after: String| {
        changes.extend((before != after).then(|| changed(what, before, after)));
    };
    compare("operator", quoted_unless_plain(&before.operator), quoted_unless_plain(&after.operator));
    let inputs = |names: Vec<&str>| names.into_iter().map(value_name).collect::<Vec<_>>().join(", ");
    let mapped = before.inputs.iter().map(|name| names.get(name.as_str()).copied().unwrap_or(name)).collect();
    compare("inputs", inputs(mapped), inputs(after.inputs.iter().map(String::as_str).collect()));
    let types = |node: &NodeListing| {
        let types = node.outputs.iter().map(|output| output.value_type.as_deref().unwrap_or("?"));
        types.collect::<Vec<_>>().join(", ")
    };
    compare("type", types(before), types(after));
    let attributes = |node: &NodeListing| -> BTreeMap<String, String> {
        let shown = node.attributes.iter();
        let entry = |(name, value): (&String, _)| {
            (format!("attribute {}", quoted_unless_plain(name)), attribute_text(value, 2))
        };
        shown.map(entry).collect()
    };
    changes.extend(compare_maps(&attributes(before), &attributes(after)));
    changes
}

fn changed(what: &str, before: String, after: String) -> Change {
    Change { what: what.to_owned(), before: Some(before), after: Some(after) }
}

/// Entries that are not equal in both.
pub(super) fn compare_maps(
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
) -> Vec<Change> {
    let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let differing = keys.into_iter().filter(|key| before.get(*key) != after.get(*key));
    differing
        .map(|key| Change {
            what: key.clone(),
            before: before.get(key).cloned(),
            after: after.get(key).cloned(),
        })
        .collect()
}

/// Operator sets, metadata, inputs, outputs, functions.
fn compare_model(before: &Listing, after: &Listing, names: &Names<'_>) -> Vec<Change> {
    let facts = |listing: &Listing| -> BTreeMap<String, String> {
        let opsets = listing.opsets.iter().map(|(domain, version)| match domain.as_str() {
            "" => ("opset".to_owned(), version.to_string()),
            domain => (format!("opset of {domain:?}"), version.to_string()),
        });
        let metadata =
            listing.metadata.iter().map(|(key, value)| (format!("metadata {key:?}"), format!("{value:?}")));
        let functions = listing.functions.iter();
        let functions =
            functions.map(|function| (format!("function {:?}", function.name), function.to_string()));
        let inputs = numbered("input", &listing.graph.inputs);
        let outputs = numbered("output", &listing.graph.outputs);
        opsets.chain(metadata).chain(functions).chain(inputs).chain(outputs).collect()
    };
    let mut changes = compare_maps(&facts(before), &facts(after));
    for (position, (old, new)) in before.graph.outputs.iter().zip(&after.graph.outputs).enumerate() {
        let same_name = old.name == new.name;
        // The output of that name may be another value than before.
        if same_name && names.get(old.name.as_str()).is_some_and(|name| *name != new.name) {
            let now = names[old.name.as_str()];
            changes.push(changed(
                &format!("what output {position} returns"),
                value_name(now),
                value_name(&new.name),
            ));
        }
    }
    changes
}

fn numbered<'l>(what: &'l str, values: &'l [ValueListing]) -> impl Iterator<Item = (String, String)> + 'l {
    values.iter().enumerate().map(move |(position, value)| (format!("{what} {position}"), value.to_string()))
}
