//! Whether a report that may come from anyone contradicts itself.

use super::consistency::{Checked, check_outcomes, check_totals, contradiction};
use super::document::Report;
use crate::evaluate::{ImageOutcome, Verdict};

impl Report {
    /// Checks that the numbers of the report follow from its outcomes, and that its outcomes name what there is.
    ///
    /// # Errors
    /// Says which fields disagree.
    pub fn check(&self) -> Checked {
        let Self { images, outcomes, counts, data, model, threat_model, .. } = self;
        check_outcomes(*images, outcomes)?;
        check_totals(outcomes, counts, self.clean_accuracy, self.attacked_accuracy)?;
        threat_model.check().or_else(|error| contradiction(error.to_string()))?;
        let files = data.image_files.as_ref().map_or(*images, Vec::len);
        if files != *images {
            return contradiction(format!("{files} names of files for {images} images"));
        }
        let classes = model.manifest.classes;
        let foreign = |outcome: &&ImageOutcome| classes_of(outcome).any(|class| class >= classes);
        match outcomes.iter().find(foreign) {
            Some(outcome) => {
                contradiction(format!("image {} has a class beyond the model's {classes}", outcome.image))
            }
            None => Ok(()),
        }
    }
}

/// Every class that an outcome names.
fn classes_of(outcome: &ImageOutcome) -> impl Iterator<Item = usize> {
    let found = match outcome.verdict {
        Verdict::Broken { prediction, .. } => Some(prediction),
        _ => None,
    };
    std::iter::once(outcome.label).chain(outcome.clean_prediction).chain(found)
}

#[cfg(test)]
mod tests {
    use super::super::Findings;
    use super::super::tests::{description, evaluation};
    use super::*;

    fn report() -> Report {
        Findings::new(&description(), &evaluation()).report()
    }

    #[test]
    fn what_a_report_says_must_follow_from_its_outcomes() {
        report().check().unwrap();
        type Change = fn(&mut Report);
        let cases: [(Change, &str); 7] = [
            (|report| report.images = 5, "4 outcomes of 5 images"),
            (|report| report.counts.broken = 2, "its counts are {"),
            (
                |report| report.attacked_accuracy = 0.9,
                "attacked_accuracy is 0.9, its outcomes give 2 of 4 images",
            ),
            (|report| report.outcomes[0].label = 10, "image 0 has a class beyond the model's 10"),
            (|report| report.outcomes[0].clean_prediction = Some(10), "image 0 has a class beyond"),
            (|report| report.data.image_files = Some(vec!["a.png".into()]), "1 names of files for 4 images"),
            (|report| report.threat_model.epsilon = -1.0, "the radius -1 is not"),
        ];
        for (change, expected) in cases {
            let mut report = report();
            change(&mut report);
            let error = report.check().unwrap_err().to_string();
            assert!(
                error.starts_with("the report contradicts itself: ") && error.contains(expected),
                "{error}"
            );
        }
    }
}
