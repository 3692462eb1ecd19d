from collections import Counter

import numpy as np
import pytest

from eval.ranking import design

MODELS = ["a", "b", "c", "d"]


def test_every_caption_has_a_page_with_every_model():
    pages = design.comparisons("realism", 50, MODELS, "secret")
    assert sorted(page.row for page in pages) == list(range(50))
    assert all(sorted(page.models) == MODELS for page in pages)
    assert len({page.token for page in pages}) == 50


@pytest.mark.parametrize("models", [MODELS[:2], MODELS[:3], MODELS])
def test_places_are_balanced(models):
    pages = design.comparisons("realism", 60, models, "secret")
    counts = Counter((model, place) for page in pages for place, model in enumerate(page.models))
    assert set(counts.values()) == {60 // len(models)}
    # Also within the first pages, however few are answered.
    for stop in range(1, 60):
        counts = Counter((model, place) for page in pages[:stop] for place, model in enumerate(page.models))
        values = [counts[model, place] for model in models for place in range(len(models))]
        assert max(values) - min(values) <= 2


def test_all_orders_occur():
    pages = design.comparisons("realism", 2400, MODELS, "secret")
    counts = Counter(page.models for page in pages)
    assert len(counts) == 24
    # A sixth of the Latin squares holds each order: 100 +- 9.
    assert min(counts.values()) > 60 and max(counts.values()) < 140


def test_questions_and_secrets_differ():
    first, other_question, other_secret = (
        design.comparisons(question, 40, MODELS, secret)
        for question, secret in [("realism", "s"), ("alignment", "s"), ("realism", "t")]
    )
    assert first == design.comparisons("realism", 40, MODELS, "s")
    by_row = {page.row: page.models for page in first}
    for other in (other_question, other_secret):
        assert not {page.token for page in first} & {page.token for page in other}
        assert [page.row for page in first] != [page.row for page in other]
        assert sum(by_row[page.row] == page.models for page in other) < 10  # 1.7 by chance.


def test_names_reveal_nothing():
    names = [(design.image_name("secret", row, model), model) for row in range(500) for model in MODELS]
    assert len({name for name, _ in names}) == len(names)
    order = [model for _, model in sorted(names)]
    for model in MODELS:  # Mean place of 500 of 2,000: 999.5 +- 22.4.
        assert abs(np.mean([place for place, other in enumerate(order) if other == model]) - 999.5) < 4 * 22.4
