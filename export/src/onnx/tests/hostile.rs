//! Well-formed protobuf that is no model we could run.

use super::*;

/// What is wrong, the file, and the error it must give.
type Case = (&'static str, ModelProto, ErrorKind, &'static str);

#[track_caller]
fn check(cases: impl IntoIterator<Item = Case>) {
    for (case, model, kind, text) in cases {
        eprintln!("{case}");
        assert_refused(read(&model), kind, text);
    }
}

/// Past the list of accepted operators: those of ONNX Runtime that have read out of bounds, and our own, which trust what
/// they are given.
#[test]
fn a_domain_in_the_name_of_an_operator_is_refused() {
    for op_type in ["com.microsoft::QMoE", "ai.mimir::Gelu", "::Relu", "Relu::"] {
        let named = model(graph(vec![node(op_type, &["x"], &["y"])]));
        let text = format!("operator `{op_type}`; wanted a name without `::`");
        let error = read(&named).unwrap_err().to_string();
        assert!(error.contains(&text), "{error}");
        let inner = NodeProto { domain: Some("com.microsoft".into()), ..node(op_type, &["x"], &["y"]) };
        assert!(read(&model(graph(vec![inner]))).is_err(), "{op_type}");
    }
}

#[test]
fn unknown_versions_are_refused_by_number() {
    let with_opset = |version| ModelProto { opset_import: vec![opset("", version)], ..model(relu_graph()) };
    let with_ir = |version| ModelProto { ir_version: Some(version), ..model(relu_graph()) };
    check([
        (
            "opset 6",
            with_opset(6),
            ErrorKind::Unsupported,
            "imports opset 6 of the default domain; supported are 7 to 28: export with `opset_version=7`, or \
             convert with \
             `onnx.version_converter`",
        ),
        (
            "opset 29",
            with_opset(29),
            ErrorKind::Unsupported,
            "imports opset 29 of the default domain; supported are 7 to 28: export with `opset_version=28`, or \
             convert \
             with `onnx.version_converter`",
        ),
        (
            "IR 15",
            with_ir(15),
            ErrorKind::Unsupported,
            "IR version 15; supported are 3 to 14: export with an older or newer release of the exporter, or save it \
             again through `onnx` with `model.ir_version` in that range",
        ),
        (
            "IR 2",
            with_ir(2),
            ErrorKind::Unsupported,
            "IR version 2; supported are 3 to 14: export with an older or newer release of the exporter, or save it again \
             through `onnx` with `model.ir_version` in that range",
        ),
        (
            "two opsets",
            ModelProto { opset_import: vec![opset("", 17), opset("ai.onnx", 18)], ..model(relu_graph()) },
            ErrorKind::Format,
            "imports the default domain in two versions, 17 and 18",
        ),
        (
            "no opset",
            ModelProto { opset_import: vec![opset("com.microsoft", 1)], ..model(relu_graph()) },
            ErrorKind::Format,
            "imports no opset of the default domain: not an ONNX model, or it is truncated",
        ),
        (
            "models of scikit-learn in a version to come",
            ModelProto { opset_import: vec![opset("", 17), opset("ai.onnx.ml", 6)], ..model(relu_graph()) },
            ErrorKind::Unsupported,
            "imports version 6 of the domain `ai.onnx.ml`; supported are 1 to 5: export with \
             `target_opset={'': 28, 'ai.onnx.ml': 5}`",
        ),
        (
            "no graph",
            ModelProto { graph: None, ..model(relu_graph()) },
            ErrorKind::Format,
            "has no graph: not an ONNX model",
        ),
        (
            "training",
            ModelProto { training_info: vec![TrainingInfoProto::default()], ..model(relu_graph()) },
            ErrorKind::Unsupported,
            "carries `training_info`: export the model for inference",
        ),
    ]);
    for version in [7, 28] {
        assert_eq!(i64::from(read(&with_opset(version)).unwrap().graph.opset), version);
    }
}

#[test]
fn graphs_that_do_not_hold_together_are_refused() {
    let relu = |input, output| node("Relu", &[input], &[output]);
    check([
        (
            "a cycle",
            model(graph(vec![node("Add", &["x", "b"], &["a"]), relu("a", "b"), relu("b", "y")])),
            ErrorKind::Format,
            "node `add` (Add): depends on its own result: the graph has a cycle",
        ),
        (
            "a missing initialiser",
            model(graph(vec![node("Add", &["x", "w"], &["y"])])),
            ErrorKind::Format,
            "node `add` (Add): its input `w` is not an input of the graph, an initialiser or the output of a node",
        ),
        (
            "a missing output",
            model(graph(vec![relu("x", "z")])),
            ErrorKind::Format,
            "tensor `y`: is an output of the graph, but nothing produces it",
        ),
        (
            "no outputs",
            model(GraphProto { output: Vec::new(), ..relu_graph() }),
            ErrorKind::Format,
            "its graph has no outputs: not an ONNX model, or it is truncated",
        ),
        (
            "two producers",
            model(graph(vec![relu("x", "y"), relu("x", "y")])),
            ErrorKind::Format,
            "tensor `y`: is defined twice",
        ),
        (
            "a node that writes the input",
            model(graph(vec![relu("x", "x")])),
            ErrorKind::Format,
            "tensor `x`: is defined twice",
        ),
        (
            "two initialisers",
            model(GraphProto { initializer: vec![weight(&[1], &[0.0]); 2], ..relu_graph() }),
            ErrorKind::Format,
            "tensor `w`: is defined twice",
        ),
        (
            "an initialiser without a name",
            model(GraphProto {
                initializer: vec![TensorProto { name: None, ..weight(&[1], &[0.0]) }],
                ..relu_graph()
            }),
            ErrorKind::Format,
            "an initialiser of the graph has no name",
        ),
        (
            "a node without outputs",
            model(graph(vec![relu("x", "y"), node("Relu", &["x"], &[""])])),
            ErrorKind::Format,
            "node `relu` (Relu): has no outputs",
        ),
        (
            "a node without operator",
            model(graph(vec![NodeProto { op_type: None, ..relu("x", "y") }])),
            ErrorKind::Format,
            "node `relu` (): has no operator type",
        ),
    ]);
}

#[test]
fn nodes_that_we_do_not_know_are_named() {
    let with_attribute = |attribute| {
        model(graph(vec![NodeProto { attribute: vec![attribute], ..node("Relu", &["x"], &["y"]) }]))
    };
    let branch =
        AttributeProto { g: Some(Box::new(relu_graph())), ..attribute("then_branch", attribute_type::GRAPH) };
    check([
        (
            "another domain",
            model(graph(vec![NodeProto {
                domain: Some("com.microsoft".to_owned()),
                name: None,
                ..node("FusedConv", &["x"], &["y"])
            }])),
            ErrorKind::Unsupported,
            "node `y` (FusedConv): is of domain `com.microsoft`; supported are ONNX's own domain, functions that \
             the model defines, and the quantised operators of ONNX Runtime: export without fused or custom \
             operators, or define \
             this one as a function of the model (in PyTorch: `custom_translation_table` with standard operators)",
        ),
        (
            "a subgraph",
            with_attribute(branch),
            ErrorKind::Unsupported,
            "node `relu` (Relu): attribute `then_branch` is a subgraph, which only If and Loop may have: export without \
             custom control flow",
        ),
        (
            "a sparse attribute",
            with_attribute(attribute("value", 11)),
            ErrorKind::Unsupported,
            "node `relu` (Relu): attribute `value` has type number 11; supported are FLOAT, INT, STRING, TENSOR, \
             lists of \
             the first three, and GRAPH",
        ),
        (
            "a function's attribute outside of one",
            with_attribute(AttributeProto { ref_attr_name: Some("a".to_owned()), ..attribute("alpha", 1) }),
            ErrorKind::Format,
            "node `relu` (Relu): attribute `alpha` refers to an attribute of a function, but the node is not in a \
             function",
        ),
        (
            "a tensor attribute without tensor",
            with_attribute(attribute("value", attribute_type::TENSOR)),
            ErrorKind::Format,
            "node `relu` (Relu): attribute `value` is a tensor without content",
        ),
        (
            "a text that is none",
            with_attribute(AttributeProto {
                s: Some(Bytes::from_static(&[0xff])),
                ..attribute("mode", attribute_type::STRING)
            }),
            ErrorKind::Format,
            "node `relu` (Relu): attribute `mode` is not UTF-8",
        ),
        (
            "an attribute twice",
            model(graph(vec![NodeProto {
                attribute: vec![attribute("axis", attribute_type::INT); 2],
                ..node("Softmax", &["x"], &["y"])
            }])),
            ErrorKind::Format,
            "node `softmax` (Softmax): has the attribute `axis` twice",
        ),
    ]);
}

#[test]
fn inputs_are_dense_tensors() {
    let with_input = |input| model(GraphProto { input: vec![input], ..relu_graph() });
    let with_dims = |dims| with_input(input("x", dims));
    let of_type = |r#type| {
        with_input(ValueInfoProto {
            name: Some("x".to_owned()),
            r#type: Some(r#type),
            ..ValueInfoProto::default()
        })
    };
    check([
        (
            "two truths",
            with_dims(vec![DimensionProto { dim_value: Some(1), ..named_dim("batch") }]),
            ErrorKind::Format,
            "tensor `x`: dimension 0 is both a number and a name",
        ),
        (
            "no type",
            of_type(TypeProto::default()),
            ErrorKind::Shape,
            "tensor `x`: this input declares no type",
        ),
        (
            "a text",
            of_type(TypeProto {
                tensor_type: Some(TensorTypeProto {
                    elem_type: Some(8),
                    shape: Some(TensorShapeProto::default()),
                }),
                ..TypeProto::default()
            }),
            ErrorKind::Unsupported,
            "tensor `x`: element type string; supported are integers of 8 to 64 bits, bool, and floating point \
             of 16 to 64 bits",
        ),
        (
            "an optional",
            of_type(TypeProto { optional_type: Some(Box::default()), ..TypeProto::default() }),
            ErrorKind::Unsupported,
            "tensor `x`: this input has the type optional; wanted a tensor",
        ),
    ]);
}

#[test]
fn sizes_that_a_file_leaves_open_are_listed_by_input() {
    let read_with = |dims| {
        let file = model(GraphProto { input: vec![input("x", dims)], ..relu_graph() });
        read(&file).unwrap().open_inputs
    };
    assert_eq!(read_with(vec![named_dim("batch"), fixed_dim(3)]), []);
    for (height, shown) in [
        (named_dim("height"), "[N, 3, height]"),
        (DimensionProto::default(), "[N, 3, ?]"),
        (fixed_dim(-5), "[N, 3, ?]"),
        (named_dim("batch"), ""),
    ] {
        let open = read_with(vec![named_dim("batch"), fixed_dim(3), height]);
        let found = open.first().map(|open| open.declared.to_string());
        assert_eq!(found.unwrap_or_default(), shown);
    }
}

#[test]
fn names_for_what_is_not_known_are_no_names() {
    let dims = ["None", "None", "None", "None"].map(named_dim).to_vec();
    let file = read(&model(GraphProto { input: vec![input("x", dims)], ..relu_graph() })).unwrap();
    assert_eq!(file.open_inputs[0].declared.to_string(), "[N, ?, ?, ?]");
}

#[test]
fn inputs_that_nothing_reads_may_be_of_any_type() {
    let text = TypeProto { sequence_type: Some(Box::default()), ..TypeProto::default() };
    let unused =
        ValueInfoProto { name: Some("unused".to_owned()), r#type: Some(text), ..ValueInfoProto::default() };
    let mut graph = relu_graph();
    graph.input.push(unused);
    let file = read(&model(graph)).unwrap();
    assert_eq!(file.graph.inputs().len(), 1);
}

/// Names are printed and written into records: none of them begins a line, moves a cursor or turns what follows.
#[test]
fn names_that_are_more_than_text_are_refused() {
    let odd = [
        "a\nPASS",
        "\u{1b}[2J",
        "a\tb",
        "a\0",
        "\u{9b}31m",
        "\u{7f}",
        "x\u{202e}y",
        "\u{2028}",
        "\u{61c}",
        "\u{2069}",
    ];
    for name in odd {
        let mut models: Vec<(&str, ModelProto)> = Vec::new();
        let named = |what: fn(&mut GraphProto, String)| {
            let mut graph = relu_graph();
            what(&mut graph, name.to_owned());
            model(graph)
        };
        models.push(("the name of a graph", named(|graph, name| graph.name = Some(name))));
        models.push(("the name of an input", named(|graph, name| graph.node[0].input[0] = name)));
        models.push(("the name of an output", named(|graph, name| graph.node[0].output[0] = name)));
        models.push(("the name of a node", named(|graph, name| graph.node[0].name = Some(name))));
        models.push(("an operator", named(|graph, name| graph.node[0].op_type = Some(name))));
        models.push(("a domain of operators", named(|graph, name| graph.node[0].domain = Some(name))));
        models.push(("the overload of a function", named(|graph, name| graph.node[0].overload = Some(name))));
        models.push((
            "the name of an attribute",
            named(|graph, name| graph.node[0].attribute.push(attribute(&name, attribute_type::INT))),
        ));
        models.push((
            "the name of an attribute",
            named(|graph, name| {
                let referred =
                    AttributeProto { ref_attr_name: Some(name), ..attribute("axis", attribute_type::INT) };
                graph.node[0].attribute.push(referred);
            }),
        ));
        models.push(("the name of a tensor", named(|graph, name| graph.input[0].name = Some(name))));
        models.push(("the name of a tensor", named(|graph, name| graph.output[0].name = Some(name))));
        models.push((
            "the name of a tensor",
            named(|graph, name| {
                graph.initializer.push(TensorProto { name: Some(name), ..weight(&[1], &[1.0]) });
            }),
        ));
        models.push((
            "the name of a dimension",
            named(|graph, name| graph.input = vec![input("x", vec![named_dim(&name), fixed_dim(4)])]),
        ));
        let imported =
            ModelProto { opset_import: vec![opset("", 17), opset(name, 1)], ..model(relu_graph()) };
        models.push(("a domain of operators", imported));
        let function =
            |function: FunctionProto| ModelProto { functions: vec![function], ..model(relu_graph()) };
        let unnamed = FunctionProto::default;
        let some = || Some(name.to_owned());
        models.push(("the name of a function", function(FunctionProto { name: some(), ..unnamed() })));
        models.push(("a domain of operators", function(FunctionProto { domain: some(), ..unnamed() })));
        models
            .push(("the overload of a function", function(FunctionProto { overload: some(), ..unnamed() })));
        models.push((
            "the name of an input",
            function(FunctionProto { input: vec![name.into()], ..unnamed() }),
        ));
        models.push((
            "the name of an output",
            function(FunctionProto { output: vec![name.into()], ..unnamed() }),
        ));
        models.push((
            "the name of an attribute",
            function(FunctionProto { attribute: vec![name.into()], ..unnamed() }),
        ));
        for (what, model) in models {
            let error = read(&model).unwrap_err();
            let shown = name.escape_debug();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{what}: {error}");
            assert!(
                error.to_string().starts_with(&format!("{what} is `{shown}`, with the character U+")),
                "{error}"
            );
            assert!(error.to_string().contains("rename it"), "{error}");
        }
    }
    // Cut in the middle, and whatever language a name is in, it is a name.
    let long = model(graph(vec![node("Relu", &["x"], &[&format!("{}\n", "x".repeat(5000))])]));
    let error = read(&long).unwrap_err().to_string();
    assert!(error.contains(&format!("`{}…`", "x".repeat(80))) && error.contains("U+000A"), "{error}");
    let spoken =
        NodeProto { name: Some("слой/層 שלום (a) `b` \\n".into()), ..node("Relu", &["x"], &["y"]) };
    assert!(read(&model(graph(vec![spoken]))).is_ok());
}

/// Texts that are no names are written by exporters, and kept by nobody: descriptions with the lines of a program.
#[test]
fn descriptions_may_have_lines() {
    let mut described = model(graph(vec![NodeProto {
        doc_string: Some("File \"a.py\", line 1\n\tx = f(x)".into()),
        ..node("Relu", &["x"], &["y"])
    }]));
    described
        .metadata_props
        .push(StringStringEntryProto { key: Some("a".into()), value: Some("1\n2".into()) });
    described.producer_name = Some("some\nbody".into());
    assert_eq!(read(&described).unwrap().producer, "some\\nbody");
}

/// What an error says of a file is on one line, also where it is no name.
#[test]
fn errors_have_one_line() {
    let mode = AttributeProto {
        s: Some(Bytes::from_static(b"x\nPASS\x1b[2J")),
        ..attribute("auto_pad", attribute_type::STRING)
    };
    let pool = NodeProto { attribute: vec![mode], ..node("MaxPool", &["x"], &["y"]) };
    let error = read(&model(graph(vec![pool]))).unwrap_err().to_string();
    assert!(!error.contains(char::is_control) && error.contains("PASS"), "{error:?}");
    let named = crate::Error::format("a\nb").at_tensor("c\nd").to_string();
    assert_eq!(named, "tensor `c\\nd`: a\\nb");
}
