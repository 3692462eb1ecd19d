"""Lowers an iteration to StableHLO, in a form that JAX runs on a machine without TensorFlow.

TensorFlow's XLA bridge lowers the iteration to HLO. JAX wraps it as an exported function, whose format JAX promises to
read for years. Nothing in it depends on a device: XLA compiles it where it runs.
"""

from __future__ import annotations

from typing import Any, Callable, NamedTuple

import jax
import numpy as np
import tensorflow as tf
from jax import export
from jax.extend.core import Primitive
from jax.interpreters import mlir
from jax.lib import xla_client

from xmcgan.config import Config
from xmcgan.models.text_encoder import TOKEN_FEATURES, TextEncoder
from xmcgan.training import random_numbers
from xmcgan.training.batch_step import step_on_batches
from xmcgan.training.state import TrainState, decay_at, set_learning_rates, update_average

_NAME = "tensorflow_iteration"


class LoweredIteration(NamedTuple):
    """An iteration as a function of inputs, state and constants."""

    serialized: bytes  # Of `jax.export`
    # What the function takes after the inputs: {"state": number of the variable} or {"constant": name}.
    arguments: list[dict[str, Any]]
    constants: dict[str, np.ndarray]  # Such as the weights of the text encoder
    metrics: list[str]  # Names of the first outputs; the others are the new state


def variables(state: TrainState) -> list[tf.Variable]:
    """Lists the variables of a run in a fixed order: all that its checkpoints hold, but for the count of saves."""
    optimizers = (state.generator_optimizer, state.discriminator_optimizer)
    owners = (state.generator, state.ema_generator, state.discriminator, *optimizers)
    listed = [state.step, *(variable for owner in owners for variable in owner.variables)]
    return [*listed, *(optimizer.learning_rate for optimizer in optimizers)]


def lower(
    config: Config, state: TrainState, text_encoder: TextEncoder, image_encoder: Callable | None = None
) -> LoweredIteration:
    """Lowers an iteration of Algorithm 1, with its averages and its counter, on one device.

    Args:
      config: the experiment.
      state: the state to train; its values do not matter.
      text_encoder: encodes the captions.
      image_encoder: see `TrainingStep`.

    Returns:
      The iteration. Its inputs are, for each batch, the entries of {'image': [batch, size, size, 3] uint8, tokens:
      [batch, text_length] int32} in the order of their names, and then the numbers of `random_numbers.draws`.
    """
    options = config.training
    compiled = config.with_fields({"training.xla": True})  # The losses then have static shapes, as XLA needs.
    train_step = step_on_batches(compiled, state, text_encoder, image_encoder)
    trained = variables(state)

    @tf.function(autograph=False, jit_compile=True)
    def iterate(batches: list[dict[str, tf.Tensor]], numbers: list[tf.Tensor]) -> tuple[dict, list[tf.Tensor]]:
        if options.learning_rate_decay_steps:
            set_learning_rates(config, state)
        metrics = train_step(batches, random_numbers.grouped(config, numbers))
        step = state.step.read_value()
        decay = decay_at(step, options.ema_decay) if options.ema_warmup else options.ema_decay
        update_average(state.ema_generator, state.generator, decay)
        state.step.assign(step + 1)
        return metrics, [variable.read_value() for variable in trained]

    size, length = config.data.image_size, config.data.text_length
    tokens = {name: tf.zeros([options.batch_size, length], tf.int32) for name in TOKEN_FEATURES}
    batch = {"image": tf.zeros([options.batch_size, size, size, 3], tf.uint8), **tokens}
    inputs = ([batch] * options.batches_per_iteration, [tf.zeros(draw.shape) for draw in random_numbers.draws(config)])
    traced = iterate.get_concrete_function(*inputs)
    hlo = iterate.experimental_get_compiler_ir(*inputs)(stage="hlo_serialized", device_name="/device:CPU:0")
    arguments, constants = _captured(traced, trained)
    metrics, _ = traced.structured_outputs
    names = sorted(metrics)  # As TensorFlow flattens a dict.
    return LoweredIteration(_exported(hlo, len(names) + len(trained)), arguments, constants, names)


def _captured(
    traced: tf.types.experimental.ConcreteFunction, trained: list[tf.Variable]
) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
    """Returns what each captured input of a function is, in order, and the values of those that are not trained."""
    numbers = {id(variable.handle): number for number, variable in enumerate(trained)}
    frozen = {id(variable.handle): variable for variable in traced.variables}
    arguments: list[dict[str, Any]] = []
    constants: dict[str, np.ndarray] = {}
    for captured in traced.captured_inputs:
        if id(captured) in numbers:
            arguments.append({"state": numbers[id(captured)]})
        else:
            name = f"{len(constants):05d}"
            constants[name] = frozen.get(id(captured), captured).numpy()
            arguments.append({"constant": name})
    return arguments, constants


def _exported(hlo: bytes, num_outputs: int) -> bytes:
    """Serializes HLO as a function that JAX can call; it returns the first outputs.

    TensorFlow's HLO also returns every variable that it has updated. These are left out: the caller asks for those that
    it wants.
    """
    computation = xla_client.XlaComputation(hlo)
    shapes = computation.program_shape()
    outputs = shapes.result_shape().tuple_shapes()[:num_outputs]
    primitive = Primitive(_NAME)
    primitive.multiple_results = True
    primitive.def_abstract_eval(
        lambda *_: [jax.core.ShapedArray(shape.dimensions(), shape.numpy_dtype()) for shape in outputs]
    )

    def lowering(context: mlir.LoweringRuleContext, *arguments: mlir.ir.Value) -> list[mlir.ir.Value]:
        module = mlir.xla_computation_to_mlir_module(computation)
        entry: Any = mlir.ir.SymbolTable(module.operation)["main"]
        symbols = context.module_context.symbol_table
        name = mlir.merge_mlir_modules(context.module_context.module, _NAME, module, dst_symtab=symbols)
        call = mlir.func_dialect.CallOp(entry.type.results, mlir.ir.FlatSymbolRefAttr.get(name), arguments)
        int32 = mlir.ir.IntegerType.get_signless(32)
        return [mlir.hlo.get_tuple_element(call, mlir.ir.IntegerAttr.get(int32, index)) for index in range(num_outputs)]

    mlir.register_lowering(primitive, lowering)
    parameters = [jax.ShapeDtypeStruct(shape.dimensions(), shape.numpy_dtype()) for shape in shapes.parameter_shapes()]
    with jax.experimental.enable_x64():  # For the 64-bit counters of steps.
        exported = export.export(
            jax.jit(lambda *arguments: primitive.bind(*arguments), keep_unused=True),
            disabled_checks=[export.DisabledSafetyCheck.platform()],  # Lowered here, and compiled for another device.
        )(*parameters)
    return bytes(exported.serialize())
