# Two commands: `make run` starts the page, `make test` runs every test. Each sets up .venv by itself.
# `make help` lists the rest; the README has the same steps for people without make.

VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check install --no-input $(if $(CI),--quiet)
# Passed on as they are: make run ARGS="--port 7861"
ARGS ?=

# Nothing here may phone home, in the page or in the tests.
export GRADIO_ANALYTICS_ENABLED := False

.DEFAULT_GOAL := help
.PHONY: help run test check nightly demo-model loop bench test-readers setup setup-tests clean

help: ## list the commands
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 20

run: $(VENV)/.installed ## start the page and print its address (ARGS="--port 7861 --share")
	@$(PY) app.py $(ARGS)

# Side by side, a file's tests in one process. Each computes with one thread: two sets of helpers on two cores wait awake
# for one another. A debugger wants ARGS="-n 0".
test: $(VENV)/.installed-tests ## run every test but the nightly ones (ARGS="tests/model -x")
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(PY) -m pytest -n auto --maxprocesses 4 --dist loadfile $(ARGS)

nightly: $(VENV)/.installed-tests ## run the tests that take longer too, with the peers that can be built
	-$(PY) -m scripts.install_peers
	$(PY) -m pytest -m "nightly or not nightly" --timeout 7200 $(ARGS)

# mypy sees app.py and the package app/ under one name, so app.py has a run of its own.
check: $(VENV)/.installed-tests ## lint, types, and the layout of the house
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy app conversations model scripts
	$(PY) -m mypy app.py
	$(PY) -m pytest -q tests/test_layout.py tests/test_setup.py

demo-model: $(VENV)/.installed ## train a model like the shipped one from its seed, into runs/; goes on where it stopped
	$(PY) -m scripts.train_demo_model $(ARGS)

loop: $(VENV)/.installed-tests ## prove that the loop closes: ask, correct, train, ask again, in the real page
	$(PY) -m scripts.prove_loop $(ARGS)

bench: $(VENV)/.installed-tests ## measure the start, and the engine beside its peers (ARGS="--model random --rows decode")
	$(PY) -m scripts.measure_speed
	-$(PY) -m scripts.install_peers
	$(PY) -m scripts.bench_engine $(ARGS)

test-readers: $(VENV)/.installed ## have LLaMA-Factory, ms-swift and Axolotl read our exports (gigabytes, once)
	$(PY) -m scripts.test_readers $(ARGS)

setup: $(VENV)/.installed ## install what the program needs into .venv
setup-tests: $(VENV)/.installed-tests ## install what the tests need, Chromium included

clean: ## remove .venv and the tools' caches; conversations in var/ stay
	rm -rf $(VENV) .venv-peers .pytest_cache .ruff_cache .mypy_cache .hypothesis

# Found by running it: a name on the PATH may be a shim for a version that is not installed.
$(PY):
	@for name in $(PYTHON) python3.13 python3.12 python3.11 python3 python; do \
	    if $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then found=$$name; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	    echo "LLaVA Loop needs Python 3.11 or newer, and none was found on the PATH." >&2; \
	    echo "Install one (Debian, Ubuntu: apt-get install python3 python3-venv), or name it: make run PYTHON=/path/to/python3" >&2; \
	    exit 1; \
	fi; \
	if ! $$found -c 'import venv, ensurepip' >/dev/null 2>&1; then \
	    echo "$$($$found --version) was found, but it cannot make virtual environments." >&2; \
	    echo "Install its venv package (Debian, Ubuntu: apt-get install python3-venv), then try again." >&2; \
	    exit 1; \
	fi; \
	echo "Setting up $(VENV) with $$($$found --version) ..."; \
	$$found -m venv --clear $(VENV)

# torch goes first and alone: it is by far the largest, and a plain run of pip then shows what takes the time.
# The stamp is written last, so an interrupted set-up is simply taken up again.
$(VENV)/.installed: requirements.txt | $(PY)
	@echo "Installing what the program needs (a few minutes, once) ..."
	$(PIP) "$$(grep '^torch==' requirements.txt)"
	$(PIP) -r requirements.txt
	@touch $@

$(VENV)/.installed-tests: requirements-dev.txt scripts/install_chromium.py $(VENV)/.installed
	@echo "Installing what the tests need ..."
	$(PIP) -r requirements-dev.txt
	$(PY) -m scripts.install_chromium
	@touch $@
