import glob
import json
import math

import numpy as np
import pytest
import tensorflow as tf
from absl import logging
from PIL import Image

from xmcgan.display import grid
from xmcgan.training import summaries


def read_metrics(workdir):
    """The lines of metrics.jsonl by a parser that takes no NaN and no doubled names."""

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    def once(pairs):
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)

    with open(workdir / "metrics.jsonl", encoding="utf-8") as file:
        return [json.loads(line, parse_constant=refuse, object_pairs_hook=once) for line in file]


def read_events(workdir):
    """{(tag, step): tensor} of all TensorBoard files of a run."""
    events = {}
    for path in glob.glob(str(workdir / "tensorboard" / "*")):
        for record in tf.data.TFRecordDataset(path):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                events[value.tag, event.step] = tf.make_ndarray(value.tensor)
    return events


def test_scalars_reach_both_files_exactly(tmp_path):
    numbers = {"loss/generator": 0.1 + 0.2, "loss/discriminator": tf.constant(1 / 3), "accuracy": np.float32(1e-30)}
    with summaries.RunLog(str(tmp_path), 0, 100, 8) as log:
        log.scalars(25, numbers)
        assert read_metrics(tmp_path)[0]["step"] == 25  # At once, not on closing: the run may be killed.
        log.scalars(50, {"loss/generator": math.nan, "a": math.inf, "b": -math.inf})
    first, second = read_metrics(tmp_path)
    assert first.pop("images_per_second") > 0
    assert first == {"step": 25, **{name: float(number) for name, number in numbers.items()}}
    assert math.isnan(float(second["loss/generator"]))
    assert (float(second["a"]), float(second["b"])) == (math.inf, -math.inf)
    events = read_events(tmp_path)
    assert events["loss/discriminator", 25] == np.float32(1 / 3)
    assert np.isnan(events["loss/generator", 50])


def test_resume_drops_what_comes_after_the_step(tmp_path):
    with summaries.RunLog(str(tmp_path), 0, 100, 8) as log:
        for step in (10, 20, 30, 40):
            log.scalars(step, {"loss": step / 7})
    path = tmp_path / "metrics.jsonl"
    kept = path.read_text().splitlines(keepends=True)[:2]
    with open(path, "a") as file:
        file.write('{"step": 50, "lo')  # Killed while it wrote.
    with summaries.RunLog(str(tmp_path), 20, 100, 8) as log:
        assert path.read_text() == "".join(kept)
        log.scalars(30, {"loss": 1.0})
    assert [line["step"] for line in read_metrics(tmp_path)] == [10, 20, 30]
    with summaries.RunLog(str(tmp_path), 0, 100, 8):
        assert path.read_text() == ""
    assert sorted(item.name for item in tmp_path.iterdir()) == ["metrics.jsonl", "tensorboard"]


def test_a_line_cut_off_at_the_resumed_step_is_dropped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}')
    summaries.drop_steps_after(str(path), 5)
    assert path.read_text() == '{"step": 1}\n'


def test_a_metrics_file_of_something_else_is_refused_and_kept(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\nhello\n')
    with pytest.raises(ValueError, match=r"metrics.jsonl: line 2 .* remove it"):
        summaries.RunLog(str(tmp_path), 1, 100, 8)
    assert path.read_text() == '{"step": 1}\nhello\n'


def test_a_step_cannot_be_logged_twice(tmp_path):
    with summaries.RunLog(str(tmp_path), 0, 100, 8) as log:
        log.scalars(10, {"loss": 1.0})
        with pytest.raises(ValueError, match="step 10 cannot be logged after step 10"):
            log.scalars(10, {"loss": 1.0})
    assert len(read_metrics(tmp_path)) == 1


def test_sample_grid_is_a_png_and_in_tensorboard(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 64, 64, 3), np.uint8)
    labels = (["a red circle", "two blue squares"], ["real", "generated", "generated"])
    with summaries.RunLog(str(tmp_path), 0, 100, 8) as log:
        path = log.grid(250, images, *labels)
    assert path == str(tmp_path / "samples" / "step_0000250.png")
    expected = grid.image_grid(images, *labels)
    np.testing.assert_array_equal(np.asarray(Image.open(path)), expected)
    _, _, png = read_events(tmp_path)["samples", 250]
    np.testing.assert_array_equal(tf.io.decode_png(png), expected)


def test_the_console_shows_the_headline(tmp_path, monkeypatch):
    lines = []
    monkeypatch.setattr(logging, "info", lambda message, *args: lines.append(message % args))
    with summaries.RunLog(str(tmp_path), 0, 100, 8, headline=["loss/generator", "d/sentence_accuracy"]) as log:
        log.scalars(25, {"loss/generator": 1.23456, "gradient_norm": 7.0})  # The sentence loss is switched off.
    assert len(lines) == 1
    assert lines[0].startswith("step 25/100  loss/generator 1.235  ")
    assert lines[0].endswith(" left") and "images/s" in lines[0]
    assert "gradient_norm" not in lines[0]


def test_an_unknown_speed_is_not_shown(tmp_path, monkeypatch):
    lines = []
    monkeypatch.setattr(logging, "info", lambda message, *args: lines.append(message % args))
    with summaries.RunLog(str(tmp_path), 0, 100, 8) as log:
        log.compiled(1)
        log.scalars(1, {"loss": 2.0})
    assert lines == ["step 1/100  loss 2"]


def test_clock_leaves_the_compilation_out():
    moments = iter([0.0, 60.0, 61.0, 70.0, 90.0])
    clock = summaries.Clock(100, 200, images_per_step=32, now=lambda: next(moments))
    clock.restart(101)  # After a minute of compilation.
    assert clock.tick(101) == (0.0, math.inf)
    assert clock.tick(111) == (32.0, 89 * 1.0)
    assert clock.tick(131) == (32.0, 69 * 1.0)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59.4, "59 s"), (59.6, "1:00 min"), (245, "4:05 min"), (43440, "12:04 h")]
)
def test_durations_are_readable(seconds, text):
    assert summaries.format_seconds(seconds) == text


def test_a_file_in_the_place_of_the_curves_is_told(tmp_path):
    (tmp_path / "tensorboard").write_text("")
    with pytest.raises(FileExistsError, match=r"tensorboard is not a folder, .*: rename or remove it") as error:
        summaries.RunLog(str(tmp_path), start_step=0, num_steps=1, images_per_step=1)
    assert "\n" not in str(error.value)


def test_curves_that_cannot_be_written_are_told(tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: False)  # The tests may run as root, who may write anywhere.
    with pytest.raises(PermissionError, match=r"tensorboard cannot be written to, .*: make it writable"):
        summaries.create_writer(str(tmp_path))


@pytest.mark.parametrize("line", ["[]", '{"step": "7"}', "{}", "[" * 5_000, '{"step": ' + "7" * 5_000 + "}"])
def test_a_line_that_is_no_metrics_is_named(line, tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text(f'{{"step": 1}}\n{line}\n')
    with pytest.raises(ValueError, match=r"metrics\.jsonl: line 2 is not a line of metrics") as error:
        summaries.drop_steps_after(str(path), 5)
    assert "\n" not in str(error.value)
