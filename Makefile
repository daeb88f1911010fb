# finegrain: the one entry. `make` alone prints what there is.

.DEFAULT_GOAL := help
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules --no-print-directory

# What a call may set.
SCALE ?= default#    smoke, default or full
TASK ?=#             one folder of notebooks, or one notebook: TASK=retrieval, TASK=retrieval/leaderboard
LAUNCH ?=#           goes before each notebook's command: LAUNCH="srun -c2"
THREADS ?= 1#        threads of one notebook; results are equal to the byte only at equal threads
NB ?=
P ?=
GRID ?=
SWEEP ?=# the folder of a sweep in progress, by which `make sweep` calls itself
LIMIT ?=#            seconds that a notebook may take (0: any); else 20 times its budget, 10 minutes at least
MEMORY ?=#           gigabytes that a notebook may use (0: any); else three quarters of the memory here
JOBS ?= $(shell getconf _NPROCESSORS_ONLN)

BUILD := $(patsubst $(CURDIR)/%,%,$(or $(FINEGRAIN_BUILD),build))

# The interpreter: an active conda or virtual environment that satisfies the lock, else .venv.
ACTIVE := $(firstword $(VIRTUAL_ENV) $(CONDA_PREFIX))
ifdef FINEGRAIN_PYTHON
  PYTHON := $(FINEGRAIN_PYTHON)
else
  PYTHON := .venv/bin/python
  ifneq ($(filter-out $(CURDIR)/.venv,$(ACTIVE)),)
    ifneq ($(filter-out help clean clean-cache,$(or $(MAKECMDGOALS),help)),)
      REFUSED := $(shell $(ACTIVE)/bin/python -I lib/finegrain/run/environment.py check requirements.lock $(BUILD)/environments 2>/dev/null || echo refused)
      ifeq ($(REFUSED),)
        PYTHON := $(ACTIVE)/bin/python
      else
        $(info The active environment does not satisfy requirements.lock ($(or $(filter-out refused,$(REFUSED)),no usable Python)): using .venv)
      endif
    endif
  endif
endif
ENVIRONMENT := $(if $(filter .venv/bin/python,$(PYTHON)),.venv/.complete)
export FINEGRAIN_PYTHON := $(PYTHON)
export PYTHONPATH := $(CURDIR)/lib
export FINEGRAIN_LIMIT := $(or $(LIMIT),$(FINEGRAIN_LIMIT))
export FINEGRAIN_MEMORY := $(or $(MEMORY),$(FINEGRAIN_MEMORY))
FINEGRAIN := $(PYTHON) -m finegrain.run
# Kernels below this are forked, where more than one is to start; a job that LAUNCH begins has its own limits, and cold ones.
PRELOADED := $(if $(LAUNCH),,$(FINEGRAIN) preloaded --threads $(THREADS))

##@ Results
.PHONY: all run sweep report lab
all: $(ENVIRONMENT) ## every table and figure that is not up to date (SCALE=full, TASK=retrieval, LAUNCH="srun -c2", -j4)
	@$(if $(UNKNOWN),$(FINEGRAIN) check --scale "$(SCALE)" --task "$(TASK)")
	@$(if $(DRY),+command -v $(PYTHON) >/dev/null && $(FINEGRAIN) plan --scale "$(SCALE)" --task "$(TASK)" --threads $(THREADS),mkdir -p $(BUILD) && session=$$(mktemp -d $(BUILD)/.session.XXXXXX) && \
	trap 'rm -rf "$$session"' EXIT && trap : INT TERM HUP && \
	$(MAKE) --dry-run notebooks | sed -n 's/.* -m finegrain.run notebook \([^ ]*\) .*/\1/p' > "$$session/names"; \
	wc -l < "$$session/names" | tr -d ' ' > "$$session/count"; \
	if [ "$$(cat "$$session/count")" = 0 ]; then echo "Everything is up to date."; else \
	  export FINEGRAIN_SESSION="$$session"; \
	  [ "$$(cat "$$session/count")" = 1 ] || preloaded="$(PRELOADED)"; \
	  $$preloaded $(MAKE) $(if $(filter -j%,$(MAKEFLAGS)),,-j$(JOBS)) notebooks; \
	  $(FINEGRAIN) summary --scale "$(SCALE)" --task "$(TASK)"; \
	fi)

run: $(ENVIRONMENT) ## one notebook with parameters, into build/runs: NB=retrieval/leaderboard P="seeds=5 dataset=path"
	@needed=$$($(FINEGRAIN) needs "$(NB)" --parameters "$$P") && \
	{ [ -z "$$needed" ] || $(MAKE) all $$needed; } && \
	$(LAUNCH) $(FINEGRAIN) run "$(NB)" --parameters "$$P" --threads $(THREADS)
run: export P := $(P)

sweep: $(ENVIRONMENT) ## one notebook over a grid, a run each, then one table: NB=retrieval/leaderboard GRID="seeds=0:10 backbone=a,b"
	@mkdir -p $(BUILD) && sweep=$$(mktemp -d $(BUILD)/.session.XXXXXX) && trap 'rm -rf "$$sweep"' EXIT && trap : INT TERM HUP && \
	needed=$$($(FINEGRAIN) sweep expand "$(NB)" "$$sweep" --grid "$$GRID") && \
	{ [ -z "$$needed" ] || echo "$$needed" | while read -r words; do $(MAKE) all $$words </dev/null || exit 1; done; } && \
	{ FINEGRAIN_SESSION="$$sweep" $(PRELOADED) $(MAKE) $(if $(filter -j%,$(MAKEFLAGS)),,-j$(JOBS)) runs SWEEP="$$sweep"; \
	  $(FINEGRAIN) sweep table "$$sweep"; }
sweep: export GRID := $(GRID)

.PHONY: runs
runs: $(patsubst %.json,%.end,$(if $(SWEEP),$(wildcard $(SWEEP)/runs/*.json)))
%.end: %.json
	@$(LAUNCH) $(FINEGRAIN) sweep one $< --threads $(THREADS) || true

report: $(ENVIRONMENT) ## the results as a site of static pages, into build/site: figures/ and the notebooks that have run (SCALE= as above)
	@$(FINEGRAIN) report --scale "$(SCALE)"

lab: $(ENVIRONMENT) ## JupyterLab on this machine, with the kit's kernel; LAB="--port 9999 --no-browser" adds options
	@$(FINEGRAIN) lab $(LAB)

##@ Checks
.PHONY: why verify parity bench test lint format
verify: $(ENVIRONMENT) ## run again from nothing, into build/verify, and compare with figures/ cell by cell (NB=, TASK=, SCALE= as above)
	@rm -rf "$(FRESH)" && mkdir -p "$(FRESH)" && \
	{ env -u FINEGRAIN_BACKBONES FINEGRAIN_BUILD="$(FRESH)" FINEGRAIN_FIGURES="$(FRESH)/figures" \
	    $(MAKE) all TASK="$(or $(NB),$(TASK))" || true; } && \
	$(FINEGRAIN) verify "$(FRESH)" --scale "$(SCALE)" --task "$(or $(NB),$(TASK))"
verify: FRESH := $(abspath $(BUILD))/verify

parity: $(ENVIRONMENT) ## published numbers, met on data that you bring, into figures/parity: DATA=path/to/data
	@$(FINEGRAIN) run parity --parameters "data=\"$(DATA)\" out=figures/parity" --threads $(THREADS)

bench: $(ENVIRONMENT) ## what the kit takes beside what you would take instead, into figures/bench: B="kernel noop" for some rows
	@OMP_NUM_THREADS=1 $(PYTHON) tests/bench $(B)

why: $(ENVIRONMENT) ## what made a notebook stale, a line for each reason: NB=retrieval/leaderboard, or none for all of them
	@$(FINEGRAIN) why $(NB) --scale "$(SCALE)" --task "$(TASK)" --threads $(THREADS)

test: $(ENVIRONMENT) lint ## lint, unit, method and fault tests, and every notebook at smoke scale; T="-k words" adds options
	@$(PRELOADED) $(PYTHON) -m pytest -n 2 --dist worksteal -q $(T)

lint: $(ENVIRONMENT) ## what ruff and mypy find, notebooks included
	@$(PYTHON) -m ruff check --quiet . && $(PYTHON) -m ruff format --quiet --check . && $(PYTHON) -m mypy

format: $(ENVIRONMENT) ## put code and notebooks into the common form
	@$(PYTHON) -m ruff check --quiet --fix . ; $(PYTHON) -m ruff format --quiet . && $(FINEGRAIN) strip

##@ Upkeep
SAY_SIZE = [ ! -e "$$folder" ] || echo "removes $$folder ($$(du -sh "$$folder" | cut -f 1))"
.PHONY: new strip readme lock clean clean-cache help
new: $(ENVIRONMENT) ## a new notebook with its test, from the template or another one: NAME=my_idea TASK=retrieval FROM=retrieval/leaderboard
	@$(FINEGRAIN) new "$(NAME)" --task "$(TASK)" --source "$(FROM)"

strip: $(ENVIRONMENT) ## take outputs and execution counts out of the notebooks
	@$(FINEGRAIN) strip

readme: $(ENVIRONMENT) ## write README's table of papers and the start page's list anew from figures/
	@$(FINEGRAIN) readme

lock: ## the newest versions that fit together, into requirements.lock (makes build/lock anew; needs the network)
	@$(FIND_PYTHON) && $$python lib/finegrain/run/environment.py lock $(BUILD)/lock requirements.lock

clean-cache: ## remove what runs remember (build/cache) and the data sets as read (build/worlds); they come back by themselves
	@for folder in $(BUILD)/cache $(BUILD)/worlds; do $(SAY_SIZE); rm -rf "$$folder"; done

clean: ## remove build/ (executed notebooks, backbones, caches) and the tools' caches; figures/ and .venv stay
	@for folder in $(wildcard $(BUILD)/*) .pytest_cache .ruff_cache .mypy_cache .hypothesis; do $(SAY_SIZE); done
	@rm -rf $(BUILD) .pytest_cache .ruff_cache .mypy_cache .hypothesis
	@find lib tests -name __pycache__ -type d -prune -exec rm -rf {} +

help: ## this list
	@echo "finegrain: make all regenerates every table and figure; the first call makes .venv from requirements.lock."
	@awk -F ':[^#]*## ' '/^##@ /{print "\n" substr($$0, 5)} /^[a-z-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' Makefile

# The environment. The first Python of the right age makes it; whether torch is the CPU or the CUDA build is pip's
# settings' choice. Half-made environments carry no stamp and are made anew.
define FIND_PYTHON
for python in python3 python3.13 python3.12 python3.11 ""; do \
  [ -n "$$python" ] || { echo "no Python 3.11, 3.12 or 3.13 found: install one, or activate an environment that has one" >&2; exit 2; }; \
  $$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && break; \
done
endef

.venv/.complete: requirements.lock
	@$(FIND_PYTHON) && $$python lib/finegrain/run/environment.py prepare .venv requirements.lock $(BUILD)/.venv.lock

# The schedule. A notebook's target is its run record; the .d file beside it says what the run read, the graph which
# backbones it needs. Make looks at times, the command itself at contents: what only looks newer does not run.
comma := ,
DRY = $(findstring n,$(firstword -$(MAKEFLAGS)))
TASKS := $(subst $(comma), ,$(TASK))
FOUND := $(sort $(if $(TASKS),$(foreach task,$(TASKS),$(wildcard notebooks/$(task).ipynb notebooks/$(task)/*.ipynb)),$(wildcard notebooks/*/*.ipynb)))
UNKNOWN := $(filter-out smoke default full,$(SCALE))$(foreach task,$(TASKS),$(if $(wildcard notebooks/$(task).ipynb notebooks/$(task)/*.ipynb),,$(task)))
WANTED := $(FOUND:notebooks/%.ipynb=%)
BACKBONES := $(filter backbones/%,$(WANTED))
SHARED := $(if $(filter smoke,$(SCALE)),smoke,default)# the scale whose backbones this scale uses
RECORDS := $(BACKBONES:%=$(BUILD)/$(SHARED)/%.run.json) $(patsubst %,$(BUILD)/$(SCALE)/%.run.json,$(filter-out $(BACKBONES),$(WANTED)))

.PHONY: notebooks
notebooks: $(RECORDS)

ifeq ($(MAKECMDGOALS),notebooks)
$(BUILD)/%.run.json:
	@$(LAUNCH) $(FINEGRAIN) notebook $* --threads $(THREADS) || true

$(BUILD)/graph.mk: $(wildcard notebooks/*/*.ipynb notebooks/* lib/finegrain/models/_registry.py)
	@$(FINEGRAIN) graph $@

include $(BUILD)/graph.mk
-include $(wildcard $(BUILD)/$(SCALE)/*/*.d $(BUILD)/$(SHARED)/backbones/*.d)
endif
