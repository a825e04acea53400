//! The formats of image sets, one file each, and the table of all of them.

mod cifar10;
mod cifar100;
mod idx;
mod image_folder;
mod imagenet;
mod npy;
mod npz;
mod prepared;
mod tiny_imagenet;
mod webdataset;

pub use npy::NpyHeader;
pub(crate) use prepared::read_shard as read_prepared_shard;

use crate::source::Dataset;

/// Every dataset that can be read. Parsing, help, error messages and [`open`](crate::open) know no other list.
pub(crate) static DATASETS: &[Dataset] = &[
    cifar10::DATASET,
    idx::DATASET,
    image_folder::DATASET,
    npz::DATASET,
    cifar100::DATASET,
    tiny_imagenet::DATASET,
    imagenet::DATASET,
    webdataset::DATASET,
    prepared::DATASET,
];
