//! Means and spreads over the seeds of each method.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::PaperResult;
use crate::report::RunResult;

/// Mean and spread of a number over seeds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The mean.
    pub mean: f64,
    /// The sample standard deviation; `None` for a single value.
    pub deviation: Option<f64>,
}

impl Spread {
    /// Of one value or more.
    fn of(values: &[f64]) -> Self {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let deviation = (values.len() > 1).then(|| (squares / (count - 1.0)).sqrt());
        Self { mean, deviation }
    }
}

/// What a column of the table shows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Column {
    /// Accuracy on clean images.
    Clean,
    /// Accuracy under the attack of that name.
    Attacked(String),
}

/// One method.
#[derive(Debug, Clone, PartialEq)]
pub struct Method {
    /// Its name.
    pub name: String,
    /// Its seeds, in rising order.
    pub seeds: Vec<u64>,
    /// Shares, 0 to 1.
    pub accuracies: BTreeMap<Column, Spread>,
    /// What the paper reached.
    pub paper: Vec<PaperResult>,
}

/// All methods.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// The columns that at least one method has: clean accuracy, then attacks by name.
    pub columns: Vec<Column>,
    /// In the order asked for, then by name.
    pub methods: Vec<Method>,
}

impl Summary {
    /// Of runs; methods named in `order` come first, in that order.
    pub fn new(runs: &[RunResult], order: &[String]) -> Self {
        let mut by_method: BTreeMap<&str, Vec<&RunResult>> = BTreeMap::new();
        for run in runs {
            by_method.entry(&run.method).or_default().push(run);
        }
        let mut methods: Vec<Method> =
            by_method.into_iter().map(|(name, runs)| method(name, &runs)).collect();
        let place = |name: &String| order.iter().position(|other| other == name).unwrap_or(order.len());
        methods.sort_by_key(|method| place(&method.name));
        let columns: BTreeSet<Column> =
            methods.iter().flat_map(|method| method.accuracies.keys().cloned()).collect();
        Self { columns: columns.into_iter().collect(), methods }
    }
}

fn method(name: &str, runs: &[&RunResult]) -> Method {
    let mut values: BTreeMap<Column, Vec<f64>> = BTreeMap::new();
    for run in runs {
        values.entry(Column::Clean).or_default().push(run.clean);
        for (attack, accuracy) in &run.attacked {
            values.entry(Column::Attacked(attack.clone())).or_default().push(*accuracy);
        }
    }
    let accuracies = values.into_iter().map(|(column, values)| (column, Spread::of(&values))).collect();
    let mut seeds: Vec<u64> = runs.iter().map(|run| run.seed).collect();
    seeds.sort_unstable();
    let paper = runs.first().map(|run| run.paper.clone()).unwrap_or_default();
    Method { name: name.to_owned(), seeds, accuracies, paper }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn run(method: &str, seed: u64, clean: f64, pgd: f64) -> RunResult {
        let attacked = BTreeMap::from([("PGD-10 at 2/255".to_owned(), pgd)]);
        RunResult { method: method.to_owned(), seed, clean, attacked, paper: Vec::new() }
    }

    #[test]
    fn means_and_deviations_are_over_seeds() {
        let runs = [run("b", 1, 0.5, 0.3), run("b", 0, 0.4, 0.1), run("a", 7, 0.9, 0.8)];
        let summary = Summary::new(&runs, &["b".to_owned()]);
        let [b, a] = &summary.methods[..] else { panic!("{summary:?}") };
        assert_eq!((b.name.as_str(), &b.seeds), ("b", &vec![0, 1]));
        let clean = b.accuracies[&Column::Clean];
        // Two values 0.1 apart: a standard deviation of 0.1/√2.
        assert!((clean.mean - 0.45).abs() < 1e-12);
        assert!((clean.deviation.unwrap() - 0.1 / 2f64.sqrt()).abs() < 1e-12);
        assert_eq!(a.accuracies[&Column::Clean], Spread { mean: 0.9, deviation: None });
        assert_eq!(summary.columns, [Column::Clean, Column::Attacked("PGD-10 at 2/255".into())]);
    }
}
