"""What a bootstrap for kindest/node images relies on, in the node's files (kind: images/base, pkg/cluster)."""

import json
import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from assemble import RUN


@pytest.fixture(scope="session")
def rootfs(node_image) -> Path:
    return node_image / "rootfs"


def programs(node_image: Path) -> list[Path]:
    return [*(node_image / "rootfs/usr/local/bin").iterdir(), node_image / "smoke.sh", node_image / "step"]


def test_the_image_starts_systemd_through_the_entrypoint():
    node = RUN["node"]
    assert node["Entrypoint"] == ["/usr/local/bin/entrypoint", "/sbin/init"]
    assert node["StopSignal"] == "SIGRTMIN+3"
    assert "container=docker" in node["Env"]


def test_the_registry_runs_like_the_public_one():
    registry = RUN["registry"]
    assert (registry["Entrypoint"], registry["Cmd"]) == (["registry"], ["serve", "/etc/distribution/config.yml"])
    assert registry["ExposedPorts"] == {"5000/tcp": {}}
    assert registry["Volumes"] == {"/var/lib/registry": {}}


def test_the_registry_keeps_its_storage_where_the_public_one_does(node_image):
    config = yaml.safe_load((node_image / "registry" / "config.yml").read_text())
    assert config["storage"]["filesystem"]["rootdirectory"] == "/var/lib/registry"
    assert config["http"]["addr"] == ":5000"


def test_programs_are_executable_and_parse(node_image):
    for program in programs(node_image):
        assert os.access(program, os.X_OK), program
        subprocess.run(["bash", "-n", program], check=True)


def test_every_enabled_unit_is_there(rootfs):
    units = rootfs / "etc/systemd/system"
    enabled = list((units / "multi-user.target.wants").iterdir())
    assert {unit.name for unit in enabled} >= {"containerd.service", "kubelet.service"}
    assert all(unit.resolve(strict=True).parent == units for unit in enabled)


def test_programs_that_units_start_are_in_the_image(rootfs):
    built = {"containerd", "kubelet"}
    for unit in (rootfs / "etc/systemd/system").rglob("*"):
        if unit.is_symlink() or not unit.is_file():
            continue
        for program in re.findall(r"(/usr/local/bin/[\w-]+)", unit.read_text()):
            assert program.rpartition("/")[2] in built or (rootfs / program[1:]).exists(), (unit, program)


def test_the_entrypoint_says_what_a_bootstrap_waits_for(rootfs):
    text = (rootfs / "usr/local/bin/entrypoint").read_text()
    assert "'detected cgroup v1'" in text
    assert text.rstrip().endswith('exec "$@"\nfi')


@pytest.mark.parametrize("name", ["default-cni.yaml", "default-storage.yaml"])
def test_manifests_are_objects_once_the_pod_subnet_is_filled_in(rootfs, name):
    text = (rootfs / "kind/manifests" / name).read_text().replace("{{ .PodSubnet }}", "10.244.0.0/16")
    assert "{{" not in text
    for manifest in yaml.safe_load_all(text):
        assert manifest.keys() >= {"apiVersion", "kind", "metadata"}


def test_storage_has_one_default_class_named_standard(rootfs):
    (storage,) = yaml.safe_load_all((rootfs / "kind/manifests/default-storage.yaml").read_text())
    assert storage["kind"] == "StorageClass"
    assert storage["metadata"]["name"] == "standard"
    assert storage["metadata"]["annotations"] == {"storageclass.kubernetes.io/is-default-class": "true"}


def test_containerd_reads_hosts_at_every_pull_and_drop_ins_at_its_start(rootfs):
    config = tomllib.loads((rootfs / "etc/containerd/config.toml").read_text())
    assert config["imports"] == ["/etc/containerd/conf.d/*.toml"]
    images = config["plugins"]["io.containerd.cri.v1.images"]
    assert images["registry"]["config_path"] == "/etc/containerd/certs.d"
    assert images["snapshotter"] == "overlayfs"
    runtime = config["plugins"]["io.containerd.cri.v1.runtime"]
    assert (rootfs / runtime["cni"]["conf_template"][1:]).exists()


def test_the_pod_network_is_valid_for_one_and_for_two_address_families(rootfs):
    template = (rootfs / "etc/containerd/cni-template.json").read_text()
    for count in (1, 2):
        values = {"PodCIDRRanges": ["10.244.0.0/24", "fd00::/64"][:count], "Routes": ["0.0.0.0/0", "::/0"][:count]}
        filled = template
        for field, several in values.items():
            opening = re.escape("[{{range $i, $NAME := .FIELD}}{{if $i}}, {{end}}").replace("FIELD", field)
            loop = re.compile(opening.replace("NAME", r"(\w+)") + "(.*?)" + re.escape("{{end}}]"))
            variable, each = loop.search(filled).groups()
            joined = ", ".join(each.replace(f"{{{{${variable}}}}}", value) for value in several)
            filled = filled.replace(loop.search(filled)[0], f"[{joined}]")
        ptp, portmap = json.loads(filled)["plugins"]
        assert [one["subnet"] for (one,) in ptp["ipam"]["ranges"]] == values["PodCIDRRanges"]
        assert [route["dst"] for route in ptp["ipam"]["routes"]] == values["Routes"]
        assert portmap["capabilities"] == {"portMappings": True}
