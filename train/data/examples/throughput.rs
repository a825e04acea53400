//! How many images a second the loader makes.
//!
//!     cargo run --release -p mimir-data --example throughput -- SOURCE SIZE AUGMENTATION THREADS SECONDS
//!
//! `AUGMENTATION` is one of none, pad-crop, resized-crop and rand-augment (resized crop, RandAugment, erasing).

use std::sync::Arc;
use std::time::{Duration, Instant};

use mimir_data::augment::{Augmentation, Erasing, ErasingFill, RandAugment};
use mimir_data::{BrokenImages, Loader, LoaderOptions, ReadOptions, Split, TrainingSet, open_pictures};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [source, size, augmentation, threads, seconds] = &words[..] else {
        return Err("wanted SOURCE SIZE AUGMENTATION THREADS SECONDS".into());
    };
    let started = Instant::now();
    let pictures = open_pictures(&source.parse()?, &ReadOptions { split: Split::Train, first: None })?;
    println!("opened {} images in {:.2} s", pictures.count(), started.elapsed().as_secs_f64());
    let options = LoaderOptions {
        augmentation: named(augmentation)?,
        threads: threads.parse()?,
        broken: BrokenImages::Skip,
        ..LoaderOptions::new(0, size.parse()?)
    };
    let loader = Loader::new(Arc::new(TrainingSet::new(Arc::new(pictures))?), options)?;
    let mut batches = loader.start(0, 0);
    let time = Duration::from_secs(seconds.parse()?);
    let (started, mut images) = (Instant::now(), 0);
    while started.elapsed() < time {
        let Some(batch) = batches.next() else { break };
        images += batch?.labels.len();
    }
    println!("{:.0} images/s", images as f64 / started.elapsed().as_secs_f64());
    Ok(())
}

fn named(name: &str) -> Result<Augmentation, String> {
    match name {
        "none" => Ok(Augmentation::default()),
        "pad-crop" => Ok(Augmentation::pad_crop_flip()),
        "resized-crop" => Ok(Augmentation::random_resized_crop_flip()),
        "rand-augment" => Ok(Augmentation {
            rand_augment: Some(RandAugment::default()),
            erasing: Some(Erasing {
                probability: 0.25,
                fill: ErasingFill::Pixel,
                area: Erasing::default_area(),
                min_aspect: Erasing::default_aspect(),
            }),
            ..Augmentation::random_resized_crop_flip()
        }),
        other => Err(format!("augmentation `{other}`: wanted none, pad-crop, resized-crop or rand-augment")),
    }
}
