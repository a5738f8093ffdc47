"""Secrets stay out of reports: the ones we know, and what looks like one."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

__all__ = ["scrub"]

_HIDDEN = "<redacted>"
_SHAPES = (
    # JSON Web Tokens: Entra and ACR tokens, Kubernetes service accounts.
    re.compile(r"()\beyJ[\w-]{8,}\.[\w-]{8,}\.?[\w-]*"),
    re.compile(r"(\bauthorization\W{1,4}(?:basic|bearer)\s+)[^\s\"',]+", re.IGNORECASE),
    re.compile(r"(\bbearer\s+)[\w+/.~-]{20,}=*", re.IGNORECASE),
    re.compile(r"(\w://[^\s/:@\"']*:)[^\s/@\"']+(?=@)"),
    # Docker's config.json, forms of OAuth 2, and what programs print of their settings.
    re.compile(
        r"(\"?\b(?:auth|identitytoken|password|passwd|client_secret|refresh_token|access_token)\"?\s*[:=]\s*\"?)"
        r"(?!<redacted>)[\w+/.~-]{8,}=*",
        re.IGNORECASE,
    ),
)


def scrub(text: str, known: Iterable[str] = ()) -> str:
    """The text without the secrets that are known (also as XML or HTML spell them) and without what looks like one."""
    for secret in filter(None, known):
        for spelling in {secret, html.escape(secret), html.escape(secret, quote=False)}:
            text = text.replace(spelling, _HIDDEN)
    for shape in _SHAPES:
        text = shape.sub(rf"\g<1>{_HIDDEN}", text)
    return text
