//! Optimiser, schedule and weight average.
