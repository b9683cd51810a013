# Everything that is done with this repository. `make` alone lists the targets.

CARGO ?= cargo
# Recorded versions only: what was tested is what is built.
LOCKED := --locked
SUDO := $(shell [ "$$(id -u)" = 0 ] || command -v sudo)
FUZZ_SECONDS ?= 60

.DEFAULT_GOAL := help
# The steps of `test` share one target folder; one after the other says more when one fails.
.NOTPARALLEL:
.PHONY: help build test packages lint unit mutations readme instructions agreement bench peers fuzz captures doc man clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: packages ## Build the command: target/release/flow
	$(CARGO) build --release $(LOCKED) -p flowcli

test: packages lint unit mutations readme instructions ## Run every test, on a machine with rustup and nothing else

packages: ## Install what building and testing need, if it is missing (Debian, as root or with sudo)
	@SUDO="$(SUDO)" .ci/packages

lint: ## Formatting, clippy and documentation, warnings are errors
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace $(LOCKED) -- -D warnings
	@# Clippy does not see that a test's helper function is part of a test.
	$(CARGO) clippy --workspace --all-targets $(LOCKED) -- -D warnings -A clippy::unwrap_used -A clippy::print_stdout
	@# A workspace of its own, which nothing above reads: its manifest and lock must at least hold together.
	$(CARGO) metadata --manifest-path fuzz/Cargo.toml $(LOCKED) --format-version 1 >/dev/null
	@# Links that lead nowhere.
	$(MAKE) --no-print-directory doc

unit: ## Unit, property, tape and program tests; what is skipped says SKIPPED and why
	$(CARGO) test --workspace $(LOCKED)

mutations: ## Two million mutated inputs through every decoder and reader, in release mode
	$(CARGO) test --release $(LOCKED) -p flowcore --test robust -- damaged --include-ignored
	$(CARGO) test --release $(LOCKED) -p flowsrc-pcap --test damage -- mutated --include-ignored
	$(CARGO) test --release $(LOCKED) -p flowfilter --test robust -- mutated --include-ignored

readme: ## Run the README's first command as it is written there
	.ci/readme

agreement: packages ## Compare with independent tools on public captures; writes docs/agreement.md
	FLOW_AGREEMENT_WRITE=1 $(CARGO) test --release $(LOCKED) -p flowcli --test agreement -- --nocapture

instructions: packages ## Instructions per packet of each stage against benches/instructions.tsv (with valgrind)
	CARGO="$(CARGO)" benches/instructions.sh check

bench: packages ## Measure ns per packet of each stage
	$(CARGO) bench $(LOCKED) -p benches

peers: build ## The same beside other tools: make peers FILE=... PACKETS=... (INSTALL=1 gets them with apt)
	$(CARGO) build --release $(LOCKED) -p benches
	benches/peers.sh $(FILE) $(PACKETS) $(or $(RUNS),3) $(or $(PEERS),fast)

fuzz: packages ## Fuzz each reader and decoder for FUZZ_SECONDS (60)
	FUZZ_SECONDS=$(FUZZ_SECONDS) CARGO="$(CARGO)" SUDO="$(SUDO)" fuzz/run.sh

captures: ## Make the captures of captures/ anew, from real servers and clients (root, Debian)
	$(SUDO) captures/make.sh --install

doc: ## The API documentation: target/doc/flowcore/index.html
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps $(LOCKED)

man: packages ## Man pages and shell completions: target/man, target/completions
	$(CARGO) build --release $(LOCKED) -p flowcli
	mkdir -p target/man target/completions
	target/release/flow man >target/man/flow.1
	for command in conns hosts count sockets lat vol cpu filter filter-check filter-explain filter-normal filter-sql; do target/release/flow man $$command >target/man/flow-$$command.1 || exit 1; done
	for shell in bash zsh fish elvish powershell; do \
		target/release/flow completions $$shell >target/completions/flow.$$shell || exit 1; done

clean: ## Remove everything that was built
	$(CARGO) clean
	rm -rf fuzz/target fuzz/corpus fuzz/artifacts
