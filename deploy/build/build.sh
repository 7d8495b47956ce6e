# What `sam build` calls by the Makefile of the architecture: build.sh TARGET FUNCTION. cargo-lambda writes the static program of
# the template's FUNCTION to ARTIFACTS_DIR. SAM's build method for Rust has no option for the target.
set -eu
case $2 in
Function) binary=deregister ;;
Cascade) binary=deregister-cascade ;;
Sweep) binary=deregister-sweep ;;
esac
cd "$(dirname "$0")/../.."
# RUSTFLAGS would replace the flags in .cargo/config.toml.
exec env -u RUSTFLAGS -u CARGO_ENCODED_RUSTFLAGS cargo lambda build --locked --release --target "$1" \
    --bin "$binary" --flatten "$binary" --lambda-dir "$ARTIFACTS_DIR"
