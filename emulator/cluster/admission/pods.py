"""What admission fills into a new pod: its service account, its priority, its tolerations of a node that is away.

Source: kubernetes/plugin/pkg/admission/{serviceaccount,priority,defaulttolerationseconds}/admission.go. Tokens of
service accounts are not modelled, so no volume for one is added.
"""

from __future__ import annotations

from emulator.cluster import errors
from emulator.cluster.admission.namespaces import name_of
from emulator.cluster.objects import Object, clone
from emulator.cluster.resources import ResourceType
from emulator.cluster.store import Store

__all__ = ["admit_pod"]

_CLASSES = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}
_AWAY = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
_AWAY_SECONDS = 300


def admit_pod(store: Store, kind: ResourceType, pod: Object) -> None:
    """Fill in (in place). Raises ApiError (403)."""
    spec = pod.setdefault("spec", {})
    _service_account(store, kind, pod, spec)
    _priority(kind, pod, spec)
    _tolerations(spec)


def _service_account(store: Store, kind: ResourceType, pod: Object, spec: Object) -> None:
    name = spec.get("serviceAccountName") or "default"
    spec["serviceAccountName"] = spec["serviceAccount"] = name
    namespace = pod["metadata"]["namespace"]
    account = store.get("serviceaccounts", namespace, name)
    if account is None:
        # The API server waits a second for the default account of a new namespace; the emulator, which cannot wait
        # within a call, takes it that the account is about to come.
        if name == "default":
            return
        detail = f'error looking up service account {namespace}/{name}: serviceaccount "{name}" not found'
        raise errors.forbidden(kind, name_of(pod), detail)
    if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
        spec["imagePullSecrets"] = clone(account["imagePullSecrets"])


def _priority(kind: ResourceType, pod: Object, spec: Object) -> None:
    computed = _CLASSES.get(spec.get("priorityClassName", ""), 0)
    if spec.get("priority", computed) != computed:
        detail = (
            f"the integer value of priority ({spec['priority']}) must not be provided in pod spec; priority admission "
            f"controller computed {computed} from the given PriorityClass name"
        )
        raise errors.forbidden(kind, name_of(pod), detail)
    spec["priority"] = computed
    spec.setdefault("preemptionPolicy", "PreemptLowerPriority")


def _tolerations(spec: Object) -> None:
    tolerations = spec.get("tolerations") or []
    added = [
        {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": _AWAY_SECONDS}
        for key in _AWAY
        if not any(_tolerates(toleration, key) for toleration in tolerations)
    ]
    if tolerations or added:
        spec["tolerations"] = [*tolerations, *added]


def _tolerates(toleration: Object, key: str) -> bool:
    return toleration.get("key", "") in ("", key) and toleration.get("effect", "") in ("", "NoExecute")
