# Tasks of a developer: `make help` lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# cargo-deny is kept here once it is built; CI may point it at a cache of its own.
TOOLS ?= .cache/tools

.PHONY: help demo test sim bench faults check-api manifests terraform sbom fuzz injected-bugs fmt lint deny \
	clean-cache

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Play a short on-sale in one process; ARGS=--open keeps its page open afterwards
	cargo run --locked --profile demo -- dev --demo $(ARGS)

test: ## Install what the tests need, start the emulated stack, run every test, stop the stack
	scripts/test

check-api: ## Lint proto/, and send requests made of the OpenAPI document to a gateway
	scripts/check-api

manifests: ## Render k8s/overlays and check them against the schemas of Kubernetes and KEDA
	scripts/manifests

terraform: ## Check the Terraform module k8s/aws; needs terraform and its AWS provider
	scripts/terraform

sbom: ## Write what the production binary is made of, as CycloneDX, to target/sbom
	TOOLS=$(TOOLS) scripts/sbom

SEEDS ?= 10000

sim: ## Run SEEDS (10000) histories of the deterministic simulation
	cargo run --locked --release --package inventory-simulator -- --seeds $(SEEDS)

bench: ## Measure every row of docs/PERFORMANCE.md; the last line is {"rows": [...]}
	cargo run --locked --release --package inventory-bench -- --json

faults: ## Kill, stop and cut off real workers and servers for FAULTS_SECONDS (600); not part of the gate
	scripts/faults $${FAULTS_SECONDS:-600}

fuzz: ## Fuzz the decoder for SECONDS_TO_FUZZ (60), without a nightly compiler
	TOOLS=$(TOOLS) scripts/fuzz

injected-bugs: ## Remove each guard in turn (src/injected.rs): the simulation must catch every one; long
	cargo test --locked --release --package inventory-simulator --features injected-bugs \
		--test injected_bugs -- --nocapture

fmt: ## Format the sources
	cargo fmt --all

lint: ## Check the format and the lints
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets --all-features -- -D warnings
	cargo clippy --locked --lib --bins --no-default-features -- -D warnings
	scripts/check-guarantees

deny: ## Check the dependencies: licences, sources, bans, and advisories where they can be fetched
	TOOLS=$(TOOLS) scripts/deny

clean-cache: ## Remove what the scripts installed; stop the stack first
	@if [ -x localstack/stack ]; then localstack/stack down; fi
	rm -rf .cache
