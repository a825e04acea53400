//! Two bundles: their descriptions and their gradient graphs, besides their models.

use std::collections::BTreeMap;

use mimir_bundle::bundle::{Bundle, BundleFile, BundleManifest, FileKind, MODEL};
use serde_json::Value;

use super::document::{BundleDifferences, Difference, GraphDifference};
use super::graph::{compare, compare_maps};
use crate::error::{Error, Result};
use crate::onnx::Limits;
use crate::onnx::listing::{Listing, read_listing_bundled};

/// Fields of a manifest that say nothing of what the model is: when and by whom it was written, and how its files are
/// divided. The graphs are compared themselves.
const NOT_COMPARED: [&str; 4] = ["format", "version", "provenance", "files"];

/// What differs between two bundles: models, descriptions, and gradient graphs. Where a model came from and when it was
/// written does not count; nor do certificates and signatures, which are about it.
///
/// # Errors
/// When a graph is not well-formed.
pub fn compare_bundles(
    before: &Bundle,
    after: &Bundle,
    tolerance: f64,
    limits: &Limits,
) -> Result<Difference> {
    let listing = |bundle: &Bundle, name: &str| read_listing_bundled(bundle, name, limits);
    let model = compare(&listing(before, MODEL)?, &listing(after, MODEL)?, tolerance);
    let (old, new) = (gradients(before), gradients(after));
    let mut facts = (facts(before.manifest())?, facts(after.manifest())?);
    // A graph that only one of them has is a difference of the descriptions.
    facts.0.extend(old.iter().map(|name| (name.clone(), "a gradient graph".to_owned())));
    facts.1.extend(new.iter().map(|name| (name.clone(), "a gradient graph".to_owned())));
    let description = compare_maps(&facts.0, &facts.1);
    let mut graphs = Vec::new();
    for name in old.into_iter().filter(|name| new.contains(name)) {
        let (one, other): (Listing, Listing) = (listing(before, &name)?, listing(after, &name)?);
        graphs.push(GraphDifference { difference: Box::new(compare(&one, &other, tolerance)), name });
    }
    let equal = model.equal && description.is_empty() && graphs.iter().all(|graph| graph.difference.equal);
    Ok(Difference { equal, bundle: Some(BundleDifferences { description, graphs }), ..model })
}

fn gradients(bundle: &Bundle) -> Vec<String> {
    let graphs = bundle.files().map(BundleFile::name);
    let is_gradient = |name: &&str| *name != MODEL && FileKind::of(name) == Ok(FileKind::Graph);
    graphs.filter(is_gradient).map(str::to_owned).collect()
}

/// The fields of a manifest by their paths, as JSON: `input.layout`, `classes.names[3]`.
fn facts(manifest: &BundleManifest) -> Result<BTreeMap<String, String>> {
    let invalid = |error: serde_json::Error| Error::format(format!("manifest.json: {error}"));
    let mut facts = BTreeMap::new();
    let Value::Object(fields) = serde_json::to_value(manifest).map_err(invalid)? else { return Ok(facts) };
    for (name, value) in fields.into_iter().filter(|(name, _)| !NOT_COMPARED.contains(&name.as_str())) {
        collect(format!("manifest {name}"), &value, 0, &mut facts);
    }
    Ok(facts)
}

/// Fields of fields one level down, and each element of a list of words or tensors; all else in one piece.
fn collect(path: String, value: &Value, depth: usize, facts: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(fields) if depth == 0 => {
            for (name, value) in fields {
                collect(format!("{path}.{name}"), value, depth + 1, facts);
            }
        }
        Value::Array(elements)
            if elements.iter().any(|element| element.is_string() || element.is_object()) =>
        {
            for (index, element) in elements.iter().enumerate() {
                collect(format!("{path}[{index}]"), element, depth + 1, facts);
            }
        }
        other => drop(facts.insert(path, other.to_string())),
    }
}
