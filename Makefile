# The same targets for people and CI. `make help` lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules
.SUFFIXES:

# Processor of the functions: x86_64 or arm64. The local cloud runs only what this machine runs.
ARCH ?= x86_64
# Profile of the functions: release is the one for Lambda. `make demo` and `make test` build them with quick, in less than half of the time, and
# scripts/deploy sends nothing to AWS that was built so.
PROFILE ?= release
# Further arguments of cargo, such as -j2.
CARGOFLAGS ?=
# The launcher builds in seconds; it finds and installs everything else.
LAUNCHER := cargo build --quiet --locked --package cloud --bin sluice-cloud $(CARGOFLAGS)
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
CLOUD := $(TARGET_DIR)/debug/sluice-cloud
# What is not a function.
NOT_DEPLOYED := --exclude cloud --exclude local-servers --exclude sluice-redshift --exclude end-to-end
PYTHON_TESTS := local/ministack/tests scripts/tests

##@ Two commands to start with

.PHONY: demo
demo: PROFILE := quick
demo: local ## Deploy both accounts to a local cloud, load files, show what arrived and what on-call gets
	@$(CLOUD) demo

.PHONY: test
test: PROFILE := quick
test: setup servers build ## All tests: Python extension, then Rust, unit to end-to-end
	$(CLOUD) exec gateway-tests env PYTHONPATH=local/ministack python -m pytest --quiet -p no:cacheprovider $(PYTHON_TESTS)
	$(CLOUD) exec nextest cargo nextest run --workspace --locked $(if $(CI),--profile ci) $(CARGOFLAGS)

# PostgreSQL, MariaDB and Redis or Valkey come from the system.
.PHONY: servers
servers: launcher ## Install the servers of tests that systems lack: MySQL 8.0, a Kafka broker (ten minutes, once)
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
	  --nocapture storm crash_at_any_call in_whatever_order
	SLUICE_SOAK_RUNS=$(RUNS) SLUICE_ENGINE_RUNS=$(ENGINE_RUNS) SLUICE_SEED=$(SEED) cargo test --locked --package end-to-end \
	  --test 'rotation_*' $(CARGOFLAGS) -- --nocapture random

# The originals come from a checkout of aws-samples/aws-secrets-manager-rotation-lambdas: PYTHON_ORIGINALS=FOLDER, else it is fetched once.
.PHONY: bench
bench: build ## Start, first call, memory, zip of each function beside an empty one and its Python original
	@$(CLOUD) bench

.PHONY: plot
plot: launcher ## Draw docs/images/copy-monitor-scale.svg anew from the table in docs/copy-monitor.md
	$(CLOUD) exec gateway scripts/plot-scale

##@ Local cloud

.PHONY: cloud
cloud: stand-in ## Start the local cloud and stay; Ctrl-C stops and removes it
	@$(CLOUD) up

.PHONY: setup
setup: launcher ## Install what is needed into the cache (Python environments)
	@$(CLOUD) setup

##@ Build and check

.PHONY: build
build: launcher ## Build the functions for Lambda into target/lambda (ARCH=x86_64|arm64)
	@case "$(ARCH)" in x86_64|arm64) ;; *) echo "ARCH must be x86_64 or arm64, found '$(ARCH)'" >&2; exit 2 ;; esac
	@$(CLOUD) exec tools cargo lambda build --profile $(PROFILE) --locked --lambda-dir target/lambda \
	  $(if $(filter arm64,$(ARCH)),--arm64,--x86-64) --workspace $(NOT_DEPLOYED) $(CARGOFLAGS)
	@echo "$(PROFILE)" >target/lambda/profile

.PHONY: lint
lint: format validate ## Formatting, clippy, types of the Python extension, and what validate checks
	cargo clippy --workspace --all-targets --locked $(CARGOFLAGS) -- --deny warnings
	$(CLOUD) exec gateway-tests python -m mypy --config-file local/ministack/mypy.ini local/ministack/sluice_ministack

.PHONY: format
format:
	cargo fmt --all --check

.PHONY: validate
validate: launcher ## Templates against cfn-lint and our rules, shell scripts
	$(CLOUD) exec sam cfn-lint --non-zero-exit-code warning templates/*.yaml
	policies/check
	$(if $(shell command -v shellcheck),shellcheck,@echo "shellcheck is not installed, not run:") scripts/deploy scripts/fetch-mysql scripts/repair-rotation policies/check .ci/run

# Which of cargo-deny's checks; empty means all. `advisories` needs github.com.
CHECKS ?=
.PHONY: deny
deny: launcher ## Advisories, licences and sources of the dependencies (installs cargo-deny, minutes)
	$(CLOUD) exec deny cargo deny --locked check --hide-inclusion-graph $(CHECKS)

.PHONY: clean
clean: ## Remove everything that was built here (the cache of tools stays)
	cargo clean --quiet
	rm -rf .aws-sam .cloud target

##@ Deploy, to AWS or to a local cloud started with `make cloud`

# Values of the stack's parameters: make deploy-job PARAMETERS='JobName=orders TableName=orders ...'
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

# --- what the targets above need ---

.PHONY: launcher
launcher:
	@$(LAUNCHER)

.PHONY: stand-in
stand-in:
	@cargo build --quiet --locked --package cloud --package sluice-redshift --bins $(CARGOFLAGS)

# Everything that the local cloud and the deployments to it need.
.PHONY: local
local: stand-in setup build

.PHONY: help
help: ## This list
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@ / { printf "\n%s\n", substr($$0, 5); next } \
	  /^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
