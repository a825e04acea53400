//! `mimir-train efficiency`.

use std::process::ExitCode;

use anyhow::Result;
use tch::Device;

use crate::args::EfficiencyArguments;
use crate::command::error::Usage;
use crate::device;
use crate::efficiency::{self, Measurement, Row};
use crate::model::Preset;

/// Images in a step on a processor and on a GPU, where none is given.
const BATCH: [usize; 2] = [8, 128];

pub(super) fn run(arguments: &EfficiencyArguments) -> Result<ExitCode> {
    let precision = arguments.precision;
    let device = device::open(arguments.device, precision)?;
    if let Some(threads) = arguments.threads {
        tch::set_num_threads(i32::try_from(threads.max(1)).unwrap_or(i32::MAX));
    }
    let networks = arguments.networks.iter().map(|name| preset(name)).collect::<Result<Vec<_>>>()?;
    let batch = arguments.batch.unwrap_or(BATCH[usize::from(device.is_cuda())]).max(1);
    let (peak, of) = match arguments.peak {
        Some(peak) => (peak, "that --peak names"),
        None => (efficiency::product_rate(device, precision), "of a large matrix product here"),
    };
    println!(
        "{}, {} threads, {batch} images in a step, {precision:?}",
        device_name(device),
        tch::get_num_threads()
    );
    println!("share: of {peak:.2} · 10¹² operations a second, {of}\n");
    println!(
        "| network | method | images | s an epoch | images/s | 10¹² operations/s | share | peak memory |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    for network in networks {
        for &images in &arguments.images {
            for &work in &arguments.methods {
                let steps = arguments.steps.max(1);
                let measurement = Measurement { work, network, images, batch, steps, precision, device };
                let row = measurement.take()?;
                println!(
                    "| {} | {} | {} | {} |",
                    network.name(),
                    work.name(),
                    images.name(),
                    cells(&row, peak)
                );
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn cells(row: &Row, peak: f64) -> String {
    let memory = row.memory.map_or("–".to_owned(), |bytes| format!("{:.2} GB", bytes as f64 / 1e9));
    format!(
        "{:.1} | {:.1} | {:.3} | {:.1} % | {memory}",
        row.seconds,
        row.images_per_second,
        row.tera_operations,
        100.0 * row.tera_operations / peak
    )
}

fn device_name(device: Device) -> String {
    efficiency::device_name(device)
}

fn preset(name: &str) -> Result<Preset> {
    let known = || Preset::ALL.iter().map(|preset| preset.name()).collect::<Vec<_>>().join(", ");
    let found = Preset::ALL.iter().copied().find(|preset| preset.name() == name);
    Ok(found.ok_or_else(|| Usage(format!("`{name}` is no network; wanted some of {}", known())))?)
}
