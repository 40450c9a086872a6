"""The arithmetic of what a run reports."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from jmed_jax.train import metrics
from jmed_jax.train.metrics import MetricsLog, format_seconds, read_metrics
from tests import tiny


class Clock:
    """Stands for the module `time`: a second hand that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(metrics, "time", clock)
    monkeypatch.setattr(metrics, "device_peak_flops", lambda: (1e9, "test"))
    return clock


def test_a_line_holds_what_its_step_did(tmp_path: Path, clock: Clock, capsys: pytest.CaptureFixture) -> None:
    config = tiny.experiment(steps=4)
    log = MetricsLog(tmp_path, config, 0, bytes_per_target=2.5)
    for step in (1, 2):
        clock.now += 0.5
        log.write(step, math.log(2) * 5, 100, 0.25, 1e-3)
    log.close()
    lines = read_metrics(tmp_path)
    tokens = 8 * tiny.LENGTH
    # Eight devices of 1 GFLOP/s. P without the embedding: 2 layers × (2·(32·32 + 32·16) + 2·32·64 + 2·32), final
    # norm, head; attention 6·L·T·N·H.
    multiplying = 2 * (2 * (32 * 32 + 32 * 16) + 2 * 32 * 64 + 2 * 32) + 32 + 32 * 96
    flops_per_token = 6 * multiplying + 6 * 2 * 32 * 4 * 8
    assert lines[1] == {
        "step": 2,
        "loss": pytest.approx(math.log(2) * 5),
        "tokens": 2 * tokens,
        "targets": 100,
        "lr": 1e-3,
        "grad_norm": 0.25,
        # log2(e^loss) = 5 bits a target of 2.5 bytes.
        "bits_per_byte": pytest.approx(2.0),
        "tokens_per_s": pytest.approx(tokens / 0.5),
        "mfu": pytest.approx(tokens / 0.5 * flops_per_token / 8e9),
        "skipped": 0,
    }
    (window,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("step ")]
    # Two steps of half a second are left of four: one second.
    assert window.startswith("step 2/4  loss 3.4657  bpb 2.000  lr 1.00e-03  grad 0.25  512 tok/s")
    assert window.endswith("ETA 00:01")


def test_a_line_is_on_disk_as_soon_as_it_is_written(tmp_path: Path, clock: Clock) -> None:
    log = MetricsLog(tmp_path, tiny.experiment(), 0, 1.0)
    clock.now += 1
    log.write(1, 1.0, 1, 1.0, 1.0)
    assert len(read_metrics(tmp_path)) == 1
    log.close()


@pytest.mark.usefixtures("clock")
def test_lines_behind_the_checkpoint_are_cut_and_half_a_line_too(tmp_path: Path) -> None:
    lines = [json.dumps({"step": step}) + "\n" for step in (1, 2, 3, 4)]
    (tmp_path / "metrics.jsonl").write_text("".join(lines) + '{"step": 2')
    MetricsLog(tmp_path, tiny.experiment(), 2, 1.0).close()
    assert [line["step"] for line in read_metrics(tmp_path)] == [1, 2]


@pytest.mark.usefixtures("clock")
def test_tensorboard_events_are_written_beside(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path, tiny.experiment(), 0, 1.0)
    log.write(1, 1.0, 1, 1.0, 1.0)
    log.close()
    assert list((tmp_path / "tensorboard").glob("events.out.tfevents.*"))


def test_flops_of_the_paper_s_model_a_token() -> None:
    # 6·P without the token embedding, by hand, and attention over 2048 positions.
    layer = 2048 * (32 + 16) * 64 + 2048 * 2048 + 2 * 2048 * 8192 + 2 * 2048
    multiplying = 24 * layer + 2048 + 2048 * 32_768
    model = replace(
        tiny.MODEL,
        vocab_size=32_768,
        num_layers=24,
        hidden_size=2048,
        mlp_size=8192,
        num_heads=32,
        num_kv_heads=8,
        head_dim=64,
    )
    assert model.flops_per_token(2048) == 6 * multiplying + 6 * 24 * 2048 * 2048
    tied = replace(model, tie_embeddings=True)
    assert tied.flops_per_token(2048) == model.flops_per_token(2048), "a tied head multiplies too"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "00:00"),
        (59.6, "01:00"),
        (306, "05:06"),
        (3599, "59:59"),
        (3600, "1:00:00"),
        (86_399, "23:59:59"),
        (3 * 86_400 + 4 * 3600 + 5 * 60 + 6, "3d 04:05:06"),
    ],
)
def test_format_seconds(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


def test_peaks_are_found_by_the_longest_name_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    class Device:
        device_kind = "TPU v5 lite"

    monkeypatch.setattr(metrics.jax, "devices", lambda: [Device()])
    assert metrics.device_peak_flops() == (197e12, "data sheet of TPU v5 lite")
    Device.device_kind = "TPU v5p"
    assert metrics.device_peak_flops()[0] == 459e12
