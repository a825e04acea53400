//! Whether records can be those of a run. A checksum shows accidents; that a record names an image, an attack or a unit that
//! the run has, only the run knows.

use std::collections::HashSet;

use super::record::{Outcome, Record};

/// What the records of a run can say.
#[derive(Debug, Clone, PartialEq)]
pub struct PossibleRecords {
    /// The label of each image, `[N]`.
    pub labels: Vec<usize>,
    /// Classes of the model.
    pub classes: usize,
    /// Units of each attack on one image, in the order of the plan; last those of the search for distances, where there is
    /// one.
    pub units: Vec<usize>,
    /// Radius of the threat model, in pixels.
    pub radius: f64,
    /// Whether the pixels of counterexamples are kept.
    pub keeps_pixels: bool,
}

/// A record that no run can have written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("record {number} (image {image}, attack {attack}, unit {unit}): {reason}")]
pub struct ImpossibleRecord {
    /// Its position in the journal, from 0.
    pub number: usize,
    /// The image that it names.
    pub image: u32,
    /// The attack that it names.
    pub attack: u16,
    /// The unit that it names.
    pub unit: u32,
    /// Why it cannot be.
    pub reason: String,
}

/// Distances are computed in `f64` of float32 pixels: their last bits may lie above the radius.
const SLACK: f64 = 1e-6;

impl PossibleRecords {
    /// Whether all of them can be, and each unit is there once.
    ///
    /// # Errors
    /// Names the first that cannot.
    pub fn check(&self, records: &[Record]) -> Result<(), ImpossibleRecord> {
        let (mut units, mut slots) = (HashSet::new(), HashSet::new());
        for (number, record) in records.iter().enumerate() {
            let Record { image, attack, unit, .. } = *record;
            let slot = slot(record);
            let reason = self
                .reason(record)
                .or_else(|| (!units.insert((image, attack, unit))).then(|| "it is there twice".to_owned()))
                .or_else(|| {
                    let again = slot.filter(|slot| !slots.insert(*slot));
                    again.map(|slot| format!("the pixels in slot {slot} are those of another record"))
                });
            if let Some(reason) = reason {
                return Err(ImpossibleRecord { number, image, attack, unit, reason });
            }
        }
        Ok(())
    }

    fn reason(&self, record: &Record) -> Option<String> {
        let images = self.labels.len();
        let Some(label) = self.labels.get(record.image as usize) else {
            return Some(format!("there are {images} images, 0 to {}", images.saturating_sub(1)));
        };
        let Some(units) = self.units.get(usize::from(record.attack)) else {
            return Some(format!("the run has {} attacks, counted from 0", self.units.len()));
        };
        if record.unit as usize >= *units {
            return Some(format!("the attack has {units} units on an image, counted from 0"));
        }
        if let Some(closest) = record.closest.filter(|closest| !(closest.is_finite() && *closest >= 0.0)) {
            return Some(format!("a distance of {closest}"));
        }
        if record.trace.iter().any(|margin| margin.is_nan()) || !record.trace.is_sorted_by(|a, b| a >= b) {
            return Some("a trace that rises: it has the lowest margin so far".to_owned());
        }
        match record.outcome {
            Outcome::Spent | Outcome::NonFinite { .. } => None,
            Outcome::Broken { prediction, distance, margin, slot, .. } => {
                let (prediction, classes) = (prediction as usize, self.classes);
                let most = self.radius * (1.0 + SLACK) + SLACK;
                if prediction >= classes {
                    Some(format!(
                        "class {prediction} was predicted, but the model has {classes} classes, from 0"
                    ))
                } else if prediction == *label {
                    Some(format!("it is said to be broken, and classified correctly, as {prediction}"))
                } else if !(0.0..=most).contains(&distance) {
                    Some(format!(
                        "a counterexample at a distance of {distance}, and the radius is {}",
                        self.radius
                    ))
                } else if margin.is_nan() {
                    Some("a margin that is no number".to_owned())
                } else if slot.is_some() != self.keeps_pixels {
                    let are = if self.keeps_pixels { "are" } else { "are not" };
                    Some(format!("the run keeps pixels of counterexamples, or not: here they {are} expected"))
                } else {
                    None
                }
            }
        }
    }
}

fn slot(record: &Record) -> Option<u64> {
    match record.outcome {
        Outcome::Broken { slot, .. } => slot,
        Outcome::Spent | Outcome::NonFinite { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::record::tests::any_record;
    use super::*;

    fn possible() -> PossibleRecords {
        PossibleRecords {
            labels: (0..60).map(|image| image % 5).collect(),
            classes: 5,
            units: vec![1, 18],
            radius: 0.1,
            keeps_pixels: true,
        }
    }

    fn broken(image: u32) -> Record {
        Record {
            image,
            attack: 1,
            unit: 17,
            outcome: Outcome::Broken {
                step: 3,
                prediction: (image + 1) % 5,
                distance: 0.1,
                margin: -1.0,
                margin_float64: None,
                fragile: false,
                slot: Some(u64::from(image)),
            },
            forwards: 4,
            backwards: 4,
            zero_gradient: false,
            non_finite_gradient: false,
            closest: None,
            incomplete: false,
            rejected: false,
            trace: Vec::new(),
        }
    }

    /// The record of image 2, changed.
    fn changed(change: impl FnOnce(&mut Record)) -> Record {
        let mut record = broken(2);
        change(&mut record);
        record
    }

    fn with_outcome(change: impl FnOnce(&mut u32, &mut f64, &mut f32, &mut Option<u64>)) -> Record {
        changed(|record| match &mut record.outcome {
            Outcome::Broken { prediction, distance, margin, slot, .. } => {
                change(prediction, distance, margin, slot);
            }
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn each_impossible_field_is_named() {
        let cases = [
            (changed(|record| record.image = 60), "there are 60 images, 0 to 59"),
            (changed(|record| record.image = u32::MAX), "there are 60 images, 0 to 59"),
            (changed(|record| record.attack = 2), "the run has 2 attacks"),
            (changed(|record| record.unit = 18), "the attack has 18 units"),
            (changed(|record| (record.attack, record.unit) = (0, 1)), "the attack has 1 units"),
            (changed(|record| record.closest = Some(f64::NAN)), "a distance of NaN"),
            (changed(|record| record.closest = Some(-0.5)), "a distance of -0.5"),
            (with_outcome(|prediction, _, _, _| *prediction = 5), "class 5 was predicted"),
            (with_outcome(|prediction, _, _, _| *prediction = 2), "classified correctly, as 2"),
            (
                with_outcome(|_, distance, _, _| *distance = 0.11),
                "at a distance of 0.11, and the radius is 0.1",
            ),
            (with_outcome(|_, distance, _, _| *distance = f64::INFINITY), "at a distance of inf"),
            (with_outcome(|_, _, margin, _| *margin = f32::NAN), "a margin that is no number"),
            (with_outcome(|_, _, _, slot| *slot = None), "here they are expected"),
            (
                with_outcome(|_, _, _, slot| *slot = Some(1)),
                "the pixels in slot 1 are those of another record",
            ),
            (changed(|record| record.trace = vec![1.0, 1.5]), "a trace that rises"),
            (changed(|record| record.trace = vec![f32::NAN]), "a trace that rises"),
            (broken(1), "it is there twice"),
        ];
        for (record, expected) in cases {
            let error = possible().check(&[broken(1), record]).unwrap_err();
            assert_eq!(error.number, 1);
            assert!(error.to_string().contains(expected), "{expected}: {error}");
        }
        let falling = changed(|record| record.trace = vec![1.0, 1.0, -0.5]);
        assert_eq!(possible().check(&[broken(1), falling]), Ok(()));
    }

    proptest! {
        #[test]
        fn any_records_are_judged_without_a_panic(records in prop::collection::vec(any_record(), 0..20)) {
            if possible().check(&records).is_ok() {
                prop_assert!(records.iter().all(|record| record.image < 60 && record.attack < 2 && record.unit < 18));
            }
        }
    }
}
