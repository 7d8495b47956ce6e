"""The packages of a release, made of the builds that the other tests run."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile

import pytest
from conftest import CASCADE, FUNCTION, ROOT, SWEEP, bootstrap
from samcli.yamlhelper import yaml_parse

VERSION = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]["version"]
ARCHITECTURES = ["arm64", "x86_64"]
FUNCTIONS = [FUNCTION, CASCADE, SWEEP]
BILL = f'{{"bom-ref": "path+file://{ROOT}#{FUNCTION}@{VERSION}"}}'


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A function that packs the builds, made at this time and with this mode, and returns the folder of the packages."""
    builds = tmp_path_factory.mktemp("builds")
    for architecture in ARCHITECTURES:
        for name in FUNCTIONS:
            (builds / architecture / name).mkdir(parents=True)
            shutil.copy(bootstrap(name), builds / architecture / name)
        (builds / architecture / "deregister.cdx.json").write_text(BILL)

    def package(seconds, mode):
        for build in builds.glob("*/*/bootstrap"):
            os.utime(build, (seconds, seconds))
            build.chmod(mode)
        out = tmp_path_factory.mktemp("package") / "out"
        subprocess.run([sys.executable, ROOT / ".ci/package.py", builds, out, *ARCHITECTURES], check=True)
        return out

    return package


@pytest.fixture(scope="module")
def packages(package):
    return package(1_800_000_000, 0o755)


def test_there_is_a_package_for_each_function_and_a_template_and_a_bill_for_each_architecture(packages):
    expected = {"SHA256SUMS", "parameters.yaml", "samconfig.toml"}
    for architecture in ARCHITECTURES:
        expected |= {f"{name}-{VERSION}-{architecture}.zip" for name in FUNCTIONS}
        expected |= {f"template-{VERSION}-{architecture}.yaml", f"{FUNCTION}-{VERSION}-{architecture}.cdx.json"}
    assert {file.name for file in packages.iterdir()} == expected


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_package_holds_the_build_as_bootstrap_that_all_may_execute_and_nothing_else(packages, name, architecture):
    with zipfile.ZipFile(packages / f"{name}-{VERSION}-{architecture}.zip") as archive:
        [entry] = archive.infolist()
        assert (entry.filename, oct(entry.external_attr >> 16)) == ("bootstrap", "0o100755")
        assert archive.read(entry) == bootstrap(name).read_bytes()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_template_of_an_architecture_is_that_of_the_project_with_the_packages(packages, architecture):
    template = yaml_parse((packages / f"template-{VERSION}-{architecture}.yaml").read_text())
    expected = yaml_parse((ROOT / "template.yaml").read_text())
    expected["Parameters"]["Architecture"]["Default"] = architecture
    functions = {name for name, it in expected["Resources"].items() if it["Type"] == "AWS::Serverless::Function"}
    for name, binary in zip(["Function", "Cascade", "Sweep"], FUNCTIONS, strict=True):
        expected["Resources"][name]["Properties"]["CodeUri"] = f"{binary}-{VERSION}-{architecture}.zip"
    for path in "LicenseUrl", "ReadmeUrl":
        expected.get("Metadata", {}).get("AWS::ServerlessRepo::Application", {}).pop(path, None)
    assert len(functions) == len(FUNCTIONS)
    # Members may be in another order.
    assert json.dumps(template, sort_keys=True) == json.dumps(expected, sort_keys=True)


def test_the_checksums_are_those_of_all_other_files(packages):
    sums = dict(reversed(line.split("  ")) for line in (packages / "SHA256SUMS").read_text().splitlines())
    files = [file for file in packages.iterdir() if file.name != "SHA256SUMS"]
    assert sums == {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def test_a_bill_does_not_name_the_folder_of_the_build(packages):
    for bill in packages.glob("*.cdx.json"):
        assert str(ROOT) not in bill.read_text()


def test_the_same_builds_give_the_same_bytes_at_another_time_and_with_another_mode(packages, package):
    again = package(1_900_000_000, 0o700)
    assert (again / "SHA256SUMS").read_text() == (packages / "SHA256SUMS").read_text()
