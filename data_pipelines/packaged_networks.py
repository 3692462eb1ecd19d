"""Networks of a dataset that come with the package, which need not be trained then.

The model `pretrained:scenes` brings the text encoder of the scenes, `scenes:bert`, in its folder `bert`.
"""

from __future__ import annotations

import os
import shutil

from absl import logging

from xmcgan import files, handles


def copy(handle: str, data_dir: str | os.PathLike) -> bool:
    """Copies a network from the package to its place beside the records, where it appears only when it is complete.

    Args:
      handle: of the form `DATASET:PATH`.
      data_dir: folder of all records.

    Returns:
      Whether the package has this network.

    Raises:
      FileExistsError: its place is taken by something else.
    """
    source = handles.packaged(handle)
    if source is None:
        return False
    target = handles.resolve(handle, data_dir)
    with files.new_folder(target) as folder:
        shutil.copytree(source, folder, dirs_exist_ok=True)
    logging.info("%s: copied from this package", target)
    return True
