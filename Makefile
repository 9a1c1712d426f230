# `make help` lists the targets.

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
# What was built is looked for in target/.
unexport CARGO_TARGET_DIR

.DEFAULT_GOAL := help

##@ Use
.PHONY: run serve deploy build

run: build ## Deploy to a local stack, send a signed callback, fetch the song into out/
	@python -m tests.local_stack run

serve: build ## Keep the local stack up until Ctrl-C: with PROVIDER_API_KEY=…, or behind a tunnel
	@python -m tests.local_stack serve

deploy: build ## Deploy to AWS; asks for what it needs the first time, and keeps the answers
	@if grep -s '^parameter_overrides' samconfig.toml | grep -q 'Architecture=' \
	    && ! grep '^parameter_overrides' samconfig.toml | grep -q 'Architecture=\\"$(ARCH)\\"'; then \
	    echo "samconfig.toml has another architecture than $(ARCH): run make deploy ARCH=..., or edit samconfig.toml" >&2; exit 1; fi
	@if grep -qs '^parameter_overrides' samconfig.toml; then sam deploy; \
	else sam deploy --guided --parameter-overrides Architecture=$(ARCH); fi

# Panic messages name source files. They must not name the builder's, which differ from one computer to the next.
functions peers package-% release release-cli: export RUSTFLAGS := --remap-path-prefix=$(CARGO_HOME)=/cargo
# Builds functions for Lambda, for every x86_64: with the instructions of x86-64-v3 they were no faster (2026-11-27).
BUILD_FUNCTIONS = cargo lambda build --locked --profile function --target $(TARGET).$(GLIBC) --package midihook

.PHONY: functions
functions: $(VENV)/.ready
	@echo "==> Building the functions for $(ARCH) (the first time takes some minutes)"
	$(BUILD_FUNCTIONS) $(LAMBDAS:%=--bin %)

build: functions ## Build the functions in release mode, for SAM
	@echo "==> Packaging them for SAM"
	@mkdir -p .aws-sam
	@sam build --parameter-overrides Architecture=$(ARCH) >.aws-sam/build.log 2>&1 || { cat .aws-sam/build.log; exit 1; }

##@ Check
.PHONY: check test test-oracles chaos simulate load cost fuzz mutants bench bench-music lint audit fmt

check: ## The inner loop: formatting, clippy, unit and property tests; needs only Rust
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	PROPTEST_CASES=$${PROPTEST_CASES:-50} cargo test --locked --workspace --quiet --lib --bins \
	    --test cli --test golden --test properties

test: lint build ## Everything: check, docs, chaos, tempo, readers, the deployed stack
	cargo test --locked --workspace
	cargo test --locked --package midihook-cli --no-default-features
	python -m pytest tests --ignore tests/oracles

test-oracles: $(VENV)/.ready ## Play the files with fluidsynth, read them with midicsv and MuseScore (Debian packages)
	python -m pytest tests/oracles

chaos: ## 10,000 schedules of faults in memory; CHAOS_SCHEDULES=…, CHAOS_SEED=…
	CHAOS_SCHEDULES=$${CHAOS_SCHEDULES:-10000} cargo test --locked --profile chaos --package midihook --test aws chaos::nothing -- --nocapture

simulate: ## 10,000 watched tasks in memory: questions, time and cost of each; SIMULATED_TASKS=…
	SIMULATED_TASKS=$${SIMULATED_TASKS:-10000} cargo test --locked --profile chaos --package midihook --test aws ten_thousand:: -- --nocapture

load: build ## 5,000 callbacks at rising rates to one process and to the local stack; LOAD_CALLBACKS=…
	@python -m tests.load

cost: $(VENV)/.ready ## What callbacks cost at AWS, and which limits they meet (docs/cost.md)
	@python -m tests.cost

fuzz: $(VENV)/.ready ## Fuzz everything that reads a stranger's bytes, FUZZ_SECONDS (60) each; needs a C++ compiler
	@for target in task_ids signature callback convert; do mkdir -p crates/suno-midi/fuzz/corpus/$$target; \
	    echo "==> Fuzzing $$target for $${FUZZ_SECONDS:-60} s"; \
	    RUSTC_BOOTSTRAP=1 cargo fuzz run --fuzz-dir crates/suno-midi/fuzz $$target crates/suno-midi/fuzz/corpus/$$target events -- \
	        -max_total_time=$${FUZZ_SECONDS:-60} -timeout=20 -dict=crates/suno-midi/fuzz/json.dict || exit 1; \
	    RUSTC_BOOTSTRAP=1 cargo fuzz cmin --fuzz-dir crates/suno-midi/fuzz $$target >crates/suno-midi/fuzz/cmin.log 2>&1 || { cat crates/suno-midi/fuzz/cmin.log; exit 1; }; \
	done

mutants: $(VENV)/.ready ## Change the core in a thousand small ways: its tests must notice each (cargo-mutants)
	@cargo mutants --version 2>/dev/null | grep -qF $(MUTANTS) || { echo "==> Installing cargo-mutants (some minutes)"; \
	    cargo install --quiet --locked --root $(VENV) --version $(MUTANTS) cargo-mutants; }
	PROPTEST_CASES=50 cargo mutants --package suno-midi --profile mutants --jobs $${MUTANTS_JOBS:-2} --output target \
	    --cargo-arg=--lib --cargo-arg=--test=golden --cargo-arg=--test=properties $(MUTANTS_ARGS)

# What the receiver is compared with.
.PHONY: peers
peers: $(VENV)/.ready
	$(BUILD_FUNCTIONS) --example hello --example put_and_send

bench: functions peers ## What a conversion, the inference, the receiver and a stranger's 5.9 MB cost, each beside a peer
	cargo bench --locked --package suno-midi
	cargo build --locked --release --package midihook-cli --no-default-features
	@python -m tests.bench target/release/midihook target/lambda

bench-music: $(VENV)/.ready ## How often beats, bars and keys of real songs are right; SONGS=… (tests/music/README.md)
	cargo build --locked --release --package midihook-cli --no-default-features
	@python -m tests.music.measure target/release/midihook $(SONGS)

lint: $(VENV)/.ready ## Formatting, clippy, docs, the template, the dependency trees
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo clippy --locked --package midihook-cli --all-targets -- -D warnings
	cargo clippy --locked --package midihook-cli --no-default-features --all-targets -- -D warnings
	cargo check --locked --manifest-path crates/suno-midi/fuzz/Cargo.toml --no-default-features --target-dir target
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps
	sam validate --lint
	zizmor --offline --quiet --strict-collection .github/workflows
	cargo deny --locked --workspace check licenses bans sources
	cargo deny --locked --config src/deny.toml check bans
	cargo deny --locked --manifest-path crates/suno-midi/Cargo.toml --config crates/suno-midi/deny.toml check bans
	cargo deny --locked --manifest-path crates/cli/Cargo.toml --no-default-features --config crates/cli/deny.toml check bans

audit: $(VENV)/.ready ## Known vulnerabilities of the dependencies; fetches the advisory database
	cargo deny --locked --workspace check advisories
	cargo deny --locked --manifest-path crates/suno-midi/fuzz/Cargo.toml check advisories

fmt: ## Format the sources
	cargo fmt --all

##@ Other
.PHONY: release release-cli clean help

release: $(VENV)/.ready $(VENV)/bin/cargo-cyclonedx ## Build a release into dist/: what people deploy without a toolchain; ARCHES=x86_64 for one only
	@python -m release targets $(ARCHES) $(TARGETS)
	@python -m release stack $(ARCHES)
	@python -m release cli $(TARGETS)
	@python -m release sbom
	@python -m release index

# On a Mac: TARGETS=aarch64-apple-darwin.
release-cli:
	@$(PYTHON) -m release cli $(TARGETS)

clean: ## Remove everything that was built, and the tools
	rm -rf target crates/suno-midi/fuzz/target .aws-sam dist out $(VENV)

help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.ready: $(REQUIREMENTS)
	@echo "==> Setting up the tools in $(VENV) (the first time takes a minute)"
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $(REQUIREMENTS)
	@touch $@

$(VENV)/bin/cargo-cyclonedx: $(VENV)/.ready
	@echo "==> Installing cargo-cyclonedx (some minutes)"
	cargo install --quiet --locked --root $(VENV) --version $(CYCLONEDX) cargo-cyclonedx
	@touch $@

# `sam build` calls these, one for each function (BuildMethod: makefile).
.PHONY: $(LAMBDAS:%=build-%)
build-ReceiverFunction: package-receiver
build-RendererFunction: package-renderer
build-ReconcilerFunction: package-reconciler
build-PusherFunction: package-pusher
package-%:
	$(BUILD_FUNCTIONS) --quiet --bin $*
	cp target/lambda/$*/bootstrap "$(ARTIFACTS_DIR)/"
