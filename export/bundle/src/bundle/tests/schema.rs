//! Consumers validate against the committed schema. `MIMIR_BLESS=1 cargo test` rewrites it.

use super::*;

#[test]
fn committed_schema_is_the_schema_of_the_type() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/bundle.schema.json");
    let schema = serde_json::to_string_pretty(&schemars::schema_for!(BundleManifest)).unwrap() + "\n";
    if std::env::var_os("MIMIR_BLESS").is_some() {
        std::fs::write(path, &schema).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(committed, schema, "docs/bundle.schema.json: run with MIMIR_BLESS=1");
}
