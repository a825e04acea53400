//! Attacks on features that differ in their loss and in the rule of their steps only.

use std::fmt;

use super::feature_search::{Ascent, FeatureSearch, Objective, most_passes};
use super::{Attack, CleanImage, Query, Search};
use crate::random::{Key, Stream};

/// Makes loss and steps of a search on an image, from noise of its own.
type Begin = dyn Fn(&CleanImage, Stream) -> (Box<dyn Objective>, Box<dyn Ascent>) + Send + Sync;

/// An attack on features that compares with those of the clean image. One unit is one restart.
pub(super) struct FeatureAttack {
    name: &'static str,
    steps: usize,
    restarts: usize,
    seed: u64,
    begin: Box<Begin>,
}

impl FeatureAttack {
    pub(super) fn new(
        name: &'static str,
        [steps, restarts]: [usize; 2],
        seed: u64,
        begin: impl Fn(&CleanImage, Stream) -> (Box<dyn Objective>, Box<dyn Ascent>) + Send + Sync + 'static,
    ) -> Self {
        Self { name, steps, restarts, seed, begin: Box::new(begin) }
    }
}

impl fmt::Debug for FeatureAttack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(self.name).field("steps", &self.steps).finish_non_exhaustive()
    }
}

impl Attack for FeatureAttack {
    fn queries(&self) -> Vec<Query> {
        vec![Query::Features, Query::FeatureGradient]
    }

    fn units(&self) -> usize {
        self.restarts
    }

    fn most_passes(&self) -> u64 {
        most_passes(self.steps, true)
    }

    fn search(&self, clean: &CleanImage, unit: usize) -> Box<dyn Search + '_> {
        let key = Key { seed: self.seed, image: clean.image, attack: self.name, target: None, restart: unit };
        let (objective, ascent) = (self.begin)(clean, Stream::new(&key));
        Box::new(FeatureSearch::new(clean, objective, ascent))
    }
}
