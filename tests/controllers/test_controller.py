"""The loop all controllers share: once for every key, again after a failure, never silent."""

from __future__ import annotations

import asyncio
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.clock import Clock
from emulator.cluster import Api
from emulator.cluster.controllers import all_controllers
from emulator.cluster.controllers.controller import Controller
from emulator.cluster.controllers.queue import WorkQueue


@given(st.lists(st.integers(0, 5)))
def test_a_waiting_key_is_there_once_and_in_order(keys):
    async def test():
        queue = WorkQueue(Clock())
        queue.add(keys)
        return [await queue.get() for _ in set(keys)]

    assert asyncio.run(test()) == list(dict.fromkeys(keys))


def test_a_key_added_while_it_is_worked_on_comes_again():
    async def test():
        queue = WorkQueue(Clock())
        queue.add(["a"])
        assert await queue.get() == "a"
        queue.add(["a"])
        assert await queue.get() == "a"

    asyncio.run(test())


def test_failures_wait_longer_each_time_and_success_forgets_them():
    async def test():
        queue = WorkQueue(Clock(1e6))
        delays = [queue.retry("a") for _ in range(25)]
        assert delays[:4] == [0.005, 0.01, 0.02, 0.04]
        assert delays[-1] == 1000
        queue.forget("a")
        assert queue.retry("a") == 0.005
        assert await queue.get() == "a"
        queue.close()

    asyncio.run(test())


def test_the_sooner_of_two_dates_counts():
    async def test():
        queue = WorkQueue(Clock(100))
        queue.add_after("late", 1000)
        queue.add_after("soon", 500)
        queue.add_after("soon", 1)
        queue.add_after("soon", 900)
        async with asyncio.timeout(5):
            assert await queue.get() == "soon"
        queue.close()

    asyncio.run(test())


class Flaky(Controller):
    """Fails a few times at what it does, and at what it watches."""

    component = "flaky"
    failures = 3
    confusions = 1

    def __init__(self, api, clock):
        super().__init__(api, clock)
        self.done = []
        self.finished = asyncio.Event()

    def sources(self):
        return {"configmaps": self._source}

    def _source(self, event):
        if self.confusions:
            self.confusions -= 1
            raise KeyError("watch")
        return (("default", event.object["metadata"]["name"]),)

    def sync(self, key):
        if self.failures:
            self.failures -= 1
            raise RuntimeError("not today")
        self.done.append(key)
        self.finished.set()


def test_a_handler_that_fails_is_heard_and_tried_again(caplog):
    async def test():
        api = Api()
        api.create("configmaps", {"metadata": {"name": "one", "namespace": "default"}})
        controller = Flaky(api, Clock(1000))
        task = asyncio.create_task(controller.run())
        async with asyncio.timeout(10):
            await controller.finished.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert controller.done == [("default", "one")]

    with caplog.at_level(logging.ERROR):
        asyncio.run(test())
    messages = [record.getMessage() for record in caplog.records]
    assert messages[0] == "Flaky stopped and starts again"
    assert messages[1:] == ["default/one failed and is tried again"] * 3
    assert all(record.exc_info for record in caplog.records)


def test_cancelling_leaves_no_task_and_no_watch():
    async def test():
        api = Api()
        tasks = [asyncio.create_task(each.run()) for each in all_controllers(api, Clock())]
        await asyncio.sleep(0.02)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert not any(api.store._watches.values())

    asyncio.run(test())
