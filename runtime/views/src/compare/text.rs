//! The comparison as text: the answer first, then the numbers, then the images.

use std::fmt;

use mimir_bundle::statistics::percent_in_full;
use mimir_runtime::report::{Comparison as Compared, Conclusion, percent};

use super::change::{Change, Direction, Fate};
use super::document::{Comparison, Paired, Side};

/// Images that are named at most; `--format json` has all.
const NAMED: usize = 20;

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.answer())?;
        for (word, side) in [("old", &self.old), ("new", &self.new)] {
            let Side { file, model, created_at, .. } = side;
            writeln!(f, "{word:<18} {model} (sha256 {}…), {created_at}, {file}", digest(side))?;
        }
        writeln!(f, "images             {}", self.images)?;
        writeln!(f, "threat model       {}", self.threat_model)?;
        writeln!(
            f,
            "\n{:<18} {:>9} {:>9} {:>10}  {:<20} {:>5} {:>6} {:>9}",
            "", "old", "new", "change", "95 % interval", "worse", "better", "p"
        )?;
        fmt_row("clean accuracy", &self.clean, f)?;
        for attack in &self.attacks {
            fmt_row(&format!("  after {}", attack.name), &attack.robust, f)?;
        }
        fmt_row("attacked accuracy", &self.attacked, f)?;
        writeln!(f, "\n{MEANING}")?;
        for note in self.notes() {
            writeln!(f, "\n{note}")?;
        }
        self.fmt_changes(f)
    }
}

/// What the columns mean.
pub(super) const MEANING: &str = "worse, better: images that lost or gained it. p: McNemar's exact test, two-sided. The interval is Newcombe's\n\
    for paired data (1998, method 10), of the population that the images are a random sample of.";

impl Comparison {
    /// The answer in one line.
    pub(super) fn answer(&self) -> String {
        let found = format!(
            "attacked accuracy {} → {} ({}), clean accuracy {} → {} ({})",
            percent(self.attacked.old),
            percent(self.attacked.new),
            points(self.attacked.difference),
            percent(self.clean.old),
            percent(self.clean.new),
            points(self.clean.difference),
        );
        let tolerated =
            self.gate.max_regression.map(|most| format!("at most {} may be lost", percent_in_full(most)));
        let tolerated = tolerated.unwrap_or_default();
        match self.gate.conclusion {
            Conclusion::NoRequirement | Conclusion::Open => format!("DONE  {found}, no limit was set"),
            Conclusion::Holds => format!("PASS  {found}; {tolerated}"),
            Conclusion::DoesNotHold => format!("FAIL  {found}; {tolerated}"),
            Conclusion::Inconclusive => {
                format!("INCONCLUSIVE  {found}; {tolerated}, and the interval reaches further down")
            }
        }
    }

    /// What a reader must know beside the numbers.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.same_model {
            notes.push(
                "Both reports are of one model: what changed is due to normalisation, attacks, seed, engine or processor."
                    .to_owned(),
            );
        }
        if !self.same_attacks {
            notes.push(format!(
                "The attacks differ ({} → {}): a difference may be one of the attacks, not of the models.",
                self.old.attacks.join(", "),
                self.new.attacks.join(", ")
            ));
        }
        if self.broken_by_another_attack > 0 {
            notes.push(format!(
                "{} images are broken in both, by another attack.",
                self.broken_by_another_attack
            ));
        }
        if self.gate.compared == Compared::LowerLimit {
            notes.push("The lower end of each interval was held against the limit too.".to_owned());
        }
        notes
    }

    fn fmt_changes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.classes.is_empty() {
            writeln!(f, "\nclasses            images  worse  better")?;
        }
        for class in self.classes.iter().take(NAMED) {
            let name = class.class.clone().unwrap_or_else(|| class.label.to_string());
            writeln!(f, "  {name:<16} {:>6} {:>6} {:>7}", class.images, class.worse, class.better)?;
        }
        if self.classes.len() > NAMED {
            writeln!(f, "  and {} more (--format json has all)", self.classes.len() - NAMED)?;
        }
        for (direction, word) in [(Direction::Worse, "worse"), (Direction::Better, "better")] {
            let changes: Vec<&Change> =
                self.changes.iter().filter(|change| change.direction == direction).collect();
            if !changes.is_empty() {
                writeln!(f, "\n{word}: {}", images(changes.len()))?;
            }
            for change in changes.iter().take(NAMED) {
                writeln!(f, "  {}", change_line(change))?;
            }
            if changes.len() > NAMED {
                writeln!(f, "  and {} more (--format json has all)", changes.len() - NAMED)?;
            }
        }
        Ok(())
    }
}

fn fmt_row(word: &str, paired: &Paired, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Paired { old, new, worse, better, difference, interval, p_value } = paired;
    let interval = format!("{} to {}", points(interval.lower), points(interval.upper));
    writeln!(
        f,
        "{word:<18} {:>9} {:>9} {:>10}  {interval:<20} {worse:>5} {better:>6} {:>9}",
        percent(*old),
        percent(*new),
        points(*difference),
        p(*p_value),
    )
}

fn change_line(change: &Change) -> String {
    let Change { image, file, label, class, old, new, .. } = change;
    let class = class.clone().unwrap_or_else(|| label.to_string());
    let file = file.as_ref().map_or_else(String::new, |file| format!(" {file}"));
    format!("image {image}{file} ({class}): {} → {}", fate(old), fate(new))
}

/// `broken by apgd-ce as cat`.
pub(super) fn fate(fate: &Fate) -> String {
    let Fate { outcome, attack, prediction, predicted } = fate;
    let attack = attack.as_ref().map_or_else(String::new, |attack| format!(" by {attack}"));
    let class = predicted.clone().or_else(|| prediction.map(|class| class.to_string()));
    let class = class.filter(|_| *outcome != super::change::Outcome::Robust);
    let class = class.map_or_else(String::new, |class| format!(" as {class}"));
    format!("{}{attack}{class}", outcome.word())
}

/// `1 image`, `2 images`.
pub(super) fn images(count: usize) -> String {
    format!("{count} image{}", if count == 1 { "" } else { "s" })
}

/// The first digits of what `sha256sum` prints.
fn digest(side: &Side) -> &str {
    side.model_sha256.get(..12).unwrap_or(&side.model_sha256)
}

/// A difference in percentage points: `-2.00`, `+0.40`.
pub(super) fn points(difference: f64) -> String {
    match number(difference.abs()).as_str() {
        zero @ "0.00" => format!("±{zero}"),
        some => format!("{}{some}", if difference < 0.0 { "−" } else { "+" }),
    }
}

fn number(fraction: f64) -> String {
    format!("{:.2}", 100.0 * fraction)
}

/// A p-value with two digits that count.
pub(super) fn p(value: f64) -> String {
    if value >= 0.001 { format!("{value:.3}") } else { format!("{value:.1e}") }
}
