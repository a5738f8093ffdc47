"""Pods on a real node: what they see, the events in their order, their statuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

Run = Callable[..., None]
MakePod = Callable[..., dict[str, Any]]


def test_a_pod_with_an_image_volume_runs_to_its_end(on_node: Run, make_pod: MakePod) -> None:
    async def test(lab: Any) -> None:
        probe, content = await lab.push_probe(), await lab.push_case("ok")
        lab.create(make_pod("p", probe, {"content": content}))
        pod = await lab.until_phase("p", "Succeeded", "Failed")
        seen = json.loads(await lab.log("p"))
        line = seen["files"]["config/app.yaml"].split()[:3]
        if "owners" in lab.kubelet.isolation.lacks:
            assert (line[0][0], line[2]) == ("-", "aefdbe17")
        else:
            assert line == ["-rw-r--r--", "0:0", "aefdbe17"]
        assert seen["writes"]["create"] == "open /content/.probe: read-only file system"
        assert pod["status"]["phase"] == "Succeeded"
        main = "spec.containers{main}"
        assert [(reason, path) for reason, _, path in lab.first_events("p")] == [
            ("Pulling", ""),
            ("Pulled", ""),
            ("Pulling", main),
            ("Pulled", main),
            ("Created", main),
            ("Started", main),
            ("Pulled", ""),
        ]
        messages = [message for _, message, _ in lab.first_events("p")]
        assert messages[0] == f'Pulling image "{content}"'
        assert messages[-1] == (
            f'Container image "{content}" already present on machine and can be accessed by the pod'
        )

    on_node(test)
