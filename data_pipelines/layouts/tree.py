"""The files of a source folder, and the lookup of images by the names that tables and lists give them."""

from __future__ import annotations

import collections
import os
import unicodedata
from collections.abc import Callable, Iterator, Sequence

from etils import epath

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
# Folders and files that systems and archivers add.
_SYSTEM_NAMES = ("__MACOSX", "Thumbs.db")


def is_image(name: str) -> bool:
    """Tells by its ending, in any case of letters, whether a file is an image."""
    return name.lower().endswith(IMAGE_ENDINGS)


def stem(path: str) -> str:
    """Returns a path without its ending: 'a/b.c.jpg' -> 'a/b.c'."""
    return os.path.splitext(path)[0]


class Tree:
    """The files of a source folder.

    Attributes:
      root: the folder.
      files: path of each regular file within the folder, with '/' between its parts; sorted, without hidden files.
      images: those of `files` that are images.
    """

    def __init__(self, root: epath.Path):
        """Lists the folder, on the disk or in a bucket (gs://)."""
        self.root = root
        self.files = sorted(_walk(root))
        self.images = [path for path in self.files if is_image(path)]
        self._by_path = _Lookup(self.images, lambda path: path)
        self._by_stem = _Lookup(self.images, stem)

    def find(self, name: str, beside: str = "") -> list[str]:
        """Finds an image by the name that a table or list gives it.

        The name may be a path from the folder of the table or from the root, or just the end of the path. Accents may
        be encoded in either of Unicode's ways, and letters may differ in case if no other file fits.

        Args:
          name: with or without the folders above it, and with or without its ending.
          beside: folder of the table, within the root.

        Returns:
          The images that fit best; usually one.
        """
        name = name.replace("\\", "/").removeprefix("./")
        return self._by_path.find(name, beside) if is_image(name) else self.find_stem(name, beside)

    def find_stem(self, name: str, beside: str = "") -> list[str]:
        """Finds an image by its name without ending, see `find`."""
        return self._by_stem.find(name, beside)


class _Lookup:
    """Finds paths by their ends."""

    def __init__(self, paths: Sequence[str], key: Callable[[str], str]):
        self._exact: dict[str, list[str]] = collections.defaultdict(list)
        self._by_name: dict[str, list[tuple[str, str]]] = collections.defaultdict(list)  # Pairs of key and path.
        for path in paths:
            full = _normal(key(path))
            self._exact[full].append(path)
            self._by_name[full.rpartition("/")[2].casefold()].append((full, path))

    def find(self, name: str, beside: str) -> list[str]:
        name = _normal(name)
        for full in (f"{_normal(beside)}/{name}" if beside else name, name):
            if full in self._exact:
                return self._exact[full]
        candidates = self._by_name.get(name.rpartition("/")[2].casefold(), [])
        for alike in (str, str.casefold):
            found = [path for full, path in candidates if f"/{alike(full)}".endswith(f"/{alike(name)}")]
            if found:
                return found
        return []


def _normal(text: str) -> str:
    """Composes accents: macOS stores 'é' as two characters, and tables usually have one."""
    return unicodedata.normalize("NFC", text)


def _walk(root: epath.Path) -> Iterator[str]:
    top = os.fspath(root)
    if "://" in top:
        import tensorflow as tf

        walk = tf.io.gfile.walk
    else:
        walk = os.walk
    for folder, folders, names in walk(top):
        folders[:] = [name for name in folders if _is_visible(name.rstrip("/"))]
        within = (
            os.path.relpath(folder, top).replace(os.sep, "/") if "://" not in top else folder[len(top) :].strip("/")
        )
        prefix = "" if within in (".", "") else f"{within}/"
        for name in filter(_is_visible, names):
            if "://" in top or os.path.isfile(os.path.join(folder, name)):  # A pipe would have to be waited for.
                yield prefix + name


def _is_visible(name: str) -> bool:
    return not name.startswith(".") and name not in _SYSTEM_NAMES
