//! bfloat16 products over float32 weights.

use tch::Kind;

use super::{FAMILIES, autoencoder, classifier, images, mask, relative_difference, small};
use crate::model::reconstruction_loss;

/// Largest share of error: a rounding to bfloat16 is at most 2⁻⁹, three come with each matrix product (both factors and
/// the result), and at most 4·6 + 3 products follow each other. They would have to add up in one direction to reach it.
const BOUND: f64 = 81.0 / 512.0;

/// Less than that would mean that nothing was rounded to bfloat16.
const ROUNDED: f64 = 1.0 / 8192.0;

#[test]
fn logits_stay_close_and_gradients_wide() {
    for family in FAMILIES {
        let architecture = small(family);
        let images = images(&architecture);
        let (_parameters, exact) = classifier(&architecture, family.pooling(), Kind::Float);
        let (parameters, rounded) = classifier(&architecture, family.pooling(), Kind::BFloat16);
        let logits = rounded.logits(&images, None);
        assert_eq!(logits.kind(), Kind::Float);
        let difference = relative_difference(&logits, &exact.logits(&images, None));
        assert!(difference > ROUNDED && difference < BOUND, "{family:?}: {difference}");
        logits.square().sum(Kind::Float).backward();
        for parameter in parameters.trainable() {
            assert_eq!(parameter.tensor.grad().kind(), Kind::Float, "{}", parameter.name);
        }
    }
}

#[test]
fn autoencoders_stay_close() {
    for family in FAMILIES {
        let architecture = small(family);
        let (images, mask) = (images(&architecture), mask(&architecture));
        let loss = |compute| {
            let (_parameters, autoencoder) = autoencoder(&architecture, compute);
            let latent = autoencoder.encode(&images, &mask);
            assert_eq!(latent.kind(), Kind::Float);
            let prediction = autoencoder.decode(&latent, &mask);
            reconstruction_loss(&prediction, &autoencoder.target(&images), &mask)
        };
        let difference = relative_difference(&loss(Kind::BFloat16), &loss(Kind::Float));
        assert!(difference > 0.0 && difference < 2.0 * BOUND, "{family:?}: {difference}");
    }
}
