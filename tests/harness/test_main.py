"""The harness's command line knows our model, and nothing of ours imports the harness unasked."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from jmed_jax.harness.__main__ import main
from jmed_jax.tokenizer.tokenizer import Tokenizer

HAS_HARNESS = importlib.util.find_spec("lm_eval") is not None


def test_importing_the_room_imports_no_harness() -> None:
    code = "import sys, jmed_jax.harness, jmed_jax.harness.__main__; assert 'lm_eval' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.skipif(HAS_HARNESS, reason="the harness is installed")
def test_without_the_harness_one_line_says_what_to_install(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--model", "jmed"]) == 2
    assert "pip install 'lm_eval" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(not HAS_HARNESS, reason="lm_eval is not installed: pip install 'lm_eval>=0.4.9'")
def test_the_command_line_runs_our_model(
    tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.harness.test_model import save_ours, write_tasks

    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    save_ours(tmp_path / "model", tokenizer)
    write_tasks(tmp_path)
    arguments = ["run", "--model", "jmed", "--model_args", f"path={tmp_path / 'model'}", "--tasks", "jmed_rolling"]
    assert main([*arguments, "--include_path", str(tmp_path), "--output_path", str(tmp_path / "out.json")]) == 0
    assert "jmed_rolling" in capsys.readouterr().out
    (results,) = tmp_path.glob("out*.json")
    assert json.loads(results.read_text(encoding="utf-8"))["results"]["jmed_rolling"]["word_perplexity,none"] > 1
