# A fresh machine needs Python 3.11 or newer, make and a network. The first target that needs the program installs it
# into .venv; after that an install happens only when pyproject.toml or constraints.txt changed. constraints.txt pins
# everything that is resolved, so that these targets do tomorrow what they do today; `make test-newest` tries what the
# registry serves now, and `make pins` writes that down. `make test-lowest` tries the floors of pyproject.toml.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
NEWEST := .venv-newest
LOWEST := .venv-lowest
PIP := -m pip install -qq --disable-pip-version-check
PINS := constraints.txt
UV := build/uv/bin/uv
# More processes than processors (`tests/conftest.py` says how many), each with a run of neighbouring tests; who is done
# first takes over from the others.
AT_ONCE := --numprocesses logical --maxprocesses 12 --dist worksteal

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install demo test test-newest test-lowest pins lint docs-check docs site bench wheel mcpb clean

help: ## say what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

install: $(INSTALLED) ## set up .venv with everything the project needs

# pip comes first: the one a fresh venv brings may be too old to know dependency groups (pip 25.1) and build constraints
# (25.3).
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "imagerag needs Python 3.11 or newer; say which one: make PYTHON=python3.12" >&2; exit 1; }
	@test -x $(BIN)/python || { echo "making $(VENV) with $$($(PYTHON) --version)"; $(PYTHON) -m venv $(VENV); }
	@echo "installing imagerag and its development tools into $(VENV) (torch is large: the first time takes minutes)"
	@$(BIN)/python $(PIP) --constraint $(PINS) --upgrade pip
	@$(BIN)/python $(PIP) --constraint $(PINS) --build-constraint $(PINS) --group dev --editable .
	@touch $@

demo: $(INSTALLED) ## run the whole method offline on the embedded sketch world, into demo/
	@echo "running the demo: no key, no GPU, no download"
	@$(BIN)/imagerag demo --out demo
	@echo "here, imagerag is $(BIN)/imagerag"

test: $(INSTALLED) ## run every test (docs-check and the wheel's among them)
	@echo "running the tests"
	@$(BIN)/python -m pytest $(AT_ONCE)

test-newest: ## run every test with the newest versions that the registry serves, in an environment of its own
	@echo "installing the newest versions into $(NEWEST)"
	@rm -rf $(NEWEST) && $(PYTHON) -m venv $(NEWEST)
	@$(NEWEST)/bin/python $(PIP) --upgrade pip
	@$(NEWEST)/bin/python $(PIP) --upgrade --upgrade-strategy eager --group dev --editable .
	@$(NEWEST)/bin/python -m pytest $(AT_ONCE) -m "not pinned and not lowest"

# What the dependencies ask for in turn is as new as they take it.
test-lowest: $(UV) ## run every test with the lowest versions that pyproject.toml allows, in an environment of its own
	@echo "installing the lowest versions into $(LOWEST)"
	@rm -rf $(LOWEST) && $(PYTHON) -m venv $(LOWEST)
	@$(UV) pip install --quiet --python $(LOWEST)/bin/python --resolution lowest-direct --group dev --editable .
	@$(LOWEST)/bin/python -m pytest $(AT_ONCE) -m "not pinned"

# uv resolves for every platform and Python at once, and for the lowest versions, which pip cannot: the pins hold on
# other machines, too.
$(UV):
	@$(PYTHON) -m venv build/uv && build/uv/bin/python $(PIP) uv

pins: $(UV) ## pin the newest versions of everything, for all platforms, in constraints.txt
	@$(UV) pip compile pyproject.toml --quiet --upgrade --group dev --all-extras --universal \
	  --python-version 3.11 --no-annotate --no-header --no-emit-index-url --output-file build/pins.txt
	@{ sed -n '/^#/p' $(PINS); cat build/pins.txt; } > build/constraints.txt && mv build/constraints.txt $(PINS)
	@echo "$(PINS) is written anew: run make test before you keep it"

lint: $(INSTALLED) ## check style, formatting and types, those of the examples too
	@echo "checking style, formatting and types"
	@$(BIN)/python -m ruff check .
	@$(BIN)/python -m ruff format --check .
	@$(BIN)/python -m mypy -p imagerag
	@$(BIN)/python -m tests.docs.example_modules build/documents && MYPYPATH=build $(BIN)/python -m mypy -p documents

docs-check: $(INSTALLED) ## run what the documents show and compare their generated parts with the code
	@echo "running the documents"
	@$(BIN)/python -m pytest $(AT_ONCE) tests/docs

docs: $(INSTALLED) ## rewrite the generated parts of the documents, pictures of pages among them
	@IMAGERAG_DOCS_WRITE=1 $(BIN)/python -m pytest tests/docs tests/ui/test_screenshots.py tests/mcp/app \
	  -k "generated or picked"

site: $(INSTALLED) ## build the documentation site into build/site, offline
	@echo "building the documentation into build/site"
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict

bench: $(INSTALLED) ## measure speed and quality on this machine
	@$(BIN)/python -m imagerag.evals.bench

wheel: $(INSTALLED) ## build the sdist and the wheel into dist/
	@echo "building dist/"
	@rm -rf build dist
	@$(BIN)/python -m build --outdir dist . > /dev/null
	@ls dist

mcpb: $(INSTALLED) ## build the desktop bundle of the MCP server into dist/
	@echo "building the desktop bundle"
	@rm -rf build/lib build/mcpb dist/*.mcpb
	@$(BIN)/python -m build --wheel --outdir build/mcpb . > /dev/null
	@$(BIN)/python -m imagerag.mcp.desktop_bundle build/mcpb/*.whl --out dist

clean: ## remove .venv and everything that was made
	@rm -rf $(VENV) $(NEWEST) $(LOWEST) demo build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
