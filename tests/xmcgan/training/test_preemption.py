"""Signals, as the system sends them, to this process."""

from __future__ import annotations

import os
import signal
import threading
import time

import numpy as np
import pytest
import tensorflow as tf

from tests.support.quick_step import QuickStep
from tests.support.tiny_networks import random_example, tiny_config
from xmcgan.training import batch_step, loop
from xmcgan.training.loop import compiled_steps
from xmcgan.training.preemption import Stopped, StopRequest
from xmcgan.training.state import TrainState

CHANGES = {"losses.generator_image_encoder": 0.0, "losses.generator_perceptual": 0.0, "text.precomputed": True}


def _send(number: int) -> None:
    """Sends a signal and leaves the other thread the time to take note of it."""
    os.kill(os.getpid(), number)
    time.sleep(0.2)


def test_a_signal_ends_a_call_of_many_steps_after_the_one_that_it_is_in(monkeypatch):
    monkeypatch.setattr(batch_step, "TrainingStep", QuickStep)
    said = []
    monkeypatch.setattr(loop.logging, "info", lambda line, *_: said.append(line))
    config = tiny_config(**CHANGES, **{"training.batch_size": 2})
    example = random_example(config, 2)
    batch = {"image": tf.cast(255.0 * example.image, tf.uint8), **example.text._asdict()}
    strategy = tf.distribute.OneDeviceStrategy("CPU:0")
    with strategy.scope():
        state = TrainState(config)
    batches = iter(strategy.experimental_distribute_dataset(tf.data.Dataset.from_tensors(batch).repeat()))
    sent = []

    def send():
        while state.step < 3:
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGTERM)
        sent.append(int(state.step.numpy()))

    with StopRequest() as stop:
        run_steps = compiled_steps(strategy, config, state, None, stop=stop.flag)
        thread = threading.Thread(target=send)
        thread.start()
        metrics, stopped = run_steps(batches, 1_000_000)
        thread.join()
        assert stopped
        assert {len(values) for values in metrics.values()} == {state.step.numpy()}
        assert np.isfinite(metrics["g/loss"]).all() and np.ptp(metrics["g/loss"]) > 0
        assert sent[0] <= state.step < sent[0] + 20  # The other thread has to get its turn.
        assert len(run_steps(batches, 100).metrics["d/loss"]) == 1  # The request stands.
    assert said.count(loop.COMPILING) == 1  # Whatever the number of steps.


@pytest.mark.parametrize("number, status", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_interruptible_work_ends_at_once(number, status):
    with StopRequest() as stop, pytest.raises(Stopped, match=r"by SIG(TERM|INT) at step 20, which is saved") as error:
        with stop.interruptible(10):
            pass
        with stop.interruptible(20):
            _send(number)
            raise AssertionError("was not interrupted")
    assert error.value.status == status
    assert stop.flag == 1.0


def test_other_work_is_not_interrupted_and_later_work_not_begun():
    with StopRequest() as stop:
        _send(signal.SIGTERM)
        with pytest.raises(Stopped), stop.interruptible(20):
            raise AssertionError("was begun")
        assert stop.stopped(21).status == 143


@pytest.mark.parametrize("in_thread", [False, True])
def test_a_time_limit_is_a_request_too(in_thread):
    def work():
        with StopRequest(time_limit=0.05) as stop:
            assert stop.flag == 0.0
            time.sleep(0.3)
            assert stop.flag == 1.0 and stop.time_is_up
            done.append(True)

    done = []
    thread = threading.Thread(target=work)
    (thread.start if in_thread else work)()
    if in_thread:
        thread.join()
    assert done


def test_a_signal_before_the_time_limit_is_told_as_a_signal():
    threads = threading.active_count()
    with StopRequest(time_limit=60.0) as stop:
        _send(signal.SIGTERM)
        assert stop.flag == 1.0 and not stop.time_is_up
    assert threading.active_count() == threads  # The timer has ended.
    assert not StopRequest().time_is_up


def test_the_handlers_before_come_back():
    received = []
    woken, wakes = os.pipe()
    os.set_blocking(wakes, False)
    old = signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    old_fd = signal.set_wakeup_fd(wakes)
    try:
        threads = threading.active_count()
        with StopRequest() as stop:
            assert threading.active_count() == threads + 1
        assert threading.active_count() == threads
        _send(signal.SIGTERM)
        assert received == [signal.SIGTERM]
        assert os.read(woken, 1) == bytes([signal.SIGTERM])
        assert stop.flag == 0.0
    finally:
        signal.set_wakeup_fd(old_fd)
        signal.signal(signal.SIGTERM, old)
        os.close(woken)
        os.close(wakes)


def test_outside_of_the_main_thread_nothing_is_touched():
    before = signal.getsignal(signal.SIGTERM)
    entered = []

    def work():
        with StopRequest():
            entered.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert entered == [before]


def test_a_second_signal_ends_the_process_at_once(command):
    code = """
import os, signal, time
from xmcgan.training.preemption import StopRequest
with StopRequest() as stop:
    os.kill(os.getpid(), signal.SIGTERM)
    while not stop.flag:
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(60)
"""
    process = command("tests.support.script", code)
    _, errors = process.communicate(timeout=50)
    assert process.returncode == 130
    assert errors.splitlines()[-1] == "a second signal: stopped at once, without saving"
