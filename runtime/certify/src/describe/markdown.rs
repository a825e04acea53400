//! A page of Markdown.

use mimir_bundle::bundle::{Bundle, BundleCertificate};
use mimir_bundle::{Certificate, markdown};
use mimir_runtime::report::percent;

use super::facts::{
    Accuracy, UPPER_BOUND, architecture, attacked_accuracy, attacks, clean_accuracy, execution, images,
    input, model_digest,
};

pub(super) fn document(bundle: &Bundle, name: &str) -> String {
    let parts = [format!("# {}\n", markdown(name)), model(bundle), evaluations(bundle), files(bundle)];
    parts.join("\n")
}

/// Lines of a table of two columns.
fn rows(rows: &[(&str, Option<String>)]) -> String {
    let known = rows.iter().filter_map(|(word, value)| Some((word, value.as_ref()?)));
    let lines = known.map(|(word, value)| format!("| {word} | {} |\n", markdown(value)));
    format!("| | |\n| --- | --- |\n{}", lines.collect::<String>())
}

fn model(bundle: &Bundle) -> String {
    let manifest = bundle.manifest();
    let provenance = &manifest.provenance;
    let classes = match &manifest.classes.names {
        Some(names) if names.len() <= 20 => format!("{}: {}", names.len(), names.join(", ")),
        _ => manifest.classes.count.to_string(),
    };
    let tool = format!("{} {}", provenance.tool.name, provenance.tool.version);
    "## Model\n\nAn image classifier in ONNX.\n\n".to_owned()
        + &rows(&[
            ("architecture", architecture(manifest)),
            ("input", Some(input(manifest))),
            ("other pictures", manifest.preprocessing.map(|rule| rule.to_string())),
            ("classes", Some(classes)),
            ("output", Some(manifest.output.clone())),
            ("made by", Some(tool)),
            ("made at", provenance.created_at.clone()),
            ("digest of the checkpoint", provenance.checkpoint.clone()),
            ("digest of the experiment", provenance.experiment.clone()),
            ("digest of the training data", provenance.data.clone()),
            ("digest of the model", Some(model_digest(bundle))),
        ])
}

fn evaluations(bundle: &Bundle) -> String {
    let heading = "## Adversarial robustness\n\n";
    if bundle.certificates().is_empty() {
        return format!("{heading}Not evaluated: nothing is known of the model's adversarial robustness.\n");
    }
    let parts = bundle
        .certificates()
        .iter()
        .map(|BundleCertificate { name, certificate }| evaluation(name, certificate));
    format!("{heading}{UPPER_BOUND}\n\n{}", parts.collect::<Vec<_>>().join("\n"))
}

fn evaluation(name: &str, certificate: &Certificate) -> String {
    let shown = |accuracy: Accuracy| {
        let interval = accuracy.interval;
        let (value, lower, upper) = (accuracy.value, interval.lower, interval.upper);
        Some(format!("{}, 95 % interval {} to {}", percent(value), percent(lower), percent(upper)))
    };
    let warnings: Vec<&str> = certificate.warnings.iter().map(|warning| warning.kind.as_str()).collect();
    let heading = markdown(&certificate.threat_model.to_string());
    format!("### {heading}\n\n")
        + &rows(&[
            (
                "attacked accuracy, an upper bound of the robust accuracy",
                shown(attacked_accuracy(certificate)),
            ),
            ("accuracy without attack", shown(clean_accuracy(certificate))),
            ("images", Some(images(certificate))),
            ("attacks", Some(attacks(certificate))),
            ("executed by", Some(execution(certificate))),
            ("made at", Some(certificate.created_at.clone())),
            ("warnings", Some(warnings.join(", ")).filter(|list| !list.is_empty())),
            ("record", Some(name.to_owned())),
        ])
}

fn files(bundle: &Bundle) -> String {
    let lines = bundle.files().map(|file| {
        let digest = file.digest();
        format!("| {} | {} | {} |\n", markdown(&digest.name), digest.bytes, digest.sha256)
    });
    format!("## Files\n\n| file | bytes | SHA-256 |\n| --- | --- | --- |\n{}", lines.collect::<String>())
}
