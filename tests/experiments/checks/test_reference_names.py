"""Tests that recorded parameters and our variables correspond one to one."""

from __future__ import annotations

import pathlib

import pytest

from experiments.checks import parity, reference_names
from xmcgan.training.state import build_discriminator, build_generator

DATA = pathlib.Path(__file__).parents[2] / "data"


@pytest.fixture(scope="module")
def recorded():
    return parity.load(DATA / "model_128.npz")


@pytest.fixture(scope="module")
def models(recorded):
    inputs = {name[3:]: array for name, array in recorded.items() if name.startswith("in/")}
    config = parity.config_of(recorded, inputs)
    return {"g": build_generator(config), "d": build_discriminator(config)}


@pytest.mark.parametrize(
    "network, groups", [("g", ("params", "batch_stats")), ("d", ("params", "spectral_norm_stats"))]
)
def test_names_and_variables_match_one_to_one(recorded, models, network, groups):
    prefixes = tuple(f"{network}/{group}/" for group in groups)
    paths = [name.split("/", 2)[2] for name in recorded if name.startswith(prefixes)]
    variables = [reference_names.variable(models[network], path).ref() for path in paths]
    assert len(set(variables)) == len(variables)
    assert set(variables) == {variable.ref() for variable in models[network].variables}


@pytest.mark.parametrize("path", ["GenBlock_0/Conv_7/kernel", "Attention_0/kernel", "Conv_1/scale"])
def test_an_unknown_name_is_refused(models, path):
    with pytest.raises(ValueError, match=f"corresponds to .*{path}"):
        reference_names.variable(models["g"], path)


def test_biases_that_a_batch_norm_removes():
    assert reference_names.without_gradient("GenBlock_1/Conv_0/bias")
    assert reference_names.without_gradient("GenSpatialBlock_2/Conv_2/bias")
    # Attention uses the output of the second block before a batch norm does.
    assert not reference_names.without_gradient("GenBlock_1/Conv_1/bias")
    assert not reference_names.without_gradient("GenBlock_1/Conv_0/kernel")
