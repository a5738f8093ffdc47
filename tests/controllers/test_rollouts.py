"""Roll-outs on the real API server, from the Deployment to the pods and back."""

from __future__ import annotations

import asyncio

from emulator.cluster.errors import forbidden
from emulator.cluster.resources import RESOURCES


def condition(obj, type_):
    return next((each for each in obj["status"].get("conditions") or () if each["type"] == type_), {})


def complete(lab, image, name="web"):
    def check():
        found = lab.api.get("deployments", name, "default")
        status, wanted = found["status"], found["spec"]["replicas"]
        counts = [status.get(key, 0) for key in ("replicas", "updatedReplicas", "availableReplicas")]
        seen = status.get("observedGeneration") == found["metadata"]["generation"]
        return found if seen and counts == [wanted] * 3 and lab.images() == [image] * wanted else None

    return check


def set_image(lab, image, name="web"):
    patch = [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": image}]
    return lab.api.patch("deployments", name, patch, "default", kind="json")


def test_a_deployment_becomes_pods(in_lab, deployment_of):
    async def test(lab):
        lab.api.create("deployments", deployment_of(replicas=2))
        found = await lab.until(complete(lab, "app:v1"))
        (replicaset,) = lab.api.list("replicasets", "default").items
        name = replicaset["metadata"]["name"]
        suffix = replicaset["metadata"]["labels"]["pod-template-hash"]
        assert name == f"web-{suffix}"
        assert found["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "1"
        progressing, available = condition(found, "Progressing"), condition(found, "Available")
        assert (progressing["status"], progressing["reason"]) == ("True", "NewReplicaSetAvailable")
        assert progressing["message"] == f'ReplicaSet "{name}" has successfully progressed.'
        assert (available["status"], available["reason"]) == ("True", "MinimumReplicasAvailable")
        assert lab.events("ScalingReplicaSet") == [f"Scaled up replica set {name} from 0 to 2"]
        pods = lab.pods()
        assert sorted(lab.events("SuccessfulCreate")) == sorted(f"Created pod: {p['metadata']['name']}" for p in pods)
        assert sorted(lab.events("Scheduled")) == sorted(
            f"Successfully assigned default/{p['metadata']['name']} to node-1" for p in pods
        )
        assert all(p["metadata"]["labels"]["pod-template-hash"] == suffix for p in pods)

    in_lab(test)


def test_roll_out_bad_version_and_undo(in_lab, deployment_of):
    async def test(lab):
        lab.becomes_ready = lambda pod: pod["spec"]["containers"][0]["image"] != "app:v3"
        lab.api.create("deployments", deployment_of(replicas=3))
        await lab.until(complete(lab, "app:v1"))
        set_image(lab, "app:v2")
        await lab.until(complete(lab, "app:v2"))
        set_image(lab, "app:v3")
        await lab.until(lambda: "app:v3" in lab.images())
        await lab.quiet()
        assert lab.images() == ["app:v2"] * 3 + ["app:v3"]
        stuck = lab.api.get("deployments", "web", "default")
        assert condition(stuck, "Available")["status"] == "True"
        assert stuck["status"]["unavailableReplicas"] == 1
        set_image(lab, "app:v2")
        found = await lab.until(complete(lab, "app:v2"))
        sets = lab.api.list("replicasets", "default").items
        revisions = {
            each["spec"]["template"]["spec"]["containers"][0]["image"]: each["metadata"]["annotations"] for each in sets
        }
        key = "deployment.kubernetes.io/revision"
        assert {image: notes[key] for image, notes in revisions.items()} == {
            "app:v1": "1",
            "app:v2": "4",
            "app:v3": "3",
        }
        assert revisions["app:v2"]["deployment.kubernetes.io/revision-history"] == "2"
        assert found["metadata"]["annotations"][key] == "4"

    in_lab(test)


def sizes(lab):
    """ReplicaSet sizes by image."""
    sets = lab.api.list("replicasets", "default").items
    return {
        each["spec"]["template"]["spec"]["containers"][0]["image"]: (
            each["spec"]["replicas"],
            each["status"].get("availableReplicas", 0),
        )
        for each in sets
    }


def patch(lab, spec, name="web"):
    return lab.api.patch("deployments", name, {"spec": spec}, "default", kind="merge")


def test_a_rollout_never_leaves_its_limits(in_lab, deployment_of):
    """Every change of a pod is looked at: not one too many, not one available too few."""

    async def test(lab):
        strategy = {"rollingUpdate": {"maxSurge": 2, "maxUnavailable": 1}}
        lab.api.create("deployments", deployment_of(replicas=6, strategy=strategy))
        await lab.until(complete(lab, "app:v1"))
        broken = []

        async def look():
            async for _ in lab.api.watch("pods"):
                alive = [pod for pod in lab.pods() if "deletionTimestamp" not in pod["metadata"]]
                ready = [pod for pod in alive if condition(pod, "Ready").get("status") == "True"]
                if len(alive) > 8 or len(ready) < 5:
                    broken.append((len(alive), len(ready)))

        watcher = asyncio.create_task(look())
        set_image(lab, "app:v2")
        await lab.until(complete(lab, "app:v2"))
        set_image(lab, "app:v3")
        await lab.until(lambda: "app:v3" in lab.images())
        set_image(lab, "app:v1")
        await lab.until(complete(lab, "app:v1"))
        watcher.cancel()
        assert broken == []

    in_lab(test)


def test_recreate_ends_the_old_pods_before_it_starts_new_ones(in_lab, deployment_of):
    async def test(lab):
        lab.api.create("deployments", deployment_of(replicas=2, strategy={"type": "Recreate"}))
        await lab.until(complete(lab, "app:v1"))
        lab.ends_at_once = False
        set_image(lab, "app:v2")
        await lab.until(lambda: all("deletionTimestamp" in pod["metadata"] for pod in lab.pods()))
        await lab.quiet()
        assert sizes(lab) == {"app:v1": (0, 0)}
        assert lab.api.get("deployments", "web", "default")["status"]["terminatingReplicas"] == 2
        first, second = lab.pods()
        lab.end(first)
        await lab.quiet()
        assert sizes(lab) == {"app:v1": (0, 0)}
        lab.ends_at_once = True
        lab.end(second)
        await lab.until(complete(lab, "app:v2"))

    in_lab(test)


def test_scaling_up_and_down(in_lab, deployment_of):
    async def test(lab):
        lab.api.create("deployments", deployment_of(replicas=1))
        await lab.until(complete(lab, "app:v1"))
        patch(lab, {"replicas": 4})
        await lab.until(complete(lab, "app:v1"))
        patch(lab, {"replicas": 2})
        await lab.until(complete(lab, "app:v1"))
        patch(lab, {"replicas": 0})
        await lab.until(complete(lab, "app:v1"))
        name = lab.api.list("replicasets", "default").items[0]["metadata"]["name"]
        assert lab.events("ScalingReplicaSet") == [
            f"Scaled up replica set {name} from 0 to 1",
            f"Scaled up replica set {name} from 1 to 4",
            f"Scaled down replica set {name} from 4 to 2",
            f"Scaled down replica set {name} from 2 to 0",
        ]
        assert len(lab.events("SuccessfulDelete")) == 4

    in_lab(test)


def test_scaling_in_the_middle_of_a_rollout_keeps_the_proportions(in_lab, deployment_of):
    async def test(lab):
        lab.becomes_ready = lambda pod: pod["spec"]["containers"][0]["image"] == "app:v1"
        strategy = {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
        lab.api.create("deployments", deployment_of(replicas=3, strategy=strategy))
        await lab.until(complete(lab, "app:v1"))
        set_image(lab, "app:v2")
        await lab.until(lambda: sizes(lab) == {"app:v1": (3, 3), "app:v2": (1, 0)})
        patch(lab, {"replicas": 6})
        await lab.until(lambda: sizes(lab) == {"app:v1": (5, 5), "app:v2": (2, 0)})
        await lab.quiet()
        assert sizes(lab) == {"app:v1": (5, 5), "app:v2": (2, 0)}

    in_lab(test)


def test_a_paused_deployment_scales_but_does_not_roll(in_lab, deployment_of):
    async def test(lab):
        lab.api.create("deployments", deployment_of(replicas=1))
        await lab.until(complete(lab, "app:v1"))
        patch(lab, {"paused": True})
        set_image(lab, "app:v2")
        patch(lab, {"replicas": 2})
        await lab.until(lambda: sizes(lab) == {"app:v1": (2, 2)})
        await lab.quiet()
        paused = lab.api.get("deployments", "web", "default")
        told = condition(paused, "Progressing")
        assert (told["status"], told["reason"]) == ("Unknown", "DeploymentPaused")
        assert told["message"] == "Deployment is paused"
        patch(lab, {"paused": False})
        await lab.until(complete(lab, "app:v2"))

    in_lab(test)


def test_a_rollout_that_stands_still_exceeds_its_deadline(in_lab, deployment_of):
    async def test(lab):
        lab.becomes_ready = lambda pod: False
        lab.api.create("deployments", deployment_of(replicas=1, progressDeadlineSeconds=30))
        found = await lab.until(
            lambda: (
                condition(it := lab.api.get("deployments", "web", "default"), "Progressing").get("status") == "False"
                and it
            )
        )
        told = condition(found, "Progressing")
        name = lab.api.list("replicasets", "default").items[0]["metadata"]["name"]
        assert told["reason"] == "ProgressDeadlineExceeded"
        assert told["message"] == f'ReplicaSet "{name}" has timed out progressing.'
        assert condition(found, "Available")["reason"] == "MinimumReplicasUnavailable"
        for pod in lab.pods():
            lab.run(pod, ready=True)
        found = await lab.until(complete(lab, "app:v1"))
        await lab.until(
            lambda: (
                condition(lab.api.get("deployments", "web", "default"), "Progressing")["reason"]
                == "NewReplicaSetAvailable"
            )
        )

    in_lab(test, speed=200)


def test_min_ready_seconds_hold_a_pod_back(in_lab, deployment_of):
    async def test(lab):
        started = lab.clock.now()
        lab.api.create("deployments", deployment_of(replicas=2, minReadySeconds=20))
        await lab.until(lambda: sizes(lab) == {"app:v1": (2, 0)} and len(lab.pods()) == 2)
        found = await lab.until(complete(lab, "app:v1"))
        assert lab.clock.now() - started >= 20
        assert found["status"]["readyReplicas"] == 2

    in_lab(test, speed=200)


def test_old_replicasets_beyond_the_history_limit_go(in_lab, deployment_of):
    async def test(lab):
        lab.api.create("deployments", deployment_of(replicas=1, revisionHistoryLimit=1))
        for image in ("app:v1", "app:v2", "app:v3"):
            set_image(lab, image)
            await lab.until(complete(lab, image))
        await lab.until(lambda: set(sizes(lab)) == {"app:v2", "app:v3"})

    in_lab(test)


def test_an_orphaned_replicaset_and_its_pods_are_adopted_again(in_lab, deployment_of):
    async def test(lab):
        lab.api.create("deployments", deployment_of(replicas=2))
        await lab.until(complete(lab, "app:v1"))
        pods = {pod["metadata"]["uid"] for pod in lab.pods()}
        lab.api.delete("deployments", "web", "default", propagation="Orphan")
        await lab.until(
            lambda: all(not each["metadata"].get("ownerReferences") for each in lab.api.list("replicasets").items)
        )
        assert {pod["metadata"]["uid"] for pod in lab.pods()} == pods
        lab.api.create("deployments", deployment_of(replicas=2))
        await lab.until(complete(lab, "app:v1"))
        assert {pod["metadata"]["uid"] for pod in lab.pods()} == pods

    in_lab(test)


def test_a_pod_that_loses_its_labels_is_let_go_and_replaced(in_lab, deployment_of):
    async def test(lab):
        lab.api.create("deployments", deployment_of(replicas=1))
        await lab.until(complete(lab, "app:v1"))
        (pod,) = lab.pods()
        name = pod["metadata"]["name"]
        lab.api.patch("pods", name, {"metadata": {"labels": None}}, "default", kind="merge")
        await lab.until(lambda: len(lab.pods()) == 2)
        assert "ownerReferences" not in lab.api.get("pods", name, "default")["metadata"]
        labels = pod["metadata"]["labels"]
        lab.api.patch("pods", name, {"metadata": {"labels": labels}}, "default", kind="merge")
        await lab.until(lambda: len(lab.pods()) == 1)

    in_lab(test)


def test_a_deleted_pod_is_replaced(in_lab, deployment_of):
    async def test(lab):
        lab.api.create("deployments", deployment_of(replicas=1))
        await lab.until(complete(lab, "app:v1"))
        (before,) = lab.pods()
        lab.api.delete("pods", before["metadata"]["name"], "default")
        await lab.until(lambda: [p["metadata"]["uid"] for p in lab.pods()] != [before["metadata"]["uid"]])
        await lab.until(complete(lab, "app:v1"))

    in_lab(test)


def test_a_foreign_replicaset_of_the_same_name_is_stepped_around(in_lab, deployment_of):
    async def test(lab):
        lab.api.create("deployments", deployment_of(replicas=1))
        await lab.until(complete(lab, "app:v1"))
        (there,) = lab.api.list("replicasets", "default").items
        lab.api.delete("deployments", "web", "default")
        await lab.until(lambda: not lab.api.list("replicasets", "default").items)
        kept = {"name": there["metadata"]["name"], "namespace": "default"}
        spec = {**there["spec"], "selector": {"matchLabels": {"app": "other"}}, "replicas": 0}
        spec["template"] = {**spec["template"], "metadata": {"labels": {"app": "other"}}}
        lab.api.create("replicasets", {"metadata": kept, "spec": spec})
        lab.api.create("deployments", deployment_of(replicas=1))
        found = await lab.until(complete(lab, "app:v1"))
        assert found["status"]["collisionCount"] == 1

    in_lab(test, warnings="already exists")


def test_pods_that_are_refused_are_told_of_and_tried_again(in_lab, deployment_of):
    async def test(lab):
        create = lab.api.create

        def refuse(resource, obj, namespace=None, **options):
            if resource == "pods":
                raise forbidden(RESOURCES["pods"], obj["metadata"].get("name", ""), "exceeded quota")
            return create(resource, obj, namespace, **options)

        lab.api.create = refuse
        lab.api.create("deployments", deployment_of(replicas=3))

        def failed():
            return next(iter(lab.api.list("replicasets", "default").items), {}).get("status", {}).get("conditions")

        (told,) = await lab.until(failed)
        assert (told["type"], told["status"], told["reason"]) == ("ReplicaFailure", "True", "FailedCreate")
        assert told["message"] == "pods is forbidden: exceeded quota"
        # Slow start: one refusal, not three.
        assert set(lab.events("FailedCreate")) == {f"Error creating: {told['message']}"}
        shown = await lab.until(lambda: condition(lab.api.get("deployments", "web", "default"), "ReplicaFailure"))
        assert shown["message"] == told["message"]
        lab.api.create = create
        await lab.until(complete(lab, "app:v1"))
        assert not condition(lab.api.get("deployments", "web", "default"), "ReplicaFailure")

    in_lab(test, speed=1000, warnings="exceeded quota")
