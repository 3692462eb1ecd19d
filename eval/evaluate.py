"""Measures images by FID, KID, IS, R-precision and SOA (section 5.2 of the paper).

  python -m eval.evaluate --workdir=runs/demo
  python -m eval.evaluate --workdir=runs/coco2014 --metrics=fid,is,r_precision,soa --dual_encoder=FOLDER
  python -m eval.evaluate --workdir=runs/coco2014 --checkpoint=all --metrics=fid
  python -m eval.evaluate --workdir=runs/coco2014 --follow
  python -m eval.evaluate --workdir=runs/demo --beside=pretrained:scenes
  python -m eval.evaluate --export=exports/coco --dataset=coco2014
  python -m eval.evaluate --images=FOLDER --captions=captions.tsv --dataset=coco2014

The captions are drawn from the validation split with --seed, so every model gets the same list. Results go to a JSON
file together with the whole protocol. An interrupted evaluation resumes when the same command is run again.

  --workdir  evaluates a training run, with the averaged weights of its generator. Results go to
             <workdir>/eval/<step>.json and to TensorBoard; the best checkpoint by FID is kept as
             <workdir>/checkpoints/best.
  --export   evaluates an export of xmcgan.export. Results go to the folder `eval` beside its versions.
  --images   evaluates a folder of images. Results go to FOLDER/eval. The captions are in a table of lines
             'file<TAB>caption'; without it only FID, KID and IS can be computed.

Flags that are not given keep the values of the run's config, or with --export and --images those of the dataset's
config.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable

from absl import app, flags

from data_pipelines import datasets
from data_pipelines.datasets import preset
from xmcgan import command_line, config_checks, path_flags
from xmcgan.config import GEOMETRIES, Config, EvaluationConfig
from xmcgan.files import check_writable
from xmcgan.home_folder import expand_home
from xmcgan.locks import locked

_WORKDIR = command_line.define_workdir("Folder of the training run to evaluate.", optional=True)
_DATA_DIR = command_line.define_data_dir()
_CHECKPOINT = flags.DEFINE_string(
    "checkpoint", "latest", "Checkpoint of the run: 'latest', 'best', 'all' that are kept, or a step."
)
_FOLLOW = flags.DEFINE_bool("follow", False, "Evaluate new checkpoints as they are written, until the run's last step.")
_FOLLOW_TIMEOUT = flags.DEFINE_float(
    "follow_timeout",
    24 * 3600.0,
    "With --follow: seconds to wait for a new checkpoint before stopping.",
    lower_bound=0.0,
)
_BESIDE = path_flags.define_paths(
    "beside",
    "With --workdir: also show this run, or 'pretrained:NAME': its kept result if it was measured in the same way, "
    "otherwise its newest checkpoint is measured too.",
)
_FID_CURVE = flags.DEFINE_bool(
    "fid_curve", False, "Also plot FID against the number of images, with its limit, beside the result."
)
_EXPORT = path_flags.define_path("export", None, "Folder of an export, or of one version of it, to evaluate.")
_IMAGES = path_flags.define_path("images", None, "Folder of images to evaluate.")
_CAPTIONS = path_flags.define_path("captions", "", "Table of the images' captions. [<images>/captions.tsv]")
_DATASET = command_line.define_dataset(
    datasets, "With --export and --images: the dataset to compare with.", optional=True
)

_GEOMETRY = flags.DEFINE_enum(
    "geometry",
    None,
    GEOMETRIES,
    "With --export and --images: as --config.data.geometry of the runs to compare with. [that of the export]",
)


def _define_options() -> dict[str, flags.FlagHolder]:
    """Defines a flag for each field of `config.evaluation`; None means the value in the config."""
    define: dict[type, Callable[..., flags.FlagHolder]] = {
        int: flags.DEFINE_integer,
        float: flags.DEFINE_float,
        str: flags.DEFINE_string,
    }
    return {
        field.name: define[type(field.default)](field.name, None, field.metadata["setting"].help)
        for field in dataclasses.fields(EvaluationConfig)
        if field.name != "every"
    }


_OPTIONS = _define_options()
# Flags that belong to some of the commands only.
_BELONGS_TO = {
    "checkpoint": ("workdir",),
    "follow": ("workdir",),
    "beside": ("workdir",),
    "captions": ("images",),
    "dataset": ("export", "images"),
    "geometry": ("export", "images"),
}


def main(argv: list[str]) -> None:
    """Evaluates a run, an export or a folder."""
    del argv
    commands = [(_WORKDIR, _evaluate_run), (_EXPORT, _evaluate_export), (_IMAGES, _evaluate_folder)]
    given = [(evaluate, flag.value) for flag, evaluate in commands if flag.value]
    if len(given) != 1:
        raise app.UsageError("name what to evaluate: --workdir=RUN, or --export or --images=FOLDER with --dataset")
    evaluate, where = given[0]
    for name, owners in _BELONGS_TO.items():
        if flags.FLAGS[name].present and not any(flags.FLAGS[owner].value for owner in owners):
            raise app.UsageError(f"--{name} belongs to {' and '.join(f'--{owner}' for owner in owners)}: leave it out")
    evaluate(where)


def _evaluate_run(workdir: str) -> None:
    from absl import logging

    from data_pipelines import input_pipeline
    from eval import results, run_evaluation
    from eval.evaluation import Evaluation
    from xmcgan import handles
    from xmcgan.models.text_encoder import load_text_encoder
    from xmcgan.text_to_image import TextToImage
    from xmcgan.training import checkpoints, cluster
    from xmcgan.training.state import build_generator
    from xmcgan.training.workdir import read_config

    data_dir = _DATA_DIR.value
    if workdir.startswith(handles.PRETRAINED):
        raise app.UsageError(
            f"{workdir} is a model of this package, not a run to write results to: show it beside one, with "
            f"--beside={workdir}, or evaluate its export"
        )
    config = _with_options(read_config(workdir))
    check_writable(os.path.join(workdir, "eval"))
    others = {run: handles.resolve_run(run) for run in _BESIDE.value}
    for run, folder in others.items():
        size = read_config(folder).data.image_size
        if size != config.data.image_size:
            raise app.UsageError(f"--beside={run} has images of {size} px, not {config.data.image_size}: leave it out")
    paths: Iterable[str]
    if _FOLLOW.value:
        last_step = config.training.steps(input_pipeline.num_examples(config.dataset, "train", data_dir))
        paths = run_evaluation.follow(workdir, last_step, _FOLLOW_TIMEOUT.value)
    else:
        which = "latest" if _CHECKPOINT.value == "all" else _CHECKPOINT.value
        checkpoints.find(workdir, which)  # If there is none, this is the time to say so.
        paths = run_evaluation.kept(workdir, _CHECKPOINT.value)

    strategy = cluster.create_strategy()
    with strategy.scope():
        text_encoder = load_text_encoder(config, data_dir)
        model = TextToImage.from_networks(build_generator(config), text_encoder, config, workdir)
    evaluation = Evaluation.prepare(config, data_dir, strategy, flag_prefix="--")
    evaluate_checkpoint = run_evaluation.RunEvaluation(workdir, evaluation)
    rows = []
    for path in paths:
        result = evaluate_checkpoint(path, model, _FID_CURVE.value)
        rows.append((f"step {checkpoints.step_of(path)}", result))
        if _FOLLOW.value:
            logging.info("evaluation\n%s", results.table(rows[-1:]))
    if rows:
        for run, folder in others.items():
            kept = run_evaluation.newest_alike(folder, rows[-1][1])
            if kept is None:
                with strategy.scope():
                    other = TextToImage.from_run(run, data_dir)
                result = evaluation.evaluate_model(other, os.path.join(workdir, "eval", "beside.incomplete"))
                kept = other.identity["step"], result
            rows.append((f"{run}, step {kept[0]}", kept[1]))
        print(results.table(rows))
        print(f"protocol and details: {os.path.join(workdir, 'eval')}")


def _evaluate_export(path: str) -> None:
    from eval import results
    from eval.evaluation import Evaluation
    from xmcgan.serving.versions import find_version
    from xmcgan.text_to_image import TextToImage
    from xmcgan.training import cluster

    config, folder = _dataset_config(), find_version(path)
    check_writable(os.path.join(os.path.dirname(os.path.abspath(folder)), "eval"))
    strategy = cluster.create_strategy()
    with strategy.scope():
        model = TextToImage.from_export(folder)
    config.data.image_size = model.image_size
    config.data.geometry = _GEOMETRY.value or model.geometry or config.data.geometry
    evaluation = Evaluation.prepare(config, _DATA_DIR.value, strategy, flag_prefix="--")
    versions, version = os.path.split(os.path.abspath(folder))
    stem = os.path.join(versions, "eval", version)
    curve_path = f"{stem}_curve.png" if _FID_CURVE.value else None
    with locked(os.path.dirname(stem)):
        result = evaluation.evaluate_model(model, f"{stem}.incomplete", curve_path)
        results.write(f"{stem}.json", result)
    print(results.table([(model.name, result)]))
    print(f"protocol and details: {stem}.json")


def _evaluate_folder(folder: str) -> None:
    from eval import image_folder, results
    from eval.evaluation import Evaluation
    from eval.measures import quality
    from xmcgan.training import cluster

    config, outputs = _dataset_config(), os.path.join(folder, "eval")
    needs_captions = not set(config_checks.metric_names(config.evaluation.metrics)) <= set(quality.METRICS)
    images = image_folder.read(folder, _CAPTIONS.value, needs_captions)
    check_writable(outputs)
    changes = image_folder.check(images.files)  # Before networks are loaded and real images are measured.
    curve_path = os.path.join(outputs, "curve.png") if _FID_CURVE.value else None
    evaluation = Evaluation.prepare(config, _DATA_DIR.value, cluster.create_strategy(), flag_prefix="--")
    path = os.path.join(outputs, "result.json")
    with locked(outputs):
        result = evaluation.evaluate_folder(images, changes, curve_path)
        results.write(path, result)
    print(results.table([(os.path.basename(os.path.abspath(folder)), result)]))
    print(images.summary())
    if changes:
        print("changed: " + ", ".join(f"{count:,} {change}" for change, count in changes.items()))
    print(f"protocol and details: {path}")


def _dataset_config() -> Config:
    """Returns the preset config of --dataset, changed by the given flags."""
    if not _DATASET.value:
        flag = "--export" if _EXPORT.value else "--images"
        raise app.UsageError(f"{flag} needs --dataset: the dataset whose real images to compare with")
    config = preset(_DATASET.value, data_dir=_DATA_DIR.value)
    config.data.geometry = _GEOMETRY.value or config.data.geometry
    return _with_options(config)


def _with_options(config: Config) -> Config:
    """Returns the config, changed by the given flags."""
    given = {name: flag.value for name, flag in _OPTIONS.items() if flag.value is not None}
    try:
        paths = {name: expand_home(value) for name, value in given.items() if isinstance(value, str)}
        config.evaluation = dataclasses.replace(config.evaluation, **{**given, **paths})
        return config_checks.validate(config)
    except ValueError as error:
        raise app.UsageError(str(error).replace("config.evaluation.", "--")) from error


if __name__ == "__main__":
    command_line.run(main)
