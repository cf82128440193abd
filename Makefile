# matrice. `make demo` shows it, `make test` proves it, `make install PG_CONFIG=…` installs it.

PG_CONFIG ?= $(shell command -v pg_config)
DOCS ?=

.PHONY: demo test soak lint install bench clean

demo: ## the whole main job on real documents: make demo DOCS="dir file …"
	@scripts/demo $(DOCS)

test: ## every test; make test KINDS="core sql" for some kinds
	@scripts/test $(KINDS)

soak: ## the attacker and the queue for hours: make soak ATTACKS=100000 QUEUE_SOAK_SECONDS=3600
	@scripts/soak

lint: ## formatting and lints
	@scripts/lint

install: ## into the PostgreSQL that PG_CONFIG belongs to
	@scripts/install $(abspath $(PG_CONFIG))

bench: ## against the peers, as ratios
	@scripts/bench

clean: ## removes everything that was built, and the private clusters
	@scripts/clean
