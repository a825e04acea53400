//! Whole graphs: both losses, composite networks, linearity, and what is refused.

mod files;
mod node_cases;
mod random_shapes;

use mimir_runtime::session::{Data, Input};

use super::testing::{self, Domain, Numbers, adjoint, batched, check_graph, float, function, run, session};
use super::*;
use crate::graph::{Attribute, Attributes};
use crate::graph::{Shape, TensorType};
use crate::tensor::{DataType, Tensor};
use crate::vit::{VitConfig, vit};

const SMALL_VIT: VitConfig = VitConfig {
    image_size: 6,
    patch_size: 3,
    channels: 2,
    dim: 8,
    depth: 2,
    heads: 2,
    mlp_ratio: 2,
    classes: 3,
};

/// Conv, BatchNormalization, Relu, a strided block with a projected shortcut, pooling, a linear head.
fn residual_network() -> Graph {
    let mut numbers = Numbers::new(5);
    let build = |builder: &mut Builder<'_>, x: ValueId| {
        let mut conv = |builder: &mut Builder<'_>, x, dims: [usize; 4], stride: i64, pad: i64| {
            let deviation = 1.0 / ((dims[1] * dims[2] * dims[3]) as f32).sqrt();
            let weight: Vec<f32> = numbers.draw(Domain::Real, dims.iter().product());
            let weight: Vec<f32> = weight.into_iter().map(|value| deviation * value).collect();
            let weight = builder.constant(Tensor::from_f32(&dims, &weight));
            let attributes = [("pads", vec![pad; 4].into()), ("strides", vec![stride; 2].into())];
            let y = builder.op_with("Conv", &[x, weight], attributes)?;
            let [scale, bias, mean] = [(); 3].map(|()| builder.constant(numbers.tensor(&dims[..1])));
            let variance = numbers.draw(Domain::Positive, dims[0]);
            let variance = builder.constant(Tensor::from_f32(&dims[..1], &variance));
            builder.op("BatchNormalization", &[y, scale, bias, mean, variance])
        };
        let stem = conv(builder, x, [4, 2, 3, 3], 1, 1)?;
        let stem = builder.op("Relu", &[stem])?;
        let inner = conv(builder, stem, [6, 4, 3, 3], 2, 1)?;
        let inner = builder.op("Relu", &[inner])?;
        let inner = conv(builder, inner, [6, 6, 3, 3], 1, 1)?;
        let shortcut = conv(builder, stem, [6, 4, 1, 1], 2, 0)?;
        let sum = builder.op("Add", &[inner, shortcut])?;
        let block = builder.op("Relu", &[sum])?;
        let pooled = builder.op("GlobalAveragePool", &[block])?;
        let flat = builder.op("Flatten", &[pooled])?;
        let weight = builder.constant(numbers.tensor(&[6, 3]));
        builder.op("MatMul", &[flat, weight])
    };
    function(batched(&[2, 7, 7]), build).unwrap()
}

/// `z = x·W` for a fixed `W` `[2, 3]`, scaled.
fn linear(scale: f32) -> Graph {
    let weight: Vec<f32> = [1.0, 2.0, -1.0, 0.5, -0.25, 3.0].map(|value: f32| scale * value).to_vec();
    function(batched(&[2]), |builder, x| {
        let weight = builder.constant(Tensor::from_f32(&[2, 3], &weight));
        builder.op("MatMul", &[x, weight])
    })
    .unwrap()
}

/// Outputs of the cross-entropy gradient graph: logits, loss, gradient.
fn cross_entropy(forward: &Graph, dims: &[usize], x: &[f32], labels: &[i64]) -> [Vec<f32>; 3] {
    let gradient = differentiate(forward, Loss::CrossEntropy, Kernels::Standard).unwrap();
    outputs(&gradient, dims, x, labels)
}

/// Outputs of a cross-entropy gradient graph.
fn outputs(gradient: &Graph, dims: &[usize], x: &[f32], labels: &[i64]) -> [Vec<f32>; 3] {
    let label_dims = [labels.len()];
    let labels = Input { name: tensor_names::LABELS, dims: &label_dims, data: Data::I64(labels) };
    let outputs = session(gradient).run(&[float(tensor_names::IMAGES, dims, x), labels]).unwrap();
    let names: Vec<&str> = outputs.iter().map(|output| output.name.as_str()).collect();
    assert_eq!(names, [tensor_names::LOGITS, tensor_names::LOSS, tensor_names::IMAGES_GRADIENT]);
    let data: Vec<Vec<f32>> = outputs.into_iter().map(|output| output.data).collect();
    data.try_into().unwrap()
}

#[test]
fn a_small_vision_transformer() {
    check_graph("ViT", Domain::Real, &vit(SMALL_VIT, 11).unwrap());
}

#[test]
fn a_small_residual_network() {
    let mut smooth = residual_network();
    // Kinks would disturb the differences; Relu itself is tested away from its kink.
    for index in 0..smooth.nodes().len() {
        let node = smooth.node_mut(crate::graph::NodeId(index as u32));
        if node.op_type == "Relu" {
            node.op_type = "Tanh".to_owned();
        }
    }
    check_graph("residual network", Domain::Real, &smooth);
}

#[test]
fn the_gradient_is_linear_in_the_cotangent() {
    let mut adjoint = session(&adjoint(&residual_network()).unwrap());
    let mut numbers = Numbers::new(9);
    let x = numbers.draw(Domain::Real, 2 * 98);
    let [u, v] = [(); 2].map(|()| numbers.draw(Domain::Real, 6));
    let mut pulled = |g: &[f32]| run(&mut adjoint, &[float("x", &[2, 2, 7, 7], &x), float("g", &[2, 3], g)]);
    let combined: Vec<f32> = u.iter().zip(&v).map(|(u, v)| 2.0 * u - 3.0 * v).collect();
    let (of_u, of_v, of_both) = (pulled(&u), pulled(&v), pulled(&combined));
    for ((u, v), both) in of_u.iter().zip(&of_v).zip(&of_both) {
        let wanted = 2.0 * u - 3.0 * v;
        assert!((wanted - both).abs() <= 1e-4 * (1.0 + wanted.abs()), "{wanted} and {both}");
    }
}

#[test]
fn cross_entropy_equals_the_cotangent_softmax_minus_one_hot() {
    let forward = residual_network();
    let dims = [2, 2, 7, 7];
    let x = Numbers::new(4).draw(Domain::Real, 2 * 98);
    let [logits, loss, gradient] = cross_entropy(&forward, &dims, &x, &[2, 0]);

    let mut cotangent = Vec::new();
    for ((row, label), loss) in logits.chunks(3).zip([2, 0]).zip(loss) {
        let total: f64 = row.iter().map(|z| f64::from(*z).exp()).sum();
        assert!((f64::from(loss) - (total.ln() - f64::from(row[label]))).abs() < 1e-4);
        cotangent.extend(
            (0..3).map(|k| (f64::from(row[k]).exp() / total) as f32 - f32::from(u8::from(k == label))),
        );
    }
    let free = differentiate(&forward, Loss::Margin, Kernels::Standard).unwrap();
    let outputs = session(&free)
        .run(&[float(tensor_names::IMAGES, &dims, &x), float(tensor_names::COTANGENT, &[2, 3], &cotangent)])
        .unwrap();
    assert_eq!(outputs[0].name, tensor_names::LOGITS);
    assert_eq!(outputs[1].name, tensor_names::IMAGES_GRADIENT);
    let distance: f64 = outputs[1].data.iter().zip(&gradient).map(|(a, b)| f64::from(a - b).powi(2)).sum();
    assert!(distance.sqrt() <= 1e-5 * testing::dot(&gradient, &gradient).sqrt());
}

#[test]
fn cross_entropy_is_stable_where_exponentials_overflow() {
    let [logits, loss, gradient] = cross_entropy(&linear(1e4), &[1, 2], &[1.0, 0.0], &[0]);
    assert_eq!(logits, [1e4, 2e4, -1e4]);
    assert_eq!(loss, [1e4]);
    // softmax = (0, 1, 0): the gradient is W·(−1, 1, 0).
    assert_eq!(gradient, [1e4, -7.5e3]);
}

#[test]
fn images_of_a_batch_do_not_mix() {
    let forward = vit(SMALL_VIT, 11).unwrap();
    let x = Numbers::new(4).draw(Domain::Real, 3 * 72);
    let together = cross_entropy(&forward, &[3, 2, 6, 6], &x, &[2, 0, 1]);
    for (index, label) in [2, 0, 1].into_iter().enumerate() {
        let alone = cross_entropy(&forward, &[1, 2, 6, 6], &x[index * 72..(index + 1) * 72], &[label]);
        assert_eq!(alone[1], &together[1][index..=index]);
        assert_eq!(alone[2], &together[2][index * 72..(index + 1) * 72]);
    }
}

#[test]
fn a_batch_fixed_at_one_works_too() {
    let fixed = function(Shape::fixed(&[1, 2, 4, 4]), |builder, x| {
        let weight = builder.constant(Numbers::new(1).tensor(&[3, 2, 3, 3]));
        let y = builder.op_with("Conv", &[x, weight], [("strides", vec![2, 2].into())])?;
        let y = builder.op("Tanh", &[y])?;
        let y = builder.op("Flatten", &[y])?;
        let bias = builder.constant(Numbers::new(2).tensor(&[1, 3]));
        builder.op("Add", &[y, bias])
    })
    .unwrap();
    let gradient = differentiate(&fixed, Loss::CrossEntropy, Kernels::Standard).unwrap();
    let shapes: Vec<String> =
        gradient.outputs().iter().map(|id| gradient.shape(*id).unwrap().to_string()).collect();
    assert_eq!(shapes, ["[1, 3]", "[1]", "[1, 2, 4, 4]"]);
    cross_entropy(&fixed, &[1, 2, 4, 4], &Numbers::new(3).draw(Domain::Real, 32), &[1]);
}

#[test]
fn the_graph_with_the_cross_entropy_head() {
    insta::assert_snapshot!(differentiate(&linear(1.0), Loss::CrossEntropy, Kernels::Standard).unwrap(), @r"
        graph (opset 20)
        input %images: f32[N, 2]
        input %labels: i64[N]
        const %f/constant: f32[2, 3] = [1.0, 2.0, -1.0, 0.5, -0.25, 3.0]
        const %loss/constant: i64[1] = [3]
        const %loss/constant_2: f32[2] = [0.0, 1.0]
        const %loss/constant_3: i64[1] = [1]
        const %gradient/f/MatMul/constant: f32[3, 2] = [1.0, 0.5, 2.0, -0.25, -1.0, 3.0]
        %logits: f32[N, 3] = MatMul(%images, %f/constant)  # f/MatMul
        %loss/OneHot: f32[N, 3] = OneHot(%labels, %loss/constant, %loss/constant_2)
        %loss/LogSoftmax: f32[N, 3] = LogSoftmax(%logits) {axis = 1}
        %loss/Mul: f32[N, 3] = Mul(%loss/LogSoftmax, %loss/OneHot)
        %loss/ReduceSum: f32[N] = ReduceSum(%loss/Mul, %loss/constant_3) {keepdims = 0}
        %loss: f32[N] = Neg(%loss/ReduceSum)  # loss/Neg
        %loss/Exp: f32[N, 3] = Exp(%loss/LogSoftmax)
        %loss/Sub: f32[N, 3] = Sub(%loss/Exp, %loss/OneHot)
        %gradient/f/MatMul/MatMul: f32[N, 2] = MatMul(%loss/Sub, %gradient/f/MatMul/constant)
        %images_gradient: f32[N, 2] = Identity(%gradient/f/MatMul/MatMul)  # gradient/Identity
        output %logits
        output %loss
        output %images_gradient
    ");
}

#[test]
fn a_missing_rule_names_operators_and_the_way_out() {
    let mut graph = function(batched(&[2, 3]), |builder, x| {
        let y = builder.op("Sin", &[x])?;
        let y = builder.op("Cos", &[y])?;
        builder.op("Flatten", &[y])
    })
    .unwrap();
    for (index, op_type) in ["Second", "First"].into_iter().enumerate() {
        graph.node_mut(crate::graph::NodeId(index as u32)).op_type = op_type.to_owned();
    }
    let error = differentiate(&graph, Loss::Margin, Kernels::Standard).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let text = error.to_string();
    assert!(text.starts_with("node `f/Sin` (Second): no gradient rule for First, Second; "), "{text}");
    assert!(text.ends_with("or add a rule: docs/adding-an-operator.md"), "{text}");
}

#[test]
fn a_path_that_is_cut_is_an_error_and_not_a_zero() {
    let compared = function(batched(&[3]), |builder, x| {
        let y = builder.op("Greater", &[x, x])?;
        builder.cast(y, DataType::Float32)
    });
    let cast = function(batched(&[3]), |builder, x| {
        let y = builder.cast(x, DataType::Int64)?;
        builder.cast(y, DataType::Float32)
    });
    for (graph, node) in [(compared, "`f/Greater` (Greater)"), (cast, "`f/Cast` (Cast)")] {
        let error = differentiate(&graph.unwrap(), Loss::Margin, Kernels::Standard).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoGradient);
        let start = format!(
            "tensor `logits`: no gradient reaches the images: it is zero almost everywhere after {node};"
        );
        assert!(error.to_string().starts_with(&start), "{error}");
    }
}

#[test]
fn a_detour_through_a_comparison_does_not_hide_the_direct_path() {
    let graph = function(batched(&[3]), |builder, x| {
        let zero = builder.scalar(0.0);
        let above = builder.op("Greater", &[x, zero])?;
        let above = builder.cast(above, DataType::Float32)?;
        let square = builder.op("Mul", &[x, x])?;
        builder.op("Add", &[square, above])
    });
    check_graph("x² + [x > 0]", Domain::AwayFromZero, &graph.unwrap());
}

#[test]
fn roundings_and_signs_pass_gradients_straight_through() {
    for op_type in ["Ceil", "Floor", "Hardmax", "Round", "Sign"] {
        let graph = function(batched(&[3]), |builder, x| builder.op(op_type, &[x])).unwrap();
        let inputs = [float("x", &[1, 3], &[-1.5, 0.0, 7.2]), float("g", &[1, 3], &[1.0, -2.0, 3.0])];
        assert_eq!(run(&mut session(&adjoint(&graph).unwrap()), &inputs), [1.0, -2.0, 3.0], "{op_type}");
    }
}

#[test]
fn values_that_a_one_hot_writes_are_not_taken_for_constants() {
    let graph = function(Shape::fixed(&[2]), |builder, x| {
        let (labels, depth) = (builder.ints(&[1, 0]), builder.ints(&[2]));
        let rows = builder.op("OneHot", &[labels, depth, x])?;
        builder.op("Add", &[rows, x])
    });
    let error = adjoint(&graph.unwrap()).unwrap_err().to_string();
    assert!(error.starts_with("node `f/OneHot` (OneHot): no gradient rule for OneHot"), "{error}");
}

#[test]
fn graphs_that_are_no_classifiers_are_refused() {
    let constant = function(batched(&[3]), |builder, _| {
        let one = builder.constant(Tensor::from_f32(&[1, 3], &[1.0; 3]));
        builder.op("Exp", &[one])
    });
    let images = function(batched(&[3, 4]), |builder, x| builder.op("Exp", &[x]));
    let mut no_output = linear(1.0);
    no_output.set_outputs(Vec::new());
    for (graph, message) in [
        (constant.unwrap(), "tensor `logits`: the output does not depend on the images"),
        (images.unwrap(), "tensor `logits`: has shape [N, 3, 4], wanted [N, K]"),
        (no_output, "the graph has no outputs, wanted logits"),
    ] {
        let error = differentiate(&graph, Loss::Margin, Kernels::Standard).unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::NotAClassifier, message));
    }
}

#[test]
fn operator_forms_older_than_the_rules_are_refused() {
    let mut old = linear(1.0);
    old.opset = 17;
    let error = differentiate(&old, Loss::Margin, Kernels::Standard).unwrap_err();
    assert!(error.to_string().contains("upgrade the graph to opset 18"), "{error}");
}

#[test]
fn a_gradient_through_a_second_output_is_refused() {
    let graph = function(batched(&[3, 4]), |builder, x| {
        let [scale, bias] = [1, 2].map(|seed| builder.constant(Numbers::new(seed).tensor(&[4])));
        let inputs = [x, scale, bias].map(Some).to_vec();
        let outputs = builder.node("LayerNormalization", inputs, Attributes::default(), 2)?;
        builder.op("Add", &outputs)
    });
    let error = differentiate(&flat(graph.unwrap()), Loss::Margin, Kernels::Standard).unwrap_err();
    assert!(error.to_string().contains("an output of it other than the first"), "{error}");
}

fn flat(mut graph: Graph) -> Graph {
    let output = graph.outputs()[0];
    let flat = Builder::new(&mut graph, "flat")
        .op_with("Flatten", &[output], [("axis", Attribute::Int(1))])
        .unwrap();
    graph.set_outputs(vec![flat]);
    graph
}

/// `y = a·b` and `z = a + [b > 0]`, for `a`, `b` `[2]`.
fn two_by_two() -> Graph {
    let mut graph = Graph::new("test", testing::OPSET);
    let [a, b] = ["a", "b"].map(|name| {
        let tensor_type = TensorType { dtype: DataType::Float32, shape: Shape::fixed(&[2]) };
        let id = graph.add_value(name, Some(tensor_type)).unwrap();
        graph.add_input(id);
        id
    });
    let mut builder = Builder::new(&mut graph, "f");
    let y = builder.op("Mul", &[a, b]).unwrap();
    let zero = builder.scalar(0.0);
    let above = builder.op("Greater", &[b, zero]).unwrap();
    let above = builder.cast(above, DataType::Float32).unwrap();
    let z = builder.op("Add", &[a, above]).unwrap();
    graph.rename(y, "y").unwrap();
    graph.rename(z, "z").unwrap();
    graph.set_outputs(vec![y, z]);
    graph
}

#[test]
fn several_inputs_take_from_several_outputs() {
    let forward = two_by_two();
    let wanted = [forward.find("b").unwrap(), forward.find("a").unwrap()];
    let backward = vector_jacobian_product(&forward, &wanted).unwrap();
    let values = |id: &ValueId| backward.value(*id).name.as_str();
    assert_eq!(
        backward.inputs().iter().map(values).collect::<Vec<_>>(),
        ["a", "b", "cotangent_y", "cotangent_z"]
    );
    assert_eq!(backward.outputs().iter().map(values).collect::<Vec<_>>(), ["gradient_b", "gradient_a"]);
    let dims = [2];
    let inputs = [
        float("a", &dims, &[2.0, 3.0]),
        float("b", &dims, &[5.0, 7.0]),
        float("cotangent_y", &dims, &[1.0, 10.0]),
        float("cotangent_z", &dims, &[100.0, 1000.0]),
    ];
    // The way from b to z is cut: b̄ = a·ȳ, ā = b·ȳ + z̄.
    let outputs = session(&backward).run(&inputs).unwrap();
    assert_eq!(outputs[0].data, [2.0, 30.0]);
    assert_eq!(outputs[1].data, [105.0, 1070.0]);
}

#[test]
fn functions_get_the_statistics_that_their_layer_normalizations_do_not_hand_out() {
    let forward = function(batched(&[4]), |builder, x| {
        let scale = builder.constant(Numbers::new(1).tensor(&[4]));
        builder.op("LayerNormalization", &[x, scale])
    })
    .unwrap();
    let (x, g) = ([0.5, -1.0, 2.0, 0.25], [1.0, 2.0, -3.0, 0.5]);
    let backward = vector_jacobian_product(&forward, forward.inputs()).unwrap();
    let cotangent = backward.value(backward.inputs()[1]).name.clone();
    let inputs = [float("x", &[1, 4], &x), float(&cotangent, &[1, 4], &g)];
    let found = run(&mut session(&backward), &inputs);
    let inputs = [float("x", &[1, 4], &x), float("g", &[1, 4], &g)];
    let wanted = run(&mut session(&adjoint(&forward).unwrap()), &inputs);
    assert_eq!(found, wanted);
}

#[test]
fn an_input_that_no_gradient_reaches_is_refused_beside_one_that_has_a_gradient() {
    let mut forward = two_by_two();
    forward.set_outputs(vec![forward.find("z").unwrap()]);
    let [a, b] = ["a", "b"].map(|name| forward.find(name).unwrap());
    assert!(vector_jacobian_product(&forward, &[a]).is_ok());
    let error = vector_jacobian_product(&forward, &[a, b]).unwrap_err().to_string();
    assert!(error.contains("no gradient reaches") && error.contains("`f/Greater` (Greater)"), "{error}");
}

#[test]
fn norms_over_the_image_are_differentiated_as_they_are_written_out() {
    for text in ["", "p=1", "p=3", "p=4"] {
        let mut file = Graph::new("norms", testing::OPSET);
        let x = crate::testing::add(&mut file, "f32[N,2,3,4]").unwrap();
        let y = crate::testing::push(&mut file, "GlobalLpPool", &[x], text);
        file.add_output(y);
        let lifted = crate::upgrade::upgrade(&file).unwrap();
        check_graph(&format!("GlobalLpPool {text}"), Domain::AwayFromZero, &lifted);
    }
}
