# Everything runs in an environment of its own; each target makes it if it is not there.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# -e follows the sources; WHEEL=1 installs what users get instead, and tests that.
EDITABLE := $(if $(WHEEL),,-e)

# Two threads on a busy machine are many times slower than one. Nothing here may ask a hub.
export OMP_NUM_THREADS ?= 1
export HF_HUB_OFFLINE = 1
export TOKENIZERS_PARALLELISM = false

.PHONY: demo test test-all lint types format clean setup

demo: $(STAMP)
	$(BIN)/python examples/carry/demo.py --overwrite

# PYTHONSAFEPATH: from the root, `import rewardkit` must find the package, not the bare folder.
test: export PYTHONSAFEPATH = 1
test: $(STAMP)
	$(BIN)/python -m pytest -n auto --dist loadfile -m "not slow" -q

test-all: export PYTHONSAFEPATH = 1
test-all: $(STAMP)
	$(BIN)/python -m pytest -n auto --dist loadfile -q

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	rm -rf build && mkdir -p build/types/empty
	$(BIN)/pip install -q --no-deps --no-build-isolation --target build/types/site .
	$(BIN)/python tests/check_types.py build/types

format: $(STAMP)
	$(BIN)/ruff check --fix -q .
	$(BIN)/ruff format -q .

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -c constraints.txt setuptools wheel
	rm -rf *.egg-info build  # left by an earlier install, they hide the names it did not know
	$(BIN)/pip install -q -c constraints.txt $(EDITABLE) '.[train,dev]'
	touch $(STAMP)

clean:
	rm -rf build dist *.egg-info $(VENV)
