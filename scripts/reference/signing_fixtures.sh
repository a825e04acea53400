#!/usr/bin/env bash
# Keys and signatures made by openssl alone, for the tests of export/bundle/src/signature: run in the folder
# tests/fixtures/signing. Keys that exist are kept. The private keys are published here and sign nothing else.
set -euo pipefail
[ -e ed25519.key ] || openssl genpkey -algorithm ed25519 -out ed25519.key
[ -e p256.key ] || openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out p256.key
[ -e p384.key ] || openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out p384.key
[ -e rsa.key ] || openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024 -out rsa.key
for name in ed25519 p256 p384 rsa; do
    openssl pkey -in $name.key -pubout -out $name.pub
    openssl pkey -pubin -in $name.pub -outform DER | sha256sum | cut -d' ' -f1 > $name.id
done
openssl pkcs8 -topk8 -in p256.key -passout pass:secret -out encrypted.key
openssl ec -in p256.key -out sec1.key 2>/dev/null
openssl req -new -x509 -key p256.key -subj /CN=test -days 3650 -out certificate.pem

# The message that DSSE signs: `DSSEv1 SP LEN(type) SP type SP LEN(payload) SP payload`.
type=application/vnd.in-toto+json
printf '{"hello": "world"}' > payload
printf 'DSSEv1 %d %s %d ' ${#type} $type "$(wc -c < payload)" | cat - payload > message
openssl pkeyutl -sign -rawin -inkey ed25519.key -in message -out ed25519.sig
openssl dgst -sha256 -sign p256.key -out p256.sig message
base64 -w0 ed25519.sig > ed25519.sig64
base64 -w0 p256.sig > p256.sig64
rm -f ./*.sig p384.{pub,id} rsa.{key,id}
