//! Operators with float outputs whose derivative is zero wherever it exists.
//!
//! A draw does not move with the input that gives its shape or its probability. Operators with integer or Boolean
//! outputs need no entry: those outputs carry no gradient anyway.

use super::entry::Entry;

pub(super) const RULES: &[Entry] = &[
    Entry::zero("Bernoulli", 15),
    Entry::zero("Ceil", 1),
    Entry::zero("ConstantOfShape", 9),
    Entry::zero("EyeLike", 9),
    Entry::zero("Floor", 1),
    Entry::zero("Hardmax", 1),
    Entry::zero("OneHot", 9),
    Entry::zero("RandomNormalLike", 1),
    Entry::zero("RandomUniformLike", 1),
    Entry::zero("Range", 11),
    Entry::zero("Round", 11),
    Entry::zero("Sign", 9),
];
