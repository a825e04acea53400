//! Bodies of If and Loop: what they name, and how functions reach into them.

use super::*;
use crate::upgrade::upgrade;

const DOMAIN: &str = "test.functions";

fn branch(output: &str, node: Vec<NodeProto>) -> GraphProto {
    let output = vec![ValueInfoProto { name: Some(output.to_owned()), ..ValueInfoProto::default() }];
    GraphProto { node, output, name: Some("branch".to_owned()), ..GraphProto::default() }
}

fn if_node(condition: &str, output: &str, then: GraphProto, otherwise: GraphProto) -> NodeProto {
    let graph =
        |name, body| AttributeProto { g: Some(Box::new(body)), ..attribute(name, attribute_type::GRAPH) };
    NodeProto {
        attribute: vec![graph("then_branch", then), graph("else_branch", otherwise)],
        ..node("If", &[condition], &[output])
    }
}

fn truth(name: &str, holds: bool) -> TensorProto {
    TensorProto {
        data_type: Some(9),
        raw_data: Some(vec![u8::from(holds)].into()),
        name: Some(name.to_owned()),
        ..TensorProto::default()
    }
}

fn with_condition(nodes: Vec<NodeProto>) -> GraphProto {
    GraphProto { initializer: vec![truth("c", true)], ..graph(nodes) }
}

#[test]
fn a_body_captures_what_it_names_through_any_number_of_graphs() {
    let inner = branch("i", vec![node("Add", &["x", "h"], &["i"])]);
    let other = branch("j", vec![node("Neg", &["h"], &["j"])]);
    let then = branch("t", vec![if_node("c", "t", inner, other)]);
    let otherwise = branch("e", vec![node("Identity", &["x"], &["e"])]);
    // The file lists the If before the node that it waits for.
    let nodes = vec![if_node("c", "y", then, otherwise), node("Relu", &["x"], &["h"])];
    let file = read(&model(with_condition(nodes))).unwrap();
    let names: Vec<&str> = file.graph.nodes().iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["relu", "if"]);
    let captured: Vec<&str> =
        file.graph.nodes()[1].inputs.iter().flatten().map(|id| file.graph.value(*id).name.as_str()).collect();
    assert_eq!(captured, ["c", "c", "x", "h"]);
    insta::assert_snapshot!(upgrade(&file.graph).unwrap(), @r"
    graph (opset 20)
    input %x: f32[N, 4]
    const %c: bool[] = [true]
    %h: f32[N, 4] = Relu(%x)  # relu
    %if/if_2/i: f32[N, 4] = Add(%x, %h)  # if/if_2/add
    %if/t: f32[N, 4] = Identity(%if/if_2/i)  # if/if_2/output_0
    %y: f32[N, 4] = Identity(%if/t)  # if/output_0
    output %y
    ");
    let bytes = crate::onnx::write_model(&file.graph).unwrap();
    let again = read_model_bytes(bytes.clone().into(), None, &Limits::default()).unwrap();
    assert!(crate::onnx::write_model(&again.graph).unwrap() == bytes, "read again it is another graph");
}

#[test]
fn calls_in_bodies_and_bodies_in_functions_are_inlined() {
    let function = |name: &str, node| FunctionProto {
        name: Some(name.to_owned()),
        domain: Some(DOMAIN.to_owned()),
        input: strings(&["a"]),
        output: strings(&["b"]),
        node,
        opset_import: vec![opset("", 17), opset(DOMAIN, 1)],
        ..FunctionProto::default()
    };
    let call = |name, input, output| NodeProto {
        domain: Some(DOMAIN.to_owned()),
        ..node(name, &[input], &[output])
    };
    let double = function("Double", vec![node("Add", &["a", "a"], &["b"])]);
    let constant = NodeProto {
        attribute: vec![AttributeProto {
            t: Some(Box::new(truth("", false))),
            ..attribute("value", attribute_type::TENSOR)
        }],
        ..node("Constant", &[], &["c"])
    };
    let then = branch("t", vec![node("Neg", &["a"], &["t"])]);
    let otherwise = branch("e", vec![call("Double", "a", "d"), node("Relu", &["d"], &["e"])]);
    let choose = function("Choose", vec![constant, if_node("c", "b", then, otherwise)]);
    let nodes = vec![call("Choose", "x", "t"), call("Choose", "t", "y")];
    let file = read(&ModelProto { functions: vec![double, choose], ..model(graph(nodes)) }).unwrap();
    insta::assert_snapshot!(upgrade(&file.graph).unwrap(), @r"
    graph (opset 20)
    input %x: f32[N, 4]
    const %choose/c: bool[] = [false]
    const %choose/c_2: bool[] = [false]
    %choose/if/choose/d: f32[N, 4] = Add(%x, %x)  # choose/if/choose/double/add
    %choose/if/choose/e: f32[N, 4] = Relu(%choose/if/choose/d)  # choose/if/choose/relu
    %t: f32[N, 4] = Identity(%choose/if/choose/e)  # choose/if/output_0
    %choose/if_2/choose/d_2: f32[N, 4] = Add(%t, %t)  # choose/if_2/choose/double/add_2
    %choose/if_2/choose/e_2: f32[N, 4] = Relu(%choose/if_2/choose/d_2)  # choose/if_2/choose/relu_2
    %y: f32[N, 4] = Identity(%choose/if_2/choose/e_2)  # choose/if_2/output_0
    output %y
    ");
}

#[test]
fn bodies_that_do_not_hold_together_are_refused() {
    let good = || branch("e", vec![node("Identity", &["x"], &["e"])]);
    let cases = [
        (
            branch("t", vec![node("Neg", &["gone"], &["t"])]),
            ErrorKind::Format,
            "node `if` (If): its input `gone` is not an input of the graph, an initialiser or the output of a node",
        ),
        (
            branch("t", vec![node("Neg", &["t"], &["t"])]),
            ErrorKind::Format,
            "node `neg` (Neg): depends on its own result: the graph has a cycle",
        ),
        (
            GraphProto { output: Vec::new(), ..good() },
            ErrorKind::Format,
            "node `if` (If): its graph has no outputs: not an ONNX model, or it is truncated",
        ),
    ];
    for (then, kind, text) in cases {
        assert_refused(read(&model(with_condition(vec![if_node("c", "y", then, good())]))), kind, text);
    }
    let scan = NodeProto {
        attribute: vec![AttributeProto {
            g: Some(Box::new(good())),
            ..attribute("body", attribute_type::GRAPH)
        }],
        ..node("Scan", &["x"], &["y"])
    };
    assert_refused(
        read(&model(graph(vec![scan]))),
        ErrorKind::Unsupported,
        "node `scan` (Scan): a Scan is not supported: export the model with the loop unrolled (in PyTorch, a plain loop \
         in Python under `torch.onnx.export` is)",
    );
}

#[test]
fn bodies_inside_each_other_count_as_nesting() {
    let nested = |depth: usize| {
        let leaf = || branch("e", vec![node("Identity", &["x"], &["e"])]);
        (0..depth).fold(leaf(), |body, level| {
            let output = format!("t{level}");
            branch(&output, vec![if_node("c", &output, body, leaf())])
        })
    };
    let file = |depth| model(with_condition(vec![if_node("c", "y", nested(depth), nested(0))]));
    assert!(read(&file(7)).is_ok());
    let error = read(&file(12)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit);
}
