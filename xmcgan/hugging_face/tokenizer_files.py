"""The tokenizer of a Hugging Face folder: `tokenizer.json`, or `vocab.txt` and `tokenizer_config.json`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import NamedTuple, Optional

import msgspec

from xmcgan import escapes, text_files

_FILES = ("tokenizer.json", "vocab.txt")
_CLASSES = (
    "BertTokenizer",
    "BertTokenizerFast",
    "DistilBertTokenizer",
    "DistilBertTokenizerFast",
    "PreTrainedTokenizerFast",
    "TokenizersBackend",
)
_REQUIRED = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
_TAKEN = "only BERT's tokenizer can be imported: pass a model that uses it"


class TokenizerFiles(NamedTuple):
    """What BERT's tokenizer needs."""

    vocabulary: list[str]  # In the order of the ids.
    lower_case: bool
    strip_accents: bool


class _Normalizer(msgspec.Struct):
    type: str = ""
    lowercase: bool = True
    strip_accents: Optional[bool] = None
    clean_text: bool = True
    handle_chinese_chars: bool = True


class _PreTokenizer(msgspec.Struct):
    type: str = ""


class _Model(msgspec.Struct):
    vocab: dict[str, int]
    type: str = "WordPiece"  # Older files do not say.
    unk_token: str = "[UNK]"
    continuing_subword_prefix: str = "##"


class _TokenizerJson(msgspec.Struct):
    model: _Model
    normalizer: Optional[_Normalizer] = None
    pre_tokenizer: Optional[_PreTokenizer] = None


class _TokenizerConfig(msgspec.Struct):
    tokenizer_class: Optional[str] = None
    do_lower_case: Optional[bool] = None
    strip_accents: Optional[bool] = None
    tokenize_chinese_chars: Optional[bool] = None


def read(folder: str | os.PathLike) -> TokenizerFiles:
    """Reads the tokenizer of a folder; like `transformers`, it puts `tokenizer_config.json` above `tokenizer.json`.

    Args:
      folder: with `tokenizer.json` or `vocab.txt`, and perhaps `tokenizer_config.json`.

    Raises:
      FileNotFoundError: the folder has neither.
      ValueError: a file is damaged, the tokenizer is not BERT's, or nothing says whether it is lower-cased.
    """
    paths = {name: os.path.join(folder, name) for name in (*_FILES, "tokenizer_config.json")}
    config = _TokenizerConfig()
    if os.path.exists(paths["tokenizer_config.json"]):
        config = text_files.read_json(paths["tokenizer_config.json"], _TokenizerConfig)
    normalizer = None
    if os.path.exists(paths["tokenizer.json"]):
        path = paths["tokenizer.json"]
        content: _TokenizerJson = text_files.read_json(path, _TokenizerJson)
        normalizer = content.normalizer or _Normalizer()
        _check_kind(content, normalizer, path)
        vocabulary = _in_order(content.model.vocab, path)
    elif os.path.exists(paths["vocab.txt"]):
        path = paths["vocab.txt"]
        vocabulary = [token for _, token in text_files.read_lines(path)]
    else:
        raise FileNotFoundError(f"{os.fspath(folder)} has no {' or '.join(_FILES)}: {_TAKEN}")
    if config.tokenizer_class not in (None, *_CLASSES):
        found = escapes.excerpt(config.tokenizer_class or "")
        raise ValueError(f"{paths['tokenizer_config.json']}: tokenizer_class is {found}: {_TAKEN}")
    if config.tokenize_chinese_chars is False:
        raise ValueError(f"{paths['tokenizer_config.json']}: tokenize_chinese_chars is false: {_TAKEN}")
    _check_vocabulary(vocabulary, path)
    lower_case = _first(config.do_lower_case, normalizer.lowercase if normalizer else None)
    if lower_case is None:
        raise ValueError(
            f"{os.fspath(folder)} does not say whether its words are lower-cased: write a tokenizer_config.json there, "
            '{"do_lower_case": true} or {"do_lower_case": false}'
        )
    strip_accents = _first(config.strip_accents, normalizer.strip_accents if normalizer else None, lower_case)
    return TokenizerFiles(vocabulary, lower_case, bool(strip_accents))


def _first(*values: bool | None) -> bool | None:
    return next((value for value in values if value is not None), None)


def _check_kind(content: _TokenizerJson, normalizer: _Normalizer, path: str) -> None:
    """Checks that a `tokenizer.json` describes BERT's tokenizer."""
    pre_tokenizer = content.pre_tokenizer or _PreTokenizer()
    for what, found, wanted in (
        ("model.type", content.model.type, "WordPiece"),
        ("model.unk_token", content.model.unk_token, "[UNK]"),
        ("model.continuing_subword_prefix", content.model.continuing_subword_prefix, "##"),
        ("normalizer.type", normalizer.type, "BertNormalizer"),
        ("normalizer.clean_text", normalizer.clean_text, True),
        ("normalizer.handle_chinese_chars", normalizer.handle_chinese_chars, True),
        ("pre_tokenizer.type", pre_tokenizer.type, "BertPreTokenizer"),
    ):
        if found != wanted:
            raise ValueError(f"{path}: {what} is {escapes.excerpt(repr(found))}, not {wanted!r}: {_TAKEN}")


def _in_order(ids: Mapping[str, int], path: str) -> list[str]:
    vocabulary = sorted(ids, key=lambda token: ids[token])
    if [ids[token] for token in vocabulary] != list(range(len(ids))):
        raise ValueError(f"{path}: the ids in model.vocab are not 0, 1, 2, ...: get the file again")
    return vocabulary


def _check_vocabulary(vocabulary: list[str], path: str) -> None:
    missing = [token for token in _REQUIRED if token not in vocabulary]
    if missing:
        raise ValueError(f"{path} has no token {missing[0]}: {_TAKEN}")
    twice = _repeated(vocabulary)
    if twice is not None:
        raise ValueError(f"{path} has the token {escapes.excerpt(repr(twice))} twice: get the file again")


def _repeated(tokens: Iterable[str]) -> str | None:
    seen: set[str] = set()
    return next((token for token in tokens if token in seen or seen.add(token)), None)  # type: ignore[func-returns-value]
