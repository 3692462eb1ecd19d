"""Computes the metrics of section 5.2 for images of a list of captions."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from absl import logging

from data_pipelines import image_files, input_pipeline
from data_pipelines.input_pipeline import CaptionList
from eval import image_folder, protocol
from eval.collection import Collection, collect
from eval.image_folder import ImageFolder
from eval.measures.build import build_measures, build_official_soa, check_paths, prepare_networks
from eval.measures.measure import Measure, Reference
from eval.measures.quality import Quality
from eval.metrics import curves, frechet
from eval.objects import soa_captions
from eval.references import find_references
from eval.results import Result
from eval.sources import DatasetImages, FolderImages, GeneratedImages, Source
from xmcgan.config import Config
from xmcgan.config_checks import metric_names
from xmcgan.text_to_image import TextToImage

SPLIT = "validation"


class OfficialSoa(NamedTuple):
    """SOA as its authors define it: on the official captions, not on those of the evaluation's list."""

    measure: Measure
    jobs: soa_captions.Jobs  # The images to generate.


class Evaluation:
    """The metrics, captions and reference statistics of a config, ready to evaluate any number of models.

    All models share one list of captions: `evaluation.num_samples` captions of the validation split, drawn with
    `evaluation.seed`, and oversampled if the split has fewer images (section 5.2).

    Attributes:
      listed: the captions of the list, and the ids of their real images.
      protocol: how all images are measured, as JSON values.
    """

    def __init__(
        self,
        config: Config,
        strategy: tf.distribute.Strategy,
        listed: CaptionList,
        measures: Sequence[Measure],
        references: Sequence[Reference],
        protocol: dict[str, Any],
        official_soa: OfficialSoa | None = None,
    ):
        """Stores its parts; call `prepare` to make them.

        Args:
          config: the config of the experiment.
          strategy: its replicas share the work.
          listed: the captions of the list, and the ids of their real images.
          measures: measures on the list's captions, made inside the strategy's scope.
          references: the reference of each measure.
          protocol: how images are measured, as JSON values.
          official_soa: SOA on the official captions, if the config asks for it.
        """
        self.listed, self.protocol = listed, protocol
        self._config, self._strategy = config, strategy
        self._measures, self._references, self._official_soa = measures, references, official_soa

    @classmethod
    def prepare(
        cls,
        config: Config,
        data_dir: str,
        strategy: tf.distribute.Strategy,
        flag_prefix: str = "--config.evaluation.",
    ) -> Evaluation:
        """Loads all networks, and computes the reference statistics of the real images or reads them from a cache.

        The first call takes minutes.

        Args:
          config: the config of the experiment.
          data_dir: folder of all records.
          strategy: its replicas share the work.
          flag_prefix: prefix of the flags for the fields of `config.evaluation`; used in error messages.

        Raises:
          FileNotFoundError: the dataset has not been converted, or a network is missing; the message says what to do.
          ValueError: a network is not of the kind that the config says.
        """
        options = config.evaluation
        check_paths(config, flag_prefix)
        captions: dict[str, Any] = {"num_captions": options.num_samples, "seed": options.seed}
        listed = input_pipeline.evaluation_captions(config.dataset, SPLIT, data_dir, **captions)
        captions_identity = protocol.identify_captions(config.dataset, SPLIT, options.seed, listed)
        prepare_networks(config, data_dir)
        with strategy.scope():
            measures = build_measures(config, data_dir, flag_prefix)
            official_soa = _build_official_soa(config, data_dir, flag_prefix)
        for measure in measures:
            measure.prepare(listed)
        shape: dict[str, Any] = {"image_size": config.data.image_size, "geometry": config.data.geometry}
        real = DatasetImages(config.dataset, SPLIT, data_dir, **shape, **captions)
        references = find_references(
            measures,
            real,
            listed,
            dataset=config.dataset,
            data_dir=data_dir,
            captions_identity=captions_identity,
            strategy=strategy,
            batch_size=options.batch_size,
        )
        how = {
            "captions": captions_identity,
            "noise": f"z of picture i from seed {options.seed} and i",
            "real pictures": real.identity,
            "measures": protocol.identify_measures(measures),
        }
        if official_soa:
            how["SOA"] = {
                "captions": protocol.fingerprint(official_soa.jobs.captions),
                "pictures": len(official_soa.jobs.captions),
                **official_soa.measure.identity,
            }
        return cls(config, strategy, listed, measures, references, how, official_soa)

    def evaluate_model(self, model: TextToImage, folder: str, curve_path: str | None = None) -> Result:
        """Measures the images that a model generates for the list's captions.

        Args:
          model: made inside the strategy's scope.
          folder: folder for intermediate outputs, from which an interrupted evaluation resumes. Removed at the end.
          curve_path: PNG file for a plot of FID against the number of images; None for no plot.

        Returns:
          The scores, the protocol and the details.
        """
        captions = self.listed.captions
        seeds = (self._config.evaluation.seed << 32) + np.arange(len(captions))
        source = GeneratedImages(model, captions, seeds)
        if self._official_soa is None:
            return self.evaluate_source(source, self.listed, model.identity, folder, curve_path)
        # SOA takes longest, so it runs first. Its outputs are kept until the end, in case the evaluation is killed.
        measure, jobs = self._official_soa
        seen = self._collect(GeneratedImages(model, jobs.captions, jobs.seeds), [measure], f"{folder}.soa", "SOA")
        result = self.evaluate_source(source, self.listed, model.identity, folder, curve_path)
        listed = CaptionList(jobs.captions, [str(number) for number in range(len(jobs.captions))])
        reference = measure.refer(seen, listed)
        details = {**result.details, **measure.details(seen, listed, reference)}
        seen.remove()
        return result._replace(scores=result.scores + reference.scores, details=details)

    def evaluate_folder(
        self, images: ImageFolder, changes: Mapping[str, int] | None = None, curve_path: str | None = None
    ) -> Result:
        """Measures the images in a folder.

        Args:
          images: the images, see `image_folder.read`.
          changes: what `image_folder.check` returned, if it has been called.
          curve_path: see `evaluate_model`.

        Returns:
          The scores, the protocol and the details.

        Raises:
          ValueError: the config asks for SOA on the official captions, which need a model, or an image cannot be used.
        """
        if self._official_soa:
            raise ValueError("SOA's official captions need a model: leave out --soa_captions with --images")
        changes = image_folder.check(images.files) if changes is None else changes
        # Plain images are read as before there were rules, and their results stay comparable.
        rules = {"rules": image_files.RULES} if changes else {}
        name = os.path.basename(os.path.abspath(images.path))
        identity = {"folder": name, "files": protocol.fingerprint_files(images.files)}
        data = self._config.data
        source = FolderImages(
            images.files, image_size=data.image_size, geometry=data.geometry, identity={**identity, **rules}
        )
        incomplete = os.path.join(images.path, "eval", "incomplete")
        result = self.evaluate_source(source, images.captions, identity, incomplete, curve_path)
        own = {"sha256": protocol.fingerprint(images.captions._asdict()), "num_samples": len(images.files), **rules}
        details = {**result.details, "files": {"taken": len(images.files), "passed over": images.passed_over}}
        details["files"].update({"changed": dict(changes)} if changes else {})
        return result._replace(protocol={**self.protocol, "captions of the pictures": own}, details=details)

    def evaluate_source(
        self,
        source: Source,
        listed: CaptionList,
        images: dict[str, Any],
        folder: str,
        curve_path: str | None = None,
    ) -> Result:
        """Measures the images of any source.

        Args:
          source: the images.
          listed: their captions, and the ids of the captions' real images, in the same order.
          images: identifies the images in the result, as JSON values.
          folder: see `evaluate_model`.
          curve_path: see `evaluate_model`.

        Returns:
          The scores, the protocol and the details.
        """
        if not self._measures:
            return Result([], [], images, self.protocol, {})
        start = time.perf_counter()
        for measure in self._measures:
            measure.prepare(listed)
        seen = self._collect(source, self._measures, folder, "images")
        scores, details = [], {}
        for measure, reference in zip(self._measures, self._references):
            scores += measure.scores(seen, listed, reference)
            details.update(measure.details(seen, listed, reference))
            if curve_path and isinstance(measure, Quality):
                points = measure.curve(seen, reference)
                limit = frechet.extrapolate(points)
                curves.save_curve(curve_path, points, limit, measure.distance)
                details["curve"] = {"points": [[int(count), distance] for count, distance in points], "limit": limit}
        seen.remove()
        names = {score.name for score in scores}
        real = [score for reference in self._references for score in reference.scores if score.name in names]
        details["weights"] = {measure.title: measure.weights for measure in self._measures}
        details["seconds"] = {"all": time.perf_counter() - start, "forward": seen.forward_seconds}
        return Result(scores, real, images, self.protocol, details)

    def _collect(self, source: Source, measures: Sequence[Measure], folder: str, title: str) -> Collection:
        return collect(
            source,
            measures,
            folder,
            strategy=self._strategy,
            batch_size=self._config.evaluation.batch_size,
            identity={
                "source": source.identity,
                "measures": protocol.identify_measures(measures),
                **self.protocol,
            },
            title=title,
        )


def _build_official_soa(config: Config, data_dir: str, flag_prefix: str) -> OfficialSoa | None:
    """Prepares SOA on the official captions, if the config asks for it; call it inside the strategy's scope."""
    options = config.evaluation
    if "soa" not in metric_names(options.metrics) or not options.soa_captions:
        return None
    lists = soa_captions.load_caption_lists(options.soa_captions)
    missing = soa_captions.missing_labels(lists)
    if missing:
        logging.warning("%s has no SOA captions for %s", options.soa_captions, ", ".join(missing))
    jobs = soa_captions.drawing_jobs(lists, seed=options.seed)
    return OfficialSoa(build_official_soa(config, data_dir, jobs.labels, flag_prefix), jobs)
