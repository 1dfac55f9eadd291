"""Checks rendered manifests: every object against the schema of its kind, unknown fields refused.

Kubernetes' own kinds are held against every release in KUBERNETES; KEDA's against 2.20, the only
release that PyPI has models of and that has all that is used here (`fallback.behavior` came with
2.17); the Prometheus operator's against the models of the oldest release that is supported here. A
kind without a schema is an error.
"""

import json
import sys
from pathlib import Path

import jsonschema
import kubernetes_validate
import yaml
from cloudcoil.models.prometheus_operator import v1 as prometheus

import keda_models

# The oldest and the newest release that is supported.
KUBERNETES = ("1.33", "1.37")


def custom(keda):
    return {
        ("keda.sh/v1alpha1", "ScaledObject"): keda.ScaledObject,
        ("keda.sh/v1alpha1", "TriggerAuthentication"): keda.TriggerAuthentication,
        ("monitoring.coreos.com/v1", "PodMonitor"): prometheus.PodMonitor,
        ("monitoring.coreos.com/v1", "PrometheusRule"): prometheus.PrometheusRule,
    }


def strict(schema):
    """The schema with unknown fields refused wherever fields are named, as the server does it."""
    if isinstance(schema, dict):
        schema = {name: strict(part) for name, part in schema.items()}
        if isinstance(schema.get("properties"), dict):
            schema.setdefault("additionalProperties", False)
        return schema
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    return schema


def validator(model):
    return jsonschema.Draft202012Validator(strict(model.model_json_schema(by_alias=True)))


def problems_of(document, validators):
    kind = (document.get("apiVersion"), document.get("kind"))
    if kind in validators:
        for error in validators[kind].iter_errors(document):
            yield f"{error.json_path}: {error.message}"
        return
    for release in KUBERNETES:
        try:
            kubernetes_validate.validate(document, release, strict=True)
        except kubernetes_validate.SchemaNotFoundError:
            yield f"there is no schema of {'/'.join(map(str, kind))} for Kubernetes {release}"
        except kubernetes_validate.ValidationError as error:
            path = ".".join(str(part) for part in error.path)
            yield f"Kubernetes {release}: {path}: {error.message}"


def self_test(validators):
    """A check that refuses nothing would pass everything."""
    wrong = [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "x"}, "unknown": 1},
        {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": "x"},
         "spec": {"scaleTargetRef": {"name": "x"}, "triggers": [], "maxReplicas": 3}},
        {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": "x"},
         "spec": {"scaleTargetRef": {"name": "x"},
                  "triggers": [{"type": "x", "metadata": {"queueLength": 5}}]}},
        {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": "x"},
         "spec": {"scaleTargetRef": {"name": "x"}, "triggers": [],
                  "fallback": {"failureThreshold": 3, "replicas": 1, "behavior": "floor"}}},
        {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"nam": "x"},
         "spec": {"scaleTargetRef": {"name": "x"}, "triggers": []}},
        {"apiVersion": "keda.sh/v1alpha1", "kind": "TriggerAuthentication",
         "metadata": {"name": "x"}, "spec": {"podIdentity": {"provider": "nobody"}}},
        {"apiVersion": "monitoring.coreos.com/v1", "kind": "PodMonitor", "metadata": {"name": "x"},
         "spec": {"selector": {}, "podMetricsEndpoints": [{"prot": "admin"}]}},
        {"apiVersion": "example.com/v1", "kind": "Unheard", "metadata": {"name": "x"}},
    ]
    for document in wrong:
        if not list(problems_of(document, validators)):
            sys.exit(f"manifests: the check lets pass what is wrong: {document}")


def main(folder, keda_wheel):
    models = custom(keda_models.load(keda_wheel))
    validators = {kind: validator(model) for kind, model in models.items()}
    self_test(validators)
    failed = False
    for rendered in sorted(Path(folder).glob("*.yaml")):
        documents = [one for one in yaml.safe_load_all(rendered.read_text()) if one is not None]
        for document in documents:
            name = f"{document.get('kind')} {document.get('metadata', {}).get('name')}"
            for problem in problems_of(document, validators):
                failed = True
                print(f"manifests: {rendered.stem}: {name}: {problem}", file=sys.stderr)
        rendered.with_suffix(".json").write_text(json.dumps(documents, indent=1, sort_keys=True))
        print(f"manifests: {rendered.stem}: {len(documents)} objects")
    sys.exit(1 if failed else 0)


main(*sys.argv[1:])
