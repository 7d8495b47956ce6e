"""`sam local invoke` needs Docker. What it hands to a function in its container can be seen without."""

import json

import pytest
from conftest import BY_HAND, CASCADE, FUNCTION, ROOT, SWEEP, emulated_in
from samcli.commands.local.lib.local_lambda import LocalLambdaRunner
from samcli.lib.providers.sam_function_provider import SamFunctionProvider
from samcli.lib.providers.sam_stack_provider import SamLocalStackProvider

ENV = json.loads((ROOT / "tests/platform/env.json").read_text())


def given(name, variables):
    """What the SAM CLI hands to a function, by its own calls, where `env.json` has these variables."""
    stacks, _ = SamLocalStackProvider.get_stacks(str(ROOT / "template.yaml"))
    functions = SamFunctionProvider(stacks)
    runner = LocalLambdaRunner(None, functions, cwd=ROOT, real_path=ROOT, env_vars_values=variables)
    return runner._make_env_vars(functions.get(name)).resolve()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_function_is_given_every_variable_of_env_json():
    for name, variables in ENV.items():
        # A variable that the template does not name is not handed on.
        handed = given(name, ENV)
        assert {variable: handed.get(variable) for variable in variables} == variables


# Nothing leads to a database then, so that a function asks AWS itself, which this machine may not reach. What counts is
# that it says so, as an answer or as a sentence, and does not abort.
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
def test_the_cascade_says_what_it_lacks_without_env_json():
    with emulated_in(given("Cascade", {}), CASCADE) as function:
        why = function.last_words()
    assert why == "the function stopped: GRANTS_TABLE must be the name of a DynamoDB table, and is empty"
