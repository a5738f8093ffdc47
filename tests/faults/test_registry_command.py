"""`imgvol registry`, and faults from the command line."""

import json
import socket
import ssl
import stat
import subprocess
import sys

import pytest
import requests

import emulator


@pytest.fixture
def http():
    with requests.Session() as session:
        session.trust_env = False
        yield session


def imgvol(*arguments, **options):
    command = [sys.executable, "-m", "imgvol", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, **options)


def test_a_registry_in_a_process_of_its_own(http, tmp_path):
    scenario = tmp_path / "mine.yaml"
    scenario.write_text("faults: [{match: {operation: catalog}, status: 418}]")
    with emulator.start_registry(faults=["throttled", str(scenario)]) as running:
        statuses = [http.get(f"http://{running.registry}/v2/_catalog", timeout=30).status_code for _ in range(4)]
        assert statuses == [418, 429, 418, 429]
        assert set(http.get(f"{running.control}/faults", timeout=30).json()) == {"throttled", "mine"}
        assert http.delete(f"{running.control}/faults", timeout=30).status_code == 204
        assert http.get(f"http://{running.registry}/v2/_catalog", timeout=30).json() == {"repositories": []}
    with pytest.raises(requests.ConnectionError):
        http.get(f"{running.control}/faults", timeout=30)


def test_a_registry_listens_where_it_is_told():
    with emulator.start_registry(listen="127.0.0.2:0") as running:
        assert running.registry.startswith("127.0.0.2:")


def test_what_was_pushed_stays_in_a_directory_that_was_named(http, tmp_path):
    def catalog():
        process = subprocess.Popen(
            [sys.executable, "-m", "imgvol", "registry", f"--root={tmp_path}", "--until-stdin-closes"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with process:
            address = json.loads(process.stdout.readline())["registry"]
            manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}
            http.put(
                f"http://{address}/v2/kept/manifests/v1",
                data=json.dumps(manifest),
                headers={"Content-Type": manifest["mediaType"]},
                timeout=30,
            ).raise_for_status()
            http.close()
            process.stdin.close()
        assert process.returncode == 0

    catalog()
    assert (tmp_path / "repositories" / "kept" / "_tags" / "v1").is_file()


@pytest.mark.parametrize("command", ["up", "registry"])
def test_an_unknown_scenario_is_wrong_usage(command):
    result = imgvol(command, "--faults", "nope")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(f"imgvol {command}: there is no fault scenario 'nope'; choose one of corrupt,")
    assert result.stderr.count("\n") == 1


def test_a_wrong_scenario_names_file_and_key(tmp_path):
    scenario = tmp_path / "mine.yaml"
    scenario.write_text("faults:\n  - match: {operation: blob-get}\n    dropp: 1\n")
    result = imgvol("registry", "--faults", str(scenario))
    assert result.returncode == 2
    assert result.stderr.startswith(f"imgvol registry: {scenario}: faults[0] has no key 'dropp'; it may have match, ")


@pytest.mark.parametrize("address", ["5000", "127.0.0.1:http", "127.0.0.1:70000", ":5000"])
def test_what_is_no_address(address):
    result = imgvol("registry", "--listen", address)
    assert result.returncode == 2
    assert f"'{address}' is no address" in result.stderr


def test_an_address_that_is_not_ours():
    result = imgvol("registry", "--listen", "192.0.2.1:5000")
    assert result.returncode == 1
    assert result.stderr.startswith("imgvol registry: the registry cannot listen on 192.0.2.1:5000: ")
    assert result.stderr.count("\n") == 1


def test_up_has_a_control_endpoint_too(http):
    with emulator.start(faults=["forbidden"]) as running:
        assert http.get(f"http://{running.registry}/v2/", timeout=30).status_code == 403
        assert http.delete(f"{running.control}/faults/forbidden", timeout=30).status_code == 204
        assert http.get(f"http://{running.registry}/v2/", timeout=30).status_code == 200


def status(http, address, path="/v2/", **options):
    return http.get(f"{address}{path}", timeout=30, **options).status_code


def test_one_user_with_a_password_that_is_given(http):
    with emulator.start_registry(registry_auth="basic", username="ci", password="s3cret") as running:
        assert (running.username, running.password_file, running.ca) == ("ci", None, None)
        address = f"http://{running.registry}"
        assert status(http, address) == 401
        assert status(http, address, auth=("ci", "wrong")) == 401
        assert status(http, address, auth=("ci", "s3cret")) == 200


def test_a_password_that_is_made_up_is_for_its_owner_alone_and_goes_with_the_registry(http):
    with emulator.start_registry(registry_auth="basic") as running:
        kept = running.password_file
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
        assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
        password = kept.read_text().rstrip("\n")
        assert len(password) >= 32
        assert status(http, f"http://{running.registry}", auth=(running.username, password)) == 200
        with emulator.start_registry(registry_auth="basic") as another:
            assert another.password_file.read_text() != kept.read_text()
    assert not kept.parent.exists()


def test_a_password_from_standard_input_is_its_first_line_and_the_end_of_it_may_still_end_the_registry(http):
    command = [sys.executable, "-m", "imgvol", "registry", "--auth=basic", "--password-stdin", "--until-stdin-closes"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        process.stdin.write("s3cret\nand more\n")
        process.stdin.flush()
        ready = json.loads(process.stdout.readline())
        assert ready.keys() == {"registry", "control", "username"}
        assert status(http, f"http://{ready['registry']}", auth=("imgvol", "s3cret")) == 200
        process.stdin.close()
        assert process.wait(60) == 0


@pytest.mark.parametrize("auth", ["none", "basic", "acr"])
def test_https_is_trusted_by_its_authority_alone(http, auth):
    with emulator.start_registry(registry_auth=auth, tls=True, tls_names=["registry.example"]) as running:
        port = running.registry.rpartition(":")[2]
        expected = 200 if auth == "none" else 401
        for name in ("127.0.0.1", "localhost"):
            assert status(http, f"https://{name}:{port}", verify=str(running.ca)) == expected
        with pytest.raises(requests.exceptions.SSLError):
            http.get(f"https://{running.registry}/v2/", timeout=30)
        with pytest.raises(requests.ConnectionError):
            http.get(f"http://{running.registry}/v2/", timeout=30)
        names = subject_names(running)
        assert {("DNS", "registry.example"), ("DNS", socket.gethostname()), ("IP Address", "127.0.0.1")} <= names
    assert not running.ca.exists()


def subject_names(running):
    host, port = running.registry.split(":")
    context = ssl.create_default_context(cafile=running.ca)
    with (
        socket.create_connection((host, int(port)), timeout=30) as plain,
        context.wrap_socket(plain, server_hostname=host) as secured,
    ):
        return set(secured.getpeercert()["subjectAltName"])


def test_faults_break_connections_over_https(http):
    with emulator.start_registry(tls=True) as running:
        http.verify = str(running.ca)
        url = f"https://{running.registry}/v2/_catalog"
        for deed in ("hang-up: before", "drop: 5", "{hang-up: before, reset: true}", "{drop: 5, reset: true}"):
            fault = deed if deed.startswith("{") else f"{{{deed}}}"
            http.put(f"{running.control}/faults/x", data=f"faults: [{fault}]", timeout=30).raise_for_status()
            with pytest.raises(requests.RequestException):
                http.get(url, timeout=30)
        assert http.delete(f"{running.control}/faults", timeout=30).status_code == 204
        assert status(http, url, "") == 200


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--username=ci"], "--username and --password-stdin go with --registry-auth basic"),
        (["--auth=acr", "--password-stdin"], "--username and --password-stdin go with --registry-auth basic"),
        (
            ["--auth=basic", "--password-stdin"],
            "--password-stdin was given, and there is no password on standard input",
        ),
        (["--auth=basic", "--username=a:b"], "a user name is not empty and has no colon"),
        (["--tls-name=no host"], "'no host' is neither a name nor an address of a host"),
    ],
)
def test_wrong_ways_to_sign_in(options, says):
    result = imgvol("registry", *options, stdin=subprocess.DEVNULL)
    assert (result.returncode, result.stdout) == (2, "")
    assert says in result.stderr
