# `make demo` and `make test` need nothing but python3 (>= 3.11) with pip, and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.nccli-installed
EXTRAS := train,figures,cluster,network,parquet,timm,lightning,huggingface,test

.PHONY: demo test torture coverage oldest check format clean digits sample-data pictures reference install

demo: $(INSTALLED)
	$(BIN)/nccli demo

test: $(INSTALLED)
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist worksteal

# The trials of tests/trust at full length (half an hour), with their figures.
torture: $(INSTALLED)
	NCCLI_TORTURE=1 $(BIN)/python -m pytest tests/trust tests/train/test_experiment.py -k "trust or kill_9"

# Branch coverage of what reads, publishes and shows words of files: all of it, or it fails.
coverage: $(INSTALLED)
	rm -f .coverage*
	NCCLI_INLINE=1 $(BIN)/python -m coverage run -p -m pytest tests/test_hdf5.py tests/test_contents.py \
	  tests/test_precision.py tests/trust/test_hostile.py tests/trust/test_formats.py tests/trust/test_words.py tests/trust/test_corners.py tests/test_importing.py
	$(BIN)/python -m coverage run -p -m pytest tests/test_hdf5.py tests/trust/test_reader_process.py \
	  tests/trust/test_publishing.py tests/trust/test_corners.py
	$(BIN)/python -m coverage combine -q
	$(BIN)/python -m coverage report

# The oldest versions that pyproject.toml admits read every file format.
oldest: $(INSTALLED)
	$(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/python -m pip install --quiet --disable-pip-version-check --editable . \
	  pytest hypothesis $$($(BIN)/python tests/oldest.py)
	.venv-oldest/bin/python -m pytest tests/trust/test_formats.py tests/test_hdf5.py

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

install: $(INSTALLED)

# Debian splits venv from Python: without it, virtualenv from pip does the same job.
$(BIN)/python:
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV) .venv-bootstrap && \
	  $(PYTHON) -m pip install --quiet --target .venv-bootstrap virtualenv && \
	  PYTHONPATH=.venv-bootstrap $(PYTHON) -m virtualenv --quiet $(VENV) && rm -rf .venv-bootstrap; }

$(INSTALLED): $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt --editable '.[$(EXTRAS)]'
	touch $(INSTALLED)

# Remakes sample_data/digits.npz from scikit-learn's bundled copy (needed only for this).
digits: $(INSTALLED)
	$(BIN)/python -m pip install --disable-pip-version-check scikit-learn
	$(BIN)/python -m train.digits sample_data/digits.npz

# Remakes sample_data/runs.
sample-data: $(INSTALLED)
	rm -rf sample_data/runs
	$(BIN)/nccli train --data digits --loss ce,ls --seeds 0 --save-epochs 1,10,50,100,200 --dtype float16 --out sample_data/runs
	rm -f sample_data/runs/*/resume.pt

# Remakes the pictures in docs/.
pictures: $(INSTALLED)
	for picture in overview:1 collapse:2 ratio:2,c,c,c hessian:3 calibration:4 gram:5 files:6 notes:7; do \
	  $(BIN)/nccli view sample_data/runs --size 140x44 --press "$${picture#*:}" \
	    --screenshot "docs/view-$${picture%%:*}.svg" || exit 1; \
	done
	SOURCE_DATE_EPOCH=0 $(BIN)/nccli figure sample_data/runs --of collapse --out docs/collapse.svg
	$(BIN)/nccli calibrate 'sample_data/runs/*@last' --figure docs/reliability.svg > /dev/null
	$(BIN)/python docs/crossing.py docs/crossing.svg

# Remakes docs/reference.
reference: $(INSTALLED)
	$(BIN)/python docs/make_reference.py

clean:
	rm -rf $(VENV) .venv-oldest .venv-bootstrap build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
