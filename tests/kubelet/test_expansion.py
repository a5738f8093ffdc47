from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.node.kubelet.expansion import expand, expand_strictly

VARIABLES = {"A": "1", "LONG_NAME": "value", "EMPTY": "", "DOLLAR": "$(A)"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$(A)", "1"),
        ("x$(A)y$(LONG_NAME)", "x1yvalue"),
        ("$(EMPTY)", ""),
        ("$(MISSING)", "$(MISSING)"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$$$$(A)", "$$(A)"),
        ("$(DOLLAR)", "$(A)"),
        ("$(A", "$(A"),
        ("$A", "$A"),
        ("$", "$"),
        ("", ""),
        ("a$", "a$"),
        ("$($(A))", "$($(A))"),
    ],
)
def test_references_expand_as_kubernetes_expands_them(text: str, expected: str) -> None:
    assert expand(text, VARIABLES) == expected


def test_an_unknown_name_is_an_error_where_all_must_be_known() -> None:
    with pytest.raises(KeyError) as error:
        expand_strictly("$(A)/$(B)/$(C)", VARIABLES)
    assert error.value.args[0] == ["B", "C"]
    assert expand_strictly("$(A)/x", VARIABLES) == "1/x"


@given(st.text(st.characters(exclude_characters="$")))
def test_text_without_a_dollar_stays(text: str) -> None:
    assert expand(text, VARIABLES) == text


@given(st.text(st.sampled_from("$A)")))
def test_nothing_is_lost_without_variables(text: str) -> None:
    assert expand(text, {}) == text.replace("$$", "$")
