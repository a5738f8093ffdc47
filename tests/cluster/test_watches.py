"""A watch tells exactly what happened, in order."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.cluster import Api, ApiError, Watch

NAMES = ("a", "b", "c")
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["create", "update", "delete"]),
        st.sampled_from(["default", "kube-public"]),
        st.sampled_from(NAMES),
        st.sampled_from(["x", "y"]),
    ),
    max_size=25,
)


def _step(api: Api, step: tuple[str, str, str, str]) -> None:
    kind, namespace, name, colour = step
    config = {"metadata": {"name": name, "namespace": namespace, "labels": {"colour": colour}}}
    try:
        if kind == "create":
            api.create("configmaps", config, namespace)
        elif kind == "update":
            api.update("configmaps", config)
        else:
            api.delete("configmaps", name, namespace)
    except ApiError as error:
        if error.code not in (404, 409):
            raise


def _state(api: Api, namespace: str | None, selector: str) -> dict[tuple[str, str], Any]:
    items = api.list("configmaps", namespace, label_selector=selector).items
    return {(item["metadata"]["namespace"], item["metadata"]["name"]): item for item in items}


async def _events(watch: Watch) -> list[Any]:
    """What a watch has to tell by now."""
    found = []
    while True:
        try:
            async with asyncio.timeout(0):
                found.append(await anext(watch))
        except TimeoutError:
            return found


@settings(deadline=None, max_examples=60)
@given(STEPS, st.integers(0, 25), st.sampled_from([None, "default"]), st.sampled_from(["", "colour=x", "colour!=y"]))
def test_a_watch_gives_exactly_the_sequence_of_states(steps, begin, namespace, selector):
    """Replaying a watch's events on the state it began with gives every later state, and none in between twice."""

    async def run() -> None:
        api = Api()
        for step in steps[:begin]:
            _step(api, step)
        state = _state(api, namespace, selector)
        since = api.list("configmaps").resource_version
        present = api.watch("configmaps", namespace, label_selector=selector)
        states = [dict(state)]
        for step in steps[begin:]:
            _step(api, step)
            now = _state(api, namespace, selector)
            if now != states[-1]:
                states.append(now)
        late = api.watch("configmaps", namespace, since=since, label_selector=selector)
        replayed = [dict(state)]
        versions = []
        for event in await _events(late):
            key = (event.object["metadata"]["namespace"], event.object["metadata"]["name"])
            versions.append(int(event.object["metadata"]["resourceVersion"]))
            if event.type == "DELETED":
                del state[key]
            else:
                assert (event.type == "MODIFIED") == (key in state)
                state[key] = event.object
            replayed.append(dict(state))
        assert replayed == states
        assert versions == sorted(set(versions))
        told = await _events(present)
        assert [event.type for event in told[: len(states[0])]] == ["ADDED"] * len(states[0])
        assert [event.object for event in told[len(states[0]) :]] == [
            event.object
            for event in await _events(api.watch("configmaps", namespace, since=since, label_selector=selector))
        ]

    asyncio.run(run())


def test_a_watch_from_too_long_ago_is_gone(refusal):
    api = Api(history=3)
    for name in "abcdef":
        api.create("configmaps", {"metadata": {"name": name}})
    error = refusal(api.watch, "configmaps", since="2")
    assert (error.code, error.reason) == (410, "Expired")
    latest = int(api.list("configmaps").resource_version)
    assert str(error) == f"too old resource version: 2 ({latest - 3})"
    api.watch("configmaps", since=str(latest - 3))


def test_a_closed_watch_ends():
    async def run() -> list[Any]:
        api = Api()
        watch = api.watch("configmaps")

        async def read() -> list[Any]:
            return [event async for event in watch]

        reader = asyncio.create_task(read())
        await asyncio.sleep(0)
        watch.close()
        api.create("configmaps", {"metadata": {"name": "x"}})
        return await asyncio.wait_for(reader, 5)

    assert asyncio.run(run()) == []


def test_an_event_object_is_the_watchers_own():
    async def run() -> None:
        api = Api()
        one, two = api.watch("configmaps"), api.watch("configmaps")
        api.create("configmaps", {"metadata": {"name": "x"}, "data": {"a": "b"}})
        (await anext(one)).object["data"]["a"] = "changed"
        assert (await anext(two)).object["data"] == {"a": "b"}
        assert api.get("configmaps", "x")["data"] == {"a": "b"}

    asyncio.run(run())


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 3), max_size=30))
def test_of_concurrent_writers_only_those_with_the_latest_version_win(turns):
    """Four writers increment a counter, each from what it last read: no increment that was accepted is lost."""
    api = Api()
    api.create("configmaps", {"metadata": {"name": "x"}, "data": {"n": "0"}})
    read = {writer: api.get("configmaps", "x") for writer in range(4)}
    accepted = 0
    for writer in turns:
        mine = read[writer]
        mine["data"]["n"] = str(int(mine["data"]["n"]) + 1)
        try:
            read[writer] = api.update("configmaps", mine)
            accepted += 1
        except ApiError as error:
            if error.code != 409:
                raise
            read[writer] = api.get("configmaps", "x")
    assert int(api.get("configmaps", "x")["data"]["n"]) == accepted
