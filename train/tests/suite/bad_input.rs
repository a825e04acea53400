//! Errors name the cause and the remedy.

use crate::experiment_folder::{ExperimentFolder, stderr_of};

#[test]
fn configurations_that_make_no_sense() {
    let cases: [(&str, &str, &[&str]); 9] = [
        ("mask_ratio = 0.5", "mask_ration = 0.5", &["mask_ration", "mask_ratio"]),
        ("method = \"mimir\"", "method = \"mae\"", &["pretrain.adversary", "no effect", "mae"]),
        ("patch_size = 8", "patch_size = 7", &["patch_size 7", "1, 2, 4, 8, 16, 32"]),
        ("heads = 2\npatch", "heads = 3\npatch", &["heads 3", "width 16"]),
        ("mask_ratio = 0.5", "mask_ratio = 1.5", &["pretrain.mask_ratio", "1.5", "(0, 1)"]),
        ("family = \"vit\"", "family = \"vit\"\nname = \"vit_tiny\"", &["model.family", "no effect"]),
        ("epsilon = \"8/255\"", "epsilon = \"8/0\"", &["8/0", "8/255"]),
        (
            "batch = 8\nepochs",
            "batch = 8\naccumulate = 3\nepochs",
            &["pretrain.training.accumulate", "divisor"],
        ),
        ("batch = 8\nepochs", "batch = 800\nepochs", &["800", "64"]),
    ];
    for (from, to, wanted) in cases {
        let experiment = ExperimentFolder::new();
        experiment.edit(from, to);
        let error = stderr_of(&mut experiment.stage("pretrain", "out", &[]), 2);
        for text in wanted {
            assert!(error.contains(text), "`{to}` gives {error}, which lacks `{text}`");
        }
        assert!(!experiment.path("out").exists(), "`{to}` left a folder behind");
    }
}

#[test]
fn a_truncated_data_file_is_named() {
    let experiment = ExperimentFolder::new();
    let path = experiment.path("cifar/data_batch_3.bin");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 100]).unwrap();
    let error = stderr_of(&mut experiment.stage("pretrain", "out", &[]), 4);
    assert!(error.contains("data_batch_3.bin"), "{error}");
}

#[test]
fn labels_without_a_class_name_the_key() {
    let experiment = ExperimentFolder::new();
    let path = experiment.path("cifar/data_batch_1.bin");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[0] = 5;
    std::fs::write(&path, &bytes).unwrap();
    let error = stderr_of(&mut experiment.stage("pretrain", "out", &[]), 2);
    for text in ["`data.classes`: found 2", "at least 6", "cifar10:cifar"] {
        assert!(error.contains(text), "{error} lacks {text}");
    }
}

/// A folder of classes has no test split: what it holds was trained on.
#[test]
fn training_images_are_not_evaluated_on() {
    let experiment = ExperimentFolder::of_files();
    experiment.edit("epochs = 3", "epochs = 1");
    experiment.edit("warmup_epochs = 1\nmin", "warmup_epochs = 0.5\nmin");
    let scratch = ["--initial-weights", "scratch"];
    experiment.stage("finetune", "out", &scratch).assert().success();
    let weights = "out/finetune-scratch/last.safetensors";
    let evaluate = |more: &[&str]| {
        let mut command = experiment.stage("evaluate", "out", &["--weights", weights]);
        command.args(more);
        command
    };
    let error = stderr_of(&mut evaluate(&[]), 2);
    assert!(error.contains("data.test is missing") && error.contains("folder:images"), "{error}");
    let error = stderr_of(&mut evaluate(&["--test", "folder:images"]), 2);
    assert!(error.contains("data.test") && error.contains("not trained on"), "{error}");
    // The same images at another place.
    std::fs::rename(experiment.path("images"), experiment.path("moved")).unwrap();
    let error = stderr_of(&mut evaluate(&["--test", "folder:moved"]), 2);
    assert!(error.contains("the test set is the set that") && error.contains("--test"), "{error}");
    evaluate(&["--test", "cifar10:cifar"]).assert().success();
    assert!(experiment.path("out/finetune-scratch/evaluation.json").is_file());
}

#[test]
fn a_gpu_that_is_not_there_is_an_error() {
    if tch::Cuda::is_available() {
        return;
    }
    let experiment = ExperimentFolder::new();
    let error = stderr_of(&mut experiment.stage("pretrain", "out", &["--device", "cuda"]), 2);
    assert!(error.contains("--device cpu"), "{error}");
}

#[test]
fn a_loss_that_is_no_number_stops_with_the_step_and_a_state() {
    let experiment = ExperimentFolder::new();
    experiment.edit("base_learning_rate = 0.03", "base_learning_rate = 1e30");
    let error = stderr_of(&mut experiment.stage("pretrain", "out", &[]), 1);
    assert!(error.contains("of step") && error.contains("state.safetensors"), "{error}");
    assert!(experiment.path("out/pretrain/state.safetensors").is_file());
    assert_eq!(experiment.log("out/pretrain", "error").len(), 1);
}

#[test]
fn a_checkpoint_of_another_network_lists_the_differences() {
    let experiment = ExperimentFolder::new();
    experiment.edit("epochs = 3", "epochs = 1");
    experiment.edit("warmup_epochs = 1\nmin", "warmup_epochs = 0.5\nmin");
    experiment.stage("finetune", "out", &["--initial-weights", "scratch"]).assert().success();
    experiment.edit("width = 16\ndepth = 2", "width = 32\ndepth = 3");
    let weights = "out/finetune-scratch/last.safetensors";
    let error = stderr_of(&mut experiment.stage("evaluate", "out", &["--weights", weights]), 1);
    for text in ["blocks.2.attn.qkv.weight", "[16]", "[32]"] {
        assert!(error.contains(text), "{error} lacks {text}");
    }
}

#[test]
fn a_class_folder_without_images_is_named() {
    let experiment = ExperimentFolder::of_files();
    std::fs::create_dir(experiment.path("images/green")).unwrap();
    let error = stderr_of(&mut experiment.stage("pretrain", "out", &[]), 4);
    assert!(error.contains("green"), "{error}");
}

#[test]
fn a_corrupt_image_stops_the_run_or_is_skipped_and_counted() {
    let experiment = ExperimentFolder::of_files();
    let path = experiment.path("images/red/07.png");
    let bytes = std::fs::read(&path).unwrap();
    // A whole header and half of the pixels.
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let error = stderr_of(&mut experiment.stage("pretrain", "out", &[]), 4);
    assert!(error.contains("red/07.png"), "{error}");

    experiment.edit("held_out = 0", "held_out = 0\nbroken_images = \"skip\"");
    experiment.stage("pretrain", "skipping", &[]).assert().success();
    let skipped = experiment.log("skipping/pretrain", "skipped");
    assert!(
        !skipped.is_empty() && skipped.iter().all(|line| line["file"].as_str().unwrap().ends_with("07.png"))
    );
    assert_eq!(experiment.log("skipping/pretrain", "end")[0]["skipped_images"], skipped.len());
}

#[test]
fn a_full_disk_leaves_the_checkpoint_before_it() {
    let experiment = ExperimentFolder::new();
    experiment.edit("epochs = 2", "epochs = 1");
    experiment.stage("pretrain", "out", &[]).assert().success();
    let before = experiment.bytes("out/pretrain/state.safetensors");
    experiment.edit("epochs = 1", "epochs = 2");
    // The file size that a process may write stands for a disk: the state does not fit, the log does.
    let script = "ulimit -f 20; exec \"$0\" pretrain experiment.toml --run full --threads 1";
    let output = std::process::Command::new("bash")
        .current_dir(experiment.path(""))
        .args(["-c", script, env!("CARGO_BIN_EXE_mimir-train")])
        .output()
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("safetensors"), "{error}");
    assert!(!experiment.path("full/pretrain/state.safetensors").exists(), "half a state is none");
    assert!(experiment.bytes("out/pretrain/state.safetensors") == before);
}
