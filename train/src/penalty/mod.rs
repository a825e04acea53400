//! Estimators of the mutual-information penalty I(x + δ; z).
