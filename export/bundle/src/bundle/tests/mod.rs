//! Bundles of a model of a few bytes.

mod schema;
mod tampering;

use std::path::Path;

use bytes::Bytes;

use super::*;
use crate::architecture::{Architecture, Family};
use crate::certificate::{Certificate, Interpolation, Preprocessing, Resize, Tool};
use crate::digest::FileDigest;
use crate::testing::certificate_of;
use crate::{ChannelOrder, ImageShape, Layout, Normalisation, PixelType};

pub(super) fn description() -> BundleManifest {
    BundleManifest {
        format: BUNDLE_FORMAT.into(),
        version: BUNDLE_VERSION.into(),
        architecture: Some(Architecture {
            family: Family::Vit,
            width: 192,
            depth: 12,
            heads: 3,
            image_size: 32,
            patch_size: 4,
        }),
        input: InputFacts {
            image: ImageShape { channels: 3, height: 32, width: 32 },
            layout: Layout::Nchw,
            pixel_type: PixelType::Float,
            channel_order: ChannelOrder::Rgb,
            range: [0.0, 1.0],
            normalisation: Some(Normalisation::new([0.5, 0.4, 0.3], [0.25, 0.25, 0.25])),
        },
        preprocessing: Some(Preprocessing {
            resize: Some(Resize::ShorterSide(36)),
            crop: Some([32, 32]),
            interpolation: Interpolation::Bicubic,
        }),
        output: "logits".into(),
        classes: Classes { count: 2, names: Some(vec!["cat".into(), "dog".into()]) },
        features: vec![FeatureTensor { name: "features".into(), shape: vec![65, 192] }],
        provenance: Provenance {
            checkpoint: Some("a".repeat(64)),
            experiment: None,
            data: None,
            parent: None,
            tool: Tool { name: "mimir-export".into(), version: "0.1.0".into(), commit: None },
            created_at: Some("2026-11-30T00:00:00Z".into()),
        },
        files: Vec::new(),
    }
}

pub(super) fn model_files() -> [(String, Bytes); 2] {
    [(MODEL.into(), Bytes::from_static(b"a graph")), (MODEL_DATA.into(), Bytes::from_static(b"its weights"))]
}

pub(super) fn bundle() -> Bundle {
    Bundle::new(description(), model_files()).unwrap()
}

/// A certificate of that bundle for L∞ and so many levels.
pub(super) fn certificate(bundle: &Bundle, levels: f64) -> Certificate {
    let mut certificate = certificate_of(bundle.model_files());
    certificate.threat_model.epsilon = levels / 255.0;
    let InputFacts { image, layout, pixel_type, channel_order, normalisation, .. } = &bundle.manifest().input;
    let model = &mut certificate.model;
    (model.image, model.layout, model.pixel_type) = (*image, *layout, *pixel_type);
    (model.channel_order, model.normalisation) = (*channel_order, normalisation.clone());
    (model.classes, model.output_name) = (bundle.manifest().classes.count, bundle.manifest().output.clone());
    certificate.data.preprocessing = bundle.manifest().preprocessing;
    certificate
}

/// A bundle with two certificates and a signature.
pub(crate) fn complete() -> Bundle {
    let bundle = bundle();
    let bundle = bundle.with_certificate(&certificate(&bundle, 8.0)).unwrap();
    let bundle = bundle.with_certificate(&certificate(&bundle, 4.0)).unwrap();
    bundle.with_signature(&b"{}"[..]).unwrap()
}

#[test]
fn both_forms_have_the_same_content() {
    let (parent, bundle) = (tempfile::tempdir().unwrap(), complete());
    assert!(bundle.files().all(|file| *file.digest() == FileDigest::new(file.name(), file.bytes())));
    let names: Vec<&str> = bundle.files().map(BundleFile::name).collect();
    let wanted = [
        "certificate.json",
        "certificates/linf-4_255.json",
        "manifest.json",
        "model.onnx",
        "model.onnx.data",
        "signature.json",
    ];
    assert_eq!(names, wanted);
    for name in ["folder", "file.mimir"] {
        let path = parent.path().join(name);
        bundle.write_new(&path).unwrap();
        assert!(Bundle::is_at(&path));
        let opened = Bundle::open(&path).unwrap();
        assert_eq!(opened, bundle, "{name}");
        assert!(bundle.write_new(&path).unwrap_err().to_string().contains("name another path"));
    }
    let bytes = std::fs::read(parent.path().join("file.mimir")).unwrap();
    assert_eq!(Bundle::from_bytes(bytes.clone()).unwrap(), bundle);
    let mut again = Vec::new();
    bundle.to_archive(&mut again).unwrap();
    assert!(again == bytes, "the same files give the same bytes");
    assert_eq!(entries(parent.path()), ["file.mimir", "folder"], "nothing is left over");
}

fn entries(folder: &Path) -> Vec<String> {
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<String> = std::fs::read_dir(folder).unwrap().map(name).collect();
    names.sort();
    names
}

#[test]
fn a_certificate_takes_the_place_of_its_threat_model_and_the_signature_is_set_aside() {
    for name in ["folder", "file.mimir"] {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join(name);
        complete().write_new(&path).unwrap();
        let opened = Bundle::open(&path).unwrap();
        let mut newer = certificate(&opened, 4.0);
        newer.seed = 7;
        let error = opened.with_certificate(&newer).unwrap_err().to_string();
        assert!(error.contains("certificates/linf-4_255.json: is of the same threat model, Linf"), "{error}");
        let known = &opened.certificate_of(&newer.threat_model).unwrap().certificate;
        assert_eq!(opened.with_certificate(known).unwrap(), opened, "the very certificate changes nothing");
        let before = opened.file("certificates/linf-4_255.json").unwrap().clone();
        let changed = opened.replacing_certificate(&newer).unwrap();
        let aside = changed.update(&path).unwrap().unwrap();
        let kept = format!("{name}.certificate-{}.json", &before.digest().sha256[..12]);
        assert_eq!(std::fs::read(parent.path().join(kept)).unwrap(), before.bytes()[..], "none is lost");
        assert_eq!(std::fs::read(&aside).unwrap(), b"{}");
        let digest = &crate::digest::digest_bytes(b"{}")[..12];
        assert_eq!(aside.file_name().unwrap().to_str().unwrap(), format!("{name}.signature-{digest}.json"));
        let found = Bundle::open(&path).unwrap();
        assert_eq!(found, changed);
        let seeds: Vec<u64> = found.certificates().iter().map(|known| known.certificate.seed).collect();
        assert_eq!((seeds, found.signature()), (vec![0, 7], None));
        let signed = found.with_signature(&b"{\"again\": 1}"[..]).unwrap();
        assert_eq!(signed.update(&path).unwrap(), None);
        assert_eq!(Bundle::open(&path).unwrap(), signed);
        let again = found.with_signature(&b"{\"again\": 2}"[..]).unwrap();
        assert_eq!(again.update(&path).unwrap(), None);
        assert_eq!(Bundle::open(&path).unwrap(), again);
        assert_eq!(
            entries(parent.path()).len(),
            3,
            "a signature and a certificate were set aside, and no others"
        );
        let kept = Bundle::write_beside(&path, &newer).unwrap();
        assert_eq!(kept.parent(), Some(parent.path().canonicalize().unwrap().as_path()));
        assert_eq!(Certificate::from_json(&std::fs::read_to_string(kept).unwrap()).unwrap(), newer);
    }
}
