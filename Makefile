# The commands of the README and of releases. Everything else is a plain cargo command (see .cargo/config.toml).

CARGO ?= cargo
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
MACHINE := $(shell uname -m)
RELEASE := nuage-server-$(VERSION)-linux-$(MACHINE)
ADDRESS ?= 127.0.0.1:8080
# The tests wait for disks, clocks and each other's processes more than they compute.
TESTED = NUAGE_SERVER_BIN=$(abspath $(or $(CARGO_TARGET_DIR),target))/debug/nuage-server RUST_TEST_THREADS=$$((2 * $$(nproc)))
# What can depend on the database or the object store. What heads, paths, connections and XML may be is decided before either.
SCALED = activity:: api:: dav:: nextcloud:: storage:: clients:: abuse::bodies abuse::big_tree abuse::locks cost:: sharing:: mail::

.PHONY: run test bench fuzz reference dist

run: ## Builds the server and serves ./nuage-data at http://127.0.0.1:8080.
	$(CARGO) build --release --locked -p nuage-server
	target/release/nuage-server serve --listen $(ADDRESS)

test: ## Installs what the tests need and runs all of them; NUAGE_TEST_FULL=1 for the long ones.
	sh tests/install-packages.sh
	$(CARGO) build --locked -p nuage-server
	tests/web.sh
	$(TESTED) $(CARGO) test --workspace --locked
	$(TESTED) NUAGE_TEST_SHAPE=scaled $(CARGO) test --workspace --locked --test suites -- $(SCALED)

bench: ## Measures Nuage beside Apache and dufs; QUICK=1 for a short run.
	tests/bench/run $(if $(QUICK),--quick)

fuzz: ## Feeds every parser of foreign bytes for ten minutes; SECONDS_EACH=5 for five seconds.
	tests/fuzz/run $(or $(SECONDS_EACH),600)

reference: ## Writes docs/reference anew.
	$(CARGO) build --locked -p nuage-server
	for page in settings commands; do target/debug/nuage-server reference $$page > docs/reference/$$page.md; done
	target/debug/nuage-server reference openapi > docs/reference/openapi.json

dist: ## Makes the release archive dist/nuage-server-VERSION-linux-MACHINE.tar.gz.
	$(CARGO) build --release --locked -p nuage-server
	rm -rf dist/$(RELEASE)
	mkdir -p dist/$(RELEASE)
	cp -R target/release/nuage-server packaging/nuage-server.service LICENSE README.md CHANGELOG.md docs dist/$(RELEASE)/
	strip --strip-debug dist/$(RELEASE)/nuage-server
	tar --sort=name --owner=0 --group=0 --numeric-owner -C dist -czf dist/$(RELEASE).tar.gz $(RELEASE)
	cd dist && sha256sum $(RELEASE).tar.gz > $(RELEASE).tar.gz.sha256
