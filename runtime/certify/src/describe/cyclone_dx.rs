//! CycloneDX 1.6: a bill of materials of the bundle, with the model card of the model.
//!
//! <https://cyclonedx.org/docs/1.6/json/>. Numbers of a model card are strings there.

use mimir_bundle::Certificate;
use mimir_bundle::bundle::{Bundle, MODEL};
use serde_json::{Value, json};

use super::facts::{
    Accuracy, UPPER_BOUND, architecture, attacked_accuracy, attacks, clean_accuracy, execution, family,
    images, input, model_digest,
};

pub(super) fn document(bundle: &Bundle, name: &str) -> serde_json::Result<String> {
    let manifest = bundle.manifest();
    let tool = &manifest.provenance.tool;
    let mut metadata = json!({
        "tools": { "components": [{ "type": "application", "name": tool.name, "version": tool.version }] },
        "component": model(bundle, name),
    });
    if let Some(time) = &manifest.provenance.created_at {
        metadata["timestamp"] = time.clone().into();
    }
    let files: Vec<Value> = bundle
        .files()
        .map(|file| {
            let digest = file.digest();
            json!({
                "type": "file",
                "bom-ref": format!("file:{}", digest.name),
                "name": digest.name,
                "hashes": [{ "alg": "SHA-256", "content": digest.sha256 }],
            })
        })
        .collect();
    let document = json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": metadata,
        "components": files,
    });
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

fn model(bundle: &Bundle, name: &str) -> Value {
    let manifest = bundle.manifest();
    let digest = bundle.file(MODEL).map(|file| file.digest().sha256.clone()).unwrap_or_default();
    let mut parameters = json!({
        "task": "image-classification",
        "inputs": [{ "format": format!("image: {}", input(manifest)) }],
        "outputs": [{ "format": format!("scores of {} classes: {}", manifest.classes.count, manifest.output) }],
    });
    if let (Some(family), Some(architecture)) = (family(manifest), architecture(manifest)) {
        parameters["architectureFamily"] = family.into();
        parameters["modelArchitecture"] = architecture.into();
    }
    let certificates = bundle.certificates().iter().map(|known| &known.certificate);
    let metrics: Vec<Value> = certificates.flat_map(metrics).collect();
    json!({
        "type": "machine-learning-model",
        "bom-ref": "model",
        "name": name,
        "version": bundle.digest(),
        "hashes": [{ "alg": "SHA-256", "content": digest }],
        "modelCard": {
            "modelParameters": parameters,
            "quantitativeAnalysis": { "performanceMetrics": metrics },
            "considerations": { "technicalLimitations": [UPPER_BOUND] },
        },
        "properties": [{ "name": "mimir:model_digest", "value": model_digest(bundle) }],
    })
}

/// The accuracy without attack and the attacked accuracy, each of the images and the threat model named in `slice`.
fn metrics(certificate: &Certificate) -> [Value; 2] {
    let images = images(certificate);
    let (attacks, execution) = (attacks(certificate), execution(certificate));
    let metric = |kind: &str, slice: String, accuracy: &Accuracy| {
        json!({
            "type": kind,
            "value": accuracy.value.to_string(),
            "slice": slice,
            "confidenceInterval": {
                "lowerBound": accuracy.interval.lower.to_string(),
                "upperBound": accuracy.interval.upper.to_string(),
            },
        })
    };
    let attacked = format!("{images}; {}; attacks {attacks}; {execution}", certificate.threat_model);
    [
        metric("accuracy", format!("{images}; without attack; {execution}"), &clean_accuracy(certificate)),
        metric(
            "attacked accuracy (upper bound of the robust accuracy)",
            attacked,
            &attacked_accuracy(certificate),
        ),
    ]
}
