"""Makes the models of this folder: small and random, with their tokens and outputs as `transformers` computes them.

  python3 -m venv transformers && transformers/bin/pip install torch==2.13.0 transformers==5.24.0
  transformers/bin/python tests/data/hugging_face/make.py

Made with these versions; others may draw other weights, so the folders are made together.
"""

from __future__ import annotations

import pathlib
import string

import numpy as np
import torch
import transformers

HERE = pathlib.Path(__file__).parent
CAPTIONS = ("A man rides a wave.", "dogs, playing in the snow", "Un café", "", "the the the the the the the the")
LENGTH = 12
SPECIAL = ["[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = ["a", "man", "rides", "wave", "dog", "in", "the", "snow", "play", "cafe", "café", "A", "##s", "##ing"]


def main() -> None:
    """Writes a folder for each model."""
    pieces = [*string.ascii_letters, *string.digits, *string.punctuation, "é", "ß", "σ", "ς", "東", "京", "☃"]
    vocabulary = list(
        dict.fromkeys([*SPECIAL, *WORDS, *pieces, *(f"##{piece}" for piece in pieces if piece.isalnum())])
    )
    sizes = {"vocab_size": len(vocabulary) + 3, "max_position_embeddings": 20, "initializer_range": 0.5}
    bert = {"hidden_size": 12, "num_attention_heads": 3, "num_hidden_layers": 3, "intermediate_size": 20, **sizes}
    distilbert = {"dim": 12, "n_heads": 2, "n_layers": 2, "hidden_dim": 28, **sizes}
    write("uncased", transformers.BertModel(transformers.BertConfig(**bert)), vocabulary, lower_case=True)
    cased = transformers.BertConfig(**bert, hidden_act="gelu_new", layer_norm_eps=1e-5, type_vocab_size=1)
    write("cased", transformers.BertForMaskedLM(cased).to(torch.bfloat16), vocabulary, lower_case=False)
    config = transformers.DistilBertConfig(**distilbert)
    write("distilbert", transformers.DistilBertModel(config).to(torch.float16), vocabulary, lower_case=True)


def write(name: str, model: transformers.PreTrainedModel, vocabulary: list[str], lower_case: bool) -> None:
    """Writes the model, its tokenizer, and `expected.npz`: tokens and outputs of CAPTIONS, computed in float32."""
    torch.manual_seed(0)
    for parameter in model.parameters():  # Also biases and norms, which would be zeros and ones.
        parameter.data = torch.normal(1.0 * (parameter.dim() == 1), 0.3, parameter.shape).to(parameter.dtype)
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    tokenizer = transformers.BertTokenizer(
        vocab={token: i for i, token in enumerate(vocabulary)}, do_lower_case=lower_case
    )
    tokenizer.save_pretrained(folder)
    if name == "distilbert":  # As older models are stored.
        (folder / "tokenizer.json").unlink()
        (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in vocabulary), encoding="utf-8")
    model.save_pretrained(folder)
    model = model.float().eval()
    encoder = getattr(model, "bert", model)
    inputs = tokenizer(list(CAPTIONS), padding="max_length", truncation=True, max_length=LENGTH, return_tensors="pt")
    if name == "distilbert":
        del inputs["token_type_ids"]
    with torch.no_grad():
        outputs = encoder(**inputs, output_hidden_states=True)
    pooled = outputs.get("pooler_output", outputs.last_hidden_state[:, 0])
    arrays = {
        "word_ids": inputs["input_ids"],
        "mask": inputs["attention_mask"],
        "blocks": torch.stack(outputs.hidden_states[1:]),  # [blocks, captions, LENGTH, width]
        "pooled": pooled,
    }
    arrays = {key: value.numpy() for key, value in arrays.items()}
    np.savez_compressed(folder / "expected.npz", captions=np.array(CAPTIONS), **arrays)


if __name__ == "__main__":
    main()
