# make table2               set up (once), train and evaluate the rows of Table 2, print them
# make table1               the same for Table 1; table3 ... table7 likewise
# make figures              the figures of the paper, from the checkpoints of those rows
# make bench                time and memory of every part beside a plain formulation of the same
# make test                 set up (once), run the tests
# Variables: DATASET ROOT SCALE SEEDS ROWS=a,b JOBS LAUNCHER PYTHON PHOTOS ARGS="key=value ..."
#   make table2 LAUNCHER=ray  its rows on several machines: local, submitit (SLURM), ray; docs/clusters.md
#   make table2 DATASET=adobe ROOT=/data/Combined_Dataset SCALE=paper SEEDS=3
#   make table1 DATASET=mnist,fashion_mnist ROOT=/data SCALE=paper

# Where none is named, a table's rows say theirs: mnist5k for Table 1, synthetic for the others. Several, with commas,
# are one table each.
DATASET ?=
SCALE ?= lite
SEEDS ?= 1
LAUNCHER ?= local
ROOT ?=
ROWS ?=
JOBS ?=
ARGS ?=
# Folder of the alphamatting.com photographs, for Table 6 and Fig. 6; without it Table 6 measures on generated images.
PHOTOS ?=

# Which Python: PYTHON=..., else an active virtual or conda environment, else .venv (made from python3).
# Conda's base environment, which conda likes to activate by itself, is left alone.
ACTIVE := $(or $(VIRTUAL_ENV),$(if $(filter-out base,$(CONDA_DEFAULT_ENV)),$(CONDA_PREFIX)))
ifdef PYTHON
  RUN := $(PYTHON)
else ifneq ($(ACTIVE),)
  RUN := python
else
  RUN := .venv/bin/python
endif

ifeq ($(RUN),.venv/bin/python)
  READY := .venv/ready
else
  READY := foreign-environment
endif

# The code of this checkout runs, whichever checkout the environment was made for.
export PYTHONPATH := $(CURDIR)/src

TABLES := table1 table2 table3 table4 table5 table6 table7
ROW_ARGS = scale=$(SCALE) $(if $(ROOT),dataset.root="'$(ROOT)'") $(ARGS)
TABLE_ARGS = seeds=$(SEEDS) launcher=$(LAUNCHER) $(if $(ROWS),'rows=[$(ROWS)]') $(if $(JOBS),jobs=$(JOBS)) $(ROW_ARGS)
PHOTO_ARGS = $(if $(and $(PHOTOS),$(filter table6,$(1))),photographs="'$(PHOTOS)'")
COMMA := ,
DATASETS = $(if $(DATASET),$(addprefix dataset=,$(subst $(COMMA), ,$(DATASET))),"")
EACH_DATASET = @status=0; for dataset in $(DATASETS); do "$(RUN)" $(1) $$dataset || status=$$?; done; exit $$status

.PHONY: help setup test test-all lint format publish figures bench tensorboard pictures clean foreign-environment $(TABLES)

help:
	@sed -n '1,10s/^# \{0,1\}//p' $(firstword $(MAKEFILE_LIST))

setup: $(READY)

$(TABLES): $(READY)
	$(call EACH_DATASET,scripts/table.py table=$@ $(call PHOTO_ARGS,$@) $(TABLE_ARGS))

# Copies finished results of TABLE to results/; refuses those of a tree with uncommitted changes.
TABLE ?= table2
publish: $(READY)
	$(call EACH_DATASET,scripts/table.py table=$(TABLE) publish=true $(call PHOTO_ARGS,$(TABLE)) $(TABLE_ARGS))

figures: $(READY)
	$(call EACH_DATASET,scripts/figures.py launcher=$(LAUNCHER) $(if $(PHOTOS),photographs="'$(PHOTOS)'") $(if $(JOBS),jobs=$(JOBS)) $(ROW_ARGS))

# BENCH="publish=true" copies the latest measurements to results/bench.
BENCH ?=
bench: $(READY)
	"$(RUN)" scripts/bench.py $(BENCH)

test: $(READY)
	"$(RUN)" -m pytest

test-all: $(READY)
	"$(RUN)" -m pytest -m "slow or not slow"

lint: $(READY)
	"$(RUN)" -m ruff check .
	"$(RUN)" -m ruff format --check .
	"$(RUN)" -m mypy

format: $(READY)
	"$(RUN)" -m ruff check --fix .
	"$(RUN)" -m ruff format .

tensorboard: $(READY)
	"$(RUN)" -m tensorboard.main --logdir outputs

pictures: $(READY)
	"$(RUN)" scripts/data.py pictures

clean:
	rm -rf .venv build src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

.venv/ready: pyproject.toml constraints.txt
	@python3 -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "python3 is %d.%d; Python 3.11 or later is needed: put one first in PATH, or give PYTHON= of an environment of yours" % sys.version_info[:2])'
	@echo "setting up .venv: about 6 GB, a few minutes (once)"
	python3 -m venv .venv
	.venv/bin/python -m pip install --quiet --constraint constraints.txt --editable ".[test,digits,figures,classic,launchers,onnx]"
	@touch $@

NEEDED := torch torchvision hydra omegaconf cv2 numpy scipy PIL tensorboard tqdm safetensors mlxtend matplotlib pymatting hydra_plugins.hydra_submitit_launcher hydra_plugins.hydra_ray_launcher onnx onnxscript onnxruntime skimage pytest xdist hypothesis ruff mypy

# An environment of your own is used as it is; only what is missing is installed into it.
foreign-environment:
	@"$(RUN)" -c 'import importlib.util as u, sys; sys.exit(not all(map(u.find_spec, "$(NEEDED)".split())))' \
	  || "$(RUN)" -m pip install --editable ".[test,digits,figures,classic,launchers,onnx]"
