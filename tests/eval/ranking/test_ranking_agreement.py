import numpy as np
import pytest
import scipy.stats

from eval.ranking.agreement import kendalls_w, krippendorffs_alpha


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
