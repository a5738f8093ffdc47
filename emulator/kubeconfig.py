"""The kubeconfig a running emulator leaves where it was asked to."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Any

__all__ = ["Kubeconfig", "KubeconfigError"]

_NAME = "imgvol"


class KubeconfigError(Exception):
    """The file cannot be written there; the text is one sentence that says why."""


class Kubeconfig:
    """A file at `path` that only its owner may read.

    Raises:
        KubeconfigError: there is no such directory, or something that is not an emulator's kubeconfig is there.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path.cwd() / path
        if not self.path.parent.is_dir():
            raise KubeconfigError(
                f"the kubeconfig cannot be written to {self.path}: there is no directory {self.path.parent}"
            )
        if self.path.is_dir():
            raise KubeconfigError(f"the kubeconfig cannot be written to {self.path}: it is a directory")
        if self.path.exists() and not self._is_an_emulators():
            raise KubeconfigError(f"{self.path} exists and is not from imgvol up: remove it or choose another path")
        self._content = ""

    def write(self, content: dict[str, Any]) -> None:
        """Write the file, whole or not at all.

        Raises:
            KubeconfigError: it cannot be written.
        """
        import yaml

        dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
        self._content = str(yaml.dump(content, Dumper=dumper, sort_keys=False))
        try:
            descriptor, name = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)  # mode 0600
            try:
                with os.fdopen(descriptor, "w") as file:
                    file.write(self._content)
                Path(name).replace(self.path)
            except BaseException:
                Path(name).unlink()
                raise
        except OSError as error:
            raise KubeconfigError(f"the kubeconfig cannot be written to {self.path}: {error.strerror}") from None

    def remove(self) -> None:
        """Remove the file, unless somebody has put another in its place."""
        with contextlib.suppress(OSError, UnicodeDecodeError):
            if self._content and self.path.read_text() == self._content:
                self.path.unlink()

    def _is_an_emulators(self) -> bool:
        import yaml

        try:
            content = yaml.safe_load(self.path.read_text())
            return [each["name"] for each in content["clusters"]] == [_NAME]
        except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError):
            return False
