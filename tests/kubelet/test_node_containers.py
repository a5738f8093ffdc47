"""Containers on a real node: identity, environment, volumes, restarts, ends."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

Run = Callable[..., None]
MakePod = Callable[..., dict[str, Any]]
MAIN = "spec.containers{main}"
ANYBODY: dict[str, Any] = {"runAsUser": 0, "runAsNonRoot": False}


def status(lab: Any, name: str, index: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = lab.pod(name)["status"]["containerStatuses"][index]
    return found


@pytest.mark.parametrize(
    ("user", "context", "expected"),
    [
        ("", {}, {"uid": 0, "gid": 0, "groups": [0]}),
        ("", {"runAsUser": 65532, "fsGroup": 65532}, {"uid": 65532, "gid": 0, "groups": [0, 65532]}),
        (
            "",
            {"runAsUser": 7, "runAsGroup": 8, "supplementalGroups": [9]},
            {"uid": 7, "gid": 8, "groups": [8, 9]},
        ),
        ("65532:65532", {}, {"uid": 65532, "gid": 65532, "groups": [65532]}),
        ("web", {}, {"uid": 101, "gid": 102, "groups": [102, 103]}),
        ("", {"runAsUser": 101}, {"uid": 101, "gid": 102, "groups": [102, 103]}),
    ],
)
def test_whom_a_container_runs_as(
    on_node: Run, make_pod: MakePod, user: str, context: dict[str, Any], expected: dict[str, Any]
) -> None:
    async def test(lab: Any) -> None:
        if lab.kubelet.isolation.mode != "root":
            pytest.skip("an ordinary user cannot be given groups")
        passwd = {"etc/passwd": "root:x:0:0::/:/\nweb:x:101:102::/:/\n", "etc/group": "extra:x:103:web\n"}
        actor = await lab.push_actor(config={"User": user}, files=passwd)
        lab.create(make_pod("p", actor, container={"args": ["identity"]}, securityContext=context))
        await lab.until_phase("p", "Succeeded")
        assert json.loads(await lab.log("p")) == expected

    on_node(test)


@pytest.mark.parametrize(
    ("user", "context", "message"),
    [
        ("", {"runAsNonRoot": True}, "container has runAsNonRoot and image will run as root {where}"),
        (
            "web",
            {"runAsNonRoot": True},
            "container has runAsNonRoot and image has non-numeric user (web), cannot verify user is non-root {where}",
        ),
        ("5", {"runAsNonRoot": True, "runAsUser": 0}, "container's runAsUser breaks non-root policy {where}"),
    ],
)
def test_root_is_refused_where_the_pod_says_so(
    on_node: Run, make_pod: MakePod, user: str, context: dict[str, Any], message: str
) -> None:
    async def test(lab: Any) -> None:
        actor = await lab.push_actor(config={"User": user})
        uid = lab.create(make_pod("p", actor, securityContext=context))["metadata"]["uid"]
        waiting = await lab.until_waiting("p", "CreateContainerConfigError")
        expected = message.format(where=f'(pod: "p_default({uid})", container: main)')
        assert waiting["message"] == expected
        assert ("Failed", f"Error: {expected}", MAIN) in lab.first_events("p")

    on_node(test)


def test_the_environment_has_what_the_pod_asks_for(on_node: Run, make_pod: MakePod) -> None:
    async def test(lab: Any) -> None:
        actor = await lab.push_actor(config={"Env": ["FROM_IMAGE=image", "REPLACED=image"]})
        encoded = base64.b64encode(b"s3cret").decode()
        lab.api.create("secrets", {"metadata": {"name": "s"}, "data": {"key": encoded}}, "default")
        lab.api.create("configmaps", {"metadata": {"name": "c"}, "data": {"key": "config", "X": "x"}}, "default")
        variables = [
            {"name": "REPLACED", "value": "pod"},
            {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "s", "key": "key"}}},
            {"name": "CONFIG", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "key"}}},
            {"name": "NONE", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "no", "optional": True}}},
            {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "LABEL", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
            {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
            {"name": "JOINED", "value": "$(NAME)-$(SECRET)-$(MISSING)-$$(NAME)"},
        ]
        names = [each["name"] for each in variables]
        names += ["FROM_IMAGE", "PREFIX_X", "KUBERNETES_SERVICE_HOST", "HOSTNAME"]
        container = {
            "args": [f"env={name}" for name in names] + ["print=$(JOINED)"],
            "env": variables,
            "envFrom": [{"prefix": "PREFIX_", "configMapRef": {"name": "c"}}],
        }
        pod = make_pod("p", actor, container=container, securityContext={})
        pod["metadata"]["labels"] = {"app": "demo"}
        lab.create(pod)
        await lab.until_phase("p", "Succeeded")
        lines = (await lab.log("p")).splitlines()
        seen = dict(line.split("=", 1) for line in lines[:-1])
        assert seen == {
            "REPLACED": "pod",
            "SECRET": "s3cret",
            "CONFIG": "config",
            "NONE": "",
            "NAME": "p",
            "LABEL": "demo",
            "IP": lab.pod("p")["status"]["podIP"],
            "NODE": "imgvol-node",
            "JOINED": "p-s3cret-$(MISSING)-$(NAME)",
            "FROM_IMAGE": "image",
            "PREFIX_X": "x",
            "KUBERNETES_SERVICE_HOST": "10.96.0.1",
            "HOSTNAME": "p",
        }
        assert lines[-1] == seen["JOINED"]

    on_node(test)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"secretKeyRef": {"name": "s", "key": "k"}}, 'secret "s" not found'),
        ({"configMapKeyRef": {"name": "c", "key": "k"}}, 'configmap "c" not found'),
        ({"configMapKeyRef": {"name": "there", "key": "k"}}, "couldn't find key k in ConfigMap default/there"),
    ],
)
def test_a_missing_source_is_a_configuration_error(
    on_node: Run, make_pod: MakePod, source: dict[str, Any], message: str
) -> None:
    async def test(lab: Any) -> None:
        actor = await lab.push_actor()
        lab.api.create("configmaps", {"metadata": {"name": "there"}, "data": {"a": "b"}}, "default")
        lab.create(make_pod("p", actor, container={"env": [{"name": "X", "valueFrom": source}]}))
        waiting = await lab.until_waiting("p", "CreateContainerConfigError")
        assert waiting["message"] == message

    on_node(test)


def test_an_empty_directory_is_shared_between_containers(on_node: Run, make_pod: MakePod) -> None:
    async def test(lab: Any) -> None:
        actor = await lab.push_actor()
        mounts = [{"name": "shared", "mountPath": "/shared"}]
        pod = make_pod("p", actor, container={"args": ["read=/shared/file"], "volumeMounts": mounts})
        pod["spec"]["volumes"] = [{"name": "shared", "emptyDir": {}}]
        pod["spec"]["initContainers"] = [
            {
                "name": "first",
                "image": actor,
                "imagePullPolicy": "IfNotPresent",
                "args": ["write=/shared/file"],
                "volumeMounts": mounts,
            }
        ]
        lab.create(pod)
        done = await lab.until_phase("p", "Succeeded", "Failed")
        assert (await lab.log("p")).rstrip() == "written"
        assert done["status"]["initContainerStatuses"][0]["state"]["terminated"]["reason"] == "Completed"
        assert done["status"]["initContainerStatuses"][0]["ready"]
        places = [path for reason, _, path in lab.first_events("p") if reason == "Started"]
        assert places == ["spec.initContainers{first}", MAIN]

    on_node(test)


def test_an_init_container_that_fails_ends_the_pod_or_is_tried_again(on_node: Run, make_pod: MakePod) -> None:
    async def test(lab: Any) -> None:
        actor = await lab.push_actor()
        for name, policy in (("never", "Never"), ("always", "Always")):
            pod = make_pod(name, actor, restartPolicy=policy)
            pod["spec"]["initContainers"] = [
                {"name": "first", "image": actor, "imagePullPolicy": "IfNotPresent", "args": ["exit=3"]}
            ]
            lab.create(pod)
        failed = await lab.until_phase("never", "Failed")
        assert failed["status"]["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 3
        assert failed["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == "PodInitializing"

        def crashing() -> bool:
            first = (lab.pod("always")["status"].get("initContainerStatuses") or [{"state": {}}])[0]
            return bool(first["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff")

        await lab.until(crashing)
        assert lab.pod("always")["status"]["phase"] == "Pending"

    on_node(test)


def test_a_container_that_fails_is_restarted_with_growing_pauses(on_node: Run, make_pod: MakePod) -> None:
    async def test(lab: Any) -> None:
        actor = await lab.push_actor()
        uid = lab.create(make_pod("p", actor, container={"args": ["exit=1"]}, restartPolicy="Always"))["metadata"][
            "uid"
        ]
        texts = [f"back-off {pause} restarting failed container=main pod=p_default({uid})" for pause in ("10s", "20s")]
        seen: list[str] = []

        def restarted_three_times() -> bool:
            waiting = status(lab, "p")["state"].get("waiting", {})
            if waiting.get("reason") == "CrashLoopBackOff" and waiting["message"] not in seen:
                seen.append(waiting["message"])
            return bool(status(lab, "p")["restartCount"] == 3)

        await lab.until_waiting("p", "CrashLoopBackOff")
        assert status(lab, "p")["lastState"]["terminated"]["exitCode"] == 1
        assert lab.pod("p")["status"]["phase"] == "Running"
        event = ("BackOff", f"Back-off restarting failed container main in pod p_default({uid})", MAIN)
        assert event in lab.first_events("p")
        await lab.until(restarted_three_times)
        assert seen in (texts, texts[1:])  # a busy machine may look up only after the first

    on_node(test, speed=50)


@pytest.mark.parametrize(("code", "phase"), [(0, "Succeeded"), (3, "Failed")])
def test_never_restarts_nothing(on_node: Run, make_pod: MakePod, code: int, phase: str) -> None:
    async def test(lab: Any) -> None:
        actor = await lab.push_actor()
        lab.create(make_pod("p", actor, container={"args": [f"exit={code}"]}))
        await lab.until_phase("p", phase)
        ended = status(lab, "p")["state"]["terminated"]
        assert (ended["exitCode"], ended["reason"]) == (code, "Error" if code else "Completed")
        await lab.until(lambda: lab.pod("p")["status"]["conditions"][0]["status"] == "False")

    on_node(test)


def test_a_program_that_is_not_there(on_node: Run, make_pod: MakePod) -> None:
    async def test(lab: Any) -> None:
        actor = await lab.push_actor()
        lab.create(make_pod("p", actor, container={"command": ["/nowhere"]}))
        pod = await lab.until_phase("p", "Failed")
        ended = pod["status"]["containerStatuses"][0]["state"]["terminated"]
        assert (ended["exitCode"], ended["reason"]) == (128, "StartError")
        assert 'exec: "/nowhere": stat /nowhere: no such file or directory' in ended["message"]
        events = [reason for reason, _, path in lab.first_events("p") if path == MAIN]
        assert events == ["Pulling", "Pulled", "Created", "Failed"]
        assert await lab.log("p") == ""

    on_node(test)


def test_a_container_leaves_a_message(on_node: Run, make_pod: MakePod) -> None:
    async def test(lab: Any) -> None:
        actor = await lab.push_actor()
        lab.create(make_pod("file", actor, container={"args": ["write=/dev/termination-log", "exit=1"]}))
        log = {"args": ["print=oh no", "exit=1"], "terminationMessagePolicy": "FallbackToLogsOnError"}
        lab.create(make_pod("log", actor, container=log))
        await lab.until_phase("file", "Failed")
        await lab.until_phase("log", "Failed")
        assert status(lab, "file")["state"]["terminated"]["message"] == "written"
        assert status(lab, "log")["state"]["terminated"]["message"] == "oh no\n"

    on_node(test)


def test_a_sub_path_may_come_from_a_variable(on_node: Run, make_pod: MakePod) -> None:
    async def test(lab: Any) -> None:
        actor, content = await lab.push_actor(), await lab.push_case("ok")

        def pod(name: str, expression: str) -> dict[str, Any]:
            mount = {"name": "content", "mountPath": "/content", "subPathExpr": expression}
            variables = [
                {"name": "WHERE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                {"name": "ROOT", "value": "/config"},
                {"name": "UP", "value": ".."},
            ]
            container = {"args": ["read=/content/app.yaml"], "env": variables, "volumeMounts": [mount]}
            return make_pod(name, actor, {"content": content}, container=container)

        lab.create(pod("config", "$(WHERE)"))
        await lab.until_phase("config", "Succeeded")
        assert (await lab.log("config")).startswith("version: v1")
        for name, expression, message in (
            ("missing", "$(NOWHERE)", "missing value for NOWHERE"),
            ("absolute", "$(ROOT)", "error SubPath `/config` must not be an absolute path"),
            ("upwards", "config/$(UP)", "unable to provision SubPath `config/..`: must not contain '..'"),
        ):
            lab.create(pod(name, expression))
            waiting = await lab.until_waiting(name, "CreateContainerConfigError")
            assert waiting["message"] == message

    on_node(test)


def test_a_sub_path_that_is_not_there(on_node: Run, make_pod: MakePod) -> None:
    async def test(lab: Any) -> None:
        probe, content = await lab.push_probe(), await lab.push_case("ok")
        mount = {"name": "content", "mountPath": "/content", "subPath": "nope"}
        lab.create(make_pod("p", probe, {"content": content}, container={"volumeMounts": [mount]}))
        waiting = await lab.until_waiting("p", "CreateContainerError")
        assert waiting["message"].startswith(
            'failed to mount image volume: ImageVolumeMountFailed: failed to ensure image subpath "nope" in "'
        )
        assert waiting["message"].endswith('": openat nope: no such file or directory')

    on_node(test)
