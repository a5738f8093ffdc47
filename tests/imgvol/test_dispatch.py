"""The dispatcher: every command is shown, only the chosen one's part is imported."""

from __future__ import annotations

import importlib
import subprocess
import sys
from importlib.metadata import version

import pytest

from imgvol import cli


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "imgvol", *arguments], capture_output=True, text=True, check=False, timeout=60
    )


def test_help_shows_every_command() -> None:
    done = run("--help")
    assert done.returncode == 0
    for name, (_, sentence) in cli.COMMANDS.items():
        assert name in done.stdout
        assert sentence in " ".join(done.stdout.split())


def test_the_version_is_the_installed_one() -> None:
    assert run("--version").stdout == f"imgvol {version('imgvol')}\n"


def test_the_packager_says_of_its_commands_what_the_dispatcher_says() -> None:
    packager_cli = importlib.import_module("packager.cli")
    ours = {name: sentence for name, (module, sentence) in cli.COMMANDS.items() if module == "packager.cli"}
    assert ours == packager_cli.COMMANDS


@pytest.mark.parametrize(
    ("arguments", "unwanted"),
    [
        ("['--help']", ("packager", "emulator", "rich")),
        ("['up', '--help']", ("packager", "oras", "requests", "rich", "kubernetes")),
        ("['pack', '--help']", ("emulator", "oras", "requests", "rich")),
    ],
)
def test_only_the_chosen_part_is_imported(arguments: str, unwanted: tuple[str, ...]) -> None:
    program = (
        "import sys\n"
        "from imgvol.cli import main\n"
        f"try:\n    main({arguments})\n"
        "except SystemExit:\n    pass\n"
        "print('MODULES', *sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    modules = set(done.stdout.partition("MODULES")[2].split())
    assert not modules & set(unwanted)


def test_interrupted_it_ends_with_130_and_no_traceback(monkeypatch, capsys) -> None:
    def interrupt(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("packager.commands.parsing._run", lambda name, work, arguments, trouble: interrupt(arguments))
    assert cli.main(["inspect", "x"]) == 130
    assert capsys.readouterr().err == ""
