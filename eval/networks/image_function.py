"""How a SavedModel takes images: the function to call, and what that function wants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

_SIGNATURES = ("default", "serving_default")  # TF1's Hub format, and TF2's SavedModels.


class ImageFunction(NamedTuple):
    """A function of one batch of images."""

    run: Callable[[tf.Tensor], Any]  # [batch, height, width, 3] -> whatever the SavedModel gives.
    dtype: tf.DType  # Of the images.
    batch: int | None  # Images that it takes at once; None: any number.


def find_image_function(module: tf.Module) -> ImageFunction | None:
    """Finds the function of a SavedModel that takes images and nothing else.

    Args:
      module: of `hub_files.load`. Its `__call__` comes first, as TF Hub has it; then its signatures.

    Returns:
      The function, of several forms the one for any number of images; None if there is none.
    """
    forms = getattr(module.__call__, "concrete_functions", ()) if callable(module) else ()
    found = [_called(module, form) for form in forms]
    signatures = getattr(module, "signatures", {})
    found += [_signature(module, name) for name in _SIGNATURES if name in signatures]
    functions = [function for function in found if function is not None]
    return min(functions, key=lambda function: function.batch is not None, default=None)


def _called(module: tf.Module, form: Any) -> ImageFunction | None:
    """The module's own call, which chooses among its traced forms, of which this is one."""
    specs = [spec for spec in tf.nest.flatten(form.structured_input_signature) if isinstance(spec, tf.TensorSpec)]
    return _of_images(module, specs)


def _signature(module: tf.Module, name: str) -> ImageFunction | None:
    inputs = module.signatures[name].structured_input_signature[1]
    # By keyword, as signatures want it. And through the module: a signature alone would let go of its variables.
    keyword = next(iter(inputs), "")
    return _of_images(lambda images: module.signatures[name](**{keyword: images}), list(inputs.values()))


def _of_images(run: Callable, specs: list[tf.TensorSpec]) -> ImageFunction | None:
    """`run`, if what it takes can be one batch of images."""
    if len(specs) != 1 or not specs[0].shape.is_compatible_with([None, None, None, 3]):
        return None
    return ImageFunction(run, specs[0].dtype, specs[0].shape[0] if specs[0].shape.rank else None)
