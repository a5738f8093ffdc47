"""Who there is, and what each may do: Entra identities with roles, tokens with scope maps, and everybody."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from emulator.faults import ScenarioError
from emulator.faults.reading import document, fields, seconds, text, texts, whole, wrong

__all__ = ["AcrConfig", "Grant", "Identity", "load_config", "parse_config"]

_EVERY = ("pull", "push", "delete", "metadata_read", "metadata_write")
# Scope-map actions and what they let a token do (ACR: repository-scoped permissions).
_ACTIONS = {
    "content/read": "pull",
    "content/write": "push",
    "content/delete": "delete",
    "metadata/read": "metadata_read",
    "metadata/write": "metadata_write",
}
# Azure built-in roles. In RBAC mode a registry heeds those of the first table only, in ABAC mode those of the second.
_REGISTRY_ROLES = {
    "AcrPull": ("pull", "metadata_read"),
    "AcrPush": ("pull", "push", "metadata_read", "metadata_write"),
    "AcrDelete": ("delete",),
    "Contributor": _EVERY,
    "Owner": _EVERY,
}
_REPOSITORY_ROLES = {
    "Container Registry Repository Reader": ("pull", "metadata_read"),
    "Container Registry Repository Writer": ("pull", "push", "metadata_read", "metadata_write"),
    "Container Registry Repository Contributor": _EVERY,
}
_CATALOG_ROLE = "Container Registry Repository Catalog Lister"


@dataclass(frozen=True)
class Grant:
    """What may be done in the repositories whose names a glob matches."""

    repositories: str
    actions: tuple[str, ...]


@dataclass(frozen=True)
class Identity:
    """Somebody who signs in. `password` is a token's; Entra identities have none."""

    name: str
    grants: tuple[Grant, ...] = ()
    catalog: bool = False
    password: str = field(default="", repr=False)

    @property
    def may_enter(self) -> bool:
        """Whether it has any right at all in the registry."""
        return bool(self.grants) or self.catalog

    def allowed(self, kind: str, name: str, actions: Iterable[str]) -> list[str]:
        """Those of the actions that it may do, in their order; `*` of a repository means all of them."""
        if kind == "registry":
            return [action for action in actions if name == "catalog" and action == "*" and self.catalog]
        if kind != "repository":
            return []
        may = {action for grant in self.grants if fnmatchcase(name, grant.repositories) for action in grant.actions}
        wanted = [one for action in actions for one in (_EVERY if action == "*" else (action,))]
        return [action for action in dict.fromkeys(wanted) if action in may]


@dataclass(frozen=True)
class AcrConfig:
    """One registry: its identities by client id, its tokens by name, and its ways.

    `throttle` is how many requests a second of the emulator's clock are answered, 0 for all. Lifetimes are seconds.
    """

    identities: Mapping[str, Identity] = field(default_factory=dict)
    tokens: Mapping[str, Identity] = field(default_factory=dict)
    anonymous_pull: bool = False
    redirect: bool = True
    throttle: int = 0
    access_token: float = 75 * 60.0
    refresh_token: float = 3 * 3600.0
    abac: bool = False

    def with_identity(self, name: str, roles: Sequence[str]) -> AcrConfig:
        """The same registry with an identity that has these roles for all of it, and no others."""
        identity = _identity(f"identities.{name}", name, {"roles": list(roles)}, abac=self.abac)
        return replace(self, identities={**self.identities, name: identity})

    @property
    def anonymous(self) -> Identity:
        """Everybody."""
        return Identity("", (Grant("*", ("pull", "metadata_read")),) if self.anonymous_pull else ())


def load_config(path: Path) -> AcrConfig:
    """A registry from a YAML file; ScenarioError if it cannot be read or is wrong."""
    try:
        return parse_config(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise ScenarioError(f"{path} cannot be read: {(error.strerror or '').lower()}") from None
    except UnicodeDecodeError:
        raise ScenarioError(f"{path} is not UTF-8 text") from None


def parse_config(written: str, where: str) -> AcrConfig:
    """A registry from YAML; ScenarioError, with file and key, if it is wrong."""
    read = fields(
        where,
        document(written, where),
        {
            "permissions": _permissions,
            "anonymous-pull": _switch,
            "redirect": _switch,
            "throttle": whole(1),
            "lifetimes": lambda at, data: fields(at, data, {"access": seconds, "refresh": seconds}),
            "identities": _mapping,
            "tokens": _mapping,
        },
    )
    abac = read.get("permissions", "rbac") == "abac"
    lifetimes = read.get("lifetimes", {})
    return AcrConfig(
        identities={
            name: _identity(f"{where}: identities.{name}", name, data, abac=abac)
            for name, data in read.get("identities", {}).items()
        },
        tokens={name: _token(f"{where}: tokens.{name}", name, data) for name, data in read.get("tokens", {}).items()},
        anonymous_pull=read.get("anonymous-pull", False),
        redirect=read.get("redirect", True),
        throttle=read.get("throttle", 0),
        access_token=lifetimes.get("access", AcrConfig.access_token),
        refresh_token=lifetimes.get("refresh", AcrConfig.refresh_token),
        abac=abac,
    )


def _identity(where: str, name: str, data: Any, *, abac: bool) -> Identity:
    roles = fields(where, data, {"roles": _list}).get("roles", [])
    grants, catalog = [], False
    for number, role in enumerate(roles):
        at = f"{where}.roles[{number}]"
        given = {"role": role} if isinstance(role, str) else role
        read = fields(at, given, {"role": text, "repositories": text})
        called, repositories = read.get("role", ""), read.get("repositories", "*")
        known = {**_REGISTRY_ROLES, **_REPOSITORY_ROLES, _CATALOG_ROLE: ()}
        if called not in known:
            raise ScenarioError(f"{at}: {called!r} is no role of a registry; there are {', '.join(known)}")
        if "repositories" in read and called in _REGISTRY_ROLES:
            raise ScenarioError(f"{at}: {called} is for all repositories; only repository roles have a condition")
        # What the registry's mode does not heed is no right, as on Azure: AcrPull in an ABAC registry pulls nothing.
        heeded = _REPOSITORY_ROLES if abac else _REGISTRY_ROLES
        if called in heeded:
            grants.append(Grant(repositories, heeded[called]))
        catalog = catalog or (called == _CATALOG_ROLE if abac else called in _REGISTRY_ROLES and called != "AcrDelete")
    return Identity(name, tuple(grants), catalog)


def _token(where: str, name: str, data: Any) -> Identity:
    read = fields(where, data, {"password": text, "repositories": _mapping})
    if not read.get("password"):
        raise ScenarioError(f"{where} needs a password")
    grants = []
    for repositories, actions in read.get("repositories", {}).items():
        at = f"{where}.repositories.{repositories}"
        for action in texts(at, actions):
            if action not in _ACTIONS:
                raise ScenarioError(f"{at}: {action!r} is no action; there are {', '.join(_ACTIONS)}")
        grants.append(Grant(repositories, tuple(_ACTIONS[action] for action in texts(at, actions))))
    return Identity(name, tuple(grants), password=read["password"])


def _permissions(where: str, data: Any) -> str:
    if data not in ("rbac", "abac"):
        raise wrong(where, "rbac or abac", data)
    return str(data)


def _switch(where: str, data: Any) -> bool:
    if not isinstance(data, bool):
        raise wrong(where, "true or false", data)
    return data


def _mapping(where: str, data: Any) -> dict[str, Any]:
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise wrong(where, "a mapping of names", data)
    return data


def _list(where: str, data: Any) -> list[Any]:
    if not isinstance(data, list):
        raise wrong(where, "a list", data)
    return data
