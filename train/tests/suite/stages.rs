//! An experiment from the first image to its accuracy.

use mimir_bundle::architecture::Pooling;
use mimir_bundle::checkpoint::{CheckpointHeader, HEADER_VERSION, Stage};
use mimir_bundle::digest::digest_bytes;
use mimir_bundle::tensor_names;
use mimir_export::network::{BuildOptions, Checkpoint, Wanted, build, describe};
use mimir_export::onnx::write_model;
use mimir_runtime::session::{Data, Engine, Input, RawSession, SessionOptions};
use predicates::str::contains;
use serde_json::json;

use crate::experiment_folder::{ExperimentFolder, stderr_of};

/// Bytes of a record of CIFAR-10: a label and the pixels.
const RECORD: usize = 1 + 3 * 32 * 32;

#[test]
fn an_experiment_runs_through_all_stages() {
    let experiment = ExperimentFolder::new();
    experiment.stage("pretrain", "out", &[]).assert().success().stderr(contains("peak learning rate"));
    for file in ["config.toml", "log.jsonl", "last.safetensors", "best.safetensors", "state.safetensors"] {
        assert!(experiment.path("out/pretrain").join(file).is_file(), "{file}");
    }
    // 64 images in batches of 8, two epochs.
    let steps = experiment.log("out/pretrain", "step");
    assert_eq!(steps.len(), 16);
    assert!(steps.iter().all(|step| step["loss"].as_f64().unwrap() > 0.0 && step["penalty"].is_f64()));
    assert_eq!(experiment.log("out/pretrain", "epoch").len(), 2);

    experiment.stage("finetune", "out", &[]).assert().success().stderr(contains("initial weights from"));
    check_headers(&experiment);
    let epochs = experiment.log("out/finetune", "epoch");
    assert_eq!(epochs.len(), 3);
    // Colours this far apart are learned at once, and 2/255 does not bridge them.
    assert!(epochs[2]["robust_accuracy"].as_f64().unwrap() > 0.9, "{}", epochs[2]);

    // The first of the best epochs by accuracy under attack, counted from 0.
    let robust = |epoch: &serde_json::Value| epoch["robust_accuracy"].as_f64().unwrap();
    let most = epochs.iter().map(robust).fold(0.0, f64::max);
    let best = &experiment.log("out/finetune", "end")[0]["best"];
    assert_eq!(best["metric"], most);
    assert_eq!(best["epoch"], epochs.iter().position(|epoch| robust(epoch) == most).unwrap());

    let evaluate = experiment.stage("evaluate", "out", &[]).assert().success();
    let text = String::from_utf8(evaluate.get_output().stdout.clone()).unwrap();
    assert!(text.contains("images           40") && text.contains("upper bound"), "{text}");
    let found: serde_json::Value =
        serde_json::from_slice(&experiment.bytes("out/finetune/evaluation.json")).unwrap();
    assert!(found["clean_accuracy"].as_f64().unwrap() > 0.9, "{found}");
    assert!(found["attacked_accuracy"].as_f64() <= found["clean_accuracy"].as_f64());
    check_outcomes(&experiment, &found["outcomes"]);
}

/// The exported file classifies each image of the test set as `evaluate` says that the checkpoint does.
fn check_outcomes(experiment: &ExperimentFolder, outcomes: &serde_json::Value) {
    let checkpoint = Checkpoint::read(&experiment.path("out/finetune/best.safetensors")).unwrap();
    let network = describe(&checkpoint, &Wanted::default()).unwrap();
    let graph = build(checkpoint, &network, &BuildOptions::default()).unwrap();
    let engine = Engine::load(None).unwrap();
    let model = write_model(&graph).unwrap();
    let mut session = RawSession::new(&engine, &model, SessionOptions::default()).unwrap();

    let records = experiment.bytes("cifar/test_batch.bin");
    let outcomes = outcomes.as_array().unwrap();
    assert_eq!(outcomes.len(), records.len() / RECORD);
    for (image, (record, outcome)) in records.chunks(RECORD).zip(outcomes).enumerate() {
        let pixels: Vec<f32> = record[1..].iter().map(|&level| f32::from(level) / 255.0).collect();
        let input = Input { name: tensor_names::IMAGES, dims: &[1, 3, 32, 32], data: Data::F32(&pixels) };
        let logits = &session.run(&[input]).unwrap()[0].data;
        let prediction = i64::from(logits[1] > logits[0]);
        assert_eq!((&outcome["image"], &outcome["label"]), (&json!(image), &json!(record[0])));
        assert_eq!(outcome["prediction"], json!(prediction), "image {image}");
        // What the attack leaves alone was right before.
        assert!(outcome["still_robust"] == json!(false) || outcome["prediction"] == outcome["label"]);
    }
}

/// What the checkpoints say of themselves is enough to export the classifier.
fn check_headers(experiment: &ExperimentFolder) {
    let header = |file: &str| {
        let metadata = mimir_train::checkpoint::metadata(&experiment.path(file)).unwrap();
        CheckpointHeader::parse(&metadata.to_string()).unwrap()
    };
    let pretrained = header("out/pretrain/last.safetensors");
    assert_eq!((pretrained.stage, pretrained.epoch, pretrained.epochs), (Stage::Pretrain, Some(2), Some(2)));
    assert_eq!(pretrained.decoder.map(|decoder| decoder.width), Some(16));
    let path = experiment.path("out/finetune/last.safetensors");
    let finetuned = header("out/finetune/last.safetensors");
    assert_eq!(finetuned.version, HEADER_VERSION);
    assert_eq!((finetuned.epoch, finetuned.step, finetuned.seed), (Some(3), Some(24), Some(1)));
    assert_eq!(finetuned.experiment, Some(digest_bytes(&experiment.bytes("out/finetune/config.toml"))));
    // Both stages trained on the same images.
    assert!(finetuned.data.as_ref().is_some_and(|sha256| sha256.len() == 64), "{:?}", finetuned.data);
    assert_eq!(pretrained.data, finetuned.data);
    let checkpoint = Checkpoint::read(&path).unwrap();
    let network = describe(&checkpoint, &Wanted::default()).unwrap();
    assert_eq!((network.classes, network.architecture.width, network.pooling), (2, 16, Pooling::Mean));
    build(checkpoint, &network, &BuildOptions::default()).unwrap();
}

#[test]
fn every_method_and_attack_trains() {
    let experiment = ExperimentFolder::new();
    experiment.edit("epochs = 2", "epochs = 1");
    experiment.edit("epochs = 3", "epochs = 1");
    experiment.edit("warmup_epochs = 1\nmin", "warmup_epochs = 0.5\nmin");
    let attacks = [
        ("fgsm", "kind = \"fgsm\"\nepsilon = \"2/255\"\nstep_size = \"2.5/255\""),
        ("apgd", "kind = \"apgd\"\nepsilon = \"2/255\"\nsteps = 2"),
        ("trades", "kind = \"trades\"\nepsilon = \"2/255\"\nstep_size = \"1/255\"\nsteps = 2\nbeta = 6"),
    ];
    let pgd = "kind = \"pgd\"\nepsilon = \"2/255\"\nstep_size = \"1/255\"\nsteps = 2";
    for (name, attack) in attacks {
        experiment.edit(pgd, attack);
        if name == "trades" {
            experiment.edit("label_smoothing = 0.1", "");
        }
        let run = format!("out-{name}");
        experiment.stage("finetune", &run, &["--initial-weights", "scratch"]).assert().success();
        assert_eq!(experiment.log(&format!("{run}/finetune-scratch"), "step").len(), 8, "{name}");
        experiment.edit(attack, pgd);
    }
    experiment.edit(pgd, "kind = \"none\"");
    experiment.edit("epsilon_warmup_epochs = 1", "");
    experiment.stage("finetune", "out-none", &["--initial-weights", "scratch"]).assert().success();
    assert!(experiment.log("out-none/finetune-scratch", "epoch")[0]["robust_accuracy"].is_null());

    experiment.edit("variant = \"paper\"", "variant = \"authors\"");
    for estimator in ["hsic", "renyi", "cka_unbiased"] {
        experiment.edit("estimator = \"nhsic\"", &format!("estimator = \"{estimator}\""));
        experiment.stage("pretrain", &format!("out-{estimator}"), &[]).assert().success();
        experiment.edit(&format!("estimator = \"{estimator}\""), "estimator = \"nhsic\"");
    }
    experiment.edit("[pretrain.penalty]\nestimator = \"nhsic\"\n", "");
    experiment.edit("method = \"mimir\"", "method = \"adv_mae\"");
    experiment.stage("pretrain", "out-adv", &[]).assert().success();
    assert!(experiment.log("out-adv/pretrain", "step")[0]["penalty"].is_null());
}

#[test]
fn bfloat16_trains_on_the_cpu_too() {
    let experiment = ExperimentFolder::new();
    experiment.edit("epochs = 2", "epochs = 1\nprecision = \"bfloat16\"");
    experiment.stage("pretrain", "out", &[]).assert().success();
    assert_eq!(experiment.log("out/pretrain", "step").len(), 8);
}

#[test]
fn weights_of_an_unfinished_pre_training_are_refused_unless_asked_for() {
    let experiment = ExperimentFolder::new();
    experiment.edit("epochs = 2", "epochs = 100000");
    // An epoch, and then the rest of two seconds: twenty of the 22 are kept for saving.
    stderr_of(&mut experiment.stage("pretrain", "out", &["--time-limit", "22s"]), 75);
    let header =
        mimir_train::checkpoint::metadata(&experiment.path("out/pretrain/last.safetensors")).unwrap();
    let epoch = header["epoch"].as_u64().unwrap();
    assert!(epoch < 100_000);
    experiment.edit("epochs = 3", "epochs = 1");
    experiment.edit("warmup_epochs = 1\nmin", "warmup_epochs = 0.5\nmin");
    let error = stderr_of(&mut experiment.stage("finetune", "out", &[]), 2);
    for text in [&format!("has done {epoch} of its 100000 epochs"), "--resume", "--unfinished"] {
        assert!(error.contains(text), "{error} lacks {text}");
    }
    assert!(!experiment.path("out/finetune").exists(), "what did not start leaves no folder");
    let told = format!("(epoch {epoch} of 100000)");
    experiment.stage("finetune", "out", &["--unfinished"]).assert().success().stderr(contains(told));
}

#[test]
fn random_weights_have_no_layer_decay() {
    let experiment = ExperimentFolder::new();
    let printed = |more: &[&str]| {
        let output = experiment.stage("finetune", "out", more).arg("--print-config").assert().success();
        let text = String::from_utf8(output.get_output().stdout.clone()).unwrap();
        text.parse::<toml::Table>().unwrap()["finetune"]["layer_decay"].as_float().unwrap()
    };
    assert_eq!(printed(&[]), 0.75);
    assert_eq!(printed(&["--initial-weights", "scratch"]), 1.0);
}

#[test]
fn a_variant_is_an_experiment_with_a_folder_of_its_own() {
    let experiment = ExperimentFolder::new();
    experiment.edit("epochs = 2", "epochs = 1");
    experiment.write(
        "sweep.toml",
        "base = \"experiment.toml\"\n[variants.mae]\nremove = [\"pretrain.adversary\", \"pretrain.penalty\"]\n\
         pretrain.method = \"mae\"\n[variants.half]\npretrain.mask_ratio = 0.75\n",
    );
    let run = |more: &[&str]| {
        let mut command = experiment.command(&["pretrain", "sweep.toml", "--threads", "1"]);
        command.args(more);
        command
    };
    let error = stderr_of(&mut run(&[]), 2);
    assert!(error.contains("--variant: half, mae"), "{error}");
    run(&["--variant", "mae"]).assert().success();
    assert!(experiment.log("runs/sweep-mae/seed-1/pretrain", "step")[0]["penalty"].is_null());
    let config = String::from_utf8(experiment.bytes("runs/sweep-mae/seed-1/pretrain/config.toml")).unwrap();
    assert!(config.contains("method = \"mae\"") && !config.contains("base ="), "{config}");
}

#[test]
fn fine_tuning_says_what_it_misses() {
    let experiment = ExperimentFolder::new();
    let error = stderr_of(&mut experiment.stage("finetune", "out", &[]), 2);
    assert!(error.contains("mimir-train pretrain") && error.contains("--initial-weights scratch"), "{error}");
    assert!(!experiment.path("out").exists(), "what did not start leaves no folder");
}

/// Fine-tuning on clean images without anything random but order and crops.
fn plain(experiment: &ExperimentFolder) {
    experiment
        .edit("kind = \"pgd\"\nepsilon = \"2/255\"\nstep_size = \"1/255\"\nsteps = 2", "kind = \"none\"");
    for line in ["epsilon_warmup_epochs = 1", "drop_path = 0.1", "ema_decay = 0.9", "clip_norm = 1.0"] {
        experiment.edit(line, "");
    }
    experiment.edit("[finetune.mix]\nmixup = 0.8\ncutmix = 1.0\nprobability = 0.5", "");
}

#[test]
fn the_learning_rate_warms_up_and_falls() {
    let experiment = ExperimentFolder::new();
    plain(&experiment);
    experiment.stage("finetune", "out", &["--initial-weights", "scratch"]).assert().success();
    let rates: Vec<f64> = experiment
        .log("out/finetune-scratch", "step")
        .iter()
        .map(|step| step["lr"].as_f64().unwrap())
        .collect();
    // Base 0.1 for 256 images: 8 of them learn at a thirty-second part. One epoch of three, 8 steps, warms up.
    let peak = 0.1 * 8.0 / 256.0;
    assert_eq!(rates.len(), 24);
    assert_eq!(rates[0], 0.0);
    assert!((rates[4] - peak / 2.0).abs() < 1e-12 && (rates[8] - peak).abs() < 1e-12, "{rates:?}");
    assert!(rates[8..].is_sorted_by(|a, b| a > b) && rates[23] < 0.1 * peak, "{rates:?}");
}

#[test]
fn a_batch_in_parts_trains_like_the_whole() {
    let experiment = ExperimentFolder::new();
    plain(&experiment);
    let scratch = ["--initial-weights", "scratch"];
    experiment.stage("finetune", "parts", &scratch).assert().success();
    experiment.edit("accumulate = 2", "accumulate = 1");
    experiment.stage("finetune", "whole", &scratch).assert().success();
    let first = |run: &str| experiment.log(&format!("{run}/finetune-scratch"), "step")[0].clone();
    for number in ["loss", "gradient_norm"] {
        let (parts, whole) =
            (first("parts")[number].as_f64().unwrap(), first("whole")[number].as_f64().unwrap());
        // float32 sums in another order.
        assert!((parts / whole - 1.0).abs() < 1e-4, "{number}: {parts} and {whole}");
    }
}

#[test]
fn gradients_do_not_outlive_their_step() {
    let experiment = ExperimentFolder::new();
    plain(&experiment);
    experiment.edit("base_learning_rate = 0.1", "base_learning_rate = 1e-12");
    experiment.stage("finetune", "out", &["--initial-weights", "scratch"]).assert().success();
    let norms: Vec<f64> = experiment
        .log("out/finetune-scratch", "step")
        .iter()
        .map(|step| step["gradient_norm"].as_f64().unwrap())
        .collect();
    // The weights stay, so all 24 steps see much the same gradient; added up they would grow with the steps.
    assert!(norms[23] < 3.0 * norms[0], "{norms:?}");
}

/// Images of 32 pixels are not resized: what is trained on is the same to the last bit, by its digest too.
#[test]
fn prepared_images_train_to_the_same_weights() {
    let experiment = ExperimentFolder::of_files();
    experiment.edit("epochs = 3", "epochs = 1");
    experiment.edit("warmup_epochs = 1\nmin", "warmup_epochs = 0.5\nmin");
    let prepare = ["prepare", "folder:images", "prepared", "--side", "32", "--threads", "2"];
    let said = experiment.command(&prepare).assert().success().get_output().stdout.clone();
    assert!(String::from_utf8(said).unwrap().starts_with("48 images are in prepared: data.source = "));
    // Again: nothing is left to do.
    experiment.command(&prepare).assert().success();
    let weights = [("folder:images", "files"), ("prepared:prepared", "bytes")].map(|(source, run)| {
        experiment
            .stage("finetune", run, &["--initial-weights", "scratch", "--data", source])
            .assert()
            .success();
        let bytes = experiment.bytes(&format!("{run}/finetune-scratch/last.safetensors"));
        let header = 8 + usize::try_from(u64::from_le_bytes(bytes[..8].try_into().unwrap())).unwrap();
        let digest = String::from_utf8_lossy(&bytes[8..header]).split("data\\\":\\\"").nth(1).unwrap()[..64]
            .to_owned();
        (bytes[header..].to_vec(), digest)
    });
    assert!(weights[0] == weights[1]);
    // So they are no test set, in neither form.
    let error = stderr_of(
        &mut experiment.stage(
            "evaluate",
            "files",
            &["--weights", "files/finetune-scratch/last.safetensors", "--test", "prepared:prepared"],
        ),
        2,
    );
    assert!(error.contains("the test set is the set that"), "{error}");
    std::fs::remove_file(experiment.path("prepared/images-00000.bin")).unwrap();
    let mut stage = experiment.stage("finetune", "again", &["--data", "prepared:prepared"]);
    let error = stderr_of(&mut stage, 4);
    assert!(error.contains("go on with `mimir-train prepare folder:images prepared`"), "{error}");
}
