# The tests use one worker more than there are cores, because tests on real browsers mostly wait.
#
# Everything runs in $(VENV). `make` builds it if it is missing, and rebuilds it when pyproject.toml or
# constraints.txt change.

PYTHON ?= python3
LOCK_PYTHON ?= python3.11
VENV ?= .venv
WORKERS ?= $(shell expr $$(nproc) + 1)
# The busy loops of test-under-load stop by themselves after LOAD_S. They make everything several times slower.
LOAD_S ?= 3600
LOAD_PATIENCE ?= 10

BIN := $(VENV)/bin
INSTALLED := $(VENV)/.stamp-packages
BROWSER := $(VENV)/.stamp-browser
PLOTS := $(VENV)/.stamp-plots
PROGRAMS := $(VENV)/.stamp-programs
NODE := $(VENV)/.stamp-node
NODE_BIN := $(VENV)/node/node_modules/.bin
PIP_INSTALL := -m pip install -qq --disable-pip-version-check

# With it, each of the many processes would compile all its modules anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-under-load soak chaos clients fuzz docs images bench check serve format lock clean

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(BROWSER) ## Build the environment and install a browser; FORCE=1 looks for a browser again

demo: setup ## Run the main job on the practice site with a real browser
	@$(BIN)/greenroom demo $(ARGS)

test: setup $(PROGRAMS) ## Run the tests; ARGS="-k name" chooses
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

test-under-load: setup $(PROGRAMS) ## Run the tests three times beside two busy loops a core; ARGS as for test
	@set -e; \
	  for core in $$(seq $$(nproc)) $$(seq $$(nproc)); do \
	    timeout $(LOAD_S) sh -c 'while :; do :; done' & loops="$$loops $$!"; \
	  done; \
	  trap 'kill $$loops 2>/dev/null || :' EXIT; \
	  for run in 1 2 3; do \
	    TEST_PATIENCE=$(LOAD_PATIENCE) $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(ARGS); \
	  done; \
	  kill -0 $$loops || { echo "The busy loops have ended before the tests: raise LOAD_S" >&2; exit 1; }

soak: setup ## Create and end sessions by the thousand with random faults; ARGS="--browserless N --browser N"
	@$(BIN)/python -m tests.soak $(ARGS)

chaos: setup ## Kill and stop everything at every moment on the real browser; writes docs/chaos.md
	@$(BIN)/python -m tests.chaos $(ARGS)

clients: setup ## Use a session with each Playwright that npm has; needs Node; writes docs/clients.md
	@$(BIN)/python -m tests.clients $(ARGS)

fuzz: $(INSTALLED) ## Judge broken pages, ARGS="--minutes N"; besiege a daemon; test all properties with more examples
	@$(BIN)/python -m tests.fuzz $(ARGS)
	@$(BIN)/python -m tests.siege
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m hypothesis --hypothesis-profile=fuzz

docs: $(INSTALLED) ## Write docs/errors.md and docs/openapi.json, which describe the HTTP side
	@$(BIN)/python -m tests.contract

images: setup $(PROGRAMS) ## Write docs/images/, the dashboard's pictures
	@DASHBOARD_IMAGES=docs/images $(BIN)/python -m pytest -q tests/real/test_dashboard.py -k "operator"

bench: setup $(PLOTS) ## Measure against the alternatives; ARGS=--quick; writes docs/benchmarks.md
	@$(BIN)/python -m benchmarks $(ARGS)

check: $(INSTALLED) $(NODE) ## Check format, lint, types and the layers' import contract
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	@if [ -x $(NODE_BIN)/tsc ]; then \
	  echo "Checking the dashboard's scripts"; \
	  $(NODE_BIN)/tsc -p tests/dashboard && $(NODE_BIN)/biome check --config-path=tests/dashboard web/dashboard; \
	else echo "The dashboard's scripts are not checked: there is no npm"; fi

serve: setup ## Run the daemon; ARGS="--bind HOST:PORT" and the like
	@$(BIN)/greenroom serve $(ARGS)

format: $(INSTALLED) ## Format the code and fix what the linter can
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

lock: ## Renew constraints.txt: the newest versions that pyproject.toml allows
	@command -v $(LOCK_PYTHON) >/dev/null || \
	  { echo "The lock is made with the oldest Python supported: set LOCK_PYTHON to a Python 3.11" >&2; exit 1; }
	@echo "Resolving the newest versions (about a minute)"
	@set -e; dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; \
	  $(LOCK_PYTHON) -m venv "$$dir/venv"; \
	  "$$dir/venv/bin/python" $(PIP_INSTALL) '.[dev,bench]'; \
	  echo "# Every package's version as tested, for Python 3.11 and newer. Renew with: make lock" > "$$dir/lock"; \
	  "$$dir/venv/bin/python" -m pip freeze --exclude greenroom --exclude setuptools >> "$$dir/lock"; \
	  cmp -s "$$dir/lock" constraints.txt || cp "$$dir/lock" constraints.txt

clean: ## Remove the environment and all caches; never a profile
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	find greenroom actors supervisor web benchmarks tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Greenroom needs Python 3.11 or newer, and $(PYTHON) is not: set PYTHON, as in make setup PYTHON=python3.12" >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -c 'import ensurepip' 2>/dev/null || \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "Installing python3-venv with apt-get"; \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends python3-venv >/dev/null; \
	  fi; \
	  $(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -c 'import ensurepip' 2>/dev/null || \
	  { echo "$(PYTHON) can't make virtual environments. Run: sudo apt-get install python3-venv" >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || \
	  { echo "Making the environment in $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@echo "Installing packages into $(VENV) (about a minute)"
	@$(BIN)/python $(PIP_INSTALL) -c constraints.txt -e '.[dev]'
	@touch $@

$(PLOTS): $(INSTALLED)
	@$(BIN)/python $(PIP_INSTALL) -c constraints.txt -e '.[bench]'
	@touch $@

# What checks the dashboard's scripts, where Node is there.
$(NODE): $(INSTALLED) tests/dashboard/package.json
	@if command -v npm >/dev/null; then \
	  echo "Installing what checks the dashboard's scripts"; \
	  mkdir -p $(VENV)/node && cp tests/dashboard/package.json $(VENV)/node/ && \
	  npm install --prefix $(VENV)/node --no-package-lock --no-audit --no-fund --silent; \
	fi
	@touch $@

# The dashboard is tested in Chromium, windows on Xvfb, metrics with Prometheus and its promtool, the unit by systemd.
# Debian would run it as a service that everybody can reach, which nobody has asked for.
$(PROGRAMS): $(INSTALLED)
	@has_all() { command -v chromium && command -v Xvfb && command -v prometheus && command -v promtool && command -v systemd-analyze; } >/dev/null; \
	  has_all || \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "Installing Chromium, Xvfb, Prometheus and systemd with apt-get"; \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium xvfb prometheus systemd >/dev/null && \
	    { systemctl -q disable --now prometheus 2>/dev/null || :; }; \
	  fi; \
	  has_all || \
	  { echo "The tests need more. Run: sudo apt-get install chromium xvfb prometheus systemd" >&2; exit 1; }
	@touch $@

ifdef FORCE
.PHONY: $(BROWSER)
endif

$(BROWSER): $(INSTALLED)
	@$(BIN)/python -m greenroom.web.commands.install_browser
	@touch $@
