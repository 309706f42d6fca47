# The same targets for people and CI. `make help` lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules
.SUFFIXES:

# Processor of the functions that go to AWS: x86_64 or arm64. The local cloud runs those of this machine.
ARCH ?= x86_64
# Further arguments of cargo, such as -j2.
CARGOFLAGS ?=
# cargo unifies features over the packages that it is given, and counts those of dev-dependencies only where it
# builds a test. With the whole workspace and a test, every target here has the same features as `cargo test
# --workspace`, so that no dependency is compiled twice; of the workspace, only what --bin names is compiled.
BUILD := cargo build --workspace --locked --test life $(CARGOFLAGS)
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
# Finds and installs everything that is neither in the checkout nor on the system.
CLOUD := $(TARGET_DIR)/debug/sluice-cloud
# The functions of all stacks that `make demo` deploys, which are those without a rotation.
DEMO_TEMPLATES := $(filter-out templates/rotation%,$(wildcard templates/*.yaml))
DEMO_FUNCTIONS = $(sort $(shell sed -n 's|^ *CodeUri: \.\./target/lambda/\([a-z-]*\)/*$$|\1|p' $(DEMO_TEMPLATES)))

##@ Two commands to start with

.PHONY: demo
demo: launcher ## Deploy both accounts to a local cloud, load files, show the rows and the alert
	@$(CLOUD) setup & setup=$$!; \
	  $(BUILD) --bin sluice-cloud --bin sluice-redshift $(DEMO_FUNCTIONS:%=--bin %) || { kill $$setup; exit 1; }; \
	  wait $$setup
	@$(CLOUD) demo

.PHONY: test
test: launcher ## All tests: Python extension, then Rust, unit to end-to-end
	@CARGOFLAGS='$(CARGOFLAGS)' scripts/test

# PostgreSQL, MariaDB and Redis or Valkey come from the system.
.PHONY: servers
servers: launcher ## Install the test servers that systems lack: MySQL 8.0, a Kafka broker (ten minutes, once)
	scripts/fetch-mysql
	$(CLOUD) exec kafka true

# Random schedules of faults; the seed of a failure is printed: make soak SEED=4711 RUNS=1.
RUNS ?= 20000
ENGINE_RUNS ?= 1000
SEED ?= 1
.PHONY: soak
soak: setup servers ## Thousands of random faults in rotations, storms of 10,000 events: RUNS in memory, ENGINE_RUNS on each real server; SEED
	SLUICE_SOAK_RUNS=$$(( $(RUNS) / 20 + 1 )) SLUICE_SEED=$(SEED) SLUICE_SCALE=full cargo test --quiet --locked --package copy-monitor $(CARGOFLAGS) -- random statements_do_not --nocapture
	SLUICE_SOAK_RUNS=$(RUNS) SLUICE_SEED=$(SEED) cargo test --quiet --locked --package rotation --all-features $(CARGOFLAGS) -- random
	SLUICE_SOAK_RUNS=$(RUNS) SLUICE_SEED=$(SEED) cargo test --quiet --locked --package alerts --all-features $(CARGOFLAGS) -- \
	  --nocapture storm crash_at_any_call every_order
	SLUICE_SOAK_RUNS=$(RUNS) SLUICE_ENGINE_RUNS=$(ENGINE_RUNS) SLUICE_SEED=$(SEED) cargo test --locked --package end-to-end \
	  --test end_to_end $(CARGOFLAGS) -- --nocapture random

# The originals come from a checkout of aws-samples/aws-secrets-manager-rotation-lambdas: PYTHON_ORIGINALS=FOLDER, else it is fetched once.
.PHONY: bench
bench: build ## Start, first call, memory, zip of each function beside an empty one and its Python original
	@$(CLOUD) bench

.PHONY: plot
plot: launcher ## Draw docs/images/copy-monitor-scale.svg anew from the table in docs/copy-monitor.md
	$(CLOUD) exec gateway scripts/plot-scale

##@ Local cloud

.PHONY: cloud
cloud: stand-in setup ## Start the local cloud and stay; Ctrl-C stops and removes it
	@$(CLOUD) up

.PHONY: setup
setup: launcher ## Install what the local cloud needs into the cache (Python environments)
	@$(CLOUD) setup

##@ Build and check

# Names of functions, for build, attest and reproducible; empty means all.
FUNCTIONS ?=
.PHONY: build
build: launcher ## Build the functions for Lambda into target/lambda (ARCH=x86_64|arm64)
	@ARCH='$(ARCH)' FUNCTIONS='$(FUNCTIONS)' CARGOFLAGS='$(CARGOFLAGS)' $(CLOUD) exec tools scripts/build-functions

.PHONY: attest
attest: ## Zip, bill of materials and provenance of each built function into target/release-files
	@ARCH='$(ARCH)' scripts/attest $(FUNCTIONS)

.PHONY: reproducible
reproducible: launcher ## Build HEAD twice and compare the zips (FUNCTIONS; two release builds from nothing)
	@ARCH='$(ARCH)' FUNCTIONS='$(FUNCTIONS)' CARGOFLAGS='$(CARGOFLAGS)' $(CLOUD) exec tools scripts/reproducible

# One end-to-end test of each family of functions, as it goes to AWS.
RELEASE_TESTS := package(end-to-end) & test(/^(main_path::.*becomes_rows|rotation_stack::|alerts::)/)
.PHONY: test-release
test-release: launcher build ## End-to-end tests of one function of each family with the release build (minutes)
	cargo build --workspace --all-targets --locked $(CARGOFLAGS)
	SLUICE_FUNCTIONS=as-built $(CLOUD) exec nextest cargo nextest run --workspace --locked \
	  -E '$(RELEASE_TESTS)' $(CARGOFLAGS)

.PHONY: lint
lint: validate doc ## Formatting, clippy, docs, fuzz targets, types of the Python code, and what validate checks
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked $(CARGOFLAGS) -- --deny warnings
	cargo check --manifest-path fuzz/Cargo.toml --bins --no-default-features --locked \
	  --target-dir '$(or $(CARGO_TARGET_DIR),target)' $(CARGOFLAGS)
	$(CLOUD) exec gateway-tests python -m mypy --config-file local/ministack/mypy.ini local/ministack/sluice_ministack
	$(CLOUD) exec gateway-tests python -m mypy --config-file policies/mypy.ini policies/contracts

.PHONY: format
format: ## Format the Rust code
	cargo fmt --all

# With an example, cargo doc takes the features of the dev-dependencies into account, as clippy does. Binaries with the
# name of their library would overwrite its pages.
LIBRARIES := $(patsubst functions/%/src/lib.rs,%,$(wildcard functions/*/src/lib.rs))
BINARIES := $(filter-out $(LIBRARIES),$(patsubst functions/%/src/main.rs,%,$(wildcard functions/*/src/main.rs)))
.PHONY: doc
doc: ## API documentation into target/doc; a warning is an error
	RUSTDOCFLAGS='--deny warnings' cargo doc --workspace --no-deps --lib --examples --bin sluice-cloud \
	  $(BINARIES:%=--bin %) --locked $(CARGOFLAGS)

.PHONY: validate
validate: launcher ## Templates against cfn-lint and our rules, shell scripts
	$(CLOUD) exec sam cfn-lint --non-zero-exit-code warning templates/*.yaml
	policies/check
	$(if $(shell command -v shellcheck),shellcheck --external-sources,@echo "shellcheck is not installed, not run:") scripts/deploy scripts/fetch-mysql scripts/repair-rotation \
	  scripts/advisories scripts/build-functions scripts/reproducible scripts/test scripts/verify-crate policies/check .ci/run

.PHONY: deny
deny: advisories ## Licences, duplicates and sources of the dependencies, and advisories
	$(CLOUD) exec deny cargo deny --locked check --hide-inclusion-graph bans licenses sources

.PHONY: advisories
advisories: launcher ## Dependencies against the RustSec advisories (ADVISORY_DB, or fetched)
	@$(CLOUD) exec deny scripts/advisories

.PHONY: clean
clean: ## Remove everything that was built here (the cache of tools stays)
	cargo clean --quiet
	rm -rf .aws-sam .cloud target

##@ Deploy, to AWS or to a local cloud started with `make cloud`

# Values of the stack's parameters: make deploy-job PARAMETERS='JobName=orders TableName=orders ...'. The shell reads
# them: call scripts/deploy for values with spaces, quotes, semicolons, backslashes or $.
PARAMETERS ?=
# Whether repair-rotation may move staging labels.
APPLY ?= false

.PHONY: deploy-network deploy-warehouse deploy-target deploy-source deploy-job deploy-rotation deploy-consumers deploy-hub deploy-spoke
deploy-network: ## The network of the warehouse's account, if there is none
deploy-warehouse: ## The warehouse, if there is none
deploy-target: ## In the warehouse's account: who may send files
deploy-source: ## In the bucket's account: bucket, policy, integration
deploy-job: ## In the warehouse's account: one job
deploy-rotation: ## In the account of a secret: its rotation (PARAMETERS: SecretArn, Engine)
deploy-consumers: ## In the account of a secret: notifications of its consumers (PARAMETERS: SecretArn, Consumer...)
deploy-hub: ## In the account that is told what fails in all accounts (HUB_PROFILE, SPOKE_PROFILES)
deploy-spoke: ## In each account that is watched (SPOKE_PROFILE)
deploy-network deploy-warehouse deploy-target deploy-source deploy-job deploy-rotation deploy-consumers deploy-hub deploy-spoke: deploy-%:
	BUILD=1 scripts/deploy $* $(PARAMETERS)

.PHONY: repair-rotation
repair-rotation: ## Examine an unfinished rotation; repair it with APPLY=true (ROTATION_STACK)
	@scripts/repair-rotation $(if $(filter true,$(APPLY)),--apply)

##@ Answer what only AWS can answer

# Names of checks and options of verify-aws: make verify-aws ARGS='--list'. The AWS CLI on PATH is used, else that of
# the environment `sam`.
ARGS ?=
VERIFY := $(TARGET_DIR)/debug/verify-aws
.PHONY: verify-aws
verify-aws: verifier ## Run the checks of docs/not-verified-on-aws.md in your accounts (ARGS='--help')
	@$(if $(shell command -v aws),,$(CLOUD) exec sam) $(VERIFY) $(ARGS)

.PHONY: verify-page
verify-page: verifier ## Check the templates of the checks, and write docs/not-verified-on-aws.md from them
	$(VERIFY) --commands | $(CLOUD) exec sam python tests/verify_commands.py --templates
	@$(VERIFY) --page >$(TARGET_DIR)/not-verified-on-aws.md
	@mv $(TARGET_DIR)/not-verified-on-aws.md docs/not-verified-on-aws.md

# --- what the targets above need ---

.PHONY: verifier
verifier:
	@$(BUILD) --quiet --bin sluice-cloud --bin verify-aws

.PHONY: launcher
launcher:
	@$(BUILD) --quiet --bin sluice-cloud

.PHONY: stand-in
stand-in:
	@$(BUILD) --quiet --bin sluice-cloud --bin sluice-redshift

.PHONY: help
help: ## This list
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@ / { printf "\n%s\n", substr($$0, 5); next } \
	  /^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
