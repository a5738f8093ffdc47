"""`imgvol registry`, and faults from the command line."""

import json
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


def imgvol(*arguments):
    command = [sys.executable, "-m", "imgvol", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)


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
