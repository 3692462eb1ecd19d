"""Evaluates the checkpoints of a training run, and points to the best of them."""

from __future__ import annotations

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
from xmcgan.config import Config
from xmcgan.files import locked
from xmcgan.models.text_encoder import TextEncoder
from xmcgan.text_to_image import TextToImage
from xmcgan.training import checkpoints
from xmcgan.training.state import build_generator


class RunEvaluation:
    """Evaluations of a run, in `<workdir>/eval/<step>.json`, on TensorBoard, and the best checkpoint by FID."""

    def __init__(self, workdir: str, evaluation: Evaluation):
        """Names the run.

        Args:
          workdir: the run's folder.
          evaluation: of the run's config, with what is to be measured.
        """
        self._workdir, self._evaluation = workdir, evaluation

    def __call__(self, checkpoint: str, model: TextToImage, with_curve: bool = False) -> Result:
        """Evaluates a checkpoint, unless that has been done by the same protocol.

        Args:
          checkpoint: its path.
          model: of the run, made inside the strategy's scope; it gets the checkpoint's averaged weights.
          with_curve: whether to draw FID's dependence on the number of images, into `<step>_curve.png`.

        Returns:
          The result.
        """
        step = checkpoints.step_of(checkpoint)
        path = os.path.join(self._workdir, "eval", f"{step}.json")
        # Training goes on meanwhile, and may remove its older checkpoints; or it comes to evaluate the same one itself.
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
        """The result in a file if it is there, of the same protocol, and has the curve if there is to be one."""
        if not os.path.exists(path):
            return None
        found = results.read(path)
        same = found.protocol == self._evaluation.protocol
        return found if same and ("curve" in found.details or not with_curve) else None


def keep_if_best(workdir: str, checkpoint: str, result: Result) -> bool:
    """Keeps a checkpoint as the run's best one, if no other had a lower FID by the same protocol (Appendix A).

    Args:
      workdir: the run's folder.
      checkpoint: its path.
      result: of its evaluation.

    Returns:
      Whether it is the best now.
    """
    distances = [each for each in result.scores if each.name.startswith(("FID/", "FD/")) and each.better == LOWER]
    if not distances:
        return False
    score = distances[0]
    best = checkpoints.read_best(workdir)
    if best is not None:
        if best["protocol"] != result.fingerprint:
            logging.log_first_n(
                logging.INFO,
                "the best checkpoint, of step %d, was chosen by another protocol and stays: remove "
                "%s/checkpoints/best to choose again",
                1,
                best["step"],
                workdir,
            )
            return False
        if best["value"] <= score.value:
            return False
    note = {"metric": score.name, "value": score.value, "protocol": result.fingerprint}
    kept = checkpoints.keep_best(workdir, checkpoint, note)
    logging.info(
        "best so far: step %d, %s %.4g; kept as %s", checkpoints.step_of(checkpoint), score.name, score.value, kept
    )
    return True


def follow(workdir: str, last_step: int, timeout: float) -> Iterator[str]:
    """The checkpoints of a run as they come, until its last one.

    Where training is faster than this goes on, only the newest is given.

    Args:
      workdir: the run's folder.
      last_step: of the run.
      timeout: seconds without a new checkpoint after which to stop.

    Yields:
      Their paths.
    """
    given, since = None, time.monotonic()
    while time.monotonic() - since <= timeout:
        path = checkpoints.newest(workdir)
        if path in (None, given):
            time.sleep(min(1.0, timeout))
            continue
        yield path
        if checkpoints.step_of(path) >= last_step:
            return
        given, since = path, time.monotonic()
    logging.info("no new checkpoint of %s for %.0f s: not waiting any longer", workdir, timeout)


def evaluator(
    config: Config, data_dir: str, workdir: str, strategy: tf.distribute.Strategy, text_encoder: TextEncoder
) -> Callable[[str], Result]:
    """Makes what evaluates a run's checkpoints while it trains, see `xmcgan.training.loop.train`.

    Args:
      config: the run's.
      data_dir: folder of all records.
      workdir: the run's folder.
      strategy: whose replicas train and evaluate.
      text_encoder: of captions, made inside the strategy's scope.

    Returns:
      A function of a checkpoint's path.
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
