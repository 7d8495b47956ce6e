"""What `sam build` calls, and the environment that `sam local invoke` gives to a function. The invocation itself needs Docker."""

import json
import os
import subprocess

import pytest
from conftest import BY_HAND, CASCADE, FUNCTION, ROOT, SWEEP, emulated_in
from samcli.commands.local.lib.local_lambda import LocalLambdaRunner
from samcli.lib.providers.sam_function_provider import SamFunctionProvider
from samcli.lib.providers.sam_stack_provider import SamLocalStackProvider

ENV = json.loads((ROOT / "tests/platform/env.json").read_text())
FUNCTIONS = {"Function": FUNCTION, "Cascade": CASCADE, "Sweep": SWEEP}
TARGETS = {"arm64": "aarch64-unknown-linux-musl", "x86_64": "x86_64-unknown-linux-musl"}


@pytest.mark.parametrize("architecture", TARGETS)
def test_sam_build_takes_a_static_build_of_each_function_for_the_architecture(tmp_path, architecture):
    # In place of cargo, which would build for minutes.
    cargo, out = tmp_path / "cargo", tmp_path / "out"
    cargo.write_text('#!/bin/sh\necho "$PWD: $*" > "$ARTIFACTS_DIR/bootstrap"\n')
    cargo.chmod(0o755)
    command = ["sam", "build", "--build-dir", out, "--parameter-overrides", f"Architecture={architecture}"]
    subprocess.run(command, cwd=ROOT, env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SAM_CLI_TELEMETRY": "0"}, check=True)
    for name, binary in FUNCTIONS.items():
        expected = f"{ROOT}: lambda build --locked --release --target {TARGETS[architecture]}"
        expected += f" --bin {binary} --flatten {binary} --lambda-dir {out / name}\n"
        assert (out / name / "bootstrap").read_text() == expected


def given(name, variables):
    """The environment that the SAM CLI gives to a function if `env.json` has these variables."""
    stacks, _ = SamLocalStackProvider.get_stacks(str(ROOT / "template.yaml"))
    functions = SamFunctionProvider(stacks)
    runner = LocalLambdaRunner(None, functions, cwd=ROOT, real_path=ROOT, env_vars_values=variables)
    return runner._make_env_vars(functions.get(name)).resolve()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_function_is_given_every_variable_of_env_json():
    for name, variables in ENV.items():
        # The SAM CLI ignores a variable that the template does not name.
        handed = given(name, ENV)
        assert {variable: handed.get(variable) for variable in variables} == variables


# Without env.json no variable leads to a database: the functions call AWS, which this machine may not reach. They must
# answer or stop with a sentence, and must not abort.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_function_answers_without_env_json():
    with emulated_in(given("Function", {}), FUNCTION) as function:
        answer = function.invoke("registration-deleted.2.0.json").answer
    assert (answer["statusCode"], json.loads(answer["body"])["error"]) == (503, "temporarily_unavailable")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_sweep_answers_without_env_json():
    with emulated_in(given("Sweep", {}), SWEEP) as function:
        answer = function.invoke(BY_HAND / "schedule/empty.json").answer
    assert (answer["errorType"], answer["errorMessage"][:27]) == ("Fault", "the database is unavailable")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_cascade_names_the_missing_setting_without_env_json():
    with emulated_in(given("Cascade", {}), CASCADE) as function:
        why = function.start_error()
    assert why == "the function stopped: GRANTS_TABLE must be the name of a DynamoDB table, and is empty"
