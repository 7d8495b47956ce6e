# What `sam build` runs: cargo-lambda builds a static program for each function of the template. SAM's own way of building
# Rust would build for the C library of Amazon Linux.
root := $(dir $(lastword $(MAKEFILE_LIST)))../..

build-Function: binary = deregister
build-Cascade: binary = deregister-cascade
build-Sweep: binary = deregister-sweep

build-Function build-Cascade build-Sweep:
	cd "$(root)" && cargo lambda build --locked --release --target $(target) --bin $(binary)
	cp "$(root)/target/lambda/$(binary)/bootstrap" "$(ARTIFACTS_DIR)"
