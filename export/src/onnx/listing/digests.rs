//! The digests of a listing, on all cores: they are nearly all of the time that a listing takes.

use std::thread;

use mimir_bundle::digest::digest_bytes;

use super::document::{AttributeListing, FunctionListing, GraphListing, Listing, NodeListing, TensorListing};

/// Fills in the digest of every tensor.
pub(super) fn fill(listing: &mut Listing) {
    let mut tensors = Vec::new();
    collect_graph(&mut listing.graph, &mut tensors);
    listing.functions.iter_mut().for_each(|function| collect_function(function, &mut tensors));
    run(tensors);
}

type Tensors<'l> = Vec<&'l mut TensorListing>;

/// Digests the largest first, each where least has been given.
fn run(mut tensors: Tensors<'_>) {
    let workers = thread::available_parallelism().map_or(1, usize::from);
    tensors.sort_by_key(|tensor| std::cmp::Reverse(tensor.data.len()));
    let mut shares: Vec<(usize, Tensors<'_>)> = (0..workers).map(|_| (0, Vec::new())).collect();
    for tensor in tensors {
        if let Some((load, share)) = shares.iter_mut().min_by_key(|(load, _)| *load) {
            *load += tensor.data.len() + 1;
            share.push(tensor);
        }
    }
    let digest = |tensor: &mut TensorListing| tensor.sha256 = digest_bytes(&tensor.data);
    thread::scope(|scope| {
        for (_, share) in shares {
            scope.spawn(move || share.into_iter().for_each(digest));
        }
    });
}

fn collect_graph<'l>(graph: &'l mut GraphListing, tensors: &mut Tensors<'l>) {
    tensors.extend(graph.constants.iter_mut());
    graph.nodes.iter_mut().for_each(|node| collect_node(node, tensors));
}

fn collect_function<'l>(function: &'l mut FunctionListing, tensors: &mut Tensors<'l>) {
    function.defaults.values_mut().for_each(|value| collect_attribute(value, tensors));
    collect_graph(&mut function.body, tensors);
}

fn collect_node<'l>(node: &'l mut NodeListing, tensors: &mut Tensors<'l>) {
    node.attributes.values_mut().for_each(|value| collect_attribute(value, tensors));
}

fn collect_attribute<'l>(value: &'l mut AttributeListing, tensors: &mut Tensors<'l>) {
    match value {
        AttributeListing::Tensor(tensor) => tensors.push(tensor),
        AttributeListing::Tensors(several) => tensors.extend(several.iter_mut()),
        AttributeListing::Graph(graph) => collect_graph(graph, tensors),
        AttributeListing::Graphs(graphs) => graphs.iter_mut().for_each(|graph| collect_graph(graph, tensors)),
        _ => {}
    }
}
