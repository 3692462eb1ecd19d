import numpy as np
import pytest
import tensorflow as tf

from tests.support.tiny_networks import build_networks, random_example, tiny_config
from xmcgan.serving.inference_weights import fold_statistics, in_precision


# A generator with attention has blocks of both kinds.
@pytest.fixture(scope="module", params=["attentional", pytest.param("self", marks=pytest.mark.slow)])
def config(request):
    return tiny_config(**{"generator.modulation": request.param, "generator.channels": 4})


@pytest.fixture(scope="module")
def trained(config):
    return _trained(config)


@pytest.fixture(scope="module")
def folded(config):
    generator = _trained(config)
    fold_statistics(generator)
    return generator


@pytest.fixture(scope="module")
def expected(trained, config):
    return _draw(trained, config)


def _trained(config, dtype="float32"):
    """A generator whose statistics and biases are not those that it was made with."""
    generator, _ = build_networks(config, random_example(config, 2, dtype=dtype))
    for i, modulation in enumerate(generator.modulations):
        mean, variance = modulation.statistics.moving_mean, modulation.statistics.moving_variance
        mean.assign(0.3 * tf.random.stateless_normal(mean.shape, [i, 0], dtype=dtype))
        variance.assign(tf.random.stateless_uniform(mean.shape, [i, 1], 0.5, 2.0, dtype=dtype))
    return generator


def _draw(generator, config, dtype="float32"):
    example = random_example(config, 3, dtype=dtype)
    return generator(example.z, example.text).image.numpy()


@pytest.mark.parametrize("upsampling", ["nearest", "bilinear"])
def test_folded_statistics_draw_the_same(config, upsampling, float64):
    config.generator.context_upsampling = upsampling
    generator = _trained(config, "float64")
    before = _draw(generator, config, "float64")
    fold_statistics(generator)
    np.testing.assert_allclose(_draw(generator, config, "float64"), before, atol=1e-13)
    # And they are gone; to fold them once is enough.
    assert not generator.non_trainable_variables
    fold_statistics(generator)
    np.testing.assert_allclose(_draw(generator, config, "float64"), before, atol=1e-13)


@pytest.mark.parametrize("precision, tolerance", [("float32", 0.0), ("bfloat16", 0.01), ("float16", 0.002)])
@pytest.mark.parametrize("fold", [True, False])
def test_sixteen_bits_draw_nearly_the_same(precision, tolerance, fold, config, trained, folded, expected):
    smaller = in_precision(folded if fold else trained, config, precision)
    drawn = _draw(smaller, config)
    assert drawn.dtype == np.float32
    assert np.mean(np.abs(drawn - expected)) <= tolerance + 1e-5
    if precision != "float32":
        kernels = [variable for variable in smaller.variables if "moving" not in variable.name]
        assert {variable.dtype.name for variable in kernels} == {precision}
        assert np.any(drawn != expected)
    assert tf.keras.mixed_precision.global_policy().name == "float32"


def test_weights_that_float16_cannot_hold(config, trained):
    kernel = trained.stem.kernel
    before = kernel.numpy()
    kernel.assign(tf.fill(kernel.shape, 1e5))
    with pytest.raises(ValueError, match=r"too large for float16: use bfloat16"):
        in_precision(trained, config, "float16")
    kernel.assign(before)
