"""R-precision: which captions may serve as mismatches, and what counts as found."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from eval.metrics import r_precision


def _normalized(caption: str) -> str:
    return " ".join(caption.lower().split())


def _messy_list() -> tuple[list[int], list[str]]:
    """Captions like those of an oversampled list: several of an image, some twice, some shared by images."""
    generator = np.random.default_rng(0)
    subjects = [f"a {colour} {thing}" for colour in ("red", "green", "blue") for thing in ("cat", "dog", "bus", "kite")]
    image_ids = generator.integers(0, 25, size=150).tolist()
    captions = [str(generator.choice(subjects)) + (" outside" if generator.random() < 0.5 else "") for _ in image_ids]
    spoilt = [
        caption.upper() if i % 3 == 0 else f" {caption.replace(' ', '  ')}\n" for i, caption in enumerate(captions)
    ]
    return image_ids, [spoilt[i] if i % 2 else captions[i] for i in range(150)]


def test_no_mismatch_is_true_of_the_image():
    image_ids, captions = _messy_list()
    texts = [_normalized(caption) for caption in captions]
    mismatches = r_precision.draw_mismatches(image_ids, captions, num=9, seed=0)
    assert mismatches.shape == (150, 9) and mismatches.dtype == np.int64
    for own, row in enumerate(mismatches):
        true = {text for image_id, text in zip(image_ids, texts) if image_id == image_ids[own]}
        drawn = [texts[index] for index in row]
        assert not true & set(drawn)
        assert image_ids[own] not in {image_ids[index] for index in row}
        assert len(set(drawn)) == 9


def test_the_seed_decides_the_draws():
    image_ids, captions = _messy_list()
    first = r_precision.draw_mismatches(image_ids, captions, num=9, seed=0)
    assert np.array_equal(first, r_precision.draw_mismatches(image_ids, captions, num=9, seed=0))
    assert not np.array_equal(first, r_precision.draw_mismatches(image_ids, captions, num=9, seed=1))
    by_name = r_precision.draw_mismatches([f"{i:06}.jpg" for i in image_ids], captions, num=9, seed=0)
    assert np.array_equal(first, by_name)


def test_all_possible_mismatches_can_be_drawn():
    captions = [f"caption {i}" for i in range(100)]
    mismatches = r_precision.draw_mismatches(range(100), captions, num=99, seed=0)
    for own, row in enumerate(mismatches):
        assert sorted({own, *row}) == list(range(100))


def test_every_mismatch_is_as_likely():
    captions = ["first", "second", "Second ", *(f"caption {i}" for i in range(38))]  # 40 different ones.
    image_ids = [0, 0, *range(1, 40)]
    counts = np.zeros(41)
    for seed in range(400):
        counts += np.bincount(r_precision.draw_mismatches(image_ids, captions, num=19, seed=seed)[5], minlength=41)
    # Caption 5 has 39 possible mismatches and draws 19: a caption that is listed twice counts once.
    assert counts[5] == 0 and counts[1] + counts[2] < 300
    frequency = np.delete(counts, [2, 5]) / 400
    expected = 19 / 39
    assert np.abs(frequency - expected).max() < 4.5 * np.sqrt(expected * (1 - expected) / 400)


def test_too_few_possible_mismatches():
    # Two images share a caption; image 0 has three more than image 1, and so fewer left.
    captions = [*(f"caption {i}" for i in range(10)), "A  cat ", "a cat", "a dog", "a bus", "a kite"]
    image_ids = [*range(2, 12), 1, 0, 0, 0, 0]
    assert r_precision.draw_mismatches(image_ids, captions, num=10, seed=0).shape == (15, 10)
    message = "the caption 'a cat' has 10 possible mismatches among 15 captions, and 11 are wanted: lower --mismatches"
    with pytest.raises(ValueError, match=message):
        r_precision.draw_mismatches(image_ids, captions, num=11, seed=0)
    with pytest.raises(ValueError, match="has 0 possible mismatches among 3 captions"):
        r_precision.draw_mismatches([7, 7, 7], ["one", "two", "three"], num=1, seed=0)
    with pytest.raises(ValueError, match="2 image ids for 3 captions"):
        r_precision.draw_mismatches([1, 2], ["one", "two", "three"], num=1, seed=0)
    with pytest.raises(ValueError, match="0 mismatches"):
        r_precision.draw_mismatches([1, 2], ["one", "two"], num=0, seed=0)


def _embeddings(count: int, dim: int = 16, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)


def _mismatches(count: int, num: int) -> np.ndarray:
    return r_precision.draw_mismatches(range(count), [str(i) for i in range(count)], num=num, seed=0)


def test_perfect_embeddings_find_every_caption():
    captions = _embeddings(500)
    lengths = np.random.default_rng(1).uniform(0.1, 10, size=(500, 1))  # Cosines do not depend on lengths.
    estimate = r_precision.r_precision(lengths * captions, captions, _mismatches(500, 99), folds=10)
    assert estimate == (1.0, 0.0)


def test_random_embeddings_find_one_in_a_hundred():
    count = 4000
    estimate = r_precision.r_precision(_embeddings(count), _embeddings(count, seed=1), _mismatches(count, 99), folds=10)
    low, high = stats.binom.interval(0.99, count, 0.01)
    assert low <= round(estimate.mean * count) <= high
    # The deviation of such a rare event between folds of 400.
    assert 0.5 < estimate.deviation / np.sqrt(0.01 * 0.99 / 400) < 1.6


def test_opposite_embeddings_find_no_caption():
    captions = _embeddings(200)
    assert r_precision.r_precision(-captions, captions, _mismatches(200, 50), folds=2) == (0.0, 0.0)


@pytest.mark.parametrize("numbers_at_once", [1, 1000, 10**6])
def test_against_a_loop(monkeypatch, numbers_at_once):
    monkeypatch.setattr(r_precision, "_NUMBERS_AT_ONCE", numbers_at_once)
    captions = _embeddings(70)
    images = captions + 1.5 * _embeddings(70, seed=1)
    mismatches = _mismatches(70, 12)

    def cosine(x, y):
        return np.dot(x, y) / np.linalg.norm(x) / np.linalg.norm(y)

    expected = [
        all(cosine(images[i], captions[i]) > cosine(images[i], captions[j]) for j in mismatches[i]) for i in range(70)
    ]
    assert 5 < sum(expected) < 65
    found = r_precision.finds_caption(images, captions, mismatches)
    assert found.tolist() == expected


def test_ties_count_against():
    images, same = _embeddings(300, 77), np.repeat(_embeddings(1, 77, seed=1), 300, axis=0)
    # Rounding errors of an encoder, which differ between batches, must not break ties.
    same *= 1 + 1e-7 * np.random.default_rng(2).choice([-1, 1], size=same.shape).astype(np.float32)
    assert r_precision.r_precision(images, same, _mismatches(300, 1), folds=3) == (0.0, 0.0)


def test_one_tie_is_enough():
    captions = np.eye(4)
    captions[3] = captions[0]
    mismatches = np.array([[1, 3], [0, 2], [0, 1], [1, 2]])
    found = r_precision.finds_caption(captions, captions, mismatches)
    assert found.tolist() == [False, True, True, True]


def test_folds():
    captions = np.eye(7)
    images = np.eye(7)
    images[[2, 3]] = images[[3, 2]]
    mismatches = (np.arange(7)[:, np.newaxis] + [1, 6]) % 7
    # In folds of 3, 2 and 2 images, 2, 1 and 2 are found.
    estimate = r_precision.r_precision(images, captions, mismatches, folds=3)
    np.testing.assert_allclose(estimate.mean, (2 / 3 + 1 / 2 + 1) / 3)
    np.testing.assert_allclose(estimate.deviation, np.std([2 / 3, 1 / 2, 1]))
    one = r_precision.r_precision(images, captions, mismatches, folds=1)
    np.testing.assert_allclose(one.mean, 5 / 7)
    assert one.deviation is None


def test_invalid_arguments_are_refused():
    embeddings, mismatches = _embeddings(10), _mismatches(10, 3)

    def measure(images=embeddings, captions=embeddings, mismatches=mismatches, folds=2):
        return r_precision.r_precision(images, captions, mismatches, folds=folds)

    assert measure().mean == 1
    damaged = embeddings.copy()
    damaged[4, 2] = np.nan
    with pytest.raises(ValueError, match="1 of 10 image embeddings are not finite"):
        measure(images=damaged)
    with pytest.raises(ValueError, match="1 of 10 caption embeddings are not finite"):
        measure(captions=damaged)
    with pytest.raises(ValueError, match="10 of 10 caption embeddings are all zeros"):
        measure(captions=0 * embeddings)
    for wrong in ({"images": embeddings[:9]}, {"mismatches": mismatches[:9]}, {"mismatches": mismatches[:, :0]}):
        with pytest.raises(ValueError, match="do not belong together"):
            measure(**wrong)
    for index in (-1, 10):
        with pytest.raises(ValueError, match=r"mismatches from -?\d to \d+ of 10 captions"):
            measure(mismatches=np.where(mismatches == 5, index, mismatches))
    for folds in (0, 11):
        with pytest.raises(ValueError, match=f"{folds} folds of 10 images"):
            measure(folds=folds)
