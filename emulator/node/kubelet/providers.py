"""Credential providers: programs that the kubelet asks for the credentials of an image.

Source: Kubernetes pkg/credentialprovider/plugin (config.go, plugin.go) and credentialprovider.kubelet.k8s.io/v1.
A provider that fails is logged, and the pull goes on without its credentials: pods see nothing of it but that.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import re
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emulator.clock import Clock
from emulator.node.kubelet.credentials import ImageCredential, Keyring, matches

__all__ = ["CredentialProviders", "Provider", "ProviderConfigError", "read_config"]

_API = "credentialprovider.kubelet.k8s.io"
_VERSIONS = (f"{_API}/v1", f"{_API}/v1beta1", f"{_API}/v1alpha1")
_CONFIG_VERSIONS = tuple(f"kubelet.config.k8s.io/{version}" for version in ("v1", "v1beta1", "v1alpha1"))
_KEYS = {"name", "matchImages", "defaultCacheDuration", "apiVersion", "args", "env", "tokenAttributes"}
_TIMEOUT = 60.0  # real seconds that a provider may take
_GLOBAL = "global"
_DURATION = re.compile(r"([0-9]*\.?[0-9]+)(ns|us|µs|ms|s|m|h)")
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_LOG = logging.getLogger("imgvol.kubelet")

Object = dict[str, Any]


class ProviderConfigError(ValueError):
    """The configuration of credential providers is wrong; the text is one sentence."""


class _ProviderError(Exception):
    """A provider gave no credentials; the text is the kubelet's."""


@dataclass(frozen=True)
class Provider:
    """One program. `default_cache` is in seconds of the emulator's clock."""

    name: str
    match_images: tuple[str, ...]
    default_cache: float
    api_version: str
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)


def read_config(path: Path) -> tuple[Provider, ...]:
    """The providers of a `CredentialProviderConfig` (YAML or JSON), as a kubelet reads it when it starts.

    Raises:
        ProviderConfigError: it cannot be read, or a kubelet would not start with it.
    """
    import yaml

    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ProviderConfigError(f"{path} cannot be read: {(error.strerror or '').lower()}") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise ProviderConfigError(f"{path} is no YAML") from None
    if not isinstance(config, dict) or config.get("kind") != "CredentialProviderConfig":
        raise ProviderConfigError(f"{path}: kind must be CredentialProviderConfig")
    if config.get("apiVersion") not in _CONFIG_VERSIONS:
        raise ProviderConfigError(f"{path}: apiVersion must be one of {', '.join(_CONFIG_VERSIONS)}")
    listed = config.get("providers")
    if not isinstance(listed, list) or not listed:
        raise ProviderConfigError(f"{path}: providers: at least 1 item in plugins is required")
    providers = tuple(_provider(f"{path}: providers[{number}]", one) for number, one in enumerate(listed))
    names = [provider.name for provider in providers]
    if repeated := [name for name in names if names.count(name) > 1]:
        raise ProviderConfigError(f"{path}: there are two providers called {repeated[0]!r}")
    return providers


def _provider(where: str, data: Any) -> Provider:
    if not isinstance(data, dict):
        raise ProviderConfigError(f"{where} must be a mapping")
    if unknown := sorted(data.keys() - _KEYS):
        raise ProviderConfigError(f"{where} has no key {unknown[0]!r}; it may have {', '.join(sorted(_KEYS))}")
    if "tokenAttributes" in data:
        raise ProviderConfigError(f"{where}.tokenAttributes: service account tokens for providers are not emulated")
    name = data.get("name")
    if not isinstance(name, str) or not name or name in (".", "..") or "/" in name or " " in name:
        raise ProviderConfigError(f"{where}.name must be a file name without spaces, not {name!r}")
    version = data.get("apiVersion")
    if version not in _VERSIONS:
        raise ProviderConfigError(f"{where}.apiVersion must be one of {', '.join(_VERSIONS)}, not {version!r}")
    images = data.get("matchImages")
    if not isinstance(images, list) or not images or not all(isinstance(image, str) and image for image in images):
        raise ProviderConfigError(f"{where}.matchImages: at least 1 item in matchImages is required")
    cache = _seconds(data.get("defaultCacheDuration"))
    if cache is None:
        raise ProviderConfigError(f"{where}.defaultCacheDuration must be a duration like 10m, from 0 on")
    env = data.get("env") or []
    try:
        variables = {str(one["name"]): str(one["value"]) for one in env}
    except (TypeError, KeyError):
        raise ProviderConfigError(f"{where}.env must be a list of name and value") from None
    args = data.get("args") or []
    if not isinstance(args, list):
        raise ProviderConfigError(f"{where}.args must be a list")
    return Provider(name, tuple(images), cache, str(version), tuple(map(str, args)), variables)


def _seconds(text: Any) -> float | None:
    """A Go duration that is not negative, in seconds; None for what is none."""
    if text == 0 or text == "0":
        return 0.0
    if not isinstance(text, str) or not text or _DURATION.sub("", text):
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in _DURATION.findall(text))


@dataclass(frozen=True)
class _Cached:
    credentials: Mapping[str, tuple[str, str]]
    until: float


class CredentialProviders:
    """The providers of one node, their programs in `programs`, and what they answered before."""

    def __init__(
        self, providers: Sequence[Provider], programs: Path, clock: Clock, *, timeout: float = _TIMEOUT
    ) -> None:
        self._providers = providers
        self._programs = programs
        self._clock = clock
        self._timeout = timeout
        self._cache: dict[tuple[str, str], _Cached] = {}
        self._running: dict[tuple[str, str], asyncio.Task[Object]] = {}

    async def lookup(self, repository: str) -> tuple[ImageCredential, ...]:
        """The credentials to try for `host[:port]/path`, in the kubelet's order."""
        keyring = Keyring(())
        for provider in self._providers:
            if not any(matches(pattern, repository) for pattern in provider.match_images):
                continue
            try:
                found = await self._provide(provider, repository)
            except _ProviderError as error:
                _LOG.error("Failed to get credentials: %s", error)
                continue
            for location, (username, password) in found.items():
                keyring.add(location, ImageCredential(username, password))
        return keyring.lookup(repository)

    async def _provide(self, provider: Provider, image: str) -> Mapping[str, tuple[str, str]]:
        registry = image.partition("/")[0]
        for key in (image, registry, _GLOBAL):
            cached = self._cache.get((provider.name, key))
            if cached is not None and cached.until > self._clock.now():
                return cached.credentials
        response = await self._once(provider, image)
        key_type = response.get("cacheKeyType", "")
        kept_by = {"Image": image, "Registry": registry, "Global": _GLOBAL}.get(key_type)
        if kept_by is None:
            raise _ProviderError(f"credential provider plugin did not return a valid cacheKeyType: {key_type}")
        credentials = _credentials(response)
        duration = response.get("cacheDuration")
        seconds = provider.default_cache if duration is None else _seconds(duration)
        if seconds is None:
            raise _ProviderError(_unreadable())
        if seconds:
            self._cache[provider.name, kept_by] = _Cached(credentials, self._clock.now() + seconds)
        return credentials

    async def _once(self, provider: Provider, image: str) -> Object:
        """Run a provider, once for all who ask for the same image at a time."""
        key = (provider.name, image)
        running = self._running.get(key)
        if running is None:
            running = self._running[key] = asyncio.create_task(self._run(provider, image))
            running.add_done_callback(lambda _: self._running.pop(key, None))
        try:
            return await asyncio.shield(running)
        except _ProviderError as error:
            raise _ProviderError(
                f"failed to get credential from external registry credential provider: {error}"
            ) from None

    async def _run(self, provider: Provider, image: str) -> Object:
        failed = f"error execing credential provider plugin {provider.name} for image {image}"
        request = {"kind": "CredentialProviderRequest", "apiVersion": provider.api_version, "image": image}
        path = self._programs / provider.name
        try:
            process = await asyncio.create_subprocess_exec(
                path,
                *provider.args,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={**os.environ, **provider.env},
                start_new_session=True,
            )
        except OSError as error:
            reason = (error.strerror or "").lower()
            raise _ProviderError(f"{failed}: fork/exec {path}: {reason}: ") from None
        try:
            async with asyncio.timeout(self._timeout):
                told, complaint = await process.communicate(json.dumps(request).encode() + b"\n")
        except TimeoutError:
            raise _ProviderError(f"{failed}: context deadline exceeded: ") from None
        finally:
            # Whatever it started goes with it.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        if process.returncode:
            status = process.returncode
            ended = f"signal: {signal.strsignal(-status)}".lower() if status < 0 else f"exit status {status}"
            raise _ProviderError(f"{failed}: {ended}: {complaint.decode(errors='replace')}")
        return _response(provider, told)


def _response(provider: Provider, told: bytes) -> Object:
    try:
        response = json.loads(told)
    except ValueError:
        raise _ProviderError("error reading GVK from response: couldn't get version/kind; json parse error") from None
    version = response.get("apiVersion", "") if isinstance(response, dict) else ""
    if version != provider.api_version:
        raise _ProviderError(
            "apiVersion from credential plugin response did not match expected "
            f"apiVersion:{provider.api_version}, actual apiVersion:{version}"
        )
    if response.get("kind") != "CredentialProviderResponse":
        raise _ProviderError(_unreadable())
    return dict(response)


def _credentials(response: Object) -> Mapping[str, tuple[str, str]]:
    auth = response.get("auth") or {}
    try:
        return {
            str(location): (str(entry.get("username", "")), str(entry.get("password", "")))
            for location, entry in auth.items()
        }
    except AttributeError:
        raise _ProviderError(_unreadable()) from None


def _unreadable() -> str:
    # What was decoded stays unsaid: it may hold credentials.
    return "error decoding credential provider plugin response from stdout"
