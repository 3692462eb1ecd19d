import numpy as np
import pytest
import scipy.stats

from eval.ranking.answers import Answer
from eval.ranking.estimates import bootstrap, kendalls_w, krippendorffs_alpha, summarize
from tests.support.simulated_raters import plackett_luce

MODELS = ("ours", "b", "c", "d")
STRENGTHS = np.array([8.0, 1.0, 2.0, 1.0])


def answers_of(num_captions: int, raters: int, seed: int = 0) -> list[Answer]:
    rng = np.random.default_rng(seed)
    return [
        Answer("realism", row, str(rater), tuple(MODELS[i] for i in plackett_luce(STRENGTHS, rng)))
        for row in range(num_captions)
        for rater in range(raters)
    ]


def test_known_preferences_are_recovered():
    result = summarize(answers_of(400, 5), "realism", MODELS, 400)
    first = STRENGTHS / STRENGTHS.sum()
    np.testing.assert_allclose(result.shares.value[:, 0], first, atol=0.03)
    before = STRENGTHS[:, None] / (STRENGTHS[:, None] + STRENGTHS)
    others = ~np.eye(4, dtype=bool)
    np.testing.assert_allclose(result.wins.value[others], before[others], atol=0.04)
    np.testing.assert_allclose(result.mean_rank.value, 1 + np.where(others, before, 0).sum(axis=0), atol=0.08)
    for low, value, high in (
        (result.shares.low, result.shares.value, result.shares.high),
        (result.wins.low[others], result.wins.value[others], result.wins.high[others]),
    ):
        assert np.all(low <= value) and np.all(value <= high)
    np.testing.assert_allclose(result.shares.value.sum(axis=1), 1)
    np.testing.assert_allclose(result.shares.value.sum(axis=0), 1)
    assert (result.num_answers, result.num_captions, result.num_raters) == (2000, 400, 5)
    assert result.answers_per_caption == {5: 400}


def test_intervals_contain_the_truth_as_often_as_claimed():
    truth = STRENGTHS[0] / STRENGTHS.sum()
    hits = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        first = rng.binomial(1, truth, size=60)
        interval = bootstrap(first, np.ones(60, int), seed)
        hits += interval.low <= truth <= interval.high
    assert hits >= 33  # 38 +- 1.4


def test_raters_of_one_caption_are_not_independent():
    """Five raters who agree are worth as much as one. If they counted as independent, the interval would be halved."""
    one = answers_of(200, 1)
    five = [answer._replace(rater=str(rater)) for answer in one for rater in range(5)]
    of_one, of_five = (summarize(given, "realism", MODELS, 200).shares for given in (one, five))
    for a, b in zip(of_one, of_five):
        np.testing.assert_allclose(a, b)
    share = of_one.value[0, 0]
    width = 2 * 1.96 * np.sqrt(share * (1 - share) / 200)
    assert of_one.high[0, 0] - of_one.low[0, 0] == pytest.approx(width, rel=0.1)


def test_raters_of_one_mind():
    given = [Answer("realism", row, str(rater), MODELS) for row in range(6) for rater in range(3)]
    result = summarize(given, "realism", MODELS, 8)
    for array in result.shares:
        np.testing.assert_array_equal(array, np.eye(4))
    np.testing.assert_array_equal(result.mean_rank.value, [1, 2, 3, 4])
    assert result.kendalls_w == result.alpha == 1
    assert result.answers_per_caption == {0: 2, 3: 6}


def test_unequal_numbers_of_answers():
    """Every answer has the same weight, whatever its caption."""
    reverse = MODELS[::-1]
    given = [Answer("alignment", 0, str(rater), MODELS) for rater in range(3)]
    given += [Answer("alignment", 1, "0", reverse), Answer("realism", 1, "0", MODELS)]
    result = summarize(given, "alignment", MODELS, 2)
    np.testing.assert_allclose(result.shares.value[0], [0.75, 0, 0, 0.25])
    assert result.answers_per_caption == {1: 1, 3: 1}
    assert result.kendalls_w == 1  # For the only caption with two or more answers.


def test_a_question_without_answers():
    with pytest.raises(ValueError, match="no answer to the question of realism counts"):
        summarize([Answer("alignment", 0, "0", MODELS)], "realism", MODELS, 1)


def random_ranks(raters: int, items: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.array([rng.permutation(items) + 1 for _ in range(raters)])


def test_w_of_perfect_and_opposite_raters():
    order = np.array([3, 1, 4, 2])
    assert kendalls_w(np.tile(order, (5, 1))) == 1
    assert kendalls_w(np.stack([order, 5 - order])) == 0


@pytest.mark.parametrize("raters, items", [(3, 3), (5, 4), (20, 4), (7, 6)])
def test_w_is_friedmans_statistic_and_the_mean_correlation(raters, items):
    ranks = random_ranks(raters, items, seed=raters)
    w = kendalls_w(ranks)
    assert w == pytest.approx(scipy.stats.friedmanchisquare(*ranks.T).statistic / (raters * (items - 1)))
    pairs = [(i, j) for i in range(raters) for j in range(i)]
    correlation = np.mean([scipy.stats.spearmanr(ranks[i], ranks[j]).statistic for i, j in pairs])
    assert (raters * w - 1) / (raters - 1) == pytest.approx(correlation)


def test_w_of_chance():
    values = [kendalls_w(random_ranks(5, 4, seed)) for seed in range(2000)]
    assert np.mean(values) == pytest.approx(1 / 5, abs=0.01)


def test_alpha_of_krippendorffs_example():
    """The data of 'Computing Krippendorff's alpha-reliability' (2011), part D, whose ordinal alpha is 0.815."""
    observers = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
        [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
    ]
    counts = np.array([[unit.count(value) for value in range(1, 6)] for unit in zip(*observers)])
    assert krippendorffs_alpha(counts) == pytest.approx(0.815, abs=5e-4)


def test_alpha_of_agreement_and_chance():
    assert krippendorffs_alpha(np.array([[5, 0, 0], [0, 5, 0], [0, 0, 5]])) == 1
    rng = np.random.default_rng(0)
    assert krippendorffs_alpha(rng.multinomial(5, [0.25] * 4, size=4000)) == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("counts", [[[0, 0]], [[1, 0], [0, 1]], [[3, 0], [2, 0]]])
def test_alpha_of_nothing_to_compare(counts):
    assert np.isnan(krippendorffs_alpha(np.array(counts)))
