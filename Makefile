# `make help` lists the targets that people need.

VENV         := .venv
REQUIREMENTS := tests/requirements.txt
PYTHON       ?= python3
# The processor architecture of the functions: x86_64 or arm64.
ARCH         ?= $(if $(filter aarch64 arm64,$(shell uname -m)),arm64,x86_64)
# The glibc of provided.al2023. A plain `cargo build` on a newer system links against a newer one.
GLIBC        := 2.34
TARGET       := $(if $(filter arm64,$(ARCH)),aarch64,x86_64)-unknown-linux-gnu
LAMBDAS      := receiver renderer reconciler pusher
# The versions of the cargo commands that `make mutants` and `make release` install.
MUTANTS      := 27.1.0
CYCLONEDX    := 0.5.9
# What `make release` builds: functions for these architectures, and the command line for these targets of Rust.
ARCHES       := x86_64 arm64
TARGETS      := $(if $(filter x86_64,$(ARCHES)),x86_64-unknown-linux-musl x86_64-pc-windows-gnu) \
                $(if $(filter arm64,$(ARCHES)),aarch64-unknown-linux-musl)
CARGO_HOME   ?= $(HOME)/.cargo

export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export SAM_CLI_TELEMETRY := 0
export PYTHONDONTWRITEBYTECODE := 1
# Scripts expect build output in target/.
unexport CARGO_TARGET_DIR

.DEFAULT_GOAL := help

##@ Use
.PHONY: run serve deploy release

# The tools are installed beside the first build.
run: ## Deploy to a local stack, send a signed callback, fetch the song into out/
	@$(MAKE) --no-print-directory -j2 local $(VENV)/.ready
	@python -m tests.local_stack run

serve: ## Keep the local stack up until Ctrl-C: with PROVIDER_API_KEY=…, or behind a tunnel
	@$(MAKE) --no-print-directory -j2 local $(VENV)/.ready
	@python -m tests.local_stack serve

deploy: functions ## Deploy to AWS; asks for what it needs the first time, and keeps the answers
	@if grep -s '^parameter_overrides' samconfig.toml | grep -q 'Architecture=' \
	    && ! grep '^parameter_overrides' samconfig.toml | grep -q 'Architecture=\\*"$(ARCH)\\*"'; then \
	    echo "samconfig.toml has another architecture than $(ARCH): run make deploy ARCH=..., or edit samconfig.toml" >&2; exit 1; fi
	@if grep -qs '^parameter_overrides' samconfig.toml; then sam deploy; \
	else sam deploy --guided --parameter-overrides Architecture=$(ARCH); fi

release: $(VENV)/.ready $(VENV)/bin/cargo-cyclonedx ## Build a release into dist/: what people deploy without a toolchain; ARCHES=x86_64 for one only
	@python -m release targets $(ARCHES) $(TARGETS)
	@python -m release stack $(ARCHES)
	@python -m release cli $(TARGETS)
	@python -m release sbom
	@python -m release index

# The functions of the local stack: as cargo builds them, without optimization. `make test` has built them already.
.PHONY: local
local:
	@echo "==> Building the functions for the local stack (the first time takes two minutes)"
	cargo build --locked --package midihook --bins
	@$(STRIPPED)
STRIPPED = for name in $(LAMBDAS); do mkdir -p target/local/$$name && strip -o target/local/$$name/bootstrap target/debug/$$name \
    && (cd target/local/$$name && $(PYTHON) -m zipfile -c ../$$name.zip bootstrap) || exit 1; done

# The functions of AWS, in target/lambda. Panic messages name source files: they must not name the builder's.
.PHONY: functions
functions peers release release-cli: export RUSTFLAGS := --remap-path-prefix=$(CARGO_HOME)=/cargo
# For every x86_64: with the instructions of x86-64-v3 they were no faster (2026-11-27).
BUILD_FUNCTIONS = cargo lambda build --locked --profile function --target $(TARGET).$(GLIBC) --package midihook
functions: $(VENV)/.ready
	@echo "==> Building the functions for $(ARCH) (the first time takes some minutes)"
	$(BUILD_FUNCTIONS) $(LAMBDAS:%=--bin %)

##@ Check
.PHONY: check test test-all lint fmt audit

check: ## The inner loop: formatting, clippy, unit and property tests; needs only Rust
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	PROPTEST_CASES=$${PROPTEST_CASES:-50} cargo test --locked --workspace --quiet --lib --bins \
	    --test cli --test golden --test properties

# One build graph, without `--package`: the features of each crate are the same in all steps.
test: ## What must pass before a change lands, in ten minutes: lint, all packages, the deployed stack
	cargo fmt --all --check
	@$(MAKE) --no-print-directory -j2 clippy $(VENV)/.ready
	sam validate --lint
	cargo test --locked --workspace --lib --bins --tests
	cargo test --locked --workspace --doc
	@$(STRIPPED)
	python -m pytest tests -m "not all" $(PYTEST)
# Each worker has a stack of its own. They wait more than they compute.
PYTEST = --ignore tests/oracles --numprocesses 3 --dist loadfile

.PHONY: clippy
clippy:
	cargo clippy --locked --workspace --all-targets -- -D warnings

test-all: lint functions ## Everything, with the very functions that are deployed; takes an hour
	cargo test --locked --package midihook-cli --no-default-features
	# Last, because it leaves the command line with all its commands.
	CHAOS_SCHEDULES=300 PROPTEST_CASES=256 cargo test --locked --workspace -- --include-ignored
	FUNCTIONS=lambda python -m pytest tests $(PYTEST)

lint: clippy $(VENV)/.ready ## All lints: other features, docs, workflows, dependency trees
	cargo fmt --all --check
	cargo clippy --locked --package midihook-cli --no-default-features --all-targets -- -D warnings
	cargo check --locked --manifest-path crates/suno-midi/fuzz/Cargo.toml --no-default-features --target-dir target
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps
	sam validate --lint
	zizmor --offline --quiet --strict-collection .github/workflows
	cargo deny --locked --workspace check licenses bans sources
	cargo deny --locked --config src/deny.toml check bans
	cargo deny --locked --manifest-path crates/suno-midi/Cargo.toml --config crates/suno-midi/deny.toml check bans
	cargo deny --locked --manifest-path crates/cli/Cargo.toml --no-default-features --config crates/cli/deny.toml check bans

fmt: ## Format the sources
	cargo fmt --all

audit: $(VENV)/.ready ## Known vulnerabilities of the dependencies; fetches the advisory database
	cargo deny --locked --workspace check advisories
	cargo deny --locked --manifest-path crates/suno-midi/fuzz/Cargo.toml check advisories

##@ Other
.PHONY: clean help

clean: ## Remove everything that was built, and the tools
	rm -rf target crates/suno-midi/fuzz/target .aws-sam dist out $(VENV)

help: ## List the targets; tests/README.md has those that prove one thing at length
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# What is proven once, at length (tests/README.md).
.PHONY: test-oracles chaos simulate load fuzz mutants bench bench-music peers release-cli

test-oracles: $(VENV)/.ready
	python -m pytest tests/oracles

chaos:
	CHAOS_SCHEDULES=$${CHAOS_SCHEDULES:-10000} cargo test --locked --profile chaos --package midihook --test aws chaos::nothing -- --nocapture

simulate:
	SIMULATED_TASKS=$${SIMULATED_TASKS:-10000} cargo test --locked --profile chaos --package midihook --test aws ten_thousand:: -- --nocapture --ignored

load: functions
	@FUNCTIONS=lambda python -m tests.load

fuzz: $(VENV)/.ready
	@for target in task_ids signature callback convert; do mkdir -p crates/suno-midi/fuzz/corpus/$$target; \
	    echo "==> Fuzzing $$target for $${FUZZ_SECONDS:-60} s"; \
	    RUSTC_BOOTSTRAP=1 cargo fuzz run --fuzz-dir crates/suno-midi/fuzz $$target crates/suno-midi/fuzz/corpus/$$target events -- \
	        -max_total_time=$${FUZZ_SECONDS:-60} -timeout=20 -dict=crates/suno-midi/fuzz/json.dict || exit 1; \
	    RUSTC_BOOTSTRAP=1 cargo fuzz cmin --fuzz-dir crates/suno-midi/fuzz $$target >crates/suno-midi/fuzz/cmin.log 2>&1 || { cat crates/suno-midi/fuzz/cmin.log; exit 1; }; \
	done

mutants: $(VENV)/.ready
	@cargo mutants --version 2>/dev/null | grep -qF $(MUTANTS) || { echo "==> Installing cargo-mutants (some minutes)"; \
	    cargo install --quiet --locked --root $(VENV) --version $(MUTANTS) cargo-mutants; }
	PROPTEST_CASES=50 cargo mutants --package suno-midi --profile mutants --jobs $${MUTANTS_JOBS:-2} --output target \
	    --cargo-arg=--lib --cargo-arg=--test=golden --cargo-arg=--test=properties $(MUTANTS_ARGS)

bench: functions peers
	cargo bench --locked --package suno-midi
	cargo build --locked --profile dist --package midihook-cli --no-default-features
	@python -m tests.bench target/dist/midihook target/lambda

# What the receiver is compared with.
peers: $(VENV)/.ready
	$(BUILD_FUNCTIONS) --example hello --example put_and_send

bench-music: $(VENV)/.ready
	cargo build --locked --release --package midihook-cli --no-default-features
	@python -m tests.music.measure target/release/midihook $(SONGS)

# On a Mac: TARGETS=aarch64-apple-darwin.
release-cli:
	@$(PYTHON) -m release cli $(TARGETS)

$(VENV)/.ready: $(REQUIREMENTS)
	@echo "==> Setting up the tools in $(VENV) (the first time takes a minute)"
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $(REQUIREMENTS)
	@touch $@

$(VENV)/bin/cargo-cyclonedx: $(VENV)/.ready
	@echo "==> Installing cargo-cyclonedx (some minutes)"
	cargo install --quiet --locked --root $(VENV) --version $(CYCLONEDX) cargo-cyclonedx
	@touch $@
