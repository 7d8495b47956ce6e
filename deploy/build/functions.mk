# The rules that `sam build` runs: cargo-lambda builds a static program for each function of the template. SAM's own build
# method for Rust is not used, because it builds for the C library of Amazon Linux.
root := $(dir $(lastword $(MAKEFILE_LIST)))../..

build-Function: binary = deregister
build-Cascade: binary = deregister-cascade
build-Sweep: binary = deregister-sweep

build-Function build-Cascade build-Sweep:
	cd "$(root)" && cargo lambda build --locked --release --target $(target) --bin $(binary)
	cp "$(root)/target/lambda/$(binary)/bootstrap" "$(ARTIFACTS_DIR)"
