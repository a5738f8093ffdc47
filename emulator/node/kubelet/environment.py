"""The environment variables and the command of a container.

Source: Kubernetes pkg/kubelet/kubelet_pods.go, makeEnvironmentVariables; pkg/kubelet/envvars.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Any

from emulator.cluster import Api, ApiError
from emulator.node.kubelet.expansion import expand
from emulator.node.kubelet.failures import StartFailure

__all__ = ["container_environment", "container_process", "service_environment"]

Object = dict[str, Any]


def container_process(container: Object, image_config: Object, environment: Mapping[str, str]) -> tuple[str, ...]:
    """The program and its arguments: `command` replaces ENTRYPOINT and CMD, `args` replaces CMD.

    Raises:
        StartFailure: neither the pod nor the image names a program.
    """
    command = [expand(each, environment) for each in container.get("command") or ()]
    arguments = [expand(each, environment) for each in container.get("args") or ()]
    if not command:
        command = list(image_config.get("Entrypoint") or ())
        if not arguments:
            arguments = list(image_config.get("Cmd") or ())
    if not command and not arguments:
        raise StartFailure("CreateContainerError", "failed to generate container spec: no command specified")
    return (*command, *arguments)


def container_environment(api: Api, pod: Object, container: Object, *, services: Mapping[str, str]) -> dict[str, str]:
    """What `envFrom` and `env` give, and the variables of services for names that these leave.

    `pod` carries the status fields that `fieldRef` may ask for.

    Raises:
        StartFailure: a secret, a config map or a key is missing and not optional.
    """
    namespace = pod["metadata"]["namespace"]
    variables: dict[str, str] = {}
    for source in container.get("envFrom") or ():
        for kind in ("configMapRef", "secretRef"):
            if reference := source.get(kind):
                for key, value in _content(api, kind, reference, namespace).items():
                    variables[source.get("prefix", "") + key] = value
    own: dict[str, str] = {}
    for entry in container.get("env") or ():
        name = entry["name"]
        if source := entry.get("valueFrom"):
            found = _value_from(api, pod, source)
            if found is None:
                continue
            own[name] = found
        else:
            own[name] = expand(entry.get("value", ""), {**services, **own})
    return {**services, **variables, **own}


def service_environment(services: Iterable[Object], *, kubernetes: tuple[str, int], links: bool) -> dict[str, str]:
    """`KUBERNETES_SERVICE_HOST` and the like, and with `links` those of every service of the namespace.

    `kubernetes` is the address the API is reached at, which containers always get.
    """
    variables = _service("KUBERNETES", kubernetes[0], [("https", "TCP", kubernetes[1])])
    if links:
        for service in services:
            spec = service["spec"]
            address = spec.get("clusterIP", "")
            if address in ("", "None") or not spec.get("ports"):
                continue
            name = service["metadata"]["name"].upper().replace("-", "_")
            ports = [(port.get("name", ""), port.get("protocol", "TCP"), port["port"]) for port in spec["ports"]]
            variables |= _service(name, address, ports)
    return variables


def _service(name: str, address: str, ports: list[tuple[str, str, int]]) -> dict[str, str]:
    variables = {f"{name}_SERVICE_HOST": address, f"{name}_SERVICE_PORT": str(ports[0][2])}
    for label, _, number in ports:
        if label:
            variables[f"{name}_SERVICE_PORT_{label.upper().replace('-', '_')}"] = str(number)
    protocol, number = ports[0][1], ports[0][2]
    variables[f"{name}_PORT"] = f"{protocol.lower()}://{address}:{number}"
    for _, protocol, number in ports:
        prefix = f"{name}_PORT_{number}_{protocol}"
        variables[prefix] = f"{protocol.lower()}://{address}:{number}"
        variables[f"{prefix}_PROTO"] = protocol.lower()
        variables[f"{prefix}_PORT"] = str(number)
        variables[f"{prefix}_ADDR"] = address
    return variables


_KINDS = {
    "configMapRef": ("configmaps", "configmap", "ConfigMap"),
    "configMapKeyRef": ("configmaps", "configmap", "ConfigMap"),
    "secretRef": ("secrets", "secret", "Secret"),
    "secretKeyRef": ("secrets", "secret", "Secret"),
}


def _content(api: Api, kind: str, reference: Object, namespace: str) -> dict[str, str]:
    resource, word, _ = _KINDS[kind]
    try:
        found = api.get(resource, reference["name"], namespace)
    except ApiError as error:
        if error.code != 404:
            raise
        if reference.get("optional"):
            return {}
        message = f'{word} "{reference["name"]}" not found'
        raise StartFailure("CreateContainerConfigError", message) from None
    data = found.get("data") or {}
    if resource == "secrets":
        return {key: base64.b64decode(value).decode(errors="surrogateescape") for key, value in data.items()}
    return dict(data)


def _value_from(api: Api, pod: Object, source: Object) -> str | None:
    """The value, or None where an optional one is missing."""
    namespace = pod["metadata"]["namespace"]
    for kind in ("configMapKeyRef", "secretKeyRef"):
        if reference := source.get(kind):
            data = _content(api, kind, reference, namespace)
            if reference["key"] in data:
                return data[reference["key"]]
            if reference.get("optional"):
                return None
            where = f"{_KINDS[kind][2]} {namespace}/{reference['name']}"
            raise StartFailure("CreateContainerConfigError", f"couldn't find key {reference['key']} in {where}")
    return _field(pod, source["fieldRef"]["fieldPath"])


def _field(pod: Object, path: str) -> str:
    metadata, spec, status = pod["metadata"], pod["spec"], pod.get("status") or {}
    for group in ("labels", "annotations"):
        prefix = f"metadata.{group}['"
        if path.startswith(prefix) and path.endswith("']"):
            return str((metadata.get(group) or {}).get(path[len(prefix) : -2], ""))
    fields = {
        "metadata.name": metadata["name"],
        "metadata.namespace": metadata["namespace"],
        "metadata.uid": metadata["uid"],
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName", ""),
        "status.hostIP": status.get("hostIP", ""),
        "status.hostIPs": ",".join(each["ip"] for each in status.get("hostIPs") or ()),
        "status.podIP": status.get("podIP", ""),
        "status.podIPs": ",".join(each["ip"] for each in status.get("podIPs") or ()),
    }
    if path not in fields:
        raise StartFailure("CreateContainerConfigError", f"unsupported fieldPath: {path}")
    return str(fields[path])
