//! The run folder: configuration, log, checkpoints.
