//! Fields of a certificate that follow from others: they are computed again and compared, so that nobody who reads one
//! of them alone is told something else than the numbers say.

use super::{APPROXIMATE_SEARCH, AcceptedDifference, Certificate, CrossCheck, Extent, GateRecord, STATEMENT};
use crate::attack::Preset;
use crate::share::{fraction, percent, percent_in_full};
use crate::{AttackSpec, PixelType, Pixels};

impl Certificate {
    /// The first field that says something else than those it follows from.
    pub(super) fn check_what_follows(&self) -> Option<String> {
        let checks: [fn(&Self) -> Option<String>; 13] = [
            Self::check_statement,
            Self::check_time,
            Self::check_names,
            Self::check_preset,
            Self::check_standard,
            Self::check_extent,
            Self::check_selection,
            Self::check_pixels,
            Self::check_other_engine,
            Self::check_accepted,
            Self::check_counterexamples,
            Self::check_sentence,
            Self::check_settings,
        ];
        checks.into_iter().find_map(|check| check(self))
    }

    /// The attacks with all their parameters, in their order.
    pub fn attack_specs(&self) -> Vec<AttackSpec> {
        self.attacks.iter().map(|attack| attack.parameters.clone()).collect()
    }

    fn check_statement(&self) -> Option<String> {
        (self.statement != STATEMENT).then(|| "statement is not what certificates mean".into())
    }

    fn check_time(&self) -> Option<String> {
        let wrong = humantime::parse_rfc3339(&self.created_at).err()?;
        let found = self.created_at.escape_debug();
        Some(format!("created_at is `{found}`, wanted a time such as 2026-11-30T00:00:00Z ({wrong})"))
    }

    /// What an attack is called, and what it can have done.
    fn check_names(&self) -> Option<String> {
        self.attacks.iter().find_map(|attack| {
            let name = attack.parameters.name();
            if attack.name != name {
                let found = attack.name.escape_debug();
                return Some(format!(
                    "an attack is called `{found}`, but its parameters are those of {name}"
                ));
            }
            if let Err(invalid) = attack.parameters.check() {
                return Some(invalid.to_string());
            }
            // Transfer takes the gradients of its surrogate.
            let may_have_gradients = matches!(attack.parameters, AttackSpec::Transfer(_));
            let is_without = attack.parameters.needs_no_gradient() && !may_have_gradients;
            let impossible = is_without && attack.backwards > 0;
            impossible.then(|| format!("{name} asks for no gradient, but took {}", attack.backwards))
        })
    }

    fn check_preset(&self) -> Option<String> {
        let found = Preset::of_run(&self.attack_specs(), self.threat_model.norm).map(Preset::name);
        let recorded = self.preset.as_deref();
        let word =
            |preset: Option<&str>| preset.map_or_else(|| "none".to_owned(), |name| format!("`{name}`"));
        (recorded != found).then(|| {
            let (recorded, found) = (word(recorded), word(found));
            format!("preset is {}, but the attacks are those of {found}", recorded.escape_debug())
        })
    }

    /// Images that the standard evaluation left: those after its last attack, less those that rounding alone broke.
    fn check_standard(&self) -> Option<String> {
        let length = Preset::standard_length(&self.attack_specs(), self.threat_model.norm);
        let left =
            length.and_then(|length| self.attacks.get(length.checked_sub(1)?)).map(|last| last.still_robust);
        let fits = match (self.standard_still_robust, left) {
            (None, None) => true,
            (Some(recorded), Some(left)) => recorded <= left && left - recorded <= self.counts.fragile,
            _ => false,
        };
        let shown = |count: Option<usize>| count.map_or_else(|| "none".to_owned(), |count| count.to_string());
        (!fits).then(|| {
            let (recorded, left) = (shown(self.standard_still_robust), shown(left));
            format!("standard_still_robust is {recorded}, but the standard attacks, with others after them, left {left}")
        })
    }

    fn check_extent(&self) -> Option<String> {
        let unfinished = self.attacks.iter().find(|attack| attack.unfinished > 0)?;
        (self.extent == Extent::Complete).then(|| {
            let (name, count) = (&unfinished.name, unfinished.unfinished);
            format!("{name} was not done with {count} images of a complete evaluation")
        })
    }

    /// A part of a set has no more images than were taken.
    fn check_selection(&self) -> Option<String> {
        let images = self.counts.images;
        let sample = self.data.sample.as_ref().map(|sample| ("a sample of", sample.count));
        let parts = [self.data.first.map(|first| ("the first", first)), sample];
        let (word, count) = parts.into_iter().flatten().find(|(_, count)| images > *count)?;
        Some(format!("{images} images of {word} {count}"))
    }

    fn check_pixels(&self) -> Option<String> {
        let fits = self.model.pixel_type == PixelType::Float || self.threat_model.pixels == Pixels::EightBit;
        (!fits).then(|| "the model takes levels, but the perturbations are of any pixel values".into())
    }

    fn check_other_engine(&self) -> Option<String> {
        let CrossCheck { engine, attacks, disagreements, .. } = self.cross_check.as_ref()?;
        if *engine == self.execution.engine {
            return Some(format!("{engine} was checked against itself"));
        }
        let broken =
            |name: &str| self.attacks.iter().find(|attack| attack.name == name).map(|attack| attack.broken);
        if let Some(attack) = attacks.iter().find(|attack| {
            attack.confirmed > attack.counterexamples
                || broken(&attack.name).is_none_or(|most| attack.counterexamples > most)
        }) {
            let (name, count) = (attack.name.escape_debug(), attack.counterexamples);
            return Some(format!("{count} counterexamples of {name} were checked, more than it found"));
        }
        let foreign = disagreements
            .iter()
            .find(|one| one.image >= self.counts.images || broken(&one.attack).is_none())?;
        Some(format!("image {} has a counterexample that no attack found", foreign.image))
    }

    /// Differences that were accepted are differences, and a warning says so.
    fn check_accepted(&self) -> Option<String> {
        let is_one = |found: &&AcceptedDifference| {
            let AcceptedDifference { difference, explained, differing, compared, .. } = found;
            (0.0..*difference).contains(explained)
                && difference.is_finite()
                && (1..=*compared).contains(differing)
        };
        if let Some(wrong) = self.accepted_differences.iter().find(|found| !is_one(found)) {
            let AcceptedDifference { graph, difference, explained, differing, compared, .. } = wrong;
            return Some(format!(
                "accepted_differences has a difference of {difference} in {differing} of {compared} comparisons of \
                 `{}`, of which {explained} are explained",
                graph.escape_debug()
            ));
        }
        let is_warned = self.warnings.iter().any(|warning| warning.kind == APPROXIMATE_SEARCH);
        let count = self.accepted_differences.len();
        (is_warned != (count > 0)).then(|| {
            let word = if is_warned { "a" } else { "no" };
            format!(
                "accepted_differences has {count} entries, and there is {word} warning `{APPROXIMATE_SEARCH}`"
            )
        })
    }

    fn check_counterexamples(&self) -> Option<String> {
        let file = &self.counterexamples.as_ref()?.file;
        let is_plain = !file.is_empty() && !file.contains(['/', '\\']) && !file.starts_with('.');
        (!is_plain)
            .then(|| format!("`{}` is not the name of a file beside the certificate", file.escape_debug()))
    }

    /// The words and the numbers of the verdict, as far as they are in the certificate.
    fn check_sentence(&self) -> Option<String> {
        let GateRecord { conclusion, sentence, min_attacked_accuracy, .. } = &self.gate;
        let word = match conclusion.as_str() {
            "no_requirement" => "DONE  ",
            "holds" => "PASS  ",
            "does_not_hold" => "FAIL  ",
            _ => "INCONCLUSIVE  ",
        };
        if !sentence.starts_with(word) {
            let word = word.trim_end();
            return Some(format!("the gate is `{conclusion}`, but its sentence does not begin with {word}"));
        }
        let share = |count| fraction(count, self.counts.images);
        let attacked = [share(self.counts.not_broken()), share(self.counts.still_robust)];
        let found = said(sentence, "clean accuracy ", &[share(self.counts.clean_correct)]);
        let found = found.or_else(|| said(sentence, "attacked accuracy ", &attacked));
        let is_attacked = sentence.contains("attacked accuracy ") && sentence.contains("required ");
        found.or_else(|| said(sentence, "required ", &[(*min_attacked_accuracy)?]).filter(|_| is_attacked))
    }
}

/// What is wrong with the percentage that follows these words in a sentence, if it is none of those.
fn said(sentence: &str, words: &str, shares: &[f64]) -> Option<String> {
    let rest = sentence.split_once(words)?.1;
    let rest = ["at most ", "at least "].iter().find_map(|limit| rest.strip_prefix(limit)).unwrap_or(rest);
    // What is required is written in full; once it was rounded as the rest.
    let wanted: Vec<String> =
        shares.iter().flat_map(|share| [percent_in_full(*share), percent(*share)]).collect();
    let is_said = wanted.iter().any(|wanted| rest.starts_with(wanted.as_str()));
    (!is_said).then(|| {
        let words = words.trim_end();
        format!("the sentence of the gate says another {words} than {}, which the counts give", wanted[0])
    })
}
