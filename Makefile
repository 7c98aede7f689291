# Thin verbs over scripts/ and the CMake presets. `make help` lists them.
PRESET ?= dev

.DEFAULT_GOAL := help
.PHONY: help run demo test bench build fmt lint clean

help: ## list the verbs
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

run: ## install what is missing, build, start everything, follow the logs; Ctrl-C stops it
	@scripts/run.sh

demo: ## play the whole story on a real clip (needs `make run` in another terminal)
	@scripts/demo.sh

test: ## install what tests need, build, run every test and gate; ends with a count
	@scripts/test.sh

bench: ## measure against gRPC, Node and the ffmpeg command
	@scripts/setup.sh --bench
	@tests/bench/run.sh

build: ## build one preset: make build PRESET=asan
	@[ -f build/$(PRESET)/build.ninja ] || cmake --preset $(PRESET) >/dev/null
	@cmake --build build/$(PRESET)

fmt: ## format the C files that git knows
	@git ls-files '*.c' '*.h' | xargs -r clang-format -i

lint: ## the style gates alone
	@tools/lint/all.sh

clean: ## remove builds and the data of `make run`
	@scripts/clean.sh
