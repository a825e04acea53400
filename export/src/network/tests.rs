//! Tests over all families.
