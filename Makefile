# Every target works from a bare clone: Python >= 3.11, a C compiler and make are enough.
# It makes .venv, builds the compiled core through pip, installs what it needs, and runs the script of that name in ci/.
#
#   make demo     tasks that launch tasks, on real files, on a cluster embedded in the program
#   make test     all tests                              make test ARGS="tests/core -x"
#   make sim      the simulation by itself               make sim SEEDS=1000000 ARGS="--kind murder"
#   make nightly  what takes too long for every commit: a soak run, many deaths, many seeds
#   make lint     ruff, cython-lint, mypy
#   make debug    the core's tests on the debug build (bounds checks, internal assertions)
#   make bench    the benchmarks                         make bench ARGS=--smoke
#   make docs     the documentation, warnings as errors  (docs/_build/html)
#   make lowest   all tests with the oldest dependencies that pyproject.toml allows
#   make wheels   wheels for this platform               (wheelhouse/)
#   make clean    removes builds and caches, keeps .venv; `make distclean` removes that too

PYTHON ?= python3
ARGS ?=
SEEDS ?= 10000

BIN := .venv/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
CORE := $(shell find fastsched -name '*.pyx' -o -name '*.pxd' -o -name '*.pxi') \
	$(shell sed -n 's|^    "\(.*/.*\)",$$|fastsched/\1.py|p' fastsched/_compiled.py) fastsched/_compiled.py

.PHONY: demo test sim nightly lint debug bench docs lowest wheels clean distclean
.DELETE_ON_ERROR:

demo: .venv/.built
	@$(BIN)/python examples/launch_tasks.py $(ARGS)

test: .venv/.built .venv/.extra-test
	@ci/test.sh $(ARGS)

sim: .venv/.built
	@ci/sim.sh --seeds $(SEEDS) $(ARGS)

nightly: .venv/.built .venv/.extra-test .venv/.extra-bench
	@ci/nightly.sh $(ARGS)

lint: .venv/.built .venv/.extra-test .venv/.extra-lint
	@ci/lint.sh

debug: .venv/.built .venv/.extra-test
	@ci/debug.sh $(ARGS)

bench: .venv/.built .venv/.extra-bench
	@ci/bench.sh $(ARGS)

docs: .venv/.built .venv/.extra-docs
	@ci/docs.sh

lowest: .venv/.built
	@ci/lowest.sh $(ARGS)

wheels: .venv/.made
	@ci/wheels.sh $(ARGS)

# The environment, one stamp per step, each remade when what it was made from has changed.
.venv/.made:
	@PYTHON="$(PYTHON)" ci/check-tools.sh
	@echo "making .venv with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv .venv
	@touch $@

.venv/.built: pyproject.toml setup.py $(CORE) | .venv/.made
	@echo "building fastsched (a minute the first time)"
	@$(PIP) install --editable . --config-settings editable_mode=compat
	@touch $@

.venv/.extra-%: pyproject.toml ci/requirements.py | .venv/.made
	@echo "installing what '$*' needs"
	@$(BIN)/python ci/requirements.py $* > .venv/requirements-$*.txt
	@$(PIP) install --requirement .venv/requirements-$*.txt
	@touch $@

clean:
	@rm -rf build dist wheelhouse docs/_build *.egg-info .venv/.built
	@rm -rf .pytest_cache .ruff_cache .mypy_cache .hypothesis .benchmarks
	@find fastsched \( -name '*.so' -o -name '*.pyd' \) -delete
	@find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

distclean: clean
	@rm -rf .venv
