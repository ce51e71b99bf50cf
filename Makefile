# make demo: the whole day on the practice site.   make test: all tests.   make help: the rest.
SHELL := /bin/bash
PYTHON := .venv/bin/python
export PYTHONPATH := plugins:.
ACCOUNTS ?= 24
SEED ?= 1
PORT ?= 8080

.PHONY: help setup demo demo-moves cluster lab airflow down test test-deep lint unit integration end-to-end test-cluster bench decide \
        screenshots purge check-site

help:
	@echo "make demo         set everything up, run prepare and the day on the practice site (ACCOUNTS=24 SEED=1 PORT=8080)"
	@echo "make demo-moves   no night: people move one by one through Airflow while they work, and it is measured what they see"
	@echo "make cluster      the same on docker-compose.yaml, in a Docker machine of the practice site"
	@echo "make lab          boot the practice site and fill it, run nothing"
	@echo "make airflow      the same, and Airflow beside it: trigger the DAGs in the UI yourself"
	@echo "make down         stop both; nothing is left running"
	@echo "make test         lint, types, unit, integration and end-to-end tests"
	@echo "make test-deep    the long forms of them, and the day on the cluster with all its faults"
	@echo "make lint | unit | integration | end-to-end | test-cluster   one part of them (TESTS=path narrows it)"
	@echo "make bench        all benchmarks but \`killed\`, into docs/performance.md and docs/moves.md: hours, of which the day of 1,000"
	@echo "                  accounts alone has taken three quarters of one. Some of them: BENCHMARKS=\"mailbox uids memory growth"
	@echo "                  filters calendars day moves killed\"; day and killed at other numbers of accounts: SIZES=\"24 3000\""
	@echo "make check-site   every error of your site.yaml; needs neither root nor an engine"
	@echo "make decide       decide about many problems: ARGS=\"list --csv FILE\", ARGS=\"take FILE\" (docs/problems.md)"
	@echo "make screenshots  pictures of the UI of a running demo, into docs/pictures"
	@echo "make purge        down, and throw the practice site away (the cached images stay)"

setup:
	@lab/setup.sh

demo: setup
	@$(PYTHON) -m lab.demo run --accounts $(ACCOUNTS) --seed $(SEED) --port $(PORT)

demo-moves: setup
	@$(PYTHON) -m lab.demo moves --accounts $(ACCOUNTS) --seed $(SEED) --port $(PORT)

cluster: setup
	@$(PYTHON) -m lab.demo cluster --accounts $(ACCOUNTS) --seed $(SEED) --port $(PORT)

lab: setup
	@$(PYTHON) -m lab.demo lab --accounts $(ACCOUNTS) --seed $(SEED) --port $(PORT)

airflow: setup
	@$(PYTHON) -m lab.demo airflow --accounts $(ACCOUNTS) --seed $(SEED) --port $(PORT)

down:
	@if [ -x $(PYTHON) ]; then $(PYTHON) -m lab.demo down; else echo "nothing was set up here"; fi

test: setup
	@$(PYTHON) -m lab.testing all

test-deep: setup
	@$(PYTHON) -m lab.testing deep

lint unit integration end-to-end test-cluster: setup
	@$(PYTHON) -m lab.testing $@ $(TESTS)

check-site:
	@cluster/check_site.sh

bench:
	@lab/setup.sh benchmarks/packages.txt
	@$(PYTHON) -m benchmarks $(BENCHMARKS) $(if $(SIZES),--sizes $(SIZES))

decide: setup
	@$(PYTHON) -m lab.airflow.decide $(ARGS)

screenshots:
	@lab/setup.sh lab/screenshot_packages.txt
	@$(PYTHON) -m lab.measure.screenshot

purge:
	@if [ -x $(PYTHON) ]; then $(PYTHON) -m lab.demo purge; else echo "nothing was set up here"; fi
