//! Against timm and the formulae of MAE (scripts/reference/model_fixtures.py).

use std::collections::BTreeMap;

use serde::Deserialize;
use tch::{Kind, Tensor};

use super::{autoencoder, classifier, images, mask, relative_difference, small};
use crate::model::{Family, Pooling, position, reconstruction_loss};
use crate::parameters::Parameters;

/// What float32 may differ from the float64 of the fixtures, relative to the largest value: about 40 roundings follow
/// each other (ten in each of four blocks), each of a sum of about a hundred terms, √100·2⁻²⁴ = 6e-7; as they are
/// independent, √40·6e-7 = 4e-6 is to be expected.
const TOLERANCE: f64 = 1e-5;

#[derive(Deserialize)]
struct Fixtures {
    classifiers: BTreeMap<String, ClassifierFixture>,
    autoencoders: BTreeMap<String, AutoencoderFixture>,
    positions: Vec<f64>,
}

#[derive(Deserialize)]
struct ClassifierFixture {
    shapes: BTreeMap<String, Vec<i64>>,
    logits: Vec<f64>,
}

#[derive(Deserialize)]
struct AutoencoderFixture {
    shapes: BTreeMap<String, Vec<i64>>,
    latent: Vec<f64>,
    prediction: Vec<f64>,
    target: Vec<f64>,
    hidden: Vec<f64>,
    loss: f64,
}

fn fixtures() -> Fixtures {
    serde_json::from_str(include_str!("../../../tests/fixtures/model.json")).unwrap()
}

fn shapes(parameters: &Parameters) -> BTreeMap<String, Vec<i64>> {
    parameters.iter().map(|parameter| (parameter.name.clone(), parameter.tensor.size())).collect()
}

fn assert_close(found: &Tensor, wanted: &[f64], what: &str) {
    let wanted = Tensor::from_slice(wanted).reshape(found.size());
    let difference = relative_difference(found, &wanted);
    assert!(difference <= TOLERANCE, "{what}: {difference}");
}

#[test]
fn classifiers_have_the_names_and_logits_of_timm() {
    let cases = [
        ("vit_mean", Family::Vit, Pooling::Mean),
        ("vit_class_token", Family::Vit, Pooling::ClassToken),
        ("vit_conv_stem", Family::VitConvStem, Pooling::Mean),
        ("convit", Family::Convit, Pooling::ClassToken),
        ("cait", Family::Cait, Pooling::ClassToken),
    ];
    let fixtures = fixtures().classifiers;
    assert_eq!(fixtures.len(), cases.len());
    for (name, family, pooling) in cases {
        let (parameters, classifier) = classifier(&small(family), pooling, Kind::Float);
        assert_eq!(shapes(&parameters), fixtures[name].shapes, "{name}");
        assert_close(&classifier.logits(&images(&small(family)), None), &fixtures[name].logits, name);
    }
}

#[test]
fn autoencoders_follow_the_formulae_of_mae() {
    let cases = [("vit", Family::Vit), ("convit", Family::Convit), ("cait", Family::Cait)];
    let fixtures = fixtures().autoencoders;
    assert_eq!(fixtures.len(), cases.len());
    for (name, family) in cases {
        let (wanted, architecture) = (&fixtures[name], small(family));
        let (parameters, autoencoder) = autoencoder(&architecture, Kind::Float);
        assert_eq!(shapes(&parameters), wanted.shapes, "{name}");
        let (images, mask) = (images(&architecture), mask(&architecture));
        assert_close(&mask.masked, &wanted.hidden, "hidden");
        let latent = autoencoder.encode(&images, &mask);
        assert_eq!(latent.size(), [2, 1 + 4, 32], "{name}");
        assert_close(&latent, &wanted.latent, name);
        let (prediction, target) = (autoencoder.decode(&latent, &mask), autoencoder.target(&images));
        assert_close(&prediction, &wanted.prediction, name);
        assert_close(&target, &wanted.target, name);
        assert_close(&reconstruction_loss(&prediction, &target, &mask), &[wanted.loss], name);
    }
}

#[test]
fn positions_are_sines_and_cosines_of_column_and_row() {
    assert_close(&position::sin_cos(3, 5, 16), &fixtures().positions, "positions");
}
