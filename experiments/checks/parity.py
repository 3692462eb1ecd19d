"""Compares our models, losses and updates with numbers recorded from the public JAX release of XMC-GAN."""

from __future__ import annotations

import math
import os
import types
from collections.abc import Iterator, Mapping
from typing import Any, Union

import numpy as np
import tensorflow as tf

from data_pipelines.datasets import preset
from experiments.checks import reference_names
from xmcgan.config import Config
from xmcgan.models.discriminator import Discriminator
from xmcgan.models.generator import Generator
from xmcgan.models.text_encoder import TextFeatures
from xmcgan.training.state import TrainState, copy_variables, update_average
from xmcgan.training.step import Example, TrainingStep

_TOLERANCES = {"value": 1e-4, "gradient": 1e-3, "parameter": 1e-3}
# Adam moves a parameter by about the learning rate in each step, even if the gradient is only rounding error. The
# direction is then arbitrary.
_LEARNING_RATES_PER_STEP = 2.5
# A gradient this small, relative to the largest of its array, is rounding error: only its sign affects Adam's step.
_NEGLIGIBLE = 1e-6

_A_PARAMETER = "g/params/Conv_1/kernel"  # Every file with parameters has it.

_DRAWN = ".uniform"  # End of a name, see `load`.

Arrays = Mapping[str, np.ndarray]
Model = Union[Generator, Discriminator]


class Report:
    """Collects and prints comparisons, and records whether all passed."""

    def __init__(self) -> None:
        self.largest = dict.fromkeys(_TOLERANCES, 0.0)
        self.passed = True

    def compare(self, kind: str, name: str, ours, reference, scale: float = 0.0) -> None:
        """Records the largest error of an array, relative to its largest value, or to `scale` if that is given."""
        ours, reference = np.asarray(ours, np.float64), np.asarray(reference, np.float64)
        ours = ours.reshape(reference.shape)
        error = np.max(np.abs(ours - reference)) / (scale or max(np.max(np.abs(reference)), 1e-30))
        self._record(name, error, _TOLERANCES[kind], kind)
        self.largest[kind] = max(self.largest[kind], error)

    def compare_steps(self, name: str, ours: np.ndarray, reference: np.ndarray, rate: float, steps: int) -> None:
        """Records the error, in learning rates, of entries that Adam moved by rounding error alone."""
        error = np.max(np.abs(ours - reference)) / rate
        self._record(f"{name} [{ours.size} entries without gradient]", error, steps * _LEARNING_RATES_PER_STEP, "rates")

    def _record(self, name: str, error: float, tolerance: float, unit: str) -> None:
        good = bool(error < tolerance)  # False for NaN
        self.passed &= good
        print(f"{'ok  ' if good else 'FAIL'} {error:9.2e} {unit:<9} {name}")

    def print_summary(self) -> None:
        """Prints the largest error of each kind."""
        print("max " + "  ".join(f"{kind} {error:.2e}" for kind, error in self.largest.items()))


def config_of(parameters: Arrays, inputs: Arrays) -> Config:
    """Returns the `reference` preset with the sizes of recorded parameters and inputs."""
    config = preset("reference")
    word_blocks = {name.split("/")[2] for name in parameters if name.startswith("g/params/GenSpatialBlock_")}
    config.data.image_size = 16 << len(word_blocks)
    config.data.text_length = inputs["embedding"].shape[1]
    config.text.dim = inputs["embedding"].shape[2]
    config.generator.channels = parameters["g/params/Conv_1/kernel"].shape[2]
    config.generator.noise_dim = inputs["z"].shape[1]
    config.generator.condition_dim = parameters["g/params/Dense_0/kernel"].shape[1]
    config.discriminator.channels = parameters["d/params/SpectralDense_0/kernel"].shape[0] // 16
    config.losses.generator_image_encoder = 0.0
    return config


def assign(model: Model, arrays: Arrays, *prefixes: str) -> None:
    """Assigns the arrays under the prefixes to a model's variables.

    Raises:
      ValueError: an array has no variable of its shape, or a variable of the model is left without an array.
    """
    assigned = set()
    for path, array in _under(arrays, *prefixes):
        variable = reference_names.variable(model, path)
        variable.assign(array.reshape(variable.shape))
        assigned.add(variable.ref())
    missing = [variable.name for variable in model.variables if variable.ref() not in assigned]
    if missing:
        raise ValueError(f"the file has no array for {len(missing)} variables, the first being {missing[0]}")


def check_model(arrays: Arrays, report: Report) -> None:
    """Checks one forward and backward pass: outputs, states, losses and gradients."""
    inputs = _strip(arrays, "in/")
    config = config_of(arrays, inputs)
    state = TrainState(config)
    networks = _recorded(state, descend=False)
    update = TrainingStep(config, networks)
    example = _example(inputs, slice(None))

    def restore() -> None:
        assign(state.generator, arrays, "g/params/", "g/batch_stats/")
        assign(state.discriminator, arrays, "d/params/", "d/spectral_norm_stats/")

    restore()
    report.compare("value", "out/g_eval", state.generator(example.z, example.text).image, arrays["out/g_eval"])
    trained = state.generator(example.z, example.text, use_batch_statistics=True)
    state.generator.update_moving_averages(trained.statistics)
    report.compare("value", "out/g_train", trained.image, arrays["out/g_train"])
    for path, array in _under(arrays, "out/g_new/batch_stats/"):
        report.compare("value", f"out/g_new/{path}", reference_names.variable(state.generator, path), array)

    images = np.concatenate([arrays["in/image"], arrays["out/g_train"]])
    sentences = tf.concat([example.text.sentence] * 2, axis=0)
    for mode, training in (("eval", False), ("train", True)):
        output = state.discriminator(images, sentences, training=training)
        report.compare("value", f"out/d_{mode}_logits", output.logits, arrays[f"out/d_{mode}_logits"])
        real, fake = zip(*(tf.split(tensor, 2) for tensor in output))
        real, fake = type(output)(*real), type(output)(*fake)
        for_d = update.objectives.discriminator(real, fake, example.text).metrics
        for_g = update.objectives.generator(real, fake, example.text).metrics
        for name in ("loss", "acc", "entropy"):
            ours = "accuracy" if name == "acc" else name
            for theirs, value in (
                (f"real_sentence_{name}", for_d[f"sentence_{ours}"]),
                (f"real_word_{name}", for_d[f"word_{ours}"]),
                (f"fake_sentence_{name}", for_g[f"sentence_{ours}"]),
                (f"fake_word_{name}", for_g[f"word_{ours}"]),
                (f"image_contrastive_{name}", for_g[f"image_{ours}"]),
            ):
                path = f"out/d_{mode}_stat/{theirs}"
                report.compare("value", path, value, arrays[path])
    for path, array in _under(arrays, "out/d_new/spectral_norm_stats/"):
        report.compare("value", f"out/d_new/{path}", reference_names.variable(state.discriminator, path), array)

    restore()
    metrics = update.joint_step(example)
    report.compare("value", "out/hinge_d", metrics["d/hinge"], arrays["out/hinge_d"])
    report.compare("value", "out/hinge_g", metrics["g/hinge"], arrays["out/hinge_g"])
    _compare_totals(metrics, _strip(arrays, "out/total/"), "out/total/", report)
    for short, model, optimizer in (
        ("g", state.generator, networks.generator_optimizer),
        ("d", state.discriminator, networks.discriminator_optimizer),
    ):
        gradients = optimizer.gradients
        recorded = dict(_under(arrays, f"grad/{short}/"))
        overall = max(np.max(np.abs(array)) for array in recorded.values())
        for path, array in recorded.items():
            ours = gradients[reference_names.variable(model, path).ref()]
            absolute = short == "g" and reference_names.without_gradient(path)
            report.compare("gradient", f"grad/{short}/{path}", ours, array, scale=overall if absolute else 0.0)


def check_training(arrays: Arrays, start: Arrays, report: Report) -> None:
    """Checks whole iterations of the joint rule with Adam: losses, parameters, averages and states."""
    config = config_of(start, _strip(arrays, "step0/in/"))
    state = TrainState(config)
    assign(state.generator, start, "g/params/", "g/batch_stats/")
    assign(state.discriminator, start, "d/params/", "d/spectral_norm_stats/")
    copy_variables(state.ema_generator.variables, state.generator.variables)
    networks = _recorded(state, descend=True)
    update = TrainingStep(config, networks)

    def compare_parameters(prefix: str, iterations: int) -> None:
        rates = config.training.generator_learning_rate, config.training.discriminator_learning_rate
        for short, model, optimizer, rate, steps in (
            ("g", state.generator, networks.generator_optimizer, rates[0], 1),
            ("d", state.discriminator, networks.discriminator_optimizer, rates[1], 2),
        ):
            for path, array in _under(arrays, f"{prefix}{short}/params/"):
                variable = reference_names.variable(model, path)
                ours = variable.numpy().reshape(array.shape)
                negligible = optimizer.negligible[variable.ref()].reshape(array.shape)
                if short == "g" and reference_names.without_gradient(path):
                    negligible[:] = True
                if not negligible.all():
                    kept = ~negligible
                    scale = np.max(np.abs(array))
                    report.compare("parameter", f"{prefix}{short}/{path}", ours[kept], array[kept], scale)
                if negligible.any():
                    steps_taken = steps * iterations
                    full = f"{prefix}{short}/{path}"
                    report.compare_steps(full, ours[negligible], array[negligible], rate, steps_taken)
                    # Rounding chose the direction. Continue from the reference's value, or batch means would differ.
                    variable.assign(np.where(negligible, array, ours).reshape(variable.shape))

    iterations = len({name.split("/")[0] for name in arrays if name.startswith("step")})
    for k in range(iterations):
        inputs = _strip(arrays, f"step{k}/in/")
        half = len(inputs["z"]) // 2
        metrics = update([_example(inputs, slice(0, half)), _example(inputs, slice(half, None))])
        update_average(state.ema_generator, state.generator, config.training.ema_decay)
        _compare_totals(metrics, _strip(arrays, f"step{k}/metric/"), f"step{k}/metric/", report)
        compare_parameters(f"step{k}/", k + 1)
    compare_parameters("final/", iterations)
    for path, array in _under(arrays, "final/ema/"):
        ours = reference_names.variable(state.ema_generator, path)
        report.compare("parameter", f"final/ema/{path}", ours, array)
    for prefix, model in (("g/batch_stats/", state.generator), ("d/spectral_norm_stats/", state.discriminator)):
        for path, array in _under(arrays, f"final/{prefix}"):
            report.compare("value", f"final/{prefix}{path}", reference_names.variable(model, path), array)


class _Recorder:
    """Records the gradients for an optimizer, and passes them on if there is one."""

    def __init__(self, optimizer=None):
        self._optimizer = optimizer
        self.gradients: dict = {}
        self.negligible: dict = {}  # Masks of the entries whose gradient was negligible in some step

    def apply_gradients(self, gradients_and_variables, **kwargs) -> None:
        pairs = list(gradients_and_variables)
        for gradient, variable in pairs:
            self.gradients[variable.ref()] = gradient
            size = np.abs(gradient.numpy())
            before = self.negligible.get(variable.ref(), False)
            self.negligible[variable.ref()] = before | (size < _NEGLIGIBLE * np.max(size))
        if self._optimizer is not None:
            self._optimizer.apply_gradients(pairs, **kwargs)


def _recorded(state: TrainState, descend: bool) -> Any:
    """Returns a substitute for a state: its networks, with optimizers that record the gradients."""
    return types.SimpleNamespace(
        generator=state.generator,
        discriminator=state.discriminator,
        generator_optimizer=_Recorder(state.generator_optimizer if descend else None),
        discriminator_optimizer=_Recorder(state.discriminator_optimizer if descend else None),
    )


def _compare_totals(metrics: dict, totals: Arrays, prefix: str, report: Report) -> None:
    ours = {
        "d_loss": metrics["d/loss"],
        "g_loss": metrics["g/loss"],
        "c_loss_d": metrics["d/loss"] - metrics["d/hinge"],
        "c_loss_g": metrics["g/loss"] - metrics["g/hinge"],
    }
    for name, value in ours.items():
        report.compare("value", prefix + name, value, totals[name])


def _example(inputs: Arrays, rows: slice) -> Example:
    text = TextFeatures(
        sentence=tf.constant(inputs["sentence_embedding"][rows]),
        words=tf.constant(inputs["embedding"][rows]),
        lengths=tf.constant(inputs["max_len"][rows, 0], tf.int32),
    )
    return Example(tf.constant(inputs["image"][rows]), text, tf.constant(inputs["z"][rows]))


def _under(arrays: Arrays, *prefixes: str) -> Iterator[tuple[str, np.ndarray]]:
    """Yields the arrays whose names start with a prefix, each with the rest of its name."""
    for prefix in prefixes:
        for name, array in arrays.items():
            if name.startswith(prefix):
                yield name[len(prefix) :], array


def _strip(arrays: Arrays, prefix: str) -> dict[str, np.ndarray]:
    return dict(_under(arrays, prefix))


def _draw(name: str, array: np.ndarray) -> np.ndarray:
    """Returns the array of a name; draws it if the name ends so, see `load`."""
    if not name.endswith(_DRAWN):
        return array
    seed, skipped, *shape = array.tolist()
    numbers = np.random.RandomState(seed).random_sample(skipped + math.prod(shape))
    return numbers[skipped:].reshape(shape).astype(np.float32)


def load(path: str) -> dict[str, np.ndarray]:
    """Loads all arrays of an .npz file.

    The images that the recording drew are uniform noise, and would take a third of the stored files. So `NAME.uniform`
    has instead of NAME what NumPy needs to draw them again: the seed of a `RandomState`, how many numbers to pass over,
    and the shape.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: it is not an .npz file, or it is damaged.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f"no recorded numbers at {path}: give the path of an .npz file")
    try:
        with np.load(path) as archive:
            arrays = {name: archive[name] for name in archive.files}
            return {name.removesuffix(_DRAWN): _draw(name, array) for name, array in arrays.items()}
    except Exception as error:  # NumPy tells of damage by errors of many types.
        raise ValueError(f"{path} is not an .npz file, or is damaged: give one with recorded numbers") from error


def check_file(path: str, start: str = "") -> Report:
    """Checks a file of either kind; files of training iterations need `start`, the file of initial parameters."""
    arrays, report = load(path), Report()
    if "in/z" in arrays:
        check_model(arrays, report)
    elif "step0/in/z" in arrays:
        if not start and _A_PARAMETER not in arrays:
            folder, name = os.path.split(path)
            start = os.path.join(folder, name.replace("trainstep", "model"))
        parameters = load(start) if start else arrays
        if _A_PARAMETER not in parameters:
            raise ValueError(f"{start} has no parameters to start from: give a file that has them as --start=FILE.npz")
        check_training(arrays, parameters, report)
    else:
        raise ValueError(f"{path} has neither 'in/z' nor 'step0/in/z': not numbers recorded for this check")
    report.print_summary()
    return report
