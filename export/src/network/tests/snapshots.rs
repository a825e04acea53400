//! The graphs of every family as text: names of nodes and constants are what users compare exports by.

use mimir_bundle::Loss;
use mimir_bundle::architecture::Family;

use super::{FAMILIES, small};
use crate::classifier::{ImageClassifier, InputSpec};
use crate::network::{BuildOptions, build_random};
use crate::onnx::{Limits, read_model_bytes, write_model};

fn name(family: Family) -> &'static str {
    family.name()
}

#[test]
fn forward_graphs_of_all_families() {
    for family in FAMILIES {
        let graph = build_random(&small(family), 0, &BuildOptions::default()).unwrap();
        insta::assert_snapshot!(format!("{}_forward", name(family)), graph.to_string());
    }
}

#[test]
fn gradient_graphs_of_all_families() {
    for family in FAMILIES {
        let graph = build_random(&small(family), 0, &BuildOptions::default()).unwrap();
        let file = read_model_bytes(write_model(&graph).unwrap().into(), None, &Limits::default()).unwrap();
        let classifier = ImageClassifier::new(file, &InputSpec::default()).unwrap();
        assert_eq!(classifier.manifest().output_name, "logits");
        let gradient = classifier.gradient_onnx(Loss::CrossEntropy).unwrap();
        let gradient = read_model_bytes(gradient.into(), None, &Limits::default()).unwrap().graph;
        insta::assert_snapshot!(format!("{}_gradient", name(family)), gradient.to_string());
    }
}

#[test]
fn opset_17_has_no_later_operators() {
    for family in FAMILIES {
        let options = BuildOptions { opset: 17, ..BuildOptions::default() };
        let graph = build_random(&small(family), 0, &options).unwrap();
        let later: Vec<_> =
            graph.nodes().iter().filter(|node| ["Gelu", "ReduceMean"].contains(&&*node.op_type)).collect();
        assert_eq!(later, Vec::<&crate::graph::Node>::new());
        let opset = BuildOptions { opset: 16, ..BuildOptions::default() };
        let error = build_random(&small(family), 0, &opset).unwrap_err().to_string();
        assert_eq!(error, "opset 16; wanted 17 to 23");
    }
}
