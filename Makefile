# Parley. `make help` lists what there is.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

BIN := .venv/bin
STAMP := .venv/.complete
PYTHON ?= python3
PACKAGES := proto libs/kit libs/bus libs/live services/auth services/conversation services/gateway gpu-worker services/standalone infra/local
INPUTS := constraints.txt requirements.txt pyproject.toml infra/setup.sh $(addsuffix /pyproject.toml,$(PACKAGES)) $(wildcard infra/local/src/parley_local/resources/*/*) $(wildcard gpu-worker/src/parley_worker/native/csrc/* gpu-worker/src/parley_worker/native/*.py)
GATEWAYS ?= 1
WORKERS ?= 1

.PHONY: help setup run test unit cluster cluster-down chaos mutants bench bench-engine bench-gpu soak lint types format proto settings model images clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

setup: $(STAMP) ## .venv with everything that run and test need; seconds when nothing changed

$(STAMP): $(INPUTS)
	@PYTHON=$(PYTHON) infra/setup.sh
	@touch $@

# Ctrl-C belongs to the platform alone: see infra/make_signals.c. Without a C compiler, which the first set-up installs where
# it may, make dies of the signal afterwards.
ifneq ($(filter run cluster,$(MAKECMDGOALS)),)
-load build/make_signals.so
build/make_signals.so: infra/make_signals.c
	-@[ -e $(STAMP) ] || infra/compiler.sh
	-@mkdir -p build && cc -shared -fPIC -O1 -o $@ $< 2>/dev/null
endif

run: setup ## the whole platform in one process on the embedded stores; Ctrl-C stops it
	@exec $(BIN)/parley run

test: setup ## every test that this machine can run
	-@$(BIN)/parley-local install
	$(BIN)/pytest

unit: setup ## the tests of the packages, on real servers too, without the whole platform
	$(BIN)/pytest libs services gpu-worker

lint: setup ## ruff, buf
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	cd proto && ../$(BIN)/buf lint

types: setup ## mypy strict
	$(BIN)/mypy

format: setup ## rewrite the code as ruff likes it
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

proto: setup ## generate the code of proto/ anew
	proto/generate.sh

settings: setup ## write docs/settings.md anew
	$(BIN)/python infra/settings_page.py > docs/settings.md

model: setup ## train the bundled model anew (an hour on two cores)
	$(BIN)/python gpu-worker/train train

ENGINE := tests/bench/engine
ENGINE_BENCHES := $(filter-out $(addprefix $(ENGINE)/,models.py peers.py soak.py chart.py),$(wildcard $(ENGINE)/*.py)) $(ENGINE)/chart.py

bench: setup ## measure; numbers side by side in one run
	@for script in tests/bench/*.py $(ENGINE_BENCHES); do echo "== $$script"; PYTHONPATH=tests $(BIN)/python $$script; done

bench-engine: setup ## the part of bench that puts the engine beside llama.cpp, transformers and the bandwidth limit
	@for script in $(ENGINE_BENCHES); do echo "== $$script"; PYTHONPATH=tests $(BIN)/python $$script; done

bench-gpu: setup ## the engine on a CUDA device, beside its roofline and transformers
	@PYTHONPATH=tests $(BIN)/python tests/bench/gpu/throughput.py

soak: setup ## ten thousand requests of all shapes through one engine; its memory (REQUESTS=n)
	PYTHONPATH=tests $(BIN)/python $(ENGINE)/soak.py $(or $(REQUESTS),10000)

chaos: setup ## break a cluster for SECONDS=600 (SEED=n) and check what its clients were told; the history is kept in build/chaos
	PYTHONPATH=tests $(BIN)/python -m chaos --seconds $(or $(SECONDS),600) $(if $(SEED),--seed $(SEED)) $(if $(NEMESES),--nemeses $(NEMESES))

mutants: setup ## take each guard away in turn: a test must fail
	PYTHONPATH=tests $(BIN)/python -m mutants

cluster: setup ## the real servers and every service as a process of its own: make cluster GATEWAYS=2 WORKERS=2
	@exec $(BIN)/parley-local up --gateways $(GATEWAYS) --workers $(WORKERS)

cluster-down: ## end the cluster of this environment, from any terminal
	@$(BIN)/parley-local down

images: ## a container image of each service, with Docker
	@infra/images/build.sh

clean: ## remove what setup and the tests made; keeps .parley, which holds your data
	rm -rf .venv build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
