//! The story of `mimir-certify run`.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use mimir_bundle::certificate::{EvaluationData, Execution, Tool};
use mimir_runtime::evaluate::{Control, Curve, Evaluation, EvaluationSet, Plan, evaluate};
use mimir_runtime::model::ModelSource;
use mimir_runtime::report::{Findings, Report, Setting};
use mimir_runtime::session::{Engine, Precision, SessionOptions, SessionPlan};

use crate::data::OpenedImages;
use crate::failure::{Blame, Failure, OrBlame};
use crate::kept::{Kept, header};
use crate::model::{Model, of_evaluation};
use crate::options::{Extent, Options};
use crate::progress::ProgressDisplay;
use crate::report_folder::ReportFolder;
use crate::{clock, data, model, signals, write};

/// Attacks the model and writes what was found.
///
/// # Errors
/// With the blame that decides the exit code. A gate that does not hold is no error, nor is a run that was interrupted
/// when there was something to report: the report says so.
pub(crate) fn run(options: &Options) -> Result<Report, Failure> {
    let interrupted = signals::watch().or_blame(Blame::Internal)?;
    let folder = report_folder(options)?;
    let engine = Engine::load(options.engine.library.as_deref()).or_blame(Blame::Internal)?;
    let images = OpenedImages::open(&options.images)?;
    let classifier = model::read(options, images.shape())?;
    let set = images.for_model(classifier.manifest())?;
    let model = Model::probe(&engine, classifier, &set, options)?;
    let data = data::record(&options.images, &set, model.manifest().image)?;
    let plan = plan(options, &model);
    let sessions = model.sessions(&engine, &plan, options.engine.precision)?;
    let header = header(model.manifest(), &data, &plan, options, engine.version())?;
    let kept = Kept::open(folder.as_ref(), options, &header, set.pixels_per_image())?;

    let start = Instant::now();
    let (evaluation, kept) = attack(&sessions, &set, &plan, options, kept, &interrupted)?;
    let setting = setting(options, &engine, &model, data, start.elapsed().as_secs_f64());

    match folder {
        Some(folder) => write::write(&folder, options, setting, &evaluation, &kept.archive),
        None => Ok(Findings::new(&setting, &evaluation).report()),
    }
}

fn report_folder(options: &Options) -> Result<Option<ReportFolder>, Failure> {
    let folder = options.report.as_ref().map(|report| ReportFolder::create(&report.folder));
    folder.transpose().or_blame(Blame::Usage)
}

fn plan(options: &Options, model: &Model) -> Plan {
    let stop = options.gate.filter(|gate| gate.extent == Extent::UntilDecided);
    Plan {
        threat_model: options.threat_model,
        attacks: options.attacks.clone(),
        seed: options.seed,
        workers: model.plan.workers,
        stop_when_decided: stop.map(|gate| gate.requirement),
        curve: options.curve,
        votes: model.votes,
    }
}

fn attack(
    sessions: &dyn ModelSource,
    set: &EvaluationSet,
    plan: &Plan,
    options: &Options,
    kept: Kept,
    interrupted: &Arc<AtomicBool>,
) -> Result<(Evaluation, Kept), Failure> {
    let display = ProgressDisplay::new(options.verbosity);
    let control = Control { observer: &display, archive: &kept.archive, interrupted };
    let evaluation = evaluate(sessions, set, plan, &control);
    display.finish();
    match evaluation {
        Ok(evaluation) => Ok((evaluation, kept)),
        Err(error) => {
            kept.forget_if_empty();
            Err(of_evaluation(error))
        }
    }
}

fn setting(options: &Options, engine: &Engine, model: &Model, data: EvaluationData, seconds: f64) -> Setting {
    Setting {
        model_file: options.model.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        data,
        manifest: model.manifest().clone(),
        threat_model: options.threat_model,
        seed: options.seed,
        execution: execution(engine, model.plan, options.engine.precision),
        curve: options.curve == Curve::Yes,
        gate: options.gate.map(|gate| gate.requirement),
        warnings: model.warnings.clone(),
        seconds,
        created_at: clock::now(),
        tool: Tool { name: env!("CARGO_PKG_NAME").into(), version: env!("CARGO_PKG_VERSION").into() },
        counterexamples: None,
    }
}

fn execution(engine: &Engine, plan: SessionPlan, precision: Precision) -> Execution {
    Execution {
        onnxruntime: engine.version().to_owned(),
        execution_provider: "CPUExecutionProvider".into(),
        optimisation: SessionOptions::default().optimisation.name().to_owned(),
        precision: precision.name().to_owned(),
        batch: plan.batch,
        workers: plan.workers,
        threads: plan.threads,
        architecture: std::env::consts::ARCH.to_owned(),
        operating_system: std::env::consts::OS.to_owned(),
    }
}
