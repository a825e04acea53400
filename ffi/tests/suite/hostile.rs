//! Models that were made to do harm are errors: at once, within the memory limit and the deadline, and nothing outside the
//! bundle is read. The attacks are those of the literature on ONNX files.

use std::fs;
use std::path::{Path, PathBuf};

use onnx_protobuf::attribute_proto::AttributeType;
use onnx_protobuf::tensor_proto::DataLocation;
use onnx_protobuf::{
    AttributeProto, FunctionProto, GraphProto, Message, ModelProto, NodeProto, OperatorSetIdProto,
    StringStringEntryProto, TensorProto, TensorShapeProto, TypeProto, ValueInfoProto,
};
use serde_json::json;

use crate::fixtures::{description, write_bundle};
use crate::library::root;
use crate::programs::{compile, run};

fn node(op_type: &str, inputs: &[&str], outputs: &[&str], attributes: &[AttributeProto]) -> NodeProto {
    let strings = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    NodeProto {
        op_type: op_type.into(),
        input: strings(inputs),
        output: strings(outputs),
        attribute: attributes.to_vec(),
        ..NodeProto::new()
    }
}

fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { name: name.into(), type_: AttributeType::INT.into(), i: value, ..AttributeProto::new() }
}

fn subgraph(name: &str, graph: GraphProto) -> AttributeProto {
    let g = Some(graph).into();
    AttributeProto { name: name.into(), type_: AttributeType::GRAPH.into(), g, ..AttributeProto::new() }
}

fn typed(name: &str, elem_type: i32, dims: &[i64]) -> ValueInfoProto {
    let mut shape = TensorShapeProto::new();
    for dim in dims {
        let mut known = onnx_protobuf::tensor_shape_proto::Dimension::new();
        match dim {
            -1 => known.set_dim_param("N".into()),
            dim => known.set_dim_value(*dim),
        }
        shape.dim.push(known);
    }
    let mut tensor = onnx_protobuf::type_proto::Tensor::new();
    tensor.elem_type = elem_type;
    tensor.shape = Some(shape).into();
    let mut type_ = TypeProto::new();
    type_.set_tensor_type(tensor);
    ValueInfoProto { name: name.into(), type_: Some(type_).into(), ..ValueInfoProto::new() }
}

const FLOAT: i32 = 1;
const INT64: i32 = 7;

fn ints(name: &str, values: &[i64]) -> TensorProto {
    let dims = vec![values.len() as i64];
    TensorProto {
        name: name.into(),
        data_type: INT64,
        dims,
        int64_data: values.to_vec(),
        ..TensorProto::new()
    }
}

fn floats(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
    TensorProto {
        name: name.into(),
        data_type: FLOAT,
        dims: dims.to_vec(),
        float_data: values.to_vec(),
        ..TensorProto::new()
    }
}

/// `images [N, 3, 4, 4]` → `flat [N, 48]` → `scores [N, 6]`, then the nodes, which make `logits`.
fn model(nodes: Vec<NodeProto>, tensors: Vec<TensorProto>) -> ModelProto {
    let first =
        [node("Flatten", &["images"], &["flat"], &[]), node("MatMul", &["flat", "weight"], &["scores"], &[])];
    let graph = GraphProto {
        name: "hostile".into(),
        node: first.into_iter().chain(nodes).collect(),
        initializer: [floats("weight", &[48, 6], &[0.1; 288])].into_iter().chain(tensors).collect(),
        input: vec![typed("images", FLOAT, &[-1, 3, 4, 4])],
        output: vec![typed("logits", FLOAT, &[-1, 6])],
        ..GraphProto::new()
    };
    ModelProto {
        ir_version: 8,
        opset_import: vec![OperatorSetIdProto { version: 17, ..OperatorSetIdProto::new() }],
        graph: Some(graph).into(),
        ..ModelProto::new()
    }
}

/// `logits` = `scores` plus the sum of `value`.
fn added(value: &str) -> Vec<NodeProto> {
    vec![
        node("ReduceSum", &[value], &["sum"], &[int("keepdims", 0)]),
        node("Add", &["scores", "sum"], &["logits"], &[]),
    ]
}

fn external(location: &str) -> TensorProto {
    let entry = |key: &str, value: &str| StringStringEntryProto {
        key: key.into(),
        value: value.into(),
        ..StringStringEntryProto::new()
    };
    TensorProto {
        name: "secret".into(),
        data_type: FLOAT,
        dims: vec![4],
        data_location: DataLocation::EXTERNAL.into(),
        external_data: vec![entry("location", location), entry("offset", "0"), entry("length", "16")],
        ..TensorProto::new()
    }
}

/// Functions each of which calls the one before it twice.
fn nested_functions(levels: usize) -> ModelProto {
    let opset = || vec![OperatorSetIdProto { version: 17, ..OperatorSetIdProto::new() }, own_domain()];
    let function = |level: usize, body: Vec<NodeProto>| FunctionProto {
        name: format!("F{level}"),
        domain: "evil".into(),
        input: vec!["a".into()],
        output: vec!["b".into()],
        node: body,
        opset_import: opset(),
        ..FunctionProto::new()
    };
    let call = |level: usize, input: &str, output: &str| NodeProto {
        domain: "evil".into(),
        ..node(&format!("F{level}"), &[input], &[output], &[])
    };
    let mut model = model(vec![call(levels, "scores", "logits")], Vec::new());
    model.functions = vec![function(0, vec![node("Relu", &["a"], &["b"], &[])])];
    for level in 1..=levels {
        model.functions.push(function(level, vec![call(level - 1, "a", "c"), call(level - 1, "c", "b")]));
    }
    model.opset_import.push(own_domain());
    model
}

fn own_domain() -> OperatorSetIdProto {
    OperatorSetIdProto { domain: "evil".into(), version: 1, ..OperatorSetIdProto::new() }
}

/// A loop of so many trips.
fn looped(trips: i64) -> ModelProto {
    let body = GraphProto {
        name: "body".into(),
        node: vec![node("Identity", &["go"], &["on"], &[]), node("Sin", &["state"], &["next"], &[])],
        input: vec![typed("trip", INT64, &[]), typed("go", 9, &[]), typed("state", FLOAT, &[-1, 6])],
        output: vec![typed("on", 9, &[]), typed("next", FLOAT, &[-1, 6])],
        ..GraphProto::new()
    };
    let trips = TensorProto { dims: Vec::new(), ..ints("trips", &[trips]) };
    model(vec![node("Loop", &["trips", "", "scores"], &["logits"], &[subgraph("body", body)])], vec![trips])
}

/// Memory that a shape asks for: `[rows, 1024, 1024]` floats out of a file of a few hundred bytes.
fn memory_bomb(rows: i64) -> ModelProto {
    let nodes = vec![
        node("Expand", &["one", "shape"], &["large"], &[]),
        node("Mul", &["large", "factor"], &["larger"], &[]),
    ];
    let tensors = vec![floats("one", &[1, 1, 1], &[1.0]), ints("shape", &[rows, 1024, 1024])];
    // The factor depends on the images, so that nothing can be folded.
    let factor = node("ReduceMax", &["scores"], &["factor"], &[int("keepdims", 0)]);
    model([vec![factor], nodes, added("larger")].concat(), tensors)
}

fn models() -> Vec<(&'static str, ModelProto)> {
    let mut cyclic = model(vec![node("Add", &["scores", "b"], &["a"], &[])], Vec::new());
    let graph = cyclic.graph.as_mut().unwrap();
    graph.node.push(node("Add", &["a", "scores"], &["b"], &[]));
    graph.node.push(node("Identity", &["b"], &["logits"], &[]));
    let unknown = NodeProto { domain: "com.example".into(), ..node("Evil", &["scores"], &["logits"], &[]) };
    let quantised = NodeProto {
        domain: "com.microsoft".into(),
        ..node("MatMulNBits", &["scores", "weight"], &["logits"], &[int("K", 1 << 40), int("N", 1 << 40)])
    };
    let short = TensorProto { raw_data: vec![0; 7], float_data: Vec::new(), ..floats("secret", &[4], &[]) };
    let overflow = TensorProto { raw_data: vec![0; 16], ..floats("secret", &[1 << 62, 8], &[]) };
    let recursive = {
        let mut model = nested_functions(1);
        model.functions[0].node[0] = NodeProto { domain: "evil".into(), ..node("F1", &["a"], &["b"], &[]) };
        model
    };
    let gather = vec![
        node("Gather", &["scores", "index"], &["row"], &[int("axis", 1)]),
        node("Add", &["scores", "row"], &["logits"], &[]),
    ];
    vec![
        ("absolute", model(added("secret"), vec![external("/etc/passwd")])),
        ("parent", model(added("secret"), vec![external("../secret.bin")])),
        ("beside", model(added("secret"), vec![external("secret.bin")])),
        ("address", model(added("secret"), vec![external("*/_ORT_MEM_ADDR_/*")])),
        ("functions", nested_functions(18)),
        ("recursive", recursive),
        ("loop", looped(1 << 62)),
        ("expand", memory_bomb(1 << 12)),
        ("constant", {
            let nodes = [vec![node("ConstantOfShape", &["shape"], &["large"], &[])], added("large")].concat();
            model(nodes, vec![ints("shape", &[1 << 20, 1 << 20])])
        }),
        ("index", model(gather, vec![ints("index", &[1 << 40])])),
        ("cyclic", cyclic),
        ("unknown", model(vec![unknown], Vec::new())),
        ("quantised", model(vec![quantised], Vec::new())),
        ("short", model(added("secret"), vec![short])),
        ("overflow", model(added("secret"), vec![overflow])),
        ("random", {
            let noise = node("RandomNormalLike", &["scores"], &["noise"], &[]);
            model(vec![noise, node("Add", &["scores", "noise"], &["logits"], &[])], Vec::new())
        }),
    ]
}

fn bundle(name: &str, bytes: Vec<u8>) -> PathBuf {
    write_bundle(&format!("hostile-{name}.mimir"), description(4, &json!({"count": 6, "names": null})), bytes)
}

fn program() -> PathBuf {
    compile("gcc", "-std=c11", &root().join("ffi/tests/c/refused.c"))
}

#[test]
fn hostile_models_are_errors() {
    let bundles: Vec<PathBuf> =
        models().iter().map(|(name, model)| bundle(name, model.write_to_bytes().unwrap())).collect();
    // A file beside the bundle, which must not be read.
    fs::write(bundles[0].with_file_name("secret.bin"), [0; 16]).unwrap();
    let output = run(&program(), &bundles);
    let text = String::from_utf8(output.stdout).unwrap();
    println!("{text}");
    for (name, words) in [
        ("absolute", "secret"),
        ("beside", "secret"),
        ("functions", "nodes"),
        ("expand", "the limit is 1073741824"),
        ("random", "another answer each time"),
    ] {
        let line = text.lines().find(|line| line.contains(&format!("hostile-{name}.mimir: "))).unwrap();
        assert!(line.contains(words), "{line}");
    }
}

/// The same file without what is hostile is served, so that the others are refused for that.
#[test]
fn a_harmless_model_of_the_same_kind_is_served() {
    let harmless = model(vec![node("Relu", &["scores"], &["logits"], &[])], Vec::new());
    let path = bundle("harmless", harmless.write_to_bytes().unwrap());
    let output = std::process::Command::new(program())
        .arg(path)
        .env("MIMIR_ORT_DYLIB", crate::programs::onnx_runtime())
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("harmless.mimir: 0: "));
}

/// Every truncation of a bundle in one file, and every byte of its first part changed, is an error and no crash.
#[test]
fn damaged_bundles_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let whole = fs::read(crate::fixtures::certified()).unwrap();
    let mut paths = Vec::new();
    let mut damaged = |bytes: &[u8]| {
        let path = folder.path().join(format!("{}.mimir", paths.len()));
        fs::write(&path, bytes).unwrap();
        paths.push(path);
    };
    (0..40).for_each(|part| damaged(&whole[..whole.len() * part / 40]));
    for place in (0..whole.len()).step_by(whole.len() / 60) {
        let mut changed = whole.clone();
        changed[place] ^= 0x55;
        damaged(&changed);
    }
    run(&program(), &paths);
}

/// The files of earlier faults, where they are at hand.
#[test]
fn files_that_were_faults_once_do_not_crash() {
    let folder = Path::new("/work/shared/faults");
    let models: Vec<PathBuf> = onnx_files(folder);
    for (index, file) in models.iter().enumerate() {
        let mut about = description(4, &json!({"count": 6, "names": null}));
        about["input"]["image"] = json!({"channels": 1, "height": 8, "width": 8});
        let path = write_bundle(&format!("fault-{index}.mimir"), about, fs::read(file).unwrap());
        let output = std::process::Command::new(program())
            .arg(&path)
            .env("MIMIR_ORT_DYLIB", crate::programs::onnx_runtime())
            .output()
            .unwrap();
        // It may be served or refused; a signal has no code.
        assert!(output.status.code().is_some(), "{}: {}", file.display(), output.status);
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(!said.contains(": 11: "), "{}: {said}", file.display());
    }
}

fn onnx_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut found = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        match path.is_dir() {
            true => found.extend(onnx_files(&path)),
            false if path.extension().is_some_and(|extension| extension == "onnx") => found.push(path),
            false => {}
        }
    }
    found
}
