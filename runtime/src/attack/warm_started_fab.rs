//! The smallest distance of images that are broken already, for a curve over radii: FAB from the counterexample of each
//! towards the class that the model took it for. One target and a good start in place of nine targets and none.

use std::collections::HashMap;

use mimir_bundle::attack::FabSpec;

use super::fab::{BISECTIONS, Fab};
use super::{Attack, AttackContext, CleanImage, Query, Search};
use crate::journal::CounterexampleStore;

/// Where the search on one image starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WarmStart {
    /// Position in the evaluation set.
    pub(crate) image: usize,
    /// Class that the original model predicts for the counterexample.
    pub(crate) target: usize,
    /// Where the counterexample is.
    pub(crate) slot: u64,
}

/// FAB from known counterexamples.
pub(crate) struct WarmStartedFab<'a> {
    fab: Fab,
    starts: HashMap<usize, WarmStart>,
    store: &'a CounterexampleStore,
}

impl<'a> WarmStartedFab<'a> {
    /// One search for each start.
    pub(crate) fn new(starts: &[WarmStart], store: &'a CounterexampleStore, context: &AttackContext) -> Self {
        let fab = Fab::untargeted("curve", &FabSpec::default(), context);
        Self { fab, starts: starts.iter().map(|start| (start.image, *start)).collect(), store }
    }
}

impl Attack for WarmStartedFab<'_> {
    fn queries(&self) -> Vec<Query> {
        self.fab.queries()
    }

    fn units(&self) -> usize {
        1
    }

    fn most_passes(&self) -> u64 {
        self.fab.most_passes() + BISECTIONS as u64 + 1
    }

    fn search(&self, clean: &CleanImage, _: usize) -> Box<dyn Search + '_> {
        let mut start = vec![0.0; clean.pixels.len()];
        match self.starts.get(&clean.image) {
            Some(WarmStart { target, slot, .. }) if self.store.read(*slot, &mut start).is_ok() => {
                self.fab.search_from(clean, Some(*target), &start)
            }
            // What cannot be read back is searched for from the clean image.
            _ => self.fab.search(clean, 0),
        }
    }
}
