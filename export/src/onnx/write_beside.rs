//! Writes a graph with its weights in a file beside it, which several graphs of one model may share.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};
use std::thread;

use bytes::Bytes;

use super::proto::TensorProto;
use super::write::{SMALLEST_SHARED, encode, graph_proto, make_external};
use crate::error::Result;
use crate::graph::Graph;

/// Weights of more bytes begin at a multiple of [`PAGE`], as `onnx.proto` asks for, so that they can be mapped.
const LARGE: usize = 64 << 10;

/// The alignment of large weights.
const PAGE: u64 = 4096;

/// The alignment of the others: a cache line.
const LINE: u64 = 64;

/// A file of weights: little-endian and row-major, each aligned, with zeros between them.
///
/// The place of a weight depends on the order and the lengths alone, so equal graphs give equal files.
#[derive(Debug, Default)]
pub struct WeightFile {
    location: String,
    weights: Vec<(u64, Bytes)>,
    end: u64,
    by_hash: OnceCell<HashMap<u64, Vec<usize>>>,
}

impl WeightFile {
    /// An empty file of that name, which lies beside the models that use it.
    pub fn new(location: impl Into<String>) -> Self {
        Self { location: location.into(), ..Self::default() }
    }

    /// Its length in bytes.
    pub fn bytes(&self) -> u64 {
        self.end
    }

    /// The name that models say for it.
    pub fn location(&self) -> &str {
        &self.location
    }

    /// Its content, copied on all cores: touching new memory is what takes time. Each weight is given up once it is
    /// copied, so that, if nothing else holds them, there are never two copies of all weights in memory.
    pub fn into_bytes(mut self) -> Bytes {
        let mut content = vec![0; self.end as usize];
        let mut jobs = Vec::with_capacity(self.weights.len());
        let (mut rest, mut position) = (&mut content[..], 0);
        for (offset, data) in std::mem::take(&mut self.weights) {
            let (_, after) = rest.split_at_mut((offset - position) as usize);
            let (place, after) = after.split_at_mut(data.len());
            (rest, position) = (after, offset + data.len() as u64);
            jobs.push((place, data));
        }
        let jobs = Mutex::new(jobs);
        let work = || {
            while let Some((place, data)) = next(&jobs) {
                place.copy_from_slice(&data);
            }
        };
        thread::scope(|scope| {
            (0..thread::available_parallelism().map_or(1, usize::from)).for_each(|_| drop(scope.spawn(work)));
        });
        content.into()
    }

    /// The bytes of a graph whose weights of 1 KiB and more are appended to this file.
    ///
    /// # Errors
    /// As [`write_model`](super::write_model).
    pub fn write_model(&mut self, graph: &Graph) -> Result<Vec<u8>> {
        let mut proto = graph_proto(graph);
        for ((_, tensor), initializer) in graph.constants().zip(&mut proto.initializer) {
            if tensor.data().len() >= SMALLEST_SHARED {
                let offset = self.append(tensor.data().clone());
                self.refer(initializer, offset, tensor.data().len());
            }
        }
        encode(graph, proto)
    }

    /// The bytes of a graph whose weights are read from this file where it has equal bytes. The others stay inside, or
    /// are appended to `own` where they have more than `most_inside` bytes together. Each weight of the file is used once
    /// at most, so that no two tensors of the graph overlap.
    ///
    /// # Errors
    /// As [`write_model`](super::write_model).
    pub fn write_sharing_model(&self, graph: &Graph, own: &mut Self, most_inside: usize) -> Result<Vec<u8>> {
        let mut proto = graph_proto(graph);
        let (mut used, mut others) = (vec![false; self.weights.len()], Vec::new());
        for (index, (_, tensor)) in graph.constants().enumerate() {
            let data = tensor.data();
            if data.len() < SMALLEST_SHARED {
                continue;
            }
            let known = self.find(data).find(|known| !used[*known]);
            match known {
                Some(known) => {
                    used[known] = true;
                    self.refer(&mut proto.initializer[index], self.weights[known].0, data.len());
                }
                None => others.push((index, data)),
            }
        }
        if others.iter().map(|(_, data)| data.len()).sum::<usize>() > most_inside {
            for (index, data) in others {
                let offset = own.append(data.clone());
                own.refer(&mut proto.initializer[index], offset, data.len());
            }
        }
        encode(graph, proto)
    }

    /// The place of bytes that are appended.
    fn append(&mut self, data: Bytes) -> u64 {
        let alignment = if data.len() > LARGE { PAGE } else { LINE };
        let offset = self.end.next_multiple_of(alignment);
        self.end = offset + data.len() as u64;
        self.weights.push((offset, data));
        self.by_hash.take();
        offset
    }

    fn refer(&self, initializer: &mut TensorProto, offset: u64, length: usize) {
        make_external(initializer, &self.location, offset, length);
    }

    /// The weights of exactly these bytes.
    fn find(&self, data: &Bytes) -> impl Iterator<Item = usize> + use<'_> {
        let by_hash = self.by_hash.get_or_init(|| {
            let mut by_hash: HashMap<u64, Vec<usize>> = HashMap::new();
            for (index, (_, data)) in self.weights.iter().enumerate() {
                by_hash.entry(hash(data)).or_default().push(index);
            }
            by_hash
        });
        let candidates = by_hash.get(&hash(data)).map_or(&[][..], Vec::as_slice);
        let data = data.clone();
        candidates.iter().copied().filter(move |index| self.weights[*index].1 == data)
    }
}

fn next<T>(jobs: &Mutex<Vec<T>>) -> Option<T> {
    jobs.lock().unwrap_or_else(PoisonError::into_inner).pop()
}

fn hash(data: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    data.hash(&mut hasher);
    hasher.finish()
}
