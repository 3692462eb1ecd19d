import json
import re

import pytest

from data_pipelines.datasets import NAMES, PRESETS, preset
from xmcgan.config import IMAGE_SIZES, Config, flatten, settings
from xmcgan.config_checks import metric_names, validate
from xmcgan.config_json import from_json, to_json


def _changed(**changes):
    return preset("scenes").with_fields(changes)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_possible(name):
    config = preset(name)
    assert validate(config) is config
    assert preset(name) == config
    assert preset(name).training is not config.training  # A change stays in one experiment.


def test_the_papers_numbers():
    # Appendix A, section 4 and section 5.1.
    config = preset("coco2014")
    assert (config.generator.channels, config.discriminator.channels, config.data.image_size) == (96, 96, 256)
    training = config.training
    assert (training.generator_learning_rate, training.discriminator_learning_rate) == (1e-4, 4e-4)
    assert (training.beta_1, training.beta_2, training.ema_decay) == (0.5, 0.999, 0.999)
    assert (training.discriminator_steps, training.batch_size, training.epochs) == (2, 256, 1000)
    losses = config.losses
    assert (losses.temperature, losses.word_temperature, losses.rho_1, losses.rho_2) == (0.1, 1 / 50, 5, 5)
    assert config.generator.rho_0 == 15
    assert [preset(name).data.text_length for name in ("coco2014", "ln_coco", "ln_openimages")] == [17, 64, 64]
    assert [preset(name).data.random_flip for name in ("coco2014", "ln_coco", "ln_openimages")] == [True, False, False]


def test_the_references_choices():
    differing = {k for k, v in flatten(preset("reference")).items() if v != flatten(preset("coco2014"))[k]}
    assert differing == {
        "text.sentence_pooling",
        "generator.stem",
        "generator.context_words",
        "generator.batch_norm_replicas",
        "image_encoder.architecture",
        "image_encoder.layer",
        "losses.context_regions",
        "losses.negatives",
        "training.update_rule",
        "evaluation.network",
        "evaluation.inception_score_splits",
    }


@pytest.mark.parametrize("dataset", NAMES)
def test_the_reference_on_each_dataset(dataset):
    config, own = preset("reference", dataset), preset(dataset)
    validate(config)
    assert config.dataset == dataset
    assert config.generator == preset("reference").generator
    assert (config.data.text_length, config.data.random_flip) == (own.data.text_length, own.data.random_flip)
    assert (config.text.encoder, config.text.dim) == (own.text.encoder, own.text.dim)
    assert config.text.sentence_pooling == "sum_over_length"
    assert config.evaluation.inception_score_splits == 1
    # Networks of photographs say nothing about drawings.
    assert config.evaluation.network == ("scenes" if dataset == "scenes" else "keras")
    assert config.evaluation.detector == own.evaluation.detector
    assert config.image_encoder.architecture == ("hub" if dataset == "scenes" else "resnet50")


def test_unknown_presets_and_datasets():
    for call in (lambda: preset("coco"), lambda: preset("reference", "coco"), lambda: preset("scenes", "reference")):
        with pytest.raises(ValueError, match=r"unknown .*'(coco|reference)': choose one of .*ln_openimages"):
            call()


REFUSALS = [
    ("data.image_size", 513, f"choose one of {', '.join(map(str, IMAGE_SIZES))}"),
    ("data.cache", "disk", "choose one of none, memory"),
    ("text.sentence_pooling", "max", "choose one of mean, sum_over_length, pooled_output"),
    ("generator.stem", "both", "choose one of condition, noise"),
    ("generator.modulation", "none", "choose one of attentional, self"),
    ("generator.context_words", "unit", "choose one of raw, normalized"),
    ("generator.context_upsampling", "cubic", "choose one of nearest, bilinear"),
    ("generator.shortcut_upsampling", "cubic", "choose one of nearest, bilinear"),
    ("discriminator.contrastive_head_layers", 3, "choose one of 0, 1, 2"),
    ("image_encoder.architecture", "vgg16", "choose one of vgg19, resnet50, hub"),
    ("losses.context_regions", "unit", "choose one of raw, normalized"),
    ("losses.direction", "two", "choose one of both, single"),
    ("losses.negatives", "none", "choose one of global, replica"),
    ("training.update_rule", "two", "choose one of algorithm1, joint"),
    ("training.augmentation", "flip", "choose one of none, translation, translation,cutout"),
    ("data.text_length", 2, "set it to 3 or more"),
    ("text.dim", 0, "set it to 1 or more"),
    ("generator.channels", 0, "set it to 1 or more"),
    ("generator.noise_dim", 0, "set it to 1 or more"),
    ("generator.condition_dim", -1, "set it to 1 or more"),
    ("discriminator.channels", 0, "set it to 1 or more"),
    ("training.batch_size", 0, "set it to 1 or more"),
    ("training.batch_size", 1, "without negatives: set it to 2 or more"),
    ("training.num_steps", -1, "set it to 0 or more"),
    ("training.discriminator_steps", 0, "set it to 1 or more"),
    ("training.generator_steps", 0, "set it to 1 or more"),
    ("training.learning_rate_decay_steps", -1, "set it to 0 or more"),
    ("training.steps_per_call", 0, "set it to 1 or more"),
    ("training.max_checkpoints", 0, "set it to 1 or more"),
    ("training.checkpoint_every", 0, "set it to 1 or more"),
    ("training.sample_every", -25, "set it to 0 or more"),
    ("training.batch_size", 10**8, "set it to 65536 or less"),
    ("training.seed", 2**32, "set it to 4294967295 or less"),
    ("training.seed", -1, "set it to 0 or more"),
    ("evaluation.seed", 2**31, "set it to 2147483647 or less"),
    ("evaluation.batch_size", 10**8, "set it to 65536 or less"),
    ("evaluation.num_samples", 10**9, "set it to 10000000 or less"),
    ("training.log_every", 30, "must be a multiple of config.training.steps_per_call=50"),
    ("training.sample_every", 30, "must be a multiple of config.training.steps_per_call=50"),
    ("training.checkpoint_every", 30, "must be a multiple of config.training.steps_per_call=50"),
    ("generator.batch_norm_epsilon", 0.0, "must be greater than 0"),
    ("discriminator.spectral_norm_epsilon", 0.0, "must be greater than 0"),
    ("losses.temperature", 0.0, "must be greater than 0"),
    ("losses.word_temperature", -0.02, "must be greater than 0"),
    ("losses.rho_1", 0.0, "must be greater than 0"),
    ("losses.rho_2", float("nan"), "must be greater than 0"),
    ("training.epochs", 0.0, "must be greater than 0"),
    ("training.generator_learning_rate", 0.0, "must be greater than 0"),
    ("training.discriminator_learning_rate", -1e-4, "must be greater than 0"),
    ("training.adam_epsilon", 0.0, "must be greater than 0"),
    ("generator.batch_norm_momentum", 1.0, "at least 0 and less than 1"),
    ("training.beta_1", -0.1, "at least 0 and less than 1"),
    ("training.beta_2", 1.0, "at least 0 and less than 1"),
    ("training.ema_decay", 1.0, "at least 0 and less than 1"),
    ("losses.generator_word", -1.0, "is a loss weight: set it to 0 (off) or more"),
    ("losses.discriminator_sentence", -0.5, "is a loss weight: set it to 0 (off) or more"),
]


@pytest.mark.parametrize("field, value, fix", REFUSALS)
def test_the_impossible_is_refused_with_field_and_fix(field, value, fix):
    with pytest.raises(ValueError, match=rf"^config\.{field}={re.escape(repr(value))} .*{re.escape(fix)}") as error:
        validate(_changed(**{field: value}))
    assert "\n" not in str(error.value)


def test_learning_rates_that_fall_need_a_last_step():
    fields = {"training.learning_rate_decay_steps": 100, "training.num_steps": 0}
    with pytest.raises(ValueError, match=r"learning_rate_decay_steps=100 .* set training.num_steps too"):
        validate(_changed(**fields))


@pytest.mark.parametrize("metrics", ["", " , ", "fid,clip", "FID"])
def test_unknown_metrics_are_refused(metrics):
    with pytest.raises(ValueError, match=r"config\.evaluation\.metrics=.* give some of fid,kid,is,r_precision,soa"):
        validate(_changed(**{"evaluation.metrics": metrics}))
    assert metric_names(" soa,fid ,,soa") == ["fid", "soa"]


def test_evaluations_need_checkpoints():
    validate(_changed(**{"evaluation.every": 1000}))
    with pytest.raises(ValueError, match=r"evaluation\.every=750 must be a multiple of .*checkpoint_every=500"):
        validate(_changed(**{"evaluation.every": 750}))


@pytest.mark.parametrize("field", ["text.preprocessor", "text.encoder"])
def test_a_text_encoder_is_named(field):
    with pytest.raises(ValueError, match=rf"config\.{field}='' is empty: give a TF-Hub handle or the folder"):
        validate(_changed(**{field: ""}))


HUB = {"image_encoder.architecture": "hub", "image_encoder.layer": ""}


@pytest.mark.parametrize(
    "dataset, changes, message",
    [
        ("coco2014", {"image_encoder.weights": ""}, "weights='' is not possible: give 'imagenet' or .* of vgg19"),
        ("coco2014", HUB, "weights='imagenet' is not possible with architecture='hub': give a TF-Hub handle"),
        ("coco2014", {**HUB, "image_encoder.weights": ""}, "weights='' is not possible with architecture='hub'"),
        ("coco2014", {"image_encoder.architecture": "hub"}, "layer='block5_conv4' is not possible .*: leave it empty"),
        ("scenes", {"image_encoder.architecture": "vgg19"}, "weights='scenes:image_encoder' is not possible: give"),
    ],
)
def test_fields_of_the_image_encoder_go_together(dataset, changes, message):
    config = preset(dataset)
    for field, value in changes.items():
        setattr(config.image_encoder, field.split(".")[1], value)
    with pytest.raises(ValueError, match=rf"^config\.image_encoder\.{message}"):
        validate(config)


def test_a_batch_of_one_is_possible_without_contrastive_losses():
    contrastive = ("sentence", "word", "image", "image_encoder")
    weights = {name: 0.0 for name in flatten(preset("scenes")) if name.endswith(tuple(f"or_{c}" for c in contrastive))}
    assert len(weights) == 6
    validate(_changed(**weights, **{"losses.generator_perceptual": 1.0, "training.batch_size": 1}))


def test_flatten_names_every_field_as_the_command_line_does():
    flat = flatten(preset("coco2014"))
    assert flat["dataset"] == "coco2014"
    assert flat["training.batch_size"] == 256
    sections = json.loads(to_json(Config()))
    assert len(flat) == sum(len(section) if isinstance(section, dict) else 1 for section in sections.values())


@pytest.mark.parametrize("name", PRESETS)
def test_json_round_trip(name):
    config = preset(name)
    config.training.seed = 11
    text = to_json(config)
    assert from_json(text) == config
    assert text.endswith("}\n")
    for value, expected in zip(flatten(from_json(text)).values(), flatten(config).values()):
        assert type(value) is type(expected)


def test_json_of_an_older_version_takes_the_defaults():
    values = json.loads(to_json(preset("coco2014")))
    del values["losses"]["direction"], values["image_encoder"]
    assert from_json(json.dumps(values)) == preset("coco2014")


@pytest.mark.parametrize("dataset", NAMES)
def test_runs_from_before_the_metrics_are_evaluated_as_their_dataset_is(dataset):
    values = json.loads(to_json(preset(dataset)))
    del values["evaluation"]
    assert from_json(json.dumps(values)) == preset(dataset)


def test_json_with_an_unknown_field_is_refused():
    values = json.loads(to_json(preset("scenes")))
    values["training"]["batchsize"] = 3
    with pytest.raises(ValueError, match=r"unknown config field 'training\.batchsize'"):
        from_json(json.dumps(values))
    with pytest.raises(ValueError, match="unknown config field 'optimizer'"):
        from_json('{"optimizer": {}}')


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"scenes"', '{"data": 5}', '{"training": [1]}'])
def test_what_is_no_config_is_refused(text):
    with pytest.raises(ValueError) as error:
        from_json(text)
    assert "\n" not in str(error.value)


def test_image_sizes_are_possible():
    for size in IMAGE_SIZES:
        validate(_changed(**{"data.image_size": size}))


def test_fields_are_set_by_dotted_name_on_a_copy():
    config = preset("coco2014")
    changed = config.with_fields({"training.seed": 7, "losses.generator_word": 0.5, "dataset": "scenes"})
    assert config == preset("coco2014")
    assert changed.changes(since=config) == {"dataset": "scenes", "losses.generator_word": 0.5, "training.seed": 7}
    for name in ("training.sed", "seed", "training", "training."):
        with pytest.raises(ValueError, match=rf"the config has no field '{name}'"):
            config.with_fields({name: 1})


def test_every_field_has_help():
    assert not [name for name, setting in settings().items() if not setting.help.endswith((".", ")"))]
    assert list(settings()) == [name for name in flatten(Config()) if name != "dataset"]


# As written by version 0.1.0, in which an empty handle was the network prepared with the scenes.
FORMER_SCENES = {
    "text.preprocessor": "scenes:bert/preprocessor",
    "text.encoder": "scenes:bert/encoder",
    "image_encoder.weights": "scenes:image_encoder",
    "evaluation.network_weights": "scenes:evaluators/recognizer",
    "evaluation.dual_encoder": "scenes:evaluators/dual_encoder",
    "evaluation.detector": "scenes:evaluators/recognizer",
}


def test_empty_handles_of_older_runs_are_the_scenes_own():
    former = preset("scenes").with_fields(dict.fromkeys(FORMER_SCENES, ""))
    assert from_json(to_json(former)) == preset("scenes")
    assert {name: flatten(preset("scenes"))[name] for name in FORMER_SCENES} == FORMER_SCENES
    other = former.with_fields({"evaluation.network": "keras"})  # Whose weights are published.
    assert from_json(to_json(other)).evaluation.network_weights == ""
    photographs = preset("coco2014").with_fields({"evaluation.dual_encoder": ""})
    assert from_json(to_json(photographs)) == photographs


def test_the_length_of_a_run():
    training = preset("coco2014").training  # Two steps of D and one of G, on a batch of 256 each.
    assert (training.batches_per_iteration, training.images_per_iteration) == (3, 768)
    assert training.steps(82_783) == 107_791  # 1000 epochs
    training = preset("coco2014").with_fields({"training.update_rule": "joint"}).training
    assert training.steps(82_783) == 161_686
    assert preset("coco2014").with_fields({"training.num_steps": 7}).training.steps(82_783) == 7


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"generator": {"channels": "8"}}, "config: generator.channels: expected int, got str"),
        ({"generator": {"channels": 8.5}}, "config: generator.channels: expected int, got float"),
        ({"generator": {"channels": -1}}, "config.generator.channels=-1 is too small"),
        ({"training": {"seed": 10**30}}, "is too large: set it to 4294967295 or less"),
        ({"training": {"num_steps": 10**30}}, "is too large: integers have 64 bits"),
        ({"data": {"random_flip": 1}}, "config: data.random_flip: expected bool, got int"),
        ({"text": {"encoder": None}}, "config: text.encoder: expected str, got null"),
        ({"losses": {"rho_1": float("inf")}}, "is not a finite number"),
        ({"generator": {"rho_0": float("nan")}}, "is not a finite number"),
        ({"dataset": 5}, "config: dataset: expected str, got int"),
    ],
    ids=str,
)
def test_json_with_values_of_another_type_or_range_is_refused_by_field(fields, error):
    values = json.loads(to_json(preset("scenes")))
    for name, inner in fields.items():
        values[name] = {**values[name], **inner} if isinstance(inner, dict) else inner
    with pytest.raises(ValueError) as raised:
        from_json(json.dumps(values))
    assert error in str(raised.value) and "\n" not in str(raised.value)
