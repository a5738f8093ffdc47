"""Verifying: every rule that an image breaks, not only the first."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from typing import Any

from packager.credentials import Credentials
from packager.documents import CONFIG, INDEX, LAYER_GZIP, LAYER_PLAIN, LAYER_ZSTD, MANIFEST, Document, created
from packager.layerrules import LayerFacts, check_layer
from packager.sources import Source, is_digest, open_source
from packager.violations import Violation

__all__ = ["verify"]

_MAX_CONFIG = 8 << 20

Fields = dict[str, Any]


def verify(
    target: str | os.PathLike[str],
    *,
    auth: Credentials | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> list[Violation]:
    """Every violation in the image that a layout holds or a reference names; none means that it is as
    `pack` makes it.

    Digests, sizes and media types of everything, down to the layer's tar (packager.tarrules), which is read
    as a stream and not stored. Raises PackagerError if there is no image, or the registry cannot be asked.
    """
    with open_source(target, auth) as source:
        audit = _Audit(source, progress)
        audit.run()
    return audit.violations


class _Audit:
    def __init__(self, source: Source, progress: Callable[[str, int, int], None] | None) -> None:
        self.violations: list[Violation] = []
        self._source = source
        self._progress = progress
        self._layers: dict[str, LayerFacts] = {}
        self._shared: list[tuple[str, tuple[str, ...]]] = []
        self._is_program = False

    def run(self) -> None:
        root = self._source.root()
        where = "root"
        if root.document is None:
            self._report("presence", where, root.digest, "nothing")
            return
        said: Fields = {"mediaType": root.document.media_type}
        if root.digest is not None:
            said["digest"] = root.digest
        if root.size is not None:
            said["size"] = root.size
        fields = self._document(root.document, said, where)
        if "manifests" in fields and "layers" not in fields:
            self._index(root.document, fields)
        else:
            self._manifest(root.document, fields, "manifest", None)
        self._sharing()

    def _index(self, document: Document, fields: Fields) -> None:
        where = "index"
        self._typed(document, fields, INDEX, where)
        entries = fields["manifests"]
        if not isinstance(entries, list) or not entries:
            self._report("manifests", where, "a list with a manifest for each platform", _brief(entries))
            return
        seen: set[str] = set()
        for number, entry in enumerate(entries):
            platform = entry.get("platform") if isinstance(entry, dict) else None
            name = _platform(platform)
            here = f"manifest {name or number}"
            if not name:
                self._report("platform", here, "os and architecture in the index", _brief(platform))
            elif name in seen:
                self._report("platform", here, "one manifest for each platform", f"another one for {name}")
            seen.add(name)
            if not self._descriptor(entry, (MANIFEST,), here):
                continue
            child = self._source.document(entry["digest"], str(entry.get("mediaType", "")))
            if child is None:
                self._report("presence", here, entry["digest"], "nothing")
                continue
            self._manifest(child, self._document(child, entry, here), here, name)

    def _manifest(self, document: Document, fields: Fields, where: str, platform: str | None) -> None:
        """`platform` is what the index says; None if there is no index."""
        self._typed(document, fields, MANIFEST, where)
        layers = fields.get("layers")
        if not isinstance(layers, list) or len(layers) != 1:
            found = f"{len(layers)}" if isinstance(layers, list) else _brief(layers)
            self._report("layers", where, "exactly 1", found)
        layers = layers if isinstance(layers, list) else []
        facts = [
            self._layer(layer, f"layer {number}" if number else "layer")
            for number, layer in enumerate(layers)
            if self._descriptor(layer, (LAYER_GZIP, LAYER_ZSTD, LAYER_PLAIN), f"{where}, layer {number}")
        ]
        self._shared.append((where, tuple(str(layer.get("digest")) for layer in layers if isinstance(layer, dict))))
        config = fields.get("config")
        if self._descriptor(config, (CONFIG,), f"{where}, config"):
            self._config(config, f"{where}, config", platform, facts)

    def _config(self, descriptor: Any, where: str, platform: str | None, layers: list[LayerFacts | None]) -> None:
        chunks = self._source.blob(descriptor["digest"])
        if chunks is None:
            self._report("presence", where, descriptor["digest"], "nothing")
            return
        fields = self._document(Document(CONFIG, _all(chunks)), descriptor, where)
        name = _platform(fields)
        if not name:
            self._report("platform", where, "os and architecture", _brief({k: fields.get(k) for k in _PLATFORM}))
        elif platform and name != platform:
            self._report("platform", where, f"{platform} as in the index", name)
        run = fields.get("config")
        if isinstance(run, dict) and (run.get("Entrypoint") or run.get("Cmd")):
            self._is_program = True
        rootfs = fields.get("rootfs")
        rootfs = rootfs if isinstance(rootfs, dict) else {}
        if rootfs.get("type") != "layers":
            self._report("rootfs.type", where, "layers", _brief(rootfs.get("type")))
        diff_ids = rootfs.get("diff_ids")
        if not isinstance(diff_ids, list) or len(diff_ids) != len(layers):
            found = f"{len(diff_ids)}" if isinstance(diff_ids, list) else _brief(diff_ids)
            self._report("diff_ids", where, f"as many as layers, {len(layers)}", found)
            diff_ids = diff_ids if isinstance(diff_ids, list) else []
        for diff_id, layer in zip(diff_ids, layers, strict=False):
            if layer is not None and layer.diff_id is not None and diff_id != layer.diff_id:
                self._report("diff_id", where, f"{layer.diff_id}, the uncompressed layer's", _brief(diff_id))
        times = {created(layer.mtime) for layer in layers if layer is not None and layer.mtime is not None}
        for time in times - {fields.get("created")}:
            self._report("created", where, f"{time}, the time in the layer", _brief(fields.get("created")))

    def _layer(self, descriptor: Any, where: str) -> LayerFacts | None:
        digest, size = descriptor["digest"], descriptor["size"]
        where = f"{where} {digest}"
        facts = self._layers.get(digest)
        if facts is None:
            chunks = self._source.blob(digest)
            if chunks is None:
                self._report("presence", where, digest, "nothing")
                return None
            facts = self._layers[digest] = check_layer(
                self._counted(chunks, size), descriptor.get("mediaType"), where, self._report
            )
            if facts.digest != digest:
                self._report("digest", where, digest, facts.digest)
        if facts.size != size:
            self._report("size", where, f"{size} bytes", f"{facts.size} bytes")
        return facts

    def _counted(self, chunks: Iterator[bytes], total: int) -> Iterator[bytes]:
        done = 0
        for chunk in chunks:
            done += len(chunk)
            if self._progress:
                self._progress("verify", done, max(total, done))
            yield chunk

    def _sharing(self) -> None:
        """Content is the same whatever the machine; a program, which has an entrypoint, is not."""
        if self._is_program or not self._shared:
            return
        (first, expected), *others = self._shared
        for where, digests in others:
            if digests != expected:
                self._report("shared layer", where, f"{', '.join(expected)} as {first}", ", ".join(digests))

    def _document(self, document: Document, said: Fields, where: str) -> Fields:
        """A document's fields, {} if it has none; held to what is said of it."""
        if "digest" in said and document.digest != said["digest"]:
            self._report("digest", where, said["digest"], document.digest)
        if "size" in said and len(document.body) != said["size"]:
            self._report("size", where, f"{said['size']} bytes", f"{len(document.body)} bytes")
        try:
            fields = json.loads(document.body)
        except (ValueError, RecursionError):
            fields = None
        if not isinstance(fields, dict):
            self._report("JSON", where, "an object", "something else")
            return {}
        return fields

    def _typed(self, document: Document, fields: Fields, expected: str, where: str) -> None:
        if fields.get("schemaVersion") != 2:
            self._report("schemaVersion", where, 2, _brief(fields.get("schemaVersion")))
        for media_type in dict.fromkeys((document.media_type, fields.get("mediaType"))):
            if media_type != expected:
                self._report("media type", where, expected, _brief(media_type))

    def _descriptor(self, descriptor: Any, media_types: tuple[str, ...], where: str) -> bool:
        """Whether a descriptor can be followed; what is wrong with it is reported either way."""
        if not isinstance(descriptor, dict):
            self._report("descriptor", where, "an object", _brief(descriptor))
            return False
        if descriptor.get("mediaType") not in media_types:
            self._report("media type", where, " or ".join(media_types), _brief(descriptor.get("mediaType")))
        digest, size = descriptor.get("digest"), descriptor.get("size")
        if not is_digest(digest):
            self._report("digest", where, "sha256: and 64 hexadecimal digits", _brief(digest))
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            self._report("size", where, "a number of bytes", _brief(size))
            return False
        return is_digest(digest)

    def _report(self, what: str, where: str, expected: object, found: object) -> None:
        self.violations.append(Violation(what, where, str(expected), str(found)))


_PLATFORM = ("os", "architecture", "variant")


def _platform(fields: Any) -> str:
    """`os/architecture[/variant]`, or "" if it is not said."""
    if not isinstance(fields, dict):
        return ""
    parts = [fields.get(key) or "" for key in _PLATFORM]
    if not all(isinstance(part, str) for part in parts) or not parts[0] or not parts[1]:
        return ""
    return "/".join(part for part in parts if part)


def _brief(value: Any) -> str:
    text = "nothing" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 200 else text[:200] + "…"


def _all(chunks: Iterator[bytes]) -> bytes:
    body = b""
    for chunk in chunks:
        body += chunk
        if len(body) > _MAX_CONFIG:
            break
    return body
