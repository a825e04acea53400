//! `mimir-train efficiency`.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use clap::ValueEnum;
use tch::Device;

use crate::args::EfficiencyArguments;
use crate::command::error::Usage;
use crate::device;
use crate::efficiency::{self, Images, Measurement, Row, Work};
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
    if arguments.row {
        return rows(arguments, &networks, batch, device, peak);
    }
    println!(
        "{}, {} threads, {batch} images in a step, {precision:?}",
        efficiency::device_name(device),
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
                one_row(arguments, network, images, work, peak)?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A process for each row: its peak is its own, and one that needs more memory than there is ends alone.
fn one_row(
    arguments: &EfficiencyArguments,
    network: Preset,
    images: Images,
    work: Work,
    peak: f64,
) -> Result<()> {
    let mut command = Command::new(std::env::current_exe().context("where this program is")?);
    let value = |value: Option<clap::builder::PossibleValue>| {
        value.map_or_else(String::new, |it| it.get_name().to_owned())
    };
    command.args(["efficiency", "--row", "--networks", network.name()]);
    command.args([
        "--images",
        &value(images.to_possible_value()),
        "--methods",
        &value(work.to_possible_value()),
    ]);
    command.args(["--precision", &value(arguments.precision.to_possible_value())]);
    command.args(["--device", &arguments.device.to_string(), "--peak", &peak.to_string()]);
    command.args(["--steps", &arguments.steps.to_string()]);
    for (name, number) in [("--batch", arguments.batch), ("--threads", arguments.threads)] {
        if let Some(number) = number {
            command.args([name, &number.to_string()]);
        }
    }
    let status = command.status().context("cannot start this program once more")?;
    if !status.success() {
        println!(
            "| {} | {} | {} | failed ({status}) | – | – | – | – |",
            network.name(),
            work.name(),
            images.name()
        );
    }
    Ok(())
}

/// Measures here, and prints rows without their head.
fn rows(
    arguments: &EfficiencyArguments,
    networks: &[Preset],
    batch: usize,
    device: Device,
    peak: f64,
) -> Result<ExitCode> {
    let (steps, precision) = (arguments.steps.max(1), arguments.precision);
    for &network in networks {
        for &images in &arguments.images {
            for &work in &arguments.methods {
                let row = Measurement { work, network, images, batch, steps, precision, device }.take()?;
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

fn preset(name: &str) -> Result<Preset> {
    let known = || Preset::ALL.iter().map(|preset| preset.name()).collect::<Vec<_>>().join(", ");
    let found = Preset::ALL.iter().copied().find(|preset| preset.name() == name);
    Ok(found.ok_or_else(|| Usage(format!("`{name}` is no network; wanted some of {}", known())))?)
}
