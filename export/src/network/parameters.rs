//! The tensors that a network has, by name and dimensions.

/// A list in the making.
#[derive(Debug, Default)]
pub(super) struct Parameters(Vec<(String, Vec<usize>)>);

impl Parameters {
    pub(super) fn tensor(&mut self, name: impl Into<String>, dims: &[usize]) {
        self.0.push((name.into(), dims.to_vec()));
    }

    /// `weight` `[outputs, inputs]` and `bias`.
    pub(super) fn linear(&mut self, name: &str, inputs: usize, outputs: usize) {
        self.linear_without_bias(name, inputs, outputs);
        self.tensor(format!("{name}.bias"), &[outputs]);
    }

    /// `weight` `[outputs, inputs]`.
    pub(super) fn linear_without_bias(&mut self, name: &str, inputs: usize, outputs: usize) {
        self.tensor(format!("{name}.weight"), &[outputs, inputs]);
    }

    /// `weight` `[outputs, inputs, side, side]` and `bias`.
    pub(super) fn conv(&mut self, name: &str, inputs: usize, outputs: usize, side: usize) {
        self.tensor(format!("{name}.weight"), &[outputs, inputs, side, side]);
        self.tensor(format!("{name}.bias"), &[outputs]);
    }

    /// `weight` and `bias` of that width.
    pub(super) fn norm(&mut self, name: &str, width: usize) {
        self.tensor(format!("{name}.weight"), &[width]);
        self.tensor(format!("{name}.bias"), &[width]);
    }

    /// `fc1` to the hidden width, `fc2` back.
    pub(super) fn mlp(&mut self, name: &str, width: usize, hidden: usize) {
        self.linear(&format!("{name}.fc1"), width, hidden);
        self.linear(&format!("{name}.fc2"), hidden, width);
    }

    pub(super) fn into_list(self) -> Vec<(String, Vec<usize>)> {
        self.0
    }
}
