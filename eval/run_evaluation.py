"""Evaluates the checkpoints of a training run, and keeps the best one."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from typing import Callable

import tensorflow as tf
from absl import logging

from eval import protocol, results
from eval.evaluation import Evaluation
from eval.results import Result
from eval.score import LOWER
from xmcgan import files
from xmcgan.config import Config
from xmcgan.locks import locked
from xmcgan.models.text_encoder import TextEncoder
from xmcgan.text_to_image import TextToImage
from xmcgan.training import checkpoints
from xmcgan.training.state import build_generator


class RunEvaluation:
    """Evaluates checkpoints of a run.

    Writes `<workdir>/eval/<step>.json` and TensorBoard scalars, and keeps the best checkpoint by FID.
    """

    def __init__(self, workdir: str, evaluation: Evaluation):
        """Stores the run's folder and the evaluation.

        Args:
          workdir: the run's folder.
          evaluation: the evaluation for the run's config.
        """
        self._workdir, self._evaluation = workdir, evaluation

    def __call__(self, checkpoint: str, model: TextToImage, with_curve: bool = False) -> Result:
        """Evaluates a checkpoint, unless it has been evaluated by the same protocol before.

        Args:
          checkpoint: path of the checkpoint.
          model: the run's model, made inside the strategy's scope; it gets the checkpoint's averaged weights.
          with_curve: whether to plot FID against the number of images, in `<step>_curve.png`.

        Returns:
          The new result, or the existing one.
        """
        step = checkpoints.step_of(checkpoint)
        path = os.path.join(self._workdir, "eval", f"{step}.json")
        # Training may be running. It could remove this checkpoint, or start to evaluate it too.
        with checkpoints.held(self._workdir, checkpoint) as held, locked(os.path.dirname(path)):
            for done in (path, results.displaced(path, protocol.fingerprint(self._evaluation.protocol))):
                found = self._find(done, with_curve)
                if found is not None:
                    logging.info("step %d has been evaluated: %s", step, done)
                    return found
            curve_path = os.path.join(self._workdir, "eval", f"{step}_curve.png") if with_curve else None
            incomplete = os.path.join(self._workdir, "eval", f"{step}.incomplete")
            model.restore(held)
            result = self._evaluation.evaluate_model(model, incomplete, curve_path)
            results.write(path, result)
            results.summarize(self._workdir, step, result.scores)
            keep_if_best(self._workdir, held, result)
        return result

    def _find(self, path: str, with_curve: bool) -> Result | None:
        """Reads an existing result; None if it is missing, has another protocol, or lacks a curve that is wanted."""
        if not os.path.exists(path):
            return None
        found = results.read(path)
        same = found.protocol == self._evaluation.protocol
        return found if same and ("curve" in found.details or not with_curve) else None


def keep_if_best(workdir: str, checkpoint: str, result: Result) -> bool:
    """Keeps a checkpoint as the run's best one, if its FID is the lowest so far by the same protocol (Appendix A).

    Args:
      workdir: the run's folder.
      checkpoint: path of the checkpoint.
      result: the checkpoint's result.

    Returns:
      Whether it is now the best.
    """
    distances = [each for each in result.scores if each.name.startswith(("FID/", "FD/")) and each.better == LOWER]
    if not distances:
        return False
    score = distances[0]
    best = checkpoints.read_best(workdir)
    if best is not None:
        if best.get("protocol") != result.fingerprint:
            logging.log_first_n(
                logging.INFO,
                "the best checkpoint (step %d) was chosen by another protocol and is kept: remove "
                "%s/checkpoints/best to choose again",
                1,
                checkpoints.step_of(best["checkpoint"]),
                workdir,
            )
            return False
        if best.get("value", math.inf) <= score.value:
            return False
    note = {"metric": score.name, "value": score.value, "protocol": result.fingerprint}
    kept = checkpoints.keep_best(workdir, checkpoint, note)
    logging.info(
        "best so far: step %d, %s %.4g; kept as %s", checkpoints.step_of(checkpoint), score.name, score.value, kept
    )
    return True


def newest_alike(workdir: str, result: Result) -> tuple[int, Result] | None:
    """Returns the kept result of a run's newest step among those that were measured in the same way as another result.

    Args:
      workdir: the run's folder.
      result: to compare with.

    Returns:
      The step and the result; None if there is none.
    """
    found = [results.read(os.fspath(path)) for path in files.matching(os.path.join(workdir, "eval"), "*.json")]
    alike = [(each.images.get("step", 0), each) for each in found if each.fingerprint == result.fingerprint]
    return max(alike, key=lambda pair: pair[0], default=None)


def kept(workdir: str, which: str) -> Iterator[str]:
    """Yields checkpoints of a run that may be training meanwhile.

    Args:
      workdir: the run's folder.
      which: 'all', or see `checkpoints.find`.

    Yields:
      Paths of checkpoints; those that the run has removed in the meantime are left out, with a warning.
    """
    paths = checkpoints.find_all(workdir) if which == "all" else []
    for path in paths or [checkpoints.find(workdir, "latest" if which == "all" else which)]:
        if os.path.exists(f"{path}.index"):
            yield path
        else:
            logging.warning("%s is no more, since its run has removed it meanwhile: left out", path)


def follow(workdir: str, last_step: int, timeout: float) -> Iterator[str]:
    """Yields the checkpoints of a run as they are written, until the last one.

    If several appear between two iterations, only the newest is yielded.

    Args:
      workdir: the run's folder.
      last_step: the run's last step.
      timeout: seconds to wait for a new checkpoint before stopping.

    Yields:
      Paths of checkpoints.
    """
    given, since, told = None, time.monotonic(), False
    while time.monotonic() - since <= timeout:
        path = checkpoints.newest(workdir)
        if path is None or path == given:
            if not told:
                logging.info("waiting for the next checkpoint of %s, for at most %.0f s", workdir, timeout)
            told = True
            time.sleep(min(1.0, timeout))
            continue
        yield path
        if checkpoints.step_of(path) >= last_step:
            return
        given, since, told = path, time.monotonic(), False
    logging.info("no new checkpoint of %s for %.0f s: not waiting any longer", workdir, timeout)


def evaluator(
    config: Config, data_dir: str, workdir: str, strategy: tf.distribute.Strategy, text_encoder: TextEncoder
) -> Callable[[str], Result]:
    """Makes the function that evaluates a run's checkpoints during training, see `xmcgan.training.loop.train`.

    Args:
      config: the run's config.
      data_dir: folder of all records.
      workdir: the run's folder.
      strategy: its replicas train and evaluate.
      text_encoder: the text encoder, made inside the strategy's scope.

    Returns:
      A function that takes a checkpoint's path and returns its result.
    """
    evaluate_checkpoint = RunEvaluation(workdir, Evaluation.prepare(config, data_dir, strategy))
    with strategy.scope():
        model = TextToImage.from_networks(build_generator(config), text_encoder, config, workdir)

    def evaluate(checkpoint: str) -> Result:
        result = evaluate_checkpoint(checkpoint, model)
        lines = results.table([(f"step {checkpoints.step_of(checkpoint)}", result)])
        logging.info("evaluation\n%s", lines)
        return result

    return evaluate
