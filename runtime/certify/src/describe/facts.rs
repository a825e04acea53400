//! The facts that all descriptions state, in words.

use mimir_bundle::Certificate;
use mimir_bundle::bundle::{Bundle, BundleManifest};
use mimir_bundle::certificate::{EvaluationData, Extent};
use mimir_bundle::digest::digest_model;
use mimir_bundle::statistics::{Interval, accuracies, clopper_pearson};

/// What no number of a certificate says.
pub(super) const UPPER_BOUND: &str = "The attacked accuracy is an upper bound of the robust accuracy on the images \
    named: for the others no attack of the list found a counterexample, and other attacks may. It is evidence, never a \
    proof, and says nothing of another norm, radius, kind of change, or of other images. The intervals hold for a \
    population only if the images are a random sample of it.";

/// An accuracy with its interval.
pub(super) struct Accuracy {
    pub(super) value: f64,
    pub(super) interval: Interval,
}

pub(super) fn clean_accuracy(certificate: &Certificate) -> Accuracy {
    let counts = &certificate.counts;
    let interval = clopper_pearson(counts.clean_correct, counts.images);
    Accuracy { value: accuracies(counts).0, interval }
}

pub(super) fn attacked_accuracy(certificate: &Certificate) -> Accuracy {
    let counts = &certificate.counts;
    let interval = clopper_pearson(counts.not_broken(), counts.images);
    Accuracy { value: accuracies(counts).1, interval }
}

/// `cifar10:data (test), 500 images, sha256 0123456789ab…`
pub(super) fn images(certificate: &Certificate) -> String {
    let EvaluationData { source, split, images_digest, .. } = &certificate.data;
    let split = split.as_ref().map(|split| format!(" ({split})")).unwrap_or_default();
    let digest = images_digest.get(..12).unwrap_or(images_digest);
    format!("{source}{split}, {} images, sha256 {digest}…", certificate.counts.images)
}

/// `apgd-ce, apgd-t, fab-t, square`, with the preset if they are one.
pub(super) fn attacks(certificate: &Certificate) -> String {
    let names: Vec<_> = certificate.attacks.iter().map(|attack| attack.parameters.name()).collect();
    let preset =
        certificate.preset.as_ref().map(|preset| format!(" (AutoAttack {preset})")).unwrap_or_default();
    let stopped = match certificate.extent {
        Extent::Complete => "",
        Extent::GateDecided => "; stopped when the answer of its gate was certain",
    };
    format!("{}{preset}{stopped}", names.join(", "))
}

/// `onnxruntime 1.32.0 on cpu`
pub(super) fn execution(certificate: &Certificate) -> String {
    let execution = &certificate.execution;
    format!("{} {} on {}", execution.engine, execution.engine_version, execution.device)
}

/// The digest that certificates of this model have.
pub(super) fn model_digest(bundle: &Bundle) -> String {
    digest_model(&bundle.model_files())
}

/// `vit, width 192, depth 12, 3 heads, image 32, patch 4`; none where the maker did not say.
pub(super) fn architecture(manifest: &BundleManifest) -> Option<String> {
    let a = manifest.architecture.as_ref()?;
    let family = family(manifest)?;
    let (width, depth, heads) = (a.width, a.depth, a.heads);
    Some(format!(
        "{family}, width {width}, depth {depth}, {heads} heads, image {}, patch {}",
        a.image_size, a.patch_size
    ))
}

/// The family of architectures, as the manifest spells it.
pub(super) fn family(manifest: &BundleManifest) -> Option<String> {
    let family = serde_json::to_value(manifest.architecture.as_ref()?.family).ok()?;
    family.as_str().map(str::to_owned)
}

/// `3 x 32 x 32 (nchw, float, rgb), pixels in [0, 1] before the normalisation mean [0.5], std [0.25]`
pub(super) fn input(manifest: &BundleManifest) -> String {
    let input = &manifest.input;
    let shape = input.image;
    let word = |value: Option<serde_json::Value>| {
        value.and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
    };
    let layout = word(serde_json::to_value(input.layout).ok());
    let pixels = word(serde_json::to_value(input.pixel_type).ok());
    let order = word(serde_json::to_value(input.channel_order).ok());
    let normalisation = match &input.normalisation {
        None => "pixels in [0, 1]".to_owned(),
        Some(rule) => {
            format!("pixels in [0, 1], then ({} · pixel - {:?}) / {:?}", rule.scale, rule.mean, rule.std)
        }
    };
    format!(
        "{} x {} x {} ({layout}, {pixels}, {order}), {normalisation}",
        shape.channels, shape.height, shape.width
    )
}
