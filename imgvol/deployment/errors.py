"""What is said when a command cannot go on: one sentence, with what is wrong, where, and how to mend it."""

from __future__ import annotations

__all__ = ["DeploymentError", "UsageError"]


class DeploymentError(Exception):
    """The work could not be done. `str()` is what to show; `exit_code` what to end with."""

    exit_code = 1


class UsageError(DeploymentError):
    """A setting is missing or cannot be meant."""

    exit_code = 2
