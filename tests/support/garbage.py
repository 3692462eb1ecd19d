"""Lets Python search for garbage less often, as the commands do (see `xmcgan.command_line.run`): import this first."""

import gc

gc.set_threshold(100_000)
