# `make` alone says what there is.
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-long test-clients soak test-office lint bench docs lock clean

help:  ## Say what there is
	@echo "Turnpath: where customers go in a chatbot's scenario, live and sealed."
	@echo
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 16

setup:  ## Install all that is missing (apt-get as root or with sudo, .venv, the broker's jars)
	@scripts/setup.sh

demo: setup  ## Start everything with a week of made-up rooms and live traffic; Ctrl-C ends it
	@exec .venv/bin/turnpath up --demo

test: setup  ## Run the tests on both cores; ARGS="-k seal" for some of them
	.venv/bin/pytest -n 2 --dist worksteal $(ARGS)

test-long: setup  ## Run the tests that `make test` leaves out, since they take long
	.venv/bin/pytest -n 2 --dist worksteal -m long $(ARGS)

test-office:  ## Open workbooks with LibreOffice (installed first if missing), compare and print them
	@scripts/setup.sh office
	.venv/bin/pytest tests/office $(ARGS)

test-clients: setup  ## Have ClickHouse's official clients ask the endpoint, and Prometheus judge the rules (fetches what is missing)
	@scripts/clients.sh $(ARGS)

lint: setup  ## Check style and types
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy .

soak: setup  ## Faults for hours: ROUNDS=3 rounds of every scenario of tests/faults; ARGS="--only kills"
	TURNPATH_TEST_HISTORIES=$(or $(HISTORIES),20000) .venv/bin/pytest -n 2 tests/faults/test_protocol.py
	PYTHONPATH=. .venv/bin/python -P -m tests.faults.soak --rounds $(or $(ROUNDS),1) $(ARGS)

bench: setup  ## Measure the ingest end to end, beside stock Faust
	.venv/bin/python -m bench

docs: setup  ## Make docs/settings.md anew from settings.py
	PYTHONPATH=. .venv/bin/python scripts/settings_page.py

lock: setup  ## Make requirements*.lock anew from pyproject.toml, with the newest versions it allows
	scripts/lock.sh

clean:  ## Remove what setup and the tests made here (not data/, not the downloads in the user's cache)
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
