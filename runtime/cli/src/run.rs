//! The story of `mimir-certify run`.

use std::time::Instant;

use mimir_bundle::certificate::{Counterexamples, Execution, Tool};
use mimir_bundle::{ImageShape, digest};
use mimir_data::ImageSet;
use mimir_runtime::evaluate::{Evaluation, EvaluationSet, Plan, evaluate};
use mimir_runtime::report::{Findings, Report, Setting};
use mimir_runtime::session::{Engine, SessionOptions, SessionPlan};

use crate::counterexamples::CounterexampleSet;
use crate::failure::{Blame, Failure, OrBlame};
use crate::model::{Model, of_evaluation};
use crate::options::{Options, StoreCounterexamples};
use crate::progress::ProgressDisplay;
use crate::report_folder::{ADVERSARIAL, CERTIFICATE, REPORT, ReportFolder};
use crate::{clock, data, model};

/// Attacks the model and writes what was found.
///
/// # Errors
/// With the blame that decides the exit code. A gate that does not hold is no error: the report says so.
pub(crate) fn run(options: &Options) -> Result<Report, Failure> {
    let folder = report_folder(options)?;
    let engine = Engine::load(options.engine.library.as_deref()).or_blame(Blame::Internal)?;
    let images = data::read(&options.images)?;
    let classifier = model::read(options, data::shape(&images))?;
    let set = data::for_model(&images, classifier.manifest())?;
    let model = Model::probe(&engine, classifier, &set, options.engine.overrides)?;

    let start = Instant::now();
    let evaluation = attack(&engine, &model, &set, options)?;
    let setting = setting(options, &engine, &model, &images, start.elapsed().as_secs_f64());

    match folder {
        Some(folder) => write(&folder, options, setting, &evaluation).or_blame(Blame::Internal),
        None => Ok(Findings::new(&setting, &evaluation).report()),
    }
}

fn report_folder(options: &Options) -> Result<Option<ReportFolder>, Failure> {
    let folder = options.report.as_ref().map(|report| ReportFolder::create(&report.folder));
    folder.transpose().or_blame(Blame::Usage)
}

fn attack(
    engine: &Engine,
    model: &Model,
    set: &EvaluationSet,
    options: &Options,
) -> Result<Evaluation, Failure> {
    let sessions = model.sessions(engine, &options.attacks)?;
    let plan = Plan {
        threat_model: options.threat_model,
        attacks: options.attacks.clone(),
        seed: options.seed,
        workers: model.plan.workers,
    };
    let display = ProgressDisplay::new(options.verbosity);
    let evaluation = evaluate(&sessions, set, &plan, &display);
    display.finish();
    evaluation.map_err(of_evaluation)
}

fn setting(options: &Options, engine: &Engine, model: &Model, images: &ImageSet, seconds: f64) -> Setting {
    let manifest = model.manifest().clone();
    Setting {
        model_file: options.model.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        data: data::record(&options.images, images, manifest.image),
        manifest,
        threat_model: options.threat_model,
        seed: options.seed,
        execution: execution(engine, model.plan),
        gate: options.gate,
        warnings: model.warnings.clone(),
        seconds,
        created_at: clock::now(),
        tool: Tool { name: env!("CARGO_PKG_NAME").into(), version: env!("CARGO_PKG_VERSION").into() },
        counterexamples: None,
    }
}

fn execution(engine: &Engine, plan: SessionPlan) -> Execution {
    Execution {
        onnxruntime: engine.version().to_owned(),
        execution_provider: "CPUExecutionProvider".into(),
        optimisation: SessionOptions::default().optimisation.name().to_owned(),
        batch: plan.batch,
        workers: plan.workers,
        threads: plan.threads,
        architecture: std::env::consts::ARCH.to_owned(),
        operating_system: std::env::consts::OS.to_owned(),
    }
}

/// Writes the folder. The certificate comes last: where it is, what it names is there too.
fn write(
    folder: &ReportFolder,
    options: &Options,
    mut setting: Setting,
    evaluation: &Evaluation,
) -> anyhow::Result<Report> {
    folder.remove(CERTIFICATE)?;
    folder.remove(ADVERSARIAL)?;
    if options.report.as_ref().is_some_and(|report| report.counterexamples == StoreCounterexamples::Yes) {
        setting.counterexamples = Some(store(folder, evaluation, setting.manifest.image)?);
    }
    let findings = Findings::new(&setting, evaluation);
    let report = findings.report();
    folder.write(REPORT, &json(&report)?)?;
    folder.write(CERTIFICATE, &json(&findings.certificate())?)?;
    Ok(report)
}

fn store(
    folder: &ReportFolder,
    evaluation: &Evaluation,
    image: ImageShape,
) -> anyhow::Result<Counterexamples> {
    let bytes = CounterexampleSet::of(evaluation, image)?.to_npz(image)?;
    folder.write(ADVERSARIAL, &bytes)?;
    Ok(Counterexamples { file: ADVERSARIAL.into(), digest: digest::of_bytes(&bytes) })
}

fn json(value: &impl serde::Serialize) -> anyhow::Result<Vec<u8>> {
    let mut text = serde_json::to_vec_pretty(value)?;
    text.push(b'\n');
    Ok(text)
}
