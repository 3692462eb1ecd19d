"""Finds out how a source folder is arranged."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from data_pipelines.layouts import coco_json, image_folder, tables, text_per_image, webdataset
from data_pipelines.layouts.listing import Listing, Options
from data_pipelines.layouts.names import LAYOUTS
from data_pipelines.layouts.tree import Tree


class Layout(NamedTuple):
    """A way to arrange images and captions in a folder."""

    name: str  # Value of --layout; its key in `names.LAYOUTS`.
    see: Callable[[Tree, Options], str]  # Describes what a source has of this layout; empty if nothing.
    read: Callable[[Tree, Options], Listing]
    has_columns: bool = False  # Whether --caption_column applies.


_LAYOUTS = (
    Layout("imagefolder", image_folder.see, image_folder.read, has_columns=True),
    Layout("table", tables.see, tables.read, has_columns=True),
    Layout("txt", text_per_image.see_beside, text_per_image.read_beside),
    Layout("text_folder", text_per_image.see_folder, text_per_image.read_folder),
    Layout("webdataset", webdataset.see, webdataset.read, has_columns=True),
    Layout("coco", coco_json.see, coco_json.read),
)


def find_layout(tree: Tree, options: Options, name: str = "") -> Layout:
    """Returns the layout of a source.

    Args:
      tree: the files of the source.
      options: see `Options`.
      name: a key of `names.LAYOUTS`; if empty, the only layout of which the source has something.

    Raises:
      ValueError: the source has nothing of that layout, of none, or of several; the message says what was seen. Or
        the layout has no column of captions, though the options name one.
    """
    seen = {layout: layout.see(tree, options) for layout in _LAYOUTS if name in ("", layout.name)}
    fitting = [layout for layout, found in seen.items() if found]
    if len(fitting) == 1:
        if options.caption_column and not fitting[0].has_columns:
            raise ValueError(
                f"--caption_column={options.caption_column} does not apply to layout '{fitting[0].name}', which has no "
                "columns: leave it out"
            )
        return fitting[0]
    if fitting:
        listed = "; ".join(f"--layout={layout.name} for {seen[layout]}" for layout in fitting)
        raise ValueError(f"{tree.root} can be read in {len(fitting)} ways: choose {listed}")
    forms = "; ".join(f"{layout.name} ({LAYOUTS[layout.name]})" for layout in seen)
    raise ValueError(
        f"{tree.root} has no captions in a known layout, only {_content(tree)}: arrange it as one of: {forms}"
    )


def _content(tree: Tree) -> str:
    """Describes the files of a source: '300 images and 2 other files, such as notes.pdf'."""
    images = set(tree.images)
    others = [path for path in tree.files if path not in images]
    example = f", such as {others[0]}" if others else ""
    return f"{len(images)} images and {len(others)} other files{example}"
