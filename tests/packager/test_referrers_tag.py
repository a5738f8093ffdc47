"""The tag that lists what is attached, where the registry keeps no list: nobody's entry is lost to another's."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock

import pytest
from packager_faulty import Fault, FaultyRegistry

import packager
from packager.registries import RegistryClient

pytestmark = pytest.mark.usefixtures("well")

WRITERS = 6


class Lockstep:
    """A pause that is as long as it must be: it ends when everybody pauses who has not finished."""

    def __init__(self, writers: int) -> None:
        self._changed = threading.Condition()
        self._active, self._waiting, self._round = writers, 0, 0

    def pause(self, _: float) -> None:
        with self._changed:
            self._waiting += 1
            mine = self._round
            self._go_on()
            assert self._changed.wait_for(lambda: self._round != mine, timeout=60)

    def finish(self) -> None:
        with self._changed:
            self._active -= 1
            self._go_on()

    def _go_on(self) -> None:
        if self._waiting and self._waiting == self._active:
            self._waiting = 0
            self._round += 1
            self._changed.notify_all()

    @property
    def count(self) -> int:
        return self._round


@pytest.fixture
def sboms(tmp_path: Path) -> list[Path]:
    found = [tmp_path / f"{number}.json" for number in range(WRITERS)]
    for number, path in enumerate(found):
        path.write_text(json.dumps({"number": number}))
    return found


def test_all_who_attach_at_once_are_listed(process, content: Path, sboms: list[Path]) -> None:
    """Everybody has read the list before anybody writes it, which loses all but one entry of those that write once."""
    pushed = packager.push(content, f"{process.address}/at-once:v1")
    before_1_1 = [
        {"match": {"operation": "referrers"}, "status": 404},
        {"match": {"operation": "manifest-put", "reference": "sha256-*"}, "delay": "300ms"},
        {"match": {"operation": "manifest-put"}, "headers": {"OCI-Subject": None}},
    ]
    process.faults({"faults": before_1_1})
    lockstep, begin = Lockstep(WRITERS), threading.Barrier(WRITERS)

    def attach(sbom: Path) -> packager.Attached:
        begin.wait(60)
        try:
            return packager.attach(pushed.reference, sbom, artifact_type="example/sbom")
        finally:
            lockstep.finish()

    with (
        mock.patch.dict(RegistryClient.__init__.__kwdefaults__, {"pause": lockstep.pause}),
        ThreadPoolExecutor(WRITERS) as pool,
    ):
        attached = list(pool.map(attach, sboms))
    assert {one.listed_by for one in attached} == {"tag"}
    assert {one.digest for one in packager.referrers(pushed.reference)} == {one.digest for one in attached}
    assert len({one.digest for one in attached}) == WRITERS
    assert lockstep.count <= WRITERS


def test_the_scenario_of_a_registry_that_keeps_no_list(process, content: Path, sboms: list[Path], pauses) -> None:
    pushed = packager.push(content, f"{process.address}/no-list:v1")
    process.faults("no-referrers")
    attached = [packager.attach(pushed.reference, sbom, artifact_type="a/b", annotations={"k": "v"}) for sbom in sboms]
    assert [one.digest for one in packager.referrers(pushed.reference)] == [one.digest for one in attached]
    assert {one.annotations["k"] for one in packager.referrers(pushed.reference)} == {"v"}
    assert len(pauses) == len(sboms)
    assert all(0.5 <= pause <= 1 for pause in pauses)
    writes = [one["path"] for one in process.requests() if one["method"] == "PUT"]
    assert packager.attach(pushed.reference, sboms[0], artifact_type="a/b", annotations={"k": "v"}).listed_by == "tag"
    again = [one["path"] for one in process.requests() if one["method"] == "PUT"][len(writes) :]
    assert not [path for path in again if "sha256-" in path]  # it is listed, and nothing is written


def test_the_list_is_read_anew_before_it_is_written_again(
    faulty: FaultyRegistry, content: Path, sboms: list[Path], pauses
) -> None:
    """A list that could not be written at once may be outdated when it can."""
    pushed = packager.push(content, f"{faulty.address}/c:v1")
    before = len(faulty.seen)
    faulty.faults.append(Fault("PUT", "/manifests/sha256-", 503))
    packager.attach(pushed.reference, sboms[0], artifact_type="a/b")
    assert [method for method, path in faulty.seen[before:] if "sha256-" in path] == ["GET", "PUT"] * 2 + ["GET"]
    assert len(packager.referrers(pushed.reference)) == 1
    faulty.faults.append(Fault("PUT", "/manifests/sha256-", 503, times=99))
    before = len(faulty.seen)
    with pytest.raises(packager.PackagerError, match="it answered 503"):
        packager.attach(pushed.reference, sboms[1], artifact_type="a/b")
    assert [method for method, path in faulty.seen[before:] if "sha256-" in path] == ["GET", "PUT"] * 4


def test_who_is_written_over_each_time_says_so(
    faulty: FaultyRegistry, content: Path, sboms: list[Path], pauses
) -> None:
    pushed = packager.push(content, f"{faulty.address}/c:v1")
    packager.attach(pushed.reference, sboms[0], artifact_type="a/b")
    pauses.clear()
    nothing = json.dumps({"schemaVersion": 2, "manifests": []}).encode()
    faulty.faults.append(Fault("GET", "/manifests/sha256-", change=lambda _: nothing, times=100))
    with pytest.raises(packager.PackagerError, match=r"others write the tag sha256-.*do this again") as failed:
        packager.attach(pushed.reference, sboms[1], artifact_type="a/b")
    assert "\n" not in str(failed.value)
    assert len(pauses) == 10
    assert sum(pauses) < 60


def test_what_others_say_in_the_list_stays(faulty: FaultyRegistry, content: Path, sboms: list[Path], pauses) -> None:
    pushed = packager.push(content, f"{faulty.address}/c:v1")
    first = packager.attach(pushed.reference, sboms[0], artifact_type="a/b")
    tag = pushed.digest.replace(":", "-")
    media_type, body = faulty.manifests[tag]
    theirs = json.loads(body) | {"annotations": {"theirs": "yes"}}
    theirs["manifests"][0]["data"] = "e30="
    faulty.manifests[tag] = (media_type, json.dumps(theirs).encode())
    second = packager.attach(pushed.reference, sboms[1], artifact_type="a/b")
    now = json.loads(faulty.manifests[tag][1])
    assert now["annotations"] == {"theirs": "yes"}
    assert [entry["digest"] for entry in now["manifests"]] == [first.digest, second.digest]
    assert now["manifests"][0]["data"] == "e30="
    faulty.manifests[tag] = (media_type, b'{"schemaVersion": 2, "layers": []}')
    with pytest.raises(packager.PackagerError, match="is not an image index"):
        packager.attach(pushed.reference, sboms[2], artifact_type="a/b")
