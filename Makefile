# make compose   a new tune: MIDI, sound and picture in out/
# make course    Jupyter is set up for the labs; then: etude lab open 0
# make studio    the local page in a browser: compose, edit, train, listen, learn
# make labs      the notebooks of the labs are written anew from their sources
# make test      everything is tested
# make check     lint and the fast tests, in under two minutes
# make bench     the speed table, appended to assets/benchmarks.json
# make clean     out/, .venv/ and .venv-scale/ are removed

# The first Python 3.11 to 3.13 that can make a virtual environment.
FIT = import sys, ensurepip, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for p in python3 python3.12 python3.13 python3.11 python; do \
	$$p -c '$(FIT)' >/dev/null 2>&1 && echo $$p && break; done)
VENV = .venv
PIP = $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check

.PHONY: compose course studio labs test check bench clean

compose: $(VENV)/ready
	@$(VENV)/bin/etude compose $(ARGS)

course: $(VENV)/ready-to-learn
	@$(VENV)/bin/etude lab list

studio: $(VENV)/ready-to-show
	@$(VENV)/bin/etude studio $(ARGS)

labs: $(VENV)/ready-to-learn
	@$(VENV)/bin/python -m labs.build

test: $(VENV)/ready-to-test $(VENV)-scale/ready
	$(VENV)/bin/python -m pytest -n 2 --dist loadgroup

check: $(VENV)/ready-to-test
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/python -m pytest -q -n 2 --dist loadgroup -m "not slow"

bench: $(VENV)/ready
	$(VENV)/bin/etude bench start

$(VENV)/ready: requirements.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "Etude needs Python 3.11, 3.12 or 3.13 with venv (on Debian: the package python3-venv); found none. Name one: make PYTHON=/path/to/python3.12" >&2; exit 2; }
	@echo "Setting up $(VENV) with $(PYTHON): a few minutes and about 2 GB, once."
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) -r requirements.txt
	@$(PIP) --no-deps --no-build-isolation --config-settings editable_mode=compat -e .
	@touch $@

$(VENV)/ready-to-learn: $(VENV)/ready requirements-labs.txt
	@$(PIP) -r requirements-labs.txt
	@touch $@

$(VENV)/ready-to-show: $(VENV)/ready requirements-studio.txt
	@$(PIP) -r requirements-studio.txt
	@touch $@

$(VENV)/ready-to-test: $(VENV)/ready requirements-dev.txt
	@$(PIP) -r requirements-dev.txt
	@touch $@

# Apache Beam wants older libraries than the kit: an environment of its own.
$(VENV)-scale/ready: requirements-scale.txt
	@test -n "$(PYTHON)" || exit 2
	@$(PYTHON) -m venv $(VENV)-scale
	@$(VENV)-scale/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-scale.txt
	@touch $@

clean:
	rm -rf out $(VENV) $(VENV)-scale
