"""What becomes of the errors of a command.

A user's mistake ends in one line on stderr, `error: what, where, what to do`, and in exit status 2 (the command line)
or 1 (anything else); `--traceback` shows where it was raised. An error that no user can cause keeps its traceback.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import select
import sys
import typing

from absl import app, flags

from xmcgan import config as config_lib
from xmcgan import escapes, failures

_LONGEST_LINE = 8000  # Two of the longest paths.
_REMEDIES = {
    errno.ENOSPC: "free some space there, or name another disk",
    errno.EDQUOT: "free some space there, or name another disk",
    errno.EACCES: "name a folder that you may read and write",
    errno.EROFS: "name a folder that you may read and write",
    errno.ENOENT: "check the path",
    errno.EEXIST: "name another path",
    errno.ENOTDIR: "a part of this path is a file: name a folder",
    errno.EISDIR: "name a file",
    errno.ELOOP: "links there lead in a circle: name another path",
    errno.ENAMETOOLONG: "name a shorter path",
}
# What libraries say about the values of flags, and what is meant.
_FLAG_ERRORS = (
    (r"flag --(\w+)=None: Flag --\1 must have a value other than None\.", r"--\1 is missing."),
    (r"(flag --\S+): invalid literal for int\(\) with base 10: .*", r"\1: give a whole number"),
    (r"(flag --\S+): could not convert string to float: .*", r"\1: give a number"),
    (r"(flag --\S+): \('Non-boolean argument to boolean flag', .*\)", r"\1: give true or false"),
    (r"(flag --config=\S*): Overriding config is not allowed.*", r"\1: set its fields, as --config.GROUP.FIELD=VALUE"),
)


@contextlib.contextmanager
def reported() -> typing.Iterator[None]:
    """Turns errors that a user can cause into one line on stderr and an exit status."""
    try:
        yield
    except KeyboardInterrupt as stop:  # From a run that stopped in good order, it has a message and a status.
        _exit(str(stop) or "interrupted", getattr(stop, "status", 130))
    except (app.UsageError, flags.Error) as error:
        _exit(f"error: {_describe_usage(error)} (see --help)", 2)
    except _user_errors() as error:
        if isinstance(error, BrokenPipeError) and _stdout_is_closed():
            sys.exit(141)  # The shell's status for a program that SIGPIPE ends, as when piped into 'head'.
        if flags.FLAGS.is_parsed() and flags.FLAGS.traceback:
            raise
        _exit(f"error: {_describe(error)}", 1)
    except Exception as error:
        line = None if flags.FLAGS.is_parsed() and flags.FLAGS.traceback else failures.explanation(error)
        if line is None:
            raise
        _exit(f"error: {line}", 1)


def spell_flags(message: str) -> str:
    """Replaces names of config fields by flags: the library's `text.encoder` becomes `--config.text.encoder`."""
    fields = "|".join(map(re.escape, config_lib.settings()))
    return re.sub(rf"(?<![\w./-])(?:config\.)?({fields})\b", r"--config.\1", message)


def _stdout_is_closed() -> bool:
    """Tells whether the reader of stdout has gone; if so, redirects stdout to the null device."""
    poll = select.poll()
    poll.register(sys.stdout, 0)
    if not any(event & select.POLLERR for _, event in poll.poll(0)):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Otherwise Python's flush at exit would fail.
    return True


def _user_errors() -> tuple[type[Exception], ...]:
    """Returns the types of errors that a user or the machine can cause; TensorFlow's are among them if it is loaded."""
    tensorflow = sys.modules.get("tensorflow")
    errors: tuple[type[Exception], ...] = (ValueError, OSError, FloatingPointError)
    if tensorflow is not None:
        errors += (tensorflow.errors.ResourceExhaustedError, tensorflow.errors.PermissionDeniedError)
    return errors


def _describe_usage(error: Exception) -> str:
    """Describes an error of the command line in one line."""
    message = " ".join(str(error).split())
    for pattern, meaning in _FLAG_ERRORS:
        message = re.sub(pattern, meaning, message)
    return message


def _describe(error: Exception) -> str:
    """Describes an error in one line, with a remedy where one is known."""
    if "OOM when allocating" in str(error):
        return (
            "the device is out of memory: set a smaller --config.training.batch_size, or fewer channels "
            "(--config.generator.channels, --config.discriminator.channels) (--traceback shows the rest)"
        )
    if isinstance(error, OSError) and error.errno is not None and error.strerror:
        parts = (error.filename, error.strerror, _REMEDIES.get(error.errno))
        return ": ".join(str(part) for part in parts if part)
    message = re.sub(r"\{\{.*?\}\} | \[Op:.*", "", str(error).strip())  # TensorFlow adds these to its messages.
    if message.endswith(os.strerror(errno.ENOSPC)):  # TensorFlow's own writers.
        message += f": {_REMEDIES[errno.ENOSPC]}"
    first, *others = spell_flags(message).splitlines() or [type(error).__name__]
    # Our own messages have one line. A library's may have more, and may not be the user's fault.
    return f"{first} (--traceback shows the rest)" if others else first


def _exit(line: str, status: int) -> typing.NoReturn:
    print(escapes.excerpt(line, _LONGEST_LINE), file=sys.stderr, flush=True)  # File names and servers' words are in it.
    sys.exit(status)
