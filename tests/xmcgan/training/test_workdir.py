import os

import pytest

from tests.support.tiny_networks import tiny_config
from xmcgan.config import settings
from xmcgan.config_json import to_json
from xmcgan.training.workdir import check_free, claim_workdir, read_config


def test_the_config_of_a_run_is_kept(tmp_path):
    workdir = str(tmp_path / "new" / "run")
    config = tiny_config()
    claim_workdir(workdir, config)
    assert read_config(workdir) == config
    claim_workdir(workdir, tiny_config())  # Its own run is taken up again.
    assert os.listdir(workdir) == ["config.json"]


def test_a_folder_that_there_cannot_be_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"/file is a file, so there can be no folder .*/file/run: name another folder$"):
        check_free(str(tmp_path / "file" / "run"))
    check_free(str(tmp_path / "new" / "run"))
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize(
    "field, value",
    [
        ("generator.channels", 7),
        ("training.seed", 3),
        ("training.batch_size", 8),
        ("losses.direction", "single"),
        ("data.text_length", 9),
    ],
)
def test_another_config_is_refused_by_name_of_the_field(field, value, tmp_path):
    claim_workdir(str(tmp_path), tiny_config())
    before = (tmp_path / "config.json").read_text()
    with pytest.raises(ValueError, match=rf"config\.{field}=.*, not {value!r}: give another --workdir") as error:
        claim_workdir(str(tmp_path), tiny_config(**{field: value}))
    assert "\n" not in str(error.value)
    assert (tmp_path / "config.json").read_text() == before


def test_what_ends_or_watches_a_run_may_change(tmp_path):
    claim_workdir(str(tmp_path), tiny_config())
    longer = tiny_config(**{"training.num_steps": 9999, "training.log_every": 150, "training.max_checkpoints": 9})
    longer.evaluation.every, longer.evaluation.network = 500, "keras"
    claim_workdir(str(tmp_path), longer)
    assert read_config(str(tmp_path)) == longer


def test_the_image_encoder_matters_to_runs_with_a_loss_of_it(tmp_path):
    off = {"losses.generator_image_encoder": 0.0, "losses.generator_perceptual": 0.0}
    other = {"image_encoder.image_size": 32}
    claim_workdir(str(tmp_path / "without"), tiny_config(**off))
    claim_workdir(str(tmp_path / "without"), tiny_config(**off, **other))
    claim_workdir(str(tmp_path / "with"), tiny_config())
    with pytest.raises(ValueError, match=r"config\.image_encoder\.image_size=64, not 32"):
        claim_workdir(str(tmp_path / "with"), tiny_config(**other))


def test_what_a_run_may_change():
    # They end, watch, speed up or fit a run; all others enter its numbers.
    free = {name for name, setting in settings().items() if setting.may_change}
    assert {name for name in free if not name.startswith("evaluation.")} == {
        "data.cache",
        "losses.word_chunk",
        "training.micro_batches",
        "training.recompute",
        "training.xla",
        "training.epochs",
        "training.num_steps",
        "training.steps_per_call",
        "training.log_every",
        "training.sample_every",
        "training.checkpoint_every",
        "training.max_checkpoints",
        "training.keep_every",
    }
    assert {name for name in settings() if name.startswith("evaluation.")} < free


def test_no_run_and_a_broken_config_are_told_apart(tmp_path):
    with pytest.raises(FileNotFoundError, match="no training run in") as error:
        read_config(str(tmp_path))
    assert "\n" not in str(error.value)
    for text in ('{"dataset": "scen', '{"no_such_field": 1}', "[]", '{"data": 5}', "3"):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(ValueError, match=r"config\.json is not the config of a run") as error:
            read_config(str(tmp_path))
        assert "\n" not in str(error.value)
    (tmp_path / "config.json").write_text(to_json(tiny_config()))
    assert read_config(str(tmp_path)) == tiny_config()
