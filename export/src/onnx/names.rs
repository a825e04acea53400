//! Unique names in time linear in their number.

use std::collections::{HashMap, HashSet};

/// The names that are taken, and the last number that was added to each base.
#[derive(Debug, Default)]
pub(super) struct Names {
    taken: HashSet<String>,
    counts: HashMap<String, usize>,
}

impl Names {
    /// Marks a name as taken.
    pub(super) fn reserve(&mut self, name: &str) {
        if !self.taken.contains(name) {
            self.taken.insert(name.to_owned());
        }
    }

    /// `base`, or `base_2`, `base_3`, … where that is taken.
    pub(super) fn fresh(&mut self, base: &str) -> String {
        if self.taken.insert(base.to_owned()) {
            return base.to_owned();
        }
        // The count is kept so that many equal names do not each search from the start.
        let count = self.counts.entry(base.to_owned()).or_insert(1);
        loop {
            *count += 1;
            let name = format!("{base}_{count}");
            if self.taken.insert(name.clone()) {
                return name;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_count_up_past_taken_ones() {
        let mut names = Names::default();
        names.reserve("conv_2");
        let fresh: Vec<String> = (0..4).map(|_| names.fresh("conv")).collect();
        assert_eq!(fresh, ["conv", "conv_3", "conv_4", "conv_5"]);
    }
}
