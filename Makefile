# Every target makes its own environment from the lock; nothing is installed by hand.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
# Each of the tests' many processes would compile all modules anew.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help train test proofs slow-proofs newest oldest verify verify-exhaustive prove-resume hostile-data input-cost bench docs lint types wheel smoke lock clean
help:            ## what there is to run
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/'

$(READY): requirements/lock.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r requirements/lock.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

train: $(READY)  ## train LeNet on scikit-learn's handwritten digits; says where the results are
	$(BIN)/purecnn train

# What takes long: the training tool and its commands in whole runs, the experiments, every net, every rule under every
# transformation, every rule and net on every mesh and exported, the pages of the book, and whole programs, rules of
# other people and faulty ones under every check of the verifier.
# The longest stand first, so that no worker waits for another at the end.
PROOFS := tests/test_shardings.py tests/test_export.py tests/docs tests/commands tests/train tests/experiments \
  tests/test_benchmark.py tests/test_readme.py tests/test_lowered.py tests/models tests/results tests/test_cli.py \
  tests/test_every_rule.py tests/verify/mutation tests/verify/program tests/verify/checks/test_devices.py \
  tests/verify/test_pytest_plugin.py tests/verify/test_faulty_rules.py tests/verify/test_right_rules.py \
  $(wildcard tests/verify/test_strangers_*.py)

# Runs of a few steps wait for XLA more than for what it compiles. `pytest` alone compiles as users do.
QUICKLY := XLA_FLAGS="$(XLA_FLAGS) --xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1 \
  --xla_backend_optimization_level=1"

test: $(READY)   ## every test but those of proofs and slow-proofs
	$(BIN)/python -m pytest -n auto $(PROOFS:%=--ignore=%)

proofs: $(READY) ## the training tool, experiments and benchmark at small sizes, every net on every mesh and exported
	$(QUICKLY) $(BIN)/python -m pytest -n auto $(PROOFS)

slow-proofs: $(READY) ## what continuous integration leaves out: the tests marked slow, and every rule in bfloat16
	$(BIN)/python -m pytest -n auto -m slow
	$(BIN)/python -m verify --dtypes bf16 --cases 1  # what other shapes could show, float32 has shown

newest:          ## tests of rules, nets and what is compiled, and the wheel, without the lock: what pip installs today
	$(PYTHON) -m venv --clear .venv-newest
	.venv-newest/bin/pip install --quiet --disable-pip-version-check -e '.[train,docs,dev]'
	.venv-newest/bin/python -m pytest -n auto $(PROOFS:%=--ignore=%)
	.venv-newest/bin/python -m pytest -n auto tests/models tests/test_lowered.py tests/test_every_rule.py
	.venv-newest/bin/python -m tests.release.smoke --newest

# pyparsing: matplotlib 3.9 calls it by names that later ones warn of, and a warning fails a test.
oldest:          ## the tests of make test, and of the training tool, with the oldest versions that pyproject.toml allows
	$(PYTHON) -m venv --clear .venv-oldest
	.venv-oldest/bin/pip install --quiet --disable-pip-version-check -c requirements/oldest.txt -e '.[train,dev]' 'pyparsing<3.3'
	.venv-oldest/bin/python -m pytest -n auto $(PROOFS:%=--ignore=%)
	.venv-oldest/bin/python -m pytest -n auto tests/commands tests/train

verify: $(READY) ## every rule of purecnn in float32 under every check of the verifier
	$(BIN)/python -m verify

verify-exhaustive: $(READY) ## thousands of small geometries in exact integers; takes longer
	$(BIN)/python -m experiments.verify_exhaustive.run

prove-resume: $(READY) ## 50 SIGKILLs of a run and of a stream, and disks that fill up, resumed: the same weights to the last bit?
	$(BIN)/python -m experiments.kill_and_resume.run
	$(BIN)/python -m experiments.kill_and_resume.run --stream
	$(BIN)/python -m experiments.kill_and_resume.full_disk

hostile-data: $(READY) ## 300 corrupt data files: each refused, in one line, in little memory
	$(BIN)/python -m experiments.hostile_data.run

input-cost: $(READY) ## how long data sets of full size take to read, and what share of a step input takes
	$(BIN)/python -m experiments.input_cost.run

bench: $(READY)  ## steps and layers against autodiff; Flax and PyTorch too where the extra bench is installed
	$(BIN)/python -m experiments.benchmark.run

docs: $(READY)   ## the book as a site: open site/index.html
	$(BIN)/mkdocs build --strict --quiet

lint: $(READY)   ## ruff: style, imports, formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)  ## pyright
	$(BIN)/pyright --pythonpath $(BIN)/python

wheel: $(READY)  ## the wheel and the sdist, in dist/
	$(BIN)/python -m hatchling build --target sdist --target wheel

smoke: $(READY)  ## build both, install the wheel into an empty environment, and try it there
	$(BIN)/python -m tests.release.smoke

lock:            ## pin the newest versions that fit (needs uv)
	uv pip compile pyproject.toml --extra train --extra docs --extra dev -c requirements/constraints.txt --universal \
	  --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate -o requirements/lock.txt --upgrade

clean:           ## remove the environment and caches, never a run
	rm -rf .venv .venv-newest .venv-oldest site .pytest_cache .ruff_cache .hypothesis
