"""Who we are to a registry: from which place it is taken, how it is stored, and that nobody else sees it."""

from __future__ import annotations

import base64
import json
import logging
import os
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlencode

import pytest
import requests
from packager_faulty import Fault, FaultyRegistry
from packager_process import REPOSITORY, RegistryProcess, Wire, registry_process

import packager
from packager import Credentials
from packager.authentication import Authenticator
from packager.credentials import find_credentials
from packager.entra import azure_credentials
from packager.references import Reference

CANARY = "c4n4ry-t0-be-seen-n0where"
ACR = f"""
identities:
  reader: {{roles: [AcrPull]}}
  developer: {{roles: [AcrPush]}}
tokens:
  narrow: {{password: {CANARY}, repositories: {{"team/*": [content/read, content/write]}}}}
  ci: {{password: {CANARY}, repositories: {{"*": [content/read, content/write]}}}}
"""


@dataclass(frozen=True)
class Entra:
    """Stands in for one of azure-identity's credentials: the token is what Entra would give `identity`."""

    control: str
    identity: str

    def get_token(self, *scopes: str) -> SimpleNamespace:
        (scope,) = scopes
        query = urlencode({"client_id": self.identity, "resource": scope.removesuffix("/.default"), "api-version": "1"})
        url = f"{self.control}/metadata/identity/oauth2/token?{query}"
        with urllib.request.urlopen(urllib.request.Request(url, headers={"Metadata": "true"}), timeout=30) as answer:
            return SimpleNamespace(token=json.load(answer)["access_token"])


@pytest.fixture(scope="module")
def acr(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryProcess]:
    config = tmp_path_factory.mktemp("acr") / "acr.yaml"
    config.write_text(ACR)
    with registry_process("--acr-config", str(config)) as running:
        yield running


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch, acr: RegistryProcess) -> Iterator[Path]:
    """A user with nothing set up."""
    for name in list(os.environ):
        if name.startswith(("IMGVOL_", "DOCKER_", "REGISTRY_AUTH", "XDG_")):
            monkeypatch.delenv(name)
    place = tmp_path / "home"
    place.mkdir()
    monkeypatch.setenv("HOME", str(place))
    yield place
    acr.well()


def write(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def auth(user: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


def helper(place: Path, name: str, user: str, password: str) -> None:
    """A credential helper that notes how it was called."""
    place.mkdir(exist_ok=True)
    program = place / f"docker-credential-{name}"
    answer = json.dumps({"ServerURL": "", "Username": user, "Secret": password})
    program.write_text(
        f'#!/bin/sh\necho "$@" >> {place}/{name}.calls\ncat >> {place}/{name}.input\n'
        f"[ \"$1\" = get ] && echo '{answer}'\nexit 0\n"
    )
    program.chmod(0o755)


def refresh_token(acr: RegistryProcess, identity: str = "developer") -> str:
    found = azure_credentials(acr.address, Entra(acr.control, identity))
    assert found is not None
    return found.identity_token


class TestWhereCredentialsComeFrom:
    """Each place is asked only if those before it say nothing."""

    def test_the_order(self, home: Path, tmp_path: Path) -> None:
        environ = {"HOME": str(home), "PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}
        assert find_credentials("r.io", environ) is None
        write(home / ".config/containers/auth.json", {"auths": {"r.io": auth("podman-home", "p")}})
        assert find_credentials("r.io", environ).username == "podman-home"
        environ["XDG_RUNTIME_DIR"] = str(tmp_path / "run")
        write(tmp_path / "run/containers/auth.json", {"auths": {"r.io": auth("podman", "p")}})
        assert find_credentials("r.io", environ).username == "podman"
        docker = write(home / ".docker/config.json", {"credsStore": "all"})
        helper(tmp_path / "bin", "all", "store", "p")
        assert find_credentials("r.io", environ).username == "store"
        write(docker, {"credsStore": "all", "auths": {"r.io": auth("docker", "p")}})
        assert find_credentials("r.io", environ).username == "docker"
        write(docker, {"credHelpers": {"r.io": "one"}, "auths": {"r.io": auth("docker", "p")}})
        helper(tmp_path / "bin", "one", "helped", "p")
        assert find_credentials("r.io", environ).username == "helped"
        write(tmp_path / "elsewhere/config.json", {"auths": {"r.io": auth("moved", "p")}})
        environ["DOCKER_CONFIG"] = str(tmp_path / "elsewhere")
        assert find_credentials("r.io", environ).username == "moved"
        environ |= {"IMGVOL_USERNAME": "environment", "IMGVOL_PASSWORD": "p"}
        assert find_credentials("r.io", environ).username == "environment"

    @pytest.mark.parametrize(
        ("key", "registry", "found"),
        [
            ("https://r.io", "r.io", True),
            ("https://r.io/v1/", "r.io", True),
            ("https://index.docker.io/v1/", "docker.io", True),
            ("r.io/team", "r.io", True),
            ("r.io/other", "r.io", False),
            ("evil-r.io", "r.io", False),
            ("r.io:5000", "r.io", False),
        ],
    )
    def test_which_entry_is_meant(self, home: Path, key: str, registry: str, found: bool) -> None:
        write(home / ".docker/config.json", {"auths": {key: auth("u", "p")}})
        assert bool(find_credentials(registry, {"HOME": str(home)}, repository="team/content")) == found

    def test_what_a_helper_may_say(self, home: Path, tmp_path: Path) -> None:
        environ = {"HOME": str(home), "PATH": f"{tmp_path}:/usr/bin:/bin"}
        write(home / ".docker/config.json", {"credHelpers": {"r.io": "x"}})
        with pytest.raises(packager.PackagerError, match="docker-credential-x is not on PATH"):
            find_credentials("r.io", environ)
        for script, sentence in {
            f"echo {CANARY} >&2; echo {CANARY}; exit 1": "failed to give the credentials for r.io",
            f"echo {CANARY}": "gave no JSON with Username and Secret for r.io",
        }.items():
            (tmp_path / "docker-credential-x").write_text(f"#!/bin/sh\n{script}\n")
            (tmp_path / "docker-credential-x").chmod(0o755)
            with pytest.raises(packager.PackagerError, match=sentence) as failed:
                find_credentials("r.io", environ)
            assert CANARY not in str(failed.value)
        (tmp_path / "docker-credential-x").write_text(
            "#!/bin/sh\necho credentials not found in native keychain\nexit 1\n"
        )
        assert find_credentials("r.io", environ) is None
        write(home / ".docker/config.json", {"credHelpers": {"r.io": "../x"}})
        with pytest.raises(packager.PackagerError, match="is not on PATH"):
            find_credentials("r.io", environ)

    def test_a_helper_for_nobody_gives_an_identity_token(self, acr, home: Path, tmp_path, monkeypatch, content) -> None:
        helper(tmp_path / "bin", "acr", "<token>", refresh_token(acr))
        monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
        write(home / ".docker/config.json", {"credHelpers": {acr.address: "acr"}})
        assert packager.push(content, f"{acr.address}/helped:v1").uploaded
        assert (tmp_path / "bin/acr.calls").read_text() == "get\n"  # and the registry's name came by stdin
        assert (tmp_path / "bin/acr.input").read_text() == acr.address

    def test_what_az_acr_login_stores(self, acr, home: Path, content: Path) -> None:
        nobody = auth("00000000-0000-0000-0000-000000000000", "")
        entry = nobody | {"identitytoken": refresh_token(acr)}
        write(home / ".docker/config.json", {"auths": {acr.address: entry}})
        assert packager.push(content, f"{acr.address}/az/login:v1").uploaded

    def test_what_az_acr_login_exposes(self, acr, content: Path) -> None:
        """`--expose-token`: nobody's user name, and the refresh token as a password."""
        nobody = Credentials("00000000-0000-0000-0000-000000000000", refresh_token(acr))
        assert packager.push(content, f"{acr.address}/az/exposed:v1", auth=nobody).uploaded


class TestAzure:
    """azure-identity's part: an Entra token becomes the registry's own."""

    def test_a_developer_pushes_and_a_reader_does_not(self, acr, content: Path) -> None:
        reference = f"{acr.address}/team/content:v1"
        digest = packager.push(content, reference, auth=azure_credentials(acr.address, Entra(acr.control, "developer")))
        reader = azure_credentials(acr.address, Entra(acr.control, "reader"))
        assert packager.inspect(reference, auth=reader).digest == digest.digest
        assert packager.verify(reference, auth=reader) == []  # blobs are redirected to another host
        with pytest.raises(packager.PackagerError) as failed:
            packager.push(content, f"{acr.address}/team/new:v2", auth=reader)
        assert acr.address in str(failed.value)
        assert reader is not None
        assert reader.password not in str(failed.value)

    def test_a_token_of_somebody_else_is_refused(self, acr) -> None:
        class Forged:
            def get_token(self, *scopes: str) -> SimpleNamespace:
                return SimpleNamespace(token=CANARY)

        with pytest.raises(packager.PackagerError, match="does not take the Entra token: it answered 401") as failed:
            azure_credentials(acr.address, Forged())
        assert CANARY not in str(failed.value)

    @pytest.mark.parametrize(
        "deed", [{"status": 503}, {"status": 429, "headers": {"Retry-After": "0"}}, {"drop": "50%"}]
    )
    def test_an_exchange_that_fails_once_is_asked_for_again(self, acr, deed: dict[str, object]) -> None:
        acr.faults({"faults": [{"match": {"operation": ["exchange"]}, "times": {"first": 1}, **deed}]})
        assert azure_credentials(acr.address, Entra(acr.control, "developer"))

    def test_a_registry_that_cannot_exchange_is_not_taken_for_a_missing_role(self, acr) -> None:
        acr.faults({"faults": [{"match": {"operation": ["exchange"]}, "status": 503, "headers": {"Retry-After": "0"}}]})
        with pytest.raises(packager.PackagerError, match="cannot exchange the Entra token: it answered 503") as failed:
            azure_credentials(acr.address, Entra(acr.control, "developer"))
        assert "role" not in str(failed.value)

    def test_nobody_is_asked_where_azure_identity_finds_nobody(self, monkeypatch) -> None:
        class Nobody:
            def get_token(self, *scopes: str) -> SimpleNamespace:
                raise RuntimeError(CANARY)

        monkeypatch.setattr("packager.entra.default_credential", Nobody)
        assert find_credentials("example.azurecr.io", {"HOME": "/nonexistent"}) is None
        with pytest.raises(packager.PackagerError, match=r"cannot get an Entra token for x.azurecr.io: RuntimeError$"):
            azure_credentials("x.azurecr.io", Nobody())

    def test_only_for_azure(self, monkeypatch) -> None:
        monkeypatch.setattr("packager.entra.default_credential", lambda: pytest.fail("Azure was asked"))
        assert find_credentials("azurecr.io.example", {"HOME": "/nonexistent"}) is None


class TestTokens:
    def test_they_are_renewed_in_the_middle_of_a_push(self, acr, make_tree, monkeypatch) -> None:
        """Each is refused from its second chunk on: as if it had expired."""
        monkeypatch.setattr("packager.uploads._WHOLE", 1000)
        monkeypatch.setattr("packager.uploads._CHUNK", 100_000)
        challenge = f'Bearer realm="http://{acr.address}/oauth2/token",service="{acr.address}"'
        fault = {"match": {"operation": "upload-patch"}, "times": {"every": 2, "skip": 1}, "status": 401}
        acr.faults({"faults": [fault | {"headers": {"WWW-Authenticate": challenge}}]})
        root = make_tree({"noise": os.urandom(600_000)})
        packager.push(root, f"{acr.address}/renewed:v1", auth=Credentials("ci", CANARY))
        patches = [one["status"] for one in acr.requests() if one["method"] == "PATCH" and "/renewed/" in one["path"]]
        assert patches.count(401) >= 3
        assert packager.verify(f"{acr.address}/renewed:v1", auth=Credentials("ci", CANARY)) == []

    def test_they_expire_all_the_time(self, acr, make_tree, monkeypatch) -> None:
        acr.faults({"tokens": {"access": "1s"}, "faults": []})
        root = make_tree({"noise": os.urandom(100_000)})
        packager.push(root, f"{acr.address}/short:v1", auth=Credentials("ci", CANARY))
        assert packager.verify(f"{acr.address}/short:v1", auth=Credentials("ci", CANARY)) == []

    def test_one_about_to_expire_is_renewed_before_it_is_used(self, faulty: FaultyRegistry) -> None:
        faulty.faults.append(Fault("GET", "/token", 200, body=b'{"token":"t","expires_in":300}', times=2))
        clock = SimpleNamespace(now=0.0)
        reference = Reference.parse(f"{faulty.address}/c")
        ours = Authenticator(reference, "pull,push", Credentials("ci", CANARY), now=lambda: clock.now)
        with requests.Session() as session:
            assert ours.answer(f'Bearer realm="http://{faulty.address}/token",service="s"', session)
            for clock.now, asked in ((0, 1), (200, 1), (280, 2), (290, 2)):
                assert ours.current(session) == "Bearer t"
                assert faulty.count("GET", "/token") == asked

    def test_they_are_for_what_is_done(self, acr, content: Path) -> None:
        def scopes(before: int) -> set[str]:
            asked = [one["query"] for one in acr.requests()[before:] if one["path"] == "/oauth2/token"]
            return {scope for query in asked for scope in query.split("&") if scope.startswith("scope=")}

        who = Credentials("ci", CANARY)
        before = len(acr.requests())
        packager.push(content, f"{acr.address}/scoped:v1", auth=who, mount_from=["base"])
        assert scopes(before) == {"scope=repository:scoped:pull,push", "scope=repository:base:pull"}
        before = len(acr.requests())
        packager.inspect(f"{acr.address}/scoped:v1", auth=who)
        assert scopes(before) == {"scope=repository:scoped:pull"}

    def test_what_must_not_be_read_is_not_mounted_from(self, acr, content: Path) -> None:
        packager.push(content, f"{acr.address}/secret:v1", auth=Credentials("ci", CANARY))
        narrow = Credentials("narrow", CANARY)
        pushed = packager.push(content, f"{acr.address}/team/own:v1", auth=narrow, mount_from=["secret", "team/none"])
        assert pushed.mounted == 0
        assert pushed.uploaded
        again = packager.push(content, f"{acr.address}/team/two:v1", auth=narrow, mount_from=["secret", "team/own"])
        assert again.uploaded == 0
        assert again.mounted == pushed.uploaded

    def test_what_is_attached_is_copied_within_what_is_allowed(self, acr, content: Path, tmp_path: Path) -> None:
        who = Credentials("ci", CANARY)
        pushed = packager.push(content, f"{acr.address}/with/sbom:v1", auth=who)
        (tmp_path / "sbom").write_text("{}")
        attached = packager.attach(pushed.reference, tmp_path / "sbom", artifact_type="a/b", auth=who)
        for target in (tmp_path / "layout", f"{acr.address}/with/copy:v1"):
            packager.copy(f"{acr.address}/with/sbom:v1", target, referrers=True, auth=who)
        packager.copy(tmp_path / "layout", f"{acr.address}/with/back:v1", referrers=True, auth=who)
        for name in ("copy", "back"):
            (found,) = packager.referrers(f"{acr.address}/with/{name}:v1", auth=who)
            assert found.digest == attached.digest

    @pytest.mark.parametrize("repository", ["Team", "a b", "team:v1", "", "team@sha256:0"])
    def test_what_is_no_repository_is_refused(self, acr, content: Path, repository: str) -> None:
        with pytest.raises(packager.UsageError):
            packager.push(content, f"{acr.address}/team/own:v1", mount_from=[repository])

    def test_a_token_service_on_a_bad_day_is_asked_again(self, acr, content: Path) -> None:
        fault = {"match": {"operation": "token"}, "times": {"first": 2}, "status": 503, "headers": {"Retry-After": "0"}}
        acr.faults({"faults": [fault]})
        packager.push(content, f"{acr.address}/bad-day:v1", auth=Credentials("ci", CANARY))


class TestLogin:
    def test_it_checks_then_stores_for_its_owner_alone(self, acr, home: Path, imgvol, content: Path) -> None:
        file = home / ".docker/config.json"
        write(file, {"psFormat": "kept", "auths": {"other.io": auth("u", "p"), f"https://{acr.address}": {}}})
        file.chmod(0o644)
        before = file.read_bytes()
        options = ("login", acr.address, "--username", "ci", "--password-stdin")
        done = imgvol(*options, stdin="wrong\n", env={"HOME": str(home)})
        assert done.returncode == 1
        assert done.stderr == f"imgvol login: {acr.address} does not accept the user name and password of 'ci'\n"
        assert file.read_bytes() == before

        done = imgvol(*options, stdin=f"{CANARY}\n", env={"HOME": str(home)})
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == f"registry    {acr.address}\nuser        ci\nstored in   {file}\n"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        stored = json.loads(file.read_bytes())
        assert stored == {"psFormat": "kept", "auths": {"other.io": auth("u", "p"), acr.address: auth("ci", CANARY)}}
        assert [path.name for path in file.parent.iterdir()] == ["config.json"]
        assert packager.push(content, f"{acr.address}/signed-in:v1").uploaded

        done = imgvol("logout", acr.address, env={"HOME": str(home)})
        assert (done.returncode, done.stdout) == (0, f"registry    {acr.address}: removed\n")
        assert set(json.loads(file.read_bytes())["auths"]) == {"other.io"}
        done = imgvol("logout", acr.address, "--json", env={"HOME": str(home)})
        assert json.loads(done.stdout) == {"registry": acr.address, "removed": False}

    def test_an_identity_token_stays_one(self, acr, home: Path) -> None:
        from packager.signing_in import login

        token = refresh_token(acr)
        assert login(acr.address, Credentials("<token>", token)).checked
        found = find_credentials(acr.address)
        assert found is not None
        assert found.identity_token == token

    def test_a_helper_keeps_the_secret(self, acr, home: Path, tmp_path: Path, imgvol) -> None:
        helper(tmp_path / "bin", "safe", "", "")
        file = write(home / ".docker/config.json", {"credsStore": "safe"})
        environ = {"HOME": str(home), "PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}
        options = ("login", acr.address, "--username", "ci", "--password-stdin", "--json")
        done = imgvol(*options, stdin=CANARY, env=environ)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["stored"] == "docker-credential-safe"
        assert json.loads(file.read_bytes()) == {"credsStore": "safe"}
        assert json.loads((tmp_path / "bin/safe.input").read_text())["Secret"] == CANARY
        assert imgvol("logout", acr.address, env=environ).returncode == 0
        assert (tmp_path / "bin/safe.calls").read_text() == "store\nerase\n"

    def test_a_registry_that_asks_nobody_is_no_check(self, registry, home: Path, imgvol) -> None:
        options = ("login", registry.address, "--username", "ci", "--password-stdin", "--json")
        done = imgvol(*options, stdin=CANARY, env={"HOME": str(home)})
        assert done.stderr.startswith(f"warning: {registry.address} asks nobody who they are")
        assert json.loads(done.stdout)["checked"] is False

    def test_without_a_terminal_the_password_must_come_from_somewhere(self, acr, imgvol) -> None:
        done = imgvol("login", acr.address)
        assert done.returncode == 2
        assert "--password-stdin" in done.stderr
        assert imgvol("login", "not a registry", "--username", "u", "--password-stdin", stdin="x").returncode == 2


class TestSecretsStaySecret:
    def test_no_output_and_no_process_list_shows_one(self, acr, home: Path, tmp_path, content: Path) -> None:
        """While pushes with every kind of credential go on, every process's command line is read."""
        token = refresh_token(acr)
        secrets = (CANARY, token, base64.b64encode(f"ci:{CANARY}".encode()).decode())
        seen: set[bytes] = set()

        def look(_: int) -> None:
            for process in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(process.read_bytes())
                except OSError:
                    continue  # it has ended

        wire = Wire(acr.address, look)
        helper(tmp_path / "bin", "all", "ci", CANARY)
        clean = os.environ | {"PYTHONPATH": str(REPOSITORY), "PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}
        signed = ("--username", "ci", "--password-stdin")
        file = home / ".docker/config.json"
        shown = []
        try:
            for number, (arguments, stdin, environ, config) in enumerate(
                [
                    (signed, CANARY, {}, {}),
                    (signed, f"{CANARY}-wrong", {}, {}),
                    ((), "", {"IMGVOL_USERNAME": "ci", "IMGVOL_PASSWORD": CANARY}, {}),
                    ((), "", {}, {"auths": {wire.address: auth("ci", CANARY)}}),
                    ((), "", {}, {"auths": {wire.address: {"identitytoken": token}}}),
                    ((), "", {}, {"auths": {wire.address: {"identitytoken": f"{token}x"}}}),
                    ((), "", {}, {"credsStore": "all"}),
                ]
            ):
                write(file, config)
                command = [sys.executable, "-m", "imgvol", "push", content, f"{wire.address}/secret/n{number}:v1"]
                done = subprocess.run(
                    [*command, *arguments],
                    input=stdin,
                    capture_output=True,
                    text=True,
                    env=clean | environ,
                    timeout=120,
                    check=False,
                )
                shown.append(done.stdout + done.stderr)
                assert done.returncode == (1 if number in (1, 5) else 0), done.stderr
        finally:
            wire.close()
        assert any(b"imgvol\0push" in line for line in seen)
        for secret in secrets:
            assert not [line for line in seen if secret.encode() in line]
            assert not [text for text in shown if secret in text]

    def test_no_log_shows_one(self, acr, content: Path, caplog: pytest.LogCaptureFixture) -> None:
        token = refresh_token(acr)
        with caplog.at_level(logging.DEBUG):
            for who in (Credentials("ci", CANARY), Credentials("<token>", token)):
                packager.push(content, f"{acr.address}/logged:v1", auth=who)
                assert who.password not in repr(who)
        assert "/v2/logged/" in caplog.text
        assert CANARY not in caplog.text
        assert token not in caplog.text
