"""Tests of the registry of the paper's rows, against the paper's tables."""

from __future__ import annotations

import re
import shlex

import pytest

from data_pipelines import datasets
from experiments.ablation.paper_rows import METRICS, TABLES
from experiments.ablation.tables import base, command, config_of, find
from xmcgan import config as config_lib

EVERY = [(table, row) for table in TABLES.values() for row in table.rows]
NAMES = [f"{table.name}/{row.name}" for table, row in EVERY]


def test_all_trained_rows_of_the_paper_are_there():
    assert [
        *("table2/coco2014", "table3/ln_coco", "open_images/ln_openimages"),
        *("table4/none", "table4/s", "table4/w", "table4/i_d", "table4/i_vgg", "table4/i_d_vgg"),
        *("table4/s_w", "table4/s_w_i_d", "table4/s_w_i_vgg", "table4/s_w_i_d_vgg"),
        *("table5/self_modulation", "table5/attentional", "table6/vgg_l2", "table6/vgg_contrastive"),
        *("table7/g", "table7/d", "table7/g_d", "fig5/head_0", "fig5/head_1", "fig5/head_2"),
        *("negatives/global", "negatives/replica", "update_rule/algorithm1", "update_rule/joint"),
        *("stem/condition", "stem/noise", "batch_size/256", "batch_size/128", "batch_size/64"),
        *("generator_losses/none", "generator_losses/s", "generator_losses/w", "generator_losses/i_d"),
        "generator_losses/s_w",
    ] == NAMES


@pytest.mark.parametrize("dataset", datasets.NAMES)
@pytest.mark.parametrize(("table", "row"), EVERY, ids=NAMES)
def test_a_row_differs_from_its_base_in_what_it_names(table, row, dataset):
    before, after = (config_lib.flatten(x) for x in (base(table, dataset), config_of(table, row, dataset)))
    different = {field for field in after if after[field] != before[field]}
    assert different <= set(row.changes)
    assert {field: after[field] for field in row.changes} == row.changes
    # All rows of a table set the same fields, to different values.
    for other in table.rows:
        assert set(other.changes) == set(row.changes)
        assert other is row or other.changes != row.changes


@pytest.mark.parametrize(("table", "row"), EVERY, ids=NAMES)
def test_the_command_trains_the_row(table, row):
    """The flags, parsed as the command line does, result in the row's config."""
    words = shlex.split(command(table, row, table.dataset))
    assert words[:4] == ["python", "-m", "xmcgan.train", f"--dataset={table.dataset}"]
    config = datasets.preset(table.dataset)
    for word in words[5:]:
        section, name, value = re.fullmatch(r"--config\.(\w+)\.(\w+)=(.*)", word).groups()
        before = getattr(getattr(config, section), name)
        setattr(getattr(config, section), name, type(before)(value))
    assert config == config_of(table, row, table.dataset)


def test_full_size_is_for_the_main_results_alone():
    for table, row in EVERY:
        channels = 96 if table.name in ("table2", "table3", "open_images") else 64
        config = config_of(table, row, table.dataset)
        assert (config.generator.channels, config.discriminator.channels) == (channels, channels)
        assert config_of(table, row, "scenes").generator.channels == 8


def test_losses_of_table_4():
    """The columns that Table 4 ticks, and the losses that they switch on."""
    on = {
        row.name: {field.split(".")[1] for field, weight in row.changes.items() if weight}
        for row in TABLES["table4"].rows
    }
    sentence, word = ({f"discriminator_{loss}", f"generator_{loss}"} for loss in ("sentence", "word"))
    assert on["none"] == set()
    assert on["s"] == sentence and on["w"] == word
    assert on["i_d"] == {"generator_image"} and on["i_vgg"] == {"generator_image_encoder"}
    assert on["i_d_vgg"] == on["i_d"] | on["i_vgg"]
    assert on["s_w"] == sentence | word
    assert on["s_w_i_vgg"] == sentence | word | on["i_vgg"]
    assert on["s_w_i_d_vgg"] == sentence | word | on["i_d_vgg"]


def test_networks_of_table_7():
    on = {row.name: {field for field, weight in row.changes.items() if weight} for row in TABLES["table7"].rows}
    assert all(field.startswith("losses.generator_") for field in on["g"]) and len(on["g"]) == 4
    assert on["d"] == {"losses.discriminator_sentence", "losses.discriminator_word"}
    assert on["g_d"] == on["g"] | on["d"]


def test_generator_losses_beside_those_of_the_discriminator():
    rows = TABLES["generator_losses"].rows
    on = {row.name: {field for field, weight in row.changes.items() if weight} for row in rows}
    assert {name: fields - on["none"] for name, fields in on.items()} == {
        "none": set(),
        "s": {"losses.generator_sentence"},
        "w": {"losses.generator_word"},
        "i_d": {"losses.generator_image"},
        "s_w": {"losses.generator_sentence", "losses.generator_word"},
    }
    # The first and the last row are the paper's, and share their runs.
    assert config_of(*find("generator_losses/none"), "coco2014") == config_of(*find("table7/d"), "coco2014")
    assert config_of(*find("generator_losses/s_w"), "coco2014") == config_of(*find("table4/s_w"), "coco2014")


def test_short_places_tell_tables_apart():
    places = [table.short_place for table in TABLES.values()]
    assert places[3:8] == ["Table 4", "Table 5", "Table 6", "Table 7", "Fig. 5"]
    assert len(set(places)) == len(places)


def test_rows_that_the_paper_has_twice_have_the_same_numbers():
    def published(name):
        return find(name)[1].published

    assert published("table4/s_w_i_d_vgg") == published("table5/attentional")  # The same model.
    assert published("table4/i_vgg") == published("table6/vgg_contrastive")
    assert config_of(*find("table4/i_vgg"), "coco2014") == config_of(*find("table6/vgg_contrastive"), "coco2014")
    # The claims of section 6.2 hold for the numbers if these are copied correctly.
    fid = {name: published(name)["FID"] for name in NAMES if "FID" in published(name)}
    assert all(fid["table4/none"] > fid[f"table4/{name}"] for name in ("s", "w", "i_d", "s_w", "i_d_vgg"))
    assert fid["table4/s_w"] == 14.25 < fid["table4/s"] == 19.25 and fid["table4/w"] == 24.38
    assert min(value for name, value in fid.items() if name.startswith("table4")) == fid["table4/s_w_i_vgg"]
    assert fid["table7/g_d"] < fid["table7/d"] < fid["table7/g"]
    for table, row in EVERY:
        assert set(row.published) <= {*METRICS, "contrastive accuracy"}
        assert bool(row.published) == (table.place != "beyond the paper" and row.name != "head_1")


@pytest.mark.parametrize(
    "arguments, words",
    [
        ([], ["table4", "Table 4, page 7", "s_w_i_d_vgg", "beyond the paper"]),
        (["--table=table6"], ["l2 loss: IS 12.46, FID 52.86", "--config.losses.generator_perceptual=1.0"]),
        (["--row=table4/s_w", "--dataset=ln_coco"], ["S + W: IS 26.02", "--dataset=ln_coco --workdir=runs/table4/s_w"]),
    ],
)
def test_the_command_line(arguments, words, command):
    process = command("experiments.ablations", *arguments)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    for word in words:
        assert word in output


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--row=table9/x"], "no table 'table9': choose one of table2"),
        (["--row=table4/x"], "table4 has none, s, w"),
        (["--dataset=scenes"], "give --table or --row"),
    ],
)
def test_mistakes_get_one_line(arguments, message, command):
    process = command("experiments.ablations", *arguments)
    _, errors = process.communicate(timeout=60)
    assert process.returncode != 0 and message in errors and "Traceback" not in errors
