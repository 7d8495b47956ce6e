"""The local run, fresh for each test."""

import pathlib
import re
import subprocess

import pytest

LOCAL = pathlib.Path(__file__).parents[1] / "target/debug/examples/local"


@pytest.fixture
def local():
    """The address of the function's HTTP front, over the sample data."""
    run = subprocess.Popen([LOCAL, "--port", "0", "--database-port", "0"], stdout=subprocess.PIPE, text=True)
    try:
        ready = (re.match(r"listening on (\S+)", line) for line in run.stdout)
        yield next(found[1] for found in ready if found)
    finally:
        run.terminate()
        run.wait()
