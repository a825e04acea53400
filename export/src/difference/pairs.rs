//! Pairs what two models have in common.

use std::collections::HashMap;

use similar::{Algorithm, DiffOp, capture_diff_slices};

/// More things than this that no name pairs are not paired by their order: comparing sequences takes quadratic time.
const MOST_IN_SEQUENCE: usize = 5000;

/// Which thing after each thing before is; both as positions.
#[derive(Debug)]
pub(super) struct Pairs {
    pub(super) of_before: Vec<Option<usize>>,
    of_after: Vec<bool>,
}

impl Pairs {
    /// No pairs among so many things.
    pub(super) fn new(before: usize, after: usize) -> Self {
        Self { of_before: vec![None; before], of_after: vec![false; after] }
    }

    /// Pairs those of equal key that are left; of several after, the first.
    pub(super) fn by_key(&mut self, before: &[String], after: &[String]) {
        let mut known: HashMap<&str, usize> = HashMap::new();
        for position in (0..after.len()).rev().filter(|position| !self.of_after[*position]) {
            known.insert(&after[position], position);
        }
        for (position, key) in before.iter().enumerate() {
            if self.of_before[position].is_none()
                && let Some(partner) = known.remove(key.as_str())
            {
                self.add(position, partner);
            }
        }
    }

    /// Pairs those of equal key that are left and stand in the same order.
    pub(super) fn in_sequence(&mut self, before: &[String], after: &[String]) {
        let left_before: Vec<usize> =
            (0..before.len()).filter(|position| self.of_before[*position].is_none()).collect();
        let left_after: Vec<usize> = self.unpaired_after().collect();
        if left_before.len().max(left_after.len()) > MOST_IN_SEQUENCE {
            return;
        }
        let keys_before: Vec<&String> = left_before.iter().map(|position| &before[*position]).collect();
        let keys_after: Vec<&String> = left_after.iter().map(|position| &after[*position]).collect();
        for operation in capture_diff_slices(Algorithm::Myers, &keys_before, &keys_after) {
            if let DiffOp::Equal { old_index, new_index, len } = operation {
                (0..len)
                    .for_each(|step| self.add(left_before[old_index + step], left_after[new_index + step]));
            }
        }
    }

    /// The positions after without a partner.
    pub(super) fn unpaired_after(&self) -> impl Iterator<Item = usize> + use<'_> {
        (0..self.of_after.len()).filter(|position| !self.of_after[*position])
    }

    fn add(&mut self, before: usize, after: usize) {
        self.of_before[before] = Some(after);
        self.of_after[after] = true;
    }
}
