from __future__ import annotations

import pytest

from emulator.node.kubelet.failures import go_duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.0004, "0s"),
        (0.0351, "35ms"),
        (1, "1s"),
        (1.5, "1.5s"),
        (62.003, "1m2.003s"),
        (300, "5m0s"),
        (3600, "1h0m0s"),
    ],
)
def test_durations_read_as_go_prints_them(seconds: float, text: str) -> None:
    assert go_duration(seconds) == text
