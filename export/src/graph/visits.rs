//! How many nodes the walks through graphs visit: counted by tests, which hold that it grows as the graph does.
//!
//! A pass that walks the whole graph for each node that it changes is not slow before a graph has ten thousand of them, and then
//! no test notices.

/// Notes a walk through so many nodes, or what looks like the beginning of one.
#[cfg(not(test))]
pub(super) const fn add(_nodes: usize) {}

#[cfg(test)]
use std::{cell::RefCell, collections::BTreeMap, panic::Location};

#[cfg(test)]
thread_local! {
    static VISITS: RefCell<BTreeMap<String, u64>> = const { RefCell::new(BTreeMap::new()) };
}

#[cfg(test)]
#[track_caller]
pub(super) fn add(nodes: usize) {
    let place = Location::caller().to_string();
    VISITS.with_borrow_mut(|visits| *visits.entry(place).or_default() += nodes as u64);
}

/// The nodes that are visited on this thread while something is done, by the place of the walk in the sources.
#[cfg(test)]
pub(crate) fn during(act: impl FnOnce()) -> BTreeMap<String, u64> {
    VISITS.take();
    act();
    VISITS.take()
}
