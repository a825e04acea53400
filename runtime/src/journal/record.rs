//! One finished unit of work, and its bytes.
//!
//! | bytes | content, little-endian |
//! | --- | --- |
//! | 0 | outcome: 0 spent, 1 broken, 2 not finite, 3 broken by rounding only |
//! | 1 | flags: 1 the first gradient was zero, 2 `closest` is there, 4 `slot` is there, 8 a gradient was not finite, 16 `margin_float64` is there, 32 the loss still rose, 64 a candidate was rejected, 128 the trace is there |
//! | 2–3 | attack |
//! | 4–7 | image |
//! | 8–11 | unit |
//! | 12–15 | forward passes |
//! | 16–19 | backward passes |
//! | 8 where flagged | closest, f64 |
//! | broken: 20 | step u32, prediction u32, distance f64, margin f32 |
//! | 4 where flagged | margin_float64, f32 |
//! | 8 where flagged | slot, u64 |
//! | not finite: 4 | step u32 |
//! | where flagged | number of points u8, from 1 to 27; each f32 |

use crate::trace::CHECKPOINTS;

/// One finished unit of work.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Position in the evaluation set.
    pub image: u32,
    /// Position in the plan.
    pub attack: u16,
    /// Number of the restart and target among those of the attack on this image.
    pub unit: u32,
    /// What came of it.
    pub outcome: Outcome,
    /// Forward passes that it took.
    pub forwards: u32,
    /// Backward passes that it took.
    pub backwards: u32,
    /// Whether the first gradient was exactly zero.
    pub zero_gradient: bool,
    /// Whether some gradient held an entry that was not finite.
    pub non_finite_gradient: bool,
    /// Smallest distance at which a minimum-norm attack found a misclassified point that the original model
    /// confirmed, in the norm of the threat model.
    pub closest: Option<f64>,
    /// Whether the loss still rose at the end of a search that found nothing.
    pub incomplete: bool,
    /// Whether the searched graph misclassified a point clearly, and the original model did not.
    pub rejected: bool,
    /// The lowest margin of the searched graph by each of the first [`CHECKPOINTS`](crate::trace::CHECKPOINTS); empty where none was
    /// taken.
    pub trace: Vec<f32>,
}

/// What came of a unit of work.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Outcome {
    /// The budget is used up, nothing was found.
    Spent,
    /// A counterexample that the original model confirmed.
    Broken {
        /// The step that found it, from 0.
        step: u32,
        /// The class that the original model predicts.
        prediction: u32,
        /// Its distance from the clean image, in the norm of the threat model.
        distance: f64,
        /// `z_y - max of the others` there: not positive.
        margin: f32,
        /// The same, computed in float64 and rounded once, where the engine can.
        margin_float64: Option<f32>,
        /// Whether `margin` is no more than rounding. The unit then went on to the end and found nothing better.
        fragile: bool,
        /// Where its pixels are in the [`CounterexampleStore`](super::CounterexampleStore), if they are stored.
        slot: Option<u64>,
    },
    /// The original model's logits mean no class at a point of the threat model: NaN or +∞ is among them.
    NonFinite {
        /// The step that met it, from 0.
        step: u32,
    },
}

impl Outcome {
    /// Whether the image is out: no later unit of it matters.
    pub(crate) fn ends_image(&self) -> bool {
        match self {
            Self::Broken { fragile, .. } => !fragile,
            Self::NonFinite { .. } => true,
            Self::Spent => false,
        }
    }

    /// Whether rounding alone broke the image, so that it counts as broken only if nothing else breaks it.
    pub(crate) fn is_fragile(&self) -> bool {
        matches!(self, Self::Broken { fragile: true, .. })
    }
}

/// How many slots of a [`CounterexampleStore`](super::CounterexampleStore) the records need: one more than the last
/// that they name.
pub fn slots_in_use(records: &[Record]) -> u64 {
    let slots = records.iter().filter_map(|record| match record.outcome {
        Outcome::Broken { slot, .. } => slot,
        Outcome::Spent | Outcome::NonFinite { .. } => None,
    });
    slots.max().map_or(0, |last| last.saturating_add(1))
}

const SPENT: u8 = 0;
const BROKEN: u8 = 1;
const NON_FINITE: u8 = 2;
const FRAGILE: u8 = 3;

const ZERO_GRADIENT: u8 = 1;
const CLOSEST: u8 = 2;
const SLOT: u8 = 4;
const NON_FINITE_GRADIENT: u8 = 8;
const MARGIN_FLOAT64: u8 = 16;
const INCOMPLETE: u8 = 32;
const REJECTED: u8 = 64;
const TRACE: u8 = 128;

/// Flags that only a counterexample has.
const OF_COUNTEREXAMPLES: u8 = SLOT | MARGIN_FLOAT64;

impl Record {
    /// Shortest encoding, in bytes.
    pub(super) const SHORTEST: usize = 20;
    /// Longest encoding, in bytes.
    pub(super) const LONGEST: usize = Self::SHORTEST + 8 + 32 + 1 + 4 * CHECKPOINTS.len();

    /// The bytes of the table above.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::LONGEST);
        bytes.extend([self.kind(), self.flags()]);
        bytes.extend(self.attack.to_le_bytes());
        for number in [self.image, self.unit, self.forwards, self.backwards] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(self.closest.iter().flat_map(|closest| closest.to_le_bytes()));
        match self.outcome {
            Outcome::Spent => {}
            Outcome::Broken { step, prediction, distance, margin, margin_float64, slot, .. } => {
                bytes.extend(step.to_le_bytes());
                bytes.extend(prediction.to_le_bytes());
                bytes.extend(distance.to_le_bytes());
                bytes.extend(margin.to_le_bytes());
                bytes.extend(margin_float64.iter().flat_map(|margin| margin.to_le_bytes()));
                bytes.extend(slot.iter().flat_map(|slot| slot.to_le_bytes()));
            }
            Outcome::NonFinite { step } => bytes.extend(step.to_le_bytes()),
        }
        let trace = &self.trace[..self.trace.len().min(CHECKPOINTS.len())];
        bytes.extend((!trace.is_empty()).then_some(trace.len() as u8));
        bytes.extend(trace.iter().flat_map(|margin| margin.to_le_bytes()));
        bytes
    }

    /// The record of these bytes, or `None` where no record has them.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = RecordReader(bytes);
        let [kind, flags] = fields.take()?;
        if flags & OF_COUNTEREXAMPLES != 0 && !matches!(kind, BROKEN | FRAGILE) {
            return None;
        }
        let attack = u16::from_le_bytes(fields.take()?);
        let (image, unit) = (fields.u32()?, fields.u32()?);
        let (forwards, backwards) = (fields.u32()?, fields.u32()?);
        let closest = if flags & CLOSEST == 0 { None } else { Some(fields.f64()?) };
        let outcome = fields.outcome(kind, flags)?;
        let trace = if flags & TRACE == 0 { Vec::new() } else { fields.trace()? };
        let record = Self {
            image,
            attack,
            unit,
            outcome,
            forwards,
            backwards,
            zero_gradient: flags & ZERO_GRADIENT != 0,
            non_finite_gradient: flags & NON_FINITE_GRADIENT != 0,
            closest,
            incomplete: flags & INCOMPLETE != 0,
            rejected: flags & REJECTED != 0,
            trace,
        };
        fields.0.is_empty().then_some(record)
    }

    fn kind(&self) -> u8 {
        match self.outcome {
            Outcome::Spent => SPENT,
            Outcome::Broken { fragile: false, .. } => BROKEN,
            Outcome::Broken { fragile: true, .. } => FRAGILE,
            Outcome::NonFinite { .. } => NON_FINITE,
        }
    }

    fn flags(&self) -> u8 {
        let has_slot = matches!(self.outcome, Outcome::Broken { slot: Some(_), .. });
        let has_float64 = matches!(self.outcome, Outcome::Broken { margin_float64: Some(_), .. });
        let flag = |set, bit| if set { bit } else { 0 };
        flag(self.zero_gradient, ZERO_GRADIENT)
            | flag(self.closest.is_some(), CLOSEST)
            | flag(has_slot, SLOT)
            | flag(self.non_finite_gradient, NON_FINITE_GRADIENT)
            | flag(has_float64, MARGIN_FLOAT64)
            | flag(self.incomplete, INCOMPLETE)
            | flag(self.rejected, REJECTED)
            | flag(!self.trace.is_empty(), TRACE)
    }
}

/// Bytes that are not yet read.
struct RecordReader<'a>(&'a [u8]);

impl RecordReader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn f64(&mut self) -> Option<f64> {
        self.take().map(f64::from_le_bytes)
    }

    fn trace(&mut self) -> Option<Vec<f32>> {
        let [points] = self.take()?;
        let in_range = (1..=CHECKPOINTS.len()).contains(&usize::from(points));
        in_range.then(|| (0..points).map(|_| self.take().map(f32::from_le_bytes)).collect())?
    }

    fn outcome(&mut self, kind: u8, flags: u8) -> Option<Outcome> {
        match kind {
            SPENT => Some(Outcome::Spent),
            BROKEN | FRAGILE => {
                let (step, prediction, distance) = (self.u32()?, self.u32()?, self.f64()?);
                let (margin, fragile) = (f32::from_le_bytes(self.take()?), kind == FRAGILE);
                let margin_float64 = match flags & MARGIN_FLOAT64 {
                    0 => None,
                    _ => Some(f32::from_le_bytes(self.take()?)),
                };
                let slot = match flags & SLOT {
                    0 => None,
                    _ => Some(u64::from_le_bytes(self.take()?)),
                };
                Some(Outcome::Broken { step, prediction, distance, margin, margin_float64, fragile, slot })
            }
            NON_FINITE => Some(Outcome::NonFinite { step: self.u32()? }),
            _ => None,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Any record. Floats are any 64 bits: a journal that holds one that is odd must still be read.
    pub(in super::super) fn any_record() -> impl Strategy<Value = Record> {
        let float = || any::<u64>().prop_map(f64::from_bits);
        let broken = (any::<(u32, u32, Option<u64>, u32, Option<u32>, bool)>(), float()).prop_map(
            |(fields, distance)| {
                let (step, prediction, slot, margin, margin_float64, fragile) = fields;
                let (margin, margin_float64) = (f32::from_bits(margin), margin_float64.map(f32::from_bits));
                Outcome::Broken { step, prediction, distance, margin, margin_float64, fragile, slot }
            },
        );
        let non_finite = any::<u32>().prop_map(|step| Outcome::NonFinite { step });
        let outcome = prop_oneof![Just(Outcome::Spent), broken, non_finite];
        let fixed = any::<(u32, u16, u32, u32, u32, [bool; 4])>();
        let trace = prop::collection::vec(any::<u32>().prop_map(f32::from_bits), 0..=CHECKPOINTS.len());
        (fixed, outcome, prop::option::of(float()), trace).prop_map(|(fixed, outcome, closest, trace)| {
            let (image, attack, unit, forwards, backwards, flags) = fixed;
            let [zero_gradient, non_finite_gradient, incomplete, rejected] = flags;
            Record {
                image,
                attack,
                unit,
                outcome,
                forwards,
                backwards,
                zero_gradient,
                non_finite_gradient,
                closest,
                incomplete,
                rejected,
                trace,
            }
        })
    }

    proptest! {
        #[test]
        fn a_record_is_read_back(record in any_record()) {
            let bytes = record.encode();
            prop_assert!((Record::SHORTEST..=Record::LONGEST).contains(&bytes.len()));
            let read = Record::decode(&bytes).unwrap();
            // By bits, as NaN differs from itself; then every field that is not a float by value.
            prop_assert_eq!(read.encode(), &bytes[..]);
            prop_assert_eq!((read.image, read.attack, read.unit), (record.image, record.attack, record.unit));
            prop_assert_eq!((read.forwards, read.backwards), (record.forwards, record.backwards));
            prop_assert_eq!(format!("{read:?}"), format!("{record:?}"));
        }

        /// One record has one encoding: whatever decodes encodes to the same bytes.
        #[test]
        fn any_bytes_are_refused_or_canonical(
            kind in 0_u8..5,
            flags in any::<u8>(),
            rest in prop::collection::vec(any::<u8>(), 0..180),
        ) {
            let bytes = [&[kind, flags], rest.as_slice()].concat();
            if let Some(record) = Record::decode(&bytes) {
                prop_assert_eq!(record.encode(), bytes);
            }
        }
    }

    const RECORD: Record = Record {
        image: 0x0403_0201,
        attack: 0x0605,
        unit: 0x0a09_0807,
        outcome: Outcome::Spent,
        forwards: 101,
        backwards: 100,
        zero_gradient: true,
        non_finite_gradient: false,
        closest: None,
        incomplete: false,
        rejected: false,
        trace: Vec::new(),
    };

    /// The table of docs/journal.md, byte by byte: a journal is read by later builds of the same version.
    #[test]
    fn the_bytes_are_pinned() {
        let common = [5, 6, 1, 2, 3, 4, 7, 8, 9, 10, 101, 0, 0, 0, 100, 0, 0, 0];
        let one = [0, 0, 0, 0, 0, 0, 0xf0, 0x3f];
        let broken = |fragile| Outcome::Broken {
            step: 2,
            prediction: 3,
            distance: 1.0,
            margin: 1.0,
            margin_float64: Some(-1.0),
            fragile,
            slot: Some(4),
        };
        let bytes_of_broken = |kind| {
            let parts =
                [&[kind, 23], &common[..], &one, &[2, 0, 0, 0, 3, 0, 0, 0], &one, &[0, 0, 0x80, 0x3f]];
            [&parts.concat()[..], &[0, 0, 0x80, 0xbf], &[4, 0, 0, 0, 0, 0, 0, 0]].concat()
        };
        let non_finite = Outcome::NonFinite { step: 2 };
        let table = [
            (RECORD, [&[0, 1], &common[..]].concat()),
            (Record { outcome: broken(false), closest: Some(1.0), ..RECORD }, bytes_of_broken(1)),
            (Record { outcome: broken(true), closest: Some(1.0), ..RECORD }, bytes_of_broken(3)),
            (
                Record { outcome: non_finite, zero_gradient: false, non_finite_gradient: true, ..RECORD },
                [&[2, 8], &common[..], &[2, 0, 0, 0]].concat(),
            ),
            (
                Record { incomplete: true, rejected: true, trace: vec![1.0, -1.0], ..RECORD },
                [&[0, 225], &common[..], &[2, 0, 0, 0x80, 0x3f, 0, 0, 0x80, 0xbf]].concat(),
            ),
        ];
        for (record, bytes) in table {
            assert_eq!(record.encode(), bytes);
            assert_eq!(Record::decode(&bytes), Some(record));
        }
    }

    #[test]
    fn bytes_of_no_record_are_refused() {
        let good = RECORD.encode();
        let with = |index: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[index] = byte;
            bytes
        };
        let table = [
            ("an unknown outcome", with(0, 4)),
            ("a trace without its points", with(1, TRACE)),
            ("a trace of no points", [&with(1, TRACE)[..], &[0]].concat()),
            ("a trace that is too long", [&with(1, TRACE)[..], &[28], &[0; 4 * 28]].concat()),
            ("a slot without a counterexample", with(1, SLOT)),
            ("a margin without a counterexample", with(1, MARGIN_FLOAT64)),
            ("a flag without its field", with(1, CLOSEST)),
            ("trailing bytes", [&good[..], &[0]].concat()),
            ("a step that is cut short", [&with(0, NON_FINITE)[..], &[0, 0, 0]].concat()),
        ];
        for (what, bytes) in table {
            assert_eq!(Record::decode(&bytes), None, "{what}");
        }
    }

    #[test]
    fn slots_are_counted_to_the_last() {
        let broken = |slot| Record {
            outcome: Outcome::Broken {
                step: 0,
                prediction: 0,
                distance: 0.0,
                margin: -1.0,
                margin_float64: None,
                fragile: false,
                slot,
            },
            ..RECORD
        };
        assert_eq!(slots_in_use(&[RECORD, broken(None)]), 0);
        assert_eq!(slots_in_use(&[broken(Some(0))]), 1);
        assert_eq!(slots_in_use(&[broken(Some(5)), RECORD, broken(Some(2))]), 6);
        assert_eq!(slots_in_use(&[broken(Some(u64::MAX))]), u64::MAX);
    }
}
