from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.cluster.kubelets import LogOptions
from emulator.node.sandbox import Container, read_log

ENTRY = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z (stdout|stderr) [FP] .*")


async def collect(path: Path, options: LogOptions) -> str:
    return b"".join([chunk async for chunk in read_log(path, options)]).decode()


def test_both_streams_are_entries_of_one_file(in_pods) -> None:
    async def test(pods) -> None:
        log = pods.state / "log"
        _, output = await pods.run("out:one", "err:two", "unended:three", log=log)
        # Each stream keeps its order; between the two there is none.
        assert sorted(output.splitlines()) == ["one", "three", "two"]
        entries = log.read_text().splitlines()
        assert all(ENTRY.fullmatch(entry) for entry in entries)
        assert [entry.split(" ")[2:] for entry in entries if " stdout " in entry] == [["F", "one"], ["F", "three"]]
        assert [entry.split(" ")[2:] for entry in entries if " stderr " in entry] == [["F", "two"]]

    in_pods(test)


@pytest.mark.parametrize("length", [0, 16383, 16384, 16385, 32768, 100_000])
def test_long_lines_are_split_into_partial_entries(in_pods, length: int) -> None:
    async def test(pods) -> None:
        log = pods.state / "log"
        _, output = await pods.run(f"long:{length}", "out:after", log=log)
        assert output == "x" * length + "\nafter\n"
        pieces = [entry.split(" ", 3)[2:] for entry in log.read_text().splitlines()]
        assert all(len(text) <= 16384 for _, text in pieces)
        assert [tag for tag, _ in pieces] == ["P"] * (max(length - 1, 0) // 16384) + ["F", "F"]

    in_pods(test)


def test_all_output_is_there_once_the_container_has_ended(in_pods) -> None:
    async def test(pods) -> None:
        _, output = await pods.run("lines:20000")
        assert output == "".join(f"line {number}\n" for number in range(20000))

    in_pods(test)


def test_following_ends_with_the_container(in_pods) -> None:
    async def test(pods) -> None:
        async with pods.pod() as sandbox:
            spec = pods.spec("out:early", "await:10", "out:late")
            container = await Container.start(sandbox, spec)
            output = b""
            async for chunk in read_log(spec.log, LogOptions(follow=True), container.wait()):
                output += chunk
                if b"awaiting" in chunk:
                    container.signal(10)
            assert output.decode().splitlines() == ["early", "awaiting", "got user defined signal 1", "late"]

    in_pods(test)


def test_following_can_be_given_up(in_pods) -> None:
    async def test(pods) -> None:
        async with pods.pod() as sandbox:
            spec = pods.spec("out:early", "block:")
            container = await Container.start(sandbox, spec)
            reader = read_log(spec.log, LogOptions(follow=True), container.wait())
            assert await anext(reader) == b"early\n"
            waiting = asyncio.ensure_future(anext(reader))
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert container.exit is None

    in_pods(test)


def test_a_log_that_is_not_there(tmp_path: Path) -> None:
    async def test() -> None:
        with pytest.raises(FileNotFoundError):
            await anext(read_log(tmp_path / "none", LogOptions(follow=True), asyncio.sleep(0)))

    asyncio.run(test())


# What the options mean, said once more and simply: on the list of whole entries.

texts = st.text(alphabet="ab ", max_size=6)
entries = st.lists(st.tuples(st.integers(0, 100), st.sampled_from("FP"), texts), max_size=30)
maybe = st.one_of(st.none(), st.integers(0, 40))


@given(entries, maybe, maybe, st.booleans(), maybe)
def test_options(
    tmp_path_factory: pytest.TempPathFactory,
    written: list[tuple[int, str, str]],
    tail: int | None,
    limit: int | None,
    timestamps: bool,
    since: int | None,
) -> None:
    now = datetime.now(UTC)
    log = tmp_path_factory.getbasetemp() / "options.log"
    lines, expected, at_start = [], "", True
    written = sorted(written, key=lambda entry: -entry[0])  # ages in seconds, the oldest first
    for index, (age, tag, text) in enumerate(written):
        # Half a second off, so that the time it takes to run this does not matter.
        time = now - timedelta(seconds=age + 0.5)
        lines.append(f"{time:%Y-%m-%dT%H:%M:%S.%f}Z stdout {tag} {text}\n")
        if tail is not None and index < len(written) - tail:
            continue
        if since is not None and age + 0.5 > since:
            continue
        if timestamps and at_start:
            expected += f"{time:%Y-%m-%dT%H:%M:%S.%f}000Z "
        expected += text + ("\n" if tag == "F" else "")
        at_start = tag == "F"
    log.write_text("".join(lines))
    if limit is not None:
        expected = expected[:limit]
    options = LogOptions(tail_lines=tail, limit_bytes=limit, timestamps=timestamps, since_seconds=since)
    assert asyncio.run(collect(log, options)) == expected
