//! The table in Markdown, and the figure.

use crate::config::PaperResult;
use crate::plot::{Bar, BarGroup, Bars, PlotError};
use crate::report::{Column, Method, Spread, Summary};

impl Summary {
    /// One row for each method: mean ± standard deviation over its seeds, in percent, and the paper's numbers.
    pub fn markdown(&self) -> String {
        let with_paper = self.methods.iter().any(|method| !method.paper.is_empty());
        let mut head = vec!["method".to_owned()];
        head.extend(self.columns.iter().map(Column::title));
        head.push("seeds".to_owned());
        if with_paper {
            head.push("the paper".to_owned());
        }
        let mut lines = vec![row(&head), row(&vec!["---".to_owned(); head.len()])];
        for method in &self.methods {
            let mut cells = vec![method.name.clone()];
            cells.extend(self.columns.iter().map(|column| cell(method.accuracies.get(column))));
            cells.push(method.seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", "));
            if with_paper {
                cells.push(paper(&method.paper));
            }
            lines.push(row(&cells));
        }
        lines.join("\n") + "\n"
    }

    /// The same as bars, with a mark where the paper has a number for a column.
    ///
    /// # Errors
    /// The drawing library.
    pub fn svg(&self, title: &str) -> Result<String, PlotError> {
        let groups = self.methods.iter().map(|method| self.group(method)).collect();
        let bars = Bars {
            title: title.to_owned(),
            description: format!("Accuracy of {} methods in percent.", self.methods.len()),
            y_label: "accuracy, %".to_owned(),
            kinds: self.columns.iter().map(Column::title).collect(),
            groups,
        };
        bars.svg()
    }

    fn group(&self, method: &Method) -> BarGroup {
        let bar = |column: &Column| {
            let found = method.accuracies.get(column)?;
            Some(Bar {
                value: 100.0 * found.mean,
                spread: found.deviation.map(|deviation| 100.0 * deviation),
                mark: column.in_paper(&method.paper),
            })
        };
        BarGroup { name: method.name.clone(), bars: self.columns.iter().map(bar).collect() }
    }
}

impl Column {
    fn title(&self) -> String {
        match self {
            Self::Clean => "clean".to_owned(),
            Self::Attacked(attack) => attack.clone(),
        }
    }

    /// The paper's number for this column; attacks are compared without their radius, which is that of the experiment.
    fn in_paper(&self, paper: &[PaperResult]) -> Option<f64> {
        paper.iter().find_map(|result| match self {
            Self::Clean => result.natural,
            Self::Attacked(name) => {
                let same = result.attack.as_deref() == name.split(" at ").next();
                result.attacked.filter(|_| same)
            }
        })
    }
}

fn row(cells: &[String]) -> String {
    format!("| {} |", cells.join(" | "))
}

fn cell(found: Option<&Spread>) -> String {
    match found {
        None => "–".to_owned(),
        Some(Spread { mean, deviation: None }) => format!("{:.2} %", 100.0 * mean),
        Some(Spread { mean, deviation: Some(deviation) }) => {
            format!("{:.2} ± {:.2} %", 100.0 * mean, 100.0 * deviation)
        }
    }
}

fn paper(results: &[PaperResult]) -> String {
    if results.is_empty() {
        return "–".to_owned();
    }
    let text = |result: &PaperResult| {
        let natural = result.natural.map(|natural| format!("clean {natural:.2}"));
        let attacked = result.attacked.zip(result.attack.as_ref());
        let attacked = attacked.map(|(attacked, attack)| format!("{attack} {attacked:.2}"));
        let numbers: Vec<String> = natural.into_iter().chain(attacked).collect();
        format!("{} ({})", numbers.join(", "), result.source)
    };
    results.iter().map(text).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::super::summary::tests::run;
    use super::*;

    #[test]
    fn a_table_has_a_row_for_each_method_and_the_papers_numbers() {
        let mut mimir = run("MIMIR", 0, 0.5, 0.4);
        mimir.paper = vec![PaperResult {
            source: "table 5".into(),
            natural: Some(76.3),
            attacked: Some(47.6),
            attack: Some("PGD-10".into()),
        }];
        let mut again = mimir.clone();
        (again.seed, again.clean) = (1, 0.52);
        let mut scratch = run("random", 0, 0.25, 0.2);
        scratch.attacked.clear();
        let summary = Summary::new(&[mimir, again, scratch], &[]);
        assert_eq!(
            summary.markdown(),
            "| method | clean | PGD-10 at 2/255 | seeds | the paper |\n\
             | --- | --- | --- | --- | --- |\n\
             | MIMIR | 51.00 ± 1.41 % | 40.00 ± 0.00 % | 0, 1 | clean 76.30, PGD-10 47.60 (table 5) |\n\
             | random | 25.00 % | – | 0 | – |\n"
        );
        let group = summary.group(&summary.methods[0]);
        let marks: Vec<_> = group.bars.iter().map(|bar| bar.as_ref().unwrap().mark).collect();
        assert_eq!(marks, [Some(76.3), Some(47.6)]);
        let svg = summary.svg("Two methods").unwrap();
        assert!(svg.starts_with("<svg ") && svg.contains("MIMIR") && svg.contains("random"), "{svg}");
    }

    #[test]
    fn without_the_paper_there_is_no_column_for_it() {
        let table = Summary::new(&[run("a", 0, 0.5, 0.4)], &[]).markdown();
        assert!(table.starts_with("| method | clean | PGD-10 at 2/255 | seeds |\n"), "{table}");
    }
}
