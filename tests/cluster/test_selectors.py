"""Label and field selectors."""

from __future__ import annotations

import pytest

from emulator.cluster import Api
from emulator.cluster.selectors import match_labels, parse_labels


@pytest.mark.parametrize(
    ("selector", "matched"),
    [
        ("", "abc"),
        ("app=one", "a"),
        ("app==one", "a"),
        ("app!=one", "bc"),
        ("app", "ab"),
        ("!app", "c"),
        ("app in (one,two)", "ab"),
        ("app notin (one)", "bc"),
        ("app=two,tier=web", "b"),
        ("size>3", "b"),
        ("size<3", "a"),
        (" app = one ", "a"),
    ],
)
def test_label_selectors(api: Api, selector, matched):
    for name, labels in {
        "a": {"app": "one", "size": "1"},
        "b": {"app": "two", "tier": "web", "size": "5"},
        "c": {},
    }.items():
        api.create("configmaps", {"metadata": {"name": name, "labels": labels}})
    found = api.list("configmaps", "default", label_selector=selector).items
    assert "".join(item["metadata"]["name"] for item in found) == matched


@pytest.mark.parametrize("selector", ["app in one", "=x", "a,,b", "app=(x)", "size>x", "a,", "xnotin(a)", " notin (a)"])
def test_what_is_no_label_selector(api: Api, refusal, selector):
    error = refusal(api.list, "configmaps", label_selector=selector)
    assert error.code == 400
    assert str(error).startswith("unable to parse requirement")


def test_field_selectors(api: Api, make_pod, refusal):
    for name in ("p", "q"):
        api.create("pods", make_pod(name))
    api.update("pods", {"metadata": {"name": "p"}, "target": {"name": "node"}}, subresource="binding")

    def names(selector):
        return [item["metadata"]["name"] for item in api.list("pods", field_selector=selector).items]

    assert names("metadata.name=q") == ["q"]
    assert names("spec.nodeName=node,status.phase=Pending") == ["p"]
    assert names("spec.nodeName!=node") == ["q"]
    assert names("spec.nodeName=") == ["q"]
    error = refusal(api.list, "pods", field_selector="spec.hostname=x")
    assert (error.code, str(error)) == (400, "field label not supported: spec.hostname")
    error = refusal(api.list, "deployments", field_selector="spec.replicas=1")
    assert str(error) == '"spec.replicas" is not a known field selector: only "metadata.name", "metadata.namespace"'


def test_label_selector_objects():
    labels = {"a": "1"}
    assert not match_labels(None, labels)
    assert match_labels({}, labels)
    assert match_labels({"matchLabels": {"a": "1"}}, labels)
    assert not match_labels({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["1"]}]}, labels)
    assert match_labels({"matchExpressions": [{"key": "b", "operator": "DoesNotExist"}]}, labels)
    assert parse_labels("a=1")[0].matches(labels)
