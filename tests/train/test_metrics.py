"""The arithmetic of what a run reports."""

import json
import math
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jmed_jax.train import goodput, metrics
from jmed_jax.train.goodput import Goodput, read_goodput
from jmed_jax.train.metrics import MetricsLog, format_seconds, read_metrics
from tests import tiny


class Clock:
    """Stands for the module `time`: a second hand that the test moves."""

    time = staticmethod(lambda: 0.0)

    def __init__(self) -> None:
        self.now = 100.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(metrics, "time", clock)
    monkeypatch.setattr(goodput, "time", clock)
    monkeypatch.setattr(metrics, "device_peak_flops", lambda: (1e9, "test"))
    return clock


def make_log(run: Path, first_step: int = 0, bytes_per_target: float = 1.0, **train: object) -> MetricsLog:
    (run / "run.json").touch()
    return MetricsLog(run, tiny.experiment(**train), first_step, bytes_per_target, Goodput())  # type: ignore[arg-type]


def test_a_line_holds_what_its_step_did(tmp_path: Path, clock: Clock, capsys: pytest.CaptureFixture) -> None:
    log = make_log(tmp_path, bytes_per_target=2.5, steps=4)
    for step in (1, 2):
        clock.now += 0.5
        log.write(step, math.log(2) * 5, 100, 0.25, 1e-3, 7)
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
        "tokens_per_s_device": pytest.approx(tokens / 0.5 / 8),
        "mfu": pytest.approx(tokens / 0.5 * flops_per_token / 8e9),
        "skipped": 7,
    }
    header, *_, window, _ = capsys.readouterr().err.splitlines()
    assert header.startswith("MFU = tokens/s × (6·P + 6·L·T·N·H = ")
    assert header.endswith("FLOPs a token) / (8 × 1e+09 FLOP/s, test)")
    # Two steps of half a second are left of four: one second.
    assert window.startswith("step 2/4  loss 3.4657  bpb 2.000  lr 1.00e-03  grad 0.25  512 tok/s (64 a device)")
    assert "ETA 00:01  [start 100.0%]" in window


def test_a_line_is_on_disk_as_soon_as_it_is_written(tmp_path: Path, clock: Clock) -> None:
    log = make_log(tmp_path)
    clock.now += 1
    log.write(1, 1.0, 1, 1.0, 1.0)
    assert len(read_metrics(tmp_path)) == 1
    log.close()


@pytest.mark.usefixtures("clock")
def test_lines_behind_the_checkpoint_are_cut_and_half_a_line_too(tmp_path: Path) -> None:
    lines = [json.dumps({"step": step}) + "\n" for step in (1, 2, 3, 4)]
    for name in ("metrics.jsonl", "validation.jsonl"):
        (tmp_path / name).write_text("".join(lines) + '{"step": 2')
    make_log(tmp_path, 2).close()
    assert [line["step"] for line in read_metrics(tmp_path)] == [1, 2]
    assert (tmp_path / "validation.jsonl").read_text() == "".join(lines[:2])
    assert read_goodput(tmp_path)["steps_lost"] == 2


def test_a_loss_that_is_no_number_is_null(tmp_path: Path, clock: Clock) -> None:
    log = make_log(tmp_path)
    clock.now += 1
    log.write(1, math.nan, 1, math.inf, 1.0, 1)
    log.write(2, math.nan, 1, math.inf, 1.0, 2)
    log.close()
    text = (tmp_path / "metrics.jsonl").read_text()
    assert "NaN" not in text and "Infinity" not in text
    line = read_metrics(tmp_path)[0]
    assert (line["loss"], line["bits_per_byte"], line["grad_norm"]) == (None, None, None)


def test_a_rewind_cuts_the_lines_and_goes_on(tmp_path: Path, clock: Clock) -> None:
    log = make_log(tmp_path)
    for step in (1, 2, 3):
        clock.now += 1
        log.write(step, float(step), 1, 1.0, 1.0)
    log.go_back(1)
    clock.now += 1
    log.write(2, 9.0, 1, 1.0, 1.0)
    log.close()
    assert [(line["step"], line["loss"]) for line in read_metrics(tmp_path)] == [(1, 1.0), (2, 9.0)]


def events(run: Path) -> list[Any]:
    """Of all files, in the order of their making."""
    from tensorboardX.proto.event_pb2 import Event

    found = []
    for path in sorted((run / "tensorboard").iterdir(), key=lambda path: path.stat().st_mtime_ns):
        data = path.read_bytes()
        while data:
            # A record: its length in 8 bytes, a checksum of that in 4, the event, a checksum of that in 4.
            (length,) = struct.unpack("<Q", data[:8])
            found.append(Event.FromString(data[12 : 12 + length]))
            data = data[16 + length :]
    return found


@pytest.mark.usefixtures("clock")
def test_tensorboard_has_every_curve(tmp_path: Path) -> None:
    log = make_log(tmp_path)
    log.write(1, 1.5, 1, 1.0, 1.0)
    log.write_statistics(1, ["a/0", "a/1"], [[1, 2], [3, 4], [5, 6]])
    log.write_validation(1, {"loss": 2.5, "bits_per_byte": 1.0, "targets": 3.0, "rows": 4})
    log.close()
    values = {value.tag: value.simple_value for event in events(tmp_path) for value in event.summary.value}
    assert values.keys() >= set(metrics.CURVES) | {"validation_loss", "validation_bits_per_byte"}
    assert (values["loss"], values["validation_loss"], values["updates/a/1"]) == (1.5, 2.5, 4)


@pytest.mark.usefixtures("clock")
def test_tensorboard_hides_what_is_computed_again(tmp_path: Path) -> None:
    make_log(tmp_path, 0).close()
    make_log(tmp_path, 7).close()
    starts = [event.step for event in events(tmp_path) if event.HasField("session_log")]
    assert starts == [1, 8]


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


def test_the_peak_is_the_data_sheets_or_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    class Device:
        device_kind = "TPU v5 lite"
        platform = "tpu"

    monkeypatch.setattr(metrics.jax, "devices", lambda: [Device()])
    monkeypatch.setattr(metrics, "_measure_matmul_flops", lambda dtype: {"bfloat16": 1e12}[dtype.name])
    assert metrics.device_peak_flops() == (197e12, "data sheet of v5e")
    Device.device_kind = "NVIDIA H100 PCIe"
    assert metrics.device_peak_flops() == (1e12, "bfloat16 matrix product measured on this NVIDIA H100 PCIe")
