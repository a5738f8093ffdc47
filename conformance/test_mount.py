"""What is mounted, where, and when."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable

from conformance.claims import claim
from conformance.engine import PROJECT_CONTENT, content_image
from conformance.kube import Object
from conformance.lab import Lab
from conformance.pods import usual_pod
from fixtures import ImageSpec, image_cases

_DOCS = "Kubernetes docs: image volumes"
_PROJECT = "project: the sample system"
_KUBELET = "Kubernetes: pkg/kubelet/kuberuntime, getImageVolumes before any container"
_OK = next(case for case in image_cases() if case.name == "ok").images["ok"]


def _image(*entries: dict[str, object]) -> ImageSpec:
    return ImageSpec(({"content": list(entries)},), {}, {}, None, {})


@claim("mount/content-visible-byte-for-byte", source=_PROJECT)
def test_content_visible(lab: Lab, evidence: list[str]) -> None:
    """Every file of the packaged directory is in the mount, byte for byte."""
    wanted = {
        str(path.relative_to(PROJECT_CONTENT)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in PROJECT_CONTENT.rglob("*")
        if path.is_file()
    }
    pod = usual_pod(
        "reader",
        image=lab.probe,
        reference=content_image(lab, PROJECT_CONTENT),
        container={"args": ["read", *(f"/content/{path}" for path in wanted)]},
    )
    seen = lab.look(pod)
    read = {path.removeprefix("/content/"): found.get("sha256") for path, found in seen.probe.items()}
    evidence.append(f"{len(read)} files read")
    assert read == wanted, seen.brief()


@claim("mount/pulled-before-any-container-starts", source=_KUBELET)
def test_pulled_first(lab: Lab) -> None:
    """The volume's image is pulled before the first container is started, init containers included."""
    lab.push("ok", _OK)
    reference = f"{lab.repository('ok').reference}:v1"
    pod = usual_pod("ordered", image=lab.probe, reference=reference, init=True)
    lab.look(pod)
    # Events come later than what they tell of, but in their order.
    lab.cluster.wait_event("ordered", _is_start_of("probe"), "the start of the container")
    reasons = [(event["reason"], "/ok:" in event["message"]) for event in lab.cluster.events("ordered")]
    assert reasons.index(("Pulled", True)) < reasons.index(("Started", False))


@claim("mount/visible-to-init-containers", source=_DOCS)
def test_init_container(lab: Lab) -> None:
    """An init container sees the whole content already."""
    lab.push("ok", _OK)
    pod = usual_pod("early", image=lab.probe, reference=f"{lab.repository('ok').reference}:v1", init=True)
    seen = lab.look(pod)
    first = json.loads(lab.cluster.log("early", "first"))
    assert first["files"] == seen.probe["files"]
    assert "config/app.yaml" in first["files"]


@claim("mount/visible-in-several-containers", source=_DOCS)
def test_several_containers(lab: Lab) -> None:
    """Containers of a pod that mount the same volume see the same content."""
    lab.push("ok", _OK)
    pod = usual_pod("pair", image=lab.probe, reference=f"{lab.repository('ok').reference}:v1")
    pod["spec"]["containers"].append({**pod["spec"]["containers"][0], "name": "second"})
    seen = lab.look(pod)
    assert json.loads(lab.cluster.log("pair", "second"))["files"] == seen.probe["files"]


@claim("mount/several-volumes-of-different-images", source=_DOCS)
def test_several_volumes(lab: Lab) -> None:
    """A pod mounts several images, each at its own path."""
    lab.push("ok", _OK)
    lab.push("other", _image({"path": "other.txt", "text": "other\n"}))
    pod = usual_pod("both", image=lab.probe, reference=f"{lab.repository('ok').reference}:v1", volumes=2)
    pod["spec"]["volumes"][1]["image"]["reference"] = f"{lab.repository('other').reference}:v1"
    pod["spec"]["containers"][0]["args"] = ["look", "/content", "/content2"]
    seen = lab.look(pod)
    assert "config/app.yaml" in seen.probe["/content"]["files"]
    assert "other.txt" not in seen.probe["/content"]["files"]
    assert "other.txt" in seen.probe["/content2"]["files"]


@claim("mount/empty-directories-kept", source="OCI image specification: layers")
def test_empty_directory(lab: Lab) -> None:
    """An empty directory is there, and empty."""
    lab.push("ok", _image({"path": "empty/"}, {"path": "deep/er/"}))
    seen = lab.look(usual_pod("empty", image=lab.probe, reference=f"{lab.repository('ok').reference}:v1"))
    files = seen.probe["files"]
    assert files["empty"].startswith("d")
    assert files["deep/er"].startswith("d")
    assert not [path for path in files if path.startswith(("empty/", "deep/er/"))]


@claim("mount/executable-bit-kept", source="OCI image specification: layers")
def test_executable_bit(lab: Lab) -> None:
    """A file packed executable can be executed, one packed otherwise cannot."""
    lab.push(
        "ok",
        _image(
            {"path": "tool", "program": "probe"},
            {"path": "script", "text": "no program\n", "mode": 0o755},
            {"path": "text", "text": "no program\n", "mode": 0o644},
        ),
    )
    reference = f"{lab.repository('ok').reference}:v1"
    for name, wanted in (("tool", "ok"), ("script", "exec format error"), ("text", "permission denied")):
        container = {"args": ["exec", f"/content/{name}", "env"]}
        seen = lab.look(usual_pod(f"runs-{name}", image=lab.probe, reference=reference, container=container))
        assert seen.probe["result"].endswith(wanted)


@claim("mount/symlinks-kept", source="OCI image specification: layers")
def test_symlinks(lab: Lab) -> None:
    """A relative symlink points where it was packed to point, and can be read through."""
    lab.push(
        "ok",
        _image(
            {"path": "data/real.txt", "text": "real\n"},
            {"path": "data/link.txt", "type": "symlink", "link": "real.txt"},
        ),
    )
    reference = f"{lab.repository('ok').reference}:v1"
    listed = lab.look(usual_pod("listed", image=lab.probe, reference=reference))
    assert listed.probe["files"]["data/link.txt"].endswith("-> real.txt")
    read = lab.look(
        usual_pod("read", image=lab.probe, reference=reference, container={"args": ["read", "/content/data/link.txt"]})
    )
    assert read.probe["/content/data/link.txt"]["sha256"] == hashlib.sha256(b"real\n").hexdigest()


@claim("mount/failing-volume-blocks-only-its-containers", source=_KUBELET, needs=())
def test_failing_volume(lab: Lab) -> None:
    """A volume that cannot be pulled keeps only those containers waiting that mount it."""
    pod = usual_pod("half", image=lab.probe, reference=f"{lab.repository('nothing').reference}:v1")
    pod["spec"]["containers"].append({"name": "apart", "image": lab.probe})

    def apart_ended(found: Object) -> bool:
        states = {status["name"]: status["state"] for status in found["status"].get("containerStatuses", [])}
        return "terminated" in states.get("apart", {}) and "ErrImagePull" in json.dumps(states.get("probe", {}))

    lab.cluster.create("pods", pod)
    lab.cluster.wait("pods", "half", apart_ended, "to have run one container and not the other")


@claim("mount/volume-nobody-mounts-blocks-nothing", source="Kubernetes: test/e2e_node/image_volume.go", needs=())
def test_unmounted_volume(lab: Lab) -> None:
    """A volume that cannot be pulled and that no container mounts stops nothing."""
    pod = usual_pod("free", image=lab.probe, reference=f"{lab.repository('nothing').reference}:v1")
    pod["spec"]["containers"][0]["volumeMounts"] = []
    seen = lab.look(pod)
    assert seen.probe["files"]["."].startswith("ERR"), seen.probe["files"]


def _is_start_of(container: str) -> Callable[[Object], bool]:
    def check(event: Object) -> bool:
        return (event["reason"], event["involvedObject"].get("fieldPath")) == (
            "Started",
            f"spec.containers{{{container}}}",
        )

    return check
