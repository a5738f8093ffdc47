"""What a registry's answers and failures mean, in words that carry no credential and no query string."""

from __future__ import annotations

import socket

import requests

from packager.errors import PackagerError

__all__ = ["PASSING", "TRANSIENT", "BrokenError", "MissingError", "is_final", "reason", "said"]

TRANSIENT = frozenset({429, 500, 502, 503, 504})
"""Statuses that may be gone in a moment."""

PASSING = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
"""Failures that may be gone in a moment; an answer that is cut short is the last of them."""


class MissingError(PackagerError):
    """The registry says that it does not have what was asked for."""


class BrokenError(PackagerError):
    """A connection or a registry failed in the middle: going on or trying again may help.

    `retry_after` is what the registry said about when, or "".
    """

    def __init__(self, sentence: str, retry_after: str = "") -> None:
        super().__init__(sentence)
        self.retry_after = retry_after


def said(response: requests.Response) -> str:
    """The registry's own words, from the body the specification gives errors; "" if it has none."""
    try:
        errors = response.json()["errors"]
        words = [f"{error.get('code', '')} {error.get('message', '')}".strip() for error in errors]
    except (ValueError, LookupError, TypeError, AttributeError, requests.RequestException):
        return ""
    text = "; ".join(word for word in words if word)
    return f" ({text[:300]})" if text else ""


def reason(error: BaseException) -> str:
    """Why a request failed: the operating system's reason if there is one."""
    cause = _cause(error)
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror.lower()
    return "no answer in time" if isinstance(error, requests.Timeout) else "the connection broke"


def is_final(error: BaseException) -> bool:
    """Whether asking again at once is pointless: nobody listens there, or the name means nothing."""
    return isinstance(_cause(error), ConnectionRefusedError | socket.gaierror)


def _cause(error: BaseException) -> BaseException:
    """What lies under a failed request: the operating system's error, if that is what it was."""
    seen: list[BaseException] = []
    at: BaseException | None = error
    while at is not None and at not in seen:
        if isinstance(at, OSError) and at.strerror and not isinstance(at, requests.RequestException):
            return at
        seen.append(at)
        at = at.__cause__ or at.__context__
    return error
