"""XMC-GAN: text to image generation by cross-modal contrastive learning (Zhang et al., CVPR 2021)."""

from etils import epy

from xmcgan.stack import choose_keras_2

choose_keras_2()

# Resolved on first use, because most of these modules import TensorFlow.
with epy.lazy_api_imports(globals()):
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
