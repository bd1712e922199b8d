# Everything sets itself up: `make serve` and `make test` work on a fresh machine with Python 3.11 to 3.13.
#
#   PYTHON            the interpreter that makes .venv             (python3)
#   TORCH_INDEX_URL   a package index for torch and torchvision,   (the default index: CUDA builds)
#                     such as PyTorch's CPU-only one
#   DATA              where MNIST is, or is downloaded to          (data)
#   ARGS              further options for serve and train

PYTHON ?= python3
TORCH_INDEX_URL ?=
DATA ?= data
ARGS ?=

BIN := .venv/bin
ANYWHERE := not container and not pictures and not clients and not package and not page and not shown and not ranks
INSTALLED := .venv/.installed
# Python compiles a module when it is first imported; to compile all that torch brings takes a minute.
PIP := $(BIN)/python -m pip install --no-compile --disable-pip-version-check --quiet --constraint constraints.txt

# Where Python is told to keep no bytecode, each of the tests' hundreds of processes would compile the service anew.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help install serve test check test-gpu test-reliability test-rollout test-ray test-costs test-store test-mlflow test-onnx test-training test-pictures test-container test-clients test-page test-package docs package train evaluate bench bench-quick bench-gpu constraints clean

help:  ## List the commands
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 18

install: $(INSTALLED)  ## Build .venv with everything

$(INSTALLED): pyproject.toml abacus_client/pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' || \
		{ echo "Abacus needs Python 3.11 to 3.13; name one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv --clear .venv
	$(if $(TORCH_INDEX_URL),$(PIP) --index-url $(TORCH_INDEX_URL) torch torchvision)
	$(PIP) --editable .[dev] --editable ./abacus_client
	touch $@

serve: $(INSTALLED)  ## Serve the committed models on 127.0.0.1:8000
	$(BIN)/python -m service $(ARGS)

check: $(INSTALLED)  ## Lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -q tests/test_architecture.py

test: check  ## Everything that CI runs: check, and all tests that need neither a GPU nor Docker
	OMP_NUM_THREADS=1 $(BIN)/pytest --ignore tests/test_architecture.py -m 'not alone and $(ANYWHERE)' -n auto --dist loadfile --no-loadscope-reorder
	$(BIN)/pytest -m 'alone and $(ANYWHERE)'

test-gpu: $(INSTALLED)  ## The tests that need a CUDA device
	$(BIN)/pytest -m gpu

test-reliability: $(INSTALLED)  ## Every promise of docs/operations.md at full length (45 minutes); ends in a table
	$(BIN)/pytest tests/reliability --long $(ARGS)

test-rollout: $(INSTALLED)  ## Services behind HAProxy and nginx: published into, stopped, killed and replaced under load (minutes); ends in a table
	$(BIN)/pytest tests/reliability/test_balanced.py --long $(ARGS)

test-ray: $(INSTALLED)  ## A cluster of two Ray nodes here: scaled, killed, published into and rolled out under load (minutes); ends in a table
	$(PIP) --editable .[ray] 'ray[data]'
	$(BIN)/pytest tests/reliability/test_ray*.py --long $(ARGS)

test-costs: $(INSTALLED)  ## What a million predictions cost in processor seconds by each way of docs/scale.md (9 minutes); ends in a table
	$(PIP) --editable .[ray]
	$(BIN)/pytest tests/reliability/test_cost_of_ways.py --long $(ARGS)

test-store: $(INSTALLED)  ## A store in object storage (SeaweedFS where `weed` is installed, else moto; Azurite and fake-gcs-server where they are): followed, frozen, raced for, 200 publishers killed (4 minutes a server); ends in a table
	$(PIP) --editable .[az,gs]
	$(BIN)/pytest tests/reliability/test_remote_store.py --long $(ARGS)

test-mlflow: $(INSTALLED)  ## Models of MLflow's registry, in a folder and behind MLflow's own server (installs mlflow)
	$(PIP) --editable .[mlflow] mlflow
	$(BIN)/pytest tests/training/test_mlflow*.py $(ARGS)

test-onnx: $(INSTALLED)  ## Versions whose archive is ONNX (installs onnxruntime, onnx and onnxscript)
	$(PIP) --editable .[to-onnx]
	$(BIN)/pytest tests/engine/test_onnx.py $(ARGS)

test-training: $(INSTALLED)  ## Trainings by several processes, started by torchrun: killed, resumed, refused (minutes)
	$(BIN)/pytest tests/training/test_ranks.py -m '' $(ARGS)

test-pictures: $(INSTALLED)  ## Every picture that Pillow's source distribution brings (downloads 47 MB)
	test -d .pictures || { $(BIN)/python -m pip download --disable-pip-version-check --quiet \
		--constraint constraints.txt --no-deps --no-binary pillow --dest .pictures pillow && \
		tar -xzf .pictures/pillow-*.tar.gz -C .pictures; }
	$(BIN)/pytest -m pictures $(ARGS)

test-container: $(INSTALLED)  ## Build the images, run docker compose and a Ray cluster of containers, ask from outside
	$(BIN)/pytest -m container -s

test-clients: $(INSTALLED)  ## Ask the service with the HTTP clients that are installed: curl, Java, PHP, Node.js, wget; tritonclient, kserve and mlserver; clients that generators make
	$(BIN)/pytest tests/test_clients.py tests/protocol/test_triton_client.py tests/protocol/test_other_clients.py tests/client/test_generated.py -m ''

test-package: $(INSTALLED)  ## Build wheel and sdist, install them elsewhere, serve from an empty folder (minutes)
	$(BIN)/pytest tests/test_package.py -m '' $(ARGS)

docs: $(INSTALLED)  ## Build the site of docs/ into site/, fail at a dead link, and run the commands of the page that takes longest
	$(PIP) --editable .[docs]
	$(BIN)/zensical build --strict
	$(BIN)/pytest tests/test_shown_commands.py -m shown

package: $(INSTALLED)  ## Build the wheel and the source distribution into dist/
	$(BIN)/python -m build --outdir dist

test-page: $(INSTALLED)  ## The page in full, in a Chromium: every kind of model, screen and theme, and what axe-core finds
	$(BIN)/pytest tests/web -m '' $(ARGS)

train: $(INSTALLED)  ## Train pass and digit and publish them into artifacts/; live unless the live ones are better
	$(BIN)/python -m training pass $(ARGS)
	$(BIN)/python -m training digit --data $(DATA) $(ARGS)

evaluate: $(INSTALLED)  ## Read thousands of pictures with the live digit model: a table and report/
	$(BIN)/python -m training evaluate digit --data $(DATA) $(ARGS)

bench: $(INSTALLED)  ## Measure this service and its peers; writes docs/benchmarks.md (20 to 30 minutes)
	$(BIN)/python -W ignore -m benchmarks run --page docs/benchmarks.md $(ARGS)

bench-quick: $(INSTALLED)  ## Measure this service and plain FastAPI (under 3 minutes)
	$(BIN)/python -W ignore -m benchmarks quick $(ARGS)

bench-gpu: $(INSTALLED)  ## The same on a CUDA device
	$(BIN)/python -W ignore -m benchmarks gpu $(ARGS)

constraints: $(INSTALLED)  ## Write down the versions that are installed and tested together
	{ sed -n '/^#/p' constraints.txt; \
	  $(BIN)/python -m pip freeze --exclude-editable | grep -Ev '^(nvidia|cuda|triton)' | sed 's/+.*//'; } > .constraints
	mv .constraints constraints.txt
	touch $(INSTALLED)

clean:  ## Remove .venv and caches
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache *.egg-info
