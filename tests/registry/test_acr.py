"""The registry as Azure Container Registry: sign-in, scopes, lifetimes, permissions, redirects."""

import base64
import json
import re
from urllib.parse import urlencode

import pytest
import requests
from registry_client import OCI_MANIFEST, Loop, digest

from emulator.clock import Clock
from emulator.faults import Scenario, ScenarioError
from emulator.registry import Registry
from emulator.registry.acr import NULL_GUID, parse_config

CONFIG = """
identities:
  node: {roles: [AcrPull]}
  developer: {roles: [AcrPush]}
  nobody: {roles: []}
tokens:
  ci: {password: s3cret, repositories: {"team/*": [content/read, content/write], "other": metadata/read}}
"""
CONTENT = b"content " * 1000


class Acr:
    """A running registry that plays ACR, an open listener beside it, and how clients sign in."""

    def __init__(self, root, config=CONFIG, speed=1.0):
        self.loop = Loop()
        self.registry = Registry(root, clock=Clock(speed))
        self.open = f"http://{self.loop.run(self.registry.listen())}"
        config = parse_config(config, "acr.yaml")
        self.host = self.loop.run(self.registry.listen_as_acr(config, storage="localhost"))
        self.url = f"http://{self.host}"
        self.control = f"http://{self.loop.run(self.registry.control())}"
        self.http = requests.Session()
        self.http.trust_env = False

    def __call__(self, method, path, token=None, **options):
        if token:
            options["headers"] = {**options.get("headers", {}), "Authorization": f"Bearer {token}"}
        options.setdefault("allow_redirects", False)
        return self.http.request(method, path if path.startswith("http") else self.url + path, timeout=30, **options)

    def entra(self, identity, resource="https://containerregistry.azure.net"):
        query = urlencode({"client_id": identity, "resource": resource, "api-version": "2018-02-01"})
        path = f"{self.control}/metadata/identity/oauth2/token?{query}"
        return self("GET", path, headers={"Metadata": "true"})

    def exchange(self, access_token, grant="access_token"):
        form = {"grant_type": grant, "service": self.host, "access_token": access_token, "tenant": "t"}
        return self("POST", "/oauth2/exchange", data=form)

    def refresh(self, identity):
        answer = self.exchange(self.entra(identity).json()["access_token"])
        assert answer.status_code == 200, answer.text
        return answer.json()["refresh_token"]

    def token(self, identity, *scopes):
        form = [("grant_type", "refresh_token"), ("service", self.host), ("refresh_token", self.refresh(identity))]
        answer = self("POST", "/oauth2/token", data=[*form, *(("scope", scope) for scope in scopes)])
        assert answer.status_code == 200, answer.text
        return answer.json()["access_token"]

    def get_token(self, scope, auth=None):
        return self("GET", f"/oauth2/token?{urlencode({'service': self.host, 'scope': scope})}", auth=auth)

    def push(self, repository):
        """An image by the open listener; the digest of its layer."""
        for blob in (b"{}", CONTENT):
            session = self("POST", f"{self.open}/v2/{repository}/blobs/uploads/").headers["Location"]
            pushed = self("PUT", f"{self.open}{session}&digest={digest(blob)}", data=blob)
            assert pushed.status_code == 201
        descriptor = {"mediaType": "application/octet-stream", "digest": digest(CONTENT), "size": len(CONTENT)}
        config = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest(b"{}"), "size": 2}
        manifest = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": [descriptor]}
        path = f"{self.open}/v2/{repository}/manifests/v1"
        answer = self("PUT", path, data=json.dumps(manifest), headers={"Content-Type": OCI_MANIFEST})
        assert answer.status_code == 201
        return digest(CONTENT)

    def close(self):
        self.http.close()
        self.loop.run(self.registry.close())
        self.loop.close()


@pytest.fixture
def make(tmp_path):
    made = []

    def make(config=CONFIG, **options):
        made.append(Acr(tmp_path / str(len(made)), config, **options))
        return made[-1]

    yield make
    for acr in made:
        acr.close()


@pytest.fixture
def acr(make):
    return make()


def claims(token):
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


def challenge(answer):
    assert answer.status_code == 401, answer.text
    scheme, _, rest = answer.headers["WWW-Authenticate"].partition(" ")
    return {"scheme": scheme, **dict(re.findall(r'(\w+)="([^"]*)"', rest))}


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/v2/", None),
        ("GET", "/v2/_catalog", "registry:catalog:*"),
        ("GET", "/v2/a/b/manifests/v1", "repository:a/b:pull"),
        ("HEAD", "/v2/a/b/blobs/sha256:1", "repository:a/b:pull"),
        ("GET", "/v2/a/b/tags/list", "repository:a/b:metadata_read"),
        ("POST", "/v2/a/b/blobs/uploads/", "repository:a/b:pull,push"),
        ("POST", "/v2/a/blobs/uploads/?mount=x&from=c", "repository:a:pull,push repository:c:pull"),
        ("PUT", "/v2/a/b/manifests/v1", "repository:a/b:pull,push"),
        ("DELETE", "/v2/a/b/manifests/v1", "repository:a/b:delete"),
    ],
)
def test_a_challenge_says_where_to_sign_in_and_for_what(acr, method, path, scope):
    answer = acr(method, path)
    expected = {"scheme": "Bearer", "realm": f"{acr.url}/oauth2/token", "service": acr.host}
    assert challenge(answer) == expected | ({"scope": scope} if scope else {})
    if method != "HEAD":
        assert answer.json()["errors"][0]["code"] == "UNAUTHORIZED"


@pytest.mark.parametrize("grant", ["access_token", "access_token_refresh_token"])
def test_an_entra_token_becomes_a_refresh_token_and_that_an_access_token(acr, grant):
    acr.push("team/app")
    refresh = acr.exchange(acr.entra("node").json()["access_token"], grant).json()["refresh_token"]
    form = {"grant_type": "refresh_token", "service": acr.host, "scope": "repository:team/app:pull,push"}
    token = acr("POST", "/oauth2/token", data={**form, "refresh_token": refresh}).json()["access_token"]
    told = claims(token)
    assert (told["iss"], told["aud"], told["sub"]) == ("Azure Container Registry", acr.host, "node")
    assert told["access"] == [{"type": "repository", "name": "team/app", "actions": ["pull"]}]
    accept = {"Accept": OCI_MANIFEST}
    assert acr("GET", "/v2/team/app/manifests/v1", token, headers=accept).status_code == 200
    assert acr("GET", "/v2/", token).status_code == 200


def test_lifetimes_are_three_hours_and_seventy_five_minutes(acr):
    refresh, access = claims(acr.refresh("node")), claims(acr.token("node"))
    assert refresh["exp"] - refresh["nbf"] == pytest.approx(3 * 3600, abs=1)
    assert access["exp"] - access["nbf"] == pytest.approx(75 * 60, abs=1)


@pytest.mark.parametrize("identity", ["nobody", "stranger"])
def test_who_has_no_role_is_not_let_in(acr, identity):
    entra = acr.entra(identity)
    if identity == "stranger":
        assert (entra.status_code, entra.json()) == (400, {"error": "Identity not found"})
        return
    assert acr.exchange(entra.json()["access_token"]).status_code == 401


def test_tokens_of_another_kind_are_worth_nothing(acr):
    acr.push("team/app")
    refresh, access = acr.refresh("node"), acr.token("node", "repository:team/app:pull")
    entra = acr.entra("node").json()["access_token"]
    for token in (refresh, entra, "x", "", f"{access[:-4]}AAAA", access.replace(".", "")):
        told = challenge(acr("HEAD", "/v2/team/app/manifests/v1", token or " "))
        assert told.get("error") in ("invalid_token", None)
    for token in (access, entra, "x", ""):
        form = {"grant_type": "refresh_token", "service": acr.host, "refresh_token": token}
        assert acr("POST", "/oauth2/token", data=form).status_code == 401
    for token in (access, refresh, "x", "", acr.entra("node", "https://management.azure.com").json()["access_token"]):
        assert acr.exchange(token).status_code == 401


def test_a_password_is_for_get_and_not_for_post(acr):
    """What containerd falls back from: POST with grant_type=password is 400, and then it asks by GET."""
    refresh = acr.refresh("node")
    form = {"grant_type": "password", "username": NULL_GUID, "password": refresh, "service": acr.host}
    assert acr("POST", "/oauth2/token", data=form).status_code == 400
    answer = acr.get_token("repository:team/app:pull", (NULL_GUID, refresh))
    assert claims(answer.json()["access_token"])["access"][0]["actions"] == ["pull"]
    assert acr.get_token("repository:team/app:pull", (NULL_GUID, "wrong")).status_code == 401
    assert acr.get_token("repository:team/app:pull").status_code == 401


@pytest.mark.parametrize(
    ("who", "scope", "actions"),
    [
        ("node", "repository:x:pull,push,delete", ["pull"]),
        ("node", "repository:x:metadata_read", ["metadata_read"]),
        ("node", "registry:catalog:*", ["*"]),
        ("developer", "repository:x:*", ["pull", "push", "metadata_read", "metadata_write"]),
        ("developer", "repository:x:delete", []),
    ],
)
def test_a_token_grants_what_was_asked_and_is_allowed(acr, who, scope, actions):
    assert claims(acr.token(who, scope))["access"][0]["actions"] == actions


def test_scopes_may_be_repeated_or_in_one_text(acr):
    wanted = ["repository:a:pull", "repository:b/c:push,pull"]
    expected = [["pull"], ["push", "pull"]]
    for scopes in (wanted, [" ".join(wanted)]):
        told = claims(acr.token("developer", *scopes))["access"]
        assert [one["actions"] for one in told] == expected


def test_a_request_beyond_the_tokens_scope_is_insufficient_scope(acr):
    acr.push("team/app")
    token = acr.token("developer", "repository:team/app:pull")
    answer = acr("POST", "/v2/team/app/blobs/uploads/", token)
    told = challenge(answer)
    assert (told["error"], told["scope"]) == ("insufficient_scope", "repository:team/app:pull,push")
    assert [one["code"] for one in answer.json()["errors"]] == ["DENIED", "UNAUTHORIZED"]
    assert challenge(acr("GET", "/v2/other/manifests/v1", token))["error"] == "insufficient_scope"
    more = acr.token("developer", "repository:team/app:pull,push")
    assert acr("POST", "/v2/team/app/blobs/uploads/", more).status_code == 202


def test_permissions_of_a_token_are_by_repository(acr):
    acr.push("team/app")
    acr.push("secret")
    ci = ("ci", "s3cret")
    told = claims(acr.get_token("repository:team/app:pull,push,delete", ci).json()["access_token"])["access"]
    assert told[0]["actions"] == ["pull", "push"]
    assert claims(acr.get_token("repository:secret:pull", ci).json()["access_token"])["access"][0]["actions"] == []
    assert acr("GET", "/v2/other/tags/list", auth=ci).status_code == 404  # allowed, and there is none
    assert acr("POST", "/v2/team/new/blobs/uploads/", auth=ci).status_code == 202
    assert challenge(acr("GET", "/v2/secret/manifests/v1", auth=ci))["error"] == "insufficient_scope"
    refused = acr("GET", "/v2/", auth=("ci", "wrong"))
    assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, 'Basic realm="Azure Container Registry"')


def test_anonymous_pull(make):
    acr = make("anonymous-pull: true")
    acr.push("public")
    assert challenge(acr("GET", "/v2/public/manifests/v1"))["scope"] == "repository:public:pull"
    token = acr.get_token("repository:public:pull,push").json()["access_token"]
    assert claims(token)["access"][0]["actions"] == ["pull"]
    assert acr("GET", "/v2/public/manifests/v1", token, headers={"Accept": OCI_MANIFEST}).status_code == 200
    assert challenge(acr("POST", "/v2/public/blobs/uploads/", token))["error"] == "insufficient_scope"


def test_a_registry_in_abac_mode_heeds_repository_roles_only(make):
    acr = make(
        """
        permissions: abac
        identities:
          attached: {roles: [AcrPull]}
          reader: {roles: [{role: Container Registry Repository Reader, repositories: "team/*"}]}
          lister: {roles: [Container Registry Repository Catalog Lister]}
        """
    )
    assert acr.exchange(acr.entra("attached").json()["access_token"]).status_code == 401
    assert claims(acr.token("reader", "repository:team/x:pull,push"))["access"][0]["actions"] == ["pull"]
    assert claims(acr.token("reader", "repository:other:pull"))["access"][0]["actions"] == []
    assert claims(acr.token("reader", "registry:catalog:*"))["access"][0]["actions"] == []
    assert acr("GET", "/v2/_catalog", acr.token("lister", "registry:catalog:*")).status_code == 200


def test_tokens_expire_on_the_emulators_clock(make):
    acr = make(CONFIG, speed=10_000)  # 75 minutes in 0.45 s
    acr.push("team/app")
    token = acr.token("node", "repository:team/app:pull")
    while (answer := acr("HEAD", "/v2/team/app/manifests/v1", token)).status_code != 401:
        pass
    assert challenge(answer)["error"] == "invalid_token"


def test_a_scenario_lets_tokens_expire_sooner(acr):
    acr.registry.faults.put("x", Scenario(access_token=0.0, refresh_token=7.0))
    told = claims(acr.refresh("node"))
    assert told["exp"] - told["nbf"] == pytest.approx(7, abs=1)
    assert challenge(acr("GET", "/v2/", acr.token("node")))["error"] == "invalid_token"


def test_throttling(make):
    acr = make(CONFIG + "throttle: 3\n", speed=0.001)  # a second of the clock lasts longer than the test
    statuses = [acr("GET", "/v2/").status_code for _ in range(4)]
    assert statuses == [401, 401, 401, 429]
    refused = acr("GET", "/v2/")
    assert refused.headers["Retry-After"] == "1"
    assert refused.json()["errors"][0]["code"] == "TOOMANYREQUESTS"


def test_a_blob_comes_from_another_host_by_a_signed_address(acr):
    layer = acr.push("team/app")
    token = acr.token("node", "repository:team/app:pull")
    answer = acr("GET", f"/v2/team/app/blobs/{layer}", token)
    assert (answer.status_code, answer.content) == (307, b"")
    location = answer.headers["Location"]
    assert location.startswith("http://localhost:")
    assert acr("GET", location).content == CONTENT
    part = acr("GET", location, headers={"Range": "bytes=8-15"})
    assert (part.status_code, part.content) == (206, CONTENT[8:16])
    assert acr("HEAD", f"/v2/team/app/blobs/{layer}", token).headers["Content-Length"] == str(len(CONTENT))


def test_who_finds_the_registry_by_the_name_of_its_storage_is_led_elsewhere(acr):
    layer = acr.push("team/app")
    url = f"http://localhost:{acr.host.rpartition(':')[2]}/v2/team/app/blobs/{layer}"
    token = acr.token("node", "repository:team/app:pull")
    location = acr("GET", url, token).headers["Location"]
    assert location.startswith("http://127.0.0.1:")
    assert not location.startswith(f"{acr.url}/")
    assert acr("GET", url, token, allow_redirects=True).content == CONTENT


def test_the_storage_host_refuses_credentials_and_wrong_signatures(acr):
    layer = acr.push("team/app")
    location = acr("GET", f"/v2/team/app/blobs/{layer}", acr.token("node", "repository:team/app:pull")).headers[
        "Location"
    ]
    refused = acr("GET", location, "anything")
    assert (refused.status_code, refused.headers["x-ms-error-code"]) == (400, "InvalidAuthenticationInfo")
    for wrong in (
        location[:-1],
        location.replace("se=", "se=1"),
        location.replace("team/app", "team/other"),
        location.split("?")[0],
    ):
        refused = acr("GET", wrong)
        assert (refused.status_code, refused.headers["x-ms-error-code"]) == (403, "AuthenticationFailed")
    assert acr("PUT", location).status_code == 403


def test_a_signed_address_expires(make):
    acr = make(CONFIG, speed=10_000)  # 20 minutes in 0.12 s
    layer = acr.push("team/app")
    token = acr.token("node", "repository:team/app:pull")
    location = acr("GET", f"/v2/team/app/blobs/{layer}", token).headers["Location"]
    while (answer := acr("GET", location)).status_code != 403:
        assert answer.content == CONTENT
    assert "expiry" in answer.text


def test_no_token_is_in_the_journal(acr):
    refresh = acr.refresh("node")
    acr.get_token("repository:x:pull", (NULL_GUID, refresh))
    acr("GET", "/v2/", acr.token("node"))
    written = acr("GET", f"{acr.control}/requests").text
    assert len(json.loads(written)) >= 4
    assert "eyJ" not in written


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("identites: {}", r"acr\.yaml has no key 'identites'; it may have permissions, anonymous-pull"),
        ("identities: {node: {roles: [AcrPul]}}", r"acr\.yaml: identities\.node\.roles\[0\]: 'AcrPul' is no role"),
        (
            "identities: {n: {roles: [{role: AcrPull, repositories: x}]}}",
            r"roles\[0\]: AcrPull is for all repositories",
        ),
        ("tokens: {ci: {repositories: {}}}", r"acr\.yaml: tokens\.ci needs a password"),
        (
            "tokens: {ci: {password: x, repositories: {a: read}}}",
            r"repositories\.a: 'read' is no action; .*content/read",
        ),
        ("permissions: acl", r"acr\.yaml: permissions must be rbac or abac, not 'acl'"),
        ("anonymous-pull: maybe", r"acr\.yaml: anonymous-pull must be true or false, not 'maybe'"),
        ("lifetimes: {access: 5}", r"acr\.yaml: lifetimes\.access must be a duration"),
    ],
)
def test_a_wrong_configuration_is_named_with_file_and_key(text, says):
    with pytest.raises(ScenarioError, match=says):
        parse_config(text, "acr.yaml")
