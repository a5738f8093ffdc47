"""Comparing: every change is a difference, unless a target declares that it cannot keep it."""

from __future__ import annotations

from conformance.differential import Seen, compare
from conformance.differential.compare import differences

SEEN = Seen(
    "mounted",
    files={
        ".": "drwxr-xr-x 0:0 now",
        "a": "-rw-r--r-- 0:0 1.5 5 fcbc800d user.note=hello",
        "b": "-rw-r--r-- 0:0 1.5 5 fcbc800d = a",
        "l": "Lrwxrwxrwx 0:0 0 -> a",
        "n": "Dcrw-r--r-- 0:0 0 1,3",
        "s": "ugtrwxr-xr-x 0:0 0 0 e3b0c442",
    },
)


def changed(name: str, line: str) -> Seen:
    return Seen("mounted", files={**SEEN.files, name: line})


def test_what_is_alike_does_not_differ() -> None:
    assert differences(SEEN, SEEN) == []
    assert list(compare([[]], [SEEN], [SEEN])) == []


def test_every_change_is_a_difference() -> None:
    for name, line in SEEN.files.items():
        words = line.split(" ")
        for at in range(len(words)):
            other = " ".join([*words[:at], words[at] + "x", *words[at + 1 :]])
            assert differences(SEEN, changed(name, other)) == [f"{name}: expected {line!r}, saw {other!r}"]
        without = Seen("mounted", files={key: value for key, value in SEEN.files.items() if key != name})
        assert differences(SEEN, without) == [f"{name}: expected {line!r}, saw 'nothing'"]
        assert differences(without, SEEN) == [f"{name}: expected 'nothing', saw {line!r}"]


def test_outcomes_and_messages_are_compared_word_for_word() -> None:
    refused = Seen("ErrImagePull", "a: b")
    assert differences(SEEN, refused) == ["expected mounted: 5 entries, saw ErrImagePull: a: b"]
    assert differences(refused, Seen("ErrImagePull", "a: c"))
    assert differences(refused, Seen("CreateContainerError", "a: b"))
    assert differences(refused, refused) == []


def test_without_owners_what_a_file_is_and_holds_remains() -> None:
    assert differences(SEEN, changed("a", "-rw------- 7:7 1.5 5 fcbc800d user.note=hello"), {"owners"}) == []
    assert differences(SEEN, changed("s", "-rwxr-xr-x 7:7 0 0 e3b0c442"), {"owners"}) == []
    for line in ("-rw-r--r-- 0:0 2 5 fcbc800d", "Lrw-r--r-- 0:0 1.5 5 fcbc800d", "-rw-r--r-- 0:0 1.5 5 00000000"):
        assert differences(SEEN, changed("a", line), {"owners"})


def test_without_devices_only_they_are_left_out() -> None:
    assert differences(SEEN, changed("n", "-rw-r--r-- 0:0 0 0 e3b0c442"), {"devices"}) == []
    assert differences(SEEN, changed("n", "-rw-r--r-- 0:0 0 0 e3b0c442"), {"owners", "devices"}) == []
    assert differences(SEEN, changed("n", "-rw-r--r-- 0:0 0 0 e3b0c442"))


def test_the_name_of_a_whiteout_that_overlayfs_lists_is_left_out() -> None:
    assert differences(SEEN, changed("w", "ERR lstat: no such file or directory")) == []
    assert differences(SEEN, changed("w", "ERR lstat: permission denied"))
