"""A recording is written whole, and read back as what was seen."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from conformance.observation import Observation, normalised
from conformance.record import write_case

NAMES = {"127.0.0.1:5000": "<registry>"}
texts = st.text(max_size=40).map(lambda text: f"127.0.0.1:5000/{text}")
observations = st.builds(
    Observation,
    phase=st.sampled_from(["Pending", "Succeeded", "Failed"]),
    waiting=st.one_of(
        st.just({}),
        st.fixed_dictionaries({"reason": st.sampled_from(["ErrImagePull", "ImagePullBackOff"]), "message": texts}),
    ),
    events=st.lists(
        st.tuples(st.just("Normal"), st.just("Pulled"), texts, st.sampled_from(["pod", "container"])), max_size=4
    ).map(tuple),
    log=texts,
)


@given(seen=observations)
def test_normalising_twice_is_normalising_once(seen: Observation) -> None:
    once = normalised(seen, NAMES)
    assert normalised(once, NAMES) == once
    assert "127.0.0.1:5000" not in json.dumps(once.events) + once.log


def test_writers_at_the_same_time_leave_whole_files(tmp_path: Path) -> None:
    def write(number: int) -> None:
        write_case(tmp_path, "ok", Observation(phase="Succeeded", log="x" * number * 1000), {}, {"number": number})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(1, 40)))
    (path,) = tmp_path.iterdir()
    told = json.loads(path.read_text())
    assert len(told["raw"]["log"]) == told["provenance"]["number"] * 1000
