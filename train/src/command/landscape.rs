//! `mimir-train landscape`.

use std::fmt::Write;
use std::process::ExitCode;

use anyhow::{Context, Result};
use tch::Device;

use crate::accuracy::{self, PgdAttack};
use crate::args::LandscapeArguments;
use crate::command::evaluate;
use crate::config::{EvaluateConfig, EvaluatedPart};
use crate::images::EvaluationSet;
use crate::landscape::{Direction, Images, Point, plane};
use crate::stage::{Finetuning, Task};

/// Images where `--images` names none: the surface is as smooth with more, and takes longer.
const IMAGES: usize = 512;

pub(super) fn run(arguments: &LandscapeArguments) -> Result<ExitCode> {
    let part = arguments.evaluate.images.or(Some(EvaluatedPart::Sample(IMAGES)));
    let (loaded, images) = evaluate::load(&arguments.evaluate, part)?;
    let task = &loaded.task;
    let batches = batches(task, &images, &loaded.experiment.evaluate, task.parameters().device())?;
    let seed = loaded.experiment.seed;
    let directions = [0, 1].map(|place| Direction::new(task.parameters(), seed, place));
    let size = (arguments.points.max(1), arguments.reach);
    let found = plane(task.parameters(), &directions, &batches, size, |x| task.classify(x));
    mimir_files::write_named(&arguments.out, table(&found).as_bytes())
        .with_context(|| format!("cannot write {}", arguments.out.display()))?;
    println!("{}", arguments.out.display());
    Ok(ExitCode::SUCCESS)
}

/// The images, and what PGD makes of them at the weights as they are.
fn batches(
    task: &Finetuning,
    images: &EvaluationSet,
    config: &EvaluateConfig,
    device: Device,
) -> Result<Vec<Images>> {
    let attack = PgdAttack { epsilon: config.epsilon.0, step_size: config.step_size.0, steps: config.steps };
    let mut batches = Vec::new();
    for batch in images.batches(device) {
        let batch = batch?;
        let attacked = accuracy::attacked(|x| task.classify(x), &batch, &attack);
        batches.push(Images { clean: batch.images, attacked, labels: batch.label_tensor });
    }
    Ok(batches)
}

fn table(points: &[Point]) -> String {
    let mut text = "first,second,clean_loss,attacked_loss\n".to_owned();
    for Point { steps: [first, second], clean, attacked } in points {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{first},{second},{clean},{attacked}");
    }
    text
}
