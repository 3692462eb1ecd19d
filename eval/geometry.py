"""The geometry of images, `config.data.geometry`, where images of models are shown or measured beside others."""

from __future__ import annotations

from collections.abc import Mapping

_DEFAULT = "squash"


def common_geometry(geometries: Mapping[str, str | None]) -> str:
    """Returns the geometry that all trained models share.

    Args:
      geometries: how images became square in the training of each model, by the models' names; None for images of
        unknown models.

    Raises:
      ValueError: they differ; names two models.
    """
    first = ""
    for name, geometry in geometries.items():
        if geometry and not first:
            first = name
        if geometry and geometry != geometries[first]:
            raise ValueError(
                f"'{first}' was trained with data.geometry={geometries[first]}, but '{name}' with {geometry}: choose "
                "how other images become square with --geometry"
            )
    return geometries.get(first) or _DEFAULT


def identify_geometry(geometry: str) -> dict[str, str]:
    """Returns what a geometry adds to an identity: nothing by default, as before there was a choice."""
    return {} if geometry == _DEFAULT else {"geometry": geometry}
