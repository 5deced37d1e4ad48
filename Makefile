# Everything a developer does; `make help` lists it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
ARGS ?=
SECONDS ?= 120
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := true

.DEFAULT_GOAL := help
.PHONY: help venv up demo test faults storm lint bench clean

help: ## Say what each command does
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(STAMP) ## Make .venv and install everything into it

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Steward needs Python 3.11 or newer; this is $$($(PYTHON) --version). Try: make PYTHON=python3.12 ..."; exit 1; }
	@echo "Installing into $(VENV): about 150 packages, 1.2 GB on disk, one to three minutes."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --disable-pip-version-check --progress-bar on -q \
	  -c constraints.txt -e '.[dev,demo,embedded,postgres]'
	@touch $(STAMP)
	@echo "Installed: $$(du -sh $(VENV) | cut -f1) in $(VENV)."

up: venv ## Start Steward on this machine (ARGS="--serve MODEL")
	@exec $(BIN)/steward up $(ARGS)

demo: venv ## Show the main job on real data, with an MLflow of its own (ARGS=--exit ends by itself)
	@exec $(BIN)/steward demo $(ARGS)

test: venv ## Run every test: unit, integration, acceptance (ARGS="-k name")
	@$(BIN)/python -m pytest $(ARGS)

faults: venv ## Inject every fault, and write the results into docs/guarantees.md
	@rm -f .pytest_cache/faults.json; $(BIN)/python -m pytest tests/acceptance/faults $(ARGS); status=$$?; \
	  $(BIN)/python -m tests.acceptance.faults.report; exit $$status

storm: venv ## Random faults for SECONDS=120, then what was lost or doubled (ARGS="--seed 7 --journal postgresql")
	@$(BIN)/python -m tests.acceptance.faults.storm --seconds $(SECONDS) $(ARGS)

lint: venv ## Check style, types and who imports whom
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --config .importlinter

bench: venv ## Measure, each against a baseline in the same run (ARGS=intake runs one)
	@$(BIN)/python -m benchmarks $(ARGS)

clean: ## Remove the virtual environment and caches
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
