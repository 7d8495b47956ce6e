"""The environment that `sam local invoke` gives a function. The command needs Docker; these tests do not."""

import json

import pytest
from conftest import CASCADE, FUNCTION, ROOT, SWEEP, emulated_in
from samcli.commands.local.lib.local_lambda import LocalLambdaRunner
from samcli.lib.providers.sam_function_provider import SamFunctionProvider
from samcli.lib.providers.sam_stack_provider import SamLocalStackProvider

ENV = json.loads((ROOT / "tests/platform/env.json").read_text())


def environment(name, variables):
    """The environment that the SAM CLI makes for a function if `env.json` has these variables."""
    stacks, _ = SamLocalStackProvider.get_stacks(str(ROOT / "template.yaml"))
    functions = SamFunctionProvider(stacks)
    runner = LocalLambdaRunner(None, functions, cwd=ROOT, real_path=ROOT, env_vars_values=variables)
    return runner._make_env_vars(functions.get(name)).resolve()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_function_gets_every_variable_of_env_json():
    for name, variables in ENV.items():
        # The SAM CLI drops a variable that the template does not name.
        given = environment(name, ENV)
        assert {variable: given.get(variable) for variable in variables} == variables


# Without `env.json` a function calls AWS, which this machine may not reach. It must answer or stop with a message, not
# abort.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_function_answers_without_env_json():
    with emulated_in(environment("Function", {}), FUNCTION) as function:
        answer = function.invoke("registration-deleted.2.0.json").answer
    assert (answer["statusCode"], json.loads(answer["body"])["error"]) == (503, "temporarily_unavailable")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_sweep_answers_without_env_json():
    with emulated_in(environment("Sweep", {}), SWEEP) as function:
        answer = function.invoke(BY_HAND / "schedule/empty.json").answer
    assert (answer["errorType"], answer["errorMessage"][:27]) == ("Fault", "the database is unavailable")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_cascade_stops_with_a_message_without_env_json():
    with emulated_in(environment("Cascade", {}), CASCADE) as function:
        message = function.start_error()
    assert message == "the function stopped: GRANTS_TABLE must be the name of a DynamoDB table, and is empty"
