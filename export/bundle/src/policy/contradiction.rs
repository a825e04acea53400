//! Certificates of one bundle that speak against each other.

use super::document::EvaluationRule;
use crate::Pixels;
use crate::bundle::BundleCertificate;
use crate::certificate::Certificate;
use crate::statistics::fraction;

/// The certificate that refutes the required attacked accuracy on the images of `shown`, and its attacked accuracy.
///
/// A smaller ball lies in a larger one, and 8-bit levels among all pixel values. Where an evaluation within the threat
/// model of the rule, on the same images, left fewer of them, the attacked accuracy under that threat model is known to be
/// lower, whatever another certificate shows. So nobody can keep the best of several seeds and leave the others.
pub(super) fn refutation<'c>(
    rule: &EvaluationRule,
    shown: &Certificate,
    certificates: &'c [BundleCertificate],
) -> Option<(&'c str, f64)> {
    let least = rule.min_attacked_accuracy?.value();
    let left = |other: &Certificate| fraction(other.counts.not_broken(), other.counts.images);
    let refuting = certificates
        .iter()
        .map(|BundleCertificate { name, certificate }| (name, certificate))
        .filter(|(_, other)| !std::ptr::eq(*other, shown))
        .filter(|(_, other)| is_within(rule, other) && is_on_the_same_images(shown, other))
        .find(|(_, other)| left(other) < least);
    refuting.map(|(name, other)| (name.as_str(), left(other)))
}

/// Whether every perturbation of the certificate's threat model is one of the rule's.
fn is_within(rule: &EvaluationRule, certificate: &Certificate) -> bool {
    let ball = certificate.threat_model;
    ball.norm == rule.norm
        && ball.epsilon <= rule.min_epsilon.value()
        && (ball.pixels == Pixels::EightBit || !rule.accept_8bit)
}

fn is_on_the_same_images(one: &Certificate, other: &Certificate) -> bool {
    (&one.data.images_digest, &one.data.labels_digest)
        == (&other.data.images_digest, &other.data.labels_digest)
}
