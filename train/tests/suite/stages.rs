//! An experiment from the first image to its accuracy.

use predicates::str::contains;

use crate::workshop::{Workshop, stderr_of};

#[test]
fn an_experiment_runs_through_all_stages() {
    let workshop = Workshop::new();
    workshop.stage("pretrain", "out", &[]).assert().success().stderr(contains("peak learning rate"));
    for file in ["config.toml", "log.jsonl", "last.safetensors", "best.safetensors", "state.safetensors"] {
        assert!(workshop.path("out/pretrain").join(file).is_file(), "{file}");
    }
    // 64 images in batches of 8, two epochs.
    let steps = workshop.log("out/pretrain", "step");
    assert_eq!(steps.len(), 16);
    assert!(steps.iter().all(|step| step["loss"].as_f64().unwrap() > 0.0 && step["penalty"].is_f64()));
    assert_eq!(workshop.log("out/pretrain", "epoch").len(), 2);

    workshop.stage("finetune", "out", &[]).assert().success().stderr(contains("initial weights from"));
    let epochs = workshop.log("out/finetune", "epoch");
    assert_eq!(epochs.len(), 3);
    // Colours this far apart are learned at once, and 2/255 does not bridge them.
    assert!(epochs[2]["robust_accuracy"].as_f64().unwrap() > 0.9, "{}", epochs[2]);

    // The first of the best epochs by accuracy under attack, counted from 0.
    let robust = |epoch: &serde_json::Value| epoch["robust_accuracy"].as_f64().unwrap();
    let most = epochs.iter().map(robust).fold(0.0, f64::max);
    let best = &workshop.log("out/finetune", "end")[0]["best"];
    assert_eq!(best["metric"], most);
    assert_eq!(best["epoch"], epochs.iter().position(|epoch| robust(epoch) == most).unwrap());

    let evaluate = workshop.stage("evaluate", "out", &[]).assert().success();
    let text = String::from_utf8(evaluate.get_output().stdout.clone()).unwrap();
    assert!(text.contains("images           40") && text.contains("upper bound"), "{text}");
    let found: serde_json::Value =
        serde_json::from_slice(&workshop.bytes("out/finetune/evaluation.json")).unwrap();
    assert!(found["clean_accuracy"].as_f64().unwrap() > 0.9, "{found}");
    assert!(found["attacked_accuracy"].as_f64() <= found["clean_accuracy"].as_f64());
}

#[test]
fn every_method_and_attack_trains() {
    let workshop = Workshop::new();
    workshop.edit("epochs = 2", "epochs = 1");
    workshop.edit("epochs = 3", "epochs = 1");
    workshop.edit("warmup_epochs = 1\nmin", "warmup_epochs = 0.5\nmin");
    let attacks = [
        ("fgsm", "kind = \"fgsm\"\nepsilon = \"2/255\"\nstep_size = \"2.5/255\""),
        ("apgd", "kind = \"apgd\"\nepsilon = \"2/255\"\nsteps = 2"),
        ("trades", "kind = \"trades\"\nepsilon = \"2/255\"\nstep_size = \"1/255\"\nsteps = 2\nbeta = 6"),
    ];
    let pgd = "kind = \"pgd\"\nepsilon = \"2/255\"\nstep_size = \"1/255\"\nsteps = 2";
    for (name, attack) in attacks {
        workshop.edit(pgd, attack);
        let run = format!("out-{name}");
        workshop.stage("finetune", &run, &["--initial-weights", "scratch"]).assert().success();
        assert_eq!(workshop.log(&format!("{run}/finetune-scratch"), "step").len(), 8, "{name}");
        workshop.edit(attack, pgd);
    }
    workshop.edit(pgd, "kind = \"none\"");
    workshop.edit("epsilon_warmup_epochs = 1", "");
    workshop.stage("finetune", "out-none", &["--initial-weights", "scratch"]).assert().success();
    assert!(workshop.log("out-none/finetune-scratch", "epoch")[0]["robust_accuracy"].is_null());

    workshop.edit("variant = \"paper\"", "variant = \"authors\"");
    for estimator in ["hsic", "renyi", "cka_unbiased"] {
        workshop.edit("estimator = \"nhsic\"", &format!("estimator = \"{estimator}\""));
        workshop.stage("pretrain", &format!("out-{estimator}"), &[]).assert().success();
        workshop.edit(&format!("estimator = \"{estimator}\""), "estimator = \"nhsic\"");
    }
    workshop.edit("[pretrain.penalty]\nestimator = \"nhsic\"\n", "");
    workshop.edit("method = \"mimir\"", "method = \"adv_mae\"");
    workshop.stage("pretrain", "out-adv", &[]).assert().success();
    assert!(workshop.log("out-adv/pretrain", "step")[0]["penalty"].is_null());
}

#[test]
fn bfloat16_trains_on_the_cpu_too() {
    let workshop = Workshop::new();
    workshop.edit("epochs = 2", "epochs = 1\nprecision = \"bfloat16\"");
    workshop.stage("pretrain", "out", &[]).assert().success();
    assert_eq!(workshop.log("out/pretrain", "step").len(), 8);
}

#[test]
fn fine_tuning_says_what_it_misses() {
    let workshop = Workshop::new();
    let error = stderr_of(&mut workshop.stage("finetune", "out", &[]), 2);
    assert!(error.contains("mimir-train pretrain") && error.contains("--initial-weights scratch"), "{error}");
    assert!(!workshop.path("out").exists(), "what did not start leaves no folder");
}

/// Fine-tuning on clean images without anything random but order and crops.
fn plain(workshop: &Workshop) {
    workshop.edit("kind = \"pgd\"\nepsilon = \"2/255\"\nstep_size = \"1/255\"\nsteps = 2", "kind = \"none\"");
    for line in ["epsilon_warmup_epochs = 1", "drop_path = 0.1", "ema_decay = 0.9", "clip_norm = 1.0"] {
        workshop.edit(line, "");
    }
    workshop.edit("[finetune.mix]\nmixup = 0.8\ncutmix = 1.0\nprobability = 0.5", "");
}

#[test]
fn the_learning_rate_warms_up_and_falls() {
    let workshop = Workshop::new();
    plain(&workshop);
    workshop.stage("finetune", "out", &["--initial-weights", "scratch"]).assert().success();
    let rates: Vec<f64> = workshop
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
    let workshop = Workshop::new();
    plain(&workshop);
    let scratch = ["--initial-weights", "scratch"];
    workshop.stage("finetune", "parts", &scratch).assert().success();
    workshop.edit("accumulate = 2", "accumulate = 1");
    workshop.stage("finetune", "whole", &scratch).assert().success();
    let first = |run: &str| workshop.log(&format!("{run}/finetune-scratch"), "step")[0].clone();
    for number in ["loss", "gradient_norm"] {
        let (parts, whole) =
            (first("parts")[number].as_f64().unwrap(), first("whole")[number].as_f64().unwrap());
        // float32 sums in another order.
        assert!((parts / whole - 1.0).abs() < 1e-4, "{number}: {parts} and {whole}");
    }
}

#[test]
fn gradients_do_not_outlive_their_step() {
    let workshop = Workshop::new();
    plain(&workshop);
    workshop.edit("base_learning_rate = 0.1", "base_learning_rate = 1e-12");
    workshop.stage("finetune", "out", &["--initial-weights", "scratch"]).assert().success();
    let norms: Vec<f64> = workshop
        .log("out/finetune-scratch", "step")
        .iter()
        .map(|step| step["gradient_norm"].as_f64().unwrap())
        .collect();
    // The weights stay, so all 24 steps see much the same gradient; added up they would grow with the steps.
    assert!(norms[23] < 3.0 * norms[0], "{norms:?}");
}
