# What one can do with Sekisho. `make help` lists it; README.md has the two commands to start with.
#
# Everything is built in one profile (release) and one target directory, so that RocksDB is compiled once.

# `make KEEP=1 demo` leaves the laboratory running; `make ATTACKS=50 bench` measures more attacks.
ATTACKS ?= 10
DEMO ?=

PROFILE := --release
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
# grpcurl and cargo-deny are installed there by build/install.
export PATH := $(PATH):/usr/sbin:/sbin:$(HOME)/.cargo/bin:$(HOME)/go/bin
export KEEP

.PHONY: help demo run test lint build bench clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):[^#]*## /\1\t/p' Makefile | awk -F'\t' '{ printf "%-8s %s\n", $$1, $$2 }'

demo: ## show the product at work in a laboratory of network namespaces (root; KEEP=1 leaves it running)
	@build/install tools
	cargo build $(PROFILE) --workspace --bins
	"$(TARGET_DIR)/release/sekisho-demo" $(DEMO)

run: ## look at this machine's own half-open sockets: aggregator and agent in observe mode
	@build/install tools
	cargo build $(PROFILE) --bins
	build/run-local "$(TARGET_DIR)/release"

test: ## run all tests, those that need root and network namespaces included; installs what is missing
	@build/install tests
	cargo build $(PROFILE) --workspace --bins
	cargo test $(PROFILE) --workspace

lint: ## format, clippy, licences and bans, and the repository's own rules
	@build/install lint
	cargo fmt --all --check
	cargo clippy $(PROFILE) --workspace --all-targets -- -D warnings
	cargo deny check licenses bans sources
	build/tidy

build: ## build the three programs and the demonstration
	@build/install tools
	cargo build $(PROFILE) --workspace --bins

bench: ## measure the engine, replays, the sensors, and the time from the first spoofed SYN to the drop on every host (root; ATTACKS=10)
	@build/install bench
	cargo build $(PROFILE) --workspace --bins --examples
	"$(TARGET_DIR)/release/examples/bench"
	"$(TARGET_DIR)/release/examples/replay_speed"
	"$(TARGET_DIR)/release/examples/scan_speed"
	"$(TARGET_DIR)/release/examples/nft_speed"
	"$(TARGET_DIR)/release/examples/drop_rate"
	"$(TARGET_DIR)/release/sekisho-demo" --attacks $(ATTACKS)

clean: ## remove what was built
	cargo clean
