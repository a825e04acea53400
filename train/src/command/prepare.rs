//! `mimir-train prepare`.

use std::num::NonZero;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use mimir_data::{PrepareOptions, PreparedCount, ReadOptions, Split, prepare};

use crate::args::{PrepareArguments, PreparedSplit};
use crate::run::{EXIT_STOPPED, StopSignal};

/// Between two lines of progress.
const PAUSE: Duration = Duration::from_secs(5);

pub(super) fn run(arguments: &PrepareArguments) -> Result<ExitCode> {
    let source = arguments.source.parse()?;
    let split = match arguments.split {
        PreparedSplit::Train => Split::Train,
        PreparedSplit::Test => Split::Test,
    };
    let one = NonZero::<usize>::MIN;
    let threads = arguments.threads.unwrap_or_else(|| std::thread::available_parallelism().unwrap_or(one));
    let options = PrepareOptions { read: ReadOptions { split, first: None }, side: arguments.side, threads };
    let stop = StopSignal::watch(None, Duration::ZERO)?;
    let mut shown = Instant::now();
    let count = prepare(&source, &arguments.folder, &options, |PreparedCount { done, of }| {
        if shown.elapsed() >= PAUSE {
            shown = Instant::now();
            eprintln!("{done} of {of} images");
        }
        stop.requested().is_none()
    })?;
    let folder = arguments.folder.display();
    if count.done < count.of {
        eprintln!("stopped: {} of {} images are in {folder}; the same command goes on", count.done, count.of);
        return Ok(ExitCode::from(EXIT_STOPPED));
    }
    println!("{} images are in {folder}: data.source = \"prepared:{folder}\"", count.of);
    Ok(ExitCode::SUCCESS)
}
