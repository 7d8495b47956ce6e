"""Packs the release builds of the functions: package.py BUILDS OUT ARCHITECTURE...

Reads BUILDS/ARCHITECTURE, where `cargo lambda` and `just sbom` write. Replaces OUT with a zip for each function and
architecture, a template and a bill of materials for each architecture, the settings of the SAM CLI, and SHA256SUMS. The same
builds give the same bytes.
"""

import hashlib
import pathlib
import re
import shutil
import sys
import tomllib
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
VERSION = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]["version"]
# The binary of each function of the template.
FUNCTIONS = {"Function": "deregister", "Cascade": "deregister-cascade", "Sweep": "deregister-sweep"}


def pack(bootstrap, package):
    # `ZipInfo` has a fixed time. Lambda needs the permission to execute, which only the system "Unix" keeps.
    entry = zipfile.ZipInfo("bootstrap")
    entry.create_system = 3
    entry.external_attr = 0o100755 << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr(entry, bootstrap.read_bytes(), compresslevel=9)


def template(architecture):
    """The template with the packages in place of the builds. SAM uploads a zip file unchanged."""
    text = (ROOT / "template.yaml").read_text().replace("Default: arm64", f"Default: {architecture}")
    for name, binary in FUNCTIONS.items():
        package = f"      CodeUri: {binary}-{VERSION}-{architecture}.zip\n"
        of_function = rf"(\nResources:.*?\n  {name}:\n.*?\n    Properties:\n)"
        text, found = re.subn(of_function, rf"\1{package}", text, count=1, flags=re.DOTALL)
        assert found == 1
    # These are paths in the repository.
    return re.sub(r"\n +(LicenseUrl|ReadmeUrl): .*", "", text)


def main(builds, out, *architectures):
    builds, out = pathlib.Path(builds), pathlib.Path(out)
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    for architecture in architectures:
        for function in FUNCTIONS.values():
            pack(builds / architecture / function / "bootstrap", out / f"{function}-{VERSION}-{architecture}.zip")
        (out / f"template-{VERSION}-{architecture}.yaml").write_text(template(architecture))
        # cargo-cyclonedx names the package by the folder in which it was built.
        bill = (builds / architecture / "deregister.cdx.json").read_text().replace(f"file://{ROOT}#", "file://.#")
        (out / f"deregister-{VERSION}-{architecture}.cdx.json").write_text(bill)
    for settings in ["parameters.yaml", "samconfig.toml"]:
        shutil.copy(ROOT / settings, out)
    sums = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in sorted(out.iterdir())]
    (out / "SHA256SUMS").write_text("".join(sums))
    print("".join(sums), end="")


if __name__ == "__main__":
    main(*sys.argv[1:])
