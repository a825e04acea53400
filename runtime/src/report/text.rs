//! The report as text: the verdict first, then the numbers, then what they mean.

use std::fmt;

use mimir_bundle::attack::SurrogateModel;
use mimir_bundle::certificate::{CrossCheck, CrossCheckedAttack, Execution, SettingsFile};

use super::document::{AttackSummary, ModelSummary, Report};
use super::format::{percent, wrapped};
use super::{RuleAnswer, RuleCounts, RuleVerdict};
use crate::evaluate::Ending;

/// Letters before the numbers.
const LABEL: usize = 18;

/// What an attacked accuracy means.
pub const MEANING: &str = "The attacked accuracy is an upper bound of the robust accuracy on these images: each \
    broken image has a confirmed counterexample, but an image that these attacks left alone may fall to another. \
    It is never a proof of robustness. The interval speaks about the population that the images are a random \
    sample of.";

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.gate)?;
        self.fmt_subject(f)?;
        self.fmt_numbers(f)?;
        writeln!(f, "\n{}", wrapped(&self.meaning, ""))?;
        for notice in &self.warnings {
            writeln!(f, "\nwarning: {}", wrapped(&notice.message, "         ").trim_start())?;
        }
        self.fmt_diagnosis(f)
    }
}

impl Report {
    fn fmt_subject(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "model              {}", model_line(&self.model))?;
        let split = self.data.split.as_deref().map_or_else(String::new, |split| format!(", {split} split"));
        writeln!(f, "images             {} of {}{split}", self.images, self.data.source)?;
        if let Some(preprocessing) = &self.data.preprocessing {
            writeln!(f, "                   {preprocessing}")?;
        }
        writeln!(f, "threat model       {}", self.threat_model)?;
        for surrogate in self.attacks.iter().filter_map(|attack| attack.parameters.surrogate()) {
            let SurrogateModel { file, model_digest, .. } = surrogate;
            let digest = model_digest.get(..12).unwrap_or(model_digest);
            writeln!(f, "surrogate          {file} (model_digest {digest}…), asked by transfer")?;
        }
        for (index, file) in self.settings_files.iter().enumerate() {
            let word = if index == 0 { "settings" } else { "" };
            writeln!(f, "{word:<18} {}", settings_line(file))?;
        }
        let Execution { engine, engine_version, device, .. } = &self.execution;
        writeln!(f, "engine             {engine} {engine_version} on {device}")
    }

    fn fmt_numbers(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (counts, interval) = (&self.counts, &self.attacked_accuracy_interval);
        let accuracy = percent(self.clean_accuracy);
        writeln!(f, "clean accuracy     {accuracy:<8} {} of {}", counts.clean_correct, counts.images)?;
        for attack in &self.attacks {
            fmt_attack(attack, f)?;
        }
        if let Some(standard) = self.standard_accuracy {
            let accuracy = percent(standard);
            writeln!(
                f,
                "standard accuracy  {accuracy:<8} after the standard attacks, as published numbers are"
            )?;
        }
        let accuracy = percent(self.attacked_accuracy);
        writeln!(f, "attacked accuracy  {accuracy:<8} {} of {}", counts.not_broken(), counts.images)?;
        writeln!(
            f,
            "                            {:.0} % interval {} to {} (Clopper–Pearson)",
            100.0 * interval.confidence,
            percent(interval.lower),
            percent(interval.upper),
        )?;
        if counts.fragile > 0 {
            writeln!(f, "  of the broken    {} by rounding only (fragile)", counts.fragile)?;
        }
        self.fmt_ending(f)?;
        self.fmt_cross_check(f)?;
        self.fmt_curve(f)
    }

    /// How many rules have which answer, and what those say that no warning says.
    fn fmt_diagnosis(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.diagnosis.is_empty() {
            return Ok(());
        }
        writeln!(f, "\ndiagnosis          {}", RuleCounts::of(&self.diagnosis))?;
        let is_said = |answer: &&RuleAnswer| {
            let said = self.warnings.iter().map(|notice| notice.warning.kind());
            said.into_iter().any(|kind| answer.warnings.contains(&kind))
        };
        let is_odd = |answer: &&RuleAnswer| matches!(answer.verdict, RuleVerdict::Warn | RuleVerdict::Fail);
        for answer in self.diagnosis.iter().filter(is_odd).filter(|answer| !is_said(answer)) {
            let way_out = answer.way_out.as_ref().map_or_else(String::new, |way_out| format!("; {way_out}"));
            let line = format!("{} {}: {}{way_out}", answer.verdict, answer.id(), answer.found);
            writeln!(f, "{}", wrapped(&line, "  "))?;
        }
        Ok(())
    }

    fn fmt_ending(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unfinished = self.counts.unfinished;
        match self.ending {
            Ending::Complete => Ok(()),
            Ending::GateDecided => writeln!(
                f,
                "stopped early      the answer is certain: {unfinished} images are unfinished (--full attacks them \
                 too)"
            ),
            Ending::Interrupted => writeln!(
                f,
                "PARTIAL            interrupted: {unfinished} images are unfinished (a run with --report continues with --resume)"
            ),
        }
    }

    fn fmt_cross_check(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(CrossCheck { engine, engine_version, counterexamples, confirmed, attacks, .. }) =
            &self.cross_check
        else {
            return Ok(());
        };
        writeln!(
            f,
            "cross-check        {engine} {engine_version} confirms {confirmed} of {counterexamples} counterexamples"
        )?;
        for attack in attacks {
            let CrossCheckedAttack { name, counterexamples, confirmed } = attack;
            writeln!(f, "  of {name:<13} {confirmed} of {counterexamples}")?;
        }
        Ok(())
    }

    /// The curve at every fourth point, in units of the radius.
    fn fmt_curve(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(curve) = &self.curve else { return Ok(()) };
        let radius = self.threat_model.epsilon;
        let points = curve
            .iter()
            .step_by(4)
            .map(|point| format!("{:.2}: {}", point.epsilon / radius, percent(point.attacked_accuracy)));
        let points: Vec<String> = points.collect();
        writeln!(f, "curve              attacked accuracy at multiples of epsilon")?;
        for line in points.chunks(5) {
            writeln!(f, "                   {}", line.join("   "))?;
        }
        Ok(())
    }
}

/// A settings file, and what it decided: `mimir-certify.toml (sha256 0123456789ab…): epsilon, norm`.
pub fn settings_line(file: &SettingsFile) -> String {
    let SettingsFile { path, sha256, keys, .. } = file;
    let digest = sha256.get(..12).unwrap_or(sha256);
    let keys = if keys.is_empty() { "nothing".to_owned() } else { keys.join(", ") };
    format!("{path} (sha256 {digest}…): {keys}")
}

/// The file with the beginning of what `sha256sum` prints for it, and how many files belong to it.
fn model_line(model: &ModelSummary) -> String {
    let files = &model.manifest.files;
    let digest = model.sha256();
    let digest = digest.get(..12).unwrap_or(digest);
    match files.len().saturating_sub(1) {
        0 => format!("{} (sha256 {digest}…)", model.file),
        1 => format!("{} (sha256 {digest}…) and 1 data file", model.file),
        more => format!("{} (sha256 {digest}…) and {more} data files", model.file),
    }
}

fn fmt_attack(attack: &AttackSummary, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let unfinished = match attack.unfinished {
        0 => String::new(),
        unfinished => format!(", {unfinished} unfinished"),
    };
    let label = format!("  after {:<10}", attack.name);
    // The longest names take a letter of the indent, so that the numbers stay in line.
    let label = if label.len() > LABEL { &label[1..] } else { &label };
    writeln!(
        f,
        "{label} {:<8} broke {} of {} in {:.1} s ({} forwards, {} backwards{unfinished})",
        percent(attack.robust_accuracy),
        attack.broken,
        attack.attacked,
        attack.seconds,
        attack.forwards,
        attack.backwards,
    )
}
