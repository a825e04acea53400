//! Which tensors learn.

use tch::{Kind, Tensor};

use super::{FAMILIES, autoencoder, classifier, images, mask, small, values};
use crate::model::{DropPath, Family, reconstruction_loss};
use crate::parameters::Parameters;
use crate::random::{BatchRng, Purpose};

/// Biases that add the same number to all scores of a row: the softmax takes it away again, and what is left is rounding.
/// (The part of `qkv.bias` that belongs to the keys is such a bias too.)
fn cancels(name: &str) -> bool {
    name.ends_with("attn.pos_proj.bias")
        || name.ends_with("attn.proj_l.bias")
        || (name.starts_with("blocks_token_only.") && name.ends_with("attn.k.bias"))
}

fn largest_gradient(tensor: &Tensor) -> f64 {
    assert!(tensor.grad().defined());
    tensor.grad().abs().max().double_value(&[])
}

fn assert_all_learn(parameters: &Parameters, family: Family) {
    let largest =
        parameters.trainable().map(|parameter| largest_gradient(&parameter.tensor)).fold(0.0, f64::max);
    for parameter in parameters.trainable() {
        let share = largest_gradient(&parameter.tensor) / largest;
        // Sums that cancel leave a few roundings of 2⁻²⁴.
        assert_eq!(share < 1e-6, cancels(&parameter.name), "{family:?} {}: {share:e}", parameter.name);
    }
}

#[test]
fn every_tensor_of_a_classifier_learns() {
    for family in FAMILIES {
        let architecture = small(family);
        let (parameters, classifier) = classifier(&architecture, family.pooling(), Kind::Float);
        let logits = classifier.logits(&images(&architecture), None);
        (logits * values("weights of logits", &[2, 5])).sum(Kind::Float).backward();
        assert_all_learn(&parameters, family);
    }
}

#[test]
fn every_tensor_of_an_autoencoder_learns() {
    for family in FAMILIES {
        let architecture = small(family);
        let (parameters, autoencoder) = autoencoder(&architecture, Kind::Float);
        let (images, mask) = (images(&architecture), mask(&architecture));
        let prediction = autoencoder.decode(&autoencoder.encode(&images, &mask), &mask);
        reconstruction_loss(&prediction, &autoencoder.target(&images), &mask).backward();
        assert_all_learn(&parameters, family);
        let tables = parameters.iter().filter(|parameter| !parameter.trainable);
        assert!(tables.map(|table| table.tensor.grad()).all(|gradient| !gradient.defined()));
    }
}

#[test]
fn dropped_branches_change_the_logits() {
    for family in FAMILIES {
        let architecture = small(family);
        let (_parameters, classifier) = classifier(&architecture, family.pooling(), Kind::Float);
        let rng = BatchRng { seed: 1, epoch: 0, sample_ids: &[0, 1] };
        let drop_path = DropPath::sample(rng, Purpose::DropPath, &architecture, 0.9, tch::Device::Cpu);
        let images = images(&architecture);
        assert_ne!(classifier.logits(&images, drop_path.as_ref()), classifier.logits(&images, None));
    }
}
