"""Who may ask the registry what: bearer tokens and their scopes, passwords, and the challenges to those without."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from emulator.clock import Clock
from emulator.registry.acr.rights import AcrConfig
from emulator.registry.acr.service import TokenService, credentials, unauthorized
from emulator.registry.acr.tokens import TokenError
from emulator.registry.errors import OciError
from emulator.registry.routes import Target, locate

__all__ = ["AcrAuthenticator"]

_PUSH = ("POST", "PUT", "PATCH")
_Wanted = tuple[str, str, tuple[str, ...]]


class AcrAuthenticator:
    """Lets in who brings an access token with the scopes that a request needs, or a password with the rights."""

    def __init__(self, config: AcrConfig, service: TokenService, clock: Clock) -> None:
        self._config = config
        self._service = service
        self._clock = clock
        self._second = 0
        self._asked = 0

    async def authenticate(self, request: web.Request) -> str:
        """The user's name; or UNAUTHORIZED with the challenge, or TOOMANYREQUESTS."""
        if not request.path.startswith("/v2"):
            return ""  # the token service, downloads with their own signature, and what is the emulator's own
        self._throttle()
        wanted = _wanted(request)
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            try:
                user, access = self._service.bearer(token.strip())
            except TokenError:
                raise self._challenge(request, wanted, "invalid_token") from None
            granted = {(one["type"], one["name"], action) for one in access for action in one["actions"]}
            if any((kind, name, action) not in granted for kind, name, actions in wanted for action in actions):
                raise self._challenge(request, wanted, "insufficient_scope")
            return user
        if (given := credentials(request)) is not None:
            try:
                identity = self._service.identify(*given)
            except TokenError:
                basic = {"WWW-Authenticate": 'Basic realm="Azure Container Registry"'}
                raise unauthorized(headers=basic) from None
            if any(list(actions) != identity.allowed(kind, name, actions) for kind, name, actions in wanted):
                raise self._challenge(request, wanted, "insufficient_scope")
            return identity.name
        raise self._challenge(request, wanted)

    def _throttle(self) -> None:
        if not self._config.throttle:
            return
        second = int(self._clock.now())
        if second != self._second:
            self._second, self._asked = second, 0
        self._asked += 1
        if self._asked > self._config.throttle:
            raise OciError("TOOMANYREQUESTS", headers={"Retry-After": "1"})

    @staticmethod
    def _challenge(request: web.Request, wanted: Sequence[_Wanted], error: str = "") -> OciError:
        parameters = {"realm": f"{request.scheme}://{request.host}/oauth2/token", "service": request.host}
        if wanted:
            parameters["scope"] = " ".join(f"{kind}:{name}:{','.join(actions)}" for kind, name, actions in wanted)
        if error:
            parameters["error"] = error
        challenge = "Bearer " + ",".join(f'{key}="{value}"' for key, value in parameters.items())
        detail = [{"Type": kind, "Name": name, "Action": one} for kind, name, actions in wanted for one in actions]
        denied = error == "insufficient_scope"
        return unauthorized(detail or None, headers={"WWW-Authenticate": challenge}, denied=denied)


def _wanted(request: web.Request) -> list[_Wanted]:
    """What a request needs to be allowed."""
    match locate(request.path):
        case Target(kind="catalog"):
            return [("registry", "catalog", ("*",))]
        case Target(kind="tags", repository=name):
            return [("repository", name, ("metadata_read",))]
        case Target(repository=str(name)) if name:
            if request.method == "DELETE":
                return [("repository", name, ("delete",))]
            if request.method not in _PUSH:
                return [("repository", name, ("pull",))]
            wanted: list[_Wanted] = [("repository", name, ("pull", "push"))]
            if source := request.query.get("from"):
                wanted.append(("repository", source, ("pull",)))
            return wanted
    return []
