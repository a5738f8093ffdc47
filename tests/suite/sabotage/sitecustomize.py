"""Breaks the emulator on purpose: Python runs this at start-up when the folder is on PYTHONPATH.

`IMGVOL_BREAKAGES` names what is broken; only the process that runs `imgvol up` is touched. Each public function is one
breakage; test_breakages.py says which claims must notice it.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from typing import Any


def writable_mount() -> None:
    from emulator.node.kubelet import start

    honest = start._mount

    async def mount(*arguments: Any) -> Any:
        return dataclasses.replace(await honest(*arguments), kind="bind", read_only=False)

    start._mount = mount


def everything_readable() -> None:
    _change_modes(lambda mode, _: mode | 0o555)


def nothing_executable() -> None:
    # Programs are larger; without them nothing would run at all.
    _change_modes(lambda mode, node: mode & ~0o111 if node.kind == "file" and node.size < 1 << 20 else mode)


def _change_modes(change: Any) -> None:
    from emulator.node.containerd.owners import RootOwner, UserOwner

    def changed(honest: Any) -> Any:
        return lambda self, node: change(honest(self, node), node)

    for owner in (RootOwner, UserOwner):
        owner.mode = changed(owner.mode)


def whiteouts_kept_as_files() -> None:
    from emulator.node.containerd import layer

    layer._WHITEOUT = "no such prefix"


def diff_ids_unchecked() -> None:
    from emulator.node.containerd import snapshots

    class EqualToAll(str):
        __slots__ = ()
        __hash__ = str.__hash__

        def __ne__(self, other: object) -> bool:
            return False

    honest = snapshots.decompress
    snapshots.decompress = lambda *arguments: dataclasses.replace(honest(*arguments), digest=EqualToAll())


def blobs_unchecked() -> None:
    from emulator.node.containerd.content import ContentStore

    async def write(self: ContentStore, key: str, digest: str, size: int, pieces: Any) -> None:
        self.path(digest).write_bytes(b"".join([piece async for piece in pieces]))

    ContentStore.write = write


def any_platform_will_do() -> None:
    from emulator.node.containerd.platform import Matcher

    Matcher.matches = lambda *_: True
    Matcher.rank = lambda *_: 0


def secrets_unused() -> None:
    from emulator.node.kubelet.credentials import Keyring

    Keyring.lookup = lambda *_: ()


def private_images_for_all() -> None:
    from emulator.node.kubelet.pulled import PulledImages

    PulledImages.must_pull = lambda *_: False


def always_pulls_once() -> None:
    from emulator.node.kubelet.images import ImageManager

    honest = ImageManager.ensure

    async def ensure(self: ImageManager, reference: str, policy: str, **options: Any) -> Any:
        return await honest(self, reference, "IfNotPresent" if policy == "Always" else policy, **options)

    ImageManager.ensure = ensure


def default_policy_is_if_not_present() -> None:
    from emulator.cluster.validation import defaults

    defaults.pull_policy = lambda _: "IfNotPresent"


def pods_may_change() -> None:
    from emulator.cluster import api

    api.validate_update = lambda *_: []


def security_unenforced() -> None:
    from emulator.cluster import admission

    admission.check_pod = lambda *_: ()


def rollout_stops_the_old_first() -> None:
    from emulator.cluster.controllers import rollout

    rollout.fenceposts = lambda _: rollout.Fenceposts(0, 100)


if "up" in sys.orig_argv:
    for _breakage in os.environ.get("IMGVOL_BREAKAGES", "").split():
        globals()[_breakage]()
