# matrice. Each target is a script in scripts/.

PG_CONFIG ?= $(shell command -v pg_config)

.DEFAULT_GOAL := help
.PHONY: help demo test soak lint fmt install package types matrix prices bench fuzz clean

help: ## this help
	@echo "usage: make TARGET [VARIABLE=VALUE …]     PG=15, 16, 17 or 18 chooses the private PostgreSQL of demo, test, soak and bench"
	@echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## the whole main job on real documents; DOCS="dir file …" takes yours
	@scripts/demo $(DOCS)

test: ## all tests; KINDS="core sql …" for some kinds; FILE=tests/… or FILE=tests/…::name for one file or test
	@scripts/test $(or $(FILE),$(KINDS))

soak: ## the attacker and the queue for hours; ATTACKS=100000 QUEUE_SOAK_SECONDS=3600
	@scripts/soak

lint: ## formatting and lints of everything; LINTS="ruff biome …" for some
	@scripts/lint $(LINTS)

fmt: ## formats Rust, and fixes what the linters of Python and JavaScript can fix
	@scripts/fmt

install: ## builds and installs into the PostgreSQL that PG_CONFIG=… belongs to
	@scripts/install $(abspath $(PG_CONFIG))

package: ## the built extension as a tarball in build/
	@scripts/package

types: ## rewrites supabase/database.types.ts from the schema
	@UPDATE=1 scripts/test tests/api/types.test.mjs

matrix: ## rewrites tests/security/matrix.txt, who may do what
	@UPDATE=1 scripts/test tests/security/test_matrix.py

prices: ## rewrites sql/data/price_catalogue.json from LiteLLM's price map; LITELLM=1.109.1 chooses its version
	@scripts/prices $(LITELLM)

bench: ## benchmarks against the peers, as ratios
	@scripts/bench

fuzz: ## fuzzes the engine; FUZZ_SECONDS=600 for each target
	@scripts/fuzz

clean: ## removes everything that was built, and the private clusters
	@scripts/clean
