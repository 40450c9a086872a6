"""Bad input: exit code 2, one line that says where and what to do, nothing written."""

import errno
import io
import os
import shutil
import sys
from pathlib import Path

import pytest

from jmed_jax.cli import main
from tests.cli.conftest import CONFIG, Refuse, Workshop
from tests.evaluate.rows import exam_row, write_rows


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("nonsense", "invalid choice: 'nonsense'"),
        ("corpus", "COMMAND. See jmed corpus --help."),
        ("corpus build", "required: --out. See jmed corpus build --help."),
        ("corpus build --out out", "give SOURCE files or directories, or --config FILE, not both"),
        ("train --run run", "CONFIG. See jmed train --help."),
        ("train missing.py --run run", "missing.py: no such configuration file"),
        ("plan missing.py --device-memory-gib much", "'much' is not a number above 0"),
        ("generate --model nowhere 発熱", "nowhere: neither a run (run.json) nor a Hugging Face directory"),
        ("generate --model nowhere --max-new-tokens 0 発熱", "'0' is not a whole number from 1"),
        ("export hf --run nowhere --out out", "nowhere: neither a run"),
        ("import hf nowhere --out out", "nowhere: neither a run"),
        ("data sample --out out --model.vocab-size 5", "--model.vocab-size: only `jmed train` and `jmed plan`"),
        ("pack --mode fit --tokenizer t --corpus c --row-length 8 --out out", "--mode fit takes --conversations"),
        (
            "pack --mode documents --tokenizer t --corpus c --row-length 8 --holdout-share 0.1 --out out",
            "--holdout-share and --holdout-out belong together",
        ),
        ("evaluate score --task igaku --gold g --predictions p", 'no task "igaku". There are: '),
        ("evaluate run --model m --tasks , --data d --out out", "no task named"),
        ("tokenizer encode --tokenizer nowhere 発熱", "nowhere: no tokenizer here: neither jmed_tokenizer.json"),
        ("analyze analogy --model nowhere 脳 出血", "expected terms with + or - between them"),
    ],
)
def test_usage(arguments: str, message: str, refuse: Refuse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in refuse(*arguments.split())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("--train.stepz 5", "Unrecognized options: --train.stepz"),
        ("--optimiser.peak-lr 5", "Unrecognized options: --optimiser.peak-lr"),
        ("--train.log-every many", "Error parsing --train.log-every: invalid literal for int() with base 10: 'many'."),
        ("--mesh.mode zero9", "invalid choice 'zero9' for argument '--mesh.mode'. Expected one of ('ddp', 'zero2',"),
        ("--train.log-every", "Missing value for argument '--train.log-every'"),
        ("--train.log-every 0", "error: train.log_every must be positive, not 0."),
        ("--optimizer.warmup-steps 9", "error: optimizer.warmup_steps (9) exceeds train.steps (2)."),
        ("--lora.rank 4", "has no gate. Use --lora.targets q_proj,k_proj,v_proj,o_proj,up_proj,down_proj."),
        ("--steps 0", "argument --steps: '0' is not a whole number from 1"),
    ],
)
def test_overrides(override: str, message: str, refuse: Refuse, tmp_path: Path) -> None:
    (tmp_path / "tiny.py").write_text(CONFIG)
    assert message in refuse("train", tmp_path / "tiny.py", "--run", tmp_path / "run", *override.split())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def config():\n    return undefined\n", "NameError: name 'undefined' is not defined"),
        ("def config(:\n", "SyntaxError"),
        ("x = 1\n", "defines no config() function"),
        (CONFIG.replace("head_dim=8", "head_dim=7"), "tiny.py: model.head_dim must be even"),
    ],
)
def test_configuration_files(text: str, message: str, refuse: Refuse, tmp_path: Path) -> None:
    (tmp_path / "tiny.py").write_text(text)
    assert message in refuse("plan", tmp_path / "tiny.py")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"body": "発熱"}\n', ':1: no "text" field (found: body). Name the field with --text-field body.'),
        ('{"text": \n', "a.jsonl:1: not JSON, and no usable record in the file"),
        ('{"text": "発熱"}\n', "no document is left. Dropped: too_short 1"),
        ("", "no document is left"),
    ],
)
def test_sources(content: str, message: str, refuse: Refuse, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(content, encoding="utf-8")
    assert message in refuse("corpus", "build", tmp_path / "a.jsonl", "--out", tmp_path / "corpus")
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]


def test_a_vocabulary_larger_than_the_text_allows(refuse: Refuse, workshop: Workshop, tmp_path: Path) -> None:
    command = ("tokenizer", "train", "--corpus", workshop["corpus"], "--out", tmp_path / "tokenizer")
    assert "is the largest possible. Use --vocab-size" in refuse(*command, "--vocab-size", "30000")
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_exists(refuse: Refuse, workshop: Workshop) -> None:
    before = sorted((workshop.path / "corpus").iterdir())
    line = refuse("corpus", "build", workshop["sample/pretrain"], "--out", workshop["corpus"])
    assert "exists. Give another name, or --overwrite to replace it." in line
    assert sorted((workshop.path / "corpus").iterdir()) == before
    for command in (
        ("data", "sample"),
        ("data", "conversations", "--tasks", "jmed_llm", "--data", workshop["sample"]),
        ("export", "hf", "--run", workshop["run"]),
        ("import", "hf", workshop["run"]),
    ):
        assert "exists." in refuse(*command, "--out", workshop["corpus"])


def test_conversations_that_are_not_there(refuse: Refuse, workshop: Workshop, tmp_path: Path) -> None:
    fit = ("pack", "--mode", "fit", "--tokenizer", workshop["tokenizer"], "--row-length", "64")
    missing = tmp_path / "missing.jsonl"
    assert f"{missing}: no such file" in refuse(*fit, "--conversations", missing, "--out", tmp_path / "rows")
    assert not (tmp_path / "rows").exists()


def test_the_wrong_kind_of_directory(refuse: Refuse, workshop: Workshop, tmp_path: Path) -> None:
    command = ("pack", "--mode", "concat", "--row-length", "64", "--out", tmp_path / "rows")
    line = refuse(*command, "--tokenizer", workshop["tokenizer"], "--corpus", workshop["dictionary"])
    assert "this is a dictionary directory; a corpus directory is needed here" in line
    assert list(tmp_path.iterdir()) == []


def train(workshop: Workshop, run: str | Path, *more: str | Path) -> tuple[str | Path, ...]:
    return "train", workshop["tiny.py"], "--run", run, "--data.rows", workshop["rows"], *more


def test_a_truncated_shard(refuse: Refuse, workshop: Workshop, tmp_path: Path) -> None:
    shutil.copytree(workshop["rows"], tmp_path / "rows")
    shard = tmp_path / "rows" / "rows-00000.array_record"
    os.truncate(shard, shard.stat().st_size - 100)
    line = refuse(*train(workshop, tmp_path / "run", "--data.rows", tmp_path / "rows"))
    assert "rows-00000.array_record: " in line and "truncated or changed" in line
    assert not (tmp_path / "run").exists()


def test_a_run_of_another_configuration(refuse: Refuse, workshop: Workshop) -> None:
    line = refuse(*train(workshop, workshop["run"], "--optimizer.beta1", "0.5"))
    assert "a run of another configuration (optimizer.beta1 is 0.9 there and 0.5 here). Use another --run." in line


def test_rows_of_another_tokenizer(refuse: Refuse, workshop: Workshop, tmp_path: Path) -> None:
    conversations = ("--conversations", workshop["conversations.jsonl"])
    other = ("tokenizer", "train", "--corpus", workshop["corpus"], *conversations, "--num-sub-iterations", "1")
    assert main([*map(str, other), "--vocab-size", "1000", "--out", str(tmp_path / "other")]) == 0
    pack = ("pack", "--mode", "fit", "--tokenizer", tmp_path / "other", *conversations, "--row-length", "128")
    assert main([*map(str, pack), "--overlong", "truncate", "--out", str(tmp_path / "rows")]) == 0
    initialize = ("--train.initialize-from", workshop["run"], "--data.rows", tmp_path / "rows")
    line = refuse(*train(workshop, tmp_path / "run", *initialize))
    assert "trained with another tokenizer" in line


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["112A1"], "no prediction for 1 of 2 questions: 112A2"),
        (["112A1", "112A2", "112A3"], "112A3"),
        (["112A1", "112A2", "112A2"], "112A2"),
    ],
)
def test_prediction_ids(ids: list[str], message: str, refuse: Refuse, tmp_path: Path) -> None:
    gold = write_rows(tmp_path / "gold.jsonl", [exam_row("112A1"), exam_row("112A2")])
    predictions = write_rows(tmp_path / "p.jsonl", [{"problem_id": name, "prediction": "a"} for name in ids])
    line = refuse("evaluate", "score", "--task", "igakuqa", "--gold", gold, "--predictions", predictions)
    assert message in line and "p.jsonl" in line


def test_ids_that_are_none(refuse: Refuse, workshop: Workshop) -> None:
    line = refuse("tokenizer", "decode", "--tokenizer", workshop["tokenizer"], "5", "1003")
    assert "the command line: '1003' is no token id; they are whole numbers below 1003." in line


def test_standard_input_that_is_not_utf8(refuse: Refuse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("発熱\n".encode() + b"\xff\n")))
    assert "standard input: not UTF-8 after line" in refuse("corpus", "clean")


def test_a_prompt_is_needed(refuse: Refuse, monkeypatch: pytest.MonkeyPatch, workshop: Workshop) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert "no prompt" in refuse("generate", "--model", workshop["run"])


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "missing.py", "--debug"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("Traceback") and error.splitlines()[-1].startswith("error: missing.py: ")


def test_a_place_that_cannot_be_written(refuse: Refuse, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "file" in refuse("data", "sample", "--out", tmp_path / "file" / "sample")


def test_a_full_disk_leaves_nothing_under_its_final_name(
    refuse: Refuse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(directory: Path, **_: object) -> None:
        (directory / "half").write_bytes(b"1")
        raise OSError(errno.ENOSPC, "No space left on device", "whence", None, "whither")

    monkeypatch.setattr("jmed_jax.sample.generate.write_sample", fill)
    message = refuse("data", "sample", "--out", tmp_path / "sample")
    assert "whither: No space left on device. Nothing incomplete has its final name: make room" in message
    assert list(tmp_path.iterdir()) == []
