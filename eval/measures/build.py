"""Builds the measures that a config asks for, and loads their networks."""

from __future__ import annotations

import functools

import numpy as np

from eval.measures import alignment, quality
from eval.measures.alignment import Alignment
from eval.measures.measure import Measure
from eval.measures.objects import Objects
from eval.measures.quality import Quality
from eval.networks.detector import Detector, load_detector
from eval.networks.inception import load_image_network
from eval.networks.label_maps import load_label_map
from eval.objects import soa_captions
from eval.objects.soa_classes import COCO_CLASSES, SCENE_CLASSES, classes_named
from eval.retrieval.dual_encoder import load_dual_encoder
from eval.scenes import scene_evaluators
from xmcgan import handles
from xmcgan.config import Config
from xmcgan.config_checks import metric_names
from xmcgan.models import hub_files

# For a detector's label map: the classes that captions may name, and the suffix of the scores' names. The suffix is
# empty for scenes: their captions come from a grammar whose nouns are all listed, so SOA is not an approximation there.
_CLASSES = {"scenes": (SCENE_CLASSES, "")}


def check_paths(config: Config, flag_prefix: str = "--config.evaluation.") -> None:
    """Checks, before any work begins, that the folders and files are there which `build_measures` will load.

    Args:
      config: the config of the experiment.
      flag_prefix: see `build_measures`.

    Raises:
      FileNotFoundError, ValueError: one is not; the message names its flag.
    """
    options = config.evaluation
    metrics = metric_names(options.metrics)
    folders = {}
    if any(name in metrics for name in quality.METRICS) and options.network != "keras":  # Keras has files of its own.
        folders["network_weights"] = options.network_weights
    if "r_precision" in metrics:
        folders["dual_encoder"] = options.dual_encoder
    if "soa" in metrics:
        folders["detector"] = options.detector
        load_label_map(options.detector_labels, flag=f"{flag_prefix}detector_labels")
        if options.soa_captions:
            soa_captions.find_lists(options.soa_captions)
    for name, handle in folders.items():
        if handle and not handles.is_prepared(handle):
            hub_files.check(handle, f"{flag_prefix}{name}")


def prepare_networks(config: Config, data_dir: str) -> None:
    """On first use, trains the networks for scenes that `build_measures` will load; takes a minute each on 2 cores.

    Call it outside any strategy's scope: the networks are not trained with that strategy.

    Args:
      config: the config of the experiment.
      data_dir: folder of all records.
    """
    options = config.evaluation
    metrics = metric_names(options.metrics)
    needed = []
    if any(name in metrics for name in quality.METRICS):
        needed.append(options.network_weights)
    if "r_precision" in metrics:
        needed.append(options.dual_encoder)
    if "soa" in metrics:
        needed.append(options.detector)
    for handle in dict.fromkeys(needed):  # The scene recognizer is both the image network and the detector.
        scene_evaluators.prepare(handle, data_dir)


def build_measures(config: Config, data_dir: str, flag_prefix: str = "--config.evaluation.") -> list[Measure]:
    """Loads the networks, and makes the measures for `config.evaluation.metrics` on the list's captions.

    Call it inside the scope of the strategy that runs the measures, and after `prepare_networks`.

    Args:
      config: the config of the experiment.
      data_dir: folder of all records.
      flag_prefix: prefix of the flags for the fields of `config.evaluation`; used in error messages.

    Returns:
      A measure for each network.

    Raises:
      FileNotFoundError: a network cannot be downloaded or is not where the config says; the message says what to
        download.
      ValueError: a network is of the wrong kind, a metric needs a network that the config does not name, or no measure
        computes a metric.
    """
    options = config.evaluation
    metrics = metric_names(options.metrics)
    measures: list[Measure] = []
    asked = [name for name in metrics if name in quality.METRICS]
    unknown = set(metrics) - {*asked, "r_precision", "soa"}
    if unknown:
        raise ValueError(f"no measure computes {', '.join(sorted(unknown))}: see METRICS in eval/measures/quality.py")
    if asked:
        weights = handles.resolve(options.network_weights, data_dir)
        network = load_image_network(options.network, weights, flag=f"{flag_prefix}network_weights")
        measures.append(
            Quality(
                network,
                quality.Options(
                    asked,
                    options.inception_score_splits,
                    options.kernel_subsets,
                    options.kernel_subset_size,
                    options.seed,
                ),
            )
        )
    if "r_precision" in metrics:
        folder = handles.resolve(options.dual_encoder, data_dir)
        if not folder:
            raise ValueError(
                "R-precision needs a dual encoder: train one with python -m eval.train_dual_encoder and pass "
                f"{flag_prefix}dual_encoder=FOLDER, or leave r_precision out of {flag_prefix}metrics"
            )
        protocol = alignment.Options(options.mismatches, options.folds, options.seed)
        measures.append(Alignment(load_dual_encoder(folder, flag=f"{flag_prefix}dual_encoder"), protocol))
    if "soa" in metrics and not options.soa_captions:
        detector = _detector(config, data_dir, flag_prefix)
        classes, label = _CLASSES.get(options.detector_labels, (COCO_CLASSES, " approx."))
        wanted = functools.partial(classes_named, classes=classes)
        how = "the list's captions, with the classes that their words name"
        measures.append(Objects(detector, classes, wanted, options.detector_threshold, how, label))
    for measure in measures:  # Results are passed on: they say which network it is, not where this machine has it.
        measure.weights = handles.name_of(measure.weights, data_dir)
    return measures


def build_official_soa(
    config: Config, data_dir: str, labels: np.ndarray, flag_prefix: str = "--config.evaluation."
) -> Measure:
    """Builds SOA as its authors define it: on the official captions, each of which names one class.

    Call it inside the scope of the strategy that runs the measure.

    Args:
      config: the config of the experiment.
      data_dir: folder of all records.
      labels: [images] int, the class of each caption, as an index into COCO_CLASSES.
      flag_prefix: see `build_measures`.

    Returns:
      The measure, for images of the official captions in their order.

    Raises:
      FileNotFoundError, ValueError: see `build_measures`.
    """
    wanted = np.eye(len(COCO_CLASSES), dtype=bool)[labels]  # [images, classes]
    detector = _detector(config, data_dir, flag_prefix)
    how = "SOA's own lists of captions, one for each class"
    return Objects(detector, COCO_CLASSES, lambda captions: wanted, config.evaluation.detector_threshold, how)


def _detector(config: Config, data_dir: str, flag_prefix: str) -> Detector:
    options = config.evaluation
    handle = handles.resolve(options.detector, data_dir)
    if not handle:
        raise ValueError(
            f"SOA needs an object detector: pass {flag_prefix}detector=HANDLE (or FOLDER), or leave soa out of "
            f"{flag_prefix}metrics"
        )
    return load_detector(
        handle,
        options.detector_labels,
        flag=f"{flag_prefix}detector",
        labels_flag=f"{flag_prefix}detector_labels",
    )
