"""How `make` finds an interpreter: with fakes, and nothing installed."""

import os
import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).parent.parent
MAKE = shutil.which("make")
pytestmark = pytest.mark.skipif(MAKE is None, reason="make is not installed")


def make(folder, *arguments, fakes):
    """Runs `make` in a copy of the project where only the fake interpreters can be found."""
    for name in ("Makefile", "setup.py", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    (folder / "bin").mkdir()
    for name, script in fakes.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    # What runs these tests may be a `make` itself, which hands its flags and variables on by the environment.
    environment = {name: value for name, value in os.environ.items() if "MAKE" not in name and name != "EXTRAS"}
    environment.update(PATH=str(folder / "bin"), HOME=str(folder / "home"))
    return subprocess.run([MAKE, "lint", *arguments], cwd=folder, env=environment, capture_output=True, text=True)


UNSUITABLE = "exit 1"
# Passes the check of its version, tells it, and then refuses to make a virtual environment.
SUITABLE = 'case "$1" in -c) echo 3.10 ;; --version) echo Python 3.10.99 ;; *) echo "$0 was called: $*"; exit 9 ;; esac'


NO_PYTHON = "error: no Python 3.9 to 3.13 (with venv) found: install one, or name it by make PYTHON=/path/to/python"


@pytest.mark.parametrize("arguments", [[], ["PYTHON=python3.8"], ["PYTHON=missing"]])
def test_no_python_is_one_clear_line(tmp_path, arguments):
    result = make(tmp_path, *arguments, fakes=dict.fromkeys(["bin/python3.13", "bin/python3.8"], UNSUITABLE))
    assert result.returncode != 0
    assert result.stderr.splitlines()[0] == NO_PYTHON
    assert not (tmp_path / ".venv").exists()


@pytest.mark.parametrize(
    ("fakes", "arguments", "chosen", "venv"),
    [
        (
            {"bin/python3.11": UNSUITABLE, "bin/python3.12": SUITABLE, "bin/python3.9": SUITABLE},
            [],
            "python3.12",
            ".venv",
        ),
        ({"bin/python": SUITABLE}, [], "python", ".venv"),
        (
            {"bin/python3": UNSUITABLE, "home/.pyenv/versions/3.9.18/bin/python": SUITABLE},
            [],
            "3.9.18/bin/python",
            ".venv",
        ),
        (
            {"bin/python3.12": SUITABLE, "home/.pyenv/versions/3.13.0/bin/python": SUITABLE},
            [],
            "3.13.0/bin/python",
            ".venv",
        ),
        ({"bin/python3.13": SUITABLE, "bin/mine": SUITABLE}, ["PYTHON=mine"], "mine", ".venv-3.10"),
    ],
)
def test_the_first_python_that_runs_is_taken(tmp_path, fakes, arguments, chosen, venv):
    result = make(tmp_path, *arguments, fakes=fakes)
    assert f"Making {venv} with Python 3.10.99" in result.stdout
    assert f"{chosen} was called: -m venv --clear {venv}" in result.stdout
