"""Downloads a text encoder from Hugging Face: only its config, its tokenizer's files and its safetensors."""

from __future__ import annotations

from xmcgan.hugging_face import weights
from xmcgan.models.hub_files import one_line

# Neither pickles nor the same weights in other formats.
PATTERNS = (
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
    weights.FILE,
    weights.INDEX,
    "model-?????-of-?????.safetensors",
)


def download(name: str, revision: str | None = None) -> str:
    """Downloads a model into Hugging Face's cache, unless it is there.

    Args:
      name: of the model, such as 'sentence-transformers/all-MiniLM-L6-v2'.
      revision: branch, tag or commit; None for the newest.

    Returns:
      The folder.

    Raises:
      FileNotFoundError: it cannot be downloaded.
      ValueError: `huggingface_hub` is not installed.
    """
    try:
        import huggingface_hub
    except ImportError as error:
        raise ValueError(f"--download={name} needs huggingface_hub: pip install -e '.[huggingface]'") from error
    try:
        return huggingface_hub.snapshot_download(name, revision=revision, allow_patterns=list(PATTERNS))
    except Exception as error:  # The library's own, those of its HTTP client, and the system's.
        reason = one_line(error.__cause__ or error)  # The library's own message speaks of its cache.
        raise FileNotFoundError(
            f"--download={name} cannot be downloaded ({reason}): check the name, or fetch config.json, "
            f"tokenizer.json, tokenizer_config.json, vocab.txt and {weights.FILE} by hand and pass --source=FOLDER"
        ) from error
