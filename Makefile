# `make` alone says what there is.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
# Two cargos at once would wait for each other, and steal each other's cores.
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

# KEEP=1 leaves the demo running.
KEEP ?=
export KEEP
# More for the bench, such as BENCH='--only relay'.
BENCH ?=
# More for the tests, such as TEST=replay.
TEST ?=

# Colours, where somebody looks on.
ifneq ($(if $(NO_COLOR),,$(MAKE_TERMOUT)),)
bold := \033[1m
cyan := \033[36m
dim := \033[2m
off := \033[0m
endif

define step
@printf '$(bold)$(cyan)▸ %s$(off)\n' '$(1)'
endef

.PHONY: help
help: ## This list
	@printf '$(bold)Triseal$(off), the partner gateway at the MOSIP boundary\n\n'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  $(cyan)make %-8s$(off) %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@printf '\n  $(dim)make demo KEEP=1          leaves the demo running and says what to try$(off)\n'
	@printf '  $(dim)make test TEST=replay     runs the tests with that in their name$(off)\n'
	@printf "  $(dim)make bench BENCH='--only relay'$(off)\n"

.PHONY: setup
setup: ## Install what is missing (as root; else say what is)
	@tests/setup-system
	@tests/setup-python

.PHONY: build
build: setup ## Build target/release/triseal
	$(call step,building the release)
	@cargo build --locked --release

.PHONY: demo
demo: build ## The whole story through two gateways, and eleven attacks on it
	@TRISEAL=$${TRISEAL:-$${CARGO_TARGET_DIR:-target}/release/triseal} demo/run

.PHONY: test
test: setup ## All tests: units, then the real binary with real clients
	$(call step,unit tests)
	@cargo test --locked --lib $(TEST)
	$(call step,integration tests: the real binary with the Python SDK and curl and openssl)
	@cargo test --locked --test it $(TEST)

.PHONY: check
check: setup ## Format and lints; every warning is an error
	$(call step,format)
	@cargo fmt --check
	$(call step,lints)
	@cargo clippy --locked --all-targets -- --deny warnings

.PHONY: bench
bench: setup ## Side by side with nginx, HAProxy, Node and the bare cryptography
	@tests/setup-system bench
	$(call step,bench: about nine minutes after the build)
	@cargo bench --locked --bench side_by_side -- $(BENCH)

.PHONY: clean
clean: ## Remove target/, all that was built or made
	@cargo clean
	@rm -rf target
