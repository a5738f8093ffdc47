"""`$(VAR)` references in commands, arguments, values and `subPathExpr`."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["expand", "expand_strictly"]


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replace each `$(NAME)` whose name is known; an unknown one stays, `$$` gives `$`.

    Source: Kubernetes third_party/forked/golang/expansion.
    """
    return _expand(text, variables)[0]


def expand_strictly(text: str, variables: Mapping[str, str]) -> str:
    """Like `expand`, but every name must be known.

    Raises:
        KeyError: its argument is the list of the names that are not.
    """
    result, missing = _expand(text, variables)
    if missing:
        raise KeyError(missing)
    return result


def _expand(text: str, variables: Mapping[str, str]) -> tuple[str, list[str]]:
    out: list[str] = []
    missing: list[str] = []
    position = 0
    while position < len(text):
        character = text[position]
        following = text[position + 1 : position + 2]
        if character != "$" or not following:
            out.append(character)
            position += 1
        elif following == "$":
            out.append("$")
            position += 2
        elif following == "(" and (end := text.find(")", position)) > 0:
            name = text[position + 2 : end]
            if name in variables:
                out.append(variables[name])
            else:
                out.append(text[position : end + 1])
                missing.append(name)
            position = end + 1
        elif following == "(":  # an incomplete reference is kept as it is
            out.append("$(")
            position += 2
        else:  # an operator before anything else is kept, too
            out.append(character + following)
            position += 2
    return "".join(out), missing
