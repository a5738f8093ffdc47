"""What is said of settings that make no sense, each in one sentence."""

from __future__ import annotations

import pytest

from imgvol.deployment import Settings, UsageError
from imgvol.deployment.__main__ import COMMANDS


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"TARGET": "gke"}, "TARGET='gke' is none of aks, emulator, kind"),
        ({"VARIANT": "prod"}, "VARIANT='prod' is none of sample, production"),
        ({"ENGINE_BUILD": "docker"}, "ENGINE_BUILD='docker' is none of tasks, packager"),
        ({"PROJECT_TAG": "project-content"}, "PROJECT_TAG='project-content' is not NAME:TAG"),
        ({"PROJECT_TAG": "Project:v1"}, "PROJECT_TAG='Project:v1' is not NAME:TAG"),
        ({"DIGEST": "sha256:abc"}, "DIGEST='sha256:abc' is not sha256: and 64"),
        ({"ACR_NAME": "my-registry"}, "ACR_NAME='my-registry' is not a registry's name"),
    ],
)
def test_nonsense_is_refused(environment, sentence):
    with pytest.raises(UsageError) as refused:
        Settings.of(environment)
    assert str(refused.value).startswith(sentence)


def test_what_is_not_said_has_a_default():
    settings = Settings.of({"ACR_NAME": "", "DIGEST": ""})
    assert (settings.target, settings.project_tag, settings.variant) == ("aks", "project-content:v1.0.0", "sample")
    assert settings.engine_build == "tasks"
    assert Settings.of({"TARGET": "emulator"}).engine_build == "packager"


@pytest.mark.parametrize("target", ["emulator", "kind"])
@pytest.mark.parametrize("command", ["push-engine", "push-content", "deploy", "smoke-test", "rollback", "status"])
def test_no_target_runs(commands, target, command):
    done = commands(command, TARGET=target)
    assert done.returncode == 1
    assert done.stderr == (f"{command}: no {target} runs that was started here: `make up TARGET={target}` starts one\n")


@pytest.mark.parametrize(
    ("command", "settings", "said"),
    [
        ("rollout", {}, "rollout: DIGEST is not set: say which content"),
        ("up", {}, "up: TARGET=aks is made by `make tf-apply`"),
        ("down", {}, "down: TARGET=aks is removed by `make tf-destroy`"),
        ("tf-apply", {"TARGET": "kind"}, "tf-apply: TARGET=kind has nothing for Terraform"),
        ("up", {"TARGET": "emulator", "UP": "--no-such-option"}, "up: imgvol up: unrecognized arguments"),
    ],
)
def test_what_does_not_go_together(commands, command, settings, said):
    done = commands(command, **settings)
    assert done.returncode in (1, 2)
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_make_knows_every_command(commands):
    shown, helped = commands("--help").stdout, commands.make("help").stdout
    for name, (does, _) in COMMANDS.items():
        assert does in shown
        assert f"  make {name} " in helped
