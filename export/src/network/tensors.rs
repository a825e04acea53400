//! The tensors of a network: what a checkpoint of it holds.

use mimir_bundle::architecture::Family;

use super::description::norm_name;
use super::parameters::Parameters;
use super::{Network, cait, convit, vit};

impl Network {
    /// Name and dimensions of every tensor of the network, in timm's spelling and in the order of its layers.
    pub fn parameters(&self) -> Vec<(String, Vec<usize>)> {
        let mut parameters = Parameters::default();
        match self.architecture.family {
            Family::Vit | Family::VitConvStem => vit::parameters(self, &mut parameters),
            Family::Convit => convit::parameters(self, &mut parameters),
            Family::Cait => cait::parameters(self, &mut parameters),
        }
        parameters.norm(norm_name(self.pooling), self.architecture.width);
        parameters.linear("head", self.architecture.width, self.classes);
        parameters.into_list()
    }
}
