"""The parts that all commands share: flags, config and log format; `error_lines` has what becomes of errors.

A command is a module with a docstring (shown by `--help`), a few flags, and

    _WORKDIR = command_line.define_workdir()
    command_line.define_config(datasets)

    def main(argv):
        config = command_line.get_config()
        ...

    if __name__ == "__main__":
        command_line.run(main)

TensorFlow is not imported here, so a command that imports it inside `main` answers `--help` at once.
"""

from __future__ import annotations

import dataclasses
import difflib
import gc
import io
import logging
import math
import os
import re
import sys
import typing
import warnings

from absl import app, flags
from absl import logging as absl_logging
from ml_collections import config_flags

from xmcgan import config as config_lib
from xmcgan import config_checks, error_lines, escapes, flag_help, handles, path_flags
from xmcgan.home_folder import expand_home, path_in_environment
from xmcgan.training import cluster

# TensorFlow's C++ core reads this as it loads, so it is set before any command loads TensorFlow. Below level 3, every
# start logs errors which say that the core's own CUDA libraries registered twice. Real failures in the core reach
# Python as exceptions. TensorFlow 2.21 writes a few lines before it reads this, which nothing can switch off.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# TensorFlow Hub imports pkg_resources, which setup.py therefore pins.
warnings.filterwarnings("ignore", message="pkg_resources is deprecated")

FLAGS = flags.FLAGS
# The flags defined below belong to the command that calls these functions, and its `--help` lists them.
flags.disclaim_key_flags()


class Registry(typing.Protocol):
    """The datasets that a command can choose from; implemented by `data_pipelines.datasets`."""

    NAMES: tuple[str, ...]
    PRESETS: tuple[str, ...]

    def names(self, data_dir: str) -> tuple[str, ...]:
        """Returns the names of all datasets, among them those of users' own images in a folder of records."""

    def preset(self, name: str, dataset: str = "", data_dir: str | None = None) -> config_lib.Config:
        """Returns the config of a preset, for a dataset."""


_DATASET_HELP = "The dataset to use, and its config to start from."
# Flags that the command has defined as optional.
_optional: set[str] = set()
# The datasets of the command, if it takes one, and names that only this command takes for one.
_registry: Registry | None = None
_other_names: tuple[str, ...] = ()


def define_dataset(
    datasets: Registry, text: str = _DATASET_HELP, optional: bool = False, others: tuple[str, ...] = ()
) -> flags.FlagHolder:
    """Defines `--dataset`.

    Args:
      datasets: the datasets to choose from. Those of users' own images are found in `--data_dir`.
      text: the help text.
      optional: the command itself checks that there is a dataset where it needs one.
      others: further values, which only this command takes.
    """
    global _registry, _other_names
    _registry, _other_names = datasets, others
    _optional.update(["dataset"] if optional else [])
    names = ", ".join([*datasets.NAMES, *others])
    own = "" if others else ", or the name of your own images, converted into --data_dir"
    return flags.DEFINE_string("dataset", None, f"{text} One of {names}{own}.")


def define_data_dir() -> flags.FlagHolder[str]:
    """Defines `--data_dir`; `run` replaces its default by that of the environment, and reports a wrong one."""
    return path_flags.define_path(
        "data_dir",
        "data",
        "Folder of all converted datasets. The environment variable XMCGAN_DATA_DIR sets another default.",
        bucket=True,
    )


def define_workdir(
    text: str = "Folder of the training run: config, checkpoints, metrics, samples. With --dataset, runs/<dataset> by "
    "default.",
    optional: bool = False,
) -> flags.FlagHolder:
    """Defines `--workdir`.

    Unless it is `optional`, the flag defaults to `runs/<dataset>` in commands that take `--dataset`, and other commands
    require it.
    """
    _optional.update(["workdir"] if optional else [])
    return path_flags.define_path("workdir", None, text)


def define_seed(text: str) -> flags.FlagHolder[int]:
    """Defines `--seed`, 0 by default, with the bounds that all random generators share."""
    return flags.DEFINE_integer("seed", 0, text, lower_bound=0, upper_bound=config_lib.LARGEST_SEED)


def define_strategy() -> tuple[flags.FlagHolder[str], flags.FlagHolder[str]]:
    """Defines `--strategy` and `--tpu`: the devices that train, which are not part of the experiment's config."""
    strategy = flags.DEFINE_enum(
        "strategy",
        "auto",
        cluster.STRATEGIES,
        "Which devices train: 'one_device'; 'mirrored', all GPUs of this machine; 'multi_worker', the GPUs of all "
        "machines that the environment variable TF_CONFIG lists (give the same command on each); or a 'tpu'. 'auto' "
        "is multi_worker if TF_CONFIG lists several machines, otherwise mirrored.",
    )
    tpu = flags.DEFINE_string("tpu", "local", "For --strategy=tpu: the TPU's name or address, or 'local' on a TPU VM.")
    return strategy, tpu


def define_config(datasets: Registry, text: str = _DATASET_HELP, optional: bool = False) -> None:
    """Defines `--dataset`, `--preset` and `--config.<group>.<field>`; `get_config` reads them together.

    Args:
      datasets: the datasets and presets to choose from.
      text: the help text of `--dataset`.
      optional: the command itself checks that there is a dataset where it needs one.
    """
    define_dataset(datasets, text, optional)
    define_preset(
        datasets,
        "The config to start from, if not the dataset's own; 'reference' makes the choices of the public JAX release.",
    )


def define_preset(datasets: Registry, text: str) -> None:
    """Defines `--preset`, whose values are those of `--dataset` and the presets that belong to no dataset."""
    further = ", ".join(name for name in datasets.PRESETS if name not in datasets.NAMES)
    flags.DEFINE_string("preset", None, f"{text} A dataset, or {further}.")


def define_init_from() -> None:
    """Defines `--init_from`, which sets `training.init_from` and takes the networks' config from that run."""
    path_flags.define_path(
        "init_from",
        None,
        "Start with the weights of this run, or of 'pretrained:NAME'. The generator, the discriminator, the text "
        "encoder and the image size are those of that run, unless their --config flags say otherwise.",
    )


def get_config() -> config_lib.Config:
    """Returns the validated config that the command line describes; requires `define_config`."""
    # The newest ml_collections for Python 3.9 keeps the groups in a dict of its own, so the Config is built again.
    groups = {field.name: getattr(FLAGS.config, field.name) for field in dataclasses.fields(config_lib.Config)}
    config = config_lib.Config(**groups)
    for group in groups.values():
        for field in dataclasses.fields(group) if dataclasses.is_dataclass(group) else ():
            value = getattr(group, field.name)
            if isinstance(value, str):  # Some are paths, and nothing else begins with '~'.
                setattr(group, field.name, expand_home(value))
    return config


def run(main: typing.Callable[[list[str]], typing.Any], takes_arguments: bool = False) -> typing.NoReturn:
    """Parses the command line, runs `main` and exits.

    Args:
      main: called with a list, as by `absl.app.run`: the program's name and the positional arguments.
      takes_arguments: whether positional arguments are allowed; otherwise they are refused.
    """
    flags.DEFINE_bool(
        "allow_addresses", False, "Fetch and run networks from any address that the config of a run names."
    )
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # Names of files need not be text.
    flags.DEFINE_bool("traceback", False, "After an error, show where in the code it was raised.")
    absl_logging.get_absl_handler().setFormatter(_LogFormatter())
    # Modules and graphs consist of hundreds of thousands of objects that stay alive. By default, Python searches for
    # garbage after every 700 new objects. This search takes a quarter of the time of importing TensorFlow and of
    # tracing a training step.
    gc.set_threshold(100_000)
    # Each network is called once when it is loaded, which TensorFlow mistakes for one function being traced repeatedly.
    logging.getLogger("tensorflow").addFilter(
        lambda record: "triggered tf.function retracing" not in record.getMessage()
    )
    # On its first use on a machine, it lists the fonts, and says so.
    logging.getLogger("matplotlib").setLevel(logging.WARNING)

    def guarded_main(argv: list[str]) -> typing.Any:
        if FLAGS.allow_addresses:
            handles.allow_addresses()
        with error_lines.reported():  # absl.app would print its own long usage after a UsageError.
            result = main(argv)
            sys.stdout.flush()  # Here, a closed pipe is not reported as an error.
            return result

    with error_lines.reported():
        # Flag files are expanded here, once, because ml_collections also reads the config's fields from sys.argv.
        sys.argv[1:] = _last_of_each_field(_with_flag_files(sys.argv[1:]))
        app.run(guarded_main, flags_parser=lambda argv: _parse(argv, takes_arguments))


def _with_flag_files(arguments: list[str]) -> list[str]:
    """Replaces each `--flagfile=FILE` by the flags in that file.

    Raises:
      app.UsageError: a file is missing or is not text.
    """
    try:
        expanded = FLAGS.read_flags_from_files(arguments, force_gnu=True)
    except UnicodeDecodeError as error:
        given = " ".join(each for each in arguments if each.lstrip("-").startswith("flagfile"))
        raise app.UsageError(f"{given} is not UTF-8 text: save it as UTF-8, with one flag a line") from error
    except flags.Error as error:
        cause = error.__context__
        if isinstance(cause, OSError):
            raise app.UsageError(f"--flagfile={cause.filename}: {cause.strerror}: check the path") from error
        raise app.UsageError(str(error).removeprefix("ERROR:: ")) from error
    return [argument.removeprefix("\ufeff") for argument in expanded]  # A file's byte order mark.


def _last_of_each_field(arguments: list[str]) -> list[str]:
    """Leaves out values of config fields that a later argument sets again, as a flag file's may be.

    The last value of any flag counts, but the newest ml_collections for Python 3.9 refuses a second one.
    """
    names = [
        argument.split("=")[0].lstrip("-") if re.match(r"--?config\..*=", argument) else None for argument in arguments
    ]
    last = {name: index for index, name in enumerate(names)}
    return [
        argument for index, (argument, name) in enumerate(zip(arguments, names)) if name is None or last[name] == index
    ]


def _parse(argv: list[str], takes_arguments: bool) -> list[str]:
    """Parses `argv`; this is the `flags_parser` of `absl.app.run`.

    The config flag needs its default before parsing, and `--dataset` and `--preset` decide that default. So these two
    are parsed first, with a set of flags of their own.

    Args:
      argv: the command line, beginning with the program's name.
      takes_arguments: see `run`.

    Returns:
      The program's name and the positional arguments.

    Raises:
      app.UsageError, flags.Error: the command line is wrong.
    """
    if "data_dir" in FLAGS:
        FLAGS.set_default("data_dir", _default_data_dir())
    peeked = _peek(argv)
    takes_config = "preset" in FLAGS
    tree = _starting_config(peeked) if takes_config else None
    if peeked.help or peeked.helpshort:
        docstring = sys.modules["__main__"].__doc__ or ""
        key_flags = FLAGS.get_key_flags_for_module(sys.argv[0])
        print(flag_help.help_text(docstring, key_flags, tree), end="")
        sys.exit(0)
    if tree is not None:
        _check_overrides(argv, tree)
        config_flags.DEFINE_config_dataclass("config", tree, "Every field of the experiment.")

    rest = FLAGS(argv)
    if len(rest) > 1 and not takes_arguments:
        raise app.UsageError(f"unexpected argument '{rest[1]}': flags are written --name=value")
    for name in FLAGS:
        value = FLAGS[name].value
        if isinstance(value, float) and math.isnan(value):  # It is neither below nor above the bounds of the flag.
            raise app.UsageError(f"--{name}=nan is not a number: give one")
    if _registry is not None and not FLAGS.dataset and "dataset" not in _optional:
        if tree is None or not peeked.preset:
            raise app.UsageError(f"--dataset is missing: choose one of {', '.join(_registry.NAMES)}")
        FLAGS["dataset"].value = tree.dataset
    if "workdir" in FLAGS and FLAGS.workdir is None and "workdir" not in _optional:
        if "dataset" not in FLAGS or not FLAGS.dataset:
            raise app.UsageError("--workdir is missing: give the folder of a training run")
        FLAGS["workdir"].value = _default_workdir(FLAGS.dataset)
    if tree is not None:
        try:
            config_checks.validate(get_config())
        except ValueError as error:
            raise app.UsageError(str(error)) from error
    return rest


def _peek(argv: list[str]) -> flags.FlagValues:
    """Parses only those flags that must be known before the rest of `argv` can be parsed."""
    peeked = flags.FlagValues()
    if _registry is not None:
        for name in ("dataset", "preset"):
            flags.DEFINE_string(name, None, "", flag_values=peeked)
        flags.DEFINE(path_flags.PathParser(bucket=True), "data_dir", _default_data_dir(), "", flag_values=peeked)
    for name in ("init_from", "workdir") if "init_from" in FLAGS else ():
        flags.DEFINE(path_flags.PathParser(), name, None, "", flag_values=peeked)
    flags.DEFINE_bool("help", False, "", short_name="h", flag_values=peeked)
    flags.DEFINE_bool("helpshort", False, "", flag_values=peeked)
    peeked.set_gnu_getopt(True)  # The values of unknown flags look like positional arguments: do not stop there.
    peeked(argv, known_only=True)
    if _registry is not None and (peeked.dataset or peeked.preset):
        _check_names(peeked, _registry)
    return peeked


def _check_names(peeked: flags.FlagValues, registry: Registry) -> None:
    """Refuses values of `--dataset` and `--preset` that are not known, here or in the folder of records."""
    known = (*registry.names(peeked.data_dir), *_other_names)
    presets = (*known, *(name for name in registry.PRESETS if name not in known))
    for flag, choices in (("dataset", known), ("preset", presets)):
        value = getattr(peeked, flag)
        if value and value not in choices:
            close = difflib.get_close_matches(value, choices, n=1)
            hint = f" (did you mean {close[0]}?)" if close else ""
            raise app.UsageError(
                f"--{flag}={value} is not known{hint}: choose one of {', '.join(choices)}, or convert images of your "
                f"own into --data_dir={peeked.data_dir} under that name, with python -m data_pipelines.convert "
                f"--dataset=captioned_images --name={value}"
            )


def _starting_config(peeked: flags.FlagValues) -> config_lib.Config:
    """Returns the config of the preset or of the dataset; for a bare `--help`, that of the first dataset."""
    assert _registry is not None  # `define_config` was called.
    name = peeked.preset or peeked.dataset or _registry.NAMES[0]
    config = _registry.preset(name, peeked.dataset or "", peeked.data_dir)
    if "init_from" in peeked and peeked.init_from:
        from xmcgan.training import initial_weights  # Imports TensorFlow.

        workdir = peeked.workdir or _default_workdir(config.dataset)
        return initial_weights.starting_config(config, peeked.init_from, workdir)
    return config


def _default_data_dir() -> str:
    return path_in_environment("XMCGAN_DATA_DIR") or "data"


def _default_workdir(dataset: str) -> str:
    return os.path.join("runs", dataset)


def _check_overrides(argv: list[str], tree: config_lib.Config) -> None:
    """Refuses `--config.…` flags that name no field, and suggests the field that was probably meant."""
    fields = [field for field in config_lib.flatten(tree) if field != "dataset"]
    for argument in argv[1:]:
        match = re.match(r"--?(?:no)?config\.([^=]*)", argument)
        if match and match[1] == "dataset":
            raise app.UsageError("--config.dataset cannot be set: --dataset sets it")
        if match and any(field.startswith(f"{match[1]}.") for field in fields):
            raise app.UsageError(f"--config.{match[1]} is a group of fields: set one of them")
        if match and match[1] not in fields:
            close = difflib.get_close_matches(match[1], fields, n=1)
            hint = f"did you mean --config.{close[0]}?" if close else "--help lists the fields"
            raise app.UsageError(f"the config has no field '{match[1]}': {hint}")


class _LogFormatter(logging.Formatter):
    """Formats records as '12:34:56 message', with the level where it is above INFO."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(level)s%(message)s", datefmt="%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        record.level = "" if record.levelno <= logging.INFO else f"{record.levelname.lower()}: "
        return escapes.terminal(super().format(record), keep="\n\t")
