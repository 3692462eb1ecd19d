import pytest

from data_pipelines import datasets
from data_pipelines.datasets import NAMES, preset
from xmcgan.serving.model_card import Facts, model_card


def _facts(**changes):
    facts = Facts(
        "coco", 3, 12_000, "float32", True, [], {}, {"generator": 384_100_000}, dataset="photographs", example="a bus"
    )
    return facts._replace(**changes)


@pytest.mark.parametrize("dataset", NAMES)
def test_what_every_card_says(dataset):
    config = preset(dataset)
    known = datasets.get(dataset)
    card = model_card(config, _facts(dataset=known.description, example=known.example))
    assert f"Trained on {known.description}." in card and f'model(["{known.example}"], seed=7)' in card
    assert card.startswith("# coco, version 3\n")
    assert f"{config.data.image_size} x {config.data.image_size} pixels" in card
    assert f"The averaged generator after 12,000 steps with batches of {config.training.batch_size}." in card
    assert "| generator | 384.1 |" in card and "batch statistics folded" in card
    assert f"Words after the first {config.data.text_length - 2} tokens" in card
    assert "| `attention` |" in card
    assert "{" not in card.replace("config.json", "")  # Nothing was left to fill in.


def test_scores_of_an_evaluation():
    protocol = {"captions": {"num_samples": 30_000, "dataset": "coco2014", "split": "validation"}}
    card = model_card(preset("coco2014"), _facts(scores=[("FID/tfgan", "9.33")], protocol=protocol))
    assert "30,000 captions of coco2014, validation split." in card
    assert "| FID/tfgan | 9.33 |" in card
    assert "Not measured" not in card


def test_a_generator_without_attention():
    config = preset("coco2014")
    config.generator.modulation = "self"
    card = model_card(config, _facts(folded=False))
    assert "`attention`" not in card and "folded" not in card
