"""XMC-GAN: text to image generation by cross-modal contrastive learning (Zhang et al., CVPR 2021)."""

from __future__ import annotations

import importlib
from typing import Any

# The module of each public name. A module is imported on first use, since most of them import TensorFlow.
_NAMES = {
    "Config": "xmcgan.config",
    "Discriminator": "xmcgan.models.discriminator",
    "Generator": "xmcgan.models.generator",
    "TextToImage": "xmcgan.text_to_image",
}
__all__ = list(_NAMES)


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(importlib.import_module(_NAMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_NAMES])
