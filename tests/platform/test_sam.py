"""`sam local invoke` needs Docker. What it hands to a function in its container can be seen without."""

import json

import pytest
from conftest import ROOT
from samcli.commands.local.lib.local_lambda import LocalLambdaRunner
from samcli.lib.providers.sam_function_provider import SamFunctionProvider
from samcli.lib.providers.sam_stack_provider import SamLocalStackProvider

ENV = json.loads((ROOT / "tests/platform/env.json").read_text())


# The SAM CLI's own calls.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_function_is_given_every_variable_of_env_json():
    stacks, _ = SamLocalStackProvider.get_stacks(str(ROOT / "template.yaml"))
    functions = SamFunctionProvider(stacks)
    runner = LocalLambdaRunner(None, functions, cwd=ROOT, real_path=ROOT, env_vars_values=ENV)
    for name, variables in ENV.items():
        # A variable that the template does not name is not handed on.
        given = runner._make_env_vars(functions.get(name)).resolve()
        assert {variable: given.get(variable) for variable in variables} == variables
