"""Writing and deleting objects."""

from __future__ import annotations

import re
from datetime import datetime

import pytest

from emulator.cluster import Api

MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


def _config(name: str = "x", **metadata):
    return {"metadata": {"name": name} | metadata, "data": {"a": "b"}}


def test_create_then_get(api: Api):
    made = api.create("configmaps", _config())
    assert (made["apiVersion"], made["kind"]) == ("v1", "ConfigMap")
    assert made["metadata"]["namespace"] == "default"
    assert re.fullmatch(r"[0-9a-f-]{36}", made["metadata"]["uid"])
    assert made == api.get("configmaps", "x")


def test_what_comes_back_is_the_callers_own(api: Api):
    api.create("configmaps", _config())["data"]["a"] = "changed"
    api.get("configmaps", "x")["data"]["a"] = "changed"
    api.list("configmaps").items[0]["data"]["a"] = "changed"
    assert api.get("configmaps", "x")["data"] == {"a": "b"}


def test_what_was_given_stays_the_callers_own(api: Api):
    config = _config()
    api.create("configmaps", config)
    assert config == _config()
    config["data"]["a"] = "changed"
    assert api.get("configmaps", "x")["data"] == {"a": "b"}


def test_names_are_unique_in_a_namespace(api: Api, refusal):
    api.create("configmaps", _config())
    error = refusal(api.create, "configmaps", _config())
    assert (error.code, str(error)) == (409, 'configmaps "x" already exists')
    api.create("configmaps", _config(), "kube-public")


def test_a_generated_name_has_five_characters_after_its_base(api: Api):
    made = api.create("configmaps", {"metadata": {"generateName": "base-"}})
    assert re.fullmatch("base-[bcdfghjklmnpqrstvwxz2456789]{5}", made["metadata"]["name"])


def test_what_is_not_there(api: Api, refusal):
    for call in (api.get, api.delete):
        error = refusal(call, "deployments", "x", "default")
        assert (error.code, str(error)) == (404, 'deployments.apps "x" not found')
        assert error.status["details"] == {"name": "x", "group": "apps", "kind": "deployments"}
    assert refusal(api.list, "cronjobs").code == 404


def test_a_namespace_must_be_there(api: Api, refusal):
    error = refusal(api.create, "configmaps", _config(), "nowhere")
    assert (error.code, str(error)) == (404, 'namespaces "nowhere" not found')


def test_a_namespace_that_goes_takes_nothing_new(api: Api, refusal):
    api.create("namespaces", {"metadata": {"name": "going"}})
    api.create("configmaps", _config("before"), "going")
    going = api.delete("namespaces", "going")
    assert going["status"]["phase"] == "Terminating"
    error = refusal(api.create, "configmaps", _config(), "going")
    assert error.code == 403
    assert str(error) == (
        'configmaps "x" is forbidden: unable to create new content in namespace going because it is being terminated'
    )
    assert error.status["details"]["causes"][0]["reason"] == "NamespaceTerminating"
    api.delete("configmaps", "before", "going")
    going["spec"]["finalizers"] = []
    api.update("namespaces", going, subresource="finalize")
    assert refusal(api.get, "namespaces", "going").code == 404


def test_some_namespaces_stay(api: Api, refusal):
    error = refusal(api.delete, "namespaces", "default")
    assert str(error) == 'namespaces "default" is forbidden: this namespace may not be deleted'


def test_a_stale_update_conflicts(api: Api, refusal):
    stale = api.create("configmaps", _config())
    api.update("configmaps", stale | {"data": {"a": "c"}})
    error = refusal(api.update, "configmaps", stale | {"data": {"a": "d"}})
    assert error.code == 409
    assert str(error) == f'Operation cannot be fulfilled on configmaps "x": {MODIFIED}'
    assert error.reason == "Conflict"


def test_an_update_without_a_version_always_wins_except_for_leases(api: Api, refusal):
    api.create("configmaps", _config())
    assert api.update("configmaps", _config() | {"data": {"a": "c"}})["data"] == {"a": "c"}
    api.create("leases", {"metadata": {"name": "l"}})
    error = refusal(api.update, "leases", {"metadata": {"name": "l"}})
    assert str(error).endswith("metadata.resourceVersion: Invalid value: 0: must be specified for an update")


def test_an_update_that_changes_nothing_makes_no_new_version(api: Api):
    made = api.create("configmaps", _config())
    again = api.update("configmaps", _config())
    assert again["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


def test_system_metadata_cannot_be_changed(api: Api, refusal):
    made = api.create("configmaps", _config())
    changed = api.update("configmaps", _config(creationTimestamp="2001-01-01T00:00:00Z", generation=7))
    assert changed["metadata"] == made["metadata"]
    error = refusal(api.update, "configmaps", _config(uid="other"))
    assert error.code == 409
    assert "Precondition failed: UID in precondition: other, UID in object meta: " in str(error)


def test_a_dry_run_leaves_no_trace(api: Api, refusal):
    assert api.create("configmaps", _config(), dry_run=True)["metadata"]["uid"]
    assert refusal(api.get, "configmaps", "x").code == 404
    made = api.create("configmaps", _config())
    assert api.update("configmaps", _config() | {"data": {"z": "z"}}, dry_run=True)["data"] == {"z": "z"}
    api.delete("configmaps", "x", dry_run=True)
    assert api.get("configmaps", "x") == made


def test_generation_counts_changes_of_the_specification(api: Api):
    labels = {"app": "x"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "x"}]}}
    spec = {"selector": {"matchLabels": labels}, "template": template}
    made = api.create("deployments", {"metadata": {"name": "d"}, "spec": spec})
    assert made["metadata"]["generation"] == 1
    status = {"metadata": {"name": "d"}, "status": {"replicas": 1, "readyReplicas": 0}, "spec": {"replicas": 9}}
    after = api.update("deployments", status, subresource="status")
    assert (after["metadata"]["generation"], after["spec"]["replicas"]) == (1, 1)
    assert after["status"] == {"replicas": 1}, "a zero is left out, as Go leaves it out"
    scaled = api.patch("deployments", "d", {"spec": {"replicas": 3}}, kind="merge", subresource="scale")
    assert (scaled["kind"], scaled["spec"]["replicas"], scaled["status"]["selector"]) == ("Scale", 3, "app=x")
    after = api.get("deployments", "d")
    assert (after["metadata"]["generation"], after["spec"]["replicas"]) == (2, 3)
    assert after["status"] == {"replicas": 1}, "a change of the specification leaves the status"


def _bound(api: Api, pod):
    name = api.create("pods", pod)["metadata"]["name"]
    binding = {"metadata": {"name": name}, "target": {"kind": "Node", "name": "node"}}
    return api.update("pods", binding, subresource="binding")


def test_binding(api: Api, make_pod, refusal):
    pod = _bound(api, make_pod())
    assert pod["spec"]["nodeName"] == "node"
    assert pod["metadata"]["generation"] == 1
    assert [(c["type"], c["status"]) for c in pod["status"]["conditions"]] == [("PodScheduled", "True")]
    binding = {"metadata": {"name": "p"}, "target": {"name": "other"}}
    error = refusal(api.update, "pods", binding, subresource="binding")
    assert str(error) == 'Operation cannot be fulfilled on pods/binding "p": pod p is already assigned to node "node"'


def test_an_unbound_pod_goes_at_once(api: Api, make_pod, refusal):
    api.create("pods", make_pod())
    api.delete("pods", "p")
    assert refusal(api.get, "pods", "p").code == 404


def test_a_bound_pod_goes_when_its_kubelet_says_so(api: Api, make_pod, refusal):
    uid = _bound(api, make_pod())["metadata"]["uid"]
    going = api.delete("pods", "p")["metadata"]
    assert going["deletionGracePeriodSeconds"] == 30
    left = datetime.fromisoformat(going["deletionTimestamp"]) - datetime.fromisoformat(going["creationTimestamp"])
    assert 29 <= left.total_seconds() <= 90
    assert api.delete("pods", "p", grace_period=60)["metadata"] == going, "a grace period never grows"
    shorter = api.delete("pods", "p", grace_period=5)["metadata"]
    assert shorter["deletionGracePeriodSeconds"] == 5
    assert shorter["deletionTimestamp"] < going["deletionTimestamp"]
    error = refusal(api.delete, "pods", "p", grace_period=0, uid="other")
    assert error.code == 409
    assert f"the UID in the precondition (other) does not match the UID in record ({uid})" in str(error)
    api.delete("pods", "p", grace_period=0, uid=uid)
    assert refusal(api.get, "pods", "p").code == 404


def test_a_finished_pod_goes_at_once(api: Api, make_pod, refusal):
    _bound(api, make_pod())
    api.patch("pods", "p", {"status": {"phase": "Succeeded"}}, kind="merge", subresource="status")
    api.delete("pods", "p")
    assert refusal(api.get, "pods", "p").code == 404


def test_finalizers_hold_a_deleted_object(api: Api, refusal):
    api.create("configmaps", _config(finalizers=["example.com/hold", "example.com/too"]))
    going = api.delete("configmaps", "x")
    assert going["metadata"]["deletionGracePeriodSeconds"] == 0
    added = api.get("configmaps", "x")
    added["metadata"]["finalizers"].append("example.com/new")
    assert "no new finalizers can be added if the object is being deleted" in str(
        refusal(api.update, "configmaps", added)
    )
    api.patch("configmaps", "x", {"metadata": {"finalizers": ["example.com/too"]}}, kind="merge")
    assert api.get("configmaps", "x")["metadata"]["finalizers"] == ["example.com/too"]
    api.patch("configmaps", "x", {"metadata": {"finalizers": None}}, kind="merge")
    assert refusal(api.get, "configmaps", "x").code == 404


@pytest.mark.parametrize(
    ("policy", "finalizers"), [("Foreground", ["foregroundDeletion"]), ("Orphan", ["orphan"]), ("Background", None)]
)
def test_propagation(api: Api, refusal, policy, finalizers):
    api.create("configmaps", _config())
    going = api.delete("configmaps", "x", propagation=policy)
    assert going["metadata"].get("finalizers") == finalizers
    if finalizers is None:
        assert refusal(api.get, "configmaps", "x").code == 404
    else:
        assert api.get("configmaps", "x")["metadata"]["finalizers"] == finalizers


def test_a_terminated_container_does_not_run_again_in_a_pod_that_never_restarts(api: Api, make_pod, refusal):
    _bound(api, make_pod(restartPolicy="Never"))
    status = {"name": "probe", "image": "x", "imageID": "", "ready": False, "restartCount": 0}
    ended = status | {"state": {"terminated": {"exitCode": 0}}}
    api.patch("pods", "p", {"status": {"containerStatuses": [ended]}}, kind="merge", subresource="status")
    again = status | {"state": {"running": {}}}
    error = refusal(
        api.patch, "pods", "p", {"status": {"containerStatuses": [again]}}, kind="merge", subresource="status"
    )
    assert "status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state" in str(error)


def test_a_service_account_brings_its_pull_secrets_and_must_be_there(api: Api, make_pod, refusal):
    account = {"metadata": {"name": "puller"}, "imagePullSecrets": [{"name": "registry"}]}
    api.create("serviceaccounts", account)
    made = api.create("pods", make_pod(serviceAccountName="puller"))
    assert made["spec"]["imagePullSecrets"] == [{"name": "registry"}]
    error = refusal(api.create, "pods", make_pod("q", serviceAccountName="nobody"))
    assert str(error) == (
        'pods "q" is forbidden: error looking up service account default/nobody: serviceaccount "nobody" not found'
    )


def test_a_field_of_the_wrong_kind_is_refused(api: Api, refusal):
    error = refusal(api.create, "configmaps", {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "x"}})
    assert error.code == 400
    error = refusal(api.create, "configmaps", {"kind": "ConfigMap", "apiVersion": "v2", "metadata": {"name": "x"}})
    assert str(error) == "the API version in the data (v2) does not match the expected API version (v1)"
