import re
import subprocess
from pathlib import Path

import pytest
from pin import COMPONENTS, MODULES

KUBERNETES = ("1.36.3", "1.37.2")
CONTAINERD = ("2.0.14", "2.1.9", "2.2.9", "2.3.7", "2.4.2")
PINNED = sorted(path.name for path in MODULES.iterdir())


def make(node_image: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "-C", str(node_image), "--no-print-directory", *arguments], capture_output=True, text=True, check=False
    )


def test_the_versions_that_observations_are_recorded_with_are_pinned():
    assert {f"kubernetes-{version}" for version in KUBERNETES} <= set(PINNED)
    assert {f"containerd-{version}" for version in CONTAINERD} <= set(PINNED)


@pytest.mark.parametrize("pinned", PINNED)
def test_a_module_requires_the_version_it_is_named_after_and_has_its_sum(pinned):
    name, version = pinned.rsplit("-", 1)
    module = COMPONENTS[name].module
    go_mod, go_sum = ((MODULES / pinned / file).read_text() for file in ("go.mod", "go.sum"))
    assert re.search(rf"^(require |\t){re.escape(f'{module} v{version}')}( |$)", go_mod, re.MULTILINE)
    assert f"{module} v{version} h1:" in go_sum
    for program in COMPONENTS[name].programs:
        assert re.search(rf"^(tool |\t){re.escape(f'{module}/{program}'.rstrip('/'))}$", go_mod, re.MULTILINE), program


@pytest.mark.parametrize("version", KUBERNETES)
def test_kubernetes_libraries_are_of_the_same_release(version):
    """k8s.io/kubernetes asks for them at v0.0.0: each needs a replacement, and no other version."""
    text = (MODULES / f"kubernetes-{version}" / "go.mod").read_text()
    released = f"v0.{version.split('.', 1)[1]}"
    replaced = dict(re.findall(r"^replace (k8s\.io/[\w-]+) => \1 (\S+)$", text, re.MULTILINE))
    required = re.findall(r"^\t(k8s\.io/[\w-]+) v0\.0\.0 // indirect$", text, re.MULTILINE)
    assert set(required) <= replaced.keys()
    assert set(replaced.values()) == {released}


@pytest.mark.parametrize("version", KUBERNETES)
def test_each_kubernetes_has_a_pinned_etcd_and_dns(node_image, version):
    done = make(node_image, f"KUBERNETES={version}", "check-versions")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("given", "named"), [("KUBERNETES=1.20.0", "kubernetes-1.20.0"), ("CONTAINERD=1.7.0", "containerd-1.7.0")]
)
def test_a_version_that_is_not_pinned_is_refused_by_name(node_image, given, named):
    done = make(node_image, given, "check-versions")
    assert done.returncode == 2
    assert f"{named} is not pinned; there are: " in done.stderr


def test_the_defaults_are_pinned(node_image):
    assert make(node_image, "check-versions").returncode == 0
