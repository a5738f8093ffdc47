import hashlib
import os
import tarfile
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layers import select, writing

names = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=5)
trees = st.dictionaries(
    st.lists(names, min_size=1, max_size=3).map(lambda parts: "/".join([*parts, "file"])),
    st.tuples(st.binary(max_size=40), st.booleans()),
    max_size=6,
)


def lay_out(root: Path, files, times: int) -> Path:
    for name, (content, executable) in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(0o770 if executable else 0o600)
        os.utime(path, (times, times))
    return root


def digest_of_tree(root: Path, output: Path) -> str:
    with writing(output) as layer:
        layer.tree(root, "opt")
    return hashlib.sha256(output.read_bytes()).hexdigest()


@settings(deadline=None)  # the machine's file system is not what is tested
@given(trees, st.randoms(use_true_random=False))
def test_a_layer_depends_on_names_contents_and_executability_alone(files, random):
    shuffled = list(files.items())
    random.shuffle(shuffled)
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        first = digest_of_tree(lay_out(Path(one, "tree"), files, times=1), Path(one, "layer.tar"))
        second = digest_of_tree(lay_out(Path(other, "tree"), dict(shuffled), times=2), Path(other, "layer.tar"))
        assert first == second
        with tarfile.open(Path(one, "layer.tar")) as tar:
            found = {entry.name: (tar.extractfile(entry).read(), entry.mode == 0o755) for entry in tar}
            assert found == {f"opt/{name}": expected for name, expected in files.items()}
            assert {(entry.uid, entry.gid, entry.mtime) for entry in tar} <= {(0, 0, 0)}


def test_a_layer_that_fails_leaves_nothing_that_looks_complete(tmp_path):
    with pytest.raises(FileNotFoundError), writing(tmp_path / "layer.tar") as layer:
        layer.file("a", tmp_path / "absent")
    assert not (tmp_path / "layer.tar").exists()


@pytest.fixture
def base(tmp_path) -> Path:
    path = tmp_path / "base.tar"
    with writing(path) as layer:
        layer.link("./lib", "usr/lib")
        layer.bytes("./usr/lib/libc.so.6", b"c", 0o755)
        layer.bytes("./usr/lib/libc.so.6.bak", b"c")
        layer.link("./usr/sbin/iptables", "/etc/alternatives/iptables")
        layer.link("./etc/alternatives/iptables", "../../usr/sbin/xtables")
        layer.bytes("./usr/sbin/xtables", b"x", 0o755)
    return path


def test_selecting_follows_links_to_what_they_lead_to(base):
    chosen = [entry.name for entry, _ in select(base, ["usr/sbin/iptables"])]
    assert sorted(chosen) == ["./etc/alternatives/iptables", "./usr/sbin/iptables", "./usr/sbin/xtables"]


def test_selecting_takes_what_a_pattern_matches_and_no_more(base):
    assert [entry.name for entry, _ in select(base, ["usr/*/libc.so.?"])] == ["./usr/lib/libc.so.6"]


def test_a_pattern_that_matches_nothing_is_an_error(base):
    with pytest.raises(FileNotFoundError, match="usr/lib/libm"):
        list(select(base, ["usr/lib/libm*"]))
