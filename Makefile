# The front door of pinflow. `make help` lists what there is.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: $(shell sed -n 's/^\([a-z0-9-]*\):.*/\1/p' $(firstword $(MAKEFILE_LIST)))

export PROFILE ?= local
# compose, native, or nothing: containers where a Docker engine answers and has the images, else plain processes.
export RUNTIME ?=
# Where Python may keep no bytecode beside the sources, some twenty processes would each compile all that they import.
ifdef PYTHONDONTWRITEBYTECODE
unexport PYTHONDONTWRITEBYTECODE
export PYTHONPYCACHEPREFIX ?= $(CURDIR)/.pinflow/pycache
endif
# The Python that .pinflow was installed with; else python3, or the newest on PATH where python3 is too old.
PYTHON ?= $(shell for p in .pinflow/envs/bootstrap/bin/python python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { command -v $$p; exit; }; done; echo python3)
TOOL := .pinflow/envs/tool/bin
PINFLOW := $(TOOL)/python -m pinflow

help: ## show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  \033[1m%-15s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: ## install everything that runs without Docker into .pinflow; the first time takes minutes
	@$(PYTHON) -m pinflow.install

install-mariadb: ## install MariaDB by apt or brew, if `make install` has none for this machine or AppArmor confines the one on PATH
	@if command -v apt-get; then sudo apt-get update && sudo apt-get install --yes --no-install-recommends mariadb-server-core; \
		else brew install mariadb; fi

install-tool:
	@$(PYTHON) -m pinflow.install tool

# The tests and linters are those of requirements/*-dev.in.
install-dev: ## the same, and what tests and linters need
	@$(PYTHON) -m pinflow.install --dev

install-tool-dev:
	@$(PYTHON) -m pinflow.install --dev tool

# `up` installs the rest itself where it starts without Docker; docker-compose.packages.yml mounts all of it.
STACK := $(if $(findstring packages,$(COMPOSE_FILE)),install,install-tool)

demo: $(STACK) ## start everything, send 500 posts down both paths, print the answers
	@$(PINFLOW) demo $(ARGS)

up: $(STACK) ## start every service and wait until each is ready
	@$(PINFLOW) up

down: install-tool ## stop every service; data stays
	@$(PINFLOW) down

status: install-tool ## show the state of each service, and where every record is
	@$(PINFLOW) status

logs: install-tool ## print the last log lines: make logs [S=kafka] [ARGS=-f]
	@$(PINFLOW) logs $(S) $(ARGS)

reset: install-tool ## stop every service and delete all data; asks first [ARGS=--yes]
	@$(PINFLOW) reset $(ARGS)

doctor: install-tool ## check the path hop by hop: what is missing, and how to fix it [ARGS=--json]
	@$(PINFLOW) doctor $(ARGS)

deploy: install-tool ## deploy notebooks, DAGs, Airflow Variables and connector; shows a diff and asks [ARGS="--dry-run --only dags"]
	@$(PINFLOW) deploy $(ARGS)

aws-plan: install-tool ## show what would change on AWS, and change nothing: make aws-plan PROFILE=aws
	@$(PINFLOW) aws-plan

aws-up: install-tool ## create or update the AWS resources; shows the plan and asks first [ARGS=--yes]
	@$(PINFLOW) aws-up $(ARGS)

aws-down: install-tool ## delete the AWS resources; asks first, buckets and streams stay [ARGS="--delete bucket"]
	@$(PINFLOW) aws-down $(ARGS)

client-config: install-tool ## write the files for the EC2 client (Kafka, REST proxy, topics, systemd): make client-config PROFILE=aws
	@$(PINFLOW) client-config $(ARGS)

where: install-tool ## print addresses, names and directories
	@$(PINFLOW) where

emulate-batch: install-tool ## send posts: MySQL → API Gateway → Kafka [ARGS="--count 0 --rate 10"]
	@$(TOOL)/python -m emulator batch $(ARGS)

emulate-stream: install-tool ## send posts: MySQL → API Gateway → Kinesis [ARGS="--to batch,stream"]
	@$(TOOL)/python -m emulator stream $(ARGS)

batch: install-tool ## S3 → cleaned Delta tables → answers, on Spark
	@$(PINFLOW) batch

stream: install-tool ## Kinesis → cleaned Delta tables: start the queries and keep them running
	@$(PINFLOW) stream

stream-status: install-tool ## show how far each query is, live
	@$(PINFLOW) stream-status $(ARGS)

stream-stop: install-tool ## stop the queries
	@$(PINFLOW) stream-stop

compare: install-tool ## check that the tables of batch and streams agree
	@$(PINFLOW) compare

deploy-dags: install-tool ## upload airflow/ to the DAG bucket and wait until Airflow has read it
	@$(PINFLOW) deploy-dags

run-dag: install-tool ## trigger the batch DAG, or another, and follow it until it ends [ARGS=dag_id]
	@$(PINFLOW) run-dag $(ARGS)

airflow: install-tool ## print the address of Airflow's UI, and its DAGs
	@$(PINFLOW) airflow

notebook: install-tool ## run a notebook on the cluster: make notebook NB=path/to/notebook.py [ARGS="-p name=value"]
	@$(PINFLOW) notebook "$(NB)" $(ARGS)

sync: install-tool ## put a folder into the Databricks workspace: make sync DIR=path [ARGS="--to /Users/me/x"]
	@$(PINFLOW) sync "$(DIR)" $(ARGS)

bench: install-dev ## measure, beside the plain ways; takes about 20 minutes [ARGS=a,b], or beside another checkout [ARGS="--against DIR"]
	@$(TOOL)/python -m bench $(ARGS)

lint: install-tool-dev ## check code, types, imports, notebooks, DAGs, hooks, links and generated files
	@$(TOOL)/pre-commit run --all-files

capabilities: install-tool-dev ## generate docs/capabilities.md: what each stand-in can do, and the test that shows it
	@$(TOOL)/python -m docs.capabilities

versions: install-tool ## copy versions.toml to where programs and the README read it
	@$(TOOL)/python -m docs.versions

snapshots: install-tool-dev capabilities ## generate docs/capabilities.md and tests/snapshots/: commands, profile, services and routes
	@$(TOOL)/python -m tests.snapshots

format: install-tool-dev ## format the code with ruff
	@$(TOOL)/ruff format . && $(TOOL)/ruff check --fix .

# Processes of pytest beside each other: most tests wait for something, so that two cores serve three of them and Spark's.
WORKERS ?= 3
PARALLEL = -n $(WORKERS)
# Seconds that `make test-long` may take; without it, it runs all.
BUDGET ?=
LONG = -m long $(if $(BUDGET),--budget $(BUDGET))

PARTS = $(wildcard tests/unit tests/snapshots tests/canaries tests/contract tests/e2e) --ignore=tests/canaries/spark
SPARK = $(wildcard tests/unit/spark tests/unit/notebook tests/canaries/spark)

# The Spark package's tests need another interpreter; what they print comes at their end, in one piece.
test: install-dev ## unit, contract and a short end-to-end test
	@$(MAKE) --no-print-directory -j2 test-spark-aside test-parts

test-spark-aside:
	@mkdir -p .pinflow/tests; echo "beside these: the Spark package's tests, into .pinflow/tests/spark.log"
	@$(MAKE) --no-print-directory test-spark > .pinflow/tests/spark.log 2>&1; status=$$?; echo; cat .pinflow/tests/spark.log; exit $$status

test-parts:
	@$(TOOL)/python -m pytest $(PARTS) -m "not long" $(PARALLEL) $(ARGS)

test-spark: install-dev ## only the tests that run in the Spark environment
	@.pinflow/envs/spark/bin/python -m pytest $(SPARK) -m "not long" $(ARGS)

test-e2e: install-dev ## the whole end-to-end suite, on a stack of its own, with both versions of Airflow; RUNTIME=compose
	@$(PYTHON) -m pinflow.install $(AIRFLOWS)
	@$(TOOL)/python -m pytest tests/e2e $(ARGS)

test-long: install-dev ## what `make test` skips: kills, long waits, timing, 1,000 bad inputs at each border; BUDGET=seconds
	@$(MAKE) --no-print-directory -j2 $(if $(filter output-sync,$(.FEATURES)),-Otarget) test-long-spark test-long-parts

test-long-spark:
	@.pinflow/envs/spark/bin/python -m pytest tests/unit/spark $(LONG) $(ARGS)

test-long-parts:
	@$(TOOL)/python -m pytest tests/contract tests/e2e tests/faults/test_kills_by_lot.py $(LONG) $(PARALLEL) $(ARGS)

test-faults: install-dev ## kill services while posts are on their way; RUNTIME=compose; at random: [ARGS="--kills 60 --seed 7"]
	@$(TOOL)/python -m pytest tests/faults $(ARGS)

test-compose: install-dev ## a short test of the stack in containers; starts a Docker engine of its own if none runs
	@$(TOOL)/python -m pytest tests/compose $(ARGS)

test-real: $(STACK) ## send the recorded requests to the official images of REST proxy and Connect: prints what differs
	@$(TOOL)/python -m tests.real

AIRFLOWS = $(basename $(notdir $(wildcard requirements/airflow-*.in)))
LOCK = ../.pinflow/envs/bootstrap/bin/uv pip compile -q --generate-hashes --no-header
UNIVERSAL = $(LOCK) --universal --python-version 3.11
lock: install-tool ## lock requirements/*.in again, install the result and run the canaries
	@cd requirements && for e in bootstrap tool tool-dev spark spark-dev; do $(UNIVERSAL) -o $$e.txt $$e.in || exit; done
	@cd requirements && $(UNIVERSAL) --exclude-newer 2025-11-01 -o localstack.txt localstack.in
	@cd requirements && $(LOCK) --python-version 3.13 --exclude-newer 2026-03-15 -o localstack-4.14.0.txt localstack-4.14.0.in
	@cd requirements && for e in $(AIRFLOWS); do \
		$(UNIVERSAL) --exclude-newer 2026-04-23 -o $$e.txt $$e.in || exit; done
	@$(MAKE) --no-print-directory install-dev
	@$(PYTHON) -m pinflow.install $(AIRFLOWS)
	@$(TOOL)/python -m pytest tests/canaries --ignore=tests/canaries/spark
	@.pinflow/envs/spark/bin/python -m pytest tests/canaries/spark

clean: install-tool ## delete all data and everything installed; refuses while a stack runs [ARGS=--yes]
	@$(PINFLOW) clean $(ARGS)
