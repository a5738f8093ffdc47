"""The Kubernetes API in the objects that go over the wire, through the official client's connection."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kubernetes import client

__all__ = ["Kube", "Object", "RefusedError", "path_of"]

Object = dict[str, Any]
_CONNECT = 10.0
_ANSWER = 60.0
_PREFIX = {
    "daemonsets": "/apis/apps/v1",
    "deployments": "/apis/apps/v1",
    "leases": "/apis/coordination.k8s.io/v1",
    "replicasets": "/apis/apps/v1",
}
_PATCH = "application/strategic-merge-patch+json"


class RefusedError(Exception):
    """The API refused a request: `code` is the HTTP status, the message the API server's own."""

    def __init__(self, code: int, body: bytes) -> None:
        self.code = code
        try:
            message = json.loads(body)["message"]
        except (ValueError, KeyError, TypeError):
            message = body.decode(errors="replace")
        super().__init__(message)


def path_of(resource: str, namespace: str = "", name: str = "", subresource: str = "") -> str:
    """The path of a resource, e.g. `path_of("pods", "default", "a", "log")`."""
    inside = f"/namespaces/{namespace}" if namespace else ""
    tail = "".join(f"/{part}" for part in (name, subresource) if part)
    return f"{_PREFIX.get(resource, '/api/v1')}{inside}/{resource}{tail}"


class Kube:
    """Requests of one connected client. Every method raises RefusedError for what the API refuses."""

    def __init__(self, api: client.ApiClient) -> None:
        self._api = api

    def get(self, path: str, query: Mapping[str, Any] | None = None) -> Any:
        """GET an object or a list."""
        return json.loads(self.read(path, query))

    def read(self, path: str, query: Mapping[str, Any] | None = None, *, method: str = "GET") -> bytes:
        """Whatever is there, as bytes: a log, an answer through a proxy."""
        return self._send(method, path, query)

    def create(self, path: str, body: Object, query: Mapping[str, Any] | None = None) -> Any:
        """POST an object; the object as it was created."""
        return json.loads(self._send("POST", path, query, body))

    def replace(self, path: str, body: Object) -> Any:
        """PUT an object."""
        return json.loads(self._send("PUT", path, None, body))

    def patch(self, path: str, body: Any, content_type: str = _PATCH) -> Any:
        """PATCH an object, by strategic merge unless told otherwise."""
        return json.loads(self._send("PATCH", path, None, body, content_type))

    def delete(self, path: str, query: Mapping[str, Any] | None = None) -> None:
        """DELETE an object; does not wait for it to be gone."""
        self._send("DELETE", path, query)

    def watch(self, path: str, query: Mapping[str, Any], seconds: float) -> Iterator[Object]:
        """Watch events of a collection, what is there first, for some seconds or until the reader has enough."""
        asked = {**query, "watch": "true", "timeoutSeconds": max(1, int(seconds))}
        answer = self._request("GET", path, asked, None, "", (_CONNECT, seconds + _ANSWER))
        stream = answer.response
        if answer.status >= 400:
            raise RefusedError(answer.status, answer.read())
        try:
            pending = b""
            for chunk in stream.stream(amt=None):
                *lines, pending = (pending + chunk).split(b"\n")
                yield from (json.loads(line) for line in lines if line)
        finally:
            # Read to its end, a connection goes back to its pool; cut off, it must not.
            stream.close()

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None,
        body: Any = None,
        content_type: str = "application/json",
    ) -> bytes:
        answer = self._request(method, path, query, body, content_type, (_CONNECT, _ANSWER))
        content: bytes = answer.read()
        if answer.status >= 400:
            raise RefusedError(answer.status, content)
        return content

    def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None,
        body: Any,
        content_type: str,
        timeout: tuple[float, float],
    ) -> Any:
        headers = {"Accept": "application/json, */*"}
        if body is not None:
            headers["Content-Type"] = content_type
        serialized = self._api.param_serialize(
            method,
            path,
            query_params=list((query or {}).items()),
            header_params=headers,
            auth_settings=["BearerToken"],
        )
        _, url, sent_headers, _, _ = serialized
        return self._api.call_api(method, url, sent_headers, body, _request_timeout=timeout)
