/// Weights of a model, and the products that an image takes with them: constant matrices of Conv, ConvTranspose, Gemm and MatMul,
/// and none of other operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WeightUse {
    /// Elements of the matrices of all nodes.
    pub weights: u64,
    /// Products with them for one image: as many as `weights` where each is used once, as in a multi-layer perceptron.
    pub products: u64,
}
