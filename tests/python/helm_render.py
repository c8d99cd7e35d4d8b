"""Renders a Helm chart with Helm's own engine: {"chart", "values", "name", "namespace"} on standard input, one object a line. For values
that the chart refuses: {"refused": why}. First come the lint's findings as {"lint": [...]}."""

import json
import sys

import helm_python as helm
import yaml

job = json.load(sys.stdin)
print(json.dumps({"lint": helm.lint(job["chart"], job["values"])["messages"]}))
with helm.Chart.load(job["chart"]) as chart:
    try:
        files = chart.render(job["values"], name=job["name"], namespace=job["namespace"])
    except Exception as error:  # whatever it says, the test looks at the text
        print(json.dumps({"refused": str(error)}))
        sys.exit()
for name, text in files.items():
    if name.endswith(".yaml"):
        for document in yaml.safe_load_all(text):
            if document:
                print(json.dumps(document))
