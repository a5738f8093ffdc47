# ruff: noqa: E501  (the texts stand as the API server writes them)
"""What is wrong with an object is said in the API server's words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from emulator.cluster import Api

RECORDED = json.loads(Path("fixtures/observations/kubernetes-1.36.3_containerd-2.3.7.json").read_text())["pods"]


def _rejection(case: str) -> str:
    return str(RECORDED[case]["api"] if "api" in RECORDED[case] else _find(RECORDED[case]))


def _find(recorded: Any) -> str:
    """The recorded message, wherever the recording keeps it."""
    if isinstance(recorded, str):
        return recorded if " is invalid: " in recorded else ""
    items = recorded.values() if isinstance(recorded, dict) else recorded if isinstance(recorded, list) else ()
    return next((found for item in items if (found := _find(item))), "")


@pytest.mark.parametrize(
    ("case", "volume", "mount"),
    [
        ("badpolicy", {"reference": "r/lab/ok:v1", "pullPolicy": "Sometimes"}, {}),
        ("empty-ref", {"reference": ""}, {}),
        ("sub-abs", {"reference": "r/lab/ok:v1"}, {"subPath": "/config"}),
        ("sub-dotdot", {"reference": "r/lab/ok:v1"}, {"subPath": "../x"}),
    ],
)
def test_recorded_rejections_are_equal_word_for_word(api: Api, make_pod, refusal, case, volume, mount):
    pod = make_pod("<pod>")
    pod["metadata"]["name"] = "pod"
    pod["spec"]["volumes"][0]["image"] = volume
    pod["spec"]["containers"][0]["volumeMounts"][0] |= mount
    error = refusal(api.create, "pods", pod)
    assert error.code == 422
    recorded = _rejection(case)
    assert recorded
    assert str(error).replace('"pod"', '"<pod>"') in recorded


POD_CASES = [
    ({"restartPolicy": "Sometimes"}, 'spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"'),
    ({"containers": []}, "spec.containers: Required value"),
    ({"hostNetwork": True}, "spec.hostNetwork: Forbidden: the emulator does not model this field"),
    ({"nonsense": 1}, "spec.nonsense: Forbidden: the emulator does not model this field"),
    ({"volumes": [{"name": "content", "configMap": {"name": "x"}}]}, "spec.volumes[0].configMap: Forbidden: the emulator does not model this field"),
    ({"securityContext": {"runAsUser": -1}}, "spec.securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive"),
    ({"nodeSelector": {"a b": "c"}}, "spec.nodeSelector: Invalid value: \"a b\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"),
    ({"tolerations": [{"operator": "Equal", "value": "x"}]}, 'spec.tolerations[0].operator: Invalid value: "Equal": operator must be Exists when `key` is empty, which means "match all values and all keys"'),
    ({"hostname": "A"}, "spec.hostname: Invalid value: \"A\": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "text"), POD_CASES)
def test_pod_specs(api: Api, make_pod, refusal, spec, text):
    error = refusal(api.create, "pods", make_pod(**spec))
    assert str(error) == f'Pod "p" is invalid: {text}'
    assert error.code == 422
    (cause,) = error.status["details"]["causes"]
    assert f"{cause['field']}: {cause['message']}" == text


CONTAINER_CASES = [
    ({"image": ""}, "image: Required value"),
    ({"name": "Probe"}, "name: Invalid value: \"Probe\": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"),
    ({"imagePullPolicy": "always"}, 'imagePullPolicy: Unsupported value: "always": supported values: "Always", "IfNotPresent", "Never"'),
    ({"ports": [{"containerPort": 70000}]}, "ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive"),
    ({"ports": [{"containerPort": 1, "hostPort": 2}]}, "ports[0].hostPort: Forbidden: the emulator does not model this field"),
    ({"ports": [{"containerPort": 1, "name": "a"}, {"containerPort": 2, "name": "a"}]}, 'ports[1].name: Duplicate value: "a"'),
    ({"env": [{"name": "A=B", "value": "x"}]}, "env[0].name: Invalid value: \"A=B\": a valid environment variable name must consist only of printable ASCII characters other than '='"),
    ({"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.nothing"}}}]}, 'env[0].valueFrom.fieldRef.fieldPath: Invalid value: "spec.nothing": error converting fieldPath: field label not supported: spec.nothing'),
    ({"env": [{"name": "A", "value": "x", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}, 'env[0].valueFrom: Invalid value: "": may not be specified when `value` is not empty'),
    ({"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}}, 'resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1'),
    ({"readinessProbe": {"periodSeconds": 1}}, "readinessProbe: Required value: must specify a handler type"),
    ({"livenessProbe": {"httpGet": {"port": 0}}}, "livenessProbe.httpGet.port: Invalid value: 0: must be between 1 and 65535, inclusive"),
    ({"livenessProbe": {"tcpSocket": {"port": 1}, "successThreshold": 2}}, "livenessProbe.successThreshold: Invalid value: 2: must be 1"),
    ({"livenessProbe": {"exec": {"command": ["a"]}}}, "livenessProbe.exec: Forbidden: the emulator does not model this field"),
    ({"securityContext": {"privileged": True}}, "securityContext.privileged: Forbidden: the emulator does not model the value true of this field"),
    ({"securityContext": {"seccompProfile": {"type": "Best"}}}, 'securityContext.seccompProfile.type: Unsupported value: "Best": supported values: "Localhost", "RuntimeDefault", "Unconfined"'),
    ({"volumeMounts": [{"name": "content", "mountPath": "/a"}, {"name": "content", "mountPath": "/a"}]}, 'volumeMounts[1].mountPath: Invalid value: "/a": must be unique'),
    ({"volumeMounts": [{"name": "content", "mountPath": "/a", "mountPropagation": "Bidirectional"}]}, 'volumeMounts[0].mountPropagation: Forbidden: the emulator does not model the value "Bidirectional" of this field'),
    ({"tty": True}, "tty: Forbidden: the emulator does not model this field"),
    ({"lifecycle": {"preStop": {"sleep": {"seconds": 31}}}}, "lifecycle.preStop.sleep: Invalid value: 31: must be non-negative and less than terminationGracePeriodSeconds (30)"),
]  # fmt: skip


@pytest.mark.parametrize(("part", "text"), CONTAINER_CASES)
def test_containers(api: Api, make_pod, refusal, part, text):
    pod = make_pod()
    pod["spec"]["containers"][0] |= part
    assert str(refusal(api.create, "pods", pod)) == f'Pod "p" is invalid: spec.containers[0].{text}'


TYPE_CASES = [
    ({"command": "x"}, "json: cannot unmarshal string into Go struct field Container.spec.containers.command of type []string"),
    ({"command": [1]}, "json: cannot unmarshal number into Go struct field Container.spec.containers.command of type string"),
    ({"env": [{"name": "A", "value": 1}]}, "json: cannot unmarshal number into Go struct field EnvVar.spec.containers.env.value of type string"),
    ({"env": [1]}, "json: cannot unmarshal number into Go struct field Container.spec.containers.env of type v1.EnvVar"),
    ({"ports": [{"containerPort": 1.5}]}, "json: cannot unmarshal number 1.5 into Go struct field ContainerPort.spec.containers.ports.containerPort of type int32"),
    ({"resources": {"limits": []}}, "json: cannot unmarshal array into Go struct field ResourceRequirements.spec.containers.resources.limits of type v1.ResourceList"),
    ({"resources": {"limits": {"cpu": "x"}}}, "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"),
    ({"livenessProbe": {"httpGet": {"port": True}}}, "json: cannot unmarshal bool into Go struct field HTTPGetAction.spec.containers.livenessProbe.ProbeHandler.httpGet.port of type int32"),
]  # fmt: skip


@pytest.mark.parametrize(("part", "text"), TYPE_CASES)
def test_a_value_of_the_wrong_type_is_a_bad_request(api: Api, make_pod, refusal, part, text):
    """The texts are those of Kubernetes 1.36.3's own decoder."""
    pod = make_pod()
    pod["spec"]["containers"][0] |= part
    error = refusal(api.create, "pods", pod)
    assert (error.code, str(error)) == (400, f'Pod in version "v1" cannot be handled as a Pod: {text}')


def test_two_containers_of_one_name(api: Api, make_pod, refusal):
    pod = make_pod(initContainers=[{"name": "probe", "image": "x"}])
    assert str(refusal(api.create, "pods", pod)).endswith('spec.initContainers[0].name: Duplicate value: "probe"')


def test_an_init_container_has_no_probes(api: Api, make_pod, refusal):
    probe = {"tcpSocket": {"port": 1}}
    pod = make_pod(initContainers=[{"name": "i", "image": "x", "readinessProbe": probe}])
    text = "spec.initContainers[0].readinessProbe: Forbidden: may not be set for init containers without restartPolicy=Always"
    assert str(refusal(api.create, "pods", pod)) == f'Pod "p" is invalid: {text}'


def test_every_violation_is_reported_once_and_in_order(api: Api, make_pod, refusal):
    pod = make_pod(restartPolicy="x", dnsPolicy="y")
    pod["spec"]["volumes"].append({"name": "content", "emptyDir": {}})
    error = refusal(api.create, "pods", pod)
    fields = [cause["field"] for cause in error.status["details"]["causes"]]
    assert fields == ["spec.volumes[1].name", "spec.restartPolicy", "spec.dnsPolicy"]
    assert str(error).startswith('Pod "p" is invalid: [spec.volumes[1].name: Duplicate value: "content", ')


def test_a_pods_reference_is_immutable(api: Api, make_pod, refusal):
    pod = api.create("pods", make_pod())
    pod["spec"]["volumes"][0]["image"]["reference"] = "registry/lab/ok:v2"
    error = refusal(api.update, "pods", pod)
    assert error.code == 422
    assert str(error).startswith(
        'Pod "p" is invalid: spec: Forbidden: pod updates may not change fields other than '
        "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,"
        "`spec.tolerations` (only additions to existing tolerations),"
        "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n@@ "
    )
    assert str(error).endswith(
        ' @@\n    "CSI": null,\n    "Ephemeral": null,\n    "Image": {\n-    "Reference": "registry/lab/ok:v1",\n'
        '+    "Reference": "registry/lab/ok:v2",\n     "PullPolicy": "IfNotPresent"\n    }\n   }\n'
    )


def test_a_pods_image_may_change(api: Api, make_pod):
    pod = api.create("pods", make_pod())
    pod["spec"]["containers"][0]["image"] = "registry/lab/probe:v2"
    assert api.update("pods", pod)["metadata"]["generation"] == 2


@pytest.mark.parametrize(
    ("metadata", "text"),
    [
        ({}, "metadata.name: Required value: name or generateName is required"),
        ({"name": "A"}, "metadata.name: Invalid value: \"A\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"),
        ({"name": "a", "labels": {"x": "?"}}, "metadata.labels: Invalid value: \"?\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"),
        ({"name": "a", "finalizers": ["x"]}, 'metadata.finalizers[0]: Invalid value: "x": name is neither a standard finalizer name nor is it fully qualified'),
        ({"name": "a", "managedFields": [{"manager": "x"}]}, "metadata.managedFields: Forbidden: the emulator does not model this field"),
    ],
)  # fmt: skip
def test_metadata(api: Api, refusal, metadata, text):
    error = refusal(api.create, "configmaps", {"metadata": metadata})
    assert str(error) == f'ConfigMap "{metadata.get("name", "")}" is invalid: {text}'


def _deployment(**spec: Any) -> dict[str, Any]:
    labels = {"app": "demo"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "x"}]}}
    return {"metadata": {"name": "demo"}, "spec": {"selector": {"matchLabels": labels}, "template": template} | spec}


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"replicas": -1}, "spec.replicas: Invalid value: -1: must be greater than or equal to 0"),
        ({"selector": {}}, "spec.selector: Invalid value: {}: empty selector is invalid for deployment"),
        ({"selector": {"matchExpressions": [{"key": "app", "operator": "x"}]}}, '[spec.selector.matchExpressions[0].operator: Invalid value: "x": not a valid selector operator, spec.selector: Invalid value: {"matchExpressions":[{"key":"app","operator":"x"}]}: invalid label selector]'),
        ({"selector": None}, '[spec.selector: Required value, spec.template.metadata.labels: Invalid value: {"app":"demo"}: `selector` does not match template `labels`]'),
        ({"selector": {"matchLabels": {"app": "other"}}}, 'spec.template.metadata.labels: Invalid value: {"app":"demo"}: `selector` does not match template `labels`'),
        ({"strategy": {"type": "Recreate", "rollingUpdate": {}}}, "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'"),
        ({"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}}, "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0"),
        ({"minReadySeconds": 600}, "spec.progressDeadlineSeconds: Invalid value: 600: must be greater than minReadySeconds"),
    ],
)  # fmt: skip
def test_deployments(api: Api, refusal, spec, text):
    assert str(refusal(api.create, "deployments", _deployment(**spec))) == f'Deployment.apps "demo" is invalid: {text}'


def test_a_template_needs_no_reference_but_restarts_always(api: Api, refusal):
    deployment = _deployment()
    deployment["spec"]["template"]["spec"]["volumes"] = [{"name": "content", "image": {}}]
    api.create("deployments", deployment, dry_run=True)
    deployment["spec"]["template"]["spec"]["restartPolicy"] = "Never"
    text = 'spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"'
    assert str(refusal(api.create, "deployments", deployment)) == f'Deployment.apps "demo" is invalid: {text}'


def test_a_selector_is_immutable(api: Api, refusal):
    deployment = api.create("deployments", _deployment())
    deployment["spec"]["selector"]["matchLabels"] = {"x": "y"}
    deployment["spec"]["template"]["metadata"]["labels"]["x"] = "y"
    text = 'spec.selector: Invalid value: {"matchLabels":{"x":"y"}}: field is immutable'
    assert str(refusal(api.update, "deployments", deployment)) == f'Deployment.apps "demo" is invalid: {text}'


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({}, "spec.ports: Required value"),
        ({"ports": [{"port": 0}]}, "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive"),
        ({"ports": [{"port": 1, "name": "a"}, {"port": 2}]}, "spec.ports[1].name: Required value"),
        ({"ports": [{"port": 1}], "type": "NodePort"}, 'spec.type: Forbidden: the emulator does not model the value "NodePort" of this field'),
        ({"ports": [{"port": 1}], "clusterIP": "192.0.2.1"}, 'spec.clusterIPs: Invalid value: ["192.0.2.1"]: failed to allocate IP 192.0.2.1: the provided IP (192.0.2.1) is not in the valid range. The range of valid IPs is 10.96.0.0/12'),
    ],
)  # fmt: skip
def test_services(api: Api, refusal, spec, text):
    errors = [str(refusal(api.create, "services", {"metadata": {"name": "s"}, "spec": spec}))]
    assert text in errors[0]
    assert errors[0].startswith('Service "s" is invalid: ')


def test_secrets(api: Api, refusal):
    secret = {"metadata": {"name": "s"}, "type": "kubernetes.io/dockerconfigjson"}
    assert (
        str(refusal(api.create, "secrets", secret)) == 'Secret "s" is invalid: data[.dockerconfigjson]: Required value'
    )
    bad = secret | {"data": {".dockerconfigjson": "?"}}
    assert refusal(api.create, "secrets", bad).code == 400
    made = api.create("secrets", secret | {"stringData": {".dockerconfigjson": "{}"}})
    assert made["data"] == {".dockerconfigjson": "e30="}
    assert "stringData" not in made
    assert str(refusal(api.update, "secrets", made | {"type": "Opaque"})) == (
        'Secret "s" is invalid: type: Invalid value: "Opaque": field is immutable'
    )
