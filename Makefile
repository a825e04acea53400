# make demo   everything from nothing: ONNX Runtime, the command, an attack on the model in examples/demo
# make test   everything from nothing: ONNX Runtime, libtorch, then every test
# make help   the other targets

SHELL := /bin/bash
CARGO ?= cargo
CERTIFY := target/release/mimir-certify

.DEFAULT_GOAL := help
.PHONY: page help setup setup-train build build-train demo demo-vit train-quick chain test check fuzz soak bench compare compare-graphs compare-train kill-test install dist test-packages node-tests networks

help: ## This list.
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "%-14s %s\n", $$1, $$2 }'

setup: ## Fetch ONNX Runtime (pinned version and digest) into .mimir/. Does nothing the second time.
	@scripts/setup

setup-train: ## Fetch a CPU libtorch (pinned digests) into .mimir/, unless LIBTORCH or LIBTORCH_USE_PYTORCH=1 names another.
	@scripts/setup-train

build: ## The commands, optimised: target/release/mimir-certify and mimir-export.
	$(CARGO) build --release --locked -p mimir-certify-cli -p mimir-export-cli --target-dir target

build-train: setup-train ## The training command, optimised: target/release/mimir-train.
	$(CARGO) build --release --locked -p mimir-train --target-dir target \
		--config 'profile.release.package.libjpeg-turbo-rs.opt-level = 3'

demo: setup build ## Attack the small classifier that ships in examples/demo.
	$(CERTIFY) examples/demo/model.onnx --config examples/demo/mimir-certify.toml

demo-vit: setup build ## Attack a Vision Transformer on CIFAR-10, where ../shared has both.
	@scripts/demo/vit $(CERTIFY)

train-quick: setup build build-train ## Does pre-training help? Five methods, three seeds of a small ViT on CIFAR-10, where ../shared has it.
	@scripts/train-quick

chain: setup build build-train ## From images to a signed, certified, policy-checked bundle: train, export, certify, sign, check, classify.
	@scripts/chain/run

test: setup setup-train ## Every test, those of training included.
	$(CARGO) test --locked --workspace --exclude mimir-benches

install: ## Commands, library, headers, pkg-config and CMake files below PREFIX (/usr/local unless it is given).
	@PREFIX=$(PREFIX) DESTDIR=$(DESTDIR) scripts/package/install

dist: ## A tarball that can be unpacked anywhere and a wheel of the commands, in dist/.
	@scripts/package/dist

test-packages: ## Tarball and wheel as their users have them: unpack, compile the examples, run; the steps of pipelines too.
	@scripts/package/try dev

check: ## Format, lints, build, tests, documentation, licences: what CI asks of a change.
	@scripts/check

fuzz: setup ## Fuzz every reader and the whole preparation, MINUTES each (10 unless it is given): docs/fuzzing.md.
	@scripts/fuzz $(or $(MINUTES),10)

bench: setup setup-train ## The benchmarks.
	$(CARGO) bench --locked --workspace

page: setup build ## The page of the demo's report in Chromium: script errors, layouts that are too wide, pictures of it.
	@scripts/page

kill-test: setup build ## Kill and resume a hundred runs: nothing may be lost, and all reports must be equal.
	@scripts/kill-test $(CERTIFY)

soak: setup ## Jobs in one process for MINUTES (30 unless it is given) through the C library: memory and open files stay flat.
	@scripts/soak

compare: setup build ## Time and verdicts beside PyTorch, where ../shared exists. ARGS go to scripts/compare.
	@scripts/compare $(ARGS)

compare-graphs: setup ## Time forward and gradient of whole networks beside PyTorch. ARGS go to scripts/compare-graphs.
	@scripts/compare-graphs $(ARGS)

compare-train: setup-train ## Time a training step beside PyTorch. ARGS go to scripts/compare-train.
	@scripts/compare-train $(ARGS)

node-tests: setup ## The onnx package's 1,884 node tests, forward and gradient. Needs Python once, for the store of cases.
	@scripts/node-tests

networks: setup ## Gradients of whole networks against PyTorch's in float64. Needs Python once, for the exports.
	@scripts/networks $(ARGS)
