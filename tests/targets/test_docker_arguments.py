"""How Docker is asked for a node, by what the daemon says of its host."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.targets.bootstrap import hosts_toml
from conformance.targets.capabilities import capabilities_in, is_refusal
from conformance.targets.choice import TargetUnavailableError
from conformance.targets.daemon import Host
from conformance.targets.node import arguments, proxies

INFO = {
    "ServerVersion": "28.2",
    "OSType": "linux",
    "Architecture": "aarch64",
    "NCPU": 8,
    "MemTotal": 16 * 2**30,
    "CgroupVersion": "2",
    "Driver": "overlay2",
    "DriverStatus": [["Backing Filesystem", "extfs"]],
    "SecurityOptions": ["name=seccomp,profile=default", "name=cgroupns"],
}


def host(**changes):
    return Host.of({**INFO, **changes}, is_here=True)


def mounts(asked):
    return [mount["Target"] for mount in asked["mounts"]]


def test_a_usual_host():
    asked = arguments(host(), None)
    assert asked["privileged"] is True
    assert asked["cgroupns"] == "private"
    assert asked["security_opt"] == ["seccomp=unconfined", "apparmor=unconfined"]
    assert not {"cap_add", "userns_mode", "devices"} & set(asked)
    assert "/var" in mounts(asked)
    assert "/dev/mapper" not in mounts(asked)


def test_where_privileged_is_refused_the_capabilities_are_named():
    asked = arguments(host(), frozenset({"SYS_ADMIN", "NET_ADMIN"}))
    assert "privileged" not in asked
    assert asked["cap_drop"] == ["ALL"]
    assert asked["cap_add"] == ["NET_ADMIN", "SYS_ADMIN"]
    assert asked["device_cgroup_rules"] == ["a *:* rwm"]


@pytest.mark.parametrize(
    ("driver", "backing", "security", "expected"),
    [
        ("overlay2", "extfs", [], False),
        ("overlay2", "xfs", [], True),
        ("btrfs", "", [], True),
        ("zfs", "zfs", [], True),
        ("overlay2", "xfs", ["name=rootless"], False),
    ],
)
def test_the_devices_of_some_storage_are_needed_on_the_node(driver, backing, security, expected):
    found = host(Driver=driver, DriverStatus=[["Backing Filesystem", backing]], SecurityOptions=security)
    assert ("/dev/mapper" in mounts(arguments(found, None))) is expected


def test_remapped_users_and_rootless():
    assert arguments(host(SecurityOptions=["name=userns"]), None)["userns_mode"] == "host"
    assert arguments(host(SecurityOptions=["name=rootless"]), None)["devices"] == ["/dev/fuse"]


def test_kernel_modules_of_a_daemon_elsewhere_are_mounted_unseen():
    assert "/lib/modules" in mounts(arguments(dataclasses.replace(host(), is_here=False), None))


def test_old_daemons_say_nothing_of_cgroups():
    info = {key: value for key, value in INFO.items() if key not in {"CgroupVersion", "SecurityOptions"}}
    assert Host.of(info, is_here=True).cgroup == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"OSType": "windows"}, "switch Docker to Linux containers"),
        ({"SecurityOptions": ["name=rootless"], "CgroupVersion": "1"}, "use Docker as root"),
        ({"MemTotal": 2**30}, "Docker has 1.0 GiB of memory, and a node needs 1.5"),
    ],
)
def test_a_host_that_cannot_run_a_node_is_told_so(changes, said):
    with pytest.raises(TargetUnavailableError, match=said):
        host(**changes).check()


def test_a_host_that_can_run_a_node():
    host().check()
    assert str(host()) == "Docker 28.2, aarch64, 8 processors, 16 GiB, cgroup v2"


def test_capabilities_of_a_process_without_sys_resource():
    found = capabilities_in("Name:\tdockerd\nCapEff:\t0000000000000000\nCapBnd:\t000001fffeffffff\nCapAmb:\t0\n")
    assert "SYS_RESOURCE" not in found
    assert {"CHOWN", "SYS_ADMIN", "AUDIT_READ"} <= found
    assert len(found) == 37
    # Names that older Dockers do not know are not asked for.
    assert not {"PERFMON", "BPF", "CHECKPOINT_RESTORE"} & found


@given(st.integers(min_value=0, max_value=2**41 - 1))
def test_one_capability_a_bit(bits):
    assert len(capabilities_in(f"CapBnd:\t{bits:016x}")) == (bits & (2**38 - 1)).bit_count()


def test_a_status_without_capabilities():
    assert capabilities_in("") == frozenset()


def test_refusals_of_privileged_are_told_from_others():
    assert is_refusal("OCI runtime create failed: container_linux.go: unable to apply caps: operation not permitted")
    assert is_refusal("crun: set capabilities: Operation not permitted")
    assert not is_refusal("Bind for 127.0.0.1:80 failed: port is already allocated")


def test_proxies_reach_the_node_and_spare_the_cluster():
    found = proxies({"https_proxy": "http://proxy:3128", "NO_PROXY": "corp"}, ["10.96.0.0/16", "registry"])
    assert found["HTTPS_PROXY"] == found["https_proxy"] == "http://proxy:3128"
    assert found["NO_PROXY"] == found["no_proxy"] == "corp,10.96.0.0/16,registry"
    assert "HTTP_PROXY" not in found


def test_without_proxies_nothing_is_said_of_them():
    assert proxies({"NO_PROXY": "corp"}, ["registry"]) == {}


def test_containerd_is_told_that_a_registry_speaks_plain_http():
    assert hosts_toml("registry:5000") == 'server = "http://registry:5000"\n\n[host."http://registry:5000"]\n'
