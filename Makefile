# One name per everyday task. `make` alone lists them.

SHELL := /bin/bash
STACK_DIR ?= .stack

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all faults bench lint up down clean-stack release image-build

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

setup: ## install what is missing (as root; otherwise print the command)
	@scripts/setup.sh all

demo: ## the story in 10 seconds; needs nothing but the build, which takes two minutes the first time
	@scripts/announce-build.sh demo
	@scripts/setup.sh build
	@cargo run --bin demo

test: ## set up, build, lint and test everything against real servers
	@scripts/test.sh

test-all: ## make test and the long forms: more schedules and cases, all faults in full, the quick benchmark; an hour or more
	@scripts/test-all.sh

faults: ## break everything on purpose, at most 15 minutes; FAULTS="NAME --seed N" for one
	@scripts/faults.sh $(FAULTS)

bench: ## what the consumer costs beside a floor and others; ten minutes and a release build; BENCH=--quick, or other parts
	@scripts/bench.sh $(BENCH)

lint: ## formatting and clippy
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

release: ## the programs as they are shipped, and their debug information beside them
	@scripts/release.sh

image-build: ## build what docker/Dockerfile builds, from what a container engine would be sent
	@scripts/image-build.sh

up: ## start the real servers on this machine, in $(STACK_DIR)
	@scripts/announce-build.sh stack
	@scripts/setup.sh all
	@cargo run --bin stack -- up --dir $(STACK_DIR)

down: ## stop exactly what `make up` started
	@cargo run --bin stack -- down --dir $(STACK_DIR)

clean-stack: down ## stop the servers and forget their data
	rm -rf $(STACK_DIR)
