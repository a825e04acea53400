//! Whether the fields of a certificate can all be true.

use super::{
    AttackRecord, Certificate, CertificateError, Counts, CrossCheck, CrossCheckedAttack, Execution, Extent,
    GateRecord,
};
use crate::Manifest;
use crate::digest::{digest_model, is_sha256};

impl Certificate {
    /// Checks that the fields can all be true.
    ///
    /// # Errors
    /// When counts do not add up, a digest is not one, a number is out of its range, or a field says something else than
    /// the fields that it follows from.
    pub fn check(&self) -> Result<(), CertificateError> {
        // One after the other: what follows from counts is computed only where these add up.
        let checks: [fn(&Self) -> Option<String>; 10] = [
            Self::check_counts,
            Self::check_files,
            Self::check_attacks,
            Self::check_digests,
            Self::check_model_files,
            Self::check_ball,
            Self::check_execution,
            Self::check_cross_check,
            Self::check_gate,
            Self::check_what_follows,
        ];
        match checks.into_iter().find_map(|check| check(self)) {
            Some(what) => Err(CertificateError::Contradiction(what)),
            None => Ok(()),
        }
    }

    fn check_counts(&self) -> Option<String> {
        let Counts { images, clean_correct, broken, fragile, still_robust, non_finite, unfinished } =
            self.counts;
        if fragile > broken {
            return Some(format!("{fragile} of {broken} broken images are fragile"));
        }
        if images == 0 {
            return Some("no images".into());
        }
        let sum = |parts: &[usize]| parts.iter().try_fold(0_usize, |sum, part| sum.checked_add(*part));
        // An image that is not finite may have been classified correctly at first, or not.
        let known = sum(&[broken, still_robust, unfinished]);
        let most = sum(&[broken, still_robust, unfinished, non_finite]);
        let fits = known.is_some_and(|known| known <= clean_correct)
            && most.is_some_and(|most| clean_correct <= most)
            && clean_correct <= images
            && non_finite <= images;
        if !fits {
            return Some(format!(
                "{broken} broken, {still_robust} still robust, {unfinished} unfinished and {non_finite} not finite of \
                 {clean_correct} correct of {images} images"
            ));
        }
        if unfinished > 0 && self.extent == Extent::Complete {
            return Some(format!("{unfinished} images are unfinished in a complete evaluation"));
        }
        None
    }

    /// One file for each image.
    fn check_files(&self) -> Option<String> {
        let files = self.data.image_files.as_ref().filter(|files| files.len() != self.counts.images)?;
        Some(format!("{} files of {} images", files.len(), self.counts.images))
    }

    fn check_attacks(&self) -> Option<String> {
        let mut remaining = self.counts.clean_correct;
        for attack in &self.attacks {
            let AttackRecord { name, attacked, broken, non_finite, still_robust, unfinished, .. } = attack;
            let sum = broken.checked_add(*non_finite).and_then(|sum| sum.checked_add(*still_robust));
            if *attacked != remaining || sum != Some(*attacked) || unfinished > still_robust {
                return Some(format!(
                    "{name} attacked {attacked}, broke {broken}, found {non_finite} not finite and left \
                     {still_robust} of {remaining} images"
                ));
            }
            remaining = *still_robust;
        }
        let not_broken = self.counts.still_robust.checked_add(self.counts.unfinished);
        // An attack that met a gradient that is not finite, or broke an image by rounding only, leaves it to the next.
        let fits = not_broken.is_some_and(|not_broken| {
            not_broken <= remaining
                && remaining - not_broken <= self.counts.non_finite.saturating_add(self.counts.fragile)
        });
        (!fits).then(|| format!("the attacks left {remaining} images, which does not match the counts"))
    }

    fn check_cross_check(&self) -> Option<String> {
        let CrossCheck { counterexamples, confirmed, attacks, disagreements, .. } =
            self.cross_check.as_ref()?;
        let sum = |part: fn(&CrossCheckedAttack) -> usize| {
            attacks.iter().map(part).try_fold(0_usize, usize::checked_add)
        };
        let fits = *counterexamples == self.counts.broken
            && confirmed.checked_add(disagreements.len()) == Some(*counterexamples)
            && sum(|attack| attack.counterexamples) == Some(*counterexamples)
            && sum(|attack| attack.confirmed) == Some(*confirmed);
        (!fits).then(|| {
            let (broken, others) = (self.counts.broken, disagreements.len());
            format!("{confirmed} confirmed and {others} disagreements of {counterexamples} of {broken} counterexamples")
        })
    }

    fn check_digests(&self) -> Option<String> {
        let stored = self.counterexamples.as_ref().map(|stored| &stored.digest);
        let digests = [&self.model.model_digest, &self.data.images_digest, &self.data.labels_digest];
        let settings = self.settings.files.iter().map(|file| &file.sha256);
        let files = self.model.files.iter().chain(&self.execution.library);
        let files = files.map(|file| &file.sha256).chain(settings);
        let bad = digests.into_iter().chain(files).chain(stored).find(|digest| !is_sha256(digest))?;
        Some(format!("`{bad}` is not a SHA-256 digest in lowercase hexadecimal"))
    }

    fn check_model_files(&self) -> Option<String> {
        let Manifest { model_digest, files, .. } = &self.model;
        if files.is_empty() {
            return Some("the model has no files".into());
        }
        let names: Vec<&str> = files.iter().skip(1).map(|file| file.name.as_str()).collect();
        if let Some(twice) = names.iter().enumerate().find(|(index, name)| names[..*index].contains(name)) {
            return Some(format!("the model's file `{}` is listed twice", twice.1));
        }
        let found = digest_model(files);
        (found != *model_digest)
            .then(|| format!("model_digest is {model_digest}, but the files of the model give {found}"))
    }

    fn check_ball(&self) -> Option<String> {
        let epsilon = self.threat_model.epsilon;
        self.threat_model.check().is_err().then(|| format!("a radius of {epsilon} in pixels of [0, 1]"))
    }

    /// The verdict, its exit code and the counts say the same.
    fn check_gate(&self) -> Option<String> {
        let GateRecord { conclusion, min_attacked_accuracy, exit_code, .. } = &self.gate;
        let wanted = match conclusion.as_str() {
            "no_requirement" | "holds" => 0,
            "does_not_hold" => 10,
            "inconclusive" => 11,
            other => return Some(format!("there is no conclusion `{other}`")),
        };
        if *exit_code != wanted {
            return Some(format!("the gate is `{conclusion}`, and its exit code {exit_code}"));
        }
        let least = (*min_attacked_accuracy)?;
        let certain = self.counts.still_robust as f64 / self.counts.images as f64;
        let fits = match conclusion.as_str() {
            "holds" => certain >= least,
            "no_requirement" => false,
            _ => true,
        };
        (!fits).then(|| {
            format!(
                "the gate is `{conclusion}`, but {certain} of the images are robust and {least} is required"
            )
        })
    }

    /// Whoever repeats the evaluation allocates by these numbers.
    fn check_execution(&self) -> Option<String> {
        const MOST: usize = 1 << 16;
        let Execution { batch, workers, threads, .. } = self.execution;
        let numbers = [("batch", batch), ("workers", workers), ("threads", threads)];
        let (name, value) = numbers.into_iter().find(|(_, value)| !(1..=MOST).contains(value))?;
        Some(format!("{name} is {value}, must be 1 to {MOST}"))
    }
}
