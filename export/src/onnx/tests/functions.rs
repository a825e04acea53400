//! Functions that are inlined, and those that must not be.

use super::*;
use crate::graph::Attribute;

const DOMAIN: &str = "test.functions";

fn function(name: &str, input: &[&str], output: &[&str], node: Vec<NodeProto>) -> FunctionProto {
    FunctionProto {
        name: Some(name.to_owned()),
        domain: Some(DOMAIN.to_owned()),
        input: strings(input),
        output: strings(output),
        node,
        opset_import: vec![opset("", 17), opset(DOMAIN, 1)],
        ..FunctionProto::default()
    }
}

fn call(name: &str, input: &[&str], output: &[&str]) -> NodeProto {
    NodeProto { domain: Some(DOMAIN.to_owned()), ..node(name, input, output) }
}

/// A node of the domain `ai.onnx.ml`.
fn ai_onnx_ml(name: &str) -> NodeProto {
    NodeProto { domain: Some("ai.onnx.ml".to_owned()), ..node(name, &["x"], &["y"]) }
}

fn model_with(functions: Vec<FunctionProto>, nodes: Vec<NodeProto>) -> ModelProto {
    ModelProto { functions, ..model(graph(nodes)) }
}

#[test]
fn a_call_becomes_its_body() {
    let body = vec![node("Sigmoid", &["a"], &["gate"]), node("Mul", &["a", "gate"], &["b"])];
    let swish = function("Swish", &["a"], &["b"], body);
    let twice_body = vec![call("Swish", &["a"], &["gate"]), call("Swish", &["gate"], &["b"])];
    let twice = function("Twice", &["a"], &["b"], twice_body);
    let nodes = vec![call("Twice", &["x"], &["gate"]), call("Swish", &["gate"], &["y"])];
    let file = read(&model_with(vec![swish, twice], nodes)).unwrap();
    insta::assert_snapshot!(file.graph, @r"
    graph (opset 17)
    input %x: f32[N, 4]
    %twice/swish/gate = Sigmoid(%x)  # twice/swish/sigmoid
    %twice/gate = Mul(%x, %twice/swish/gate)  # twice/swish/mul
    %twice/swish/gate_2 = Sigmoid(%twice/gate)  # twice/swish/sigmoid_2
    %gate = Mul(%twice/gate, %twice/swish/gate_2)  # twice/swish/mul_2
    %swish/gate = Sigmoid(%gate)  # swish/sigmoid
    %y = Mul(%gate, %swish/gate)  # swish/mul
    output %y
    ");
    let names: Vec<&str> = file.graph.nodes().iter().map(|node| node.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "twice/swish/sigmoid",
            "twice/swish/mul",
            "twice/swish/sigmoid_2",
            "twice/swish/mul_2",
            "swish/sigmoid",
            "swish/mul"
        ]
    );
}

#[test]
fn attributes_are_the_calls_the_defaults_or_absent() {
    let refer = |name: &str| AttributeProto { ref_attr_name: Some(name.to_owned()), ..attribute("alpha", 1) };
    let leaky = |name: &str, output: &str| NodeProto {
        attribute: vec![refer(name)],
        name: Some(name.to_owned()),
        ..node("LeakyRelu", &["a"], &[output])
    };
    let body =
        vec![leaky("given", "p"), leaky("overridden", "q"), leaky("default", "r"), leaky("absent", "b")];
    let float =
        |name: &str, value| AttributeProto { f: Some(value), ..attribute(name, attribute_type::FLOAT) };
    let function = FunctionProto {
        attribute: strings(&["given", "absent"]),
        attribute_proto: vec![float("overridden", 0.1), float("default", 0.2)],
        ..function("F", &["a"], &["b"], body)
    };
    let call = NodeProto {
        attribute: vec![float("given", 0.3), float("overridden", 0.4)],
        ..call("F", &["x"], &["y"])
    };
    let graph = read(&model_with(vec![function], vec![call])).unwrap().graph;
    let alphas: Vec<_> = graph.nodes().iter().map(|node| node.attributes.get("alpha").cloned()).collect();
    let float = |value| Some(Attribute::Float(value));
    assert_eq!(alphas, [float(0.3), float(0.4), float(0.2), None]);
}

#[test]
fn inputs_and_outputs_may_be_left_out_or_handed_through() {
    let body = vec![node("Clip", &["a", "low", "high"], &["b"]), node("Relu", &["a"], &["unused"])];
    let function = function("F", &["a", "low", "high"], &["b", "unused", "a"], body);
    let call = call("F", &["x", "", "x"], &["p", "", "q"]);
    let graph =
        read(&model_with(vec![function], vec![call, node("Add", &["p", "q"], &["y"])])).unwrap().graph;
    insta::assert_snapshot!(graph, @r"
    graph (opset 17)
    input %x: f32[N, 4]
    %p = Clip(%x, _, %x)  # f/clip
    %f/unused = Relu(%x)  # f/relu
    %q = Identity(%x)  # f/Identity
    %y = Add(%p, %q)  # add
    output %y
    ");
}

/// Functions `F0` to `F{levels}`, each of which calls the one before it twice.
fn doubling(levels: usize, innermost: Vec<NodeProto>) -> ModelProto {
    let mut functions = vec![function("F0", &["a"], &["b"], innermost)];
    for level in 1..=levels {
        let inner = format!("F{}", level - 1);
        let body = vec![call(&inner, &["a"], &["c"]), call(&inner, &["c"], &["b"])];
        functions.push(function(&format!("F{level}"), &["a"], &["b"], body));
    }
    model_with(functions, vec![call(&format!("F{levels}"), &["x"], &["y"])])
}

#[test]
fn a_bomb_of_nested_functions_is_refused() {
    let relu = vec![node("Relu", &["a"], &["b"])];
    assert_eq!(read(&doubling(5, relu.clone())).unwrap().graph.nodes().len(), 32);
    // Bodies without operators leave no node behind, but their calls cost all the same.
    let cases = [
        (18, relu, Limits::default()),
        (40, Vec::new(), Limits { nodes: 500, nesting: 50, ..Limits::default() }),
    ];
    for (levels, innermost, limits) in cases {
        let error = read_under(&doubling(levels, innermost), &limits).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Limit);
        let text = error.to_string();
        let wanted = format!(
            "more than {} nodes after inlining functions; raise `Limits::nodes` if you trust the file",
            limits.nodes
        );
        assert!(text.starts_with("node `") && text.ends_with(&wanted), "{text}");
    }
}

#[test]
fn inlining_has_budgets() {
    let text = |case: &str, budget: &str, key: &str| {
        format!("node `{case}: more than {budget}; raise `Limits::{key}` if you trust the file")
    };
    let relu = vec![node("Relu", &["a"], &["b"])];
    let nodes = Limits { nodes: 20, ..Limits::default() };
    assert_refused(
        read_under(&doubling(3, relu.clone()), &nodes),
        ErrorKind::Limit,
        &text("f3/f2/f1/f0/relu` (Relu)", "20 nodes after inlining functions", "nodes"),
    );
    let depth = Limits { nesting: 8, ..Limits::default() };
    assert_refused(
        read_under(&doubling(8, relu.clone()), &depth),
        ErrorKind::Limit,
        &text("f8/f7/f6/f5/f4/f3/f2/f1/f0` (F0)", "8 nested function calls", "nesting"),
    );
}

/// What a call gives can be written any number of times, so it is paid before it is written.
#[test]
fn long_names_and_attributes_are_paid_per_use() {
    let long = "n".repeat(10_000);
    let relu = || node("Relu", &["a"], &["b"]);
    let many_inputs = function("F", &["a"], &["b"], vec![node("Sum", &["a"; 1000], &["b"])]);
    let refer = |index| AttributeProto {
        ref_attr_name: Some("given".to_owned()),
        ..attribute(&format!("copy{index}"), attribute_type::INTS)
    };
    let copies = NodeProto { attribute: (0..1000).map(refer).collect(), ..relu() };
    let many_copies =
        FunctionProto { attribute: strings(&["given"]), ..function("F", &["a"], &["b"], vec![copies]) };
    let given = AttributeProto { ints: vec![1; 5_000], ..attribute("given", attribute_type::INTS) };
    let declared: Vec<String> = (0..1000).map(|index| format!("input{index}")).collect();
    let many_declared = FunctionProto { input: declared, ..function("F", &[], &["b"], vec![]) };
    let cases = [
        (many_inputs, vec![relu(), call("F", &[&long], &["y"])]),
        (many_copies, vec![NodeProto { attribute: vec![given], ..call("F", &["x"], &["y"]) }]),
        (
            function("F", &["a"], &["b"], vec![relu(); 1000]),
            vec![NodeProto { name: Some(long.clone()), ..call("F", &["x"], &["y"]) }],
        ),
        (many_declared, vec![call("F", &[], &["y"]); 100]),
    ];
    let limits = Limits { attribute_bytes: 1_000_000, ..Limits::default() };
    for (function, nodes) in cases {
        let error = read_under(&model_with(vec![function], nodes), &limits).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
        let wanted = "(F): more than 1000000 bytes of names and attributes in inlined functions; raise \
                      `Limits::attribute_bytes` if you trust the file";
        assert!(error.to_string().ends_with(wanted), "{error}");
    }
}

#[test]
fn raw_tensors_are_shared_not_paid_per_call() {
    let value = AttributeProto {
        t: Some(Box::new(weight(&[1000], &[0.5; 1000]))),
        ..attribute("value", attribute_type::TENSOR)
    };
    let constant = NodeProto { attribute: vec![value], ..node("Constant", &[], &["w"]) };
    let bomb = doubling(5, vec![constant, node("Add", &["a", "w"], &["b"])]);
    let limits = Limits { attribute_bytes: 100_000, ..Limits::default() };
    assert_eq!(read_under(&bomb, &limits).unwrap().graph.constants().count(), 32);
}

#[test]
fn functions_that_cannot_be_inlined_are_refused() {
    let relu = || vec![node("Relu", &["a"], &["b"])];
    let identity = || function("F", &["a"], &["b"], relu());
    let calls = || vec![call("F", &["x"], &["y"])];
    let cases = [
        (
            "itself",
            model_with(vec![function("F", &["a"], &["b"], vec![call("F", &["a"], &["b"])])], calls()),
            ErrorKind::Format,
            "node `f/f` (F): the function that it calls contains this call: recursive functions are not supported",
        ),
        (
            "each other",
            model_with(
                vec![
                    function("F", &["a"], &["b"], vec![call("G", &["a"], &["b"])]),
                    function("G", &["a"], &["b"], vec![call("F", &["a"], &["b"])]),
                ],
                calls(),
            ),
            ErrorKind::Format,
            "node `f/g/f` (F): the function that it calls contains this call: recursive functions are not supported",
        ),
        (
            "another opset",
            model_with(vec![FunctionProto { opset_import: vec![opset("", 18)], ..identity() }], calls()),
            ErrorKind::Unsupported,
            "node `f` (F): the function that it calls is written in opset 18, the model in 17: export with one opset",
        ),
        (
            "another overload",
            model_with(vec![FunctionProto { overload: Some("half".to_owned()), ..identity() }], calls()),
            ErrorKind::Unsupported,
            "node `f` (F): is of domain `test.functions`; supported are ONNX's own domain, functions that the model \
             defines, and the quantised operators of ONNX Runtime: export without fused or custom operators, or \
             define \
             this one as a function of the model (in PyTorch: `custom_translation_table` with standard operators)",
        ),
        (
            "trees of scikit-learn",
            model_with(vec![], vec![ai_onnx_ml("TreeEnsembleClassifier")]),
            ErrorKind::Unsupported,
            "node `treeensembleclassifier` (TreeEnsembleClassifier): is an ensemble of decision trees: its scores \
             are piecewise constant and have no gradient, and every evaluation here needs a differentiable copy; \
             evaluate a differentiable model (linear, kernel, neural network), or use an attack for tree ensembles",
        ),
        (
            "another operator of scikit-learn's models",
            model_with(vec![], vec![ai_onnx_ml("OneHotEncoder")]),
            ErrorKind::Unsupported,
            "node `onehotencoder` (OneHotEncoder): is of domain `ai.onnx.ml`, the models of scikit-learn, and has no \
             gradient rule; docs/operators.md lists the operators that have one: export a pipeline of these, or, \
                 for a neural network, the part up to the scores in standard operators (`onnx.utils.extract_model`)",
        ),
        (
            "an operator of ONNX",
            model_with(vec![FunctionProto { domain: None, ..identity() }], calls()),
            ErrorKind::Unsupported,
            "function `F` replaces an operator of ONNX's own domain: give it a domain of its own",
        ),
        (
            "twice",
            model_with(vec![identity(), identity()], calls()),
            ErrorKind::Format,
            "function `test.functions::F` is defined twice",
        ),
        (
            "too many inputs",
            model_with(vec![identity()], vec![call("F", &["x", "x"], &["y"])]),
            ErrorKind::Format,
            "node `f` (F): has 2 inputs, but the function that it calls declares 1",
        ),
        (
            "too many outputs",
            model_with(vec![identity()], vec![call("F", &["x"], &["y", "z"])]),
            ErrorKind::Format,
            "node `f` (F): has 2 outputs, but the function that it calls declares 1",
        ),
        (
            "one name for two inputs",
            model_with(vec![function("F", &["a", "a"], &["b"], relu())], calls()),
            ErrorKind::Format,
            "node `f` (F): the function that it calls declares the input `a` twice",
        ),
        (
            "one name for two outputs",
            model_with(vec![function("F", &["a"], &["b", "b"], relu())], calls()),
            ErrorKind::Format,
            "node `f` (F): the function that it calls declares the output `b` twice",
        ),
        (
            "a name that its body does not define",
            model_with(vec![function("F", &["a"], &["b"], vec![node("Add", &["a", "x"], &["b"])])], calls()),
            ErrorKind::Format,
            "node `f/add` (Add): its input `f/x` is not an input of the graph, an initialiser or the output of a node",
        ),
    ];
    for (case, model, kind, text) in cases {
        eprintln!("{case}");
        assert_refused(read(&model), kind, text);
    }
}
