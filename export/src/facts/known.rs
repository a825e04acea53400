//! Elements of tensors that inference has followed so far.

use std::borrow::Cow;
use std::collections::HashMap;

use super::content::Content;
use crate::graph::{Graph, ValueId};

/// Elements are followed through tensors of at most this size: shapes are short, position tables are not shapes.
pub(crate) const LARGEST_FOLLOWED: usize = 1 << 14;

/// Elements found so far of tensors that are not constants of the graph.
#[derive(Debug)]
pub(crate) struct Known {
    contents: HashMap<ValueId, Content>,
    /// Larger tensors are not looked into.
    largest: usize,
}

impl Known {
    /// Nothing yet; tensors of more than `largest` elements are not looked into.
    pub(crate) fn new(largest: usize) -> Self {
        Self { contents: HashMap::new(), largest }
    }

    /// Number of elements up to which tensors are looked into.
    pub(crate) fn largest(&self) -> usize {
        self.largest
    }

    /// Records the elements of a tensor.
    pub(crate) fn insert(&mut self, id: ValueId, content: Content) {
        self.contents.insert(id, content);
    }

    /// Forgets the elements of a tensor that has become a constant of the graph.
    pub(crate) fn remove(&mut self, id: ValueId) {
        self.contents.remove(&id);
    }

    /// The elements of a tensor, where they are known.
    pub(crate) fn content<'a>(&'a self, graph: &Graph, id: ValueId) -> Option<Cow<'a, Content>> {
        match self.contents.get(&id) {
            Some(content) => Some(Cow::Borrowed(content)),
            None => {
                let tensor = graph.constant(id).filter(|tensor| tensor.elements() <= self.largest)?;
                Content::from_tensor(tensor).map(Cow::Owned)
            }
        }
    }
}
