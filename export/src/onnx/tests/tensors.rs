//! Every storage of a tensor, and what can be wrong with one.

use super::*;
use crate::tensor::DataType;

fn read_weight(weight: TensorProto) -> Result<ModelFile> {
    read(&model(graph_with(weight)))
}

/// A vector `w` of ONNX type number `data_type` without data.
fn vector(data_type: DataType, elements: i64) -> TensorProto {
    TensorProto { data_type: Some(data_type as i32), raw_data: None, ..weight(&[elements], &[]) }
}

#[test]
fn every_storage_gives_the_same_bytes() {
    use DataType::*;
    let small = |dtype, values: &[i32]| TensorProto { int32_data: values.to_vec(), ..vector(dtype, 2) };
    let unsigned = |dtype| TensorProto { uint64_data: vec![1, 0x0203_0405], ..vector(dtype, 2) };
    let cases: [(TensorProto, &[u8]); 14] = [
        (weight(&[2], &[1.0, -2.0]), &[0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0]),
        (
            TensorProto { float_data: vec![1.0, -2.0], ..vector(Float32, 2) },
            &[0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0],
        ),
        (TensorProto { double_data: vec![1.0], ..vector(Float64, 1) }, &[0, 0, 0, 0, 0, 0, 0xf0, 0x3f]),
        (
            TensorProto { int64_data: vec![-2], ..vector(Int64, 1) },
            &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        ),
        (unsigned(Uint64), &[1, 0, 0, 0, 0, 0, 0, 0, 5, 4, 3, 2, 0, 0, 0, 0]),
        (unsigned(Uint32), &[1, 0, 0, 0, 5, 4, 3, 2]),
        (small(Int32, &[-1, 2]), &[0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0]),
        (small(Int16, &[-1, 2]), &[0xff, 0xff, 2, 0]),
        (small(Int8, &[-1, 2]), &[0xff, 2]),
        (small(Uint16, &[0xffff, 2]), &[0xff, 0xff, 2, 0]),
        (small(Uint8, &[255, 2]), &[0xff, 2]),
        (small(Bool, &[0, 1]), &[0, 1]),
        (small(Float16, &[0x3c00, 0xfc00]), &[0, 0x3c, 0, 0xfc]),
        (small(Bfloat16, &[0x3f80, 0xff80]), &[0x80, 0x3f, 0x80, 0xff]),
    ];
    for (tensor, bytes) in cases {
        let graph = read_weight(tensor).unwrap().graph;
        let (_, tensor) = graph.constants().next().unwrap();
        assert_eq!(tensor.data(), bytes, "{}", tensor.dtype());
    }
}

#[test]
fn constants_are_read_in_every_form() {
    let tensor = AttributeProto {
        t: Some(Box::new(weight(&[1], &[0.5]))),
        ..attribute("value", attribute_type::TENSOR)
    };
    let cases = [
        (tensor, "const %y: f32[1] = [0.5]"),
        (
            AttributeProto { i: Some(-3), ..attribute("value_int", attribute_type::INT) },
            "const %y: i64[] = [-3]",
        ),
        (
            AttributeProto { ints: vec![1, 2], ..attribute("value_ints", attribute_type::INTS) },
            "const %y: i64[2] = [1, 2]",
        ),
        (
            AttributeProto { f: Some(1.5), ..attribute("value_float", attribute_type::FLOAT) },
            "const %y: f32[] = [1.5]",
        ),
        (
            AttributeProto { floats: vec![1.5], ..attribute("value_floats", attribute_type::FLOATS) },
            "const %y: f32[1] = [1.5]",
        ),
    ];
    for (attribute, wanted) in cases {
        let constant = NodeProto { attribute: vec![attribute], ..node("Constant", &[], &["y"]) };
        let text = read(&model(graph(vec![constant]))).unwrap().graph.to_string();
        assert!(text.contains(wanted), "{text}");
    }
}

#[test]
fn constants_of_other_forms_are_refused() {
    let with = |attribute: Vec<AttributeProto>, outputs: &[&str]| {
        model(graph(vec![NodeProto { attribute, ..node("Constant", &[], outputs) }]))
    };
    let int = || attribute("value_int", attribute_type::INT);
    let nan = AttributeProto { f: Some(f32::NAN), ..attribute("value_float", attribute_type::FLOAT) };
    let cases = [
        (
            with(vec![attribute("value_string", attribute_type::STRING)], &["y"]),
            ErrorKind::Unsupported,
            "attribute `value_string`; supported are value, value_int, value_ints, value_float and value_floats",
        ),
        (with(vec![], &["y"]), ErrorKind::Format, "has 0 attributes, wanted one"),
        (with(vec![int(), attribute("axis", 2)], &["y"]), ErrorKind::Format, "has 2 attributes, wanted one"),
        (with(vec![int()], &["y", "z"]), ErrorKind::Format, "has 2 outputs, wanted one"),
        (
            with(vec![nan], &["y"]),
            ErrorKind::Unsupported,
            "holds NaN (element 0 of 1), so no verdict about the model could be trusted: repair the weights",
        ),
    ];
    for (model, kind, text) in cases {
        assert_refused(read(&model), kind, &format!("node `constant` (Constant): {text}"));
    }
}

#[test]
fn tensors_that_do_not_add_up_are_refused() {
    let four = || weight(&[4], &[0.0; 4]);
    let cases = [
        (
            "raw data too short",
            weight(&[2, 3], &[0.0; 5]),
            ErrorKind::Format,
            "20 bytes of data, but dimensions [2, 3] of f32 need 24",
        ),
        (
            "raw data too long",
            weight(&[], &[0.0; 2]),
            ErrorKind::Format,
            "8 bytes of data, but dimensions [] of f32 need 4",
        ),
        ("a negative dimension", weight(&[-1, 4], &[0.0; 4]), ErrorKind::Format, "dimension -1 is negative"),
        (
            "dimensions whose product overflows",
            weight(&[1 << 62, 8], &[]),
            ErrorKind::Format,
            "dimensions [4611686018427387904, 8] of f32 overflow",
        ),
        (
            "no data",
            vector(DataType::Float32, 3),
            ErrorKind::Format,
            "0 bytes of data, but dimensions [3] of f32 need 12",
        ),
        (
            "the list of another type",
            TensorProto { int64_data: vec![1], ..vector(DataType::Float32, 1) },
            ErrorKind::Format,
            "is f32, but its data is in `int64_data`",
        ),
        (
            "data twice",
            TensorProto { float_data: vec![0.0; 4], ..four() },
            ErrorKind::Format,
            "has data in several places: raw_data, float_data",
        ),
        (
            "a value that does not fit",
            TensorProto { int32_data: vec![300], ..vector(DataType::Uint8, 1) },
            ErrorKind::Format,
            "is u8, but holds the value 300",
        ),
        (
            "a bool that is neither",
            TensorProto { raw_data: Some(Bytes::from_static(&[1, 7])), ..vector(DataType::Bool, 2) },
            ErrorKind::Format,
            "is bool, but holds the byte 7; wanted 0 or 1",
        ),
        (
            "texts",
            TensorProto { data_type: Some(8), string_data: vec![Bytes::new()], ..weight(&[1], &[]) },
            ErrorKind::Unsupported,
            "element type string; supported are integers of 8 to 64 bits, bool, and floating point \
             of 16 to 64 bits",
        ),
        (
            "no type",
            TensorProto { data_type: None, ..four() },
            ErrorKind::Unsupported,
            "element type undefined; supported are integers of 8 to 64 bits, bool, and floating point \
             of 16 to 64 bits",
        ),
        (
            "a segment",
            TensorProto { segment: Some(SegmentProto { begin: Some(0), end: Some(4) }), ..four() },
            ErrorKind::Unsupported,
            "is one segment of a larger tensor: store it in one piece",
        ),
        (
            "a place that ONNX does not have",
            TensorProto { data_location: Some(2), ..four() },
            ErrorKind::Format,
            "data location 2; supported are 0 and 1",
        ),
    ];
    for (case, tensor, kind, text) in cases {
        eprintln!("{case}");
        assert_refused(read_weight(tensor), kind, &format!("tensor `w`: {text}"));
    }
}

#[test]
fn sparse_initialisers_are_refused() {
    let sparse = SparseTensorProto { values: Some(weight(&[1], &[1.0])), ..Default::default() };
    let graph = GraphProto { sparse_initializer: vec![sparse], ..relu_graph() };
    let text = "tensor `w`: is sparse: store it as a dense initialiser";
    assert_refused(read(&model(graph)), ErrorKind::Unsupported, text);
}

#[test]
fn nan_is_refused_and_infinity_is_not() {
    let mut values = vec![0.5_f32; 10_000];
    values[7_003] = f32::NEG_INFINITY;
    read_weight(weight(&[100, 100], &values)).unwrap();
    values[9_001] = -f32::NAN;
    assert_refused(
        read_weight(weight(&[100, 100], &values)),
        ErrorKind::Unsupported,
        "tensor `w`: holds NaN (element 9001 of 10000), so no verdict about the model could be trusted: repair the weights",
    );
    let halves = |dtype, bits: i32| TensorProto { int32_data: vec![0, bits], ..vector(dtype, 2) };
    for (tensor, is_nan) in [
        (halves(DataType::Float16, 0x7c00), false),
        (halves(DataType::Float16, 0xfc01), true),
        (halves(DataType::Bfloat16, 0xff80), false),
        (halves(DataType::Bfloat16, 0x7f81), true),
        (TensorProto { double_data: vec![0.0, f64::INFINITY], ..vector(DataType::Float64, 2) }, false),
        (TensorProto { double_data: vec![0.0, f64::NAN], ..vector(DataType::Float64, 2) }, true),
    ] {
        assert_eq!(read_weight(tensor.clone()).is_err(), is_nan, "{tensor:?}");
    }
}

#[test]
fn tensors_count_against_their_cap() {
    let limits = Limits { tensor_bytes: 15, ..Limits::default() };
    assert_refused(
        read_under(&model(graph_with(weight(&[4], &[0.0; 4]))), &limits),
        ErrorKind::Limit,
        "tensor `w`: more than 15 bytes of tensors; raise `Limits::tensor_bytes` if you trust the file",
    );
}
