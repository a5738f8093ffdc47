"""k8s/ against Kubernetes' own schema, and against what clusters ask of pods: both variants."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from kubernetes_schema import KINDS

from imgvol.deployment import DeploymentError, manifests

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
SCHEMA = json.loads((HERE / "kubernetes-v1.36.3.json").read_text())
SAMPLE = list(yaml.safe_load_all((REPOSITORY / "k8s" / "deployment.yaml").read_text()))
PRODUCTION = list(yaml.safe_load_all((HERE / "production.yaml").read_text()))
BOTH = pytest.mark.parametrize("objects", [SAMPLE, PRODUCTION], ids=["sample", "production"])
DIGEST = "sha256:" + "d" * 64


def violations(obj):
    schema = {"$ref": f"#/definitions/{KINDS[obj['kind']]}", "definitions": SCHEMA["definitions"]}
    return [f"{error.json_path}: {error.message}" for error in jsonschema.Draft7Validator(schema).iter_errors(obj)]


def deployment_of(objects):
    return next(each for each in objects if each["kind"] == "Deployment")


@BOTH
def test_every_object_fits_the_schema_of_the_api(objects):
    assert {each["kind"]: violations(each) for each in objects} == {each["kind"]: [] for each in objects}


def test_the_schema_notices_what_is_wrong():
    wrong = copy.deepcopy(deployment_of(SAMPLE))
    spec = wrong["spec"]["template"]["spec"]
    spec["volumes"][0]["image"]["pullpolicy"] = spec["volumes"][0]["image"].pop("pullPolicy")
    spec["containers"][0]["ports"][0]["containerPort"] = "8080"
    del spec["containers"][0]["name"]
    assert len(violations(wrong)) == 3


def test_the_production_variant_is_what_kustomize_makes(kustomized):
    """production.yaml is that output, so that every machine can test it: `kubectl kustomize k8s`."""
    assert list(yaml.safe_load_all(kustomized)) == PRODUCTION


@BOTH
def test_what_deployment_safeguards_ask_of_a_pod(objects):
    """Probes, requests and limits, no privilege, no host; Azure/AKS documents the policies (deployment-safeguards)."""
    spec = deployment_of(objects)["spec"]["template"]["spec"]
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    assert spec["automountServiceAccountToken"] is False
    for container in spec["containers"]:
        assert {"readinessProbe", "livenessProbe"} <= set(container)
        assert {"cpu", "memory"} == set(container["resources"]["requests"]) == set(container["resources"]["limits"])
        assert container["securityContext"]["allowPrivilegeEscalation"] is False


def test_only_production_keeps_to_the_safeguards_for_images_and_spread():
    sample, production = (deployment_of(each)["spec"] for each in (SAMPLE, PRODUCTION))
    assert sample["template"]["spec"]["containers"][0]["image"].endswith(":latest")
    spec = production["template"]["spec"]
    assert spec["containers"][0]["image"] == "<ACR_LOGIN_SERVER>/engine@<ENGINE_DIGEST>"
    assert spec["containers"][0]["imagePullPolicy"] == "IfNotPresent"
    [volume] = spec["volumes"]
    assert volume["image"] == {
        "reference": "<ACR_LOGIN_SERVER>/project-content@<CONTENT_DIGEST>",
        "pullPolicy": "IfNotPresent",
    }
    assert production["replicas"] == 2
    labels = production["template"]["metadata"]["labels"]
    spread = {each["topologyKey"]: each for each in spec["topologySpreadConstraints"]}
    assert set(spread) == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
    assert all(each["labelSelector"]["matchLabels"] == labels for each in spread.values())
    [budget] = [each for each in PRODUCTION if each["kind"] == "PodDisruptionBudget"]
    assert budget["spec"] == {"maxUnavailable": 1, "selector": {"matchLabels": labels}}


def test_production_changes_nothing_else_of_the_sample():
    sample, production = (copy.deepcopy(deployment_of(each)["spec"]) for each in (SAMPLE, PRODUCTION))
    for spec in (sample, production):
        spec.pop("replicas")
        spec.pop("strategy", None)
        pod = spec["template"]["spec"]
        pod.pop("volumes")
        pod.pop("topologySpreadConstraints", None)
        pod["containers"][0].pop("image")
        pod["containers"][0].pop("imagePullPolicy", None)
    assert sample == production


def test_the_sample_takes_a_registry_and_a_tag():
    deployment, service = manifests.sample("registry:5000", "other/content:v2")
    spec = deployment["spec"]["template"]["spec"]
    assert spec["containers"][0]["image"] == "registry:5000/engine:latest"
    assert spec["volumes"][0]["image"]["reference"] == "registry:5000/other/content:v2"
    assert service["kind"] == "Service"


def test_production_takes_digests(monkeypatch):
    monkeypatch.setattr(manifests, "_rendered", lambda _: (HERE / "production.yaml").read_text())
    objects = manifests.production("r.example", "content", DIGEST, DIGEST)
    spec = deployment_of(objects)["spec"]["template"]["spec"]
    assert spec["volumes"][0]["image"]["reference"] == f"r.example/content@{DIGEST}"
    assert spec["containers"][0]["image"] == f"r.example/engine@{DIGEST}"


def test_nothing_is_left_open(monkeypatch):
    monkeypatch.setattr(manifests, "_rendered", lambda _: "kind: X\nname: <SOMETHING_NEW>\n")
    with pytest.raises(DeploymentError, match="leave <SOMETHING_NEW> open"):
        manifests.production("r.example", "content", DIGEST, DIGEST)
