"""Who may ask: the bearer of the token in the kubeconfig. Everyone else gets the API server's own refusals.

Source: k8s.io/apiserver pkg/endpoints/handlers/responsewriters/errors.go (ForbiddenStatusError), and the default
cluster role system:public-info-viewer.
"""

from __future__ import annotations

import hmac

from emulator.cluster.errors import ApiError, failure, quote, unauthorized
from emulator.cluster.http.paths import Target

__all__ = ["check"]

_PUBLIC = frozenset({"/healthz", "/livez", "/readyz", "/version", "/version/"})
_ANONYMOUS = "system:anonymous"


def check(token: str, authorization: str | None, path: str, target: Target | None, method: str) -> None:
    """Raises ApiError: 401 for a credential that is not known, 403 for none at all."""
    if authorization is not None and authorization.strip():
        scheme, _, credential = authorization.strip().partition(" ")
        if scheme.lower() == "bearer" and hmac.compare_digest(credential.strip().encode(), token.encode()):
            return
        raise unauthorized()
    if path not in _PUBLIC:
        raise _forbidden(path, target, method)


def _forbidden(path: str, target: Target | None, method: str) -> ApiError:
    if target is None:
        verb = {"PUT": "put", "POST": "post", "PATCH": "patch", "DELETE": "delete"}.get(method, "get")
        message = f'forbidden: User "{_ANONYMOUS}" cannot {verb} path {quote(path)}'
        return failure(403, "Forbidden", message, {})
    qualified = f"{target.plural}.{target.group}" if target.group else target.plural
    subject = f"{qualified} {quote(target.name)}" if target.name else qualified
    resource = f"{target.plural}/{target.subresource}" if target.subresource else target.plural
    where = f"in the namespace {quote(target.namespace)}" if target.namespace else "at the cluster scope"
    message = (
        f'{subject} is forbidden: User "{_ANONYMOUS}" cannot {target.verb} resource {quote(resource)} '
        f"in API group {quote(target.group)} {where}"
    )
    details = {"name": target.name, "group": target.group, "kind": target.plural}
    return failure(403, "Forbidden", message, details)
