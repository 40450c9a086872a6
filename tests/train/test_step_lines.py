from pathlib import Path

from jmed_jax.train.step_lines import StepLines, cut_after, has_step


def test_lines_are_there_at_once_and_together(tmp_path: Path) -> None:
    lines = StepLines(tmp_path / "a.jsonl", 0)
    lines.write({"step": 1, "name": "肺炎"})
    lines.write_all([{"step": 2, "task": "a"}, {"step": 2, "task": "b"}])
    assert (tmp_path / "a.jsonl").read_text(encoding="utf-8").count("\n") == 3
    lines.sync()
    lines.close()
    assert StepLines(tmp_path / "a.jsonl", 1).removed == 2
    assert (tmp_path / "a.jsonl").read_text(encoding="utf-8") == '{"step": 1, "name": "肺炎"}\n'


def test_half_a_line_is_no_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    assert cut_after(path, 3) == 0 and not has_step(path, 1)
    path.write_text('{"step": 1}\n{"step": 2')
    assert has_step(path, 1) and not has_step(path, 2)
    assert cut_after(path, 3) == 0
    assert path.read_text() == '{"step": 1}\n'
