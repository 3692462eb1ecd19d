import numpy as np
import pytest

from eval.metrics.spread import share_within_groups, within_groups


def test_it_is_the_pooled_variance():
    values = np.random.default_rng(0).normal(size=[4, 5, 3])
    expected = np.mean([np.cov(group.T).trace() for group in values])
    assert within_groups(values) == pytest.approx(expected)
    assert within_groups(values + 10.0) == pytest.approx(expected)
    assert within_groups(2.0 * values) == pytest.approx(4.0 * expected)


def test_groups_of_different_sizes_are_weighted_by_their_degrees_of_freedom():
    values = np.random.default_rng(1).normal(size=[3, 4, 2])
    counts = np.array([[True] * 4, [True, False, True, False], [False, True, False, False]])
    squares = [np.cov(group[kept].T).trace() * (kept.sum() - 1) for group, kept in zip(values[:2], counts)]
    assert within_groups(values, counts) == pytest.approx(sum(squares) / (3 + 1))
    values[2] = 1e6  # One vector has no variance.
    assert within_groups(values, counts) == pytest.approx(sum(squares) / (3 + 1))


def test_without_pairs_it_is_unknown():
    assert np.isnan(within_groups(np.ones([3, 1, 2])))
    assert np.isnan(within_groups(np.ones([2, 2, 2]), np.zeros([2, 2], bool)))


@pytest.mark.parametrize("between, within", [(0.0, 1.0), (3.0, 0.5), (1.0, 0.0)])
def test_the_share_is_that_of_the_variances(between, within):
    rng = np.random.default_rng(2)
    values = between * rng.normal(size=[4000, 1, 1]) + within * rng.normal(size=[4000, 4, 1])
    expected = within**2 / (within**2 + between**2)
    assert share_within_groups(values) == pytest.approx(expected, abs=0.02)


def test_a_model_that_draws_one_image_has_no_spread():
    assert share_within_groups(np.ones([3, 2, 4])) == 0.0
