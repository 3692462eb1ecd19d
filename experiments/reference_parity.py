"""Compares our models, losses and updates with numbers recorded from the public JAX release of XMC-GAN.

  python -m experiments.reference_parity model_128.npz
  python -m experiments.reference_parity trainstep_128.npz --start=model_128.npz

The file has either the parameters, inputs, outputs and gradients of one forward and backward pass, or the inputs and
results of training iterations that start from the parameters in --start. Sizes are read from the arrays. For every
recorded array the largest error is printed, relative to the array's largest value; the last line has the largest
errors of all arrays. The exit status is 0 if outputs, losses and states agree to 1e-4, and gradients and trained
parameters to 1e-3.
"""

from __future__ import annotations

from absl import app
from etils import epy

from xmcgan import command_line, path_flags
from xmcgan.home_folder import expand_home

with epy.lazy_imports():
    from experiments.checks import parity

_START = path_flags.define_path(
    "start",
    None,
    "File with the initial parameters of training iterations. [model_X.npz beside trainstep_X.npz]",
)


def main(argv: list[str]) -> int:
    """Checks a file; returns the exit status."""
    if len(argv) != 2:
        raise app.UsageError("give the path of one .npz file")
    return 0 if parity.check_file(expand_home(argv[1]), _START.value or "").passed else 1


if __name__ == "__main__":
    command_line.run(main, takes_arguments=True)
