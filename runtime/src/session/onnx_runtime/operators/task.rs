//! How much work one task of a thread pool gets.

/// Elements that one task of a thread pool computes, about: enough that handing it out costs nothing.
pub(super) const ELEMENTS_PER_TASK: usize = 1 << 14;
