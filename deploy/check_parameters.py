"""Fails if parameters.yaml names a parameter that template.yaml does not have. The SAM CLI would ignore it."""

import sys
from pathlib import Path

from samcli.yamlhelper import yaml_parse

ROOT = Path(__file__).parent.parent
named = yaml_parse((ROOT / "parameters.yaml").read_text())
unknown = set(named) - set(yaml_parse((ROOT / "template.yaml").read_text())["Parameters"])
sys.exit(f"parameters.yaml: template.yaml has no parameter {', '.join(sorted(unknown))}" if unknown else 0)
