"""Checks signatures of mimir-certify with openssl, securesystemslib and in-toto, and theirs with mimir-certify.

    python3 scripts/reference/signing.py target/release/mimir-certify      # signing-requirements.txt, openssl

For each algorithm: keys made by mimir-certify and by openssl; a bundle signed by mimir-certify, whose envelope openssl and
securesystemslib verify; the same statement signed by openssl and by securesystemslib, which mimir-certify verifies. Every one of
the three refuses the payload with one byte changed. The descriptions of the bundle are held against the published schemas.
"""

import base64, hashlib, json, pathlib, subprocess, sys, tempfile

from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import CryptoSigner, SSlibKey

ROOT = pathlib.Path(__file__).resolve().parents[2]
TYPE = "application/vnd.in-toto+json"
ALGORITHMS = {
    "ed25519": ["-algorithm", "ed25519"],
    "ecdsa-p256": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
}


def run(*words, code=0):
    done = subprocess.run([str(word) for word in words], cwd=ROOT, capture_output=True, text=True)
    if done.returncode != code:
        sys.exit(f"{words}: exit code {done.returncode}, wanted {code}\n{done.stdout}{done.stderr}")
    return done.stdout


def make_bundle(program, folder):
    """A bundle of the demo's model with the certificate of a short run."""
    out = folder / "out"
    run(program, "examples/demo/model.onnx", "--data", "npz:examples/demo/images.npz", "--first", 24, "--mean", "0.5",
        "--std", "0.25", "--epsilon", "8/255", "--attacks", "apgd-ce", "--steps", 5, "--report", out, "--quiet")
    certificate = json.loads((out / "certificate.json").read_text())
    model, bundle = certificate["model"], folder / "bundle"
    bundle.mkdir()
    data = (ROOT / "examples/demo/model.onnx").read_bytes()
    (bundle / "model.onnx").write_bytes(data)
    (bundle / "certificate.json").write_bytes((out / "certificate.json").read_bytes())
    facts = ["image", "layout", "pixel_type", "channel_order", "normalisation"]
    manifest = {
        "format": "mimir-bundle", "version": "1.0", "architecture": None,
        "input": {name: model[name] for name in facts} | {"range": [0, 1]},
        "preprocessing": certificate["data"]["preprocessing"], "output": model["output_name"],
        "classes": {"count": model["classes"], "names": None}, "features": [],
        "provenance": {"checkpoint": None, "experiment": None, "data": None, "parent": None, "created_at": None,
                       "tool": {"name": "signing.py", "version": "1", "commit": None}},
        "files": [{"name": "model.onnx", "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}],
    }
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    return bundle


def message(payload):
    """The message that DSSE signs."""
    return b"DSSEv1 %d %s %d %s" % (len(TYPE), TYPE.encode(), len(payload), payload)


def openssl_verifies(algorithm, public, payload, signature, folder):
    (folder / "message").write_bytes(message(payload))
    (folder / "signature").write_bytes(signature)
    if algorithm == "ed25519":
        words = ["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", public, "-in", folder / "message", "-sigfile",
                 folder / "signature"]
    else:
        words = ["dgst", "-sha256", "-verify", public, "-signature", folder / "signature", folder / "message"]
    return subprocess.run(["openssl", *map(str, words)], capture_output=True).returncode == 0


def openssl_signs(algorithm, private, payload, folder):
    (folder / "message").write_bytes(message(payload))
    if algorithm == "ed25519":
        words = ["pkeyutl", "-sign", "-rawin", "-inkey", private, "-in", folder / "message"]
    else:
        words = ["dgst", "-sha256", "-sign", private, folder / "message"]
    return subprocess.run(["openssl", *map(str, words)], capture_output=True, check=True).stdout


def key_id(public):
    der = subprocess.run(["openssl", "pkey", "-pubin", "-in", str(public), "-outform", "DER"], capture_output=True, check=True)
    return hashlib.sha256(der.stdout).hexdigest()


def library_key(public):
    return SSlibKey.from_crypto(load_pem_public_key(public.read_bytes()), keyid=key_id(public))


def library_verifies(public, envelope):
    try:
        return key_id(public) in Envelope.from_dict(json.loads(json.dumps(envelope))).verify([library_key(public)], 1)
    except VerificationError:
        return False


def changed(envelope):
    payload = bytearray(base64.b64decode(envelope["payload"]))
    payload[payload.index(b"manifest.json")] ^= 1
    return envelope | {"payload": base64.b64encode(payload).decode()}


def check_key(program, bundle, folder, algorithm, name):
    private, public = folder / f"{name}.key", folder / f"{name}.pub"
    path = bundle / "signature.json"
    path.unlink(missing_ok=True)
    run(program, "sign", bundle, "--key", private)
    envelope = json.loads(path.read_text())
    payload, (signature,) = base64.b64decode(envelope["payload"]), envelope["signatures"]
    assert signature["keyid"] == key_id(public), "the key id is the SHA-256 of the SPKI"
    assert openssl_verifies(algorithm, public, payload, base64.b64decode(signature["sig"]), folder), "openssl"
    assert library_verifies(public, envelope), "securesystemslib"
    print(f"{algorithm}, key of {name}: openssl and securesystemslib verify the signature of mimir-certify")
    wrong = changed(envelope)
    assert not openssl_verifies(algorithm, public, base64.b64decode(wrong["payload"]), base64.b64decode(signature["sig"]), folder)
    assert not library_verifies(public, wrong)
    path.write_text(json.dumps(wrong))
    run(program, "verify", bundle, "--trust", public, code=10)
    print(f"{algorithm}, key of {name}: all three refuse it when one byte of the payload is another")
    theirs = {"keyid": key_id(public), "sig": base64.b64encode(openssl_signs(algorithm, private, payload, folder)).decode()}
    path.write_text(json.dumps(envelope | {"signatures": [theirs]}))
    run(program, "verify", bundle, "--trust", public)
    signer = CryptoSigner(load_pem_private_key(private.read_bytes(), None), library_key(public))
    library = Envelope(payload, TYPE, {})
    library.sign(signer)
    path.write_text(json.dumps(library.to_dict()))
    run(program, "verify", bundle, "--trust", public)
    print(f"{algorithm}, key of {name}: mimir-certify verifies the signatures of openssl and securesystemslib")
    return payload


def check_statement(payload):
    from google.protobuf import json_format
    from in_toto_attestation.v1 import statement_pb2
    from in_toto_attestation.v1.statement import Statement

    parsed = Statement.copy_from_pb(json_format.Parse(payload, statement_pb2.Statement()))
    parsed.validate()
    names = [subject.name for subject in parsed.pb.subject]
    print(f"in-toto-attestation reads the statement: {parsed.pb.predicate_type}, subjects {', '.join(names)}")


def check_descriptions(program, bundle):
    from cyclonedx.schema import OutputFormat, SchemaVersion
    from cyclonedx.validation import make_schemabased_validator
    from huggingface_hub import ModelCard

    text = run(program, "describe", bundle, "--format", "cyclonedx")
    fault = make_schemabased_validator(OutputFormat.JSON, SchemaVersion.V1_6).validate_str(text)
    assert fault is None, fault
    metrics = json.loads(text)["metadata"]["component"]["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    print(f"the CycloneDX 1.6 schema holds; {len(metrics)} performance metrics")
    card = ModelCard(run(program, "describe", bundle, "--format", "model-card"))
    for result in card.data.eval_results:
        print(f"huggingface_hub reads {result.metric_type} = {result.metric_value}: {result.metric_name}; {result.dataset_name}")
    assert [result.metric_type for result in card.data.eval_results] == ["accuracy", "attacked_accuracy"]
    assert "never a proof" in card.text


def main():
    program = pathlib.Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        bundle = make_bundle(program, folder)
        for algorithm, words in ALGORITHMS.items():
            ours, theirs = f"{algorithm}-mimir", f"{algorithm}-openssl"
            run(program, "keygen", folder / ours, "--algorithm", algorithm)
            run("openssl", "genpkey", *words, "-out", folder / f"{theirs}.key")
            run("openssl", "pkey", "-in", folder / f"{theirs}.key", "-pubout", "-out", folder / f"{theirs}.pub")
            run("openssl", "pkey", "-in", folder / f"{ours}.key", "-check", "-noout")
            for key in (ours, theirs):
                payload = check_key(program, bundle, folder, algorithm, key)
        check_statement(payload)
        check_descriptions(program, bundle)


main()
