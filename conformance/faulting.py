"""Having a registry fail: faults for one repository, switched by the registry's control endpoint."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import requests

from conformance.oci import Repository
from conformance.pods import filled
from fixtures import Forged

__all__ = ["faults"]

_TIMEOUT = 60


@contextlib.contextmanager
def faults(repository: Repository, image: Forged, wanted: Sequence[Mapping[str, Any]]) -> Iterator[None]:
    """Have requests for a repository fail as in docs/registry.md, until the block ends.

    `{layer}`, `{config}` and `{manifest}` in the faults' texts are the digests of the image's.
    """
    scenario = {"faults": [_of(repository, one) for one in filled(list(wanted), _digests(image))]}
    # A name of its own for each: tests run side by side.
    url = f"{repository.endpoint.control}/faults/{quote(repository.path, safe='')}"
    with requests.Session() as http:
        http.trust_env = False
        answer = http.put(url, data=json.dumps(scenario), timeout=_TIMEOUT)
        assert answer.ok, f"the registry takes no such faults: {answer.text}"
        try:
            yield
        finally:
            http.delete(url, timeout=_TIMEOUT)


def _of(repository: Repository, fault: Mapping[str, Any]) -> dict[str, Any]:
    return {**fault, "match": {**fault.get("match", {}), "repository": repository.path}}


def _digests(image: Forged) -> dict[str, str]:
    manifest = json.loads(image.manifests[0].content)
    layers = [layer["digest"] for layer in manifest.get("layers", ())]
    return {
        "manifest": image.manifests[0].digest,
        "config": manifest["config"]["digest"],
        "layer": layers[0] if layers else "",
    }
