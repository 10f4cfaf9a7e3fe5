# Everything is set up by the targets that need it, in .venv and .venv-peers; nothing else is touched.
.DEFAULT_GOAL := help
SHELL := /bin/sh

# The newest Python that initgen supports, unless PYTHON names one.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
# Python $(1), on the PATH or beside the one that is there, as pyenv keeps them; nothing where it isn't.
find = $(shell beside=$$(python3 -c 'import sys; print(sys.base_prefix)')/..; \
	for p in python$(1) "$$beside"/$(1).*/bin/python "$(HOME)"/.pyenv/versions/$(1).*/bin/python; do \
	"$$p" -c 'import sys; sys.exit("%d.%d" % sys.version_info[:2] != "$(1)")' 2>/dev/null && echo "$$p" && break; done)
OLDEST = $(call find,3.11)
PYTHONS = 3.12 3.13 3.14
NEWER = $(foreach v,$(PYTHONS),$(if $(call find,$(v)),.venv-$(v)/tested))
# What is run with other versions of Python and of the libraries.
BASIC := tests/cli tests/contract tests/golden tests/kat tests/unit
BIN := .venv/bin
PEERS := .venv-peers/bin

.PHONY: help
help: ## List the targets
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

.PHONY: demo
demo: .venv/installed ## Write GPT-2's initial weights, 124 million parameters, to out/gpt2.safetensors
	@mkdir -p out
	$(BIN)/initgen generate examples/gpt2.yaml -o out/gpt2.safetensors --force

.PHONY: test
test: .venv/installed ## Run the tests that need no framework
	$(BIN)/pytest -n auto $(COVERAGE)

.PHONY: test-crash
test-crash: .venv/installed ## Kill, stop and cut off runs of generate, hundreds of times
	INITGEN_KILLS=200 $(BIN)/pytest -n 4 tests/crash/test_kills.py tests/crash/test_power_cut.py tests/crash/test_signals.py

.PHONY: test-faults
test-faults: .venv/installed ## Let every call that writes files fail, in every way, and limit memory and more
	FAULTS=all $(BIN)/pytest -n 4 tests/faults

.PHONY: test-oldest
test-oldest: .venv-oldest/installed ## Run most of them with the oldest Python and libraries
	.venv-oldest/bin/pytest -q -n auto $(BASIC)

.PHONY: test-pythons
test-pythons: $(NEWER) ## Run most of them on the newer Pythons that are here
	@test -n "$^" || echo "no Python newer than 3.11 is here: nothing was tested" >&2

.PHONY: test-everywhere
test-everywhere: .venv/installed ## Make golden values again on lesser processors, without libraries
	$(BIN)/pytest -n auto tests/everywhere

.PHONY: test-aarch64
test-aarch64: .venv/installed ## Make them again on an emulated 64-bit ARM processor (Debian only)
	sh tools/emulated.sh build/arm64

.PHONY: coverage
coverage: .venv/installed ## Run the tests and tell which lines and branches they leave out
	rm -rf build/coverage
	$(MAKE) test COVERAGE="--cov --cov-report=term-missing"

.PHONY: mutants
mutants: .venv-mutants/installed ## Change the code in small ways and tell which changes no test notices
	@test "$$(id -u)" != 0 || { echo "mutants may replace any file, even /dev/null: run them as another user than root" >&2; exit 1; }
	CI=true .venv-mutants/bin/mutmut run $(SAMPLE:%='%')
	.venv-mutants/bin/mutmut results --all true | $(PYTHON) tools/mutants.py

.PHONY: test-browser
test-browser: .venv/installed ## Run the tests of the HTML page in Chromium, which must be installed
	$(BIN)/pytest -n auto tests/browser

.PHONY: test-interop
test-interop: .venv-peers/installed ## Run the tests against torch, Keras, JAX and transformers
	KERAS_BACKEND=jax $(PEERS)/pytest tests/interop

.PHONY: test-package
test-package: .venv/installed ## Build the wheel and try it in an empty environment
	rm -rf dist build/wheel
	$(BIN)/python -m build --wheel --outdir dist
	$(PYTHON) -m venv build/wheel
	build/wheel/bin/pip install -q dist/*.whl
	build/wheel/bin/initgen generate examples/mlp.yaml -o build/wheel/mlp.h5
	build/wheel/bin/initgen describe build/wheel/mlp.h5 --quiet --html build/wheel/mlp.html

.PHONY: fuzz
fuzz: .venv/installed ## Give a million hostile inputs to all that reads files of others
	$(BIN)/python tools/fuzz.py --inputs 1000000

.PHONY: fuzz-short
fuzz-short: .venv/installed ## Give 20,000 to it, the same ones each time
	$(BIN)/python tools/fuzz.py --inputs 20000

.PHONY: check
check: .venv/installed ## Check format, lint and types
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy

.PHONY: bench
bench: .venv-peers/installed ## Measure against torch, NumPy, JAX and Keras, side by side
	$(PEERS)/python benchmarks/run.py --json build/bench.json --plots docs

.PHONY: quality
quality: .venv/installed ## Test the numbers in all the ways of docs/quality.md; it takes hours
	$(BIN)/python tools/quality/batteries.py --check
	$(BIN)/python tools/quality/independence.py
	$(BIN)/python tools/quality/matrices.py
	$(BIN)/python tools/quality/distributions.py
	$(BIN)/python tools/quality/batteries.py

.PHONY: docs
docs: .venv/installed ## Write docs/cli.md and docs/json.md again from what commands and types say
	$(BIN)/python tools/cli_reference.py > docs/cli.md
	$(BIN)/python tools/json_reference.py > docs/json.md

.PHONY: screenshots
screenshots: .venv/installed ## Draw the pictures in docs/ again, in Chromium, which must be installed
	$(BIN)/python tools/screenshot.py

.PHONY: format
format: .venv/installed ## Format the code
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

.PHONY: clean
clean: ## Remove everything that the other targets made
	rm -rf .venv .venv-* build dist mutants out

.venv/installed: pyproject.toml
	$(call install,.venv,dev)

.venv-peers/installed: pyproject.toml
	$(call install,.venv-peers,peers)

.venv-mutants/installed: pyproject.toml
	$(call install,.venv-mutants,mutants)

.venv-oldest/installed: pyproject.toml
	@test -n "$(OLDEST)" || { echo "test-oldest needs Python 3.11: make OLDEST=/path/to/python3.11" >&2; exit 1; }
	$(OLDEST) -m venv .venv-oldest
	$(OLDEST) -c 'import tomllib; project = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
		print(*project["dependencies"], *project["optional-dependencies"]["test"], sep="\n")' \
		| sed 's/>=/==/' > .venv-oldest/oldest.txt
	.venv-oldest/bin/pip install -q -e '.[test]' -c .venv-oldest/oldest.txt
	@touch $@

.PHONY: .venv-3.%/tested
.venv-3.%/tested: .venv-3.%/installed
	.venv-3.$*/bin/pytest -q -n auto $(BASIC)

.PRECIOUS: .venv-3.%/installed
.venv-3.%/installed: pyproject.toml
	$(call find,3.$*) -m venv .venv-3.$*
	.venv-3.$*/bin/pip install -q -e '.[test]'
	@touch $@

define install
	@test -n "$(PYTHON)" || { echo "initgen needs Python 3.11 or newer: make PYTHON=/path/to/python" >&2; exit 1; }
	$(PYTHON) -m venv $(1)
	$(1)/bin/pip install -q -e '.[$(2)]'
	@touch $(1)/installed
endef
