"""Copying an image between registries and layouts, byte for byte: every platform, and the digest it had."""

from __future__ import annotations

import contextlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from packager.credentials import Credentials, credentials_for
from packager.errors import PackagerError
from packager.fetching import FetchedBlob
from packager.graphs import Graph, read_graph
from packager.images import Image
from packager.layers import Progress
from packager.layouts import check_output, write_layout
from packager.references import Reference
from packager.sources import Source, open_other, registry_of

if TYPE_CHECKING:
    from packager.uploads import Mode

__all__ = ["Copied", "copy"]


@dataclass(frozen=True)
class Copied:
    """What was copied. `target` is where it is now, pinned if that is a registry; sizes in bytes of blobs.

    `size` is of all blobs; of these `uploaded` were sent and `mounted` linked from the source's repository; the
    others were there. For a layout all are written, and both are 0.
    """

    source: str
    target: str
    digest: str
    media_type: str
    size: int
    uploaded: int
    mounted: int


def copy(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    auth: Credentials | None = None,
    upload_mode: Mode = "auto",
    progress: Progress | None = None,
) -> Copied:
    """Copy the image in a layout or a registry to a registry or into the layout `target`, with everything below its
    root and the digest it has.

    Every blob is held to its digest before it is passed on; those the target has, or that one registry can mount
    from the source's repository, are not fetched at all. What can be found at the target is complete at any time.
    `auth` is for the target, and for the source if that is in the same registry or the target is a layout. Where it
    does not apply, what the user has set up is used. Raises PackagerError.
    """
    registry = registry_of(target)
    with open_other(source, auth, registry) as opened:
        if not registry:
            return _to_layout(opened, target, progress)
        return _to_registry(opened, Reference.parse(str(target)), auth, upload_mode, progress)


def _to_layout(source: Source, target: str | os.PathLike[str], progress: Progress | None) -> Copied:
    output = check_output(target)
    graph = read_graph(source)
    with contextlib.ExitStack() as stack:
        done = _Done(graph, progress)
        blobs = []
        for each in graph.blobs:
            blob = stack.enter_context(FetchedBlob(source, each, output.parent, done.on_bytes))
            blob.read(0, 0)  # fetch it now: nothing is written before all is there
            done.add(each.size)
            blobs.append(blob)
        write_layout(Image(graph.root, graph.documents, tuple(blobs), ()), output)
    return Copied(source.name, str(target), graph.root.digest, graph.root.media_type, done.total, 0, 0)


def _to_registry(
    source: Source, target: Reference, auth: Credentials | None, mode: Mode, progress: Progress | None
) -> Copied:
    from packager.registries import RegistryClient
    from packager.uploads import send_blob

    graph = read_graph(source)
    root = graph.root
    if target.digest and target.digest != root.digest:
        raise PackagerError(f"the image is {root.digest}, not {target.digest}; nothing was copied")
    theirs = source.reference
    mounts = [theirs.repository] if theirs is not None and theirs.registry == target.registry else []
    done = _Done(graph, progress)
    moved = {"had": 0, "mounted": 0, "sent": 0}
    client = RegistryClient(target, credentials_for(target, auth), push=True)
    with client.session:
        for each in graph.blobs:
            with FetchedBlob(source, each, Path(tempfile.gettempdir())) as blob:
                outcome = send_blob(client, blob, mode=mode, mounts=mounts, on_bytes=done.on_bytes)
            moved[outcome] += each.size
            done.add(each.size)
        for document in graph.documents:
            client.put_manifest(document, document.digest)
        client.put_manifest(root, target.tag or root.digest)
    where = str(target.pinned(root.digest))
    return Copied(source.name, where, root.digest, root.media_type, done.total, moved["sent"], moved["mounted"])


class _Done:
    """How far the copying is, for the progress bar."""

    def __init__(self, graph: Graph, progress: Progress | None) -> None:
        self.total = sum(blob.size for blob in graph.blobs)
        self._before, self._progress = 0, progress

    def on_bytes(self, count: int) -> None:
        if self._progress:
            self._progress("copy", self._before + count, self.total)

    def add(self, size: int) -> None:
        self._before += size
        self.on_bytes(0)
