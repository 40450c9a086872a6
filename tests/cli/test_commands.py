"""Every command does its work, and its last line is what it says."""

import dataclasses
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import jmed_jax
from jmed_jax.artifact import open_artifact
from jmed_jax.cli import main
from jmed_jax.config import ExperimentConfig
from jmed_jax.train import loop
from jmed_jax.train.metrics import read_metrics
from jmed_jax.train.run import open_run
from tests.cli.conftest import Ask, Workshop, run
from tests.corpus.texts import document
from tests.evaluate.rows import exam_row, write_rows

PROMPT = "主訴は発熱。"


def type_in(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))


def test_quickstart_names_its_page(ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr("jmed_jax.quickstart.quickstart", lambda *given: seen.append(given) or {"seconds": 1})
    assert ask("quickstart", "--out", tmp_path / "out", "--overwrite") == {"seconds": 1}
    assert seen == [(None, tmp_path / "out", True, "slm")]


def test_sample_is_the_same_twice_and_replaced_only_when_asked(ask: Ask, workshop: Workshop, tmp_path: Path) -> None:
    out = tmp_path / "sample"
    ask("data", "sample", "--out", out)
    (out / "extra").touch()
    ask("data", "sample", "--out", out, "--overwrite")
    assert not (out / "extra").exists()
    name = "jmed_llm/test/smdis.jsonl"
    assert (out / name).read_bytes() == (workshop.path / "sample" / name).read_bytes()


def test_conversations_are_counted_by_task(ask: Ask, workshop: Workshop, tmp_path: Path) -> None:
    out = tmp_path / "conversations.jsonl"
    result = ask(
        *("data", "conversations", "--tasks", "jmed_llm.smdis,jmed_llm.nrner", "--data", workshop["sample"]),
        *("--out", out, "--limit-per-task", "3"),
    )
    assert result["tasks"] == {"jmed_llm.smdis": 3, "jmed_llm.nrner": 3}
    assert len(out.read_text(encoding="utf-8").splitlines()) == result["conversations"] == 6


def test_artifacts_report_their_counts(ask: Ask, tmp_path: Path) -> None:
    source = tmp_path / "notes.jsonl"
    write_rows(source, [{"body": document(seed)} for seed in range(20)])
    result = ask("corpus", "build", source, "--text-field", "body", "--out", tmp_path / "corpus")
    assert result["counts"]["documents"] == 20
    assert result["fingerprint"] == open_artifact(tmp_path / "corpus", "corpus").fingerprint


def test_clean_is_a_filter(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    type_in(monkeypatch, "ＣＲＰ　ｱﾚﾙｷﾞｰ\n\n２行目\n")
    run("corpus", "clean")
    assert capsys.readouterr().out.splitlines() == ["CRP アレルギー", "", "2行目"]
    (tmp_path / "a.txt").write_text("ＣＴ\n", encoding="utf-8")
    run("corpus", "clean", tmp_path / "a.txt")
    assert capsys.readouterr().out == "CT\n"


def test_a_reader_that_leaves_early_is_no_error() -> None:
    # More than a pipe holds, so that the filter must notice that nobody reads any more.
    code = "import sys; from jmed_jax.cli import main; sys.exit(main(['corpus', 'clean']))"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin and process.stdout and process.stderr
        process.stdin.write("あ\n".encode() * 10)
        process.stdin.flush()
        process.stdout.close()
        try:
            process.stdin.write("あ\n".encode() * 100_000)
            process.stdin.close()
        except BrokenPipeError:
            process.stdin = None
        assert process.wait(timeout=30) == 0
        assert process.stderr.read() == b""


def test_tokenizer_encodes_and_decodes_lines(
    ask: Ask, workshop: Workshop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tokenizer = ("--tokenizer", workshop["tokenizer"])
    encoded = ask("tokenizer", "encode", *tokenizer, "--pieces", PROMPT)["texts"][0]
    assert "".join(encoded["pieces"]) == PROMPT
    type_in(monkeypatch, " ".join(map(str, encoded["ids"])) + "\n\n")
    assert ask("tokenizer", "decode", *tokenizer)["texts"] == [PROMPT, ""]
    run("tokenizer", "decode", *tokenizer, *map(str, encoded["ids"]))
    assert capsys.readouterr().out == PROMPT + "\n"


@pytest.mark.parametrize("source", ["corpus", "sample/pretrain/synthetic_records.jsonl.gz"])
def test_tokenizer_stats_read_corpora_and_files(source: str, ask: Ask, workshop: Workshop) -> None:
    stats = ask("tokenizer", "stats", "--tokenizer", workshop["tokenizer"], workshop[source])
    assert stats["characters_per_token"] > 1


def test_tokenizer_settings_reach_the_manifest(workshop: Workshop) -> None:
    tokenizer = open_artifact(workshop.path / "tokenizer", "tokenizer")
    assert (tokenizer.config["vocab_size"], tokenizer.config["num_sub_iterations"]) == (1000, 1)
    assert {"corpus", "dictionary"} <= tokenizer.inputs.keys()


def test_concat_rows_hold_the_unigram_pieces_only(ask: Ask, workshop: Workshop, tmp_path: Path) -> None:
    result = ask(
        *("pack", "--mode", "concat", "--tokenizer", workshop["tokenizer"], "--corpus", workshop["corpus"]),
        *("--row-length", "64", "--out", tmp_path / "rows"),
    )
    assert result["counts"]["rows"] > 1
    assert open_artifact(tmp_path / "rows", "rows").config["vocab_size"] == 1000


def test_train_takes_overrides_before_and_after_the_file(workshop: Workshop, ask: Ask, tmp_path: Path) -> None:
    result = ask(
        *("train", "--optimizer.peak-lr", "5e-4", workshop["tiny.py"], "--run", tmp_path / "run", "--steps", "3"),
        *(f"--data.rows={workshop['rows']}", "--mesh.data", "-1"),
    )
    assert result["steps"] == 3
    config = open_run(tmp_path / "run").config
    assert (config.optimizer.peak_lr, config.train.steps) == (5e-4, 3)


def test_train_echoes_the_configuration(workshop: Workshop, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["train", workshop["tiny.py"], "--run", str(tmp_path / "run"), "--optimizer.beta2", "0.9"])
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[0] for line in lines[:8]] == [field.name for field in dataclasses.fields(ExperimentConfig)]
    assert " beta2=0.9 " in lines[3]


def test_interrupted_training_says_how_to_go_on(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", workshop["tiny.py"], "--run", str(tmp_path / "run"), "--data.rows", workshop["rows"]]
    command += ["--steps", "4"]
    with monkeypatch.context() as patched:
        patched.setattr(loop.MetricsLog, "write", interrupt_after_writing(loop.MetricsLog.write))
        assert main(command) == 130
    assert "the same command goes on" in capsys.readouterr().err.splitlines()[-1]
    assert main(command) == 0
    assert [line["step"] for line in read_metrics(tmp_path / "run")] == [1, 2, 3, 4]


def interrupt_after_writing(write):  # type: ignore[no-untyped-def]
    import signal

    def write_and_interrupt(self: loop.MetricsLog, step: int, *values: float) -> None:
        write(self, step, *values)
        if step == 1:
            signal.raise_signal(signal.SIGINT)

    return write_and_interrupt


def test_evaluate_run_writes_scores(ask: Ask, workshop: Workshop, tmp_path: Path) -> None:
    command = ("evaluate", "run", "--model", workshop["run"], "--data", workshop["sample"], "--limit", "2")
    result = ask(*command, "--tasks", "jmed_llm.smdis,igakuqa", "--max-new-tokens", "2", "--out", tmp_path / "out")
    assert list(result["tasks"]) == ["jmed_llm.smdis", "igakuqa"]
    assert {"majority", "random"} <= result["tasks"]["jmed_llm.smdis"]["baselines"].keys()
    assert result["model"]["parameters"] == open_run(workshop.path / "run").config.model.num_parameters
    assert str(tmp_path) not in json.dumps(result["model"])


def test_evaluate_score_prints_the_score_alone(ask: Ask, tmp_path: Path) -> None:
    gold = write_rows(tmp_path / "gold.jsonl", [exam_row("112A1", points=3), exam_row("112A2", ("b",))])
    rows = [{"problem_id": "112A1", "prediction": "a"}, {"problem_id": "112A2", "prediction": "c"}]
    predictions = write_rows(tmp_path / "predictions.jsonl", rows)
    score = ask("evaluate", "score", "--task", "igakuqa", "--gold", gold, "--predictions", predictions)
    assert (score["task"], score["n"], score["points"], score["total"], score["accuracy"]) == ("igakuqa", 2, 3, 4, 0.5)
    assert score["groups"]["2018"]["points"] == 3


def test_published_points_are_reproduced(ask: Ask, real_data: Path) -> None:
    folder = real_data / "igakuqa"
    score = ask(
        *("evaluate", "score", "--task", "igakuqa", "--gold", folder / "ja", "--system", "gpt4"),
        *("--predictions", folder / "reference_predictions.jsonl"),
    )
    years = [score["groups"][year] for year in ("2018", "2019", "2020", "2021")]
    assert [f"{year['points']}/{year['total']}" for year in years] == ["382/499", "385/496", "387/496", "398/500"]


def test_generate_answers_every_line(ask: Ask, workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    type_in(monkeypatch, f"{PROMPT}\n咳嗽\n")
    command = ("generate", "--model", workshop["run"], "--max-new-tokens", "3")
    answers = ask(*command)
    assert answers["prompts"] == [PROMPT, "咳嗽"]
    assert ask(*command, PROMPT)["answers"] == answers["answers"][:1]
    assert len(ask(*command, "--chat", PROMPT)["answers"]) == 1


def test_chat_keeps_the_conversation(ask: Ask, workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    type_in(monkeypatch, "発熱です。\n\n咳もです。\n")
    messages = ask("chat", "--model", workshop["run"], "--system", "医師です。", "--max-new-tokens", "2")["messages"]
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "user", "assistant"]
    assert messages[3]["content"] == "咳もです。"


def test_export_and_import_keep_the_logits(ask: Ask, workshop: Workshop, tmp_path: Path) -> None:
    ask("export", "hf", "--run", workshop["run"], "--out", tmp_path / "model")
    imported = ask("import", "hf", tmp_path / "model", "--out", tmp_path / "imported")
    ids_BT = np.arange(64)[None]
    original, again = (jmed_jax.load(path) for path in (workshop.path / "run", tmp_path / "imported"))
    np.testing.assert_allclose(again.logits(ids_BT), original.logits(ids_BT), atol=1e-5)
    assert again.config.scale_embeddings
    assert imported["parameters"] == original.config.num_parameters
    ask(
        *("train", workshop["tiny.py"], "--run", tmp_path / "tuned", "--data.rows", workshop["rows"], "--steps", "1"),
        *("--train.initialize-from", tmp_path / "imported"),
    )


def test_plan_estimates_the_papers_model(ask: Ask) -> None:
    config = Path(__file__).parents[2] / "configs" / "ncvc_slm_1b.py"
    plan = ask("plan", config, "--device-memory-gib", "48")
    assert (plan["parameters"], plan["source"], plan["devices"]) == (1191282688, "estimated", 4)
    assert plan["fits"]
    assert ask("plan", config, "--devices", "8", "--mesh.data", "-1")["mesh"]["data"] == 2


def test_analyze_finds_neighbours(ask: Ask, workshop: Workshop, tmp_path: Path) -> None:
    model = ("--model", workshop["run"], "--count", "3")
    assert len(ask("analyze", "tokens", *model, "--nearest", "発熱")["neighbours"]) == 3
    (tmp_path / "terms.txt").write_text("発熱\n咳嗽\n頭痛\n", encoding="utf-8")
    result = ask("analyze", "analogy", *model, "--candidates", tmp_path / "terms.txt", "発熱", "-", "熱", "+", "痛")
    assert result["analogy"] == "発熱 - 熱 + 痛"
    assert {neighbour["text"] for neighbour in result["neighbours"]} == {"咳嗽", "頭痛"}


def test_a_failure_of_ours_shows_its_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(out: Path, **_: object) -> None:
        (out / "half").touch()
        raise RuntimeError("broken")

    monkeypatch.setattr("jmed_jax.sample.generate.write_sample", fail)
    assert main(["data", "sample", "--out", str(tmp_path / "sample")]) == 1
    error = capsys.readouterr().err
    assert "RuntimeError: broken" in error
    assert "report it" in error.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []
