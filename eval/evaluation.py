"""The metrics of section 5.2, of any images of a list of captions."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

from data_pipelines import input_pipeline
from data_pipelines.input_pipeline import CaptionList
from eval import image_folder, protocol
from eval.collection import Collection, collect
from eval.image_folder import ImageFolder
from eval.measures.build import build_measures, build_official_soa, prepare_networks
from eval.measures.measure import Measure
from eval.measures.quality import Quality
from eval.metrics import curves, frechet
from eval.objects import soa_captions
from eval.references import references
from eval.results import Result
from eval.sources import GeneratedImages, RealImages, Source
from xmcgan.config import Config
from xmcgan.config_checks import metric_names
from xmcgan.models.generator import Generator
from xmcgan.models.text_encoder import TextEncoder

SPLIT = "validation"


class Evaluation:
    """A config's metrics, its list of captions and what is kept of their real images, for any number of models.

    The list is the same for every model: `evaluation.num_samples` captions of the validation split, drawn by
    `evaluation.seed` and oversampled where the split has fewer images (section 5.2).

    Attributes:
      listed: the captions of the list, and the ids of their images.
      protocol: how all images are measured, as JSON values.
    """

    def __init__(
        self,
        config: Config,
        data_dir: str,
        strategy: tf.distribute.Strategy,
        flag_prefix: str = "--config.evaluation.",
    ):
        """Loads all networks, and looks at the real images unless that has been done before.

        Args:
          config: the experiment.
          data_dir: folder of all records.
          strategy: whose replicas do the work.
          flag_prefix: before the names of `config.evaluation`'s fields, as the user passes them: named by the errors.

        Raises:
          FileNotFoundError: the dataset has not been converted, or a network is missing; tells what to do.
          ValueError: a network is of another kind than the config says.
        """
        self._config, self._strategy = config, strategy
        options = config.evaluation
        self.listed = input_pipeline.evaluation_captions(
            config.dataset, SPLIT, data_dir, num_captions=options.num_samples, seed=options.seed
        )
        captions_identity = protocol.of_captions(config.dataset, SPLIT, options.seed, self.listed)
        prepare_networks(config, data_dir)
        with strategy.scope():
            self._measures = build_measures(config, data_dir, flag_prefix)
        self._jobs, self._official = None, None
        if "soa" in metric_names(options.metrics) and options.soa_captions:
            lists = soa_captions.load_caption_lists(options.soa_captions)
            missing = soa_captions.missing_labels(lists)
            if missing:
                logging.warning("%s lacks SOA's captions of %s", options.soa_captions, ", ".join(missing))
            self._jobs = soa_captions.drawing_jobs(lists, seed=options.seed)
            with strategy.scope():
                self._official = build_official_soa(config, data_dir, self._jobs.labels, flag_prefix)
        for measure in self._measures:
            measure.prepare(self.listed)
        real = RealImages(
            config.dataset,
            SPLIT,
            data_dir,
            image_size=config.data.image_size,
            num_captions=options.num_samples,
            seed=options.seed,
        )
        self._references = references(
            self._measures,
            real,
            self.listed,
            dataset=config.dataset,
            data_dir=data_dir,
            captions_identity=captions_identity,
            strategy=strategy,
            batch_size=options.batch_size,
        )
        self.protocol = {
            "captions": captions_identity,
            "noise": f"z of picture i from seed {options.seed} and i",
            "real pictures": real.identity,
            "measures": protocol.of_measures(self._measures),
        }
        if self._official:
            self.protocol["SOA"] = {
                "captions": protocol.fingerprint(self._jobs.captions),
                "pictures": len(self._jobs.captions),
                **self._official.identity,
            }

    def of_generator(
        self,
        generator: Generator,
        text_encoder: TextEncoder,
        pictures: dict[str, Any],
        folder: str,
        curve_path: str | None = None,
    ) -> Result:
        """Measures what a generator draws of the list's captions.

        Args:
          generator: with averaged weights; made inside the strategy's scope.
          text_encoder: that it was trained with; made inside the strategy's scope.
          images: tells which generator this is, such as {'run': 'demo', 'step': 5200}.
          folder: for what has been seen so far: a killed evaluation goes on from there. Removed at the end.
          curve_path: where to draw FID's dependence on the number of images (PNG); None: nowhere.

        Returns:
          The result.
        """
        draw = functools.partial(GeneratedImages, generator, text_encoder, self._config.generator.noise_dim)
        captions = self.listed.captions
        seeds = (self._config.evaluation.seed << 32) + np.arange(len(captions))
        of_list = draw(captions, seeds, pictures)
        if self._official is None:
            return self.of_source(of_list, self.listed, pictures, folder, curve_path)
        jobs = self._jobs  # The longer part: first, and kept until all is done, in case this is killed on the way.
        seen = self._collect(draw(jobs.captions, jobs.seeds, pictures), [self._official], f"{folder}.soa", "SOA")
        result = self.of_source(of_list, self.listed, pictures, folder, curve_path)
        listed = CaptionList(jobs.captions, [str(number) for number in range(len(jobs.captions))])
        reference = self._official.refer(seen, listed)
        details = {**result.details, **self._official.details(seen, listed, reference)}
        seen.remove()
        return result._replace(scores=result.scores + reference.scores, details=details)

    def of_folder(self, folder: str, captions: str = "", curve_path: str | None = None) -> Result:
        """Measures anyone's images.

        Args:
          folder: of the images.
          captions: see `image_folder.read`.
          curve_path: see `of_generator`.

        Returns:
          The result.

        Raises:
          FileNotFoundError, ValueError: see `image_folder.read`; or SOA's own captions were asked for.
        """
        if self._official:
            raise ValueError("SOA's own captions are to be drawn by a run: leave out --soa_captions with --images")
        needs_captions = any(measure.needs_captions for measure in self._measures)
        files, listed = image_folder.read(folder, captions, needs_captions)
        pictures = {"folder": os.path.basename(os.path.abspath(folder)), "files": protocol.of_files(files)}
        source = ImageFolder(files, image_size=self._config.data.image_size, identity=pictures)
        aside = os.path.join(folder, "eval", "incomplete")
        result = self.of_source(source, listed, pictures, aside, curve_path)
        own = {"sha256": protocol.fingerprint(listed._asdict()), "num_samples": len(listed.captions)}
        return result._replace(protocol={**self.protocol, "captions of the pictures": own})

    def of_source(
        self,
        source: Source,
        listed: CaptionList,
        pictures: dict[str, Any],
        folder: str,
        curve_path: str | None = None,
    ) -> Result:
        """Measures the images of any source.

        Args:
          source: of the images.
          listed: their captions and the ids of the captions' originals, in the same order.
          images: tells which images these are.
          folder: see `of_generator`.
          curve_path: see `of_generator`.

        Returns:
          The result.
        """
        if not self._measures:
            return Result([], [], pictures, self.protocol, {})
        start = time.perf_counter()
        for measure in self._measures:
            measure.prepare(listed)
        seen = self._collect(source, self._measures, folder, "pictures")
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
        names = {each.name for each in scores}
        real = [each for reference in self._references for each in reference.scores if each.name in names]
        details["weights"] = {measure.title: measure.weights for measure in self._measures}
        details["seconds"] = {"all": time.perf_counter() - start, "forward": seen.forward_seconds}
        return Result(scores, real, pictures, self.protocol, details)

    def _collect(self, source: Source, measures: Sequence[Measure], folder: str, title: str) -> Collection:
        return collect(
            source,
            measures,
            folder,
            strategy=self._strategy,
            batch_size=self._config.evaluation.batch_size,
            identity={"source": source.identity, "measures": protocol.of_measures(measures), **self.protocol},
            title=title,
        )
