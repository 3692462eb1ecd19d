"""The order of the packages is kept by a machine: `lint-imports`, part of `make lint`."""

import pathlib
import subprocess
import sys

import pytest

_ROOT = pathlib.Path(__file__).parents[1]
_PACKAGES = ("xmcgan", "data_pipelines", "eval", "experiments")


def _lint(folder: pathlib.Path) -> subprocess.CompletedProcess:
    lint_imports = pathlib.Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [lint_imports, "--no-cache", "--config", _ROOT / "pyproject.toml"], cwd=folder, capture_output=True, text=True
    )


def _make_house(folder: pathlib.Path, module: str, statement: str) -> None:
    """Four packages without imports but one."""
    for package in _PACKAGES:
        (folder / package).mkdir()
        (folder / package / "__init__.py").touch()
        (folder / package / "room.py").touch()
    (folder / "xmcgan" / "train.py").write_text("import eval.room\n")  # A command may look up.
    (folder / module).write_text(statement)


def test_no_package_imports_a_higher_one():
    result = _lint(_ROOT)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    "module, statement, kept",
    [
        ("eval/room.py", "from data_pipelines import room", True),
        ("xmcgan/room.py", "import data_pipelines.room", False),
        ("data_pipelines/room.py", "def late():\n    from eval import room", False),
        ("eval/room.py", "from experiments import room", False),
    ],
)
def test_an_import_from_below_fails(module, statement, kept, tmp_path):
    _make_house(tmp_path, module, statement)
    result = _lint(tmp_path)
    assert (result.returncode == 0) == kept, result.stdout
    if not kept:
        assert "is not allowed to import" in result.stdout
