"""What goes when its owner goes, and what a namespace takes with it."""

from __future__ import annotations

import pytest


def config_map(lab, name, *owners, blocking=True, namespace="default", finalizers=None):
    references = [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "name": owner["metadata"]["name"],
            "uid": owner["metadata"]["uid"],
            "blockOwnerDeletion": blocking,
        }
        for owner in owners
    ]
    metadata = {"name": name, "namespace": namespace, "ownerReferences": references, "finalizers": finalizers or []}
    return lab.api.create("configmaps", {"metadata": metadata})


def names(lab, resource="configmaps", namespace="default"):
    return [each["metadata"]["name"] for each in lab.api.list(resource, namespace).items]


@pytest.mark.parametrize("propagation", [None, "Background", "Foreground"])
def test_dependents_go_with_their_owner(in_lab, deployment_of, propagation):
    async def test(lab):
        lab.api.create("deployments", deployment_of(replicas=2))
        await lab.until(lambda: len(lab.pods()) == 2)
        lab.api.delete("deployments", "web", "default", propagation=propagation)
        await lab.until(lambda: not lab.pods() and not names(lab, "replicasets") and not names(lab, "deployments"))

    in_lab(test)


def test_foreground_the_owner_goes_last(in_lab, deployment_of):
    async def test(lab):
        lab.api.create("deployments", deployment_of(replicas=1))
        await lab.until(lambda: any(pod["spec"].get("nodeName") for pod in lab.pods()))
        lab.ends_at_once = False
        lab.api.delete("deployments", "web", "default", propagation="Foreground")
        await lab.until(lambda: all("deletionTimestamp" in pod["metadata"] for pod in lab.pods()))
        assert names(lab, "deployments") == ["web"]
        assert len(names(lab, "replicasets")) == 1
        (pod,) = lab.pods()
        lab.end(pod)
        await lab.until(lambda: not names(lab, "deployments") and not names(lab, "replicasets"))

    in_lab(test)


def test_orphans_stay(in_lab):
    async def test(lab):
        owner = config_map(lab, "owner")
        config_map(lab, "child", owner)
        lab.api.delete("configmaps", "owner", "default", propagation="Orphan")
        await lab.until(lambda: names(lab) == ["child"])
        assert not lab.api.get("configmaps", "child", "default")["metadata"].get("ownerReferences")

    in_lab(test)


def test_an_object_whose_owner_never_was_goes(in_lab):
    async def test(lab):
        ghost = {"metadata": {"name": "ghost", "uid": "00000000-0000-0000-0000-000000000000"}}
        config_map(lab, "child", ghost)
        await lab.until(lambda: names(lab) == [])

    in_lab(test)


def test_one_owner_left_is_enough(in_lab):
    async def test(lab):
        first, second = config_map(lab, "first"), config_map(lab, "second")
        config_map(lab, "child", first, second)
        lab.api.delete("configmaps", "first", "default")
        await lab.until(
            lambda: len(lab.api.get("configmaps", "child", "default")["metadata"].get("ownerReferences", ())) == 1
        )
        lab.api.delete("configmaps", "second", "default")
        await lab.until(lambda: names(lab) == [])

    in_lab(test)


def test_what_does_not_block_does_not_hold_the_owner(in_lab):
    async def test(lab):
        owner = config_map(lab, "owner")
        config_map(lab, "child", owner, blocking=False, finalizers=["example.com/hold"])
        lab.api.delete("configmaps", "owner", "default", propagation="Foreground")
        await lab.until(lambda: names(lab) == ["child"])
        lab.api.patch("configmaps", "child", {"metadata": {"finalizers": None}}, "default", kind="merge")
        await lab.until(lambda: names(lab) == [])

    in_lab(test)


def test_a_circle_of_owners_goes_in_the_foreground(in_lab):
    async def test(lab):
        first = config_map(lab, "first")
        second = config_map(lab, "second", first)
        reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "second", "uid": second["metadata"]["uid"]}
        patch = {"metadata": {"ownerReferences": [{**reference, "blockOwnerDeletion": True}]}}
        lab.api.patch("configmaps", "first", patch, "default", kind="merge")
        lab.api.delete("configmaps", "first", "default", propagation="Foreground")
        await lab.until(lambda: names(lab) == [])

    in_lab(test)


def test_an_owner_in_another_namespace_is_no_owner(in_lab):
    async def test(lab):
        lab.api.create("namespaces", {"metadata": {"name": "elsewhere"}})
        owner = config_map(lab, "owner", namespace="elsewhere")
        config_map(lab, "child", owner)
        await lab.until(lambda: names(lab) == [] and lab.events("OwnerRefInvalidNamespace"))
        assert names(lab, namespace="elsewhere") == ["owner"]

    in_lab(test)


def test_every_namespace_has_an_account(in_lab):
    async def test(lab):
        lab.api.create("namespaces", {"metadata": {"name": "fresh"}})
        await lab.until(
            lambda: all(
                "default" in names(lab, "serviceaccounts", each)
                for each in ("default", "kube-system", "kube-public", "kube-node-lease", "fresh")
            )
        )
        lab.api.delete("serviceaccounts", "default", "fresh")
        await lab.until(lambda: names(lab, "serviceaccounts", "fresh") == ["default"])

    in_lab(test)


def test_a_namespace_takes_everything_with_it(in_lab, deployment_of):
    async def test(lab):
        lab.api.create("namespaces", {"metadata": {"name": "busy"}})
        work = deployment_of(replicas=2)
        work["metadata"]["namespace"] = "busy"
        lab.api.create("deployments", work)
        await lab.until(lambda: len([pod for pod in lab.pods("busy") if pod["spec"].get("nodeName")]) == 2)
        lab.ends_at_once = False
        lab.api.delete("namespaces", "busy")
        await lab.until(lambda: all("deletionTimestamp" in pod["metadata"] for pod in lab.pods("busy")))

        def remaining():
            status = lab.api.get("namespaces", "busy")["status"]
            found = {each["type"]: each["message"] for each in status.get("conditions", ())}
            return status["phase"] == "Terminating" and found.get("NamespaceContentRemaining")

        text = await lab.until(remaining)
        assert text == "Some resources are remaining: pods. has 2 resource instances"
        for pod in lab.pods("busy"):
            lab.end(pod)
        await lab.until(lambda: "busy" not in names(lab, "namespaces", None))

    in_lab(test)
