"""Prints YAML files as JSON, one object a line: {"files": [...]} on standard input."""

import json
import sys

import yaml

for file in json.load(sys.stdin)["files"]:
    with open(file, encoding="utf-8") as text:
        print(json.dumps(yaml.safe_load(text)))
