# The front door of pinflow. `make help` lists what there is.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: $(shell sed -n 's/^\([a-z0-9-]*\):.*/\1/p' $(firstword $(MAKEFILE_LIST)))

export PROFILE ?= local
# compose, native, or nothing: containers where a Docker engine answers and has the images, else plain processes.
export RUNTIME ?=
# The Python that .pinflow was installed with; else 3.11 or 3.12, whichever is there: python3 may be newer or older.
PYTHON ?= $(shell for p in .pinflow/envs/bootstrap/bin/python python3 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null && { command -v $$p; exit; }; done; echo python3)
TOOL := .pinflow/envs/tool/bin
PINFLOW := $(TOOL)/python -m pinflow

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  \033[1m%-15s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: ## everything that runs without Docker, into .pinflow (the first time: minutes; then nothing)
	@$(PYTHON) -m pinflow.install

install-mariadb: ## MariaDB by apt or brew, where `make install` has none for this machine, or AppArmor binds the one on PATH
	@if command -v apt-get; then sudo apt-get update && sudo apt-get install --yes --no-install-recommends mariadb-server-core; \
		else brew install mariadb; fi

install-tool:
	@$(PYTHON) -m pinflow.install tool

# `up` installs the rest itself where it starts without Docker; docker-compose.packages.yml mounts all of it.
STACK := $(if $(findstring packages,$(COMPOSE_FILE)),install,install-tool)

demo: $(STACK) ## start everything, send 500 posts, print the answers
	@$(PINFLOW) demo $(ARGS)

up: $(STACK) ## start every service and wait until all can be used
	@$(PINFLOW) up

down: install-tool ## stop every service; data stays
	@$(PINFLOW) down

status: install-tool ## each service's state, and what lies at each hop
	@$(PINFLOW) status

logs: install-tool ## the services' last log lines: make logs [S=kafka] [ARGS=-f]
	@$(PINFLOW) logs $(S) $(ARGS)

reset: install-tool ## stop every service and delete all data; asks first [ARGS=--yes]
	@$(PINFLOW) reset $(ARGS)

doctor: install-tool ## walk the path hop by hop: what is missing, and how to mend it: make doctor [ARGS=--json]
	@$(PINFLOW) doctor $(ARGS)

deploy: install-tool ## notebooks, DAGs, Airflow Variables and connector; shows a diff, asks [ARGS="--dry-run --only dags"]
	@$(PINFLOW) deploy $(ARGS)

aws-plan: install-tool ## what localstack/template.yaml would change on AWS; changes nothing: make aws-plan PROFILE=aws
	@$(PINFLOW) aws-plan

aws-up: install-tool ## make or change the AWS resources; shows the plan and asks first [ARGS=--yes]
	@$(PINFLOW) aws-up $(ARGS)

aws-down: install-tool ## take the AWS resources away; asks first, buckets and streams stay [ARGS="--delete bucket"]
	@$(PINFLOW) aws-down $(ARGS)

client-config: install-tool ## files for the EC2 client (Kafka, REST proxy, topics, systemd): make client-config PROFILE=aws
	@$(PINFLOW) client-config $(ARGS)

where: install-tool ## addresses, names and directories of everything
	@$(PINFLOW) where

emulate-batch: install-tool ## people post: MySQL → API Gateway → Kafka: make emulate-batch [ARGS="--count 0 --rate 10"]
	@$(TOOL)/python -m emulator batch $(ARGS)

emulate-stream: install-tool ## people post: MySQL → API Gateway → Kinesis: make emulate-stream [ARGS="--to batch,stream"]
	@$(TOOL)/python -m emulator stream $(ARGS)

batch: install-tool ## S3 → cleaned Delta tables → the answers, on Spark
	@$(PINFLOW) batch

stream: install-tool ## Kinesis → cleaned Delta tables, from now on: starts the queries and keeps them running
	@$(PINFLOW) stream

stream-status: install-tool ## how far each stream's query is, live
	@$(PINFLOW) stream-status $(ARGS)

stream-stop: install-tool ## stop the stream queries
	@$(PINFLOW) stream-stop

compare: install-tool ## do the batch tables and the streams' agree?
	@$(PINFLOW) compare

deploy-dags: install-tool ## upload airflow/ to the bucket of the DAGs and wait until Airflow has read them
	@$(PINFLOW) deploy-dags

run-dag: install-tool ## trigger the batch DAG and follow it to its end: make run-dag [ARGS=dag_id]
	@$(PINFLOW) run-dag $(ARGS)

airflow: install-tool ## the address of Airflow's UI, and its DAGs
	@$(PINFLOW) airflow

notebook: install-tool ## run any notebook on the cluster: make notebook NB=path/to/notebook.py [ARGS="-p name=value"]
	@$(PINFLOW) notebook "$(NB)" $(ARGS)

sync: install-tool ## put a folder into the Databricks workspace: make sync DIR=path [ARGS="--to /Users/me/x"]
	@$(PINFLOW) sync "$(DIR)" $(ARGS)

bench: install ## measure, side by side with the plain ways; takes about 20 minutes
	@$(TOOL)/python -m bench $(ARGS)

lint: install-tool ## ruff, types (DAGs, hooks and notebooks too), links between pages, generated pages
	@$(TOOL)/pre-commit run --all-files

capabilities: install-tool ## docs/capabilities.md from the code: what is real, stand-in, without effect or refused, and its test
	@$(TOOL)/python -m docs.capabilities

versions: install-tool ## copy the versions of versions.toml to where programs and the README have them
	@$(TOOL)/python -m docs.versions

snapshots: install-tool capabilities ## tests/snapshots/*.txt from the code: commands, profile, services and routes, as a user sees them
	@$(TOOL)/python -m tests.snapshots

format: install-tool ## let ruff put the code into shape
	@$(TOOL)/ruff format . && $(TOOL)/ruff check --fix .

# Processes of pytest beside each other: most tests wait for something, so that two cores serve three of them and Spark's.
WORKERS ?= 3
PARALLEL = -n $(WORKERS) --dist loadgroup --no-loadscope-reorder
# Seconds that `make test-long` may take; without it, it runs all.
BUDGET ?=
LONG = -m long $(if $(BUDGET),--budget $(BUDGET))

PARTS = $(wildcard tests/unit tests/snapshots tests/canaries tests/contract tests/e2e) --ignore=tests/canaries/spark
SPARK = $(wildcard tests/unit/spark tests/unit/notebook tests/canaries/spark)

# The Spark package's tests need another interpreter; what they print comes at their end, in one piece.
test: install ## what CI runs: unit, contract and a short end-to-end test
	@$(MAKE) --no-print-directory -j2 test-spark-aside test-parts

test-spark-aside:
	@mkdir -p .pinflow/tests; echo "beside these: the Spark package's tests, into .pinflow/tests/spark.log"
	@$(MAKE) --no-print-directory test-spark > .pinflow/tests/spark.log 2>&1; status=$$?; echo; cat .pinflow/tests/spark.log; exit $$status

test-parts:
	@$(TOOL)/python -m pytest $(PARTS) -m "not long" $(PARALLEL) $(ARGS)

test-spark: install ## the tests that run in the Spark environment: the package, the notebook process
	@.pinflow/envs/spark/bin/python -m pytest $(SPARK) -m "not long" $(ARGS)

test-e2e: install ## the whole end-to-end suite, on a stack of its own, with both versions of Airflow; RUNTIME=compose
	@$(PYTHON) -m pinflow.install airflow-3.2.1 airflow-2.11.2
	@$(TOOL)/python -m pytest tests/e2e $(ARGS)

test-long: install ## what `make test` leaves out: kills, long waits, timing, 1,000 bad inputs at each border; BUDGET=seconds
	@$(MAKE) --no-print-directory -j2 -Otarget test-long-spark test-long-parts

test-long-spark:
	@.pinflow/envs/spark/bin/python -m pytest tests/unit/spark $(LONG) $(ARGS)

test-long-parts:
	@$(TOOL)/python -m pytest tests/contract tests/e2e tests/faults/test_kills_by_lot.py $(LONG) $(PARALLEL) $(ARGS)

test-faults: install ## kill everything in mid-flow; RUNTIME=compose: containers, networks; by lot: [ARGS="--kills 60 --seed 7"]
	@$(TOOL)/python -m pytest tests/faults $(ARGS)

test-compose: install ## the stack in containers, in short; brings up a Docker engine of its own where none runs
	@$(TOOL)/python -m pytest tests/compose $(ARGS)

test-real: $(STACK) ## the recorded cases on the official images of REST proxy and Connect: prints what differs
	@$(TOOL)/python -m tests.real

lock: ## lock requirements/*.in anew, with hashes and without index lines
	@cd requirements && for e in bootstrap tool spark; do \
		../.pinflow/envs/bootstrap/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header -o $$e.txt $$e.in; done
	@cd requirements && ../.pinflow/envs/bootstrap/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header \
		--exclude-newer 2025-11-01 -o localstack.txt localstack.in
	@cd requirements && ../.pinflow/envs/bootstrap/bin/uv pip compile -q --python-version 3.13 --generate-hashes --no-header \
		--exclude-newer 2026-03-15 -o localstack-4.14.0.txt localstack-4.14.0.in
	@cd requirements && for e in airflow-3.2.1 airflow-2.11.2; do \
		../.pinflow/envs/bootstrap/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header \
		--exclude-newer 2026-04-23 -o $$e.txt $$e.in; done

clean: install-tool ## delete all data and all installed packages, once nothing runs: make clean [ARGS=--yes]
	@$(PINFLOW) clean $(ARGS)
