"""Measures images by FID, KID, IS, R-precision and SOA (section 5.2 of the paper).

  python -m eval.evaluate --workdir=runs/demo
  python -m eval.evaluate --workdir=runs/coco2014 --metrics=fid,is,r_precision,soa --dual_encoder=FOLDER
  python -m eval.evaluate --workdir=runs/coco2014 --checkpoint=all --metrics=fid
  python -m eval.evaluate --workdir=runs/coco2014 --follow
  python -m eval.evaluate --dataset=coco2014 --images=FOLDER --captions=captions.tsv

A run's averaged generator draws the captions of the validation split that --seed draws: the same list for every model.
Results go to <workdir>/eval/<step>.json with the whole protocol, and to TensorBoard; the best checkpoint by FID is kept
as <workdir>/checkpoints/best. A killed evaluation goes on where it stopped when the same command is given again. Of
anyone's images (--images), a table of lines 'file<TAB>caption' tells the captions, without which FID, KID and IS can
be had; the result goes to FOLDER/eval.
Flags that are not given keep the values of the run's config (or of the dataset's).
"""

from __future__ import annotations

import dataclasses
import os

from absl import app, flags

from data_pipelines import datasets
from data_pipelines.datasets import preset
from xmcgan import command_line
from xmcgan.config import Config, EvaluationConfig

_WORKDIR = command_line.define_workdir("Folder of the training run to evaluate.", optional=True)
_DATA_DIR = command_line.define_data_dir()
_CHECKPOINT = flags.DEFINE_string(
    "checkpoint", "latest", "Of the run: 'latest', 'best', 'all' that are kept, or a step."
)
_FOLLOW = flags.DEFINE_bool("follow", False, "Evaluate new checkpoints as they come, until the run's last step.")
_FOLLOW_TIMEOUT = flags.DEFINE_float(
    "follow_timeout", 24 * 3600.0, "Seconds without a new checkpoint after which --follow ends.", lower_bound=0.0
)
_FID_CURVE = flags.DEFINE_bool(
    "fid_curve", False, "Also draw how FID depends on the number of pictures, with its limit, beside the result."
)
_IMAGES = flags.DEFINE_string("images", None, "Folder of pictures to evaluate in the place of a run.")
_CAPTIONS = flags.DEFINE_string("captions", "", "Table of the pictures' captions. [<images>/captions.tsv]")
_DATASET = command_line.define_dataset(
    datasets, "With --images: the dataset that they are held against.", optional=True
)


def _define_options() -> dict[str, flags.FlagHolder]:
    """A flag for each field of `config.evaluation`, with its comment as help; None: as in the config."""
    define = {int: flags.DEFINE_integer, float: flags.DEFINE_float, str: flags.DEFINE_string}
    return {
        field.name: define[type(field.default)](field.name, None, field.metadata["setting"].help)
        for field in dataclasses.fields(EvaluationConfig)
        if field.name != "every"
    }


_OPTIONS = _define_options()


def main(argv: list[str]) -> None:
    del argv
    if bool(_WORKDIR.value) == bool(_IMAGES.value):
        raise app.UsageError("give what to evaluate: --workdir=RUN, or --images=FOLDER with --dataset")
    if _IMAGES.value:
        _evaluate_folder()
    else:
        _evaluate_run()


def _evaluate_run() -> None:
    from absl import logging

    from data_pipelines import input_pipeline
    from eval import results, run_evaluation
    from xmcgan.synthesis import load_text_encoder
    from xmcgan.training import checkpoints, cluster
    from xmcgan.training.state import build_generator
    from xmcgan.training.workdir import read_config

    workdir, data_dir = _WORKDIR.value, _DATA_DIR.value
    config = _with_options(read_config(workdir))
    if _FOLLOW.value:
        last_step = config.training.steps(input_pipeline.num_examples(config.dataset, "train", data_dir))
        paths = run_evaluation.follow(workdir, last_step, _FOLLOW_TIMEOUT.value)
    elif _CHECKPOINT.value == "all":
        paths = checkpoints.find_all(workdir) or [checkpoints.find(workdir)]
    else:
        paths = [checkpoints.find(workdir, _CHECKPOINT.value)]

    strategy = cluster.create_strategy()
    with strategy.scope():
        text_encoder = load_text_encoder(config, data_dir)
        generator = build_generator(config)
    evaluation = run_evaluation.RunEvaluation(config, data_dir, workdir, strategy, flag_prefix="--")
    columns = []
    for path in paths:
        result = evaluation(path, generator, text_encoder, _FID_CURVE.value)
        columns.append((f"step {checkpoints.step_of(path)}", result))
        if _FOLLOW.value:
            logging.info("evaluation\n%s", results.table(columns[-1:]))
    if columns:
        print(results.table(columns))
        print(f"protocol and details: {os.path.join(workdir, 'eval')}")


def _evaluate_folder() -> None:
    from eval import results
    from eval.evaluation import Evaluation
    from xmcgan.training import cluster

    if not _DATASET.value:
        raise app.UsageError("--images needs --dataset: whose real pictures are they to be held against?")
    config = _with_options(preset(_DATASET.value))
    folder = os.path.join(_IMAGES.value, "eval")
    curve_path = os.path.join(folder, "curve.png") if _FID_CURVE.value else None
    evaluation = Evaluation(config, _DATA_DIR.value, cluster.create_strategy(), flag_prefix="--")
    result = evaluation.of_folder(_IMAGES.value, _CAPTIONS.value, curve_path)
    path = os.path.join(folder, "result.json")
    results.write(path, result)
    print(results.table([(os.path.basename(os.path.abspath(_IMAGES.value)), result)]))
    print(f"protocol and details: {path}")


def _with_options(config: Config) -> Config:
    """The config with the flags that were given."""
    from xmcgan import config_checks

    given = {name: flag.value for name, flag in _OPTIONS.items() if flag.value is not None}
    config.evaluation = dataclasses.replace(config.evaluation, **given)
    try:
        return config_checks.validate(config)
    except ValueError as error:
        raise app.UsageError(str(error).replace("config.evaluation.", "--")) from error


if __name__ == "__main__":
    command_line.run(main)
