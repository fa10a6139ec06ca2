# What to type. Each target is one idea; what is longer than a line is a script in tools/.
.DEFAULT_GOAL := help
.PHONY: help run image engine test soak fuzz cassettes check bench docs

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' Makefile

run: ## build, then run fixtures/jobs/hello.nomad.hcl on the Engine that answers, or play a recording of it
	@tools/run.sh

image: ## make and load the test image, longshore/busybox:test (FORCE=1: even if the Engine has it)
	@tools/image.sh

engine: ## install and start a Docker Engine (Debian or Ubuntu, as root) where none answers
	@tools/engine.sh

test: ## every test that this machine can run; the last lines say how many live ones did
	@tools/test.sh

soak: ## the live tests in their long forms
	@LONGSHORE_SOAK=1 tools/test.sh

fuzz: ## broken inputs for every reader of foreign bytes, a minute each (LONGSHORE_FUZZ_SECONDS, LONGSHORE_FUZZ_SEED)
	@LONGSHORE_FUZZ_SECONDS=$${LONGSHORE_FUZZ_SECONDS:-60} cargo test --locked --test fuzz -- --show-output

cassettes: ## make the recordings that tests play, anew, on the Engine that answers
	@tools/cassettes.sh

check: ## format, clippy, layers, dependencies, docs: everything but the tests
	@tools/check.sh

bench: ## measure what the README quotes, beside a raw socket and bollard
	cargo bench --bench ping
	cargo bench --bench record
	cargo bench --bench logs

docs: ## the library's documentation, in target/doc
	cargo doc --no-deps --all-features
