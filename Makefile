# `make help` lists what there is.

VENV         := .venv
REQUIREMENTS := tests/requirements.txt
PYTHON       ?= python3
# The processor of the Lambdas: x86_64 or arm64.
ARCH         ?= $(if $(filter aarch64 arm64,$(shell uname -m)),arm64,x86_64)
# provided.al2023 has glibc 2.34. A plain `cargo build` on a newer system links against a newer one.
GLIBC        := 2.34
TARGET       := $(if $(filter arm64,$(ARCH)),aarch64,x86_64)-unknown-linux-gnu
LAMBDAS      := receiver renderer

export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export SAM_CLI_TELEMETRY := 0
export PYTHONDONTWRITEBYTECODE := 1

.DEFAULT_GOAL := help

##@ Use
.PHONY: run serve deploy build

run: build ## Deploy to a local stack, send a signed callback, fetch the song into out/
	@python -m tests.local_stack run

serve: build ## Keep the local stack up, for a tunnel to point at, until Ctrl-C
	@python -m tests.local_stack serve

deploy: build ## Deploy to AWS; the first time asks for what it needs, and keeps the answers
	@if grep -s '^parameter_overrides' samconfig.toml | grep -q 'Architecture=' \
	    && ! grep '^parameter_overrides' samconfig.toml | grep -q 'Architecture=\\"$(ARCH)\\"'; then \
	    echo "samconfig.toml deploys for another architecture than $(ARCH): make deploy ARCH=..., or edit it there" >&2; exit 1; fi
	@if grep -qs '^parameter_overrides' samconfig.toml; then sam deploy; \
	else sam deploy --guided --parameter-overrides Architecture=$(ARCH); fi

build: $(VENV)/.ready ## Build the Lambdas in release mode, for SAM
	@echo "==> Building the Lambdas for $(ARCH) (the first time takes some minutes)"
	cargo lambda build --locked --release --target $(TARGET).$(GLIBC) $(LAMBDAS:%=--bin %)
	@echo "==> Packaging them for SAM"
	@mkdir -p .aws-sam
	@sam build --parameter-overrides Architecture=$(ARCH) >.aws-sam/build.log 2>&1 || { cat .aws-sam/build.log; exit 1; }

##@ Check
.PHONY: test test-oracles chaos fuzz lint audit fmt

test: lint build ## Everything: lint, unit, property, replayed-HTTP, doc and deployed-stack tests
	cargo test --locked
	python -m pytest tests --ignore tests/oracles

test-oracles: $(VENV)/.ready ## Play the files with fluidsynth, read them with midicsv (Debian packages)
	python -m pytest tests/oracles

chaos: ## 10,000 schedules of faults in memory; CHAOS_SCHEDULES=…, CHAOS_SEED=…
	CHAOS_SCHEDULES=$${CHAOS_SCHEDULES:-10000} cargo test --locked --profile chaos --test aws chaos::nothing -- --nocapture

fuzz: $(VENV)/.ready ## Fuzz each reader of a stranger's bytes for FUZZ_SECONDS (60); needs a C++ compiler
	@for target in task_ids signature callback render; do mkdir -p tests/fuzz/corpus/$$target; \
	    echo "==> Fuzzing $$target for $${FUZZ_SECONDS:-60} s"; \
	    RUSTC_BOOTSTRAP=1 cargo fuzz run --fuzz-dir tests/fuzz $$target tests/fuzz/corpus/$$target events -- \
	        -max_total_time=$${FUZZ_SECONDS:-60} -timeout=20 -dict=tests/fuzz/json.dict || exit 1; \
	    RUSTC_BOOTSTRAP=1 cargo fuzz cmin --fuzz-dir tests/fuzz $$target >tests/fuzz/cmin.log 2>&1 || { cat tests/fuzz/cmin.log; exit 1; }; \
	done

lint: $(VENV)/.ready ## Formatting, clippy, docs, the template, the dependency tree
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps
	sam validate --lint
	cargo deny --locked check licenses bans sources

audit: $(VENV)/.ready ## Known weaknesses of the dependencies; fetches the advisory database
	cargo deny --locked check advisories
	cargo deny --locked --manifest-path tests/fuzz/Cargo.toml check advisories

fmt: ## Format the sources
	cargo fmt

##@ Other
.PHONY: clean help

clean: ## Remove all that was built, the tools included
	rm -rf target .aws-sam out $(VENV)

help: ## This list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.ready: $(REQUIREMENTS)
	@echo "==> Setting up the tools in $(VENV) (the first time takes a minute)"
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -r $(REQUIREMENTS)
	@touch $@

# What `sam build` calls for each function (BuildMethod: makefile).
.PHONY: $(LAMBDAS:%=build-%)
build-ReceiverFunction: package-receiver
build-RendererFunction: package-renderer
package-%:
	cargo lambda build --locked --quiet --release --target $(TARGET).$(GLIBC) --bin $*
	cp target/lambda/$*/bootstrap "$(ARTIFACTS_DIR)/"
