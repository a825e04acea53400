//! Tests of the networks as wholes.

mod counts;
mod gradients;
mod masking;
mod precision;
mod reference;

use tch::{Device, Kind, Tensor};

use crate::model::{Architecture, Classifier, DecoderShape, Family, Mask, MaskedAutoencoder, Pooling};
use crate::parameters::Parameters;

/// Four small networks, one of each family, with images for them.
const FAMILIES: [Family; 4] = [Family::Vit, Family::VitConvStem, Family::Convit, Family::Cait];

fn small(family: Family) -> Architecture {
    let (image_size, patch_size) = if family == Family::VitConvStem { (32, 16) } else { (16, 4) };
    let depth = if family == Family::Convit { 4 } else { 2 };
    Architecture { family, width: 32, depth, heads: 4, image_size, patch_size }
}

const DECODER: DecoderShape = DecoderShape { width: 16, depth: 2, heads: 4 };

/// Uniform numbers by a hash of the name and the place, as scripts/reference/model_fixtures.py makes them.
fn values(name: &str, shape: &[i64]) -> Tensor {
    let count = shape.iter().product::<i64>() as u32;
    let fan_in: i64 = shape[1..].iter().product();
    let is_norm = (name.contains("norm") || name.contains(".stem.")) && name.ends_with("weight");
    let (scale, centre) = match name {
        "images" | "noise" => (1.0, 0.0),
        _ if shape.len() > 1 => ((12.0 / fan_in as f64).sqrt(), 0.0),
        _ => (0.4, if is_norm { 1.0 } else { 0.0 }),
    };
    let start = crc32fast::hash(name.as_bytes());
    let number = |i: u32| (f64::from(hash(start.wrapping_add(i))) / 2f64.powi(32) - 0.5) * scale + centre;
    let numbers: Vec<f32> = (0..count).map(|i| number(i) as f32).collect();
    Tensor::from_slice(&numbers).reshape(shape)
}

fn hash(mut x: u32) -> u32 {
    for (shift, factor) in [(16, 0x7feb_352d), (15, 0x846c_a68b)] {
        x = (x ^ (x >> shift)).wrapping_mul(factor);
    }
    x ^ (x >> 16)
}

/// Two images in [0, 1] for that network.
fn images(architecture: &Architecture) -> Tensor {
    (values("images", &[2, 3, architecture.image_size, architecture.image_size]) + 0.5).clamp(0.0, 1.0)
}

/// A mask that hides 3 of 4 patches.
fn mask(architecture: &Architecture) -> Mask {
    let keep = Mask::visible_patches(architecture.num_patches(), 0.75);
    Mask::from_noise(&values("noise", &[2, architecture.num_patches()]), keep)
}

/// Every trained tensor from [`values`].
fn fill(parameters: &Parameters) {
    for parameter in parameters.trainable() {
        let value = values(&parameter.name, &parameter.tensor.size());
        tch::no_grad(|| parameter.tensor.shallow_clone().copy_(&value));
    }
}

fn classifier(architecture: &Architecture, pooling: Pooling, compute: Kind) -> (Parameters, Classifier) {
    let mut parameters = Parameters::new(0, Device::Cpu);
    let classifier = Classifier::new(&mut parameters.root(), architecture, pooling, 5, 0.02, compute);
    fill(&parameters);
    (parameters, classifier)
}

fn autoencoder(architecture: &Architecture, compute: Kind) -> (Parameters, MaskedAutoencoder) {
    let mut parameters = Parameters::new(0, Device::Cpu);
    let autoencoder = MaskedAutoencoder::new(&mut parameters.root(), architecture, DECODER, compute);
    fill(&parameters);
    (parameters, autoencoder)
}

/// Largest absolute difference as a share of the largest absolute value of `wanted`.
fn relative_difference(found: &Tensor, wanted: &Tensor) -> f64 {
    let largest = |x: &Tensor| x.to_kind(Kind::Double).abs().max().double_value(&[]);
    largest(&(found.to_kind(Kind::Double) - wanted.to_kind(Kind::Double))) / largest(wanted)
}
