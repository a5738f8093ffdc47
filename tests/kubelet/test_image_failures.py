"""What a node says when an image cannot be had: events in their order, waiting reasons, back-off."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest

Run = Callable[..., None]
MakePod = Callable[..., dict[str, Any]]
MAIN = "spec.containers{main}"


def short(lab: Any, name: str) -> list[tuple[str, str]]:
    return [(reason, path) for reason, _, path in lab.first_events(name)]


PULL_FAILED = [("Pulling", ""), ("Failed", ""), ("Failed", MAIN), ("BackOff", ""), ("Failed", MAIN)]


def test_a_missing_tag_fails_backs_off_and_comes_right(on_node: Run, make_pod: MakePod) -> None:
    async def test(lab: Any) -> None:
        probe = await lab.push_probe()
        reference = f"{lab.registry}/lab/ok:v1"
        lab.create(make_pod("p", probe, {"content": reference}))
        waiting = await lab.until_waiting("p", "ErrImagePull")
        why = (
            f'rpc error: code = NotFound desc = failed to pull and unpack image "{reference}": '
            f"failed to resolve image: {reference}: not found"
        )
        assert waiting["message"] == why
        assert lab.pod("p")["status"]["phase"] == "Pending"
        await lab.until(lambda: len(lab.first_events("p")) == 5)
        assert short(lab, "p") == PULL_FAILED
        assert [message for _, message, _ in lab.first_events("p")] == [
            f'Pulling image "{reference}"',
            f'Failed to pull image "{reference}": {why}',
            "Error: ErrImagePull",
            f'Back-off pulling image "{reference}"',
            "Error: ImagePullBackOff",
        ]
        backing_off = await lab.until_waiting("p", "ImagePullBackOff")
        assert backing_off["message"] == f'Back-off pulling image "{reference}": ErrImagePull: {why}'
        await lab.push_case("ok")
        await lab.until_phase("p", "Succeeded")

    on_node(test, speed=100)


def test_an_unreachable_registry(on_node: Run, make_pod: MakePod) -> None:
    async def test(lab: Any) -> None:
        probe = await lab.push_probe()
        with socket.socket() as held:
            held.bind(("127.0.0.1", 0))
            nowhere = f"127.0.0.1:{held.getsockname()[1]}"
            lab.create(make_pod("p", probe, {"content": f"{nowhere}/lab/ok:v1"}))
            waiting = await lab.until_waiting("p", "ErrImagePull")
        assert waiting["message"] == (
            f'failed to pull and unpack image "{nowhere}/lab/ok:v1": failed to resolve image: failed to do request: '
            f'Head "https://{nowhere}/v2/lab/ok/manifests/v1": dial tcp {nowhere}: connect: connection refused'
        )

    on_node(test)


def test_never_needs_the_image_on_the_node(on_node: Run, make_pod: MakePod) -> None:
    async def test(lab: Any) -> None:
        probe, content = await lab.push_probe(), await lab.push_case("ok")
        lab.create(make_pod("p", probe, {"content": content}, policy="Never"))
        waiting = await lab.until_waiting("p", "ErrImageNeverPull")
        assert waiting["message"] == f'Container image "{content}" is not present with pull policy of Never'
        assert short(lab, "p") == [("ErrImageNeverPull", ""), ("Failed", MAIN)]
        assert lab.first_events("p")[1][1] == "Error: ErrImageNeverPull"

    on_node(test)


def test_a_reference_that_is_none(on_node: Run, make_pod: MakePod) -> None:
    async def test(lab: Any) -> None:
        probe = await lab.push_probe()
        lab.create(make_pod("p", probe, {"content": f"{lab.registry}/lab/OK:v1"}))
        waiting = await lab.until_waiting("p", "InvalidImageName")
        assert waiting["message"] == (
            f'Failed to apply default image tag "{lab.registry}/lab/OK:v1": couldn\'t parse image name '
            f'"{lab.registry}/lab/OK:v1": invalid reference format: repository name (lab/OK) must be lowercase'
        )
        assert short(lab, "p") == [("InspectFailed", ""), ("Failed", MAIN)]

    on_node(test)


def test_only_containers_that_mount_a_failed_volume_wait(on_node: Run, make_pod: MakePod) -> None:
    async def test(lab: Any) -> None:
        actor = await lab.push_actor()
        pod = make_pod("p", actor, {"content": f"{lab.registry}/lab/absent:v1"}, container={"args": ["wait"]})
        pod["spec"]["containers"].append(
            {"name": "other", "image": actor, "imagePullPolicy": "IfNotPresent", "args": ["wait"]}
        )
        lab.create(pod)
        await lab.until_waiting("p", "ErrImagePull")
        await lab.until(lambda: lab.pod("p")["status"]["containerStatuses"][1]["ready"])
        assert lab.pod("p")["status"]["phase"] == "Pending"

    on_node(test)


def test_an_unmounted_volume_that_fails_keeps_nobody(on_node: Run, make_pod: MakePod) -> None:
    async def test(lab: Any) -> None:
        probe = await lab.push_probe()
        lab.create(make_pod("p", probe, {"content": "127.0.0.1:1/x:v1"}, container={"volumeMounts": []}))
        await lab.until_phase("p", "Succeeded", "Failed")
        assert ("Pulling", "") in short(lab, "p")

    on_node(test)


def test_a_volume_that_cannot_be_mounted(on_node: Run, make_pod: MakePod) -> None:
    message = (
        "failed to mount image volume: ImageVolumeMountFailed: failed to unpack image volume: "
        "mismatched image rootfs and manifest layers"
    )

    async def test(lab: Any) -> None:
        probe, content = await lab.push_probe(), await lab.push_case("bare-oras")
        lab.create(make_pod("p", probe, {"content": content}))
        waiting = await lab.until_waiting("p", "CreateContainerError")
        assert waiting["message"] == message
        await lab.until(lambda: len(lab.first_events("p")) == 7)
        # The probe's image is new to this node, unlike to the recorded one: the second sync finds both present.
        assert short(lab, "p") == [
            ("Pulling", ""),
            ("Pulled", ""),
            ("Pulling", MAIN),
            ("Pulled", MAIN),
            ("Failed", MAIN),
            ("Pulled", ""),
            ("Pulled", MAIN),
        ]
        assert lab.first_events("p")[4][1] == f"Error: {message}"

    on_node(test)


def test_an_empty_secret_list_is_anonymous_and_a_private_registry_says_so(on_node: Run, make_pod: MakePod) -> None:
    async def test(lab: Any) -> None:
        probe = await lab.push_probe()
        await lab.push_case("ok")
        lab.create(make_pod("p", probe, {"content": f"{lab.private}/lab/ok:v1"}))
        waiting = await lab.until_waiting("p", "ErrImagePull")
        assert waiting["message"].endswith("authorization failed: no basic auth credentials")

    on_node(test)


def test_pull_secrets_are_tried_in_turn(on_node: Run, make_pod: MakePod) -> None:
    async def test(lab: Any) -> None:
        probe = await lab.push_probe()
        await lab.push_case("ok")
        lab.secret("wrong", lab.private, password="wrong")
        lab.secret("right", lab.private)
        secrets = [{"name": "absent"}, {"name": "wrong"}, {"name": "right"}]
        lab.create(make_pod("p", probe, {"content": f"{lab.private}/lab/ok:v1"}, imagePullSecrets=secrets))
        await lab.until_phase("p", "Succeeded")
        assert lab.first_events("p")[0] == (
            "FailedToRetrieveImagePullSecret",
            "Unable to retrieve some image pull secrets (absent); attempting to pull the image may not succeed.",
            "",
        )

    on_node(test)


def test_wrong_credentials_are_refused_and_told_once(on_node: Run, make_pod: MakePod) -> None:
    async def test(lab: Any) -> None:
        probe = await lab.push_probe()
        await lab.push_case("ok")
        lab.secret("one", lab.private, password="wrong")
        lab.secret("two", lab.private, password="wrong, too")
        pod = make_pod("p", probe, {"content": f"{lab.private}/lab/ok:v1"})
        pod["spec"]["imagePullSecrets"] = [{"name": "one"}, {"name": "two"}]
        lab.create(pod)
        waiting = await lab.until_waiting("p", "ErrImagePull")
        assert waiting["message"].count("401 Unauthorized") == 1

    on_node(test)


@pytest.mark.parametrize(("policy", "reason"), [("IfNotPresent", "ErrImagePull"), ("Never", "ErrImageNeverPull")])
def test_a_private_image_on_the_node_is_not_given_to_others(
    on_node: Run, make_pod: MakePod, policy: str, reason: str
) -> None:
    async def test(lab: Any) -> None:
        probe = await lab.push_probe()
        await lab.push_case("ok")
        lab.secret("right", lab.private)
        content = {"content": f"{lab.private}/lab/ok:v1"}
        lab.create(make_pod("owner", probe, content, imagePullSecrets=[{"name": "right"}]))
        await lab.until_phase("owner", "Succeeded")
        lab.create(make_pod("other", probe, content, policy=policy))
        await lab.until_waiting("other", reason)
        lab.create(make_pod("friend", probe, content, policy=policy, imagePullSecrets=[{"name": "right"}]))
        await lab.until_phase("friend", "Succeeded")
        assert short(lab, "friend")[0] == ("Pulled", "")

    on_node(test)
