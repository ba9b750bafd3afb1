# Two commands do everything: `make run` opens the studio, `make test` runs all tests. Both set up what they need.

PYTHON ?= python3
BIN := .venv/bin
PORT ?= 7860

.PHONY: run test check bench setup setup-dev

run: setup
	$(BIN)/studio ui --port $(PORT)

# Where Python is told to keep no compiled files, each of the tests' many processes would compile the studio anew.
test: export PYTHONDONTWRITEBYTECODE =
test: setup-dev
	$(BIN)/python -m pytest --ignore-glob 'tests/test_browser*' --numprocesses logical --maxprocesses 4 --dist loadfile
	$(BIN)/python -m pytest tests/test_browser*.py

check: setup-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

setup: .venv/.ready

setup-dev: .venv/.ready-dev
	@sh ./.ci/system-packages

.venv/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "The studio needs Python 3.11 or newer; $(PYTHON) is older. Try: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || \
		{ echo "Python cannot make a virtual environment. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

.venv/.ready-dev: .venv/.ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@
