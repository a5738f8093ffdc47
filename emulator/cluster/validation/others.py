"""What secrets, config maps, services, endpoints and events must be beyond their schemas.

Source: kubernetes/pkg/apis/core/validation/validation.go and events.go, pkg/apis/discovery/validation.
"""

from __future__ import annotations

import base64
import ipaddress
import json

from emulator.cluster.errors import (
    FieldError,
    duplicate,
    forbidden_field,
    invalid_value,
    required,
    too_long,
)
from emulator.cluster.objects import Object
from emulator.cluster.validation.checks import FORMATS, dns_label
from emulator.cluster.validation.walk import At, rule

__all__ = ["validate_data_update", "validate_service_update"]

_DATA_LIMIT = 1024 * 1024
_REDACTED = "<secret contents redacted>"


@rule("Secret")
def _secret(secret: Object, _at: At) -> list[FieldError]:
    data: dict[str, str] = secret.get("data") or {}
    wrong = _keys(data, "data")
    if sum(len(base64.b64decode(value)) for value in data.values()) > _DATA_LIMIT:
        wrong.append(too_long("data", _DATA_LIMIT))
    match secret.get("type"):
        case "kubernetes.io/dockerconfigjson":
            wrong += _docker_config(data, ".dockerconfigjson")
        case "kubernetes.io/dockercfg":
            wrong += _docker_config(data, ".dockercfg")
        case "kubernetes.io/basic-auth" if "username" not in data and "password" not in data:
            wrong += [required("data[username]"), required("data[password]")]
        case "kubernetes.io/ssh-auth" if not data.get("ssh-privatekey"):
            wrong.append(required("data[ssh-privatekey]"))
        case "kubernetes.io/tls":
            wrong += [required(f"data[{key}]") for key in ("tls.crt", "tls.key") if key not in data]
        case "kubernetes.io/service-account-token":
            wrong.append(forbidden_field("type", "the emulator does not model service account tokens"))
    return wrong


def _keys(data: Object, path: str) -> list[FieldError]:
    return [invalid_value(f"{path}[{key}]", key, problem) for key in data for problem in FORMATS["configMapKey"](key)]


def _docker_config(data: dict[str, str], key: str) -> list[FieldError]:
    if key not in data:
        return [required(f"data[{key}]")]
    try:
        json.loads(base64.b64decode(data[key]))
    except ValueError as error:
        return [invalid_value(f"data[{key}]", _REDACTED, str(error))]
    return []


@rule("ConfigMap")
def _config_map(config: Object, _at: At) -> list[FieldError]:
    data, binary = config.get("data") or {}, config.get("binaryData") or {}
    wrong = _keys(data, "data")
    wrong += [
        invalid_value(f"data[{key}]", key, "duplicate of key present in binaryData") for key in data if key in binary
    ]
    wrong += _keys(binary, "binaryData")
    size = sum(len(value.encode()) for value in data.values())
    if size + sum(len(base64.b64decode(value)) for value in binary.values()) > _DATA_LIMIT:
        wrong.append(too_long("", _DATA_LIMIT))
    return wrong


def validate_data_update(obj: Object, old: Object) -> list[FieldError]:
    """What is wrong with a change of a Secret or a ConfigMap marked immutable."""
    if not old.get("immutable"):
        return []
    wrong = []
    if not obj.get("immutable"):
        wrong.append(forbidden_field("immutable", "field is immutable when `immutable` is set"))
    wrong += [
        forbidden_field(key, "field is immutable when `immutable` is set")
        for key in ("data", "binaryData")
        if obj.get(key) != old.get(key)
    ]
    return wrong


@rule("Service")
def _service(service: Object, _at: At) -> list[FieldError]:
    if service.get("spec") is None:
        return [required("spec.ports")]
    return []


@rule("ServiceSpec")
def _service_spec(spec: Object, at: At) -> list[FieldError]:
    ports = spec.get("ports") or []
    wrong = []
    if not ports and spec.get("clusterIP") != "None":
        wrong.append(required(f"{at.path}.ports"))
    for index, port in enumerate(ports):
        here, name = f"{at.path}.ports[{index}]", port.get("name", "")
        if not name:
            if len(ports) > 1:
                wrong.append(required(f"{here}.name"))
        else:
            wrong += [invalid_value(f"{here}.name", name, problem) for problem in dns_label(name)]
            if at.scope.repeats("port names", name):
                wrong.append(duplicate(f"{here}.name", name))
        key = (port.get("protocol"), port.get("port"))
        if at.scope.repeats("ports", key):
            wrong.append(duplicate(here, {"protocol": key[0], "port": key[1]}))
    return wrong + _cluster_ips(spec, at.path)


def _cluster_ips(spec: Object, path: str) -> list[FieldError]:
    address, addresses = spec.get("clusterIP"), spec.get("clusterIPs") or []
    if address and addresses and address != addresses[0]:
        return [invalid_value(f"{path}.clusterIPs", addresses, "first value must match `clusterIP`")]
    if len(addresses) > 1 or spec.get("ipFamilyPolicy") == "RequireDualStack":
        return [forbidden_field(f"{path}.clusterIPs", "the emulator does not model dual-stack services")]
    if any(family != "IPv4" for family in spec.get("ipFamilies") or ()):
        return [forbidden_field(f"{path}.ipFamilies", "the emulator does not model IPv6 services")]
    if address and address != "None":
        try:
            ipaddress.ip_address(address)
        except ValueError:
            detail = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
            return [invalid_value(f"{path}.clusterIPs[0]", address, detail)]
    return []


def validate_service_update(service: Object, old: Object) -> list[FieldError]:
    """What is wrong with a change of a service: its address stays."""
    after, before = service["spec"].get("clusterIPs") or [], old["spec"].get("clusterIPs") or []
    if after == before:
        return []
    return [invalid_value("spec.clusterIPs[0]", after, "may not change once set")]


@rule("EndpointSubset")
def _subset(subset: Object, at: At) -> list[FieldError]:
    wrong = []
    if not subset.get("addresses") and not subset.get("notReadyAddresses"):
        wrong.append(required(at.path, "must specify `addresses` or `notReadyAddresses`"))
    ports = subset.get("ports") or []
    if len(ports) > 1:
        wrong += [
            required(f"{at.path}.ports[{index}].name") for index, port in enumerate(ports) if not port.get("name")
        ]
    return wrong


@rule("Event")
def _event(event: Object, _at: At) -> list[FieldError]:
    namespace = event["metadata"].get("namespace", "")
    regarding = event["involvedObject"].get("namespace", "")
    if regarding == namespace or (not regarding and namespace == "default"):
        return []
    return [invalid_value("involvedObject.namespace", regarding, "does not match event.namespace")]
