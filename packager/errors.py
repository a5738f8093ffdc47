"""What the packager says when it cannot go on: one sentence, with what is wrong, where, and how to mend
it."""

from __future__ import annotations

import errno

__all__ = ["PackagerError", "UsageError", "from_os_error"]

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class PackagerError(Exception):
    """The work could not be done. `str()` is the sentence to show; `exit_code` what a program should end
    with."""

    exit_code = 1


class UsageError(PackagerError):
    """What was asked for cannot be meant: a malformed reference, platform, user or path."""

    exit_code = 2


def from_os_error(error: OSError, doing: str) -> PackagerError:
    """The sentence for an operating-system error met while `doing` something ("write the layer to /tmp")."""
    reason = (error.strerror or str(error)).lower()
    if error.errno in _NO_ROOM:
        return PackagerError(f"cannot {doing}: {reason}; free some space or choose another place")
    if error.errno == errno.EMFILE:
        return PackagerError(f"cannot {doing}: {reason}; raise the limit with `ulimit -n`")
    return PackagerError(f"cannot {doing}: {reason}")
