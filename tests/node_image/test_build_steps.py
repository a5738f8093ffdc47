import re
import subprocess
import sys

import assemble
import debian
import pytest


def run(node_image, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=node_image, capture_output=True, text=True, check=False)


def test_a_step_says_what_it_does_and_how_long_it_took(node_image, tmp_path):
    done = run(node_image, "./step", str(tmp_path), "build a thing 1.2", "sh", "-c", "echo quiet")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"build a thing 1\.2 +\d+\.\d s", done.stdout.splitlines()[-1])
    assert (tmp_path / "build-a-thing-1.2.log").read_text() == "quiet\n"


def test_a_step_that_fails_shows_why_and_where_the_rest_is(node_image, tmp_path):
    done = run(node_image, "./step", str(tmp_path), "break", "sh", "-c", "echo cause; exit 3")
    assert done.returncode == 3
    assert done.stderr == f"cause\nAll it printed: {tmp_path}/break.log\n"


@pytest.mark.parametrize("script", ["assemble.py", "pin.py"])
@pytest.mark.parametrize("arguments", [(), ("nonsense",), ("containerd",)])
def test_bad_usage_is_one_line(node_image, script, arguments):
    done = run(node_image, sys.executable, script, *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(f"usage: {script} ")
    assert done.stderr.count("\n") == 1


def test_debians_sources_are_those_of_this_machine_for_its_release():
    listed = """\
http://mirror.example/debian/ bookworm main Debian
http://mirror.example/debian/ bookworm non-free Debian
http://mirror.example/debian/ bookworm-updates main Debian
http://security.example/debian-security/ bookworm-security main Debian
http://mirror.example/debian/ bookworm main Debian
http://mirror.example/debian/ trixie main Debian
http://packages.example/tool/ bookworm main A tool's own
"""
    assert debian.sources("bookworm", listed) == [
        "deb http://mirror.example/debian/ bookworm main",
        "deb http://mirror.example/debian/ bookworm non-free",
        "deb http://mirror.example/debian/ bookworm-updates main",
        "deb http://security.example/debian-security/ bookworm-security main",
    ]


def test_a_release_is_read_from_a_folders_name(tmp_path):
    assert assemble.release(tmp_path / "cni-plugins-1.9.1") == "1.9.1"


def kubeadm(folder, *images: str) -> None:
    folder.mkdir()
    program = folder / "kubeadm"
    program.write_text("#!/bin/sh\nprintf '%s\\n' " + " ".join(images))
    program.chmod(0o755)


def test_the_control_planes_images_are_those_that_kubeadm_names(tmp_path):
    folder = tmp_path / "kubernetes-1.36.3"
    kubeadm(folder, "registry.k8s.io/etcd:3.6.8-0", "registry.k8s.io/coredns/coredns:v1.14.2")
    assert assemble.wanted(folder) == {
        "etcd": "registry.k8s.io/etcd:3.6.8-0",
        "coredns": "registry.k8s.io/coredns/coredns:v1.14.2",
    }


@pytest.mark.parametrize(
    ("etcd", "coredns", "said"),
    [
        ("etcd-3.6.1", "coredns-1.14.2", "starts registry.k8s.io/etcd:3.6.10-0, not etcd-3.6.1:"),
        ("etcd-3.6.10", "coredns-1.14.1", "starts registry.k8s.io/coredns/coredns:v1.14.2, not coredns-1.14.1:"),
    ],
)
def test_other_versions_than_kubeadm_starts_are_refused(tmp_path, etcd, coredns, said):
    folder = tmp_path / "kubernetes-1.36.3"
    kubeadm(folder, "registry.k8s.io/etcd:3.6.10-0", "registry.k8s.io/coredns/coredns:v1.14.2")
    with pytest.raises(SystemExit, match=f"kubernetes-1.36.3 {said}"):
        assemble.control_plane(folder, tmp_path / etcd, tmp_path / coredns, tmp_path, tmp_path, tmp_path / "out.tar")
