# Two commands do all the set-up on a fresh machine: `make conformance` and `make test`.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := build/bin
PEERS := build/peers
ARCHS := amd64 arm64
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

GO_FLAGS := -trimpath -buildvcs=false -ldflags "-s -w"
export CGO_ENABLED := 0

.PHONY: screenshot help setup build conformance test check fmt bench bench-packager peers conformance-registry clean conformance-kind differential fidelity node-image terraform-tools test-terraform check-terraform-schema tf-fmt \
	tf-apply tf-destroy up down push-engine push-content deploy smoke-test rollout rollback status

help: ## what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'

$(VENV)/ready: requirements.lock requirements-go.lock pyproject.toml
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@go version >/dev/null 2>&1 || $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-go.lock
	@touch $@

setup: $(VENV)/ready build ## the Python environment and the Go programs

build: $(foreach a,$(ARCHS),$(BIN)/engine-linux-$(a) $(BIN)/probe-linux-$(a)) $(BIN)/pause $(BIN)/run ## the Go programs

$(BIN)/engine-linux-%: $(wildcard engine/*.go) engine/go.mod | $(VENV)/ready
	cd engine && GOOS=linux GOARCH=$* go build $(GO_FLAGS) -o ../$@ .

$(BIN)/probe-linux-%: $(wildcard fixtures/probe/*.go) fixtures/probe/go.mod | $(VENV)/ready
	cd fixtures/probe && GOOS=linux GOARCH=$* go build $(GO_FLAGS) -o ../../$@ .

$(BIN)/pause: $(wildcard emulator/node/sandbox/pause/*.go)
$(BIN)/run: $(wildcard emulator/node/sandbox/run/*.go)
$(BIN)/%: emulator/node/sandbox/%/go.mod | $(VENV)/ready
	cd emulator/node/sandbox/$* && go build $(GO_FLAGS) -o ../../../../$@ .

conformance: setup ## run the conformance suite on the emulator
	pytest conformance

conformance-kind: setup ## the suite on a real node in Docker; NODE_IMAGE=… REGISTRY_IMAGE=… name other images
	pytest conformance --target=kind $(if $(NODE_IMAGE),--node-image=$(NODE_IMAGE)) $(if $(REGISTRY_IMAGE),--registry-image=$(REGISTRY_IMAGE))

fidelity: setup ## how truthful the emulator is: every recording of a real cluster, replayed
	python -m conformance.truth

differential: setup ## made-up layer trees on a real node in Docker and on the emulator; TREES=500 SEED=0 NODE_IMAGE=… REGISTRY_IMAGE=…
	python -m conformance.differential --target=kind --trees=$(or $(TREES),500) --seed=$(or $(SEED),0) $(if $(NODE_IMAGE),--node-image=$(NODE_IMAGE)) $(if $(REGISTRY_IMAGE),--registry-image=$(REGISTRY_IMAGE))

# The tests of terraform/ run where a Terraform is, and say so where none is: `make test-terraform` gets one.
test: setup check ## every check and every test
	@! $(PYTHON) tests/terraform/tool.py >/dev/null 2>&1 || $(MAKE) --no-print-directory $(BIN)/terraform-provider-azurerm
	pytest

check: setup ## format, lint, types, layers, vet
	ruff format --check .
	ruff check .
	mypy
	cd fixtures/node-image && mypy --config-file= --strict --python-version 3.11 *.py
	lint-imports
	for d in engine fixtures/probe emulator/node/sandbox/pause emulator/node/sandbox/run; do (cd $$d && go vet ./...) || exit 1; done

# Programs of others, to check by and to compare with. Two processors take some minutes for them, once.
peers: $(PEERS)/crane $(PEERS)/oras $(PEERS)/umoci ## crane, oras and umoci, from their Go modules

$(PEERS)/crane: PACKAGE = github.com/google/go-containerregistry/cmd/crane
$(PEERS)/oras: PACKAGE = oras.land/oras/cmd/oras
$(PEERS)/umoci: PACKAGE = github.com/opencontainers/umoci/cmd/umoci
$(PEERS)/%: $(addprefix tests/peers/tools/,go.mod go.sum) | $(VENV)/ready
	cd tests/peers/tools && nice -n 19 go build $(GO_FLAGS) -o ../../../$@ $(PACKAGE)

conformance-registry: setup ## the OCI distribution specification's own conformance programme judges `imgvol registry`
	pytest -n0 -v tests/registry/test_registry_conformance.py

$(BIN)/terraform-provider-azurerm: $(addprefix tests/terraform/provider/,main.go schema.json go.mod go.sum) | $(VENV)/ready
	cd tests/terraform/provider && nice go build $(GO_FLAGS) -o ../../../$@ .

# OpenTofu stands in where there is no Terraform: nothing but its Go module is needed.
$(BIN)/tofu: $(addprefix tests/terraform/tofu/,go.mod go.sum) | $(VENV)/ready
	@echo "building OpenTofu, about two minutes of two processors"
	cd tests/terraform/tofu && nice -n 19 go build $(GO_FLAGS) -ldflags "-s -w -X github.com/opentofu/opentofu/version.dev=no" \
		-o ../../../$@ github.com/opentofu/opentofu/cmd/tofu

build/checkov/ready: tests/terraform/requirements-checkov.lock
	@rm -rf $(@D)
	@$(PYTHON) -m venv $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

terraform-tools: $(VENV)/ready $(BIN)/terraform-provider-azurerm build/checkov/ready ## what the tests of terraform/ need
	@$(PYTHON) tests/terraform/tool.py >/dev/null 2>&1 || $(MAKE) --no-print-directory $(BIN)/tofu
	cd tests/terraform/provider && go vet .

test-terraform: terraform-tools ## the tests of terraform/, without a cloud
	IMGVOL_TERRAFORM=required pytest tests/terraform

check-terraform-schema: $(VENV)/ready ## compare the schema kept for these tests with azurerm's own (90 MB)
	python tests/terraform/published.py

tf-fmt: ## format terraform/
	$$($(PYTHON) tests/terraform/tool.py) fmt -recursive terraform

node-image: ## the images of a real node, without any image registry; KUBERNETES=1.36.3 CONTAINERD=2.3.7
	@$(MAKE) --no-print-directory -C fixtures/node-image

screenshot: setup ## docs/report.png, from two runs; needs chromium
	docs/screenshot.sh

fmt: $(VENV)/ready ## format the code
	ruff format .
	ruff check --fix .
	gofmt -w engine fixtures emulator tests/terraform/provider

bench: setup ## measured ratios against named peers
	python -m bench

bench-packager: setup peers ## packing and pushing beside tar, gzip, oras, crane and umoci; ROUNDS=3 WRITE=1
	python -m bench.packager $(if $(ROUNDS),--rounds=$(ROUNDS)) $(if $(JSON),--json) $(if $(WRITE),--write)

# The sample system. Settings are variables; `python -m imgvol.deployment --help` tells them all.
HERE := $(filter emulator kind,$(TARGET))$(filter packager,$(ENGINE_BUILD))
# What is given to make, is in the environment of what it runs.
DO = @python -m imgvol.deployment $@

tf-apply: $(VENV)/ready ## make the cloud resources; ACR_NAME=…
	$(DO)

tf-destroy: $(VENV)/ready ## remove the cloud resources; ACR_NAME=…
	$(DO)

up: setup ## start TARGET=emulator or TARGET=kind in the background
	$(DO)

down: $(VENV)/ready ## end it
	$(DO)

push-engine: $(if $(HERE),setup,$(VENV)/ready) ## the engine's image, by ACR Tasks or ENGINE_BUILD=packager
	$(DO)

push-content: $(VENV)/ready ## project-content/ as PROJECT_TAG=project-content:v1.0.0
	$(DO)

deploy: $(VENV)/ready ## the manifests; VARIANT=production pins digests
	$(DO)

smoke-test: $(VENV)/ready ## does every pod serve the pushed content?
	$(DO)

rollout: $(VENV)/ready ## other content; DIGEST=sha256:…
	$(DO)

rollback: $(VENV)/ready ## the content before
	$(DO)

status: $(VENV)/ready ## what runs
	$(DO)

clean: ## remove what was built
	rm -rf build $(VENV)
