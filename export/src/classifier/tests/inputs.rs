//! Inputs that nothing reads, sizes that the images fix, fixed batches, and inputs without a batch.

use mimir_bundle::{BatchMode, ImageShape, Layout, Loss};

use super::{IMAGE, assert_close, classifier, file, graph, head, with_image};
use crate::classifier::{ImageClassifier, InputSpec, for_one_image};
use crate::graph::{DeclaredDim, Dim, Graph, InputType, OpenInput, ValueId};
use crate::onnx::{Limits, ModelFile, read_model_bytes};
use crate::tensor::DataType;
use crate::testing::{add, push, run, run_file};

#[test]
fn inputs_that_nothing_reads_are_dropped() {
    let plain = || graph(9, "f32[N,3,4,2]", head);
    let mut with_others = plain();
    add(&mut with_others, "bool[]");
    let dead = add(&mut with_others, "f32[N,3]").unwrap();
    push(&mut with_others, "Neg", &[dead], "");
    let found = classifier(with_others, &InputSpec::default()).unwrap();
    let wanted = classifier(plain(), &InputSpec::default()).unwrap();
    let [found, wanted] = [found, wanted].map(|one| run_file(&one.original_onnx().unwrap(), 2));
    assert_eq!(found, wanted);
}

/// `[N, 3, H, W]`, with `H` and `W` open.
fn with_open_sizes(graph: Graph) -> ModelFile {
    let open = |name: &str| DeclaredDim::Open(name.to_owned());
    let dims = vec![DeclaredDim::Known(Dim::N), DeclaredDim::Known(Dim::Fixed(3)), open("H"), open("W")];
    let declared = InputType { dtype: DataType::Float32, dims: Some(dims) };
    let open_inputs = vec![OpenInput { input: graph.inputs()[0], declared }];
    ModelFile { open_inputs, ..file(graph) }
}

#[test]
fn images_fix_height_and_width() {
    let open = with_open_sizes(graph(9, "f32[N,3,1,1]", head));
    let found = ImageClassifier::new(open.clone(), &with_image()).unwrap();
    assert_eq!((found.manifest().image, found.manifest().layout), (IMAGE, Layout::Nchw));
    let wanted = classifier(graph(9, "f32[N,3,4,2]", head), &InputSpec::default()).unwrap();
    let logits = [&found, &wanted].map(|one| run_file(&one.original_onnx().unwrap(), 2));
    assert_eq!(logits[0], logits[1]);
    assert!(found.gradient_onnx(Loss::CrossEntropy).is_ok());

    let error = ImageClassifier::new(open.clone(), &InputSpec::default()).unwrap_err().to_string();
    assert!(error.contains("the input is [N, 3, H, W], and its sizes depend on the images"), "{error}");
    let grey = InputSpec { image: Some(ImageShape { channels: 1, ..IMAGE }), ..InputSpec::default() };
    let error = ImageClassifier::new(open, &grey).unwrap_err().to_string();
    assert!(error.contains("[N, 3, H, W], which images of 1 × 4 × 2"), "{error}");
}

/// `f32[n, 24, 1]` through a Reshape that states the batch.
fn stated(rows: usize, target: &str) -> Graph {
    graph(9, &format!("f32[{rows},24,1]"), |graph, x| {
        let target = add(graph, target).unwrap();
        let x = push(graph, "Reshape", &[x, target], "");
        head(graph, x)
    })
}

#[test]
fn fixed_batches_are_opened_where_the_graph_allows_it() {
    for (rows, target) in [(4, "=[4,6,4]"), (4, "=[4,-1]"), (7, "=[7,24]")] {
        let found = classifier(stated(rows, target), &with_image()).unwrap();
        assert_eq!(found.manifest().batch, BatchMode::Rebatched, "{target}");
        assert_eq!(found.fixed_batch_mode(), Some(BatchMode::Fixed(rows)));
        let own = run_file(&found.fixed_batch_onnx().unwrap().unwrap(), rows);
        assert_eq!(own[0].0, [rows, 5]);
        assert_eq!(run_file(&found.original_onnx().unwrap(), rows), own);
        assert_eq!(run_file(&found.original_onnx().unwrap(), 3)[0].0, [3, 5]);
    }
}

/// Joins a constant for each of the rows: no other number of them will do.
fn with_token(rows: usize) -> Graph {
    graph(9, &format!("f32[{rows},3,4,2]"), |graph, x| {
        let token = add(graph, &format!("#[{rows},3,4,1]")).unwrap();
        let x = push(graph, "Concat", &[token, x], "axis=3");
        let flat = push(graph, "Flatten", &[x], "");
        let weights = add(graph, "#[36,5]").unwrap();
        push(graph, "MatMul", &[flat, weights], "")
    })
}

#[test]
fn fixed_batches_stay_where_the_graph_needs_them() {
    for rows in [4, 7] {
        let file = with_token(rows);
        let found = classifier(file.clone(), &InputSpec::default()).unwrap();
        assert_eq!(found.manifest().batch, BatchMode::Fixed(rows));
        assert_eq!(run_file(&found.original_onnx().unwrap(), rows), run(&file, rows));
        let outputs = run_file(&found.gradient_onnx(Loss::Margin).unwrap(), rows);
        assert_eq!(outputs[1].0, [rows, 3, 4, 2]);
        assert_close(&outputs[0].1, &run(&file, rows)[0].1);
        for loss in [Loss::CrossEntropy, Loss::Dlr, Loss::TargetedDlr] {
            assert!(found.gradient_onnx(loss).is_ok(), "{loss:?}");
        }
    }
}

#[test]
fn a_fixed_batch_can_be_kept() {
    let mut found = classifier(stated(4, "=[4,24]"), &with_image()).unwrap();
    found.keep_fixed_batch();
    assert_eq!((found.manifest().batch, found.fixed_batch_mode()), (BatchMode::Fixed(4), None));
    let outputs = run_file(&found.forward_onnx().unwrap(), 4);
    assert_eq!(outputs[0].0, [4, 5]);
    let bytes = for_one_image(&file(stated(4, "=[4,24]")), &with_image()).unwrap();
    let copy = read_model_bytes(bytes.into(), None, &Limits::default()).unwrap();
    let specialised =
        ImageClassifier::with_specialised(file(stated(4, "=[4,24]")), &copy, &with_image()).unwrap();
    assert_eq!(specialised.manifest().batch, BatchMode::Fixed(4));
}

#[test]
fn an_input_without_a_batch_is_said_to_have_none() {
    let of = |input: &str| {
        graph(9, input, |graph, x| {
            let target = add(graph, "=[1,24]").unwrap();
            let x: ValueId = push(graph, "Reshape", &[x, target], "");
            head(graph, x)
        })
    };
    for (input, spec) in [
        ("f32[3,4,2]", InputSpec::default()),
        ("f32[3,4,2]", with_image()),
        ("f32[4,2,3]", with_image()),
        ("f32[24]", with_image()),
    ] {
        let error = classifier(of(input), &spec).unwrap_err().to_string();
        assert!(
            error.contains("an image with no batch dimension: export the model with one in front"),
            "{error}"
        );
    }
}

/// The networks of VNN-COMP take `[1, 784, 1]`, and arrays of rows are read as images of one column.
#[test]
fn a_row_of_pixels_with_a_batch_of_one_has_a_batch() {
    let row = |height, width| InputSpec {
        image: Some(ImageShape { channels: 1, height, width }),
        ..InputSpec::default()
    };
    let of = |input: &str| {
        graph(9, input, |graph, x| {
            let target = add(graph, "=[1,24]").unwrap();
            let x: ValueId = push(graph, "Reshape", &[x, target], "");
            head(graph, x)
        })
    };
    for (input, spec) in
        [("f32[1,24,1]", row(24, 1)), ("f32[1,1,24]", row(1, 24)), ("f32[1,24,1]", row(1, 24))]
    {
        let found = classifier(of(input), &spec).unwrap();
        assert_eq!((found.manifest().layout, found.manifest().image.pixels()), (Layout::Flat, 24), "{input}");
    }
}

#[test]
fn images_tell_where_channels_are_that_are_neither_one_nor_three() {
    let image = ImageShape { channels: 4, height: 3, width: 2 };
    let spec = InputSpec { image: Some(image), ..InputSpec::default() };
    for (input, layout) in [("f32[N,4,3,2]", Layout::Nchw), ("f32[N,3,2,4]", Layout::Nhwc)] {
        let found = classifier(graph(9, input, head), &spec).unwrap();
        assert_eq!((found.manifest().image, found.manifest().layout), (image, layout));
    }
}
