//! Files of weights and of the state of a run.
