"""Commands as a user types them, each in a process of its own."""

import ast
import os
import re
import subprocess
import sys
import textwrap

import pytest

from data_pipelines import datasets, own_datasets, record_folders
from tests.support.processes import ROOT
from xmcgan import config as config_lib
from xmcgan import config_json, error_lines, home_folder

PACKAGES = ("xmcgan", "data_pipelines", "eval", "experiments")
# What TensorFlow 2.21 writes while it loads, before it reads which of its lines are wanted.
_EARLY_LINES = re.compile(r"^(WARNING: All log messages before absl::InitializeLog\(\)|I0000 ).*\n", re.MULTILINE)
COMMAND = '''
"""Does something.

Example:
  python -m something --dataset=scenes
"""
import sys
from absl import flags, logging
from data_pipelines import datasets
from xmcgan import command_line, config_json

DATA_DIR = command_line.define_data_dir()
WORKDIR = command_line.define_workdir()
command_line.define_config(datasets)
SHARE = flags.DEFINE_float("share", 0.5, "A share.", lower_bound=0.0, upper_bound=1.0)
RAISE = flags.DEFINE_string("raise", "", "An error to raise.")


def main(argv):
    assert "tensorflow" not in sys.modules
    logging.info("at work")
    if RAISE.value:
        raise eval(RAISE.value)
    print(WORKDIR.value, DATA_DIR.value, config_json.to_json(command_line.get_config()), sep="\\n")


if __name__ == "__main__":
    command_line.run(main)
'''


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("command_line")
    (folder / "command.py").write_text(COMMAND)
    return folder


@pytest.fixture
def call(folder):
    """Runs the command above with some arguments."""

    def run(*arguments, script="command.py", **environment):
        path = [os.path.dirname(os.path.dirname(config_lib.__file__)), os.environ.get("PYTHONPATH", "")]
        inherited = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
        return subprocess.run(
            [sys.executable, script, *arguments],
            cwd=folder,
            env={**inherited, "PYTHONPATH": os.pathsep.join(path), **environment},
            capture_output=True,
            text=True,
        )

    return run


def parsed(result):
    assert result.returncode == 0, result.stderr
    workdir, data_dir, text = result.stdout.split("\n", 2)
    return workdir, data_dir, config_json.from_json(text)


def test_dataset_alone_gives_its_preset_and_the_default_folders(call):
    assert parsed(call("--dataset=scenes")) == ("runs/scenes", "data", datasets.preset("scenes"))


def test_fields_are_overridden_on_top_of_the_preset(call):
    result = call(
        "--dataset",
        "ln_openimages",
        "--config.training.batch_size=64",
        "--config.losses.rho_1",
        "3",
        "--noconfig.training.deterministic",
        "--config.text.encoder=/some=where",
        "--workdir=w",
        XMCGAN_DATA_DIR="/elsewhere",
    )
    expected = datasets.preset("ln_openimages")
    expected.training.batch_size = 64
    expected.training.deterministic = False
    expected.losses.rho_1 = 3.0
    expected.text.encoder = "/some=where"
    assert parsed(result) == ("w", "/elsewhere", expected)


def test_the_home_folder_in_every_kind_of_path(call, tmp_path):
    """No shell expands it after --flag=."""
    environment = {"HOME": str(tmp_path), "XMCGAN_DATA_DIR": "~/data"}
    result = call("--dataset=scenes", "--workdir=~/runs/a b", "--config.text.encoder=~/bert[1]", **environment)
    workdir, data_dir, config = parsed(result)
    assert (workdir, data_dir) == (f"{tmp_path}/runs/a b", f"{tmp_path}/data")
    assert config.text.encoder == f"{tmp_path}/bert[1]"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("./~x", "./~x"),
        ("runs/~", "runs/~"),
        ("a[b]*?{c}", "a[b]*?{c}"),
        ("字 é", "字 é"),
        ("../x/", "../x/"),
        ("", ""),
    ],
)
def test_other_paths_mean_themselves(path, expected):
    assert home_folder.expand_home(path) == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--workdir=~no_such_user/x", "'~no_such_user' has no home folder: write ./~no_such_user/x for a path that"),
        ("--workdir=gs://bucket/run", "give a path on this machine"),
        ("--workdir=", "the path is empty"),
        ("--config.text.encoder=~no_such_user/x", "'~no_such_user' has no home folder"),
        ("--data_dir=~no_such_user/x", "--data_dir=~no_such_user/x: '~no_such_user' has no home folder"),
        ("XMCGAN_DATA_DIR=~no_such_user/x", "XMCGAN_DATA_DIR=~no_such_user/x: '~no_such_user' has no home folder"),
    ],
)
def test_a_path_that_cannot_be_one(arguments, message, call):
    if arguments.startswith("--"):
        result = call("--dataset=scenes", arguments)
    else:
        result = call("--dataset=scenes", **dict([arguments.split("=", 1)]))
    assert result.returncode in (1, 2)
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ") and message in line


def test_every_flag_that_takes_a_path_is_read_in_that_way():
    """A flag that is not would make a folder named '~'."""
    places = r"(?i)\b(folder|file|path|table of)\b"
    sources = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    for path in sources:
        for call in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(call, ast.Call) and ast.unparse(call.func).endswith("DEFINE_string")):
                continue
            text = " ".join(each.value for each in ast.walk(call) if isinstance(getattr(each, "value", None), str))
            assert not re.search(places, text), f"{path}: define_path for: {text}"


@pytest.mark.parametrize("arguments", [("--preset=scenes",), ("--preset", "scenes", "--dataset", "scenes")])
def test_a_preset_brings_its_dataset(call, arguments):
    assert parsed(call(*arguments))[::2] == ("runs/scenes", datasets.preset("scenes"))


def test_users_own_images_are_found_in_the_folder_of_records(call, folder):
    records = record_folders.directory("birds", folder / "o[w]n")
    records.mkdir(parents=True)
    advice = (own_datasets.Advice("data.text_length", 31, "why"),)
    own_datasets.write_facts(records, own_datasets.Facts("source", "txt", "a bird", advice))
    _, _, config = parsed(call("--dataset=birds", "--data_dir=o[w]n", "--config.training.seed=3"))
    assert (config.dataset, config.data.text_length, config.training.seed) == ("birds", 31, 3)
    assert parsed(call("--preset=birds", XMCGAN_DATA_DIR="o[w]n"))[2].data.text_length == 31
    result = call("--dataset=birds")
    assert result.returncode == 2 and "into --data_dir=data under that name" in result.stderr


def test_reference_choices_on_another_dataset(call):
    _, _, config = parsed(call("--dataset=ln_coco", "--preset=reference", "--config.generator.channels=8"))
    assert config.dataset == "ln_coco"
    assert (config.data.text_length, config.data.random_flip) == (64, False)
    assert (config.generator.stem, config.generator.channels) == ("noise", 8)
    assert config.text.sentence_pooling == "sum_over_length"


def test_flagfile_is_read_before_the_preset_is_chosen(call, folder):
    (folder / "run.flags").write_text("\ufeff--dataset=scenes\n--config.training.seed=5\n")
    _, _, config = parsed(call("--workdir", "w", "--flagfile=run.flags"))
    assert (config.dataset, config.training.seed) == ("scenes", 5)


def test_the_last_value_of_a_field_counts(call, folder):
    (folder / "run.flags").write_text("--dataset=scenes\n--config.training.seed=5\n--config.training.batch_size=4\n")
    _, _, config = parsed(call("--workdir=w", "--flagfile=run.flags", "--config.training.seed=6"))
    assert (config.training.seed, config.training.batch_size) == (6, 4)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing.flags", "error: --flagfile=nothing.flags: No such file or directory: check the path"),
        ("latin.flags", "error: --flagfile=latin.flags is not UTF-8 text: save it as UTF-8, with one flag a line"),
    ],
)
def test_a_flagfile_that_cannot_be_read(name, message, call, folder):
    (folder / "latin.flags").write_bytes("--workdir=Käfer\n".encode("latin-1"))
    result = call("--dataset=scenes", f"--flagfile={name}")
    assert (result.returncode, result.stderr) == (2, f"{message} (see --help)\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], f"--dataset is missing: choose one of {', '.join(datasets.NAMES)}"),
        (
            ["--dataset=flowers"],
            f"--dataset=flowers is not known: choose one of {', '.join(datasets.NAMES)}, or convert",
        ),
        (["--dataset", "scene"], "--dataset=scene is not known (did you mean scenes?)"),
        (["--preset=jax"], "--preset=jax is not known: choose one of"),
        (["--datset=scenes"], "Did you mean: dataset"),
        (["--dataset=scenes", "runs/x"], "unexpected argument 'runs/x'"),
        (["--dataset=scenes", "--share=nan"], "--share=nan is not a number"),
        (["--dataset=scenes", "--config.training.btach_size=3"], "did you mean --config.training.batch_size?"),
        (["--dataset=scenes", "--config.training.batch_size=many"], "batch_size=many: give a whole number"),
        (["--dataset=scenes", "--config.training.ema_decay=many"], "ema_decay=many: give a number"),
        (["--dataset=scenes", "--config.training.xla=maybe"], "xla=maybe: give true or false"),
        (["--dataset=scenes", "--config.training=5"], "--config.training is a group of fields: set one of them"),
        (["--dataset=scenes", "--config=x"], "--config=x: set its fields, as --config.GROUP.FIELD=VALUE"),
        (["--dataset="], "--dataset is missing: choose one of"),
        (
            ["--dataset=scenes", "--data_dir=s3://b/x"],
            "--data_dir=s3://b/x: give a path on this machine, or in a bucket",
        ),
        (["--dataset=scenes", "--workdir=gs://b/x"], "--workdir=gs://b/x: give a path on this machine, and copy"),
        (["--dataset=scenes", "--config.dataset=coco2014"], "--dataset sets it"),
        (["--dataset=scenes", "--config.data.image_size=100"], "config.data.image_size=100 is not possible"),
        (["--dataset=coco2014", "--config.text.encoder="], "config.text.encoder='' is empty"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_status_2(call, arguments, message):
    result = call(*arguments)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("error: ") and message in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "line"),
    [
        ("ValueError('captions.txt: line 3 is empty: remove it')", "captions.txt: line 3 is empty: remove it"),
        ("ValueError('text.dim=7: pass config.text.dim=8')", "--config.text.dim=7: pass --config.text.dim=8"),
        ("ValueError('data/text.dim or text.dimension')", "data/text.dim or text.dimension"),
        ("ValueError('a\\x1b[2J\\udcffb')", r"a\x1b[2J\udcffb"),
        ("ValueError('one\\ntwo')", "one (--traceback shows the rest)"),
        ("FileNotFoundError('runs/x: no checkpoint: train first')", "runs/x: no checkpoint: train first"),
        ("FileNotFoundError(2, 'No such file or directory', 'a.txt')", "a.txt: No such file or directory: check the"),
        ("FileExistsError(17, 'File exists', 'a')", "a: File exists: name another path"),
        ("NotADirectoryError(20, 'Not a directory', 'a/b')", "a/b: Not a directory: a part of this path is a file"),
        ("OSError(28, 'No space left on device', 'runs')", "runs: No space left on device: free some space there"),
        ("PermissionError(13, 'Permission denied', '/x')", "/x: Permission denied: name a folder that you may"),
    ],
)
def test_an_error_of_the_user_is_one_line_and_status_1(call, error, line):
    result = call("--dataset=scenes", f"--raise={error}")
    assert result.returncode == 1
    log, message = result.stderr.splitlines()
    assert log[2] == log[5] == ":" and log.endswith(" at work")  # '12:34:56 at work'
    assert message.startswith(f"error: {line}")


def test_traceback_on_request_and_for_faults_of_the_code(call):
    for arguments in (["--raise=ValueError('x')", "--traceback"], ["--raise=KeyError('x')"]):
        result = call("--dataset=scenes", *arguments)
        assert result.returncode == 1
        assert "Traceback (most recent call last)" in result.stderr and "command.py" in result.stderr


def test_usage_error_in_main_and_interruption(call):
    result = call("--dataset=scenes", "--raise=__import__('absl.app').app.UsageError('--a goes with --b')")
    assert result.returncode == 2
    assert result.stderr.splitlines()[1:] == ["error: --a goes with --b (see --help)"]

    result = call("--dataset=scenes", "--raise=KeyboardInterrupt()")
    assert result.returncode == 130
    assert result.stderr.splitlines()[1:] == ["interrupted"]


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_has_had_enough_is_no_error(unbuffered):
    """As by '| head': nothing reads what is printed."""
    reading, writing = os.pipe()
    os.close(reading)
    result = subprocess.run(
        [sys.executable, "-m", "experiments.ablations"],
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writing)
    assert (result.returncode, result.stderr) == (141, "")


@pytest.mark.parametrize("flag", ["--help", "-h", "--helpshort"])
def test_help_shows_the_docstring_own_flags_and_config_fields(call, flag):
    result = call("--dataset=ln_coco", flag)
    assert (result.returncode, result.stderr) == (0, "")
    order = ["Does something.", "python -m something", "--data_dir=data", "--workdir", "--preset", "--[no]traceback"]
    order += ["--config.data.text_length=64", "Tokens per caption", "--config.training.seed=0"]
    positions = [result.stdout.index(text) for text in order]
    assert positions == sorted(positions)
    assert max(map(len, result.stdout.splitlines())) <= 120
    assert "pdb" not in result.stdout and "tfds" not in result.stdout  # Flags of the libraries.


def test_tensorflow_is_quiet_and_its_errors_are_one_line(call, command, folder):
    script = """
        import os
        from xmcgan import command_line

        WORKDIR = command_line.define_workdir()

        def main(argv):
            import tensorflow as tf

            tf.constant(0.0) + 1.0
            if WORKDIR.value == "oom":
                raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor with shape[9999]")
            tf.io.write_file(WORKDIR.value, "x")

        if __name__ == "__main__":
            command_line.run(main, takes_arguments=True)
    """
    (folder / "loads_tensorflow.py").write_text(textwrap.dedent(script))
    result = call("--workdir=written", "a.txt", script="loads_tensorflow.py")
    assert (result.returncode, _EARLY_LINES.sub("", result.stderr)) == (0, "")
    process = command("tests.support.script", textwrap.dedent(script), "--workdir=oom")
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1
    assert said.startswith("error: the device is out of memory: set a smaller --config.training.batch_size")
    assert said.count("\n") == 1
    result = call(script="loads_tensorflow.py")
    assert result.returncode == 2
    assert result.stderr == "error: --workdir is missing: give the folder of a training run (see --help)\n"


def test_fields_in_messages_become_flags():
    assert error_lines.spell_flags("text.encoder='x' is no BERT") == "--config.text.encoder='x' is no BERT"
    assert error_lines.spell_flags("set config.training.seed") == "set --config.training.seed"
    for message in ("no records of dataset 'scenes'", "give --config.text.encoder", "my/text.encoder", "a_text.dim"):
        assert error_lines.spell_flags(message) == message
