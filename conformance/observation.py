"""What one case did on a target: outcome, waiting reason, events, what the probe saw.

The raw observation is what the target said. `normalised` makes digests, ids, times and addresses symbolic, so that
two runs can be compared; it changes nothing in what is normalised already.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from conformance.kube import Object

__all__ = ["Observation", "explained", "is_settled", "normalised", "observe_pod", "plight_of", "symbolic"]

_BACK_OFF = {"ImagePullBackOff": "ErrImagePull", "CrashLoopBackOff": "Error"}
_COMBINED = "(combined from similar events): "
_BACK_OFF_TEXT = re.compile(r'^Back-off pulling image "[^"]*": \w+: ')
# An image without layers is a bind of an empty directory, wherever the node keeps its snapshots.
_SNAPSHOT = re.compile(r"/.*/snapshots/\d+/fs")
# A warning that names a waiting reason only.
_BARE = re.compile(r": Error: \w+$")
# What a node says that only those understand who know its sources, and what it means.
_MEANINGS = {
    'failed to mkdir "": mkdir : no such file or directory': (
        "a runtime without image volumes says so: containerd mounts them from 2.1 on"
    ),
}
_ABSENT = "sha256:" + "0" * 64

_SYMBOLS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), symbol)
    for pattern, symbol in (
        (re.escape(_ABSENT), "<absent-digest>"),
        (r"sha256:[0-9a-f]{64}", "<digest>"),
        (r'Successfully assigned [^/ ]+/\S+ to \S+', "Successfully assigned <namespace>/<pod> to <node>"),
        (r'^Pod "[^"]*" is invalid', 'Pod "<pod>" is invalid'),
        (r"\bin [0-9.]+(?:ms|µs|m|s)(?:[0-9.]+s)? \([0-9.]+(?:ms|µs|m|s)(?:[0-9.]+s)? including waiting\)",
         "in <duration> (<duration> including waiting)"),
        (r"Image size: \d+ bytes", "Image size: <size> bytes"),
        (r"short read: expected \d+ bytes but got \d+", "short read: expected <size> bytes but got <size>"),
        (r"read tcp \S+->\S+: ", "read tcp <node>-><registry>: "),
        (r'"extract-\d+-\S+ ', '"extract-<n> '),
        (r"mount callback failed on \S+", "mount callback failed on <path>"),
        (r"/\S*/tmpmounts/containerd-mount\d+", "<path>"),
        (r"/snapshots/\d+/fs\b", "/snapshots/<n>/fs"),
        (r'"/[^" ]*/image-volumes/[^" ]*"', '"<volume-mount>"'),
        (r'failed to generate container "[0-9a-f]{64}"', 'failed to generate container "<id>"'),
        (r"\bwaited [0-9.]+ s in vain", "waited <patience> in vain"),
        (r"\bpods/(\S+)-[0-9a-z]{8,10}-[0-9a-z]{5}:", r"pods/\1-<hash>:"),
    )
)  # fmt: skip


@dataclass(frozen=True)
class Observation:
    """What was seen. Fields are empty where they do not apply.

    waiting, terminated: of the first container that has them, init containers first. events: (type, reason, message,
    `pod` or `container`) in order. probe: what the probe printed, if it is JSON; log: what was printed, if not.
    rejected: the API server's message, if it refused the pod.
    """

    phase: str = ""
    waiting: Mapping[str, str] = dataclasses.field(default_factory=dict)
    terminated: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    events: tuple[tuple[str, str, str, str], ...] = ()
    probe: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    log: str = ""
    rejected: str = ""

    @property
    def outcome(self) -> str:
        """`rejected`, `mounted`, `failed`, the waiting reason (without its back-off), or the phase."""
        if self.rejected:
            return "rejected"
        if self.waiting:
            return _BACK_OFF.get(self.waiting["reason"], self.waiting["reason"])
        return {"Succeeded": "mounted", "Failed": "failed"}.get(self.phase, self.phase)

    @property
    def message(self) -> str:
        """The text that explains the outcome."""
        return self.rejected or _BACK_OFF_TEXT.sub("", self.waiting.get("message", "")) or self.log

    def brief(self) -> str:
        """One line for a report."""
        seen = f"{len(self.probe.get('files', {})) - 1} entries" if self.probe else explained(self.message)
        return f"{self.outcome}: {seen}"


def explained(message: str) -> str:
    """A node's message, followed by what it means where its words do not tell."""
    meaning = next((meaning for words, meaning in _MEANINGS.items() if words in message), "")
    return f"{message} ({meaning})" if meaning else message


def plight_of(pod: Object, events: list[Object]) -> str:
    """One line on what keeps a pod from running, by its containers' states and its warnings; empty if nothing does."""
    told = []
    for status in _statuses(pod):
        state = status.get("state", {})
        if _is_stuck(waiting := state.get("waiting", {})):
            told.append(f"{status['name']} waits: {waiting['reason']}: {explained(waiting.get('message', ''))}")
        elif ended := state.get("terminated") or status.get("lastState", {}).get("terminated"):
            told.append(f"{status['name']} ended: {ended.get('reason', '')}, exit code {ended.get('exitCode')}")
    warnings = dict.fromkeys(f"{event['reason']}: {event['message']}" for event in events if event["type"] == "Warning")
    told += [f"event {one}" for one in warnings if not _BARE.search(one) and not any(_same_words(one, t) for t in told)]
    return f"pods/{pod['metadata']['name']}: {'; '.join(told)}" if told else ""


def is_settled(pod: Object) -> bool:
    """Whether a pod has come to an end or is stuck waiting for something that will not come by itself."""
    if pod["status"].get("phase") in {"Succeeded", "Failed"}:
        return True
    return any(_is_stuck(status.get("state", {}).get("waiting", {})) for status in _statuses(pod))


def observe_pod(pod: Object, events: list[Object], log: str) -> Observation:
    """The observation of a settled pod, its events and its main container's log."""
    states = [status.get("state", {}) for status in _statuses(pod)]
    waiting: Object = next((state["waiting"] for state in states if _is_stuck(state.get("waiting", {}))), {})
    ended: Object = next((state["terminated"] for state in reversed(states) if "terminated" in state), {})
    probe = _probe(log)
    return Observation(
        phase=pod["status"].get("phase", ""),
        waiting={key: waiting[key] for key in ("reason", "message") if key in waiting},
        terminated={} if waiting else {key: ended[key] for key in ("reason", "exitCode") if key in ended},
        events=tuple((event["type"], event["reason"], event["message"], _regards(event)) for event in events),
        probe=probe,
        log="" if probe else log,
    )


def symbolic(text: str, names: Mapping[str, str]) -> str:
    """A text with the names of its run, and what differs from run to run, made symbolic."""
    for name in sorted(names, key=len, reverse=True):
        text = text.replace(name, names[name])
    for pattern, symbol in _SYMBOLS:
        text = pattern.sub(symbol, text)
    return text


def normalised(seen: Observation, names: Mapping[str, str]) -> Observation:
    """The observation with what differs from run to run made symbolic.

    `names` maps texts of this run to symbols, e.g. the registry's address to `<registry>`. Waiting reasons lose their
    back-off; events that only repeat an earlier one go, as a node's second look at a pod repeats them, and as those do
    that client-go combines because only an id in them differs.
    """

    def told(text: str) -> str:
        return symbolic(text, names)

    waiting = {}
    if seen.waiting:
        reason = seen.waiting["reason"]
        waiting = {
            "reason": _BACK_OFF.get(reason, reason),
            "message": told(_BACK_OFF_TEXT.sub("", seen.waiting.get("message", ""))),
        }
    probe = dict(seen.probe)
    if _SNAPSHOT.fullmatch(str(probe.get("root_in_fs", ""))):
        probe["root_in_fs"] = "<snapshot>"
    events = dict.fromkeys(
        (kind, reason, told(message.removeprefix(_COMBINED)), what) for kind, reason, message, what in seen.events
    )
    return dataclasses.replace(
        seen,
        waiting=waiting,
        events=tuple(events),
        probe=probe,
        log=told(seen.log),
        rejected=told(seen.rejected),
    )


def _statuses(pod: Object) -> list[Object]:
    status = pod["status"]
    return [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]


def _is_stuck(waiting: Object) -> bool:
    return waiting.get("reason", "ContainerCreating") not in {"ContainerCreating", "PodInitializing"}


def _same_words(warning: str, line: str) -> bool:
    """Whether a warning says what a line has said: `Failed: Error: …` repeats a container's waiting message."""
    return warning.rpartition(": Error: ")[2] in line or warning.partition(": ")[2] in line


def _regards(event: Object) -> str:
    return "container" if event["involvedObject"].get("fieldPath", "").startswith("spec.") else "pod"


def _probe(log: str) -> Object:
    try:
        seen = json.loads(log)
    except ValueError:
        return {}
    return seen if isinstance(seen, dict) else {}
