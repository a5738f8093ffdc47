"""What a process sees of an image volume and may do there, against the recordings of real nodes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from emulator.node.sandbox import Container, StartError, VolumeMount
from emulator.node.sandbox.programs import program

REPOSITORY = Path(__file__).parents[2]
RECORDED = json.loads((REPOSITORY / "fixtures/observations/kubernetes-1.36.3_containerd-2.3.7.json").read_text())
FILES = {
    "config/app.yaml": "version: v1\n",
    "data/items.json": "[1,2,3]\n",
    "rules/r.rego": "allow = true\n",
}


def probe() -> Path:
    machine = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
    return Path(program(f"probe-linux-{machine}"))


async def look(pods, who=None, **fields) -> dict:
    (pods.rootfs / "probe").write_bytes(probe().read_bytes())
    (pods.rootfs / "probe").chmod(0o755)
    fields.setdefault("mounts", (pods.volume(FILES),))
    if who is not None:
        fields["identity"] = who
    ended, output = await pods.run(args=("/probe",), **fields)
    assert ended.code == 0, output
    return json.loads(output)


def same_writes(seen: dict, recorded: dict) -> None:
    ours, theirs = dict(seen["writes"]), dict(recorded["writes"])
    if "run.sh" not in seen["files"]:
        del ours["exec"], theirs["exec"]
    assert ours == theirs


def test_an_image_volume_is_as_recorded(in_pods) -> None:
    async def test(pods) -> None:
        recorded = RECORDED["images"]["ok"]["probe"]
        seen = await look(pods)
        assert (seen["mount_options"], seen["root_in_fs"]) == ("ro,relatime", "/")
        assert (seen["uid"], seen["gid"]) == (recorded["uid"], recorded["gid"])
        same_writes(seen, recorded)
        for name in FILES:
            assert seen["files"][name].split(" ", 2)[2] == recorded["files"][name].split(" ", 2)[2]
        if pods.isolation.mode == "root":
            assert seen["groups"] == recorded["groups"]
            assert {**recorded["files"], **seen["files"]} == recorded["files"]
        else:
            assert {"owners", "groups"} <= set(pods.isolation.lacks)

    in_pods(test)


def test_root_may_write_no_more(in_pods) -> None:
    async def test(pods) -> None:
        recorded = RECORDED["pods"]["as-root"]["probe"]
        seen = await look(pods, who=pods.root)
        same_writes(seen, recorded)
        assert seen["uid"] == 0
        if pods.isolation.mode == "root":
            assert seen["groups"] == recorded["groups"]

    in_pods(test)


def test_a_subpath_is_as_recorded(in_pods) -> None:
    async def test(pods) -> None:
        recorded = RECORDED["pods"]["sub-dir"]["probe"]
        seen = await look(pods, mounts=(pods.volume(FILES, subpath="config"),))
        assert (seen["mount_options"], seen["root_in_fs"]) == ("ro,relatime", "/config")
        assert list(seen["files"]) == list(recorded["files"])
        assert seen["writes"] == recorded["writes"]

    in_pods(test)


def test_an_image_without_layers_is_as_recorded(in_pods) -> None:
    async def test(pods) -> None:
        recorded = RECORDED["images"]["oras-file"]["probe"]
        empty = pods.image({})
        seen = await look(pods, mounts=(VolumeMount(empty, "/content"),))
        assert seen["writes"] == recorded["writes"]
        assert list(seen["files"]) == list(recorded["files"])
        if pods.isolation.mode == "root" or not os.statvfs(pods.state).f_flag & (os.ST_NOSUID | os.ST_NODEV):
            # Flags of the host's own mount are not an ordinary user's to clear.
            assert seen["mount_options"] == recorded["mount_options"]
        assert seen["root_in_fs"] not in ("/", "")

    in_pods(test)


def test_nothing_reaches_the_unpacked_image(in_pods) -> None:
    async def test(pods) -> None:
        volume = pods.volume(FILES)
        before = sorted((str(path), path.stat().st_mtime_ns) for path in volume.source.rglob("*"))
        await look(pods, mounts=(volume,))
        assert sorted((str(path), path.stat().st_mtime_ns) for path in volume.source.rglob("*")) == before

    in_pods(test)


def test_owners_modes_and_devices_are_as_packed(in_pods) -> None:
    """Recorded: images/modes."""

    async def test(pods) -> None:
        if pods.isolation.mode != "root":
            assert {"owners", "devices"} <= set(pods.isolation.lacks)
            return
        image = pods.image({"secret": "root only\n", "owned": "mine\n", "suid": "x", "priv/inner": "hidden\n"})
        os.link(image / "secret", image / "hard")
        (image / "owned").chmod(0o600)
        os.chown(image / "owned", 65532, 65532)
        (image / "suid").chmod(0o4755)
        (image / "priv").chmod(0o700)
        (image / "link-abs").symlink_to("/etc/passwd")
        (image / "link-esc").symlink_to("../../../../etc/passwd")
        os.mkfifo(image / "fifo", 0o644)
        os.mknod(image / "dev", 0o020666, os.makedev(1, 3))
        (image / "dev").chmod(0o666)
        seen = await look(pods, mounts=(VolumeMount(image, "/content", kind="image"),))
        assert seen["files"] == RECORDED["images"]["modes"]["probe"]["files"]
        assert seen["writes"] == RECORDED["images"]["modes"]["probe"]["writes"]

    in_pods(test)


def test_a_file_of_root_alone_stays_unreadable(in_pods) -> None:
    async def test(pods) -> None:
        image = pods.image({"secret": "root only\n"})
        (image / "secret").chmod(0o600 if pods.isolation.mode == "root" else 0o000)
        mounts = (VolumeMount(image, "/content", kind="image"),)
        async with pods.pod() as sandbox:
            _, output = await pods.run("cat:/content/secret", mounts=mounts, sandbox=sandbox)
            assert output == "error: open /content/secret: permission denied\n"
            _, output = await pods.run("cat:/content/secret", mounts=mounts, identity=pods.root, sandbox=sandbox)
            assert output == "root only\n"

    in_pods(test)


def test_two_volumes_of_one_image_and_one_within_another(in_pods) -> None:
    async def test(pods) -> None:
        image = pods.image(FILES)
        mounts = (
            VolumeMount(image, "/a/b/inner", kind="image", subpath="config"),
            VolumeMount(pods.image({"b/inner/.keep": ""}), "/a", kind="image"),
            VolumeMount(image, "/second", kind="image"),
        )
        _, output = await pods.run("cat:/a/b/inner/app.yaml", "cat:/second/data/items.json", mounts=mounts)
        assert output == "version: v1\n[1,2,3]\n"

    in_pods(test)


def test_a_shared_directory_is_written_by_one_and_read_by_another(in_pods) -> None:
    async def test(pods) -> None:
        shared = pods.state / "shared"
        shared.mkdir()
        shared.chmod(0o777)
        async with pods.pod() as sandbox:
            written = VolumeMount(shared, "/out", read_only=False)
            await pods.run("write:/out/x=text", mounts=(written,), sandbox=sandbox)
            _, output = await pods.run(
                "cat:/in/x", "write:/in/x=other", mounts=(VolumeMount(shared, "/in"),), sandbox=sandbox
            )
            assert output.splitlines() == ["texterror: open /in/x: read-only file system"]
        assert (shared / "x").read_text() == "text"

    in_pods(test)


def test_a_target_behind_a_link_of_the_image(in_pods) -> None:
    async def test(pods) -> None:
        (pods.rootfs / "run").mkdir()
        (pods.rootfs / "var").mkdir()
        (pods.rootfs / "var/run").symlink_to("/run")
        _, output = await pods.run("cat:/run/content/x", mounts=(pods.volume({"x": "linked"}, "/var/run/content"),))
        assert output == "linked\n"

    in_pods(test)


@pytest.mark.parametrize(
    ("subpath", "why"),
    [("nope", "openat nope: no such file or directory"), ("out", "openat out: invalid cross-device link")],
)
def test_a_subpath_that_leads_nowhere_or_out(in_pods, subpath: str, why: str) -> None:
    async def test(pods) -> None:
        image = pods.image(FILES)
        image.chmod(0o755)
        (image / "out").symlink_to("/etc")
        async with pods.pod() as sandbox:
            with pytest.raises(StartError, match=why):
                await Container.start(
                    sandbox, pods.spec("out:", mounts=(VolumeMount(image, "/content", subpath=subpath, kind="image"),))
                )

    in_pods(test)


def test_a_program_in_a_volume_runs(in_pods, tool: Path) -> None:
    async def test(pods) -> None:
        image = pods.image({})
        image.chmod(0o755)
        (image / "program").write_bytes(tool.read_bytes())
        (image / "program").chmod(0o755)
        _, output = await pods.run(
            args=("/content/program", "out:ran"), mounts=(VolumeMount(image, "/content", kind="image"),)
        )
        assert output == "ran\n"

    in_pods(test)
