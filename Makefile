# `make cloud` and `make test` need nothing before them; everything they install goes into .venv, but for
# system packages, which scripts/setup.sh names and asks for.

PYTHON_OF_VENV = .venv/bin/python
SEEDS ?= 500
# Further words for the program behind a target: make test ARGS='tests/model -x'
ARGS ?=

.PHONY: help setup cloud demo-flow stop test e2e testbed testbed-down lint format check-generated generate \
	method-tests simulate bench

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Python environment and system packages; does nothing where all is there
	@scripts/setup.sh all

cloud: ## a cloud with a real virtual machine on this computer
	@scripts/setup.sh cloud
	@$(PYTHON_OF_VENV) -m merope.daemon.demo up $(ARGS)

demo-flow: ## a service of real virtual machines that grows, shrinks and heals
	@scripts/setup.sh cloud
	@$(PYTHON_OF_VENV) -m merope.daemon.demo_flow $(ARGS)

stop: ## end what make cloud made: machines, bridge, daemons
	@if test -x $(PYTHON_OF_VENV); then $(PYTHON_OF_VENV) -m merope.daemon.demo down $(ARGS); fi

# Tests of real guests need QEMU and libvirt: who may install them gets them, others see the tests skip.
TEST_SETUP = $(shell test "$$(id -u)" = 0 && command -v apt-get >/dev/null && echo all || echo test)

test: ## all tests
	@scripts/setup.sh $(TEST_SETUP)
	@$(PYTHON_OF_VENV) -m pytest -n auto --maxprocesses 4 --dist loadgroup $(ARGS)

e2e: ## all tests on three hosts of one machine, reached over SSH, and on real storage (root)
	@scripts/setup.sh all
	@$(PYTHON_OF_VENV) -m tests.leaks $(PYTHON_OF_VENV) -m pytest tests/e2e tests/drivers tests/real -m e2e --e2e $(ARGS)

testbed: ## three hosts on this machine, to try things on (root)
	@scripts/setup.sh all
	@$(PYTHON_OF_VENV) -m tests.testbed up $(ARGS)

testbed-down: ## remove them with all that is on them
	@if test -x $(PYTHON_OF_VENV); then $(PYTHON_OF_VENV) -m tests.testbed down $(ARGS); fi

lint: ## style, types, and which way imports point
	@scripts/setup.sh test
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

format: ## put the code into its form
	@scripts/setup.sh test
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

generate: ## write again what is generated: references, diagrams, tables
	@scripts/setup.sh test
	@$(PYTHON_OF_VENV) scripts/generate.py

check-generated: ## whether what is generated is up to date
	@scripts/setup.sh test
	@$(PYTHON_OF_VENV) scripts/generate.py --check

method-tests: ## find anew which tests show what each method of the API does
	@scripts/setup.sh test
	@$(PYTHON_OF_VENV) -m pytest tests/core tests/api -n auto --maxprocesses 4 --write-method-tests
	@$(PYTHON_OF_VENV) scripts/generate.py

simulate: ## the core under random faults: make simulate SEEDS=1000
	@scripts/setup.sh test
	@$(PYTHON_OF_VENV) -m merope.daemon.one simulate --seeds $(SEEDS) $(ARGS)

bench: ## rates and latencies of a sandbox cloud, or of ONE_XMLRPC
	@scripts/setup.sh test
	@scripts/bench.sh $(ARGS)
