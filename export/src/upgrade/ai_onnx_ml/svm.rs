//! The scores of SVMClassifier: one for each pair of classes, from kernels between an image and the support vectors.
//!
//! For classes `i < j` the score is `Σ c[j−1, v]·K(x, v)` over the support vectors of `i`, plus `Σ c[i, v]·K(x, v)`
//! over those of `j`, plus `rho`; above zero it is a vote for `i`. The scores of all pairs are one product of the
//! kernel matrix with a constant matrix. For two classes ONNX Runtime returns `[−s, s]`, whose larger element is *not*
//! the label; `classifier/scores.rs` swaps them. Kernels: `x·v`, `(γ·x·v + c)^degree`, `exp(−γ·‖x − v‖²)`,
//! `tanh(γ·x·v + c)`. Chang and Lin 2011, "LIBSVM".

use super::inputs::{FeatureRows, check_length, class_count, feature_rows, floats};
use super::post_transform::PostTransform;
use crate::error::{Error, Result};
use crate::graph::{Attribute, Builder, Node, ValueId};
use crate::tensor::Tensor;

/// The most elements of the matrix from kernels to pairs.
const LARGEST_MATRIX: usize = 1 << 28;

pub(super) fn scores(builder: &mut Builder<'_>, node: &Node) -> Result<ValueId> {
    let FeatureRows { value, features } = feature_rows(builder, node, 0)?;
    let svm = SupportVectors::from_node(node, features)?;
    let kernel = Kernel::from_node(node)?;
    let vectors = Tensor::from_f32(&[svm.vectors, features], svm.support_vectors);
    let kernels = kernel.matrix(builder, value, &vectors, svm.support_vectors)?; // [N, V]
    let (mut columns, mut offsets) = svm.pairs()?;
    if svm.classes == 2 {
        columns = columns.iter().flat_map(|value| [-value, *value]).collect();
        offsets = offsets.iter().flat_map(|value| [-value, *value]).collect();
    }
    let matrix = builder.constant(Tensor::from_f32(&[svm.vectors, offsets.len()], &columns));
    let offsets = builder.constant(Tensor::from_f32(&[offsets.len()], &offsets));
    builder.op("Gemm", &[kernels, matrix, offsets])
}

/// The attributes, once their lengths fit each other.
#[derive(Debug)]
struct SupportVectors<'n> {
    classes: usize,
    vectors: usize,
    vectors_per_class: Vec<usize>,
    support_vectors: &'n [f32],
    /// `[classes − 1, vectors]`
    coefficients: &'n [f32],
    /// One for each pair of classes.
    rho: &'n [f32],
}

impl<'n> SupportVectors<'n> {
    fn from_node(node: &'n Node, features: usize) -> Result<Self> {
        check_form(node)?;
        let classes = class_count(node)?;
        let counts = node.attributes.ints("vectors_per_class")?.unwrap_or_default();
        check_length("vectors_per_class", counts.len(), Some(classes), "one for each class")?;
        let counts: Option<Vec<usize>> = counts.iter().map(|count| usize::try_from(*count).ok()).collect();
        let vectors_per_class =
            counts.ok_or_else(|| Error::format("attribute `vectors_per_class` is negative"))?;
        let sum = vectors_per_class.iter().try_fold(0_usize, |sum, count| sum.checked_add(*count));
        let vectors = sum.filter(|vectors| *vectors > 0 && classes > 1);
        let vectors = vectors.ok_or_else(|| {
            Error::unsupported("has no support vectors of two classes: export it as LinearClassifier")
        })?;
        let svm = Self {
            classes,
            vectors,
            vectors_per_class,
            support_vectors: floats(node, "support_vectors")?,
            coefficients: floats(node, "coefficients")?,
            rho: floats(node, "rho")?,
        };
        let why = format!("{vectors} vectors of {features} features");
        check_length("support_vectors", svm.support_vectors.len(), vectors.checked_mul(features), &why)?;
        let why = format!("{vectors} vectors, each for every class but its own");
        check_length("coefficients", svm.coefficients.len(), vectors.checked_mul(classes - 1), &why)?;
        let pairs = classes.checked_mul(classes - 1).map(|twice| twice / 2);
        check_length("rho", svm.rho.len(), pairs, "one for each pair of classes")?;
        Ok(svm)
    }

    /// From kernels `[N, V]` to scores: the matrix `[V, P]`, and what is added to each.
    fn pairs(&self) -> Result<(Vec<f32>, Vec<f32>)> {
        let pairs = self.rho.len();
        let size = self.vectors.checked_mul(pairs).filter(|size| *size <= LARGEST_MATRIX);
        let size = size.ok_or_else(|| {
            Error::unsupported(format!(
                "has {} support vectors and {pairs} pairs of classes, too many to multiply",
                self.vectors
            ))
        })?;
        let starts: Vec<usize> = self
            .vectors_per_class
            .iter()
            .scan(0, |start, count| Some(std::mem::replace(start, *start + count)))
            .collect();
        let of_class = |class: usize| starts[class]..starts[class] + self.vectors_per_class[class];
        let mut matrix = vec![0.0; size];
        let mut pair = 0;
        for first in 0..self.classes {
            for second in first + 1..self.classes {
                for vector in of_class(first) {
                    matrix[vector * pairs + pair] = self.coefficients[(second - 1) * self.vectors + vector];
                }
                for vector in of_class(second) {
                    matrix[vector * pairs + pair] = self.coefficients[first * self.vectors + vector];
                }
                pair += 1;
            }
        }
        Ok((matrix, self.rho.to_vec()))
    }
}

/// Refuses probabilities, which an iteration to convergence computes, and functions of the scores.
fn check_form(node: &Node) -> Result<()> {
    if !floats(node, "prob_a")?.is_empty() || !floats(node, "prob_b")?.is_empty() {
        return Err(Error::unsupported(
            "computes probabilities by an iteration that has no gradient: train with `SVC(probability=False)`",
        ));
    }
    if PostTransform::from_node(node)? != PostTransform::None {
        return Err(Error::unsupported(
            "transforms scores of pairs of classes: export it with `post_transform` NONE",
        ));
    }
    Ok(())
}

#[derive(Debug)]
enum Kernel {
    Linear,
    Poly { gamma: f32, offset: f32, degree: f32 },
    Rbf { gamma: f32 },
    Sigmoid { gamma: f32, offset: f32 },
}

impl Kernel {
    fn from_node(node: &Node) -> Result<Self> {
        let params = floats(node, "kernel_params")?;
        let &[gamma, offset, degree] = params else {
            return Err(Error::format(format!(
                "attribute `kernel_params` has {} numbers, wanted 3: gamma, coef0 and degree",
                params.len()
            )));
        };
        Ok(match node.attributes.text("kernel_type", "LINEAR")? {
            "LINEAR" => Self::Linear,
            "POLY" => Self::Poly { gamma, offset, degree },
            "RBF" => Self::Rbf { gamma },
            "SIGMOID" => Self::Sigmoid { gamma, offset },
            other => {
                return Err(Error::format(format!(
                    "attribute `kernel_type` is `{other}`, wanted LINEAR, POLY, RBF or SIGMOID"
                )));
            }
        })
    }

    /// Kernel matrix `[N, V]` between rows `x` `[N, F]` and `vectors` `[V, F]`, whose elements are `elements`.
    fn matrix(
        &self,
        builder: &mut Builder<'_>,
        x: ValueId,
        vectors: &Tensor,
        elements: &[f32],
    ) -> Result<ValueId> {
        match *self {
            Self::Linear => products(builder, x, vectors, 1.0, None),
            Self::Poly { gamma, offset, degree } => {
                let base = products(builder, x, vectors, gamma, Some(vec![offset]))?;
                let degree = builder.scalar(degree);
                builder.op("Pow", &[base, degree])
            }
            Self::Rbf { gamma } => {
                // −γ·‖x − v‖² = 2γ·x·v − γ·‖v‖² − γ·‖x‖²
                let features = vectors.dims()[1].max(1);
                let squares = |vector: &[f32]| vector.iter().map(|value| value * value).sum::<f32>();
                let squares = elements.chunks(features).map(|vector| -gamma * squares(vector)).collect();
                let near = products(builder, x, vectors, 2.0 * gamma, Some(squares))?;
                let axes = builder.ints(&[1]);
                let size = builder.op("ReduceSumSquare", &[x, axes])?;
                let gamma = builder.scalar(gamma);
                let size = builder.op("Mul", &[size, gamma])?;
                let exponent = builder.op("Sub", &[near, size])?;
                builder.op("Exp", &[exponent])
            }
            Self::Sigmoid { gamma, offset } => {
                let argument = products(builder, x, vectors, gamma, Some(vec![offset]))?;
                builder.op("Tanh", &[argument])
            }
        }
    }
}

/// `factor·x·vᵀ + offsets`, of which there is one, or one for each vector.
fn products(
    builder: &mut Builder<'_>,
    x: ValueId,
    vectors: &Tensor,
    factor: f32,
    offsets: Option<Vec<f32>>,
) -> Result<ValueId> {
    let mut inputs = vec![x, builder.constant(vectors.clone())];
    inputs.extend(offsets.map(|offsets| builder.constant(Tensor::from_f32(&[offsets.len()], &offsets))));
    let attributes = [("transB", Attribute::Int(1)), ("alpha", Attribute::Float(factor))];
    builder.op_with("Gemm", &inputs, attributes)
}
