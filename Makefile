# What people and CI call. `make test` is enough to know whether the tree is sound.

CARGO ?= cargo
TARGET ?= admission
FOLDER ?= corpora
fuzz: SECONDS ?= 60
soak: SECONDS ?= 600
bench: SECONDS ?= 0.7
ROUNDS ?= 20
# The allocator and TLS are C, built with make. The tests come as people do: by curl, in Chromium, with nghttp2's clients,
# openssl and Python; the shop has real stores, which the tests start themselves; and nginx and HAProxy are probed. Debian
# keeps servers where not everybody's path leads.
NEEDS := cc make curl chromium redis-server memcached h2load nghttp openssl python3 nginx haproxy
PACKAGES := gcc libc6-dev make curl chromium fonts-dejavu-core redis-server memcached nghttp2-client openssl python3 nginx haproxy
# What homing is measured beside, commands and packages.
PEERS := nginx haproxy

# callgrind counts instructions, strace system calls.
COUNTERS := valgrind strace

# Installs those of these commands that are missing: each is named as its package.
define need
@missing=""; for tool in $(1); do \
	PATH="$$PATH:/usr/sbin:/sbin" command -v $$tool >/dev/null 2>&1 || missing="$$missing $$tool"; \
done; \
if [ -n "$$missing" ]; then \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
		echo "missing:$$missing; installing Debian's packages"; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing; \
	else \
		echo "missing:$$missing (Debian, Ubuntu: sudo apt-get install$$missing)" >&2; \
		exit 1; \
	fi; \
fi
endef

.PHONY: help test setup check bench bench-gate soak fuzz conformance screenshots

help:
	@echo "make test                     set up what is missing, then run every test"
	@echo "make setup                    set up what is missing"
	@echo "make check                    formatting, lints and documentation"
	@echo "make bench ROWS=.. ROUNDS=.. SECONDS=.. JSON=..  measure homing beside nginx and HAProxy (benches/README.md)"
	@echo "make bench-gate ROWS=.. UPDATE=1  instructions per request against benches/budget.toml, or that file written"
	@echo "make soak SECONDS=..          drive every fault against a release build, for so long"
	@echo "make fuzz TARGET=.. SECONDS=..  fuzz one target: $(patsubst fuzz/corpus/%,%,$(wildcard fuzz/corpus/*))"
	@echo "make screenshots              the page and the shop, in light, in dark and on a phone: examples/*.png"
	@echo "make conformance FOLDER=..    send recorded odd messages through homing, and explain what differs"

test: setup
	$(CARGO) test --locked --no-fail-fast

setup:
	@missing=""; for tool in $(NEEDS); do PATH="$$PATH:/usr/sbin:/sbin" command -v $$tool >/dev/null 2>&1 || missing="$$missing $$tool"; done; \
	if [ -n "$$missing" ]; then \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
			echo "setup: missing:$$missing; installing $(PACKAGES)"; \
			apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(PACKAGES); \
		else \
			echo "setup: missing:$$missing; install them" >&2; \
			echo "       (Debian, Ubuntu: sudo apt-get install $(PACKAGES))" >&2; \
			exit 1; \
		fi; \
	fi
	@command -v $(CARGO) >/dev/null 2>&1 || { echo "setup: missing: cargo; install Rust, see https://rustup.rs" >&2; exit 1; }

check:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps --locked

bench: setup
	$(call need,$(PEERS))
	$(CARGO) build --locked --release
	$(CARGO) bench --locked --profile bench-tools --bench peers -- run \
		--homing $${CARGO_TARGET_DIR:-target}/release/homing --rounds $(ROUNDS) --seconds $(SECONDS) \
		$(if $(ROWS),--rows "$(ROWS)") $(if $(JSON),--json $(JSON))

bench-gate: setup
	$(call need,$(COUNTERS))
	$(CARGO) build --locked --release
	$(CARGO) bench --locked --profile bench-tools --bench gate -- \
		--homing $${CARGO_TARGET_DIR:-target}/release/homing $(if $(ROWS),--rows "$(ROWS)") $(if $(UPDATE),--update)

soak: setup
	HOMING_SOAK_SECONDS=$(SECONDS) $(CARGO) test --release --locked --test it a_soak_leaves_no_trace -- --nocapture

fuzz:
	$(CARGO) +nightly fuzz run $(TARGET) -- -max_total_time=$(SECONDS)

screenshots: setup
	HOMING_SCREENSHOTS=$(CURDIR)/examples $(CARGO) test --locked --test it -- the_page_shows_what_is_and_changes_it the_shop_shows_what_a_dead_backend_takes_along

conformance:
	$(CARGO) build --locked --release
	python3 tests/conformance.py $(FOLDER) --homing $${CARGO_TARGET_DIR:-target}/release/homing
