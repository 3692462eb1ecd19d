"""The layouts in which scenes can be written: those of the published datasets, whose builders can then read them."""

from __future__ import annotations

from collections.abc import Callable

from data_pipelines.scenes.coco2014_layout import write_coco2014
from data_pipelines.scenes.ln_coco_layout import write_ln_coco
from data_pipelines.scenes.ln_openimages_layout import write_ln_openimages

__all__ = ["LAYOUTS", "write_coco2014", "write_ln_coco", "write_ln_openimages"]

LAYOUTS: dict[str, Callable[..., None]] = {
    "coco2014": write_coco2014,
    "ln_coco": write_ln_coco,
    "ln_openimages": write_ln_openimages,
}
