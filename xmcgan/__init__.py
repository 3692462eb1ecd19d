"""XMC-GAN: text to image generation by cross-modal contrastive learning (Zhang et al., CVPR 2021)."""

from typing import TYPE_CHECKING

from xmcgan.lazy_names import offer
from xmcgan.stack import choose_keras_2

choose_keras_2()

if TYPE_CHECKING:
    from xmcgan.config import Config
    from xmcgan.models.discriminator import Discriminator
    from xmcgan.models.generator import Generator
    from xmcgan.text_to_image import TextToImage

__all__ = [
    "Config",
    "Discriminator",
    "Generator",
    "TextToImage",
]

__getattr__, __dir__ = offer(
    "xmcgan",
    {
        "Config": "xmcgan.config",
        "Discriminator": "xmcgan.models.discriminator",
        "Generator": "xmcgan.models.generator",
        "TextToImage": "xmcgan.text_to_image",
    },
)
