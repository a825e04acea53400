//! The model card of Hugging Face: a front matter with `model-index`, and the page of Markdown.
//!
//! <https://github.com/huggingface/hub-docs/blob/main/modelcard.md>

use std::fmt::Write as _;

use mimir_bundle::Certificate;
use mimir_bundle::bundle::Bundle;

use super::facts::{Accuracy, attacked_accuracy, clean_accuracy, images};
use super::text::yaml;

pub(super) fn document(bundle: &Bundle, name: &str) -> String {
    format!("---\n{}---\n\n{}", front_matter(bundle, name), super::markdown::document(bundle, name))
}

fn front_matter(bundle: &Bundle, name: &str) -> String {
    let mut out =
        "library_name: onnx\npipeline_tag: image-classification\ntags:\n- adversarial-robustness\n- onnx\n"
            .to_owned();
    if bundle.certificates().is_empty() {
        return out;
    }
    out += &format!("model-index:\n- name: {}\n  results:\n", yaml(name));
    out.extend(bundle.certificates().iter().map(|known| result(&known.certificate)));
    out
}

fn result(certificate: &Certificate) -> String {
    let data = &certificate.data;
    // `cifar10:data/…` is of the kind `cifar10`.
    let kind = data.source.split(':').next().unwrap_or_default();
    let mut out =
        "  - task:\n      type: image-classification\n      name: Image Classification\n".to_owned();
    out += &format!("    dataset:\n      type: {}\n      name: {}\n", yaml(kind), yaml(&images(certificate)));
    if let Some(split) = &data.split {
        out += &format!("      split: {}\n", yaml(split));
    }
    out += "    metrics:\n";
    let attacked =
        format!("Attacked accuracy ({}), an upper bound of the robust accuracy", certificate.threat_model);
    metric(&mut out, "accuracy", "Accuracy without attack", &clean_accuracy(certificate));
    metric(&mut out, "attacked_accuracy", &attacked, &attacked_accuracy(certificate));
    out
}

fn metric(out: &mut String, kind: &str, name: &str, accuracy: &Accuracy) {
    let interval = accuracy.interval;
    let interval = format!(
        "{} {}: {} to {}",
        interval.confidence, "confidence interval (Clopper-Pearson)", interval.lower, interval.upper
    );
    // Writing to a string does not fail. The numbers are in [0, 1], so that they are numbers of YAML too.
    let _ = write!(
        out,
        "    - type: {kind}\n      value: {:?}\n      name: {}\n      args:\n        interval: {}\n",
        accuracy.value,
        yaml(name),
        yaml(&interval)
    );
}
