# make demo   fly a rendered bridge: no hardware, no network beyond the package index
# make test   everything CI runs: lint, types, import rules, tests; WORKERS=2 processes
# make lint   ruff, mypy and the import rules alone
# make bench  speed: this board, side by side with the field, and what a broker carries; tables, plots and JSON in out/
# make wheel  the wheel that goes on the drone
# make deb    the Debian package for a board: BOARD=arm64-python3.11 (Raspberry Pi OS Bookworm), arm64-python3.13, …
# make test-system  install, fly, hang, kill, upgrade and roll back under a real systemd, in a container; as root
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
OUT    ?= spanhawk-demo

.PHONY: demo test test-system lint bench wheel deb clean system-packages container-packages

demo: $(VENV)/.flies
	$(BIN)/spanhawk demo --out $(OUT)

# Files in parallel, in their order (a file's fixtures are made once). A worker with TensorFlow needs about 2 GB of memory.
WORKERS ?= 2
test: system-packages lint
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

lint: $(VENV)/.builds
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

# On a shared machine, as root: make bench FIRST='nice -n -10'
bench: system-packages $(VENV)/.compares
	$(FIRST) $(BIN)/python benchmarks/latency.py --runs 100 --roofline --cross-check --end-to-end 20 \
	  --json out/latency.json --plot out/latency.png
	$(FIRST) $(BIN)/python benchmarks/compare.py --json out/compare.json --plot out/compare.png
	$(FIRST) $(BIN)/python benchmarks/broker.py --json out/broker.json

wheel: $(VENV)/.builds
	$(BIN)/python -m build --wheel

BOARD ?= $(shell dpkg --print-architecture)-python$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
deb: $(VENV)/.builds
	rm -rf dist/wheel && $(BIN)/python -m build --wheel --outdir dist/wheel >/dev/null
	PYTHON=$(abspath $(BIN)/python) systemd/deb.sh dist/wheel/spanhawk-*.whl $(BOARD)

test-system: $(VENV)/.builds container-packages
	$(BIN)/python -m tests.system

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 10) and "spanhawk needs Python 3.10 or newer, this is %d.%d; set PYTHON=" % v[:2])'
	$(PYTHON) -m venv $(VENV) || { echo "no venv module: apt install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"

# What flies, and a broker in process for the demo.
$(VENV)/.flies: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet -e '.[demo]'
	@touch $@

# What builds and tests: TensorFlow, linters, oracles; under CI PyTorch too.
$(VENV)/.builds: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet -e '.[demo,report,dxf,workstation]' --group dev $(if $(CI),--group torch)
	@touch $@ $(VENV)/.flies

# What benchmarks compare with: ONNX Runtime and the way to it.
$(VENV)/.compares: $(VENV)/.builds
	$(BIN)/python -m pip install --quiet -e '.[demo,report,dxf,workstation,bench]'
	@touch $@

# The real broker, GPS daemon and database that tests talk to; GDAL and exiftool read what is written. Without root,
# missing ones are skipped and named.
PACKAGES := mosquitto mosquitto-clients gpsd gpsd-clients openssl minisign postgresql postgresql-postgis gdal-bin libimage-exiftool-perl
system-packages:
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  dpkg -s $(PACKAGES) >/dev/null 2>&1 || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $(PACKAGES) >/dev/null; }; \
	fi

# What makes the container that test-system runs in; without root, test-system says what is missing.
CONTAINER := mmdebstrap systemd-container
container-packages:
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  dpkg -s $(CONTAINER) >/dev/null 2>&1 || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $(CONTAINER) >/dev/null; }; \
	fi

clean:
	rm -rf $(VENV) dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
