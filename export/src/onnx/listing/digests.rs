//! The digests of a listing, on all cores: they are nearly all of the time that a listing takes.

use std::thread;

use bytes::Bytes;
use mimir_bundle::digest::{FileDigest, digest_bytes};

use super::document::{AttributeListing, FunctionListing, GraphListing, Listing, NodeListing, TensorListing};

/// Fills in the digest of every tensor, and returns those of the files.
pub(super) fn fill(listing: &mut Listing, files: &[(&str, Bytes)]) -> Vec<FileDigest> {
    let mut of_files: Vec<Option<FileDigest>> = files.iter().map(|_| None).collect();
    let mut jobs: Vec<Job<'_>> = Vec::new();
    collect_graph(&mut listing.graph, &mut jobs);
    listing.functions.iter_mut().for_each(|function| collect_function(function, &mut jobs));
    for (digest, (name, bytes)) in of_files.iter_mut().zip(files) {
        jobs.push(Job::File(name, bytes, digest));
    }
    run(jobs);
    of_files.into_iter().flatten().collect()
}

/// Something to digest.
enum Job<'l> {
    Tensor(&'l mut TensorListing),
    File(&'l str, &'l Bytes, &'l mut Option<FileDigest>),
}

impl Job<'_> {
    fn bytes(&self) -> usize {
        match self {
            Self::Tensor(tensor) => tensor.data.len(),
            Self::File(_, bytes, _) => bytes.len(),
        }
    }

    fn run(self) {
        match self {
            Self::Tensor(tensor) => tensor.sha256 = digest_bytes(&tensor.data),
            Self::File(name, bytes, digest) => *digest = Some(FileDigest::new(name, bytes)),
        }
    }
}

/// Runs the jobs, the largest first, each where least has been given.
fn run(mut jobs: Vec<Job<'_>>) {
    let workers = thread::available_parallelism().map_or(1, usize::from);
    jobs.sort_by_key(|job| std::cmp::Reverse(job.bytes()));
    let mut shares: Vec<(usize, Vec<Job<'_>>)> = (0..workers).map(|_| (0, Vec::new())).collect();
    for job in jobs {
        if let Some((load, share)) = shares.iter_mut().min_by_key(|(load, _)| *load) {
            *load += job.bytes() + 1;
            share.push(job);
        }
    }
    thread::scope(|scope| {
        for (_, share) in shares {
            scope.spawn(|| share.into_iter().for_each(Job::run));
        }
    });
}

fn collect_graph<'l>(graph: &'l mut GraphListing, jobs: &mut Vec<Job<'l>>) {
    jobs.extend(graph.constants.iter_mut().map(Job::Tensor));
    graph.nodes.iter_mut().for_each(|node| collect_node(node, jobs));
}

fn collect_function<'l>(function: &'l mut FunctionListing, jobs: &mut Vec<Job<'l>>) {
    function.defaults.values_mut().for_each(|value| collect_attribute(value, jobs));
    collect_graph(&mut function.body, jobs);
}

fn collect_node<'l>(node: &'l mut NodeListing, jobs: &mut Vec<Job<'l>>) {
    node.attributes.values_mut().for_each(|value| collect_attribute(value, jobs));
}

fn collect_attribute<'l>(value: &'l mut AttributeListing, jobs: &mut Vec<Job<'l>>) {
    match value {
        AttributeListing::Tensor(tensor) => jobs.push(Job::Tensor(tensor)),
        AttributeListing::Tensors(tensors) => jobs.extend(tensors.iter_mut().map(Job::Tensor)),
        AttributeListing::Graph(graph) => collect_graph(graph, jobs),
        AttributeListing::Graphs(graphs) => graphs.iter_mut().for_each(|graph| collect_graph(graph, jobs)),
        _ => {}
    }
}
