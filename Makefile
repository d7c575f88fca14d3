# `make` lists the targets: what stands behind ## is printed.
.DEFAULT_GOAL := help

## DATASET=adobe         what a table is run on; several, with commas, are one table each
## ROOT=folder           where that dataset lies
## SCALE=smoke           seconds; lite: minutes on two cores, medium: hours; paper: the paper's setting; study: docs/study.md
## ROWS=nearest,carafe   these rows alone; an operator of your own may be one (docs/new_operator.md)
## SEEDS=3               seeds 0, 1, 2 of every row
## JOBS=2                rows at a time
## LAUNCHER=ray          rows on several machines: submitit (SLURM) or ray (docs/clusters.md)
## PHOTOS=folder         photographs of alphamatting.com, for table6, figures, study and shipped
## ARGS="key=value ..."  anything else that scripts/train.py takes
## PYTHON=python3        an environment of yours instead of .venv
DATASET ?=
SCALE ?= lite
SEEDS ?=
LAUNCHER ?= local
ROOT ?=
ROWS ?=
JOBS ?=
ARGS ?=
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

EXTRAS := experiments,digits,figures,classic,launchers,onnx,test
TABLES := table1 table2 table3 table4 table5 table6 table7
ROW_ARGS = scale=$(SCALE) $(if $(ROOT),dataset.root="'$(ROOT)'") $(ARGS)
TABLE_ARGS = $(if $(SEEDS),seeds=$(SEEDS)) launcher=$(LAUNCHER) $(if $(ROWS),'rows=[$(ROWS)]') $(if $(JOBS),jobs=$(JOBS)) $(ROW_ARGS)
PHOTO_ARGS = $(if $(and $(PHOTOS),$(filter table6,$(1))),photographs="'$(PHOTOS)'")
COMMA := ,
DATASETS = $(if $(DATASET),$(addprefix dataset=,$(subst $(COMMA), ,$(DATASET))),"")
EACH_DATASET = @status=0; for dataset in $(DATASETS); do "$(RUN)" $(1) $$dataset || status=$$?; done; exit $$status

.PHONY: help setup test test-all lint format publish figures study study-report bench demo shipped report tensorboard pictures clean foreign-environment $(TABLES)


help: ## this list
	@awk -F ':.*## ' '/^[a-z].*## / {printf "make %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@printf '\nVariables, such as in make table2 SCALE=smoke ROWS=nearest,carafe:\n'
	@sed -n 's/^## /  /p' $(firstword $(MAKEFILE_LIST))

setup: $(READY) ## make .venv with everything in it; all other targets do so where it is missing

table1: ## run and print Table 1, operators that reconstruct small pictures: 5,000 digits, or DATASET=mnist,fashion_mnist
table2: ## run and print Table 2, operators in the matting network: generated mattes, or DATASET=adobe ROOT=...
table3: ## likewise Table 3, sizes of the upsampling kernel
table4: ## likewise Table 4, normalisations of the kernel
table5: ## likewise Table 5, other matting systems
table6: ## likewise Table 6, alphamatting.com: PHOTOS=...
table7: ## likewise Table 7, Distinctions-646
$(TABLES): $(READY)
	$(call EACH_DATASET,scripts/table.py table=$@ $(call PHOTO_ARGS,$@) $(TABLE_ARGS))

TABLE ?= table2
publish: $(READY) ## copy the finished results of TABLE=table2 to results/, unless the tree had uncommitted changes
	$(call EACH_DATASET,scripts/table.py table=$(TABLE) publish=true $(call PHOTO_ARGS,$(TABLE)) $(TABLE_ARGS))

figures: $(READY) ## draw the paper's figures from our rows
	$(call EACH_DATASET,scripts/figures.py launcher=$(LAUNCHER) $(if $(PHOTOS),photographs="'$(PHOTOS)'") $(if $(JOBS),jobs=$(JOBS)) $(ROW_ARGS))

# The study's scale is its protocol's, unless one is given.
STUDY_SCALE = $(if $(filter-out file,$(origin SCALE)),scale=$(SCALE))
STUDY_ARGS = $(if $(SEEDS),seeds=$(SEEDS)) launcher=$(LAUNCHER) $(if $(JOBS),jobs=$(JOBS)) $(if $(PHOTOS),photographs="'$(PHOTOS)'")
study: $(READY) ## carry out the open study of docs/study.md, hours on two cores; ARGS=publish=true keeps it in results/
	"$(RUN)" scripts/study.py $(STUDY_ARGS) $(STUDY_SCALE) $(ARGS)

study-report: $(READY) ## its table, pictures and conclusion, from results/study alone
	"$(RUN)" scripts/study.py report=true $(STUDY_SCALE) $(ARGS)

BENCH ?=
bench: $(READY) ## time and memory of every part beside a plain formulation; BENCH=publish=true copies them to results/
	"$(RUN)" -m scripts.bench $(BENCH)

demo: $(READY) ## matte a bundled picture with the model in the package
	"$(RUN)" scripts/predict.py image=docs/demo/photo.jpg trimap=docs/demo/trimap.png truth=docs/demo/alpha.png \
	  background=white folder=outputs/demo $(ARGS)

shipped: $(READY) ## measure that model beside closed-form and KNN matting: PHOTOS=...; ARGS=publish=true keeps it in results/
	"$(RUN)" scripts/shipped.py photographs="'$(PHOTOS)'" $(ARGS)

REPORT ?=
report: $(READY) ## all tables on one page for a browser, outputs/report/index.html; REPORT=source=outputs: your own runs
	"$(RUN)" scripts/report.py $(REPORT)

test: $(READY) ## run the tests
	"$(RUN)" -m pytest

test-all: $(READY) ## run the tests, the long ones too
	"$(RUN)" -m pytest -m "slow or not slow"

lint: $(READY) ## look for faults of style and types
	"$(RUN)" -m ruff check .
	"$(RUN)" -m ruff format --check .
	"$(RUN)" -m mypy

format: $(READY) ## mend the style
	"$(RUN)" -m ruff check --fix .
	"$(RUN)" -m ruff format .

tensorboard: $(READY) ## curves and pictures of every run under outputs/
	"$(RUN)" -m tensorboard.main --logdir outputs

pictures: $(READY) ## draw the contact sheets of the generated dataset anew
	"$(RUN)" scripts/data.py pictures

clean: ## remove .venv and caches; outputs/ and data/ stay
	rm -rf .venv build src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

.venv/ready: pyproject.toml constraints.txt
	@python3 -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "python3 is %d.%d; Python 3.11 or later is needed: put one first in PATH, or give PYTHON= of an environment of yours" % sys.version_info[:2])'
	@echo "setting up .venv: about 6 GB, a few minutes (once)"
	python3 -m venv .venv
	.venv/bin/python -m pip install --quiet --constraint constraints.txt --editable ".[$(EXTRAS)]"
	@touch $@

NEEDED := torch torchvision hydra omegaconf cv2 numpy scipy PIL tensorboard tqdm safetensors mlxtend matplotlib pymatting hydra_plugins.hydra_submitit_launcher hydra_plugins.hydra_ray_launcher onnx onnxscript onnxruntime skimage pytest xdist hypothesis ruff mypy jinja2 selenium axe_core_python

# An environment of your own is used as it is; only what is missing is installed into it.
foreign-environment:
	@"$(RUN)" -c 'import importlib.util as u, sys; sys.exit(not all(map(u.find_spec, "$(NEEDED)".split())))' \
	  || "$(RUN)" -m pip install --editable ".[$(EXTRAS)]"
