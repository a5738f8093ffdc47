"""A pod's sandbox: the namespaces its containers share, and the way into its network."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
from pathlib import Path

from emulator.node.sandbox import statedir
from emulator.node.sandbox.control import Control, GoneError
from emulator.node.sandbox.isolation import Isolation, namespaces
from emulator.node.sandbox.programs import bubblewrap, program

__all__ = ["PodSandbox", "SandboxError"]

_SHM_BYTES = 64 << 20  # containerd's size of /dev/shm


class SandboxError(Exception):
    """A sandbox could not be made, or is gone."""


class PodSandbox:
    """The network, IPC, UTS and PID namespaces of one pod, in each of which `lo` is up.

    It lives until `stop`, and no longer than the emulator's process. With isolation none it is only the parent of the
    pod's processes.
    """

    def __init__(
        self, isolation: Isolation, workdir: Path, address: str, process: subprocess.Popen[bytes], control: Control
    ) -> None:
        self.isolation = isolation
        self.workdir = workdir
        self.control = control
        self._address = address
        self._process = process

    @classmethod
    async def create(
        cls,
        isolation: Isolation,
        hostname: str,
        workdir: Path,
        *,
        address: str = "",
        resolv_conf: str = "",
        host_aliases: str = "",
    ) -> PodSandbox:
        """Make a pod's namespaces.

        `workdir` is a directory of the pod's own: it gets the files that become /etc/hosts, /etc/hostname and
        /etc/resolv.conf of every container (the latter with the text `resolv_conf`; `host_aliases` are lines to
        end /etc/hosts with). `address`, an IPv4 address, becomes the pod's own: what listens on all addresses is
        reachable there, what listens on 127.0.0.1 is not. Raises SandboxError.
        """
        workdir.mkdir(parents=True, exist_ok=True)
        _write_files(isolation, hostname, workdir, address, resolv_conf, host_aliases)
        if isolation.mode == "none":
            address = ""
        complaint = os.memfd_create("complaint")
        try:
            process, ours = _spawn(isolation, hostname, workdir, address, complaint)
            sandbox = cls(isolation, workdir, address, process, Control(ours))
            try:
                await sandbox.control.ready
            except GoneError:
                await sandbox.stop()
                text = os.pread(complaint, 4096, 0).decode(errors="replace").strip()
                raise SandboxError(f"failed to create the pod's namespaces: {text}") from None
            except BaseException:
                await sandbox.stop()
                raise
        finally:
            os.close(complaint)
        return sandbox

    async def dial(self, port: int, *, host: str = "") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to a port of the pod, at its own address if it has one, else at 127.0.0.1, or at `host`.

        What comes back is a TCP connection made inside the pod. Raises what connect(2) says there, such as
        ConnectionRefusedError; ConnectionResetError when the pod has ended.
        """
        host = host or self._address or "127.0.0.1"
        try:
            reply = await self.control.request("dial", host=host, port=port)
        except GoneError:
            raise ConnectionResetError(f"connect {host}:{port}: the pod has ended") from None
        if reply.error:
            if reply.errno:
                raise OSError(reply.errno, os.strerror(reply.errno))
            raise OSError(reply.error)
        return await asyncio.open_connection(sock=socket.socket(fileno=reply.fds[0]))

    async def stop(self) -> None:
        """End every process of the pod, wait until they are gone, and remove what they shared."""
        self.control.close()
        await _ended(self._process)
        with contextlib.suppress(FileNotFoundError):
            (self.workdir / "shm").rmdir()


def _spawn(
    isolation: Isolation, hostname: str, workdir: Path, address: str, complaint: int
) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start `pause`, in namespaces unless there are none; the socket is our end of its control socket.

    It dies with the thread that calls this (prctl(2), PR_SET_PDEATHSIG), and with the last copy of the socket.
    """
    state = statedir.enclosing(workdir) or workdir
    pause = [program("pause"), "FD", str(state), *([address] if address else [])]
    wrapping = []
    if isolation.mode != "none":
        (workdir / "shm").mkdir(exist_ok=True)
        wrapping = [
            *(bubblewrap(), *namespaces(isolation.mode), "--hostname", hostname, "--dev-bind", "/", "/"),
            *("--perms", "1777", "--size", str(_SHM_BYTES), "--tmpfs", str(workdir / "shm"), "--chdir", "/", "--"),
        ]
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        pause[1] = str(theirs.fileno())
        try:
            process = subprocess.Popen(
                wrapping + pause,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=complaint,
                pass_fds=[theirs.fileno()],
                env={},
            )
        except BaseException:
            ours.close()
            raise
    return process, ours


async def _ended(process: subprocess.Popen[bytes]) -> None:
    """Wait for a child without a thread and without asking again and again."""
    if process.poll() is None:
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        pidfd = os.pidfd_open(process.pid)
        loop.add_reader(pidfd, ended.set)
        try:
            await asyncio.wait_for(ended.wait(), timeout=5)
        except TimeoutError:
            process.kill()
        finally:
            loop.remove_reader(pidfd)
            os.close(pidfd)
        process.wait()


def _write_files(
    isolation: Isolation, hostname: str, workdir: Path, address: str, resolv_conf: str, host_aliases: str
) -> None:
    """Write what the kubelet (/etc/hosts, pkg/kubelet/kubelet_pods.go) and containerd write for a pod."""
    hosts = (
        "# Kubernetes-managed hosts file.\n"
        "127.0.0.1\tlocalhost\n"
        "::1\tlocalhost ip6-localhost ip6-loopback\n"
        "fe00::0\tip6-localnet\n"
        "fe00::0\tip6-mcastprefix\n"
        "fe00::1\tip6-allnodes\n"
        "fe00::2\tip6-allrouters\n"
        f"{address or '127.0.0.1'}\t{hostname}\n"
        f"{host_aliases}"
    )
    for name, text in (("hosts", hosts), ("hostname", hostname + "\n"), ("resolv.conf", resolv_conf)):
        path = workdir / name
        path.unlink(missing_ok=True)
        path.write_text(text)
        # They are root's, mode 0644. Where a container's user owns every file, it must not gain from that.
        path.chmod(0o644 if isolation.mode == "root" else 0o444)
