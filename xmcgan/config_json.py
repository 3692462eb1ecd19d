"""Configs as JSON: the `config.json` of a run, written by this version or an older one."""

from __future__ import annotations

import dataclasses
import json
import typing

from xmcgan.config import Config


def to_json(config: Config) -> str:
    """Returns the config as indented JSON, as it is written to a run's `config.json`."""
    return json.dumps(dataclasses.asdict(config), indent=2) + "\n"


def from_json(text: str) -> Config:
    """Reads a config that `to_json` wrote, in this version or an older one.

    Fields that a newer version added take their defaults, so that old runs stay readable.

    Raises:
      ValueError: the text is not JSON, is not a tree of fields, or names a field that no config has.
    """
    values = json.loads(text)
    if not isinstance(values, dict):
        raise ValueError(f"config is {values!r}: it must be an object of fields")
    _update_old_fields(values)
    return _build(Config, values, "")


def _build(cls: type, values: typing.Any, prefix: str) -> typing.Any:
    """Builds a dataclass, and the dataclasses within it, from nested dicts of values."""
    if not isinstance(values, dict):
        name = f"config.{prefix}".rstrip(".")
        raise ValueError(f"{name} is {values!r}: it must be an object of fields")
    types: dict[str, typing.Any] = {field.name: field.type for field in dataclasses.fields(cls)}
    unknown = sorted(set(values) - set(types))
    if unknown:
        raise ValueError(f"unknown config field '{prefix}{unknown[0]}': written by another version of xmcgan?")
    return cls(
        **{
            name: _build(types[name], value, f"{prefix}{name}.") if dataclasses.is_dataclass(types[name]) else value
            for name, value in values.items()
        }
    )


# What an empty handle meant in older runs on the dataset `scenes`, before handles had names.
_NAMES_OF_EMPTY_HANDLES = {
    "text": {"preprocessor": "scenes:bert/preprocessor", "encoder": "scenes:bert/encoder"},
    "image_encoder": {"weights": "scenes:image_encoder"},
    "evaluation": {
        "network_weights": "scenes:evaluators/recognizer",
        "dual_encoder": "scenes:evaluators/dual_encoder",
        "detector": "scenes:evaluators/recognizer",
    },
}
# How such runs were evaluated before the config had a group `evaluation`.
_FORMER_EVALUATION = {
    "num_samples": 2500,
    "network": "scenes",
    "detector_labels": "scenes",
    "kernel_subset_size": 500,
    "network_weights": "",
    "dual_encoder": "",
    "detector": "",
}


def _update_old_fields(values: dict[str, typing.Any]) -> None:
    """Converts fields that older versions wrote to their present names, in place."""
    generator = values.get("generator")
    if isinstance(generator, dict) and "synchronized_batch_norm" in generator:
        generator["batch_norm_replicas"] = 0 if generator.pop("synchronized_batch_norm") else 1
    if values.get("dataset") != "scenes":
        return
    values.setdefault("evaluation", dict(_FORMER_EVALUATION))
    for group, names in _NAMES_OF_EMPTY_HANDLES.items():
        fields = values.get(group)
        if not isinstance(fields, dict):
            continue
        for field, name in names.items():
            is_other_network = field == "network_weights" and fields.get("network") != "scenes"
            if fields.get(field) == "" and not is_other_network:
                fields[field] = name
