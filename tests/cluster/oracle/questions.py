# ruff: noqa: E731  (one choice a line; the same questions each time)
"""Questions for the oracle: pods and deployments right and wrong, patches, selectors.

    python questions.py PATH_OF_THE_ORACLE > answers.jsonl

The same questions come each time. They keep to fields the emulator models and leave out three things that nobody
means: an empty or contradictory $setElementOrder, $patch: replace together with it, and deleting an item and adding
another in one ordered list (where the order Kubernetes gives depends on how Go grows a slice).
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable
from typing import Any

Object = dict[str, Any]
DIGEST = "@sha256:" + "a" * 64


class Maker:
    """Makes objects; `care` is how likely the first, sensible choice is."""

    def __init__(self, seed: int, care: float) -> None:
        self.random = random.Random(seed)
        self.care = care

    def one(self, *choices: Any) -> Any:
        return choices[0] if self.random.random() < self.care else self.random.choice(choices)

    def some(self, into: Object, likely: float = 0.3, **makers: Callable[[], Any]) -> Object:
        for name, make in makers.items():
            if self.random.random() < likely:
                into[name] = make()
        return into

    def names(self, most: int = 4) -> list[str]:
        return self.random.sample("abcde", self.random.randint(0, most))

    def user(self) -> int:
        return self.one(65532, 0, 1, -1, 2**31)

    def probe(self) -> Object:
        one = self.one
        get = {
            "port": one(80, 0, 70000, "web", "web--x", "Web", "1"),
            "path": one("/x", ""),
            "scheme": one("HTTP", "HTTPS", "https"),
        }
        self.some(get, 0.2, httpHeaders=lambda: [{"name": one("X", "a b"), "value": "y"}])
        probe: Object = {"httpGet": get} if one(True, False) else {}
        self.some(probe, 0.3, tcpSocket=lambda: {"port": one(80, 0, "w")})
        for name in ("initialDelaySeconds", "timeoutSeconds", "successThreshold", "failureThreshold"):
            self.some(probe, 0.15, **{name: lambda: one(1, 0, 2, -1)})
        return probe

    def security(self, *, pod: bool = False) -> Object:
        one = self.one
        made = self.some({}, runAsUser=self.user, runAsGroup=self.user, runAsNonRoot=lambda: one(True, False))
        self.some(
            made,
            0.3,
            seccompProfile=lambda: self.some(
                {"type": one("RuntimeDefault", "Unconfined", "X", "")}, 0.1, localhostProfile=lambda: "p"
            ),
        )
        if pod:
            return self.some(
                made,
                fsGroup=self.user,
                supplementalGroups=lambda: [self.user()],
                fsGroupChangePolicy=lambda: one("Always", "OnRootMismatch", "x"),
            )
        return self.some(
            made,
            readOnlyRootFilesystem=lambda: one(True, False),
            allowPrivilegeEscalation=lambda: one(False, True),
            capabilities=lambda: {"drop": ["ALL"], "add": one(["NET_BIND_SERVICE"], ["KILL"])},
        )

    def variable(self) -> Object:
        one = self.one
        field = one(
            "metadata.name",
            "metadata.labels",
            "metadata.labels['a']",
            "metadata.labels['a b']",
            "spec.nothing",
            "status.phase",
            "",
        )
        source = one(
            {"fieldRef": {"fieldPath": field}},
            {"secretKeyRef": {"name": one("s", "S", ""), "key": one("k", "", "a b", "..")}},
            {"configMapKeyRef": {"name": "m", "key": "k"}, "secretKeyRef": {"name": "m", "key": "k"}},
            {},
        )
        made = {"name": one("A", "", "B=C", "é", "a b")}
        return self.some(made, 0.4, value=lambda: one("x", ""), valueFrom=lambda: source)

    def mount(self) -> Object:
        one = self.one
        made = {"name": one("content", "other", "e", ""), "mountPath": one("/c", "/d", "", "/e")}
        self.some(
            made, 0.3, subPath=lambda: one("ok", "/x", "../a", "a/../b", "a..b"), readOnly=lambda: one(True, False)
        )
        return self.some(made, 0.1, subPathExpr=lambda: one("$(A)", "/x", ".."))

    def container(self) -> Object:
        one, several = self.one, lambda make: [make() for _ in range(self.random.randint(1, 2))]
        image = one(
            "x:1", "x", "X", "", "x:latest", f"x{DIGEST}", " x", f"x:latest{DIGEST}", "localhost:5000/a/b:v1", "a_b//c"
        )
        port = lambda: {"containerPort": one(80, 0, 65536), "name": one("web", "Web", "", "x" * 16, "1", "-a")}
        sources = (
            {"configMapRef": {"name": one("m", "M", "")}},
            {},
            {"prefix": "a=", "secretRef": {"name": "s"}},
            {"secretRef": {"name": "s"}, "configMapRef": {"name": "m"}},
        )
        made = {"name": one("a", "b", "c-d", "A", "", "a.b", "x" * 64, "-a"), "image": image}
        self.some(
            made,
            0.2,
            imagePullPolicy=lambda: one("Always", "Never", "Sometimes"),
            command=lambda: ["a"],
            workingDir=lambda: "/w",
        )
        self.some(
            made, 0.3, ports=lambda: several(port), env=lambda: several(self.variable), envFrom=lambda: [one(*sources)]
        )
        self.some(
            made,
            0.3,
            resources=lambda: {
                "limits": {one("memory", "cpu"): one("1Gi", "1000m", "-1")},
                "requests": {"cpu": one("0.5", "2")},
            },
        )
        self.some(made, 0.6, volumeMounts=lambda: several(self.mount))
        self.some(made, 0.2, livenessProbe=self.probe, readinessProbe=self.probe, startupProbe=self.probe)
        self.some(made, 0.15, lifecycle=lambda: {"preStop": one({"sleep": {"seconds": one(1, 31, -1, 0)}}, {})})
        return self.some(made, 0.2, securityContext=self.security, terminationMessagePolicy=lambda: one("File", "x"))

    def volume(self) -> Object:
        one = self.one
        image = self.some({"reference": one("r/x:1", "", "r/x", "R")}, 0.3, pullPolicy=lambda: one("Always", "x"))
        return {"name": one("content", "e", "", "E")} | one(
            {"image": image}, {}, {"emptyDir": {}}, {"image": {"reference": "a"}, "emptyDir": {}}
        )

    def toleration(self) -> Object:
        one = self.one
        made = self.some(
            {"key": one("a", "a b", "", "x/y")},
            0.6,
            operator=lambda: one("Exists", "Equal", "x"),
            effect=lambda: one("NoExecute", "NoSchedule", "x"),
        )
        return self.some(made, 0.2, value=lambda: one("", "v", "?"), tolerationSeconds=lambda: 1)

    def spec(self) -> Object:
        one = self.one
        made: Object = {"containers": [self.container() for _ in range(one(1, 1, 2, 0))]}
        self.some(made, 0.8, volumes=lambda: [self.volume() for _ in range(self.random.randint(1, 2))])
        self.some(
            made,
            0.2,
            initContainers=lambda: [self.container()],
            imagePullSecrets=lambda: [{"name": "a"}],
            tolerations=lambda: [self.toleration()],
        )
        self.some(
            made,
            0.2,
            restartPolicy=lambda: one("Always", "Never", "x"),
            securityContext=lambda: self.security(pod=True),
        )
        self.some(
            made,
            0.1,
            dnsPolicy=lambda: one("Default", "x"),
            terminationGracePeriodSeconds=lambda: one(0, 5),
            preemptionPolicy=lambda: one("Never", "x"),
        )
        self.some(
            made,
            0.1,
            serviceAccountName=lambda: one("x", "X"),
            nodeName=lambda: one("n", "N"),
            hostname=lambda: one("h", "H.x"),
        )
        return self.some(
            made,
            0.1,
            nodeSelector=lambda: {one("a", "a b", "x/y/z", "/a"): one("v", "?")},
            enableServiceLinks=lambda: one(True, False),
        )

    def pod(self) -> Object:
        meta = {"name": self.one("p", "P", ""), "namespace": "n"}
        self.some(
            meta,
            0.1,
            labels=lambda: {self.one("a", "a b"): self.one("b", "?")},
            finalizers=lambda: [self.one("a/b", "x", "orphan", "a b/c")],
        )
        return {"metadata": meta, "spec": self.spec()}

    def deployment(self) -> Object:
        one = self.one
        labels = one({"app": "x"}, {"app": "?"}, {"b": "c"}, {"a b": "c"})
        term = {"key": "app", "operator": one("In", "Exists", "x"), "values": one(["x"], [])}
        selector = one({"matchLabels": labels}, {"matchLabels": {"app": "y"}}, {}, {"matchExpressions": [term]})
        made = {"selector": selector, "template": {"metadata": {"labels": labels}, "spec": self.spec()}}
        rolling = {"maxSurge": one("10%", 0, "0%", "x", -1), "maxUnavailable": one(1, 0, "150%", "0%")}
        strategy = one({"rollingUpdate": rolling}, {"type": "Recreate"}, {"type": "Recreate", "rollingUpdate": {}})
        self.some(
            made,
            0.3,
            replicas=lambda: one(3, 0, -1),
            strategy=lambda: strategy,
            revisionHistoryLimit=lambda: one(0, -1),
        )
        self.some(made, 0.2, minReadySeconds=lambda: one(5, -1, 600), progressDeadlineSeconds=lambda: one(60, 0))
        return {"metadata": {"name": "d", "namespace": "n"}, "spec": made}

    def patched(self, *, patch: bool) -> Object:
        """A pod for patching, or a patch of one."""

        def listed(key: str, make: Callable[[], Object], most: int) -> list[Object]:
            items = [{key: name} | make() for name in self.names(most)]
            for item in items if patch else ():
                if self.random.random() < 0.15:
                    for name in [name for name in item if name != key]:
                        del item[name]
                    item["$patch"] = "delete"
            return items

        def container() -> Object:
            made = self.some({}, 0.5, image=lambda: self.random.choice("xyz"), args=lambda: self.names(3))
            self.some(made, 0.5, env=lambda: listed("name", lambda: {"value": self.random.choice("12")}, 3))
            return self.some(made, 0.3, volumeMounts=lambda: listed("mountPath", lambda: {"name": "v"}, 2))

        spec = self.some({}, 0.8, containers=lambda: listed("name", container, 4))
        self.some(
            spec, 0.5, volumes=lambda: listed("name", lambda: {"image": {"reference": self.random.choice("rs")}}, 3)
        )
        value = lambda: None if patch and self.random.random() < 0.3 else self.random.choice("12")
        self.some(spec, 0.4, nodeSelector=lambda: {name: value() for name in self.names(2)})
        meta = self.some(
            {"name": "p"},
            0.5,
            finalizers=lambda: self.names(3),
            labels=lambda: {name: value() for name in self.names(2)},
        )
        if patch and "nodeSelector" in spec and self.random.random() < 0.2:
            spec["nodeSelector"]["$patch"] = "replace"
        if patch and self.random.random() < 0.5:
            kept = [item["name"] for item in spec.get("containers", ()) if "$patch" not in item]
            if kept and len(kept) == len(spec["containers"]):
                more = [name for name in self.names() if name not in kept]
                spec["$setElementOrder/containers"] = [{"name": name} for name in kept + more]
        return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}

    def like(self) -> Object:
        operator = self.one("In", "NotIn", "Exists", "DoesNotExist", "in", "")
        selector: Object = {"matchLabels": {self.one("app", "-a"): self.one("web", "-w")}}
        terms = [{"key": self.one("a", "b/c/d"), "operator": operator, "values": self.one(["x"], [], ["-"])}]
        return self.some(selector, 0.3, matchExpressions=lambda: terms)

    def spread(self) -> Object:
        one = self.one
        constraints = [
            self.some(
                {
                    "maxSkew": one(1, 0, -1, 5),
                    "topologyKey": one("kubernetes.io/hostname", "topology.kubernetes.io/zone", "", "a b"),
                    "whenUnsatisfiable": one("DoNotSchedule", "ScheduleAnyway", "", "Never"),
                },
                0.8,
                labelSelector=self.like,
            )
            for _ in range(self.random.randint(1, 3))
        ]
        container = {"name": "c", "image": "i"}
        spec = {"containers": [container], "topologySpreadConstraints": constraints}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "default"}, "spec": spec}

    def budget(self) -> Object:
        spec: Object = self.some({}, 0.8, selector=self.like)
        self.some(spec, 0.5, minAvailable=lambda: self.one(1, 0, -1, "50%", "101%", "x", ""))
        self.some(spec, 0.5, maxUnavailable=lambda: self.one(1, "25%", 0, -1, "101%", "%"))
        policies = ("IfHealthyBudget", "AlwaysAllow", "Never", "")
        self.some(spec, 0.3, unhealthyPodEvictionPolicy=lambda: self.one(*policies))
        meta = {"name": "b", "namespace": "default"}
        return {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": meta, "spec": spec}

    def selector(self) -> str:
        parts = [
            "a",
            "b",
            "c",
            "=",
            "==",
            "!=",
            "!",
            " in ",
            " notin ",
            "(",
            ")",
            ",",
            "1",
            "2",
            "x",
            " ",
            ">",
            "<",
            "(1,2)",
            "a=1",
            "!c",
        ]
        return "".join(self.random.choice(parts) for _ in range(self.random.randint(0, 6)))


def questions() -> list[Object]:
    """All of them, the same each time."""
    asked: list[Object] = []
    for seed, care in ((1, 0.6), (2, 0.9), (3, 0.98)):
        maker = Maker(seed, care)
        asked += [{"ask": "pod", "object": maker.pod()} for _ in range(40)]
        asked += [{"ask": "deployment", "object": maker.deployment()} for _ in range(20)]
    maker = Maker(4, 1.0)
    for _ in range(20):
        asked.append({"ask": "diff", "object": maker.pod(), "patch": maker.pod()})
    for _ in range(80):
        asked.append({"ask": "patch", "object": maker.patched(patch=False), "patch": maker.patched(patch=True)})
    sets = [{}, {"a": "1"}, {"a": "2", "b": "x"}, {"b": "5"}, {"c": ""}, {"a": "10"}]
    asked += [{"ask": "match", "object": sets, "selector": maker.selector()} for _ in range(150)]
    maker = Maker(5, 0.7)
    asked += [{"ask": "pod", "object": maker.spread()} for _ in range(30)]
    asked += [{"ask": "budget", "object": maker.budget()} for _ in range(30)]
    return asked


if __name__ == "__main__":
    lines = "".join(json.dumps(question) + "\n" for question in questions())
    subprocess.run([sys.argv[1]], input=lines, text=True, check=True)
