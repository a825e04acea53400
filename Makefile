# make demo   everything from nothing: ONNX Runtime, the command, an attack on the model in examples/demo
# make test   everything from nothing: ONNX Runtime, then every test
# make help   the other targets

SHELL := /bin/bash
CARGO ?= cargo
CERTIFY := target/release/mimir-certify

.DEFAULT_GOAL := help
.PHONY: help setup build demo demo-vit test check bench compare kill-test

help: ## This list.
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "%-10s %s\n", $$1, $$2 }'

setup: ## Fetch ONNX Runtime (pinned version and digest) into .mimir/. Does nothing the second time.
	@scripts/setup

build: ## The command, optimised: target/release/mimir-certify.
	$(CARGO) build --release --locked -p mimir-certify --target-dir target

demo: setup build ## Attack the small classifier that ships in examples/demo.
	$(CERTIFY) examples/demo/model.onnx

demo-vit: setup build ## Attack a Vision Transformer on CIFAR-10, where ../shared has both.
	@scripts/demo/vit $(CERTIFY)

test: setup ## Every test.
	$(CARGO) test --locked --workspace

check: ## Format, lints, build, tests, documentation, licences: what CI asks of a change.
	@scripts/check

bench: setup ## The benchmarks.
	$(CARGO) bench --locked --workspace

kill-test: setup build ## Kill and resume a hundred runs: nothing may be lost, and all reports must be equal.
	@scripts/kill-test $(CERTIFY)

compare: setup build ## Time and verdicts beside PyTorch, where ../shared exists. ARGS go to scripts/compare.
	@scripts/compare $(ARGS)
