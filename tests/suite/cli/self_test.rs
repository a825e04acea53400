//! `mimir-certify self-test`: canaries with known answers.

use predicates::str::contains;

use super::certify;

#[test]
fn every_canary_is_diagnosed() {
    let output = certify().arg("self-test").assert().success().get_output().clone();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("PASS  10 of 10 canaries were diagnosed\n"), "{text}");
    assert!(!text.contains("WRONG"), "{text}");

    let output = certify().args(["self-test", "--json"]).assert().success().get_output().clone();
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["canaries"].as_array().unwrap().len(), 10);
    assert!(found["canaries"].as_array().unwrap().iter().all(|canary| canary["fault"].is_null()), "{found}");
}

#[test]
fn an_engine_that_is_not_there_is_no_canary() {
    let nowhere = ["self-test", "--engine", "ort", "--onnxruntime", "/nowhere/libonnxruntime.so"];
    certify().args(nowhere).assert().code(70).stderr(contains("/nowhere/libonnxruntime.so"));
}
