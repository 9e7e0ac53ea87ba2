# `make` alone says what there is.
.DEFAULT_GOAL := help
.PHONY: help setup demo test lint bench docs lock clean

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

lint: setup  ## Check style and types
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy .

bench: setup  ## Measure the ingest end to end, beside stock Faust
	.venv/bin/python -m bench

docs: setup  ## Make docs/settings.md anew from settings.py
	PYTHONPATH=. .venv/bin/python scripts/settings_page.py

lock: setup  ## Make requirements*.lock anew from pyproject.toml, with the newest versions it allows
	scripts/lock.sh

clean:  ## Remove what setup and the tests made here (not data/, not the downloads in the user's cache)
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
