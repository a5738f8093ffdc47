"""How soon `imgvol up` is ready, and how soon a pod with an image volume runs, against the least that both cost.

Start-up is held against a Python that starts and ends (`python -c pass`), a pod against one bare namespace that
starts and ends (`bwrap … true`): the emulator makes two for a pod, one around the other. All times are medians.
`ready` counts from the end of the process's imports; a pod's time is that of its API client, over HTTPS, from
creating it to seeing it Running on a watch. A node that has to pull both images of the pod is `cold`.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import platform
import re
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

import packager
from emulator.node.sandbox.programs import bubblewrap
from fixtures import program

REPOSITORY = Path(__file__).parents[1]
STARTS = 7
COLD_PODS = 5
WARM_PODS = 15
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]


def median(measure: Callable[[], float], rounds: int) -> float:
    return statistics.median(measure() for _ in range(rounds))


def timed(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True)
    return time.perf_counter() - start


def python() -> float:
    return timed([sys.executable, "-c", "pass"])


def namespace() -> float:
    return timed([bubblewrap(), "--unshare-all", "--dev-bind", "/", "/", "--", "true"])


@contextlib.contextmanager
def up() -> Iterator[tuple[dict[str, Any], float, float]]:
    """A running emulator: its line, the seconds of its imports and those from there to ready."""
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "imgvol", "up", "--verbose"], stdout=subprocess.PIPE, stderr=said, text=True
        )
        try:
            assert process.stdout is not None
            line = json.loads(process.stdout.readline())
            said.seek(0)
            log = said.read()
            imports, ready = (
                float(found[1]) / 1000 for found in re.finditer(r"(?:imported|ready) after (\d+) ms", log)
            )
            yield line, imports, ready
        finally:
            process.terminate()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


class Client:
    """The least of an API client: one connection for requests and one for the watch."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster = config["clusters"][0]["cluster"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        context = ssl.create_default_context(cadata=authority)
        host = cluster["server"].removeprefix("https://")
        self._headers = {"Authorization": f"Bearer {config['users'][0]['user']['token']}"}
        self._requests = http.client.HTTPSConnection(host, context=context)
        self._watch = http.client.HTTPSConnection(host, context=context)

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        headers = self._headers | {"Content-Type": "application/json"}
        self._requests.request("POST", path, json.dumps(body), headers)
        answer: dict[str, Any] = json.load(self._requests.getresponse())
        assert answer["kind"] != "Status", answer
        return answer

    def until_running(self, pod: dict[str, Any]) -> None:
        name, version = pod["metadata"]["name"], pod["metadata"]["resourceVersion"]
        selector = f"watch=1&fieldSelector=metadata.name%3D{name}&resourceVersion={version}"
        self._watch.request("GET", f"/api/v1/namespaces/default/pods?{selector}", headers=self._headers)
        stream = self._watch.getresponse()
        for line in stream:
            status = json.loads(line)["object"]["status"]
            if status["phase"] == "Running":
                break
            assert status["phase"] == "Pending", status
        self._watch.close()

    def close(self) -> None:
        self._requests.close()
        self._watch.close()


def pod(name: str, engine: str, content: str) -> dict[str, Any]:
    return {
        "metadata": {"name": name},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "securityContext": {"runAsNonRoot": True, "runAsUser": 65532},
            "containers": [
                {"name": "engine", "image": engine, "volumeMounts": [{"name": "content", "mountPath": "/content"}]}
            ],
            "volumes": [{"name": "content", "image": {"reference": content}}],
        },
    }


def pods(line: dict[str, Any]) -> tuple[float, float]:
    """The seconds to Running of a pod whose images must be pulled, and of one whose images are there."""
    client = Client(Path(line["kubeconfig"]))
    binary = {f"linux/{ARCHITECTURE}": program("engine", ARCHITECTURE)}
    with tempfile.TemporaryDirectory(prefix="bench-emulator-") as work:
        images = []
        for number in range(COLD_PODS):
            content = Path(work) / str(number)
            content.mkdir()
            (content / "rules.json").write_text(f"[{number}]")
            image = f"{line['registry']}/bench/engine-{number}:v1"
            # An environment of its own makes each engine another image, but its layer is the same: as on a roll-out.
            packager.push_program(binary, image, entrypoint="/engine", user="65532", env={"N": str(number)})
            images.append((image, packager.push(content, f"{line['registry']}/bench/content-{number}:v1").reference))

        def run(number: int, name: str) -> float:
            start = time.perf_counter()
            created = client.post("/api/v1/namespaces/default/pods", pod(name, *images[number]))
            client.until_running(created)
            return time.perf_counter() - start

        cold = [run(number, f"cold-{number}") for number in range(COLD_PODS)]
        warm = [run(0, f"warm-{number}") for number in range(WARM_PODS)]
    client.close()
    return statistics.median(cold), statistics.median(warm)


def report(what: str, seconds: float, peer: str, least: float) -> None:
    print(f"{what:44}{seconds * 1000:8.0f} ms{seconds / least:7.1f} x {peer} ({least * 1000:.1f} ms)")


def run() -> None:
    print(f"{len(os.sched_getaffinity(0))} processors, medians")
    bare_python, bare_namespace = median(python, STARTS), median(namespace, STARTS)
    imports, ready = [], []
    for _ in range(STARTS):
        with up() as (_, importing, starting):
            imports.append(importing)
            ready.append(starting)
    report("imgvol up: imports", statistics.median(imports), "python -c pass", bare_python)
    report("imgvol up: from imports to ready", statistics.median(ready), "python -c pass", bare_python)
    with up() as (line, _, _):
        cold, warm = pods(line)
    report("pod with image volume, cold: to Running", cold, "bwrap true", bare_namespace)
    report("pod with image volume, warm: to Running", warm, "bwrap true", bare_namespace)
