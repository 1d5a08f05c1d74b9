# Everything runs in .venv, which is made on first use and brought up to date when the dependencies change.
# On a machine with python3 and make, `make demo` and `make test` are all there is to do.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PEERS := .venv-peers
PEERS_STAMP := $(PEERS)/.installed

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install demo lint test test-slow bench bench-datasets bench-distillation bench-models bench-null bench-recipes bench-signals clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-18s %s\n", $$1, $$2 }' Makefile

install: $(STAMP)  ## make .venv and install Limbeck with what its development needs

# The folder alone would say nothing: an install that was interrupted leaves it behind. The stamp is written last.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Limbeck needs Python 3.11 or newer; '$(PYTHON)' is: $$($(PYTHON) --version 2>&1)." \
	    "Name a newer one: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(STAMP)  ## run a whole study on the simulated cohort and say where its report is
	$(BIN)/limbeck run studies/demo.yaml --out runs

# Two threads per process on a busy two-core machine are many times slower than one.
lint test test-slow bench bench-datasets bench-distillation bench-models bench-null bench-recipes bench-signals: export OMP_NUM_THREADS = 1
lint test test-slow bench bench-datasets bench-distillation bench-models bench-null bench-recipes bench-signals: export OPENBLAS_NUM_THREADS = 1
lint test test-slow bench bench-datasets bench-distillation bench-models bench-null bench-recipes bench-signals: export MKL_NUM_THREADS = 1
lint test test-slow bench bench-datasets bench-distillation bench-models bench-null bench-recipes bench-signals: export NUMEXPR_NUM_THREADS = 1

lint: $(STAMP)  ## style, types and the layers of the design
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint  ## lint, then every test that is not marked slow, in two processes
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-slow: $(STAMP)  ## the tests marked slow
	$(BIN)/python -m pytest -m slow

bench: $(STAMP)  ## folds trained together against one by one; windows written and read
	$(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/windows.py

bench-datasets: $(STAMP)  ## full-size files of the corpora read and cut into windows, with the memory that takes
	$(BIN)/python benchmarks/datasets.py

bench-distillation: $(STAMP)  ## a study of teaching against a plain PyTorch script; what caching, sharing, grouping gain
	$(BIN)/python benchmarks/distillation.py

bench-models: $(STAMP)  ## PainAttnNet beside a plain transcription, and the students in ONNX Runtime
	$(BIN)/python benchmarks/models.py

bench-null: $(STAMP)  ## p-values of taught against alone on 40 cohorts where there is nothing to be taught
	$(BIN)/python benchmarks/null_cohorts.py

bench-recipes: $(STAMP)  ## every recipe on the simulated cohort, and the credit controls of the best three
	$(BIN)/python benchmarks/recipes.py --jobs 2

bench-signals: $(STAMP) $(PEERS_STAMP)  ## signals and features against other libraries, which get an environment of their own
	$(BIN)/python benchmarks/signals.py --peers $(PEERS)

$(PEERS_STAMP): benchmarks/peers.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/pip install -q --disable-pip-version-check --no-deps -r benchmarks/peers.txt
	@touch $@

clean:  ## remove .venv, .venv-peers and caches; runs and data stay
	rm -rf $(VENV) $(PEERS) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
