//! The comparison as a page of Markdown, for the summaries of pipelines.

use mimir_bundle::markdown;
use mimir_runtime::report::percent;

use super::change::{Change, Direction};
use super::document::{Comparison, Paired, Side};
use super::text::{MEANING, fate, images, p, points};

/// Images that are listed at most: summaries have a limit of bytes.
const LISTED: usize = 50;

impl Comparison {
    /// The comparison in Markdown (GitHub's tables). Text of the reports means only itself.
    pub fn markdown(&self) -> String {
        let mut out = format!("## {}\n\n", markdown(&self.answer()));
        out += &format!("{} images, {}.\n\n", self.images, markdown(&self.threat_model.to_string()));
        for (word, side) in [("Old", &self.old), ("New", &self.new)] {
            let Side { file, model, model_sha256, created_at, .. } = side;
            let [model, digest, created_at, file] =
                [model, model_sha256, created_at, file].map(|text| markdown(text));
            out += &format!("- {word}: {model}, SHA-256 {digest}, {created_at}, {file}\n");
        }
        out += "\n| | old | new | change | 95 % interval | worse | better | p |\n| --- | --: | --: | --: | --- | --: | --: | --: |\n";
        out += &row("clean accuracy", &self.clean);
        for attack in &self.attacks {
            out += &row(&format!("after {}", markdown(&attack.name)), &attack.robust);
        }
        out += &row("**attacked accuracy**", &self.attacked);
        out += &format!("\n{}\n", MEANING.replace('\n', " "));
        for note in self.notes() {
            out += &format!("\n{}\n", markdown(&note));
        }
        for (direction, word) in [(Direction::Worse, "worse"), (Direction::Better, "better")] {
            out += &self.list(direction, word);
        }
        out
    }

    fn list(&self, direction: Direction, word: &str) -> String {
        let changes: Vec<&Change> =
            self.changes.iter().filter(|change| change.direction == direction).collect();
        if changes.is_empty() {
            return String::new();
        }
        let mut out = format!(
            "\n<details><summary>{} became {word}</summary>\n\n| image | class | old | new |\n| --- | --- | --- | --- |\n",
            images(changes.len())
        );
        for change in changes.iter().take(LISTED) {
            let Change { image, file, label, class, old, new, .. } = change;
            let class = class.clone().unwrap_or_else(|| label.to_string());
            let file = file.as_ref().map_or_else(String::new, |file| format!(" {}", markdown(file)));
            let [class, old, new] = [class, fate(old), fate(new)].map(|text| markdown(&text));
            out += &format!("| {image}{file} | {class} | {old} | {new} |\n");
        }
        if changes.len() > LISTED {
            out += &format!("\n{} more: `--format json` has all.\n", changes.len() - LISTED);
        }
        out + "\n</details>\n"
    }
}

fn row(word: &str, paired: &Paired) -> String {
    let Paired { old, new, worse, better, difference, interval, p_value } = paired;
    format!(
        "| {word} | {} | {} | {} | {} to {} | {worse} | {better} | {} |\n",
        percent(*old),
        percent(*new),
        points(*difference),
        points(interval.lower),
        points(interval.upper),
        p(*p_value),
    )
}
