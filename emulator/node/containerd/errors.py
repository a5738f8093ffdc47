"""Errors as the runtime hands them to the kubelet: a gRPC code and Go's wrapped text.

Source: containerd `errdefs` (which errors become which code) and Go's `%w`, which joins texts with ": ".
"""

from __future__ import annotations

import errno
import json
import os

__all__ = ["CriError", "go_quote", "go_syscall_text", "json_error"]

_GO_TEXT = {  # where Go's text for an errno differs from the C library's
    errno.ENOTSUP: "operation not supported",
    errno.ENAMETOOLONG: "file name too long",
    errno.ELOOP: "too many levels of symbolic links",
    errno.EXDEV: "invalid cross-device link",
}


class CriError(Exception):
    """A CRI call failed.

    `code` is the name of the gRPC status code ("Unknown", "NotFound", "FailedPrecondition", …), `message` its
    description. `str()` is what the kubelet prints for a failed pull: it names every code but Unknown.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        if self.code == "Unknown":
            return self.message
        return f"rpc error: code = {self.code} desc = {self.message}"

    def wrapped(self, context: str) -> CriError:
        """The same error with what was being done before it, as Go's `%w` writes it."""
        return CriError(self.code, f"{context}: {self.message}")

    @classmethod
    def unknown(cls, message: str) -> CriError:
        """An error without a code of its own."""
        return cls("Unknown", message)

    @classmethod
    def not_found(cls, message: str) -> CriError:
        """An error that wraps errdefs.ErrNotFound."""
        return cls("NotFound", f"{message}: not found")

    @classmethod
    def failed_precondition(cls, message: str) -> CriError:
        """An error that wraps errdefs.ErrFailedPrecondition."""
        return cls("FailedPrecondition", f"{message}: failed precondition")

    @classmethod
    def invalid_argument(cls, message: str) -> CriError:
        """An error that wraps errdefs.ErrInvalidArgument."""
        return cls("InvalidArgument", f"{message}: invalid argument")


def go_quote(text: str) -> str:
    """A string as Go's `%q` prints it."""
    quoted = []
    for char in text:
        point = ord(char)
        if char in '"\\':
            quoted.append("\\" + char)
        elif char in _ESCAPES:
            quoted.append(_ESCAPES[char])
        elif 0xDC80 <= point <= 0xDCFF:  # a byte that is not UTF-8, as surrogateescape keeps it
            quoted.append(f"\\x{point - 0xDC00:02x}")
        elif char.isprintable():
            quoted.append(char)
        elif point < 0x80:
            quoted.append(f"\\x{point:02x}")
        else:
            quoted.append(f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}")
    return '"' + "".join(quoted) + '"'


_ESCAPES = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}


def go_syscall_text(number: int) -> str:
    """An errno's text as Go's `syscall.Errno` prints it."""
    text = _GO_TEXT.get(number) or os.strerror(number)
    return text[0].lower() + text[1:]


def json_error(error: json.JSONDecodeError) -> str:
    """A JSON syntax error in the words of Go's encoding/json."""
    if error.pos >= len(error.doc.rstrip()):
        return "unexpected end of JSON input"
    char = error.doc[error.pos]
    shown = f"'{char}'" if char != "'" else "'\\''"
    return f"invalid character {shown} looking for beginning of value"
