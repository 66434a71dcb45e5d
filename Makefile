# melpy. `make` alone prints what there is.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
# Processes that run tests side by side; each may hold a gigabyte.
WORKERS ?= $(shell n=$$(nproc); echo $$((n < 4 ? n : 4)))
PYTHON ?= $(firstword $(foreach name,python3 python3.14 python3.13 python3.12 python3.11,$(shell \
	$(name) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(name))))

# $(call ensure,LIST): install with apt what is missing, where that is allowed; else say what to install.
define ensure
	@missing=(); \
	while IFS='|' read -r packages test; do \
	  [ -n "$$packages" ] || continue; \
	  bash -c "$$test" >/dev/null 2>&1 || missing+=($$packages); \
	done <<< "$$$(1)"; \
	[ $${#missing[@]} -gt 0 ] || exit 0; \
	if ! command -v apt-get >/dev/null; then sudo=none; \
	elif [ "$$(id -u)" = 0 ]; then sudo=; \
	elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then sudo='sudo -n'; \
	else sudo=none; fi; \
	if [ "$$sudo" = none ]; then \
	  echo "error: these packages are missing, and only root can install them: $${missing[*]}" >&2; \
	  echo "hint: as root, run: apt-get update && apt-get install --no-install-recommends $${missing[*]}" >&2; \
	  exit 1; \
	fi; \
	echo "installing $${missing[*]}"; \
	export DEBIAN_FRONTEND=noninteractive; \
	log=$$(mktemp); \
	{ $$sudo apt-get update && $$sudo apt-get install -y --no-install-recommends $${missing[*]}; } > "$$log" 2>&1 \
	  || { cat "$$log" >&2; exit 1; }; \
	rm -f "$$log"
endef

# What is needed of the machine, one line each: Debian packages|test whether they are there.
define NEEDED
bubblewrap|command -v bwrap
qemu-user-static|command -v qemu-aarch64-static || command -v qemu-aarch64
git|command -v git
debian-archive-keyring|test -e /usr/share/keyrings/debian-archive-keyring.gpg
ca-certificates|test -e /etc/ssl/certs/ca-certificates.crt
python3-venv|$(PYTHON) -c 'import ensurepip'
libseccomp2|$(PYTHON) -c 'import ctypes; ctypes.CDLL("libseccomp.so.2")'
libarchive13|$(PYTHON) -c 'import ctypes; ctypes.CDLL("libarchive.so.13")'
endef
define NEEDED_FOR_TESTS
gcc libc6-dev|command -v cc
busybox-static|test -e /bin/busybox
binutils|command -v readelf
pax-utils|command -v scanelf
patch|command -v patch
acl|command -v setfacl
libcap2-bin|test -e /sbin/setcap || test -e /usr/sbin/setcap
perl|command -v perl
jq|command -v jq
cpio|command -v cpio
pkgconf|command -v pkgconf
unzip|command -v unzip
mount|command -v mount
util-linux|command -v unshare
locales|test -e /usr/share/i18n/charmaps/ISO-8859-1.gz
endef
export NEEDED NEEDED_FOR_TESTS

.PHONY: help
help: ## Print this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: tools
tools:
ifeq ($(PYTHON),)
	@echo "error: Python 3.11 or newer is needed" >&2; exit 1
endif
	$(call ensure,NEEDED)

.PHONY: test-tools
test-tools: tools
	$(call ensure,NEEDED_FOR_TESTS)

$(VENV)/bin/python: | tools
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml .ci/requirements.txt | $(VENV)/bin/python
	@echo "installing melpy into $(VENV)"
	@$(VENV)/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r .ci/requirements.txt
	@$(VENV)/bin/python -m pip install -q --disable-pip-version-check --no-deps -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed .ci/requirements-dev.txt
	@echo "installing development tools into $(VENV)"
	@$(VENV)/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r .ci/requirements-dev.txt
	@touch $@

.PHONY: setup
setup: tools $(VENV)/.installed ## Install what melpy needs, and melpy into .venv

.PHONY: demo
demo: setup ## Build GNU hello for x86_64, and a library and its program for x86_64 and aarch64
	@. $(VENV)/bin/activate; set -x; \
	melpy keygen --if-missing; \
	melpy bootstrap --arch x86_64 packages/hello.yaml; \
	melpy build --arch x86_64 packages/hello.yaml; \
	melpy build --arch x86_64,aarch64 packages/libgreet.yaml packages/greet.yaml; \
	melpy index

.PHONY: test
test: setup test-tools $(VENV)/.installed-dev ## Run all checks and all tests
	@$(MAKE) --no-print-directory lint
	@$(VENV)/bin/python -m pytest -n $(WORKERS) --dist worksteal tests

.PHONY: check
check: lint ## Check format, lint, types and the import contract, and run the unit tests
	@$(VENV)/bin/python -m pytest -q -n $(WORKERS) --dist worksteal tests/unit tests/property

.PHONY: lint
lint: setup $(VENV)/.installed-dev
	@$(VENV)/bin/ruff format --check --quiet . || { echo "hint: make format" >&2; exit 1; }
	@$(VENV)/bin/ruff check --quiet .
	@$(VENV)/bin/mypy --no-error-summary
	@$(VENV)/bin/lint-imports --no-logo >/dev/null || $(VENV)/bin/lint-imports

.PHONY: format
format: $(VENV)/.installed-dev ## Format the code
	@$(VENV)/bin/ruff format .
	@$(VENV)/bin/ruff check --fix .

.PHONY: docs
docs: $(VENV)/.installed ## Write the generated pages of docs/reference
	@$(VENV)/bin/python docs/generate.py

.PHONY: bench
bench: setup test-tools $(VENV)/.installed-dev ## Measure what was promised
	@$(VENV)/bin/python -m tests.bench

.PHONY: lock
lock: $(VENV)/.installed-dev ## Renew the locked dependencies
	@$(VENV)/bin/python -m pip install -q uv
	@$(VENV)/bin/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header \
	  pyproject.toml -o .ci/requirements.txt
	@$(VENV)/bin/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header \
	  --extra dev pyproject.toml -c .ci/requirements.txt -o .ci/requirements-dev.txt

.PHONY: clean
clean: ## Remove what was built, but not the cache of sources and packages
	@rm -rf out build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
