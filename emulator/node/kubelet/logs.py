"""Which log of a container is meant.

Source: Kubernetes pkg/kubelet/kubelet_pods.go, validateContainerLogStatus.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from emulator.cluster import LogOptions
from emulator.cluster.errors import bad_request
from emulator.node.kubelet.records import Attempt, PodRecord
from emulator.node.sandbox import read_log

__all__ = ["find_log", "stream_log"]

Object = dict[str, Any]

_WAITING = {
    "ErrImagePull": "image can't be pulled",
    "ImagePullBackOff": "trying and failing to pull image",
}


def find_log(pod: Object, record: PodRecord, container: str, *, previous: bool) -> Attempt:
    """The attempt whose log is to be read.

    Raises:
        ApiError: 400, there is none yet.
    """
    name = pod["metadata"]["name"]
    if previous:
        before = record.previous(container)
        latest = record.latest(container)
        if latest is not None and not latest.running and _waits(pod, container):
            before = latest  # while a container waits for its restart, its last end is the previous one
        if before is None:
            raise bad_request(f'previous terminated container "{container}" in pod "{name}" not found')
        return before
    latest = record.latest(container)
    if latest is None:
        reason = (_waits(pod, container) or {}).get("reason", "ContainerCreating")
        raise bad_request(
            f'container "{container}" in pod "{name}" is waiting to start: {_WAITING.get(reason, reason)}'
        )
    return latest


async def stream_log(attempt: Attempt, options: LogOptions) -> AsyncIterator[bytes]:
    """The output of an attempt, until it has ended where it is followed; nothing where its program never ran."""
    try:
        async for chunk in read_log(attempt.log, options, attempt.over.wait()):
            yield chunk
    except FileNotFoundError:
        return


def _waits(pod: Object, container: str) -> Object | None:
    status = pod.get("status") or {}
    for each in [*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())]:
        if each["name"] == container:
            waiting: Object | None = each["state"].get("waiting")
            return waiting
    return None
