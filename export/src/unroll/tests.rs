//! The unrolled graph gives, in ONNX Runtime, the results of the control flow.

use crate::error::{ErrorKind, Result};
use crate::graph::{Attribute, Attributes, Graph, Node, Subgraph, ValueId};
use crate::onnx::{Limits, read_model_bytes, write_model};
use crate::tensor::{DataType, Tensor};
use crate::testing::{add, assert_equal_results, parse, push, push_all};
use crate::upgrade::upgrade;

const OPSET: u32 = 16;

/// A body with `captures` captured values; `build` gets all inputs and returns the outputs.
fn body(
    name: &str,
    parameters: usize,
    captures: usize,
    build: impl FnOnce(&mut Graph, &[ValueId]) -> Vec<ValueId>,
) -> Attribute {
    let mut graph = Graph::new(name, OPSET);
    let inputs: Vec<ValueId> = (0..parameters + captures)
        .map(|index| graph.add_fresh_value(&format!("{name}_{index}"), None))
        .collect();
    graph.set_inputs(inputs.clone());
    for (id, tensor_type) in inputs[..parameters].iter().zip([parse("i64[]"), parse("bool[]")]) {
        graph.set_type(*id, tensor_type);
    }
    let outputs = build(&mut graph, &inputs);
    graph.set_outputs(outputs);
    Attribute::Graph(Box::new(Subgraph { graph, captures }))
}

fn boolean(graph: &mut Graph, value: bool) -> ValueId {
    let tensor = Tensor::new(DataType::Bool, Vec::new(), vec![u8::from(value)].into()).unwrap();
    graph.add_constant("holds", tensor)
}

fn control<const COUNT: usize>(
    graph: &mut Graph,
    op_type: &str,
    inputs: &[Option<ValueId>],
    outputs: usize,
    attributes: [(&str, Attribute); COUNT],
) -> Vec<ValueId> {
    let ids = push_all(graph, op_type, inputs, "", outputs);
    let mut nodes: Vec<Node> = graph.nodes().to_vec();
    nodes.last_mut().unwrap().attributes = Attributes::from_pairs(attributes);
    graph.set_nodes(nodes);
    ids
}

/// `x: f32[N, 4]`, and what `build` makes of it.
fn model(build: impl FnOnce(&mut Graph, ValueId) -> Vec<ValueId>) -> Graph {
    let mut graph = Graph::new("test", OPSET);
    let x = add(&mut graph, "f32[N,4]").unwrap();
    let outputs = build(&mut graph, x);
    graph.set_outputs(outputs);
    graph
}

/// Both forms agree in ONNX Runtime, the file holds the control flow, and the copy does not.
#[track_caller]
fn assert_unrolls(graph: &Graph) -> Graph {
    let file = write_model(graph).unwrap();
    let read = read_model_bytes(file.into(), None, &Limits::default()).unwrap().graph;
    assert_eq!(write_model(&read).unwrap(), write_model(graph).unwrap());
    let unrolled = upgrade(&read).unwrap();
    assert!(!unrolled.nodes().iter().any(|node| matches!(node.op_type.as_str(), "If" | "Loop")));
    assert_equal_results(&read, &unrolled, 1e-6);
    unrolled
}

/// `if condition { x + 1 } else { −x }`, with the condition as `condition` makes it of `x`.
fn branches(condition: impl FnOnce(&mut Graph, ValueId) -> ValueId) -> Graph {
    model(|graph, x| {
        let condition = condition(graph, x);
        let then_branch = body("then", 0, 1, |graph, inputs| {
            let one = graph.add_constant("one", Tensor::scalar_f32(1.0));
            vec![push(graph, "Add", &[inputs[0], one], "")]
        });
        let else_branch = body("else", 0, 1, |graph, inputs| vec![push(graph, "Neg", &[inputs[0]], "")]);
        let branches = [("then_branch", then_branch), ("else_branch", else_branch)];
        control(graph, "If", &[Some(condition), Some(x)], 1, branches)
    })
}

#[test]
fn the_branch_that_is_taken_stays() {
    for (value, kept) in [(true, "Add"), (false, "Neg")] {
        let unrolled = assert_unrolls(&branches(|graph, _| boolean(graph, value)));
        let operators: Vec<&str> = unrolled.nodes().iter().map(|node| node.op_type.as_str()).collect();
        assert_eq!(operators, [kept, "Identity"]);
    }
}

#[test]
fn a_condition_may_come_from_shapes() {
    let unrolled = assert_unrolls(&branches(|graph, x| {
        let shape = push(graph, "Shape", &[x], "start=1");
        let four = add(graph, "=[4]").unwrap();
        let equal = push(graph, "Equal", &[shape, four], "");
        let axes = add(graph, "=[0]").unwrap();
        push(graph, "Squeeze", &[equal, axes], "")
    }));
    assert!(unrolled.nodes().iter().any(|node| node.op_type == "Add"));
}

/// `for i in 0..trips { x = 2x + w·i; if last(i) { stop } }`, which returns `x` and every `x` on the way.
fn iterations(trips: &str, stop_after: Option<i64>) -> Graph {
    model(|graph, x| {
        let trips = add(graph, trips);
        let weights = add(graph, "#[4]").unwrap();
        let body = body("body", 3, 1, |graph, inputs| {
            let [index, condition, state, weights] = inputs[..] else { panic!("four inputs") };
            let number = push(graph, "Cast", &[index], "to=1");
            let scaled = push(graph, "Mul", &[weights, number], "");
            let doubled = push(graph, "Add", &[state, state], "");
            let state = push(graph, "Add", &[doubled, scaled], "");
            let goes_on = match stop_after {
                Some(last) => {
                    let last = graph.add_constant("last", Tensor::from_i64(&[], &[last]));
                    push(graph, "Less", &[index, last], "")
                }
                None => push(graph, "Identity", &[condition], ""),
            };
            let seen = push(graph, "Identity", &[state], "");
            vec![goes_on, state, seen]
        });
        let holds = boolean(graph, true);
        let inputs = [trips, Some(holds), Some(x), Some(weights)];
        control(graph, "Loop", &inputs, 2, [("body", body)])
    })
}

#[test]
fn a_loop_becomes_its_iterations() {
    for (trips, stop_after, adds) in [("=3", None, 6), ("=1", None, 2), ("=9", Some(2), 6), ("", Some(1), 4)]
    {
        let unrolled = assert_unrolls(&iterations(trips, stop_after));
        let found = unrolled.nodes().iter().filter(|node| node.op_type == "Add").count();
        assert_eq!(found, adds, "{trips} {stop_after:?}");
    }
}

#[test]
fn names_of_bodies_that_the_model_uses_too_are_changed_in_the_file() {
    let mut graph = iterations("=2", None);
    // As `assign_name` does with the output of a model.
    let output = graph.outputs()[0];
    graph.rename(output, "body_2").unwrap();
    assert_unrolls(&graph);
}

#[test]
fn control_flow_nests() {
    assert_unrolls(&model(|graph, x| {
        let trips = add(graph, "=3").unwrap();
        let outer = body("outer", 3, 0, |graph, inputs| {
            let one = graph.add_constant("one", Tensor::from_i64(&[], &[1]));
            let is_second = push(graph, "Equal", &[inputs[0], one], "");
            let then_branch = body("then", 0, 2, |graph, inputs| vec![push(graph, "Neg", &[inputs[1]], "")]);
            let else_branch = body("else", 0, 2, |graph, inputs| {
                let inner = body("inner", 3, 1, |graph, inputs| {
                    let state = push(graph, "Sub", &[inputs[2], inputs[3]], "");
                    vec![push(graph, "Identity", &[inputs[1]], ""), state]
                });
                let (trips, holds) = (add(graph, "=2").unwrap(), boolean(graph, true));
                let number = push(graph, "Cast", &[inputs[0]], "to=1");
                let inputs = [Some(trips), Some(holds), Some(inputs[1]), Some(number)];
                control(graph, "Loop", &inputs, 1, [("body", inner)])
            });
            let branches = [("then_branch", then_branch), ("else_branch", else_branch)];
            let taken =
                control(graph, "If", &[Some(is_second), Some(inputs[0]), Some(inputs[2])], 1, branches);
            vec![push(graph, "Identity", &[inputs[1]], ""), taken[0]]
        });
        control(graph, "Loop", &[Some(trips), None, Some(x)], 1, [("body", outer)])
    }));
}

#[track_caller]
fn assert_refused(graph: &Graph, kind: ErrorKind, wanted: &str) {
    let error = upgrade(graph).unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (kind, wanted));
}

#[test]
fn what_depends_on_the_images_is_refused_by_name() {
    let of_pixels = |graph: &mut Graph, x: ValueId| {
        let axes = add(graph, "=[0,1]").unwrap();
        let sum = push_all(graph, "ReduceSum", &[Some(x), Some(axes)], "keepdims=0", 1)[0];
        let zero = graph.add_constant("zero", Tensor::scalar_f32(0.0));
        push(graph, "Greater", &[sum, zero], "")
    };
    assert_refused(
        &branches(of_pixels),
        ErrorKind::Unsupported,
        "node `If_2` (If): its condition is known only at run time: export the model in inference mode with the \
         condition fixed (in PyTorch, export a module whose `forward` contains only the branch that is taken)",
    );
    let trips = model(|graph, x| {
        let size = push(graph, "Size", &[x], "");
        let body = body("body", 3, 0, |graph, inputs| {
            vec![push(graph, "Identity", &[inputs[1]], ""), push(graph, "Neg", &[inputs[2]], "")]
        });
        control(graph, "Loop", &[Some(size), None, Some(x)], 1, [("body", body)])
    });
    assert_refused(
        &trips,
        ErrorKind::Unsupported,
        "node `Loop_1` (Loop): its number of iterations is known only at run time: export the model with the loop \
         unrolled (in PyTorch, a plain loop in Python over a fixed range)",
    );
}

/// A constant position.
fn at(graph: &mut Graph, sequence: ValueId, position: &str) -> ValueId {
    let position = add(graph, position).unwrap();
    push(graph, "SequenceAt", &[sequence, position], "")
}

/// What a file does with `x: f32[N, 4]` through sequences.
type OfSequences = (&'static str, fn(&mut Graph, ValueId) -> Vec<ValueId>);

const SEQUENCES: &[OfSequences] = &[
    ("unbind", |graph, x| {
        let parts = push_all(graph, "SplitToSequence", &[Some(x)], "axis=1 keepdims=0", 1)[0];
        vec![at(graph, parts, "=0"), at(graph, parts, "=-1")]
    }),
    ("single columns", |graph, x| {
        let parts = push_all(graph, "SplitToSequence", &[Some(x)], "axis=-1", 1)[0];
        vec![at(graph, parts, "=2")]
    }),
    ("pieces of three", |graph, x| {
        let size = add(graph, "=3").unwrap();
        let parts = push(graph, "SplitToSequence", &[x, size], "axis=1");
        vec![at(graph, parts, "=0"), at(graph, parts, "=1")]
    }),
    ("listed sizes", |graph, x| {
        let sizes = add(graph, "=[1,3]").unwrap();
        let parts = push(graph, "SplitToSequence", &[x, sizes], "axis=1");
        vec![push(graph, "ConcatFromSequence", &[parts], "axis=1"), at(graph, parts, "=1")]
    }),
    ("a list that is made, changed and stacked", |graph, x| {
        let negative = push(graph, "Neg", &[x], "");
        let list = push(graph, "SequenceConstruct", &[x, negative], "");
        let doubled = push(graph, "Add", &[x, x], "");
        let first = add(graph, "=0").unwrap();
        let list = push(graph, "SequenceInsert", &[list, doubled, first], "");
        let list = push(graph, "SequenceInsert", &[list, negative], "");
        let one = add(graph, "=1").unwrap();
        let list = push(graph, "SequenceErase", &[list, one], "");
        vec![
            push(graph, "ConcatFromSequence", &[list], "axis=1 new_axis=1"),
            push(graph, "ConcatFromSequence", &[list], "axis=-1"),
        ]
    }),
    ("a length", |graph, x| {
        let parts = push_all(graph, "SplitToSequence", &[Some(x)], "axis=1", 1)[0];
        let length = push(graph, "SequenceLength", &[parts], "");
        let length = push(graph, "Cast", &[length], "to=1");
        vec![push(graph, "Mul", &[x, length], "")]
    }),
    ("a list that grows in a loop", |graph, x| {
        let empty = push_all(graph, "SequenceEmpty", &[], "dtype=1", 1)[0];
        let (trips, holds) = (add(graph, "=3"), boolean(graph, true));
        let body = body("body", 3, 1, |graph, inputs| {
            let [index, condition, list, x] = inputs[..] else { panic!("four inputs") };
            let number = push(graph, "Cast", &[index], "to=1");
            let scaled = push(graph, "Mul", &[x, number], "");
            let list = push(graph, "SequenceInsert", &[list, scaled], "");
            vec![push(graph, "Identity", &[condition], ""), list]
        });
        let inputs = [trips, Some(holds), Some(empty), Some(x)];
        let list = control(graph, "Loop", &inputs, 1, [("body", body)])[0];
        vec![push(graph, "ConcatFromSequence", &[list], "axis=0 new_axis=1")]
    }),
];

#[test]
fn sequences_of_constant_length_become_their_tensors() {
    for (case, build) in SEQUENCES {
        eprintln!("{case}");
        for opset in [12, OPSET] {
            let mut graph = model(build);
            graph.opset = opset;
            let unrolled = upgrade(&graph).unwrap_or_else(|error| panic!("{case}: {error}"));
            assert!(!unrolled.nodes().iter().any(|node| node.op_type.contains("Sequence")), "{case}");
            if opset == OPSET {
                assert_unrolls(&graph);
            }
        }
    }
}

#[test]
fn sequences_that_depend_on_the_images_are_refused_by_name() {
    let cases: [OfSequences; 6] = [
        ("which is the batch", |graph, x| push_all(graph, "SplitToSequence", &[Some(x)], "", 1)),
        ("its position in the sequence is known only at run time", |graph, x| {
            let parts = push_all(graph, "SplitToSequence", &[Some(x)], "axis=1", 1)[0];
            let place = push(graph, "Size", &[x], "");
            vec![push(graph, "SequenceAt", &[parts, place], "")]
        }),
        ("its sizes are known only at run time", |graph, x| {
            let size = push(graph, "Size", &[x], "");
            vec![push(graph, "SplitToSequence", &[x, size], "axis=1")]
        }),
        ("position 4 of a sequence of 4 tensors", |graph, x| {
            let parts = push_all(graph, "SplitToSequence", &[Some(x)], "axis=1", 1)[0];
            vec![at(graph, parts, "=4")]
        }),
        ("this operator of sequences is not supported", |graph, x| {
            push_all(graph, "SequenceMap", &[Some(x)], "", 1)
        }),
        ("optional values are not supported: export the model with every value present", |graph, x| {
            push_all(graph, "OptionalGetElement", &[Some(x)], "", 1)
        }),
    ];
    for (wanted, build) in cases {
        let error = upgrade(&model(build)).unwrap_err();
        assert!(error.to_string().contains(wanted) && error.to_string().starts_with("node `"), "{error}");
    }
}

#[test]
fn unrolling_is_limited_by_a_budget() {
    let endless = |trips: &str| iterations(trips, None);
    for graph in [endless("=9223372036854775807"), endless("")] {
        assert_refused(
            &graph,
            ErrorKind::Limit,
            "node `Loop_0` (Loop): unrolling If, Loop and sequences takes more than 100000 nodes: export the model with \
             fewer iterations, or with one operator for the whole loop",
        );
    }
}

#[test]
fn bodies_that_do_not_fit_their_node_are_an_error() {
    let with = |parameters: usize, outputs: usize| {
        model(|graph, x| {
            let body = body("body", parameters, 0, |graph, inputs| {
                (0..outputs).map(|_| push(graph, "Identity", &[inputs[0]], "")).collect()
            });
            let trips = add(graph, "=1").unwrap();
            control(graph, "Loop", &[Some(trips), None, Some(x)], 1, [("body", body)])
        })
    };
    let message = |graph: Graph| -> Result<Graph> { upgrade(&graph) };
    for (graph, wanted) in [
        (with(1, 2), "its body takes 1 values, wanted an iteration number and a condition first"),
        (with(4, 3), "has fewer inputs than its body takes"),
        (with(3, 1), "its body returns fewer values than it carries"),
    ] {
        let error = message(graph).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Format);
        assert!(error.to_string().contains(wanted), "{error}");
    }
}
