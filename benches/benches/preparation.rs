//! How the time to prepare a model grows with its nodes: reading, simplifying, differentiating.
//!
//! `cargo bench -p mimir-benches --bench preparation`. Graphs of 1,000 to 100,000 nodes, the most that are read, of each
//! [`Pattern`]. Criterion prints nodes a second: a pass that walks the whole graph for each node that it changes halves
//! them whenever the nodes double.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use mimir_bundle::Loss;
use mimir_export::large::Pattern;
use mimir_export::onnx::{Limits, read_model_bytes, write_model};
use mimir_export::{ImageClassifier, InputSpec};

/// Nodes; a graph has some more.
const SIZES: [usize; 5] = [1_000, 3_000, 10_000, 30_000, 99_000];

fn prepare(file: &bytes::Bytes) -> Vec<u8> {
    let file = read_model_bytes(file.clone(), None, &Limits::default()).expect("it is within the limits");
    let classifier = ImageClassifier::new(file, &InputSpec::default()).expect("it is a classifier");
    classifier.gradient_onnx(Loss::CrossEntropy).expect("every operator has a rule")
}

fn preparation(criterion: &mut Criterion) {
    for pattern in Pattern::ALL {
        let mut group = criterion.benchmark_group(pattern.name());
        group.sample_size(10).sampling_mode(SamplingMode::Flat).warm_up_time(Duration::from_millis(1));
        group.measurement_time(Duration::from_secs(1));
        for nodes in SIZES {
            let graph = pattern.graph(nodes).expect("it fits in memory");
            let file = bytes::Bytes::from(write_model(&graph).expect("it can be written"));
            group.throughput(Throughput::Elements(nodes as u64));
            group.bench_with_input(BenchmarkId::from_parameter(nodes), &file, |bencher, file| {
                bencher.iter(|| black_box(prepare(file)));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, preparation);
criterion_main!(benches);
