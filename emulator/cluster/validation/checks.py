"""Formats of strings and numbers: each check gives what is wrong with a value, in the API server's words.

Source: k8s.io/apimachinery pkg/util/validation/validation.go, pkg/api/validate/content, and ValidateEndpointIP of
kubernetes/pkg/apis/core/validation.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Any

__all__ = ["FORMATS", "dns_label", "dns_subdomain", "label_value", "qualified_name"]

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = _LABEL + r"(\." + _LABEL + ")*"
_NAME = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LONGEST_LABEL, _LONGEST_SUBDOMAIN, _LONGEST_PORT_NAME = 63, 253, 15


def _regex_error(message: str, pattern: str, *examples: str) -> str:
    shown = " or ".join(f"'{example}', " for example in examples)
    return f"{message} (e.g. {shown}regex used for validation is '{pattern}')"


def _too_long(value: str, limit: int, unit: str = "characters") -> list[str]:
    return [f"must be no more than {limit} {unit}"] if len(value.encode()) > limit else []


def _matches(pattern: str, value: str) -> bool:
    return re.fullmatch(pattern, value, re.ASCII) is not None


def dns_label(value: str) -> list[str]:
    """RFC 1123 label."""
    wrong = _too_long(value, _LONGEST_LABEL)
    if not _matches(_LABEL, value):
        if _matches(_SUBDOMAIN, value):
            wrong.append("must not contain dots")
        else:
            message = (
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
                "and must start and end with an alphanumeric character"
            )
            wrong.append(_regex_error(message, _LABEL, "my-name", "123-abc"))
    return wrong


def dns_subdomain(value: str) -> list[str]:
    """RFC 1123 subdomain."""
    wrong = _too_long(value, _LONGEST_SUBDOMAIN)
    if not _matches(_SUBDOMAIN, value):
        message = (
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
            "and must start and end with an alphanumeric character"
        )
        wrong.append(_regex_error(message, _SUBDOMAIN, "example.com"))
    return wrong


def qualified_name(value: str) -> list[str]:
    """A label key: a name, with or without a DNS subdomain before a slash."""
    message = (
        "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
        "character"
    )
    parts = value.split("/")
    wrong = []
    if len(parts) == 2:
        prefix, name = parts
        if not prefix:
            wrong.append("prefix part must be non-empty")
        else:
            wrong += [f"prefix part {problem}" for problem in dns_subdomain(prefix)]
    elif len(parts) == 1:
        (name,) = parts
    else:
        return [
            "a valid label key "
            + _regex_error(message, _NAME, "MyName", "my.name", "123-abc")
            + " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        ]
    if not name:
        wrong.append("name part must be non-empty")
    else:
        wrong += [f"name part {problem}" for problem in _too_long(name, _LONGEST_LABEL, "bytes")]
    if not _matches(_NAME, name):
        wrong.append("name part " + _regex_error(message, _NAME, "MyName", "my.name", "123-abc"))
    return wrong


def label_value(value: str) -> list[str]:
    """A label's value."""
    wrong = _too_long(value, _LONGEST_LABEL, "bytes")
    if not _matches(f"({_NAME})?", value):
        message = (
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must "
            "start and end with an alphanumeric character"
        )
        wrong.append(_regex_error(message, f"({_NAME})?", "MyValue", "my_value", "12345"))
    return wrong


def _port_name(value: str) -> list[str]:
    wrong = _too_long(value, _LONGEST_PORT_NAME)
    if not _matches("[-a-z0-9]+", value):
        wrong.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not re.search("[a-z]", value):
        wrong.append("must contain at least one letter (a-z)")
    if "--" in value:
        wrong.append("must not contain consecutive hyphens")
    if value.startswith("-") or value.endswith("-"):
        wrong.append("must not begin or end with a hyphen")
    return wrong


def _between(low: int, high: int) -> Callable[[int], list[str]]:
    def check(value: int) -> list[str]:
        return [] if low <= value <= high else [f"must be between {low} and {high}, inclusive"]

    return check


_port_number = _between(1, 65535)
_user_id = _between(0, 2**31 - 1)


def _port_number_or_name(value: int | str) -> list[str]:
    return _port_name(value) if isinstance(value, str) else _port_number(value)


def _env_var_name(value: str) -> list[str]:
    if all(" " <= character <= "~" and character != "=" for character in value):
        return []
    return ["a valid environment variable name must consist only of printable ASCII characters other than '='"]


def _config_map_key(value: str) -> list[str]:
    wrong = _too_long(value, _LONGEST_SUBDOMAIN)
    if not _matches(r"[-._a-zA-Z0-9]+", value):
        message = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
        wrong.append(_regex_error(message, "[-._a-zA-Z0-9]+", "key.name", "KEY_NAME", "key-name"))
    if value in (".", ".."):
        wrong.append(f"must not be '{value}'")
    elif value.startswith(".."):
        wrong.append("must not start with '..'")
    return wrong


def _non_negative(value: int) -> list[str]:
    return [] if value >= 0 else ["must be greater than or equal to 0"]


def _positive(value: int) -> list[str]:
    return [] if value > 0 else ["must be greater than 0"]


def _endpoint_ip(value: str) -> list[str]:
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        return ["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"]
    wrong = []
    if address.is_unspecified:
        wrong.append(f"may not be unspecified ({value})")
    if address.is_loopback:
        wrong.append("may not be in the loopback range (127.0.0.0/8, ::1/128)")
    if address.is_link_local:
        wrong.append("may not be in the link-local range (169.254.0.0/16, fe80::/10)")
    if address.is_multicast and str(address).startswith(("224.0.0.", "ff02:")):
        wrong.append("may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)")
    return wrong


def _http_header_name(value: str) -> list[str]:
    if _matches("[-A-Za-z0-9]+", value):
        return []
    message = "a valid HTTP header must consist of alphanumeric characters or '-'"
    return [_regex_error(message, "[-A-Za-z0-9]+", "X-Header-Name")]


FORMATS: dict[str, Callable[[Any], list[str]]] = {
    "configMapKey": _config_map_key,
    "dnsLabel": dns_label,
    "dnsSubdomain": dns_subdomain,
    "endpointIp": _endpoint_ip,
    "envVarName": _env_var_name,
    "httpHeaderName": _http_header_name,
    "nonNegative": _non_negative,
    "portName": _port_name,
    "portNumber": _port_number,
    "portNumberOrName": _port_number_or_name,
    "positive": _positive,
    "qualifiedName": qualified_name,
    "userId": _user_id,
}
"""By the name a schema gives as `format`."""
