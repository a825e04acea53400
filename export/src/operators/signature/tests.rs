use super::pages::PAGES;
use super::*;
use crate::graph::Attributes;
use crate::graph::own_operators;
use crate::operators::table;

fn node(op_type: &str, inputs: usize, outputs: usize, attributes: Attributes) -> Node {
    Node {
        name: "node".to_owned(),
        op_type: op_type.to_owned(),
        inputs: vec![None; inputs],
        outputs: vec![None; outputs],
        attributes,
    }
}

#[track_caller]
fn refused(opset: u32, node: &Node) -> String {
    check(node, &[], opset).unwrap_err().to_string()
}

#[test]
fn rows_are_in_order() {
    assert!(PAGES.is_sorted_by_key(|row| (row.name, row.since)));
    for row in PAGES {
        assert!(row.attributes.is_sorted_by_key(|allowed| allowed.name), "{}", row.name);
    }
}

/// An operator that is added to the table brings its page.
#[test]
fn every_operator_that_a_file_may_have_has_a_page() {
    let missing: Vec<&str> = table::names()
        .filter(|name| !own_operators::is_ours(name) && !PAGES.iter().any(|row| row.name == *name))
        .collect();
    assert!(missing.is_empty(), "run scripts/reference/operator_signatures.py: {missing:?}");
}

#[test]
fn numbers_of_inputs_and_outputs_are_those_of_the_opset() {
    let none = Attributes::default;
    assert_eq!(refused(13, &node("Relu", 2, 1, none())), "has 2 inputs, wanted 1");
    assert_eq!(refused(13, &node("Clip", 4, 1, none())), "has 4 inputs, wanted 1 to 3");
    assert_eq!(refused(13, &node("Concat", 0, 1, none())), "has 0 inputs, wanted at least 1");
    assert_eq!(refused(13, &node("Softmax", 1, 2, none())), "has 2 outputs, wanted 1");
    let with_axes = node("ReduceSum", 2, 1, none());
    assert_eq!(refused(11, &with_axes), "has 2 inputs, wanted 1");
    check(&with_axes, &[], 13).unwrap();
}

#[test]
fn attributes_outside_of_the_page_are_refused() {
    let with = |name: &'static str, value: Attribute| Attributes::from_pairs([(name, value)]);
    let cases: [(&str, usize, Attributes, &str); 9] = [
        ("Attention", 3, with("is_causal", 2.into()), "attribute `is_causal` is 2, wanted 0 or 1"),
        (
            "LayerNormalization",
            2,
            with("stash_type", 2.into()),
            "attribute `stash_type` is 2, wanted one of 1, 16",
        ),
        ("ReduceMean", 1, with("keepdims", (-1).into()), "attribute `keepdims` is -1, wanted 0 or 1"),
        ("Conv", 2, with("group", 0.into()), "attribute `group` is 0, wanted at least 1"),
        ("Conv", 2, with("strides", vec![1, 0].into()), "attribute `strides` is 0, wanted at least 1"),
        ("Gelu", 1, with("approximate", "erf".into()), "attribute `approximate` is `erf`, wanted none, tanh"),
        ("Cast", 1, with("to", 99.into()), "attribute `to` is 99, wanted 1 to 26"),
        ("Elu", 1, with("alpha", 1.into()), "attribute `alpha` is an INT, wanted a FLOAT"),
        (
            "Relu",
            1,
            with("alpha", 1.0.into()),
            "has the attribute `alpha`; the operator has none (since opset 6)",
        ),
    ];
    for (op_type, inputs, attributes, wanted) in cases {
        assert_eq!(refused(23, &node(op_type, inputs, 1, attributes)), wanted, "{op_type}");
    }
    assert_eq!(
        refused(23, &node("Concat", 1, 1, Attributes::default())),
        "has no attribute `axis`, wanted one"
    );
}

#[test]
fn values_follow_the_opset() {
    let wrap = node("Pad", 2, 1, Attributes::from_pairs([("mode", "wrap".into())]));
    assert_eq!(refused(18, &wrap), "attribute `mode` is `wrap`, wanted constant, reflect, edge");
    check(&wrap, &[], 19).unwrap();
}

#[test]
fn an_operator_of_another_domain_may_have_any_of_its_forms() {
    let encoder = |name: &'static str| {
        node("ai.onnx.ml::LabelEncoder", 1, 1, Attributes::from_pairs([(name, Attribute::Texts(Vec::new()))]))
    };
    check(&encoder("classes_strings"), &[], 17).unwrap();
    check(&encoder("keys_strings"), &[], 17).unwrap();
    assert!(check(&encoder("keys"), &[], 17).is_err());
}
