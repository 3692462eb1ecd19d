"""Configs as JSON: the `config.json` of a run, written by this version or an older one."""

from __future__ import annotations

import dataclasses
import json
import typing

from xmcgan import config_checks, escapes, text_files
from xmcgan.config import Config


def to_json(config: Config) -> str:
    """Returns the config as indented JSON, as it is written to a run's `config.json`."""
    return json.dumps(dataclasses.asdict(config), indent=2) + "\n"


def from_json(text: str | bytes) -> Config:
    """Reads a config that `to_json` wrote, in this version or an older one.

    Fields that a newer version added take their defaults, so that old runs stay readable.

    Raises:
      ValueError: the text is not JSON, or is not a tree of the config's fields with possible values; names the field.
    """
    values = text_files.parse_json(text, dict[str, typing.Any], "config")
    _update_old_fields(values)
    unknown = _unknown_fields(values)
    if unknown:
        raise ValueError(f"unknown config field '{escapes.excerpt(unknown[0])}': written by another version of xmcgan?")
    config = text_files.check(values, Config, "config")
    config_checks.check_values(config)
    return config


def _unknown_fields(values: dict[str, typing.Any]) -> list[str]:
    """Returns the names in a tree of values, dotted and sorted, that no config has."""
    known: dict[str, typing.Any] = {field.name: field.type for field in dataclasses.fields(Config)}
    unknown = set(values) - set(known)
    for name, inner in values.items():
        if isinstance(inner, dict) and dataclasses.is_dataclass(known.get(name)):
            fields = {field.name for field in dataclasses.fields(known[name])}
            unknown |= {f"{name}.{field}" for field in set(inner) - fields}
    return sorted(unknown)


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
