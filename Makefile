# make demo   fly a rendered bridge: no hardware, no network beyond the package index
# make test   everything CI runs: lint, types, import rules, tests; WORKERS=2 processes
# make lint   ruff, mypy and the import rules alone
# make ground-demo  a broker, the ground station with its live page and two drones before rendered bridges: no hardware
# make faults  provoke every fault (kills, power cuts, full disks, cut links, hostile bytes): one table; ROWS='--quick', as root
# make bench  speed: this board, side by side with the field, and what a broker carries; tables, plots and JSON in out/
# make wheel  the wheel that goes on the drone
# make deb    the Debian package for a board: BOARD=arm64-python3.11 (Raspberry Pi OS Bookworm), arm64-python3.13, …
# make card   an image that installs spanhawk at the first boot: IMAGE=raspios-arm64.img.xz CONFIG=card.toml OUT=drone1.img
# make image  a whole system of Debian for an arm64 board that starts by UEFI: CONFIG=card.toml OUT=drone1.img; as root
# make test-picamera  the Raspberry Pi camera's source on real picamera2 and libcamera, in a container; as root
# make test-arm64  the wheel on an emulated arm64 processor: int8 answers to the bit, a flight, the outbox; as root, 10 minutes
# make test-arm64-system  a card on a whole emulated arm64 board: first boot, limits, watchdog, power cuts; as root, 2 hours
# make test-system  install, fly, hang, kill, upgrade and roll back under a real systemd, in a container; as root
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
OUT    ?= spanhawk-demo

.PHONY: demo ground-demo leaflet test faults card image test-system test-picamera test-arm64 test-arm64-system lint bench wheel deb clean system-packages container-packages board-packages

demo: $(VENV)/.flies
	$(BIN)/spanhawk demo --out $(OUT)

# The map of the ground's page: Leaflet from the npm registry, its bytes pinned; git does not have it, the wheel does.
LEAFLET := edge/ground/web/leaflet/leaflet.js
leaflet: $(LEAFLET)
$(LEAFLET): edge/ground/web/leaflet.sha256
	@command -v npm >/dev/null || { echo "make leaflet: npm is missing (apt install npm)" >&2; exit 1; }
	rm -rf $(@D) && mkdir $(@D)
	cd $(@D) && npm pack --silent leaflet@1.9.4 >/dev/null \
	  && tar -xzmf leaflet-1.9.4.tgz --transform 's,.*/,,;s,LICENSE,LICENSE.txt,' \
	    package/dist/leaflet.js package/dist/leaflet.css package/LICENSE \
	  && rm leaflet-1.9.4.tgz && sha256sum -c --quiet ../leaflet.sha256 || { rm -rf ../leaflet; exit 1; }

# FLAGS='--drones 3 --seconds 120'
ground-demo: $(VENV)/.grounds $(LEAFLET)
	$(BIN)/python benchmarks/ground_demo.py $(FLAGS)

# Files in parallel, in their order (a file's fixtures are made once). A worker with TensorFlow needs about 2 GB of memory.
WORKERS ?= 2
test: system-packages $(LEAFLET) lint
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

lint: $(VENV)/.builds
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

# Root may mount disks and cut links; without it those rows say NOT RUN. Some take long: ROWS='--only kills --rounds 20'.
faults: system-packages $(VENV)/.builds
	$(BIN)/python -m tests.faults $(ROWS)

# On a shared machine, as root: make bench FIRST='nice -n -10'
bench: system-packages $(VENV)/.compares
	$(FIRST) $(BIN)/python benchmarks/latency.py --runs 100 --roofline --cross-check --end-to-end 20 \
	  --json out/latency.json --plot out/latency.png
	$(FIRST) $(BIN)/python benchmarks/compare.py --json out/compare.json --plot out/compare.png
	$(FIRST) $(BIN)/python benchmarks/broker.py --json out/broker.json

wheel: $(VENV)/.builds $(LEAFLET)
	$(BIN)/python -m build --wheel

BOARD ?= $(shell dpkg --print-architecture)-python$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
deb: $(VENV)/.builds $(LEAFLET)
	rm -rf dist/wheel && $(BIN)/python -m build --wheel --outdir dist/wheel >/dev/null
	PYTHON=$(abspath $(BIN)/python) systemd/deb.sh dist/wheel/spanhawk-*.whl $(BOARD)

# DEB= takes a package that is there already; without it, one is made for the Python of Raspberry Pi OS Trixie.
CONFIG ?= card.toml
card: OUT = spanhawk.img
card: system-packages $(VENV)/.builds
	@[ -n "$(IMAGE)" ] || { echo "make card: IMAGE= is missing: Raspberry Pi OS Lite (64-bit), .img or .img.xz" >&2; exit 2; }
	$(if $(DEB),,$(MAKE) --no-print-directory deb BOARD=arm64-python3.13)
	$(BIN)/python -m card "$(IMAGE)" "$(OUT)" --config "$(CONFIG)" \
	  --deb "$(or $(DEB),$$(ls -t dist/spanhawk_*_arm64-python3.13.deb | head -n 1))"

image: OUT = spanhawk.img
image: system-packages container-packages board-packages $(VENV)/.builds
	$(if $(DEB),,$(MAKE) --no-print-directory deb BOARD=arm64-python3.13)
	$(BIN)/python -m card.debian "$(OUT)" --config "$(CONFIG)" \
	  --deb "$(or $(DEB),$$(ls -t dist/spanhawk_*_arm64-python3.13.deb | head -n 1))"

test-system: $(VENV)/.builds container-packages
	$(BIN)/python -m tests.system

test-picamera: $(VENV)/.builds container-packages
	$(BIN)/python -m tests.libcamera

test-arm64: $(VENV)/.builds container-packages
	rm -rf dist/arm64 && $(BIN)/python -m build --wheel --outdir dist/arm64 >/dev/null
	$(BIN)/python -m tests.arm64

# PROOFS='first_boot doctor' proves these alone, CUTS=3 cuts the power three times, FOLDER= keeps the card and goes on with it.
CUTS ?= 10
test-arm64-system: $(VENV)/.builds system-packages container-packages board-packages
	$(if $(DEB),,$(MAKE) --no-print-directory deb BOARD=arm64-python3.13)
	$(BIN)/python -m tests.arm64.board --cuts $(CUTS) $(if $(FOLDER),--folder $(FOLDER)) $(if $(DEB),--deb $(DEB)) $(PROOFS)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 10) and "spanhawk needs Python 3.10 or newer, this is %d.%d; set PYTHON=" % v[:2])'
	$(PYTHON) -m venv $(VENV) || { echo "no venv module: apt install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"

# What flies, and a broker in process for the demo.
$(VENV)/.flies: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet -e '.[demo]'
	@touch $@

# The ground station with its page.
$(VENV)/.grounds: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet -e '.[demo,ground]'
	@touch $@

# What builds and tests: TensorFlow, linters, oracles; under CI PyTorch too.
$(VENV)/.builds: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet -e '.[demo,report,dxf,ground,workstation]' --group dev $(if $(CI),--group torch --group labelme)
	@touch $@ $(VENV)/.flies $(VENV)/.grounds

# What benchmarks compare with: ONNX Runtime and the way to it.
$(VENV)/.compares: $(VENV)/.builds
	$(BIN)/python -m pip install --quiet -e '.[demo,report,dxf,workstation,bench]'
	@touch $@

# The real broker, GPS daemon and database that tests talk to; libfaketime and iproute2 provoke faults; GDAL and exiftool
# read what is written; mtools to xz-utils make a card's image. Without root, missing ones are skipped and named.
# In CI alone: cloud-init judges a card (on a person's own machine it would be a service), Chromium opens the pages, and
# poppler reads what it prints.
PACKAGES := mosquitto mosquitto-clients gpsd gpsd-clients openssl minisign libfaketime iproute2 postgresql postgresql-postgis \
  gdal-bin libimage-exiftool-perl mtools fdisk dosfstools e2fsprogs xz-utils gcc libc6-dev $(if $(CI),cloud-init chromium poppler-utils) \
  $(if $(shell command -v npm),,npm)
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

# What emulates a board: the machine, its disk, and user-mode emulation for the making of its system.
EMULATOR := qemu-system-arm qemu-efi-aarch64 qemu-user-static binfmt-support nbdkit nbdkit-plugin-python openssh-client dosfstools fdisk
board-packages:
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  dpkg -s $(EMULATOR) >/dev/null 2>&1 || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $(EMULATOR) >/dev/null; }; \
	fi

clean:
	rm -rf $(VENV) dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
