"""Bodies and options: what a client sent, what it accepts, and what it asks of a call."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from emulator.cluster import errors
from emulator.cluster.api import PatchKind
from emulator.cluster.deletion import DeleteOptions
from emulator.cluster.kubelets import LogOptions
from emulator.cluster.objects import Object

__all__ = [
    "body_of",
    "check_accept",
    "delete_options",
    "dry_run",
    "encode",
    "flag",
    "log_options",
    "number",
    "patch_kind",
]

_JSON, _YAML = "application/json", "application/yaml"
_PATCHES: dict[str, PatchKind] = {
    "application/json-patch+json": "json",
    "application/merge-patch+json": "merge",
    "application/strategic-merge-patch+json": "strategic",
}
_TRUE = ("1", "true", "True", "TRUE", "t", "T")
_FALSE = ("", "0", "false", "False", "FALSE", "f", "F")


def encode(value: Any) -> bytes:
    """JSON as the server writes it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def check_accept(accept: str | None) -> None:
    """Raises ApiError (406) unless the client takes JSON."""
    ranges = [part.partition(";")[0].strip() for part in (accept or "*/*").split(",")]
    plain = [part.strip() for part in (accept or "*/*").split(",") if ";as=" not in part.replace(" ", "")]
    if not any(item in (_JSON, "application/*", "*/*", "") for item in ranges) or not plain:
        raise errors.not_acceptable((_JSON,))


def _media_type(content_type: str | None) -> str:
    return (content_type or _JSON).partition(";")[0].strip().lower()


def body_of(data: bytes, content_type: str | None) -> Object:
    """The object in a request's body. Raises ApiError (400, 415)."""
    media = _media_type(content_type)
    if media not in (_JSON, _YAML, "*/*", "text/plain", "application/octet-stream"):
        raise errors.unsupported_media_type((_JSON, _YAML))
    value = _load(data, yaml=media == _YAML)
    if not isinstance(value, dict):
        raise errors.bad_request("the object provided is unrecognized: the body is not a JSON object")
    return value


def _load(data: bytes, *, yaml: bool = False) -> Any:
    if yaml:
        return _load_yaml(data)
    try:
        return json.loads(data)
    except ValueError as error:
        raise errors.bad_request(
            f"the object provided is unrecognized: couldn't get version/kind; json parse error: {error}"
        ) from None


def _load_yaml(data: bytes) -> Any:
    import yaml

    class Loader(yaml.SafeLoader):
        """YAML as JSON has it: a time is a string."""

    Loader.yaml_implicit_resolvers = {
        first: [pair for pair in pairs if pair[0] != "tag:yaml.org,2002:timestamp"]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    try:
        return yaml.load(data, Loader=Loader)  # noqa: S506  (a safe loader)
    except yaml.YAMLError as error:
        raise errors.bad_request(f"error converting YAML to JSON: {error}") from None


def patch_kind(content_type: str | None) -> PatchKind:
    """How a patch is written. Raises ApiError (415), naming server-side apply where that was asked for."""
    media = _media_type(content_type)
    if media in _PATCHES:
        return _PATCHES[media]
    if media.startswith("application/apply-patch"):
        raise errors.failure(415, "UnsupportedMediaType", "the emulator does not model server-side apply")
    raise errors.unsupported_media_type(tuple(_PATCHES))


def patch_body(data: bytes) -> Any:
    """The patch in a request's body. Raises ApiError (400)."""
    try:
        return json.loads(data)
    except ValueError as error:
        raise errors.bad_request(f"error decoding patch: {error}") from None


def flag(query: Mapping[str, str], name: str) -> bool:
    """A boolean option. Raises ApiError (400)."""
    value = query.get(name, "")
    if value in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise errors.bad_request(f"{name}: strconv.ParseBool: parsing {errors.quote(value)}: invalid syntax")


def number(query: Mapping[str, str], name: str) -> int | None:
    """An integer option. Raises ApiError (400)."""
    value = query.get(name)
    if value is None or value == "":
        return None
    if not re.fullmatch(r"[+-]?[0-9]+", value):
        raise errors.bad_request(f"{name}: strconv.ParseInt: parsing {errors.quote(value)}: invalid syntax")
    return int(value)


def dry_run(query: Mapping[str, str]) -> bool:
    """Whether the call is a rehearsal. Raises ApiError (422)."""
    value = query.get("dryRun")
    if value in (None, ""):
        return False
    if value != "All":
        cause = errors.not_supported("dryRun", [value], ("All",))
        raise errors.invalid_options("CreateOptions", [cause])
    return True


def delete_options(data: bytes, content_type: str | None, query: Mapping[str, str]) -> tuple[DeleteOptions, bool]:
    """metav1.DeleteOptions from body and query, and whether it is a dry run. Raises ApiError (400, 422)."""
    sent: Object = body_of(data, content_type) if data.strip() else {}
    grace = sent.get("gracePeriodSeconds", number(query, "gracePeriodSeconds"))
    propagation = sent.get("propagationPolicy") or query.get("propagationPolicy") or None
    orphan = sent.get("orphanDependents")
    if orphan is None and "orphanDependents" in query:
        orphan = flag(query, "orphanDependents")
    causes = []
    if orphan is not None:
        if propagation is not None:
            detail = "orphanDependents and deletionPropagation cannot be both set"
            causes.append(errors.invalid_value("propagationPolicy", propagation, detail))
        propagation = propagation or ("Orphan" if orphan else "Background")
    if propagation not in (None, "Background", "Foreground", "Orphan"):
        supported = ("Foreground", "Background", "Orphan", "nil")
        causes.append(errors.not_supported("propagationPolicy", propagation, supported))
    if grace is not None and (isinstance(grace, bool) or not isinstance(grace, int)):
        raise errors.bad_request("gracePeriodSeconds must be a number of seconds")
    if causes:
        raise errors.invalid_options("DeleteOptions", causes)
    conditions = sent.get("preconditions") or {}
    options = DeleteOptions(grace, propagation, conditions.get("uid"), conditions.get("resourceVersion"))
    return options, dry_run(query) or sent.get("dryRun") == ["All"]


def log_options(name: str, query: Mapping[str, str]) -> LogOptions:
    """v1.PodLogOptions from a query. Raises ApiError (400, 422)."""
    tail, since, limit = (number(query, option) for option in ("tailLines", "sinceSeconds", "limitBytes"))
    causes = []
    if tail is not None and tail < 0:
        causes.append(errors.invalid_value("tailLines", tail, "must be greater than or equal to 0"))
    if limit is not None and limit < 1:
        causes.append(errors.invalid_value("limitBytes", limit, "must be greater than 0"))
    if since is not None and query.get("sinceTime"):
        detail = "at most one of `sinceTime` or `sinceSeconds` may be specified"
        causes.append(errors.forbidden_field("", detail))
    elif since is not None and since < 1:
        causes.append(errors.invalid_value("sinceSeconds", since, "must be greater than 0"))
    if query.get("stream"):
        causes.append(errors.forbidden_field("stream", "the emulator does not model the choice of a stream"))
    if causes:
        raise errors.invalid_options("PodLogOptions", causes, name)
    if query.get("sinceTime"):
        since = _seconds_since(query["sinceTime"])
    follow, previous, timestamps = (flag(query, option) for option in ("follow", "previous", "timestamps"))
    return LogOptions(follow, tail, previous, timestamps, since, limit)


def _seconds_since(moment: str) -> int:
    try:
        then = datetime.fromisoformat(moment)
    except ValueError:
        raise errors.bad_request(f"sinceTime: {errors.quote(moment)} is not an RFC 3339 time") from None
    then = then if then.tzinfo else then.replace(tzinfo=UTC)
    return max(1, round((datetime.now(UTC) - then).total_seconds()))
