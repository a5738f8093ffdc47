"""The life of a pod: probes, moved tags, termination, logs, and the node itself."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., None]
MakePod = Callable[..., dict[str, Any]]
MAIN = "spec.containers{main}"


def main(lab: Any, name: str = "p") -> dict[str, Any]:
    statuses = lab.pod(name)["status"].get("containerStatuses") or [{"state": {}, "ready": False, "restartCount": 0}]
    found: dict[str, Any] = statuses[0]
    return found


async def get(lab: Any, name: str, path: str, port: int = 8080) -> bytes:
    reader, writer = await lab.kubelet.dial(lab.pod(name), port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: pod\r\nConnection: close\r\n\r\n".encode())
    answer: bytes = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


def serving(lab: Any, **probes: Any) -> dict[str, Any]:
    return {"args": ["serve=8080"], "ports": [{"name": "http", "containerPort": 8080}], **probes}


def ok(**more: Any) -> dict[str, Any]:
    return {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1, **more}


def test_readiness_follows_the_probe(on_node: Run, make_pod: MakePod) -> None:
    async def test(lab: Any) -> None:
        actor = await lab.push_actor()
        lab.create(make_pod("p", actor, container=serving(lab, readinessProbe=ok(failureThreshold=2))))
        await lab.until(lambda: main(lab)["ready"])
        conditions = {each["type"]: each["status"] for each in lab.pod("p")["status"]["conditions"]}
        assert conditions == dict.fromkeys(
            ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"], "True"
        )
        await get(lab, "p", "/set?status=500")
        await lab.until(lambda: not main(lab)["ready"])
        unhealthy = ("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 500", MAIN)
        assert unhealthy in lab.first_events("p")
        ready = next(each for each in lab.pod("p")["status"]["conditions"] if each["type"] == "Ready")
        assert (ready["reason"], ready["message"]) == (
            "ContainersNotReady",
            "containers with unready status: [main]",
        )
        await get(lab, "p", "/set?status=200")
        await lab.until(lambda: main(lab)["ready"])

    on_node(test)


def test_a_container_that_fails_its_liveness_probe_is_restarted(on_node: Run, make_pod: MakePod) -> None:
    async def test(lab: Any) -> None:
        actor = await lab.push_actor()
        container = serving(lab, livenessProbe=ok(failureThreshold=2), readinessProbe=ok())
        lab.create(make_pod("p", actor, container=container, restartPolicy="Always"))
        await lab.until(lambda: main(lab)["ready"])
        await get(lab, "p", "/set?status=500")
        await lab.until(lambda: main(lab)["restartCount"] == 1 and main(lab)["ready"])
        assert ("Killing", "Container main failed liveness probe, will be restarted", MAIN) in lab.first_events("p")
        assert main(lab)["lastState"]["terminated"]["reason"] == "Error"

    on_node(test)


def test_a_startup_probe_holds_back_the_others(on_node: Run, make_pod: MakePod) -> None:
    async def test(lab: Any) -> None:
        actor = await lab.push_actor()
        probes = {
            "startupProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1, "initialDelaySeconds": 20},
            "livenessProbe": ok(failureThreshold=1),
        }
        lab.create(make_pod("p", actor, container=serving(lab, **probes)))
        await lab.until(lambda: "running" in main(lab)["state"])
        assert main(lab)["started"] is False
        await lab.until(lambda: main(lab)["started"] and main(lab)["ready"])
        assert main(lab)["restartCount"] == 0

    on_node(test)


@pytest.mark.parametrize(
    ("verb", "code", "text"), [("wait", 0, "waiting\nterminated\n"), ("stubborn", 137, "waiting\n")]
)
def test_a_pod_has_its_grace_period_to_end(on_node: Run, make_pod: MakePod, verb: str, code: int, text: str) -> None:
    async def test(lab: Any) -> None:
        actor = await lab.push_actor()
        lab.create(make_pod("p", actor, container={"args": [verb]}, terminationGracePeriodSeconds=40))
        await lab.until(lambda: "running" in main(lab)["state"])
        pod = lab.pod("p")
        await lab.says("p", "waiting")
        seen: list[dict[str, Any]] = []
        watch = lab.api.watch("pods", "default", since=pod["metadata"]["resourceVersion"])
        began = lab.clock.now()
        lab.api.delete("pods", "p", "default")
        async for event in watch:
            seen.append(event.object)
            if event.type == "DELETED":
                break
        took = lab.clock.now() - began
        assert took < 30 if code == 0 else 40 <= took < 70
        ended = seen[-1]["status"]
        assert ended["phase"] == ("Succeeded" if code == 0 else "Failed")
        assert ended["containerStatuses"][0]["state"]["terminated"]["exitCode"] == code
        assert ("Killing", "Stopping container main", MAIN) in lab.first_events("p")
        assert seen[0]["metadata"]["deletionGracePeriodSeconds"] == 40

    on_node(test)


def test_a_shorter_grace_period_counts_at_once(on_node: Run, make_pod: MakePod) -> None:
    async def test(lab: Any) -> None:
        actor = await lab.push_actor()
        lab.create(make_pod("p", actor, container={"args": ["stubborn"]}, terminationGracePeriodSeconds=3600))
        await lab.until(lambda: "running" in main(lab)["state"])
        lab.api.delete("pods", "p", "default")
        await lab.until(lambda: lab.pod("p")["metadata"].get("deletionTimestamp"))
        lab.api.delete("pods", "p", "default", grace_period=1)
        await lab.until(lambda: not lab.api.list("pods", "default").items)

    on_node(test)


def test_a_pod_that_is_removed_by_force_goes_too(on_node: Run, make_pod: MakePod) -> None:
    async def test(lab: Any) -> None:
        actor = await lab.push_actor()
        lab.create(make_pod("p", actor, container={"args": ["stubborn"]}))
        await lab.until(lambda: "running" in main(lab)["state"])
        lab.api.delete("pods", "p", "default", grace_period=0)
        await lab.until(lambda: not lab.api.list("pods", "default").items)
        await lab.until(lambda: not lab.kubelet.pods)

    on_node(test)


def test_a_pre_stop_pause_comes_before_the_signal(on_node: Run, make_pod: MakePod) -> None:
    async def test(lab: Any) -> None:
        actor = await lab.push_actor()
        container = {"args": ["wait"], "lifecycle": {"preStop": {"sleep": {"seconds": 20}}}}
        lab.create(make_pod("p", actor, container=container))
        await lab.until(lambda: "running" in main(lab)["state"])
        await lab.says("p", "waiting")
        began = lab.clock.now()
        lab.api.delete("pods", "p", "default")
        await lab.until(lambda: not lab.api.list("pods", "default").items)
        assert lab.clock.now() - began >= 20

    on_node(test)


def test_a_pod_is_deleted_while_its_registry_hangs(on_node: Run, make_pod: MakePod) -> None:
    async def test(lab: Any) -> None:
        connected = asyncio.Event()

        async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connected.set()
            with contextlib.suppress(OSError):
                await reader.read(-1)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

        server = await asyncio.start_server(hang, "127.0.0.1")
        address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        lab.create(make_pod("p", f"{address}/lab/x:v1"))
        await connected.wait()
        lab.api.delete("pods", "p", "default")
        await lab.until(lambda: not lab.api.list("pods", "default").items)
        server.close()

    on_node(test)


def test_a_sandbox_that_somebody_ended_is_made_anew(on_node: Run, make_pod: MakePod) -> None:
    async def test(lab: Any) -> None:
        actor = await lab.push_actor()
        lab.create(make_pod("p", actor, container={"args": ["wait"]}, restartPolicy="Always"))
        await lab.until(lambda: "running" in main(lab)["state"])
        for pid in _children():
            os.kill(pid, signal.SIGKILL)
        await lab.until(lambda: main(lab)["restartCount"] >= 1 and "running" in main(lab)["state"])
        event = ("SandboxChanged", "Pod sandbox changed, it will be killed and re-created.", "")
        assert event in lab.first_events("p")

    on_node(test)


def test_a_sandbox_that_cannot_be_made_is_told_and_tried_again(
    on_node: Run, make_pod: MakePod, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def test(lab: Any) -> None:
        probe = await lab.push_probe()
        with monkeypatch.context() as broken:
            broken.setenv("IMGVOL_BIN", str(tmp_path))
            lab.create(make_pod("p", probe))
            await lab.until(lambda: lab.first_events("p"))
            (reason, message, path) = lab.first_events("p")[0]
            assert (reason, path) == ("FailedCreatePodSandBox", "")
            assert message.startswith("Failed to create pod sandbox: ")
            assert main(lab)["state"] == {"waiting": {"reason": "ContainerCreating"}}
        await lab.until_phase("p", "Succeeded", "Failed")

    on_node(test)


@pytest.mark.parametrize(("policy", "pulls"), [("Always", 2), ("IfNotPresent", 1)])
def test_every_sync_asks_for_the_image_of_a_volume_anew(
    on_node: Run, make_pod: MakePod, policy: str, pulls: int
) -> None:
    async def test(lab: Any) -> None:
        actor, content = await lab.push_actor(), await lab.push_case("ok")
        lab.create(make_pod("p", actor, {"content": content}, policy=policy, container={"args": ["wait"]}))
        await lab.until(lambda: "running" in main(lab)["state"])

        def count(reason: str, text: str) -> int:
            events = lab.api.list("events").items
            return sum(each["count"] for each in events if each["reason"] == reason and text in each["message"])

        await lab.until(lambda: count("Pulled", "/ok:") == 2)
        assert count("Pulling", "/ok:") == pulls
        # The runtime's events cause the second sync; from then on, time does.
        await lab.until(lambda: count("Pulled", "/ok:") == 3)
        assert count("Pulling", "/ok:") == (3 if policy == "Always" else 1)

    on_node(test, speed=200)


def test_a_pod_that_waits_for_its_image_goes_at_once(on_node: Run, make_pod: MakePod) -> None:
    async def test(lab: Any) -> None:
        lab.create(make_pod("p", f"{lab.registry}/lab/absent:v1"))
        await lab.until_waiting("p", "ErrImagePull")
        lab.api.delete("pods", "p", "default")
        await lab.until(lambda: not lab.api.list("pods", "default").items)

    on_node(test, speed=1)


@pytest.mark.parametrize(("policy", "moves"), [("Always", True), ("IfNotPresent", False)])
def test_a_restarted_container_sees_a_moved_tag_under_always(
    on_node: Run, make_pod: MakePod, policy: str, moves: bool
) -> None:
    async def test(lab: Any) -> None:
        actor, content = await lab.push_actor(), await lab.push_case("ok", nonce="first")
        up = {"tcpSocket": {"port": 8080}, "periodSeconds": 1, "failureThreshold": 100}
        container = serving(lab, startupProbe=up, livenessProbe=ok(failureThreshold=1), readinessProbe=ok())
        container["args"] = ["read=/content/~nonce", "print=", "serve=8080"]
        pod = make_pod("p", actor, {"content": content}, policy=policy, container=container, restartPolicy="Always")
        lab.create(pod)
        await lab.until(lambda: main(lab)["ready"])
        await lab.push_case("ok", nonce="second")
        await get(lab, "p", "/set?status=500")
        await lab.until(lambda: main(lab)["restartCount"] == 1 and main(lab)["ready"])
        assert "first" in await lab.log("p", previous=True)
        assert ("second" if moves else "first") in await lab.log("p")
        pulls = [message for reason, message, _ in lab.first_events("p") if reason == "Pulling" and "/ok:" in message]
        assert len(pulls) == 1

    on_node(test)


def test_logs_can_be_followed_cut_and_are_missed_in_the_kubelets_words(on_node: Run, make_pod: MakePod) -> None:
    async def test(lab: Any) -> None:
        from emulator.cluster import ApiError

        actor = await lab.push_actor()
        lab.create(make_pod("p", actor, container={"args": ["print=one", "print=two", "wait"]}))
        await lab.until(lambda: "running" in main(lab)["state"])
        following = asyncio.create_task(lab.log("p", follow=True))
        await lab.says("p", "waiting")
        assert await lab.log("p", tail_lines=2) == "two\nwaiting\n"
        with pytest.raises(ApiError) as error:
            await lab.log("p", previous=True)
        assert str(error.value) == 'previous terminated container "main" in pod "p" not found'
        lab.api.delete("pods", "p", "default")
        assert await following == "one\ntwo\nwaiting\nterminated\n"
        lab.create(make_pod("q", f"{lab.registry}/lab/absent:v1"))
        await lab.until_waiting("q", "ErrImagePull")
        with pytest.raises(ApiError) as error:
            await lab.log("q")
        assert str(error.value) == 'container "main" in pod "q" is waiting to start: image can\'t be pulled'
        assert error.value.code == 400

    on_node(test)


def test_every_pod_has_port_8080_to_itself(on_node: Run, make_pod: MakePod) -> None:
    async def test(lab: Any) -> None:
        if "network" in lab.kubelet.isolation.lacks:
            pytest.skip("pods share a network here")
        engine, content = await lab.push_engine(), await lab.push_case("ok")
        for name in ("a", "b"):
            container = {"readinessProbe": {"httpGet": {"path": "/health", "port": 8080}}}
            lab.create(make_pod(name, engine, {"content": content}, container=container))
        for name in ("a", "b"):
            await lab.until(lambda name=name: main(lab, name)["ready"])
            tree = json.loads((await get(lab, name, "/tree")).partition(b"\r\n\r\n")[2].splitlines()[-1])
            assert tree["name"] == "content"
        assert lab.pod("a")["status"]["podIP"] != lab.pod("b")["status"]["podIP"]
        with pytest.raises(ConnectionRefusedError):
            await lab.kubelet.dial(lab.pod("a"), 9)

    on_node(test)


def test_the_node_is_registered_and_renews_its_lease(on_node: Run) -> None:
    async def test(lab: Any) -> None:
        node = lab.api.get("nodes", "imgvol-node")
        assert node["status"]["nodeInfo"]["kubeletVersion"] == "v1.36.3"
        assert node["status"]["nodeInfo"]["containerRuntimeVersion"] == "containerd://2.3.7"
        assert node["metadata"]["labels"]["kubernetes.io/os"] == "linux"
        assert json.loads(node["metadata"]["annotations"]["imgvol.dev/lacks"]) == lab.kubelet.lacks
        ready = next(each for each in node["status"]["conditions"] if each["type"] == "Ready")
        assert ready["status"] == "True"

        def renewed() -> str:
            return str(lab.api.get("leases", "imgvol-node", "kube-node-lease")["spec"]["renewTime"])

        first = renewed()
        await lab.until(lambda: renewed() != first)

    on_node(test, speed=1000)


def test_a_node_that_ends_leaves_no_process(on_node: Run, make_pod: MakePod) -> None:
    pids: list[int] = []

    async def test(lab: Any) -> None:
        actor = await lab.push_actor()
        lab.create(make_pod("p", actor, container={"args": ["stubborn"]}))
        await lab.until(lambda: "running" in main(lab)["state"])
        pids.extend(_children())
        assert pids

    before = set(_children())
    on_node(test)
    assert set(_children()) <= before


def _children() -> list[int]:
    return [int(each) for each in Path("/proc/self/task").glob("*/children") for each in each.read_text().split()]
