/// Weights of a model, and the products that an image takes with them. Constant matrices of Conv, ConvTranspose, Gemm and MatMul
/// count; of other operators, as of those on 8-bit numbers, none do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WeightUse {
    /// Elements of the matrices of all nodes.
    pub weights: u64,
    /// Products with them for one image: as many as `weights` where each is used once, as in a multi-layer perceptron.
    pub products: u64,
}
