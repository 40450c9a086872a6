"""The conversion scripts as a job calls them."""

import importlib.util
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from jmed_jax.convert import peft
from jmed_jax.language_model import LanguageModel
from jmed_jax.tokenizer.tokenizer import Tokenizer
from tests import tiny
from tests.train.test_adapted_run import adapted

TOOLS = Path(__file__).resolve().parents[2] / "tools"
NAMES = ("import_hf", "export_hf", "merge_adapter", "verify")

Call = Callable[..., tuple[int, str, str]]


def tool(name: str) -> ModuleType:
    """A script as a module."""
    spec = importlib.util.spec_from_file_location(f"tools_{name}", TOOLS / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    """Run a script: exit code, standard output, standard error."""

    def call(name: str, *arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, arguments)])
        capsys.readouterr()
        code = tool(name).main()
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def base(tokenizer: Tokenizer, tmp_path: Path) -> Path:
    config = replace(tiny.MODEL, vocab_size=tokenizer.vocab_size, gated_mlp=True, scale_embeddings=False)
    model = LanguageModel(config, LanguageModel.random(config).parameters, tokenizer, "tiny")
    return model.save_hf(tmp_path / "base", dtype="bfloat16")


def test_a_model_goes_through_all_of_them(base: Path, tmp_path: Path, call: Call) -> None:
    run, back, mpeft = tmp_path / "run", tmp_path / "back", tmp_path / "mpeft"
    assert call("import_hf", base, "--out", run)[0] == 0
    assert call("export_hf", run, "--out", back)[0] == 0
    code, output, _ = call("verify", base, back, "--json")
    assert code == 0 and output.splitlines()[-2] == "equal"
    assert json.loads(output.splitlines()[-1])["equal"] is True

    adapted(run, mpeft)
    assert call("export_hf", mpeft, "--adapter", "--out", tmp_path / "adapter")[0] == 0
    assert (tmp_path / "adapter" / "README.md").is_file()
    code, output, _ = call(
        "merge_adapter", tmp_path / "adapter", "--base", base, "--out", tmp_path / "merged", "--json"
    )
    assert code == 0 and json.loads(output.splitlines()[-1])["out"] == str(tmp_path / "merged")
    assert call("verify", mpeft, tmp_path / "merged")[0] == 0
    assert call("verify", tmp_path / "adapter", tmp_path / "merged", "--first-base", base)[0] == 0
    code, output, error = call("verify", base, tmp_path / "merged", "--show", "3", "--json")
    assert code == 1 and error == "" and "different" in output.splitlines()
    found = json.loads(output.splitlines()[-1])
    # Fourteen linear layers, all of them adapted.
    assert len(found["differences"]) == 14 and not found["equal"] and found["differences"][0]["largest"] > 0
    assert sum("proj.weight" in line for line in output.splitlines()[:-1]) == 3


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("import_hf", ("nowhere", "--out", "out"), "nowhere: neither a run"),
        ("import_hf", ("base",), "required: --out. See import_hf.py --help."),
        ("export_hf", ("nowhere", "--out", "out"), "nowhere: neither a run"),
        ("export_hf", ("base", "--adapter", "--out", "out"), "no run.json here"),
        ("export_hf", ("base", "--adapter", "--base", "b", "--out", "out"), "leave out --base"),
        ("merge_adapter", ("base", "--base", "base", "--out", "out"), "base: no adapter here"),
        ("merge_adapter", ("peft", "--out", "out"), "its base some/base is not there. Say where it is: --base DIR"),
        ("verify", ("base", "nowhere"), "nowhere: neither a run"),
        ("verify", ("base", "base", "--second-base", "base"), "base: not an adapter, so it has no base"),
        ("verify", ("base", "base", "--tolerance", "-1"), "'-1' is not a number from 0"),
        ("verify", ("base", "base", "--tolerance", "nan"), "'nan' is not a number from 0"),
    ],
)
@pytest.mark.usefixtures("base")
def test_bad_input_is_one_line_and_nothing_is_written(
    name: str,
    arguments: tuple[str, ...],
    message: str,
    tmp_path: Path,
    call: Call,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "peft").mkdir()
    (tmp_path / "peft" / peft.CONFIG).write_text(
        '{"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"], '
        '"base_model_name_or_path": "some/base"}'
    )
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    code, output, error = call(name, *arguments)
    assert code == 2 and output == ""
    assert error.startswith("error: ") and error.count("\n") == 1 and message in error
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("name", NAMES)
def test_help_has_an_example(name: str, call: Call) -> None:
    code, output, _ = call(name, "--help")
    assert code == 0 and f"python tools/{name}.py" in output
