"""Tests the benchmarks of training step and generation at the smallest size; the measured times do not matter."""

from __future__ import annotations

import json

import numpy as np
import pytest

from data_pipelines.datasets import preset
from experiments.benchmarks import network_cases, network_times, op_times
from experiments.benchmarks.op_times import Event
from tests.support.tiny_networks import tiny_config
from xmcgan.training.state import TrainState

_WITHOUT_IMAGE_ENCODER = {"losses.generator_image_encoder": 0.0, "losses.generator_perceptual": 0.0}
_SMALL = ("--gemm_size=64", "--rounds=2", "--dataset=scenes", "--config.data.image_size=64")


def test_the_command_line_overrides_a_case():
    config = network_cases.configure(preset("coco2014"), (), "128px_ch32", dtype="bfloat16", update_rule="joint")
    assert (config.data.image_size, config.generator.channels, config.discriminator.channels) == (128, 32, 32)
    assert (config.training.batch_size, config.training.precision) == (8, "bfloat16")
    assert config.training.update_rule == "joint"
    assert config.losses.generator_image_encoder == 0.0
    assert network_cases.name_of(config) == "128px_ch32"

    config = preset("coco2014")
    config.generator.channels, config.training.batch_size = 64, 16
    overridden = {"generator.channels", "training.batch_size"}
    config = network_cases.configure(config, overridden, "256px_ch96")
    assert (config.generator.channels, config.discriminator.channels, config.training.batch_size) == (64, 96, 16)
    assert network_cases.name_of(config) == "256px_ch64_96"
    with pytest.raises(ValueError, match=r"generator_image_encoder needs the image encoder.*: leave it out"):
        network_cases.configure(preset("coco2014"), {"losses.generator_image_encoder"}, "128px_ch32")


@pytest.mark.slow
def test_an_iteration_is_the_whole_rule():
    config = tiny_config(**_WITHOUT_IMAGE_ENCODER, **{"training.update_rule": "algorithm1", "training.batch_size": 2})
    state = TrainState(config)
    before = [
        [variable.numpy() for variable in network.trainable_variables]
        for network in (state.generator, state.ema_generator, state.discriminator)
    ]
    measured = network_times.measure(
        network_times.training_iteration(config, state), images=config.training.batch_size, rounds=2, gemm_size=16
    )
    assert int(state.step) == int(state.generator_optimizer.iterations) == 3  # Two rounds, and one that is not counted.
    assert int(state.discriminator_optimizer.iterations) == 3 * config.training.discriminator_steps
    for network, old in zip((state.generator, state.ema_generator, state.discriminator), before):
        assert all(np.any(variable != was) for variable, was in zip(network.trainable_variables, old))
    assert len(measured["rounds_seconds_per_image"]) == 2
    assert measured["gemm_equivalent_gflop_per_image"] == pytest.approx(
        measured["seconds_per_image"] * measured["gemm_gflops"]
    )


def test_concurrent_operations_share_the_time():
    events = [
        Event("g/a/Conv2D", "Conv2D", 0.0, 4.0),
        Event("gradient_tape/g/a/Conv2D/Conv2DBackpropFilter", "Conv2DBackpropFilter", 2.0, 3.0),
        Event("loop", "While", 0.0, 10.0),  # Its inner operations are counted instead.
        Event("g/a/Conv2D", "Conv2D", 6.0, 7.0),
        Event("g/b/Relu", "Relu", 6.0, 10.0),
    ]
    measured = op_times.break_down(events)
    assert measured.wall == pytest.approx(10.0) and measured.busy == pytest.approx(8.0)
    assert {kind: (pytest.approx(share.seconds), share.calls) for kind, share in measured.kinds.items()} == {
        "convolution, forward": (4.0, 2),
        "elementwise": (3.5, 1),
        "convolution, gradient of kernel": (0.5, 1),
    }
    assert next(iter(measured.operations)) == "Conv2D g/a/Conv2D"
    with pytest.raises(ValueError, match="the trace has no operations: profile a function that"):
        op_times.break_down([])


@pytest.mark.parametrize(
    ("name", "op_type", "kind"),
    [
        ("generator/block/conv_1/BiasAdd", "_FusedConv2D", "convolution, forward"),
        ("generator/block/conv_0/conv2d_transpose", "Conv2DBackpropInput", "convolution, forward"),
        ("gradient_tape/generator/block/conv_0/Conv2D", "_MklNativeConv2D", "convolution, gradient of input"),
        ("discriminator/region_block_0/conv_1/MatMul_2", "MatMul", "spectral normalization"),
        ("generator/block/modulation_0/gamma/MatMul", "_MklMatMul", "matrix product"),
        ("gradient_tape/MatMul_3", "BatchMatMulV2", "matrix product, gradient"),
        ("Adam_1/Pow_3", "Pow", "optimizer"),
        ("gradient_tape/generator/to_rgb/BiasAdd/BiasAddGrad", "BiasAddGrad", "reduction, gradient"),
        ("generator/transpose", "Transpose", "copying"),
        ("generator/Softmax", "Softmax", "reduction"),
        ("a", "Bucketize", "other"),
    ],
)
def test_kinds(name, op_type, kind):
    assert op_times.kind_of(name, op_type) == kind


@pytest.mark.slow
def test_the_commands(command, tmp_path):
    channels = ["--config.generator.channels=2", "--config.discriminator.channels=1"]
    training = command(
        "experiments.benchmarks.train_step", *_SMALL, *channels, "--batch_size=2", f"--profile={tmp_path}"
    )
    drawing = command("experiments.benchmarks.generate", *_SMALL, *channels)
    for process, batch_size in ((training, 2), (drawing, 4)):
        output, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
        measured = json.loads(output.splitlines()[-1])
        assert (measured["case"], measured["batch_size"], measured["dtype"]) == ("64px_ch2_1", batch_size, "float32")
        assert measured["seconds_per_image"] > 0 and measured["peak_rss_mb"] > 100
        assert ("convolution, gradient of kernel" in output) == (process is training)
    assert list(tmp_path.glob("plugins/profile/*/*.xplane.pb"))


def test_a_wrong_case(command):
    process = command("experiments.benchmarks.generate", "--case=512px_ch96")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2 and "should be one of <256px_ch96|128px_ch96|128px_ch32>" in errors
