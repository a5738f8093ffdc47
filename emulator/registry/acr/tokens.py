"""Signed tokens: JSON Web Tokens (RFC 7519) with HMAC-SHA256, whose times are those of the emulator's clock."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
import time
from typing import Any

from emulator.clock import Clock

__all__ = ["Signer", "TokenError"]

_HEADER = {"alg": "HS256", "typ": "JWT"}


class TokenError(Exception):
    """This is no token of ours, not the kind that is asked for, or it has expired; the text never has the token."""


class Signer:
    """Signs tokens with a key of its own, and reads those that it signed."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._key = secrets.token_bytes(32)
        # Clients read `exp`: it has to look like a time of day, though what passes is emulated time.
        self._epoch = time.time() - clock.now()

    def now(self) -> float:
        """The time of day by the emulator's clock, in seconds since 1970."""
        return self._epoch + self._clock.now()

    def sign(self, kind: str, subject: str, lifetime: float, **claims: Any) -> str:
        """A token of a kind (its `grant_type`) about a subject, for `lifetime` seconds."""
        now = self.now()
        payload = {
            "jti": secrets.token_hex(16),
            "sub": subject,
            "nbf": int(now),
            "iat": int(now),
            "exp": now + lifetime,
            "grant_type": kind,
            **claims,
        }
        signed = f"{_encode(json.dumps(_HEADER).encode())}.{_encode(json.dumps(payload).encode())}"
        return f"{signed}.{_encode(self._signature(signed))}"

    def read(self, kind: str, token: str) -> dict[str, Any]:
        """The claims of a token; TokenError if it is not a valid one of that kind."""
        signed, _, signature = token.rpartition(".")
        try:
            right = hmac.compare_digest(_decode(signature), self._signature(signed))
            payload: dict[str, Any] = json.loads(_decode(signed.partition(".")[2])) if right else {}
        except (ValueError, binascii.Error):
            right = False
        if not right or payload.get("grant_type") != kind:
            raise TokenError(f"this is no valid {kind}")
        if payload["exp"] <= self.now():
            raise TokenError(f"the {kind} has expired")
        return payload

    def seal(self, text: str) -> str:
        """A signature of a text that is sent in the clear, in hexadecimal digits."""
        return self._signature(text).hex()

    def is_sealed(self, text: str, seal: str) -> bool:
        """Whether this is the text's seal."""
        return hmac.compare_digest(seal.encode(), self.seal(text).encode())

    def _signature(self, text: str) -> bytes:
        return hmac.new(self._key, text.encode(), hashlib.sha256).digest()


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4))
