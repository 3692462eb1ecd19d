"""Tests of reports: reading runs, judging claims, and the layout."""

from __future__ import annotations

import json
import os
import re
import shutil

import numpy as np
import pytest
from PIL import Image
from scipy import stats

from eval import results as result_files
from eval.results import Result
from eval.score import HIGHER, LOWER, Score
from experiments.ablation import claims, finished_runs, report_page, report_tables
from experiments.ablation.claims import CLAIMS, Claim, Outcome, judge
from experiments.ablation.finished_runs import ACCURACY
from experiments.ablation.jobs import images_of, jobs_of
from experiments.ablation.paper_rows import METRICS, TABLES
from experiments.ablation.tables import find, row_names
from xmcgan.training.workdir import claim_workdir

_NAMES = {"IS": "IS/scenes", "FID": "FD/scenes", "R-precision": "R-precision/scenes"}
_NAMES |= {"SOA-C": "SOA-C/scenes", "SOA-I": "SOA-I/scenes"}


def _result(scores, protocol="a"):
    found = [
        Score(_NAMES[metric], value, None, LOWER if metric == "FID" else HIGHER) for metric, value in scores.items()
    ]
    return Result(found, [Score("IS/scenes", 40.0, None, HIGHER)], {}, {"captions": protocol}, {})


def _finish(workdir, name, seed_scores, accuracy=50.0, protocol="a", num_images=8000, **shared):
    """Writes the files of a row's finished runs, one for each seed, with these scores at the last step."""
    jobs = jobs_of([name], str(workdir), dataset="scenes", seeds=len(seed_scores), num_images=num_images, shared=shared)
    for job, scores in zip(jobs, seed_scores):
        claim_workdir(job.folder, job.config)
        steps = job.config.training.num_steps
        result_files.write(job.result_path, _result(scores, protocol))
        early = {metric: 2 * value for metric, value in scores.items()}
        result_files.write(os.path.join(job.folder, "eval", f"{steps // 2}.json"), _result(early, protocol))
        with open(os.path.join(job.folder, "metrics.jsonl"), "w", encoding="utf-8") as file:
            for step in range(50, steps + 1, 50):
                file.write(json.dumps({"step": step, "g/sentence_accuracy": accuracy * step / steps / 100}) + "\n")
        job.finish()
    return jobs


def _scores(fid, others=10.0):
    return {metric: fid if metric == "FID" else others for metric in _NAMES}


@pytest.fixture
def two_rows(tmp_path):
    _finish(tmp_path, "table5/self_modulation", [_scores(50.0, 10.0), _scores(54.0, 12.0)])
    _finish(tmp_path, "table5/attentional", [_scores(40.0, 14.0), _scores(41.0, 15.5)])
    return finished_runs.read(str(tmp_path), "scenes")


def test_runs_are_read(two_rows):
    assert two_rows.images == 8000
    np.testing.assert_array_equal(two_rows.values("table5/self_modulation", "FID"), [50, 54])
    # Rows of other tables that describe the same experiment have the same runs.
    same = {"table4/s_w_i_d_vgg", "table5/attentional", "table7/g_d", "fig5/head_0"}
    assert same < set(two_rows.runs) and "table4/s" not in two_rows.runs
    assert len(two_rows.distinct()) == 4
    (first, _) = two_rows.runs["table5/attentional"]
    assert [(images, scores["FID"]) for images, scores in first.evaluations] == [(4000, 80.0), (8000, 40.0)]
    assert first.accuracies[0] == (800, 5.0) and len(first.accuracies) == 10
    assert first.scores[ACCURACY] == 50.0  # The last tenth is one line.
    assert two_rows.real == {"IS": 40.0}
    assert two_rows.lower_is_better == {"FID"}


@pytest.mark.parametrize(
    "measured, published",
    [("FD/scenes", "FID"), ("FID/tfgan", "FID"), ("SOA-C approx./coco91", "SOA-C"), ("R-precision/cc", "R-precision")],
)
def test_names_of_metrics(measured, published):
    assert finished_runs.paper_name(measured) == published


@pytest.mark.parametrize("metric", ["FID", "IS"])
def test_two_rows_alone_are_compared_as_by_students_t_test(metric, two_rows):
    """With no other rows, the pooled deviation is that of the classical test, which SciPy has."""
    difference = two_rows.difference("table5/attentional", "table5/self_modulation", metric)
    ours, theirs = (two_rows.values(f"table5/{name}", metric) for name in ("attentional", "self_modulation"))
    if metric == "FID":
        ours, theirs = -np.log(ours), -np.log(theirs)
    test = stats.ttest_ind(ours, theirs)
    interval = test.confidence_interval(0.95)
    assert difference.value == pytest.approx(ours.mean() - theirs.mean())
    assert difference.margin == pytest.approx((interval.high - interval.low) / 2)
    assert (abs(difference.value) > difference.margin) == (test.pvalue < 0.05)


def _table_4_runs(tmp_path, means, spread=0.01):
    """Writes runs of rows of Table 4 with these mean FIDs, two seeds each, one `spread` below and one above."""
    for name, fid in means.items():
        _finish(tmp_path, f"table4/{name}", [_scores(fid * (1 - spread)), _scores(fid * (1 + spread))])
    return finished_runs.read(str(tmp_path), "scenes")


def test_verdicts(tmp_path):
    results = _table_4_runs(tmp_path, {"none": 100.0, "s": 50.0, "w": 50.2, "i_d": 120.0})

    def words(*pairs):
        names = tuple((f"table4/{better}", f"table4/{worse}") for better, worse in pairs)
        return judge(Claim("", "", names, ("FID",)), results).words

    assert words(("s", "none")) == words(("s", "none"), ("w", "none")) == "holds"
    assert words(("none", "s")) == "does not hold"
    assert words(("s", "w")) == "within the noise"
    assert words(("s", "none"), ("s", "w")) == "holds in part"
    assert words(("s", "none"), ("i_d", "none")) == "mixed"
    assert words(("i_d", "none"), ("s", "w")) == "in part the other way round"
    assert words(("s_w", "s")) == "not run"
    assert words(("s", "none"), ("s_w", "s")) == "holds (some rows not run)"


def test_one_seed_is_not_enough(tmp_path):
    _finish(tmp_path, "table4/s", [_scores(50.0)])
    _finish(tmp_path, "table4/none", [_scores(100.0)])
    results = finished_runs.read(str(tmp_path), "scenes")
    verdict = judge(Claim("", "", (("table4/s", "table4/none"),), ("FID",)), results)
    assert verdict.words == "undecided: one seed" and set(verdict.outcomes.values()) == {Outcome.UNDECIDED}
    row = next(
        line for line in report_page.page(results, [judge(CLAIMS[0], results)]).split("\n") if "beats none" in line
    )
    assert row.endswith("| **undecided: one seed** |")  # Without a count of comparisons.
    # With another row of two seeds, the deviation over seeds is known.
    _finish(tmp_path, "table4/w", [_scores(60.0), _scores(61.0)])
    results = finished_runs.read(str(tmp_path), "scenes")
    assert judge(Claim("", "", (("table4/s", "table4/none"),), ("FID",)), results).words == "holds"


def test_claims_are_about_existing_rows_and_metrics():
    for claim in CLAIMS:
        assert set(claim.metrics) <= {*METRICS, ACCURACY}
        for pair in claim.pairs:
            assert len({find(name)[0].name for name in pair}) == 1  # Within one table.
    assert set(row_names(["4", "5", "6", "7", "fig5"])) == {
        name for claim in CLAIMS for pair in claim.pairs for name in pair
    }


def test_the_papers_own_numbers():
    """Counts by hand where the paper's tables do not support its text."""
    counts = {claim.text: claims.in_the_paper(claim) for claim in CLAIMS}
    # VGG alone has FID 39.58, no loss 39.28.
    assert counts.pop("Any contrastive loss beats none, by all metrics") == (19, 20)
    # R-precision: 69.86 with both, 70.98 with VGG alone.
    assert counts.pop("IS and text alignment improve further with both image losses") == (7, 8)
    # The head of one layer has no numbers.
    assert counts.pop("No contrastive head beats deeper heads") == (1, 1)
    assert all(agree == judged and judged for agree, judged in counts.values())


@pytest.mark.parametrize(
    "difference, message",
    [
        ({"num_images": 16_000}, r"the number of training images is 16000 in the first and 8000 in the second"),
        (
            {"training.log_every": 100},
            r"config.training.log_every is 100 in the first and \"the preset's\" in the second",
        ),
        ({"protocol": "b"}, r"the protocol of the evaluation is '\w{8}' in the first"),
    ],
)
def test_runs_that_cannot_be_compared_are_refused(difference, message, tmp_path):
    _finish(tmp_path, "table4/s", [_scores(50.0)])
    _finish(tmp_path, "table4/w", [_scores(50.0)], **difference)
    with pytest.raises(ValueError, match=message):
        finished_runs.read(str(tmp_path), "scenes")


def test_rows_that_have_changed_since_are_refused(tmp_path):
    (job,) = _finish(tmp_path, "fig5/head_1", [_scores(50.0)])
    path = os.path.join(job.folder, "config.json")
    with open(path, encoding="utf-8") as file:
        config = json.load(file)
    config["discriminator"]["contrastive_head_layers"] = 2
    with open(path, "w", encoding="utf-8") as file:
        json.dump(config, file)
    with pytest.raises(ValueError, match=r"contrastive_head_layers=2, but fig5/head_1 has 1 now: move that folder"):
        finished_runs.read(str(tmp_path), "scenes")


def test_budgets_are_alike_up_to_the_last_call(tmp_path):
    """Runs of one command are comparable, although a call of 50 steps draws more images with larger batches."""
    counts = set()
    for name in ("batch_size/64", "batch_size/256", "update_rule/algorithm1", "table4/s"):
        (job,) = _finish(tmp_path, name, [_scores(50.0)], num_images=83_200)
        counts.add(images_of(job.config))
    assert len(counts) > 1
    assert len(finished_runs.read(str(tmp_path), "scenes").distinct()) == 4


def test_a_run_that_is_trained_further_is_not_finished(tmp_path):
    (job,) = _finish(tmp_path, "table4/s", [_scores(50.0)])
    _finish(tmp_path, "table4/w", [_scores(50.0)])
    (longer,) = jobs_of(["table4/s"], str(tmp_path), dataset="scenes", num_images=16_000)
    claim_workdir(longer.folder, longer.config)
    results = finished_runs.read(str(tmp_path), "scenes")
    assert "table4/s" not in results.runs and results.unfinished == [job.folder]


def test_curves_have_one_protocol_and_renamed_folders_are_ignored(tmp_path):
    (job,) = _finish(tmp_path, "table4/s", [_scores(50.0)])
    early = os.path.join(job.folder, "eval", "250.json")
    result_files.write(early, _result(_scores(1.0), protocol="few images"))  # The one before is renamed.
    os.makedirs(f"{job.folder}_old")
    results = finished_runs.read(str(tmp_path), "scenes")
    (run,) = results.runs["table4/s"]
    assert [(images, scores["FID"]) for images, scores in run.evaluations] == [(4000, 100.0), (8000, 50.0)]
    assert results.unfinished == []


def test_the_base_is_what_the_rows_differ_from(tmp_path):
    (job,) = _finish(tmp_path, "table4/none", [_scores(50.0)], **{"training.log_every": 100})
    base = finished_runs.read(str(tmp_path), "scenes").base()
    assert base.training.log_every == 100 and base.training.num_steps == job.config.training.num_steps
    _, row = find("table4/none")
    for field, value in row.changes.items():
        group, name = field.split(".")
        setattr(getattr(base, group), name, value)
    assert base == job.config


def test_a_common_setting_of_all_runs_is_no_difference(tmp_path):
    for name in ("table4/s", "table4/w"):
        _finish(tmp_path, name, [_scores(50.0)], **{"training.log_every": 100})
    results = finished_runs.read(str(tmp_path), "scenes")
    assert len(results.distinct()) == 2 and results.settings == {"training.log_every": 100}
    assert "--num_pictures=8000 --seeds=1 --set=training.log_every=100\n" in report_page.page(results, [])


def _plain(text):
    """Removes the spaces that align columns."""
    return re.sub(" +", " ", text)


def test_markdown(tmp_path):
    results = _table_4_runs(tmp_path, {"none": 100.0, "s": 50.0, "s_w_i_d_vgg": 8.0})
    lines = _plain(report_tables.markdown(TABLES["table4"], results)).split("\n")
    assert lines[0] == (
        "| S | W | D | VGG | IS/scenes ↑ | FD/scenes ↓ | R-precision/scenes ↑ | SOA-C/scenes ↑ | SOA-I/scenes ↑ |"
    )
    assert len(lines) == 12 and {line.count("|") for line in lines} == {10}
    none, s, full = lines[2], lines[3], lines[-1]
    assert none.startswith("| | | | |") and s.startswith("| ✓ | | | |") and full.startswith("| ✓ | ✓ | ✓ | ✓ |")
    deviation = np.std([99, 101], ddof=1)
    assert f"| 100 ± {deviation:.0f} (39.28) |" in none
    assert "| 50.0 ± 0.7 (19.25) |" in s
    assert "| **8.00 ± 0.11** (11.93) |" in full
    assert "not run (24.38)" in lines[4]


def test_latex(tmp_path):
    results = _table_4_runs(tmp_path, {"none": 100.0, "s": 50.0})
    lines = report_tables.latex(TABLES["table4"], results).split("\n")
    columns = re.fullmatch(r"\\begin\{tabular\}\{(\w+)\}", lines[0]).group(1)
    assert columns == "cccc" + 10 * "r"
    body = [line for line in lines if line.endswith(r"\\")]
    # One separator fewer than columns, in rows without a spanning cell.
    assert {line.count("&") for line in body[1:]} == {13}
    spans = sum(int(width) for width in re.findall(r"\\multicolumn\{(\d+)\}", body[0]))
    assert spans == 14
    assert r"50.0 $\pm$ 0.7" in "\n".join(lines) and "%" not in "".join(body).replace(r"\%", "")
    for environment in (r"\toprule", r"\midrule", r"\bottomrule"):
        assert environment in lines


def test_the_page_and_its_files(tmp_path):
    rows = {"none": 100.0, "s": 50.0, "w": 60.0, "s_w_i_d_vgg": 40.0}
    _table_4_runs(tmp_path / "runs", rows)
    _finish(tmp_path / "runs", "fig5/head_2", [_scores(45.0), _scores(46.0)], accuracy=90.0)
    unfinished = jobs_of(["fig5/head_1"], str(tmp_path / "runs"), dataset="scenes", num_images=8000)[0]
    os.makedirs(unfinished.folder)
    results = finished_runs.read(str(tmp_path / "runs"), "scenes")
    files = report_page.write(results, str(tmp_path / "report"))
    assert results.settings == {}
    names = {os.path.basename(file) for file in files}
    assert names == {
        "README.md",
        "tables.tex",
        "results.json",
        "config.json",
        *(f"{n}.{e}" for n in ("curves", "fig5") for e in ("png", "pdf")),
    }
    text = (tmp_path / "report" / "README.md").read_text()
    assert "10 runs with seeds 0, 1; each has drawn 8,000 training images" in text
    assert "Not done yet, and left out: 1 of the runs begun" in text
    for name in re.findall(r"\]\(([\w.]+)\)", text):
        assert name in names  # Every file that the page shows or links exists.
    assert "| Deeper heads have the higher contrastive accuracy on generated images |" in _plain(text)
    numbers = json.loads((tmp_path / "report" / "results.json").read_text())
    assert numbers["table4/s"]["1"]["scores"]["FID"] == pytest.approx(50.5)
    image = np.asarray(Image.open(tmp_path / "report" / "fig5.png").convert("RGB"))
    assert image.shape[1] > 1000 and image.std() > 5  # The image is not empty.


def test_rows_with_other_seeds_are_named(tmp_path):
    for name, seeds in {"none": 2, "s": 3, "w": 2, "s_w_i_d_vgg": 1}.items():
        _finish(tmp_path / "runs", f"table4/{name}", [_scores(50.0 + seed) for seed in range(seeds)])
    results = finished_runs.read(str(tmp_path / "runs"), "scenes")
    text = report_page.page(results, [judge(claim, results) for claim in CLAIMS])
    assert "8 runs with seeds 0, 1; `table4/s` with 0, 1, 2; `table4/s_w_i_d_vgg` with 0; each has drawn" in text
    assert "--row=table4/none --dataset=scenes --num_pictures=8000 --seeds=2" in text


@pytest.mark.slow
def test_images(drawing_run, scenes_dir, tmp_path):
    """Rows of the same experiment share a column; each other row is drawn from its own checkpoint."""
    networks = {"generator.channels": 2, "discriminator.channels": 1, "training.batch_size": 2}  # As in the checkpoint.
    for name in ("fig5/head_0", "table4/none"):
        (job,) = _finish(tmp_path, name, [_scores(50.0)], **networks)
        shutil.copytree(drawing_run / "checkpoints", os.path.join(job.folder, "checkpoints"))
    results = finished_runs.read(str(tmp_path), "scenes")
    drawn = report_page.drawn_images(results, str(scenes_dir), 2)
    assert len(drawn.axes) == 2 * (1 + 2)
    original, first, second = (np.asarray(axes.images[0].get_array()) for axes in drawn.axes[:3])
    np.testing.assert_array_equal(first, second)  # From copies of the same checkpoint.
    assert not np.array_equal(original, first)


def test_the_command(command, tmp_path):
    process = command("experiments.report", f"--workdir={tmp_path}", "--dataset=scenes")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "no finished run on scenes" in errors and "python -m experiments.run --table=4" in errors
    _finish(tmp_path, "table4/s", [_scores(50.0)])
    arguments = (f"--workdir={tmp_path}", "--dataset=scenes", "--captions=0", "--note=Trained on a train.")
    process = command("experiments.report", *arguments)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert json.loads(output)["runs"] == 1
    assert "\n\nTrained on a train.\n\n" in (tmp_path / "scenes" / "report" / "README.md").read_text()
