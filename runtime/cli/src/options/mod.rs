//! What the program needs, made from what was typed: every choice is made here, once.

mod attacks;
mod gate;
mod images;
mod normalisation;

use std::num::NonZero;

use mimir_bundle::{ChannelOrder, ImageShape, InvalidRadius, Layout, Norm, Pixels, ThreatModel};
use mimir_certify::{
    ApproximateSearch, BundleMode, CertifyOptions, CheckOptions, ClassifyOptions, CrossChecking,
    EngineChoice, EngineOptions, ErrorKind, ExistingJournal, FeaturesOptions, GateMode, InputSpec,
    KeepCounterexamples, MOST_LANDSCAPES, MakeExtraPasses, ModelInput, ReplayOptions, ReportOptions,
    StoreCounterexamples, SurrogateSource,
};
use mimir_runtime::evaluate::Curve;
use mimir_runtime::processor;
use mimir_runtime::session::{Device, EngineError, Precision};
use mimir_runtime::tune::Overrides;

pub(crate) use attacks::{attacks, extra_attacks};
use gate::gate;
use images::images;
use normalisation::normalisation;

use crate::args::{ReplayArgs, SelfTestArgs};
use crate::failure::{Failure, OrKind, failure};
use crate::settings::{
    ChannelsName, EngineName, LayoutName, LoadedSettings, NormName, PixelsName, PrecisionName, Settings,
};
use crate::terminal::tell;

/// Everything that `run` needs to know.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Options {
    pub(crate) certify: CertifyOptions,
}

/// Whether progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verbosity {
    /// Progress, and every step.
    Details,
    Progress,
    Quiet,
}

impl Verbosity {
    /// What the flags ask for.
    ///
    /// # Errors
    /// When they contradict each other.
    pub(crate) fn new(quiet: bool, verbose: bool) -> Result<Self, Failure> {
        match (quiet, verbose) {
            (true, true) => Err(usage("--quiet and --verbose: give one of them")),
            (true, false) => Ok(Self::Quiet),
            (false, true) => Ok(Self::Details),
            (false, false) => Ok(Self::Progress),
        }
    }
}

impl Options {
    /// Gives the settings of a run their meaning.
    ///
    /// # Errors
    /// When something required is absent, out of its range, or without effect.
    pub(crate) fn new(model: &ModelInput, loaded: LoadedSettings) -> Result<Self, Failure> {
        let LoadedSettings { settings, record } = loaded;
        let (threat_model, input) = (threat_model(&settings)?, input_spec(model, &settings)?);
        let surrogate = surrogate(&settings, &input)?;
        let certify = CertifyOptions {
            model: model.clone(),
            bundle: bundle_mode(model, &settings)?,
            images: images(&settings)?,
            normalisation: input.normalisation,
            channel_order: input.channel_order,
            layout: input.layout,
            input_shape: input.image,
            output: input.output,
            threat_model,
            attacks: attacks(&settings, threat_model.norm)?,
            surrogate,
            feature: settings.feature.clone(),
            extra_attacks: extra_attacks(&settings),
            seed: settings.seed.unwrap_or_default(),
            report: report(&settings)?,
            keep_counterexamples: KeepCounterexamples::No,
            gate: gate(&settings)?,
            curve: curve(&settings)?,
            extra_passes: match settings.diagnose {
                Some(true) => MakeExtraPasses::Yes,
                Some(false) | None => MakeExtraPasses::No,
            },
            landscapes: landscapes(&settings)?,
            settings: record,
            approximate_search: approximate_search(&settings),
            engine: engine(settings)?,
        };
        Ok(Self { certify })
    }
}

/// Gives the arguments of a replay their meaning.
///
/// # Errors
/// When the images are named in no way that there is.
pub(crate) fn replay_options(args: ReplayArgs) -> Result<ReplayOptions, Failure> {
    let ReplayArgs { report, model, image, data, engine, device, onnxruntime } = args;
    let images = data.map(|data| data.parse()).transpose().or_kind(ErrorKind::Options)?;
    let (engine, device) = (engine.map(engine_choice), device.0);
    let model = ModelInput::open(model)?;
    Ok(ReplayOptions { report, model, images, only: image, engine, device, library: onnxruntime })
}

/// What runs the canaries of a self-test.
pub(crate) fn self_test_engine(args: SelfTestArgs) -> EngineOptions {
    let SelfTestArgs { engine, device, onnxruntime, json: _ } = args;
    let choice = engine.map(engine_choice).unwrap_or_default();
    EngineOptions { choice, device: device.0, library: onnxruntime, ..EngineOptions::default() }
}

/// Gives the settings of a check their meaning; those of the report and the gate have none.
///
/// # Errors
/// As [`Options::new`], but neither images nor a radius are required.
pub(crate) fn check_options(model: &ModelInput, settings: Settings) -> Result<CheckOptions, Failure> {
    // No cost depends on the radius.
    const ANY_RADIUS: f64 = 8.0 / 255.0;
    let threat_model = match settings.epsilon {
        Some(_) => threat_model(&settings)?,
        None => ThreatModel { norm: norm(&settings), epsilon: ANY_RADIUS, pixels: Pixels::Continuous },
    };
    Ok(CheckOptions {
        model: model.clone(),
        images: settings.data.is_some().then(|| images(&settings)).transpose()?,
        input: input_spec(model, &settings)?,
        threat_model,
        attacks: attacks(&settings, threat_model.norm)?,
        feature: settings.feature.clone(),
        approximate_search: approximate_search(&settings),
        engine: engine(settings)?,
    })
}

/// Gives the settings of a list of features their meaning; those of images and attacks have none.
///
/// # Errors
/// As [`Options::new`], but neither images nor a radius are required.
pub(crate) fn features_options(model: &ModelInput, settings: Settings) -> Result<FeaturesOptions, Failure> {
    let input = input_spec(model, &settings)?;
    Ok(FeaturesOptions { model: model.clone(), input, engine: engine(settings)? })
}

/// Gives the settings of a classification their meaning; those of attacks, report and gate have none.
///
/// # Errors
/// As [`Options::new`], but no radius is required.
pub(crate) fn classify_options(model: &ModelInput, settings: Settings) -> Result<ClassifyOptions, Failure> {
    Ok(ClassifyOptions {
        model: model.clone(),
        images: images(&settings)?,
        input: input_spec(model, &settings)?,
        engine: engine(settings)?,
    })
}

/// How images become the input of the model: as its bundle says, which the settings agree with, else as they say.
fn input_spec(model: &ModelInput, settings: &Settings) -> Result<InputSpec, Failure> {
    match model.input_spec() {
        Some(described) => Ok(described),
        None => Ok(InputSpec {
            normalisation: normalisation(settings)?,
            channel_order: channel_order(settings),
            layout: settings.layout.map(layout),
            image: settings.input_shape.as_deref().map(input_shape).transpose()?,
            output: settings.output.clone(),
        }),
    }
}

/// The second model, with the normalisation of the first unless it has one of its own.
fn surrogate(settings: &Settings, attacked: &InputSpec) -> Result<Option<SurrogateSource>, Failure> {
    let Settings { surrogate, surrogate_mean: mean, surrogate_std: std, .. } = settings;
    let has_normalisation = mean.is_some() || std.is_some();
    let Some(path) = surrogate else {
        return match has_normalisation {
            true => Err(usage("--surrogate-mean and --surrogate-std have no effect without --surrogate")),
            false => Ok(None),
        };
    };
    let model = ModelInput::open(path)?;
    let input = match (model.input_spec(), has_normalisation) {
        (Some(described), false) => described,
        (Some(_), true) => {
            return Err(usage(
                "--surrogate-mean and --surrogate-std: the bundle of the surrogate says what its model takes; omit them",
            ));
        }
        (None, false) => InputSpec { output: None, layout: None, ..attacked.clone() },
        (None, true) => {
            let own = Settings { mean: mean.clone(), std: std.clone(), ..Settings::default() };
            let normalisation = normalisation(&own).map_err(|error| {
                usage(
                    error
                        .to_string()
                        .replace("--mean", "--surrogate-mean")
                        .replace("--std", "--surrogate-std"),
                )
            })?;
            InputSpec { normalisation, output: None, layout: None, ..attacked.clone() }
        }
    };
    Ok(Some(SurrogateSource { model, input }))
}

/// Whether the certificate goes into the bundle.
fn bundle_mode(model: &ModelInput, settings: &Settings) -> Result<BundleMode, Failure> {
    let (keep, replace) = (settings.keep_bundle == Some(true), settings.replace_certificate == Some(true));
    let without_effect =
        |flag| Err(usage(format!("--{flag} has no effect on a model that is no bundle; omit it")));
    match (model.bundle(), keep, replace) {
        (Some(_), false, false) => Ok(BundleMode::WriteCertificate),
        (Some(_), false, true) => Ok(BundleMode::ReplaceCertificate),
        (Some(_), true, false) | (None, false, false) => Ok(BundleMode::LeaveAlone),
        (Some(_), true, true) => Err(usage(
            "--keep-bundle and --replace-certificate: the one leaves the bundle alone, the other changes it; give one of \
             them",
        )),
        (None, true, _) => without_effect("keep-bundle"),
        (None, false, true) => without_effect("replace-certificate"),
    }
}

fn usage(message: impl std::fmt::Display) -> Failure {
    failure(ErrorKind::Options, message)
}

/// `C,H,W`, or with a batch in front that says nothing of an image.
fn input_shape(sizes: &[usize]) -> Result<ImageShape, Failure> {
    let image = match *sizes {
        [channels, height, width] | [_, channels, height, width] => ImageShape { channels, height, width },
        _ => {
            let count = sizes.len();
            return Err(usage(format!(
                "--input-shape has {count} sizes: wanted channels, height and width of one image, e.g. \
                 --input-shape 3,224,224"
            )));
        }
    };
    let sizes = [image.channels, image.height, image.width];
    match sizes.iter().try_fold(1_usize, |pixels, size| pixels.checked_mul(*size)) {
        Some(1..) => Ok(image),
        _ => Err(usage("--input-shape: wanted positive sizes of one image, e.g. --input-shape 3,224,224")),
    }
}

fn channel_order(settings: &Settings) -> ChannelOrder {
    match settings.channels {
        Some(ChannelsName::Bgr) => ChannelOrder::Bgr,
        Some(ChannelsName::Rgb) | None => ChannelOrder::Rgb,
    }
}

fn layout(name: LayoutName) -> Layout {
    match name {
        LayoutName::Nchw => Layout::Nchw,
        LayoutName::Nhwc => Layout::Nhwc,
        LayoutName::Flat => Layout::Flat,
    }
}

/// The norm of the perturbation.
pub(crate) fn norm(settings: &Settings) -> Norm {
    match settings.norm {
        Some(NormName::L1) => Norm::L1,
        Some(NormName::L2) => Norm::L2,
        Some(NormName::Linf) | None => Norm::Linf,
    }
}

fn threat_model(settings: &Settings) -> Result<ThreatModel, Failure> {
    let Some(epsilon) = &settings.epsilon else {
        return Err(usage("no radius: give --epsilon, for pixels in [0, 1], e.g. --epsilon 8/255"));
    };
    let pixels = match settings.pixels {
        Some(PixelsName::EightBit) => Pixels::EightBit,
        Some(PixelsName::Continuous) | None => Pixels::Continuous,
    };
    let checked = ThreatModel::new(norm(settings), epsilon.value());
    checked.and_then(|threat_model| threat_model.with_pixels(pixels)).map_err(|invalid| match invalid {
        InvalidRadius::TooLarge(_) => usage(format!(
            "--epsilon {epsilon} is larger than the range of a pixel in [0, 1]: for levels of 0 to 255 write \
             --epsilon {epsilon}/255"
        )),
        InvalidRadius::NotPositive(_) | InvalidRadius::BelowOneLevel(_) => {
            usage(format!("--epsilon {epsilon}: {invalid}"))
        }
    })
}

fn report(settings: &Settings) -> Result<Option<ReportOptions>, Failure> {
    let (save, resume) = (settings.save_adversarial == Some(true), settings.resume == Some(true));
    let Some(folder) = &settings.report else {
        return match (save, resume) {
            (true, _) => Err(usage("--save-adversarial has no effect without --report: name the folder")),
            (_, true) => {
                Err(usage("--resume has no effect without --report: name the folder of the journal"))
            }
            (false, false) => Ok(None),
        };
    };
    Ok(Some(ReportOptions {
        folder: folder.clone(),
        counterexamples: if save { StoreCounterexamples::Yes } else { StoreCounterexamples::No },
        existing_journal: if resume { ExistingJournal::Resume } else { ExistingJournal::Refuse },
    }))
}

fn landscapes(settings: &Settings) -> Result<usize, Failure> {
    match settings.landscape {
        Some(landscapes) if landscapes > MOST_LANDSCAPES => Err(usage(format!(
            "--landscape {landscapes}: the loss is drawn around at most {MOST_LANDSCAPES} images"
        ))),
        landscapes => Ok(landscapes.unwrap_or_default()),
    }
}

fn curve(settings: &Settings) -> Result<Curve, Failure> {
    if settings.curve != Some(true) {
        return Ok(Curve::No);
    }
    if gate(settings)?.is_some_and(|gate| gate.mode == GateMode::StopWhenDecided && gate.baseline.is_none()) {
        return Err(usage(
            "--curve with a gate: a run that stops at the gate's answer has no curve; add --full",
        ));
    }
    Ok(Curve::Yes)
}

fn engine(settings: Settings) -> Result<EngineOptions, Failure> {
    check_engine(&settings)?;
    let precision = precision(settings.precision, processor::has_bfloat16_products(), tell);
    let Settings { engine, device, cross_check, workers, threads, batch, onnxruntime, .. } = settings;
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    check_cores(cores, workers, threads)?;
    check_batch(batch)?;
    Ok(EngineOptions {
        choice: engine.map_or(EngineChoice::Found, engine_choice),
        device: device.unwrap_or_default().0,
        cross_checking: if cross_check == Some(true) { CrossChecking::Yes } else { CrossChecking::No },
        library: onnxruntime,
        overrides: Overrides { batch, workers, threads },
        precision,
    })
}

fn approximate_search(settings: &Settings) -> ApproximateSearch {
    match settings.accept_approximate {
        Some(true) => ApproximateSearch::Accept,
        Some(false) | None => ApproximateSearch::Refuse,
    }
}

/// The engine of a flag.
fn engine_choice(name: EngineName) -> EngineChoice {
    match name {
        EngineName::Ort => EngineChoice::OnnxRuntime,
        EngineName::Rten => EngineChoice::Rten,
    }
}

/// What has no effect on the engine, or is not of the device.
fn check_engine(settings: &Settings) -> Result<(), Failure> {
    let device = settings.device.unwrap_or_default().0;
    let mixed = settings.precision == Some(PrecisionName::Mixed);
    if device != Device::Cpu && mixed {
        return Err(usage(format!(
            "--precision mixed has no effect on {device}: it applies to the CPU only; omit it"
        )));
    }
    if settings.engine != Some(EngineName::Rten) {
        return Ok(());
    }
    if device != Device::Cpu {
        return Err(usage(EngineError::ProcessorOnly(device)));
    }
    if mixed {
        return Err(usage("--precision mixed has no effect on rten, which computes in float32; omit it"));
    }
    if settings.onnxruntime.is_some() && settings.cross_check != Some(true) {
        return Err(usage("--onnxruntime has no effect with --engine rten; add --cross-check, or omit it"));
    }
    Ok(())
}

/// What is computed in, and so what the report says: a settings file may ask for `mixed` on machines of several kinds.
fn precision(name: Option<PrecisionName>, has_bfloat16_products: bool, tell: impl FnOnce(&str)) -> Precision {
    match name {
        Some(PrecisionName::Mixed) if has_bfloat16_products => Precision::Mixed,
        Some(PrecisionName::Mixed) => {
            tell(
                "note: --precision mixed: this processor has no products in bfloat16 (AVX512-BF16 on x86-64); searches run in \
                 float32, and the report says so",
            );
            Precision::Float32
        }
        Some(PrecisionName::Float32) | None => Precision::Float32,
    }
}

/// Memory grows with the batch, and beyond some dozens of images time per image does too.
fn check_batch(batch: Option<NonZero<usize>>) -> Result<(), Failure> {
    const MOST: usize = 4096;
    match batch {
        Some(batch) if batch.get() > MOST => Err(usage(format!(
            "--batch {batch}: wanted 1 to {MOST} images; omit the flag to have it chosen automatically"
        ))),
        _ => Ok(()),
    }
}

/// More busy threads than cores only wait for each other.
fn check_cores(
    cores: usize,
    workers: Option<NonZero<usize>>,
    threads: Option<NonZero<usize>>,
) -> Result<(), Failure> {
    let (workers, threads) = (workers.map_or(1, NonZero::get), threads.map_or(1, NonZero::get));
    if workers.saturating_mul(threads) <= cores {
        return Ok(());
    }
    Err(usage(format!(
        "{workers} workers with {threads} threads each need more than the {cores} cores of this machine; omit \
         --workers and --threads to have them chosen automatically"
    )))
}

#[cfg(test)]
mod tests {
    use mimir_bundle::certificate::RunSettings;
    use mimir_bundle::{AttackSpec, Normalisation};

    use super::*;
    use mimir_data::{ReadOptions, Split};
    use mimir_runtime::report::MinAccuracy;

    use crate::settings::{DeviceName, GateOnName, SplitName};

    #[test]
    fn where_there_is_no_reduced_precision_searches_run_in_float32_and_that_is_said() {
        let resolved = |name, has_products| {
            let mut said = String::new();
            (precision(name, has_products, |line| said = line.to_owned()), said)
        };
        let (mixed, float32) = (Some(PrecisionName::Mixed), Some(PrecisionName::Float32));
        assert_eq!(resolved(mixed, true), (Precision::Mixed, String::new()));
        for name in [float32, None] {
            assert_eq!(resolved(name, true), (Precision::Float32, String::new()));
            assert_eq!(resolved(name, false), (Precision::Float32, String::new()));
        }
        let (found, said) = resolved(mixed, false);
        assert_eq!(found, Precision::Float32);
        assert!(said.contains("searches run in float32"), "{said}");
    }

    #[test]
    fn more_busy_threads_than_cores_are_refused() {
        let number = NonZero::new;
        for (workers, threads, fits) in
            [(0, 0, true), (2, 2, true), (4, 0, true), (0, 5, false), (3, 2, false), (usize::MAX, 2, false)]
        {
            assert_eq!(check_cores(4, number(workers), number(threads)).is_ok(), fits, "{workers} {threads}");
        }
        let error = check_cores(4, number(3), number(2)).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Options);
        assert!(error.to_string().contains("the 4 cores"), "{error}");
    }

    fn numbers(values: &[f64]) -> Vec<crate::settings::Fraction> {
        values.iter().map(|value| value.to_string().parse().unwrap()).collect()
    }

    fn rten() -> Option<EngineName> {
        Some(EngineName::Rten)
    }

    fn cuda() -> DeviceName {
        "cuda:1".parse().unwrap()
    }

    /// The least that a run needs.
    fn settings() -> Settings {
        Settings {
            data: Some("npz:images.npz".into()),
            epsilon: Some("2/255".parse().unwrap()),
            ..Settings::default()
        }
    }

    fn changed(change: impl FnOnce(&mut Settings)) -> Result<Options, Failure> {
        let mut settings = settings();
        change(&mut settings);
        let loaded = LoadedSettings { settings, record: RunSettings::default() };
        Options::new(&"model.onnx".into(), loaded)
    }

    #[test]
    fn the_least_that_a_run_needs() {
        let options = changed(|_| {}).unwrap().certify;
        assert_eq!(
            options.threat_model,
            ThreatModel { norm: Norm::Linf, epsilon: 2.0 / 255.0, pixels: Pixels::Continuous }
        );
        assert_eq!(options.images.read, ReadOptions { split: Split::Test, first: None });
        assert_eq!((options.report, options.gate, options.normalisation), (None, None, None));
        assert_eq!(options.engine, EngineOptions::default());
    }

    #[test]
    fn settings_arrive() {
        let options = changed(|settings| {
            settings.mean = Some(numbers(&[0.5]));
            settings.std = Some(numbers(&[0.25]));
            settings.channels = Some(ChannelsName::Bgr);
            settings.layout = Some(LayoutName::Nhwc);
            settings.input_shape = Some(vec![1, 3, 32, 16]);
            settings.norm = Some(NormName::L2);
            settings.pixels = Some(PixelsName::EightBit);
            settings.epsilon = Some("8".parse().unwrap());
            settings.steps = Some(7);
            settings.report = Some("out".into());
            settings.save_adversarial = Some(true);
            settings.resume = Some(true);
            settings.min_attacked_accuracy = Some(0.5);
            settings.full = Some(true);
            settings.curve = Some(true);
            settings.diagnose = Some(true);
            settings.landscape = Some(2);
            settings.engine = Some(EngineName::Rten);
            settings.cross_check = Some(true);
        });
        let options = options.unwrap().certify;
        assert_eq!(options.normalisation, Some(Normalisation::new([0.5], [0.25])));
        assert_eq!(options.channel_order, ChannelOrder::Bgr);
        assert_eq!(options.layout, Some(Layout::Nhwc));
        assert_eq!(options.input_shape, Some(ImageShape { channels: 3, height: 32, width: 16 }));
        assert_eq!(
            options.threat_model,
            ThreatModel { norm: Norm::L2, epsilon: 8.0, pixels: Pixels::EightBit }
        );
        let AttackSpec::ApgdCe(apgd) = &options.attacks[0] else { panic!("{:?}", options.attacks) };
        assert_eq!(apgd.steps, 7);
        let report = ReportOptions {
            folder: "out".into(),
            counterexamples: StoreCounterexamples::Yes,
            existing_journal: ExistingJournal::Resume,
        };
        let gate = options.gate.unwrap();
        assert_eq!(gate.mode, GateMode::RunAll);
        assert_eq!(gate.requirements.min_attacked_accuracy, MinAccuracy::new(0.5));
        assert_eq!(options.curve, Curve::Yes);
        assert_eq!((options.extra_passes, options.landscapes), (MakeExtraPasses::Yes, 2));
        let engine = EngineOptions {
            choice: EngineChoice::Rten,
            cross_checking: CrossChecking::Yes,
            ..EngineOptions::default()
        };
        assert_eq!(options.engine, engine);
        assert_eq!(options.report, Some(report));
    }

    #[test]
    fn quiet_and_verbose_contradict_each_other() {
        assert_eq!(Verbosity::new(false, true).unwrap(), Verbosity::Details);
        assert_eq!(Verbosity::new(true, false).unwrap(), Verbosity::Quiet);
        assert_eq!(Verbosity::new(false, false).unwrap(), Verbosity::Progress);
        let error = Verbosity::new(true, true).unwrap_err();
        assert!(error.to_string().contains("--quiet and --verbose"), "{error}");
    }

    #[test]
    fn mistakes_are_usage_errors_that_name_the_way_out() {
        type Change = fn(&mut Settings);
        let cases: [(Change, &str); 31] = [
            (|s| s.data = None, "--data cifar10:FOLDER"),
            (|s| s.data = Some("cifar:x".into()), "cifar10, mnist, idx, folder, npz"),
            (|s| s.epsilon = None, "--epsilon 8/255"),
            (|s| s.input_shape = Some(vec![32, 32]), "--input-shape has 2 sizes"),
            (|s| s.input_shape = Some(vec![3, 0, 32]), "--input-shape: wanted positive sizes"),
            (|s| s.epsilon = Some("8".parse().unwrap()), "--epsilon 8/255"),
            (
                |s| (s.epsilon, s.pixels) = (Some("0.001".parse().unwrap()), Some(PixelsName::EightBit)),
                "smaller than one level",
            ),
            (|s| s.first = Some(0), "--first 0"),
            (|s| s.split = Some(SplitName::Train), "--split train has no effect on npz:"),
            (|s| s.mean = Some(numbers(&[0.5])), "--std 1"),
            (|s| s.std = Some(numbers(&[0.5])), "--mean 0"),
            (
                |s| (s.mean, s.std) = (Some(numbers(&[0.5, 0.5, 0.5])), Some(numbers(&[0.5]))),
                "3 values and --std 1",
            ),
            (|s| (s.mean, s.std) = (Some(numbers(&[0.5])), Some(numbers(&[0.0]))), "--std 0"),
            (|s| (s.mean, s.std) = (Some(numbers(&[123.7])), Some(numbers(&[0.2]))), "--std has 0.2"),
            (|s| s.save_adversarial = Some(true), "--save-adversarial has no effect without --report"),
            (|s| s.resume = Some(true), "--resume has no effect without --report"),
            (|s| s.full = Some(true), "--full has no effect"),
            (|s| (s.curve, s.min_attacked_accuracy) = (Some(true), Some(0.5)), "add --full"),
            (|s| s.landscape = Some(7), "at most 6 images"),
            (|s| s.samples = Some(1), "--samples has no effect"),
            (|s| s.gate_on = Some(GateOnName::Lower), "--gate-on lower has no effect"),
            (|s| s.min_preset = Some("standard".into()), "--min-preset has no effect"),
            (
                |s| (s.min_preset, s.deny_warnings) = (Some("best".into()), Some(true)),
                "standard, plus, rand, fast, mimir",
            ),
            (|s| s.baseline_tolerance = Some(0.1), "--baseline-tolerance has no effect"),
            (
                |s| (s.baseline, s.baseline_tolerance) = (Some("x".into()), Some(2.0)),
                "--baseline-tolerance 2",
            ),
            (|s| s.min_clean_accuracy = Some(90.0), "--min-clean-accuracy 90"),
            (|s| s.min_attacked_accuracy = Some(40.0), "40 % is 0.40"),
            (|s| (s.engine, s.device) = (rten(), Some(cuda())), "device cuda:1: rten runs on the CPU only"),
            (|s| (s.engine, s.onnxruntime) = (rten(), Some("x.so".into())), "add --cross-check"),
            (|s| (s.device, s.precision) = (Some(cuda()), Some(PrecisionName::Mixed)), "no effect on cuda:1"),
            (|s| s.min_attacked_accuracy = Some(f64::NAN), "in [0, 1]"),
        ];
        for (change, expected) in cases {
            let failure = changed(change).unwrap_err();
            assert!(failure.to_string().contains(expected), "{expected}: {failure}");
            assert_eq!(failure.kind, ErrorKind::Options, "{failure}");
        }
    }
}
