# The commands of this repository. Each does all set-up that it needs by itself, and a second
# run does only what changed. `make help` lists them.
PYTHON ?= python3
VENV := .venv
BUILD := build/release
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export VIRTUAL_ENV := $(CURDIR)/$(VENV)
# Debian's protobuf and torch's CPU wheel are as large as they are: two compilers fit 8 GB.
JOBS ?= 2

SOURCES := $(shell find CMakeLists.txt cmake examples interpreter_lib runtime server python tests/cpp tests/fakes \
	tests/CMakeLists.txt benchmarks/CMakeLists.txt $(wildcard benchmarks/*.cc) pyproject.toml -type f -not -path '*/__pycache__/*' -not -path '*/.mypy_cache/*')

.PHONY: help demo test lint bench bench-zoo bench-peers soak soak-server fuzz clean test-cpp test-python test-soak test-sanitizers test-fuzz
.DEFAULT_GOAL := help

help: ## Show this list.
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 24

demo: $(VENV)/.installed ## Serve a real sentence embedding model and check its answers.
	python scripts/demo.py

test: test-cpp test-python test-soak test-sanitizers test-fuzz ## Run every test.

test-cpp: $(VENV)/.installed
	ctest --test-dir $(BUILD) --output-on-failure --no-tests=error --parallel $(JOBS) --timeout 300

test-python: $(VENV)/.installed build/perf_analyzer
	python -m pytest

test-soak: MINUTES = 2
test-soak: soak-server

soak-server: $(VENV)/.installed
	python benchmarks/server_soak.py --minutes $(MINUTES) 2>build/server_soak.log \
	  || { tail -n 40 build/server_soak.log; exit 1; }

test-sanitizers: $(VENV)/.requirements
	for preset in tsan asan; do \
	  cmake --preset $$preset -DPython_EXECUTABLE=$(CURDIR)/$(VENV)/bin/python >build/$$preset.log && \
	  cmake --build --preset $$preset --parallel $(JOBS) >>build/$$preset.log && \
	  ctest --preset $$preset --parallel $(JOBS) || { tail -n 40 build/$$preset.log; exit 1; }; \
	done

test-fuzz:
	$(MAKE) fuzz RUNS=100000 SEED=1

lint: $(VENV)/.requirements ## Check style, types, layering and the usual mistakes.
	ruff check .
	ruff format --check .
	mypy
	cd interpreter_lib/src/python && mypy --config-file $(CURDIR)/pyproject.toml torchdeploy_engine
	PYTHONPATH=python lint-imports
	python -m pytest -q tests/test_architecture.py
	git ls-files '*.h' '*.c' '*.cc' | xargs clang-format --dry-run --Werror
	cmake --preset tidy -DPython_EXECUTABLE=$(CURDIR)/$(VENV)/bin/python \
	  -Dpybind11_DIR=$$(python -m pybind11 --cmakedir) >build/tidy.log
	cmake --build --preset tidy --parallel $(JOBS) >>build/tidy.log || { grep -E 'error|warning' build/tidy.log; exit 1; }

bench: $(VENV)/.installed ## Measure memory, starts, calls, weights and throughput (docs/benchmarks.md).
	python benchmarks/run_all.py
	python benchmarks/interpreters.py

bench-zoo: $(VENV)/.installed ## Run torchdeploy bench on every model of the zoo (docs/bench.md).
	python benchmarks/bench_zoo.py

bench-peers: $(VENV)/.installed ## Compare with other servers, each in an environment of its own; QUICK=1 tries it.
	scripts/install_debian_packages.sh benchmarks/peers/debian-packages.txt
	python benchmarks/peers/run.py $(if $(QUICK),--quick)

MINUTES ?= 30
soak: soak-server ## Work the server, then the runtime, for MINUTES (30) each: what is lost, what leaks?
	python benchmarks/soak.py --minutes $(MINUTES)

# The last release whose perf_analyzer runs on Debian 12, and what it is linked to.
build/perf_analyzer: $(VENV)/.requirements
	rm -rf $@
	pip install --quiet --disable-pip-version-check --no-deps --target $@ \
	  tritonclient==2.50.0 nvidia-cuda-runtime-cu12==12.9.79
	touch $@

RUNS ?= 1000000
SEED ?= 0
fuzz: $(VENV)/.requirements ## Give the server's decoders RUNS (1000000) generated inputs (docs/testing.md).
	cmake --preset fuzz -DPython_EXECUTABLE=$(CURDIR)/$(VENV)/bin/python >build/fuzz.log
	cmake --build --preset fuzz --parallel $(JOBS) >>build/fuzz.log || { tail -n 40 build/fuzz.log; exit 1; }
	scripts/run_fuzzers.sh $(RUNS) $(SEED)

clean: ## Remove everything that was built; the virtual environment stays.
	rm -rf build

# Set-up, in order: Debian packages, virtual environment, Python packages, our own package.
$(VENV)/.requirements: scripts/debian-packages.txt scripts/requirements.txt
	scripts/install_debian_packages.sh scripts/debian-packages.txt
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	pip install --quiet --disable-pip-version-check --requirement scripts/requirements.txt
	mkdir -p build
	touch $@

$(VENV)/.installed: $(VENV)/.requirements $(SOURCES)
	@echo "Building in $(BUILD) and installing into $(VENV) ..."
	CMAKE_BUILD_PARALLEL_LEVEL=$(JOBS) pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps \
	  --config-settings=build-dir=$(BUILD) \
	  --config-settings=cmake.define.TORCHDEPLOY_BUILD_COMPAT=ON \
	  --config-settings=cmake.define.TORCHDEPLOY_BUILD_TESTS=ON .
	touch $@
