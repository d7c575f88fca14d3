# `make` lists the targets with the text after ##.
.DEFAULT_GOAL := help

## DATASET=adobe         dataset of a table; several, with commas, give one table each
## ROOT=folder           folder of that dataset
## SCALE=smoke           seconds; lite: minutes on two cores, medium: hours; paper: the paper's setting; photo: docs/model.md; study: docs/study.md
## ROWS=nearest,carafe   only these rows; your own operator can be one (docs/new_operator.md); all: also those not in the paper
## SEEDS=3               seeds 0, 1, 2 of every row
## JOBS=2                rows at a time
## LAUNCHER=ray          rows on several machines: submitit (SLURM) or ray (docs/clusters.md)
## TEST=alphamatting     measure finished rows on another dataset of configs/dataset
## PHOTOS=folder         photographs of alphamatting.com: TEST=alphamatting for tables, figures, shipped
## TABLE=table2          the table to publish or ablate
## ARGS="key=value ..."  further keys of a target's script; those of a table are scripts/train.py's
## PYTHON=python3        your own environment instead of .venv
DATASET ?=
TABLE ?= table2
SCALE ?= lite
SEEDS ?=
LAUNCHER ?= local
ROOT ?=
ROWS ?=
JOBS ?=
ARGS ?=
TEST ?=
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

# The code of this checkout runs, whichever checkout the environment was made for.
export PYTHONPATH := $(CURDIR)/src

TABLES := table1 table2 table3 table4 table5 table6 table7 successors probe looks
ROW_ARGS = scale=$(SCALE) $(if $(ROOT),dataset.root="'$(ROOT)'") $(ARGS)
TABLE_ARGS = $(if $(SEEDS),seeds=$(SEEDS)) launcher=$(LAUNCHER) $(if $(ROWS),'rows=[$(ROWS)]') $(if $(JOBS),jobs=$(JOBS)) $(ROW_ARGS)
TEST_ARGS = $(if $(TEST),test=$(TEST)) $(if $(PHOTOS),photographs="'$(PHOTOS)'")
COMMA := ,
DATASETS = $(if $(DATASET),$(addprefix dataset=,$(subst $(COMMA), ,$(DATASET))),"")
EACH_DATASET = @status=0; for dataset in $(DATASETS); do "$(RUN)" $(1) $$dataset || status=$$?; done; exit $$status

GROUPS := test-onnx test-triton test-browser test-slow
.PHONY: help setup test test-all $(GROUPS) lint format ablate publish pages figures bench demo shipped report tensorboard pictures clean $(TABLES)

# need-EXTRA installs that extra of pyproject.toml where it is missing. A package that nobody uses is not installed.
need-%: $(if $(filter .venv/%,$(RUN)),.venv/ready)
	@"$(RUN)" scripts/require.py $*

$(TABLES) ablate publish figures: need-figures $(addprefix need-,$(filter submitit ray,$(LAUNCHER:_local=)))
table1: need-digits
table5 table6 table7 figures demo shipped: need-classic
ablate publish: $(if $(filter table1,$(TABLE)),need-digits) $(if $(filter table5 table6 table7,$(TABLE)),need-classic)
pages: need-figures
test test-all $(GROUPS): need-test need-digits need-figures need-classic need-submitit
test-all test-onnx test-slow: need-onnx
test-all test-slow: need-ray
test-all test-browser: need-browser
lint format: need-dev need-figures


help: ## this list
	@awk -F ':.*## ' '/^[a-z].*## / {printf "make %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@printf '\nVariables, such as in make table2 SCALE=smoke ROWS=nearest,carafe:\n'
	@sed -n 's/^## /  /p' $(firstword $(MAKEFILE_LIST))

setup: need-experiments ## make .venv; all other targets do so if it is missing, and add what they need

table1: ## run and print Table 1, operators that reconstruct small pictures: 5,000 digits, or DATASET=mnist,fashion_mnist
table2: ## run and print Table 2, operators in the matting network: generated mattes, or DATASET=adobe ROOT=...
table3: ## run and print Table 3, sizes of the upsampling kernel
table4: ## run and print Table 4, normalisations of the kernel
table5: ## run and print Table 5, other matting systems
table6: ## run and print Table 6, alphamatting.com: PHOTOS=...
table7: ## run and print Table 7, Distinctions-646
successors: ## run and print the operators that came after A2U, next to Table 2's
probe: ## run and print what every operator restores by itself, with and without its guide
looks: ## run and print variants of A2U, on validation pictures: does it look, and does it help?
$(TABLES): need-experiments
	$(call EACH_DATASET,scripts/table.py table=$@ $(TEST_ARGS) $(TABLE_ARGS))

ablate: need-experiments ## measure the finished rows of TABLE=table2 without content: kernels, index maps, offsets, gates as their means
	$(call EACH_DATASET,scripts/table.py table=$(TABLE) ablate=true $(TEST_ARGS) $(TABLE_ARGS))

publish: need-experiments ## copy the finished results of TABLE=table2 (and TEST=...) to results/; refuses those with uncommitted changes
	$(call EACH_DATASET,scripts/table.py table=$(TABLE) publish=true $(TEST_ARGS) $(TABLE_ARGS))

figures: need-experiments ## draw the paper's figures from finished rows; run those that are missing
	$(call EACH_DATASET,scripts/figures.py launcher=$(LAUNCHER) $(if $(PHOTOS),photographs="'$(PHOTOS)'") $(if $(JOBS),jobs=$(JOBS)) $(ROW_ARGS))

pages: need-experiments ## render the tables of results/ again: there, in the README and in docs/
	"$(RUN)" scripts/pages.py

bench: need-experiments ## measure time and memory of every part; ARGS=publish=true copies them to results/
	"$(RUN)" -m scripts.bench $(ARGS)

demo: need-experiments ## matte a generated picture and a photograph with the best system in the package
	"$(RUN)" scripts/predict.py image=docs/demo/photo.jpg trimap=docs/demo/trimap.png truth=docs/demo/alpha.png \
	  background=white folder=outputs/demo $(ARGS)
	"$(RUN)" scripts/predict.py image=docs/demo/dandelion.jpg mask=docs/demo/dandelion_mask.png erode=6 dilate=38 \
	  background=white folder=outputs/demo $(ARGS)

shipped: need-experiments ## compare the model in the package with closed-form and KNN matting: PHOTOS=...; ARGS=publish=true copies it to results/
	"$(RUN)" scripts/shipped.py photographs="'$(PHOTOS)'" $(ARGS)

report: need-experiments ## write all tables to an HTML page, outputs/report/index.html; ARGS=source=outputs: your own runs
	"$(RUN)" scripts/report.py $(ARGS)

test: need-experiments ## run the tests, except the groups below
	"$(RUN)" -m pytest

test-onnx: ## run the tests of ONNX files
test-triton: ## run the tests of Triton kernels, on a CPU in its interpreter
test-browser: ## run the tests of the report in Chromium
test-slow: ## run the long tests
$(GROUPS): need-experiments # two processes: each of ONNX Runtime's uses more than one core
	"$(RUN)" -m pytest -n 2 -m "$(@:test-%=%)$(if $(filter-out test-slow,$@), and not slow)"

test-all: need-experiments ## run all of these
	"$(RUN)" -m pytest -m ""

lint: need-experiments ## check style, types and spelling
	"$(RUN)" -m ruff check .
	"$(RUN)" -m ruff format --check .
	"$(RUN)" -m mypy
	"$(RUN)" -m codespell_lib

format: need-experiments ## fix formatting
	"$(RUN)" -m ruff check --fix .
	"$(RUN)" -m ruff format .

tensorboard: need-experiments ## curves and pictures of every run under outputs/
	"$(RUN)" -m tensorboard.main --logdir outputs

pictures: need-experiments ## draw the contact sheets of the generated dataset again
	"$(RUN)" scripts/data.py pictures

clean: ## remove .venv and caches; outputs/ and data/ stay
	rm -rf .venv build src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

.venv/ready: pyproject.toml constraints.txt
	@python3 -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "python3 is %d.%d; Python 3.11 or later is needed: put one first in PATH, or give PYTHON= of an environment of yours" % sys.version_info[:2])'
	@echo "setting up .venv: a few minutes (once)"
	python3 -m venv .venv
	.venv/bin/python -m pip install --quiet --constraint constraints.txt --editable ".[experiments]"
	@touch $@
