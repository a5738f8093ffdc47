"""Roll-outs on the real API server, from the Deployment to the pods and back."""

from __future__ import annotations

import asyncio


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
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": image}]}}}}
    return lab.api.patch("deployments", name, patch, "default", kind="strategic")


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
        for _ in range(50):
            await asyncio.sleep(0)
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
