import json
import os

import pytest

from xmcgan.training import cluster

WORKERS = ["one:5000", "two:5000", "three:5000"]


def set_cluster(monkeypatch, kind="worker", index=0, **tasks):
    text = json.dumps({"cluster": tasks, "task": {"type": kind, "index": index}})
    monkeypatch.setenv("TF_CONFIG", text)


def test_workers_of_a_cluster(monkeypatch):
    set_cluster(monkeypatch, index=2, worker=WORKERS)
    assert cluster.read_cluster() == (WORKERS, 2)
    set_cluster(monkeypatch, index="1", worker=WORKERS)  # As some schedulers write it.
    assert cluster.read_cluster() == (WORKERS, 1)


def test_a_chief_is_the_first_worker(monkeypatch):
    for kind, index, place in (("chief", 0, 0), ("worker", 0, 1), ("worker", 1, 2)):
        set_cluster(monkeypatch, kind, index, chief=WORKERS[:1], worker=WORKERS[1:], ps=["four:5000"])
        assert cluster.read_cluster() == (WORKERS, place)


def test_auto(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert cluster.resolve("auto") == "mirrored"
    monkeypatch.setenv("TF_CONFIG", "{}")
    assert cluster.resolve("auto") == "mirrored"
    set_cluster(monkeypatch, worker=WORKERS[:1])
    assert cluster.resolve("auto") == "mirrored"
    set_cluster(monkeypatch, worker=WORKERS)
    assert cluster.resolve("auto") == "multi_worker"
    for name in ("one_device", "mirrored", "multi_worker", "tpu"):
        assert cluster.resolve(name) == name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not set"),
        ("worker=one:5000", "is not JSON"),
        ("[]", "is not a JSON object"),
        ("{}", "names no workers"),
        ('{"cluster": ["one:5000"]}', "has a cluster that is not a JSON object"),
        ('{"cluster": {"worker": "one:5000"}}', "has no list of addresses for worker"),
        ('{"cluster": {"worker": ["one"]}}', "has 'one' as the address of a worker, which is not host:port"),
        ('{"cluster": {"worker": ["a:1", "b:1"]}}', "does not say which worker this is"),
        (
            '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 2}}',
            "says that this is worker 2, but the cluster has worker 0, worker 1",
        ),
    ],
)
def test_what_is_no_cluster_is_refused_with_one_that_is(text, message, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ValueError, match=f"^TF_CONFIG {message}") as caught:
        cluster.resolve("multi_worker")
    assert "\n" not in str(caught.value)
    example = str(caught.value).partition("TF_CONFIG='")[2].rstrip("'")
    monkeypatch.setenv("TF_CONFIG", example)
    assert cluster.read_cluster() == (["host1:5000", "host2:5000"], 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 200_000, "is not JSON"),
        ('{"cluster": ' + "7" * 5_000 + "}", "is not JSON"),
        ('{"cluster": {"worker": ["\\ud800:1"]}}', "is not JSON"),
        (json.dumps({"cluster": {"worker": [["a" * 9999]]}}), "has .* as the address of a worker"),
        (json.dumps({"cluster": {"worker": WORKERS}, "task": {"type": "worker", "index": "9" * 5_000}}), "says that"),
        (json.dumps({"cluster": {"worker": WORKERS}, "task": {"type": "worker", "index": "²"}}), "says that"),
        (json.dumps({"cluster": {"worker": WORKERS}, "task": {"type": ["a" * 9999], "index": []}}), "says that"),
    ],
    ids=["brackets", "digits", "surrogate", "address", "index of digits", "index", "type"],
)
def test_hostile_values_are_refused_in_one_short_line(text, message, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ValueError, match=f"^TF_CONFIG {message}") as caught:
        cluster.resolve("multi_worker")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


def test_a_byte_order_mark_is_skipped(monkeypatch):
    set_cluster(monkeypatch, worker=WORKERS)
    monkeypatch.setenv("TF_CONFIG", "\ufeff" + os.environ["TF_CONFIG"])
    assert cluster.read_cluster() == (WORKERS, 0)
