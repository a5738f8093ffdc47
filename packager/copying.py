"""Copying an image between registries and layouts, byte for byte: every platform or some, with the digest it had, and
what is attached to it."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from packager.credentials import Credentials, credentials_for
from packager.documents import Document
from packager.errors import PackagerError
from packager.fetching import FetchedBlob
from packager.graphs import Graph, read_graph
from packager.images import Image
from packager.layers import Progress
from packager.layouts import check_output, write_layout
from packager.references import Reference
from packager.referring import Referrer, entry_of, list_by_tag, referrer, subject_of
from packager.sources import Source, open_other, registry_of

if TYPE_CHECKING:
    from packager.uploads import Mode

__all__ = ["Copied", "copy"]


@dataclass(frozen=True)
class Copied:
    """What was copied. `target` is where it is now, pinned if that is a registry; sizes in bytes of blobs.

    `size` is of all blobs; of these `uploaded` were sent and `mounted` linked from the source's repository; the
    others were there. For a layout all are written, and both are 0. `referrers` are what is attached to the image, to
    its platforms' manifests and to what is attached, and was copied; None if that was not asked.
    """

    source: str
    target: str
    digest: str
    media_type: str
    size: int
    uploaded: int
    mounted: int
    referrers: tuple[Referrer, ...] | None = None


def copy(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    platforms: Sequence[str] = (),
    referrers: bool = False,
    auth: Credentials | None = None,
    upload_mode: Mode = "auto",
    progress: Progress | None = None,
) -> Copied:
    """Copy the image in a layout or a registry to a registry or into the layout `target`, with everything below its
    root and the digest it has.

    Every blob is held to its digest before it is passed on; those the target has, or that one registry can mount
    from the source's repository, are not fetched at all. What can be found at the target is complete at any time.
    Of `platforms`, if any are given, only these: of one its manifest, of several an index without the others, which
    has another digest; their manifests have theirs. With `referrers` what is attached goes along, and the tag comes
    after it; a registry that does not list referrers gets the tags that do.
    `auth` is for the target, and for the source if that is in the same registry or the target is a layout. Where it
    does not apply, what the user has set up is used. Raises PackagerError.
    """
    registry = registry_of(target)
    with open_other(source, auth, registry) as opened:
        output = None if registry else check_output(target)
        graph = read_graph(opened, platforms, referrers=referrers)
        if output is not None:
            copied = replace(_to_layout(opened, graph, output, progress), target=str(target))
        else:
            copied = _to_registry(opened, graph, Reference.parse(str(target)), auth, upload_mode, progress)
    if not referrers:
        return copied
    attached = (referrer(entry_of(document)) for document in graph.attached if subject_of(document))
    return replace(copied, referrers=tuple(attached))


def _to_layout(source: Source, graph: Graph, output: Path, progress: Progress | None) -> Copied:
    with contextlib.ExitStack() as stack:
        done = _Done(graph, progress)
        blobs = []
        for each in graph.blobs:
            blob = stack.enter_context(FetchedBlob(source, each, output.parent, done.on_bytes))
            blob.read(0, 0)  # fetch it now: nothing is written before all is there
            done.add(each.size)
            blobs.append(blob)
        entries = [entry_of(document) for document in graph.attached if subject_of(document)]
        image = Image(graph.root, (*graph.documents, *graph.attached), tuple(blobs), ())
        write_layout(image, output, name=graph.name, attached=entries)
    return Copied(source.name, str(output), graph.root.digest, graph.root.media_type, done.total, 0, 0)


def _to_registry(
    source: Source, graph: Graph, target: Reference, auth: Credentials | None, mode: Mode, progress: Progress | None
) -> Copied:
    from packager.registries import RegistryClient
    from packager.uploads import send_blob

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
        documents = [*graph.documents, root, *graph.attached]
        if target.tag and not graph.attached and not subject_of(root):
            documents.remove(root)  # by its tag is enough
        unlisted: dict[str, list[Document]] = {}
        for document in documents:
            if not client.put_manifest(document, document.digest) and (subject := subject_of(document)):
                unlisted.setdefault(subject, []).append(document)
        list_by_tag(client, unlisted)
        if target.tag:
            client.put_manifest(root, target.tag)
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
