# The project's commands. `just` lists them.

tools := justfile_directory() / "target/tools"
cargo_home := env("CARGO_HOME", home_directory() / ".cargo")
# The target of static programs for this machine's processor
static := arch() + "-unknown-linux-musl"

_default:
    @just --list --unsorted

# The whole system on one machine, until Ctrl-C
local *options:
    cargo run --example local -- {{options}}

# The transcript of the main job: the three endpoints, and what follows a deletion
demo:
    cargo run --example local -- --demo --port 0 --database-port 0

# All tests that need only Rust
test:
    cargo test

# The tests of the operator's tool, and of the start of every program
test-ctl:
    cargo test --features cli,background --bin deregisterctl --test ctl --test start

# The tests of the store, the endpoints, races and restorations against moto, a second emulator of DynamoDB
test-moto: (venv "moto" "tests/moto/requirements.txt")
    {{tools}}/moto/bin/python tests/moto/run.py cargo test --test suite -- store:: endpoints:: races:: restore::

# A table is restored from a point in time, and the stack's tool makes it usable, against moto
test-restore: (venv "moto" "tests/moto/requirements.txt")
    cargo build --features cli,background --bin deregisterctl
    {{tools}}/moto/bin/python tests/moto/run.py {{tools}}/moto/bin/python tests/moto/restore.py target/debug/deregisterctl

# The official Authlete SDK, and an authorization server behind the front, against the local run
test-sdk: (venv "sdk" "tests/sdk/requirements.txt")
    cargo build --example local
    {{tools}}/sdk/bin/pytest -q -p no:cacheprovider --confcutdir tests tests/sdk tests/local

# The adapter for oidc-provider: its types, its tests, and the proof with an MCP client, also with its switches
test-oidc-provider:
    cargo build --example local
    cargo build --features cli,background --bin deregisterctl
    cd integrations/oidc-provider && npm ci --no-audit --no-fund && npm run types && npm test && npm run proof && npm run proof:teeth

# The module for authorization servers in Python: its types, its tests and the example of an MCP server
test-python: (venv "python" "integrations/python/requirements.txt")
    cargo build --example local
    cargo build --features cli,background --bin deregisterctl
    cd integrations/python && {{tools}}/python/bin/mypy . && {{tools}}/python/bin/pytest -q -p no:cacheprovider

# Formatting, lints and documentation: no warning is accepted
lint:
    cargo fmt --check
    cargo clippy --all-targets --all-features -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --all-features

# Licences, banned crates and sources of every dependency
deny:
    cargo install --quiet --locked --debug --root {{tools}} cargo-deny@0.20.2
    {{tools}}/bin/cargo-deny check bans licenses sources

# The software bill of materials of the functions, for arm64 or for x86_64 (CycloneDX): target/lambda/ARCHITECTURE/deregister.cdx.json
sbom architecture="arm64" target=(replace(architecture, "arm64", "aarch64") + "-unknown-linux-musl"):
    cargo install --quiet --locked --debug --root {{tools}} cargo-cyclonedx@0.5.9
    PATH={{tools}}/bin:$PATH SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) cargo cyclonedx --format json --spec-version 1.5 --features background --target {{target}} --override-filename deregister.cdx
    mkdir -p target/lambda/{{architecture}}
    mv deregister.cdx.json target/lambda/{{architecture}}/

# The cost of a request, as ratios: a table, and bench.json, table.md and ratios.svg in target/bench/results
bench *options: bench-build
    cargo bench --bench bench --target-dir target/bench -- {{options}}

# The function as `sam build` builds it, and the programs in benches/floors
[private]
bench-build: (venv "sam" ".ci/requirements/sam.txt")
    rustup target add {{static}}
    PATH={{tools}}/sam/bin:$PATH cargo lambda build --locked --release --target {{static}} --bin deregister
    PATH={{tools}}/sam/bin:$PATH cargo lambda build --locked --release --target {{static}} --features floor --bin floor --bin floor-tls --bin floor-calls --bin floor-threads
    cargo build --release --features floor --bin floor

# The cost of the cascade and the sweep beside a million rows of other clients, and at DynamoDB's limit for a partition; fails if a number of calls grows
bench-background *options:
    cargo bench --bench background --target-dir target/bench -- {{options}}

# The operator's tool beside a million clients, with 5 ms a database call: seconds and memory
bench-tool *options:
    cargo build --profile tool --features cli --bin deregisterctl
    cargo bench --bench tool --target-dir target/bench -- {{justfile_directory()}}/target/tool/deregisterctl {{options}}

# The function and a plain function with Lambda's share of a processor, by memory size; needs root on Linux and a C compiler
bench-memory *options: bench-build
    cargo build --release --locked --manifest-path benches/plain/Cargo.toml --target-dir target/bench/plain
    cargo bench --bench memory --target-dir target/bench -- {{options}}

# Random traces of the model of the protocol, run step by step on the function; PROPTEST_RNG_SEED repeats them
traces count="5000":
    TRACES={{count}} cargo test --test suite protocol::traces::random -- --nocapture

# Coverage-guided fuzzing: each of the six targets for this many seconds; needs a C++ compiler; options go to libFuzzer
fuzz seconds="100" *options:
    fuzz/run {{seconds}} {{options}}

# Formats everything
fmt:
    cargo fmt

# A virtual environment with the packages of the file
[private]
venv name requirements:
    test -x {{tools}}/{{name}}/bin/python || python3 -m venv {{tools}}/{{name}}
    {{tools}}/{{name}}/bin/pip install --quiet --disable-pip-version-check -r {{requirements}}

# The template, checked by SAM, CloudFormation's linter and Checkov, without an account
template: (venv "sam" ".ci/requirements/sam.txt") (venv "checkov" ".ci/requirements/checkov.txt")
    SAM_CLI_TELEMETRY=0 {{tools}}/sam/bin/sam validate --lint --region us-east-1
    {{tools}}/sam/bin/cfn-lint --regions ALL_REGIONS -- template.yaml
    {{tools}}/checkov/bin/checkov --config-file .ci/checkov.yaml --file template.yaml --framework cloudformation --skip-download --compact --quiet

# The template with a REST API instead of an HTTP API, in template-rest.yaml
rest-api: (venv "sam" ".ci/requirements/sam.txt")
    {{tools}}/sam/bin/python deploy/rest_api.py > template-rest.yaml

# The builds that are deployed, for arm64 or for x86_64
build architecture="arm64": (venv "sam" ".ci/requirements/sam.txt")
    PATH={{tools}}/sam/bin:$PATH SAM_CLI_TELEMETRY=0 sam build --parameter-overrides Architecture={{architecture}}

# Builds and deploys the stack that parameters.yaml describes, without questions
deploy *options: (venv "sam" ".ci/requirements/sam.txt")
    {{tools}}/sam/bin/python deploy/check_parameters.py
    PATH={{tools}}/sam/bin:$PATH sam build
    PATH={{tools}}/sam/bin:$PATH sam deploy --no-confirm-changeset --no-fail-on-empty-changeset {{options}}

# The packages of a release: the functions for both architectures, bills of materials and SHA256SUMS, in target/package/
package: (package-build "arm64" "aarch64-unknown-linux-musl") (package-build "x86_64" "x86_64-unknown-linux-musl")
    python3 .ci/package.py target/lambda target/package arm64 x86_64

# Messages of a panic name source files of dependencies. The builds do not name the folder in which cargo keeps them here.
[private]
package-build architecture target: (venv "sam" ".ci/requirements/sam.txt") (sbom architecture target)
    rustup target add {{target}}
    PATH={{tools}}/sam/bin:$PATH env -u RUSTFLAGS -u CARGO_ENCODED_RUSTFLAGS cargo lambda build --locked --release --target {{target}} --bin deregister --bin deregister-cascade --bin deregister-sweep --config 'target.{{target}}.rustflags=["--remap-path-prefix={{cargo_home}}=/cargo"]' --lambda-dir target/lambda/{{architecture}}

# The release builds in AWS's emulator of Lambda, the functions under `cargo lambda watch`, and the smoke test
test-platform: (venv "sam" "tests/platform/requirements.txt")
    cargo build --example local
    cargo run --quiet --example events -- target/events
    cargo build --features background --bins
    cargo build --features cli,background --bin deregisterctl
    PATH={{tools}}/sam/bin:$PATH tests/platform/build {{static}}
    PATH={{tools}}/sam/bin:$PATH pytest -v -rs -p no:cacheprovider tests/platform

# A deployed stack over HTTP: what its gateway makes of requests and answers; needs deregisterctl, leaves tombstones
smoke url *options:
    @python3 tests/smoke/smoke.py {{quote(url)}} {{options}}

# The OpenAPI document: linted, compared with the table of cases, replayed and fuzzed against the local run
test-openapi: (venv "openapi" "tests/openapi/requirements.txt")
    cargo build --example local
    PATH={{tools}}/openapi/bin:$PATH REDOCLY_TELEMETRY=off npx --yes @redocly/cli@2.77.0 lint --config tests/openapi/redocly.yaml openapi.yaml
    {{tools}}/openapi/bin/pytest -q -p no:cacheprovider --confcutdir tests tests/openapi
