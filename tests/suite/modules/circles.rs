//! Strongly connected components of a graph, those of more than one file.

use std::collections::{BTreeMap, BTreeSet};

/// Groups of files of which each reaches every other along the arrows.
pub(super) fn circles(arrows: &BTreeSet<(usize, usize)>) -> Vec<Vec<usize>> {
    let mut next: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (from, to) in arrows {
        next.entry(*from).or_default().push(*to);
    }
    let reached: BTreeMap<usize, BTreeSet<usize>> =
        next.keys().map(|file| (*file, reachable(*file, &next))).collect();
    let reaches = |from: usize, to: usize| reached.get(&from).is_some_and(|reached| reached.contains(&to));
    let mut grouped = BTreeSet::new();
    let mut circles = Vec::new();
    for file in next.keys().copied().filter(|file| reaches(*file, *file)) {
        if !grouped.contains(&file) {
            let circle: Vec<usize> =
                next.keys().copied().filter(|other| reaches(file, *other) && reaches(*other, file)).collect();
            grouped.extend(circle.iter().copied());
            circles.push(circle);
        }
    }
    circles
}

/// The files at the end of at least one arrow.
fn reachable(start: usize, next: &BTreeMap<usize, Vec<usize>>) -> BTreeSet<usize> {
    let mut reached = BTreeSet::new();
    let mut open = vec![start];
    while let Some(file) = open.pop() {
        open.extend(next.get(&file).into_iter().flatten().filter(|to| reached.insert(**to)));
    }
    reached
}
