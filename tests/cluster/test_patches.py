"""JSON patch, merge patch and strategic merge patch."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.cluster import Api
from emulator.cluster.patches import apply_json_patch, apply_merge_patch, apply_strategic_patch
from emulator.cluster.patches.json_patch import PatchError
from emulator.cluster.schema import struct

SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.text("ab/~", max_size=3)
KEYS = st.text("ab/~", max_size=2)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=12
)
WITHOUT_NULLS = st.recursive(
    st.booleans() | st.integers(-3, 3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)


def same(left: Any, right: Any) -> bool:
    return repr(_sorted(left)) == repr(_sorted(right))


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


def json_diff(old: Any, new: Any, path: str = "") -> list[dict[str, Any]]:
    """A JSON patch from one value to another."""
    if isinstance(old, dict) and isinstance(new, dict):
        found = []
        for key in old.keys() | new.keys():
            here = f"{path}/{key.replace('~', '~0').replace('/', '~1')}"
            if key not in new:
                found.append({"op": "remove", "path": here})
            elif key not in old:
                found.append({"op": "add", "path": here, "value": new[key]})
            else:
                found += json_diff(old[key], new[key], here)
        return found
    if isinstance(old, list) and isinstance(new, list):
        found = [
            step for at, pair in enumerate(zip(old, new, strict=False)) for step in json_diff(*pair, f"{path}/{at}")
        ]
        found += [{"op": "remove", "path": f"{path}/{at}"} for at in range(len(old) - 1, len(new) - 1, -1)]
        return found + [{"op": "add", "path": f"{path}/-", "value": item} for item in new[len(old) :]]
    return [] if same(old, new) else [{"op": "replace", "path": path, "value": new}]


@given(JSON, JSON)
def test_a_json_patch_made_from_a_difference_brings_it_about(old, new):
    before = copy.deepcopy(old)
    patch = [{"op": "test", "path": "", "value": old}, *json_diff(old, new)]
    assert same(apply_json_patch(old, patch), new)
    assert same(old, before), "the document itself is left alone"


def merge_diff(old: Any, new: Any) -> Any:
    """A merge patch from one value to another."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    patch = {key: merge_diff(old.get(key), new[key]) for key in new if key not in old or not same(old[key], new[key])}
    return patch | {key: None for key in old if key not in new}


@given(WITHOUT_NULLS, WITHOUT_NULLS)
def test_a_merge_patch_made_from_a_difference_brings_it_about(old, new):
    before = copy.deepcopy(old)
    assert same(apply_merge_patch(old, merge_diff(old, new)), new)
    assert same(old, before)


@given(WITHOUT_NULLS, WITHOUT_NULLS)
def test_a_merge_patch_applied_twice_is_applied_once(document, patch):
    once = apply_merge_patch(document, patch)
    assert same(apply_merge_patch(once, patch), once)


@pytest.mark.parametrize(
    ("document", "patch", "result"),
    [  # the examples of RFC 7386, appendix A
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_the_merge_patches_of_the_rfc(document, patch, result):
    assert apply_merge_patch(document, patch) == result


@pytest.mark.parametrize(
    ("patch", "code"),
    [
        ({}, 400),
        ([{"op": "jump", "path": "/a"}], 400),
        ([{"op": "add", "path": "/a"}], 400),
        ([{"op": "remove", "path": "/nothing"}], 422),
        ([{"op": "replace", "path": "/list/7", "value": 1}], 422),
        ([{"op": "add", "path": "/list/01", "value": 1}], 422),
        ([{"op": "add", "path": "/a/b/c", "value": 1}], 422),
        ([{"op": "test", "path": "/a", "value": True}], 422),
        ([{"op": "move", "from": "/list", "path": "/list/0"}], 422),
    ],
)
def test_json_patches_that_fail_leave_everything_as_it_was(patch, code):
    document = {"a": 1, "list": [1]}
    with pytest.raises(PatchError) as caught:
        apply_json_patch(document, [{"op": "replace", "path": "/a", "value": 1}, *patch] if patch else patch)
    assert caught.value.code == code
    assert document == {"a": 1, "list": [1]}


def test_json_patch_operations():
    document = {"a": {"b": [1, 2, 3]}, "~": {"/": 0}}
    patch = [
        {"op": "add", "path": "/a/b/1", "value": 9},
        {"op": "move", "from": "/a/b/0", "path": "/c"},
        {"op": "copy", "from": "/a/b", "path": "/d"},
        {"op": "remove", "path": "/a/b/0"},
        {"op": "test", "path": "/~0/~1", "value": 0},
    ]
    assert apply_json_patch(document, patch) == {"a": {"b": [2, 3]}, "~": {"/": 0}, "c": 1, "d": [9, 2, 3]}


# Strategic merge patches

NAMES = st.lists(st.sampled_from("abcde"), unique=True, max_size=5)


@st.composite
def pods(draw) -> dict[str, Any]:
    """Pods whose lists have merge keys."""
    containers = [
        {
            "name": name,
            "image": draw(st.sampled_from(["x", "y"])),
            "env": [{"name": key, "value": draw(st.sampled_from("12"))} for key in draw(NAMES)],
        }
        for name in draw(NAMES)
    ]
    volumes = [{"name": name, "image": {"reference": draw(st.sampled_from("rs"))}} for name in draw(NAMES)]
    labels = draw(st.dictionaries(st.sampled_from("ab"), st.sampled_from("12"), max_size=2))
    finalizers = draw(NAMES)
    spec = {"containers": containers, "volumes": volumes, "nodeSelector": labels}
    return {"kind": "Pod", "metadata": {"labels": labels, "finalizers": finalizers}, "spec": spec}


def strategic_diff(old: Any, new: Any, shape) -> dict[str, Any]:
    """A strategic merge patch from one object to another, with the directives kubectl uses."""
    patch: dict[str, Any] = {}
    for key in old.keys() | new.keys():
        field = shape.fields.get(key) if shape else None
        before, after = old.get(key), new.get(key)
        if same(before, after):
            continue
        if after is None:
            patch[key] = None
        elif field is not None and field.merge and before is not None:
            patch |= _list_diff(key, before, after, field)
        elif isinstance(before, dict) and isinstance(after, dict):
            patch[key] = strategic_diff(before, after, field.struct if field and field.shape == "struct" else None)
        else:
            patch[key] = after
    return patch


def _list_diff(key: str, before: list[Any], after: list[Any], field) -> dict[str, Any]:
    if not field.key:
        return {
            f"$deleteFromPrimitiveList/{key}": [item for item in before if item not in after],
            f"$setElementOrder/{key}": after,
            key: [item for item in after if item not in before],
        }
    was = {item[field.key]: item for item in before}
    now = {item[field.key]: item for item in after}
    changes = []
    for name, item in now.items():
        change = strategic_diff(was.get(name, {}), item, field.struct)
        if change:
            changes.append(change | {field.key: name})
    changes += [{field.key: name, "$patch": "delete"} for name in was if name not in now]
    return {f"$setElementOrder/{key}": [{field.key: name} for name in now], key: changes}


@given(pods(), pods())
def test_a_strategic_patch_made_from_a_difference_brings_it_about(old, new):
    before = copy.deepcopy(old)
    patch = strategic_diff(old, new, struct("Pod"))
    assert same(apply_strategic_patch(old, patch, struct("Pod")), new)
    assert same(old, before)


@given(pods(), pods())
def test_a_patch_never_loses_what_it_does_not_name(old, new):
    """Without directives, a strategic patch only adds and replaces."""
    merged = apply_strategic_patch(old, new, struct("Pod"))
    for key in ("containers", "volumes"):
        names = {item["name"] for item in merged["spec"][key]}
        assert names == {item["name"] for item in old["spec"][key] + new["spec"][key]}
        assert len(merged["spec"][key]) == len(names)
        by_name = {item["name"]: item for item in merged["spec"][key]}
        for item in new["spec"][key]:
            assert by_name[item["name"]].items() >= {k: v for k, v in item.items() if k != "env"}.items()
    assert set(merged["metadata"]["finalizers"]) == {*old["metadata"]["finalizers"], *new["metadata"]["finalizers"]}


def _spec(*names: str, **more: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": name, "image": name} for name in names]} | more}


@pytest.mark.parametrize(
    ("document", "patch", "result"),
    [
        (_spec("a", "b"), {"spec": {"containers": [{"name": "b", "image": "z"}]}}, ["a:a", "b:z"]),
        (_spec("a"), {"spec": {"containers": [{"name": "n", "image": "n"}]}}, ["n:n", "a:a"]),
        (_spec("a", "b"), {"spec": {"containers": [{"name": "a", "$patch": "delete"}]}}, ["b:b"]),
        (_spec("a", "b"), {"spec": {"containers": [{"$patch": "replace"}, {"name": "n", "image": "n"}]}}, ["n:n"]),
        (_spec("a", "b"), {"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}}, ["b:b", "a:a"]),
        (_spec("a"), {"spec": {"$patch": "replace", "containers": [{"name": "n", "image": "n"}]}}, ["n:n"]),
        (_spec("a"), {"spec": {"containers": None}}, []),
    ],
)
def test_lists_of_named_things(document, patch, result):
    merged = apply_strategic_patch(document, patch, struct("Pod"))
    assert [f"{c['name']}:{c['image']}" for c in merged["spec"].get("containers", ())] == result


def test_retained_keys():
    deployment = {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}
    patch = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}
    assert apply_strategic_patch(deployment, patch, struct("Deployment")) == {
        "spec": {"strategy": {"type": "Recreate"}}
    }


def test_a_list_without_a_merge_key_is_replaced():
    document = {"spec": {"containers": [{"name": "a", "args": ["1", "2"]}]}}
    patch = {"spec": {"containers": [{"name": "a", "args": ["3"]}]}}
    merged = apply_strategic_patch(document, patch, struct("Pod"))
    assert merged["spec"]["containers"][0]["args"] == ["3"]


@pytest.mark.parametrize(
    ("patch", "text"),
    [
        ({"spec": {"containers": [{"image": "x"}]}}, "does not contain declared merge key: name"),
        ({"spec": {"$patch": "invent"}}, "unknown patch type: invent"),
        (
            {"spec": {"$setElementOrder/containers": [{"name": "b"}], "containers": [{"name": "c"}]}},
            "The order in patch list",
        ),
        ({"spec": {"$retainKeys": ["volumes"], "containers": []}}, "invalid patch format of retainKeys"),
        ([], "invalid JSON document"),
    ],
)
def test_what_is_no_strategic_patch(patch, text):
    with pytest.raises(PatchError, match=text):
        apply_strategic_patch(_spec("a"), patch, struct("Pod"))


def test_patching_through_the_api(api: Api, refusal):
    api.create("configmaps", {"metadata": {"name": "x", "labels": {"a": "1"}}, "data": {"k": "v"}})
    api.patch("configmaps", "x", [{"op": "add", "path": "/data/n", "value": "m"}], kind="json")
    api.patch("configmaps", "x", {"metadata": {"labels": {"b": "2"}}}, kind="merge")
    made = api.patch("configmaps", "x", {"data": {"k": None}}, kind="strategic")
    assert (made["data"], made["metadata"]["labels"]) == ({"n": "m"}, {"a": "1", "b": "2"})
    error = refusal(api.patch, "configmaps", "x", [{"op": "test", "path": "/data/n", "value": "?"}], kind="json")
    assert error.code == 422
    assert str(error) == "the server rejected our request due to an error in our request"
    assert refusal(api.patch, "configmaps", "x", {}, kind="json").code == 400
    stale = {"metadata": {"resourceVersion": "1"}, "data": {"z": "z"}}
    assert refusal(api.patch, "configmaps", "x", stale, kind="merge").code == 409
    renamed = [{"op": "replace", "path": "/metadata/name", "value": "y"}]
    assert refusal(api.patch, "configmaps", "x", renamed, kind="json").code == 400
