"""What a model card says."""

from pathlib import Path

from jmed_jax.convert.model_card import CARD, Provenance, Score, Stage, licence_of, write_model_card
from tests.tiny import MODEL


def card(out: Path, provenance: Provenance, **options: int) -> str:
    write_model_card(out, MODEL, provenance, **options)
    return (out / CARD).read_text(encoding="utf-8")


def test_a_card_lists_stages_with_steps_tokens_and_data(tmp_path: Path) -> None:
    stages = (
        Stage("mfpt", "all parameters", 5000, 1_310_720_000, 1e-5, ("wiki (CC-BY-SA-4.0)", "notes (unknown)")),
        Stage("mpeft", "LoRA of rank 16"),
    )
    text = card(tmp_path, Provenance("m", "Qwen2-7B-Instruct", "apache-2.0", stages))
    assert "| mfpt | all parameters | 5,000 | 1,310,720,000 | 1e-05 | wiki (CC-BY-SA-4.0); notes (unknown) |" in text
    assert "| mpeft | LoRA of rank 16 | not stated | not stated | not stated | not stated |" in text
    assert 'base_model: "Qwen2-7B-Instruct"\nlibrary_name: transformers' in text
    assert licence_of(tmp_path) == "apache-2.0"


def test_scores_have_their_interval_and_count_where_there_are_any(tmp_path: Path) -> None:
    scores = {
        "smdis kappa": Score(0.37, (0.15, 0.58), 60),
        "crade kappa": Score(0.5),
        "rrtnm kappa": Score(1.0, None, 7),
    }
    text = card(tmp_path, Provenance("m", scores=scores))
    assert (
        "| smdis kappa | 0.370 [0.150, 0.580] (n 60) |\n| crade kappa | 0.500 |\n| rrtnm kappa | 1.000 (n 7) |" in text
    )


def test_what_is_not_known_is_said(tmp_path: Path) -> None:
    text = card(tmp_path, Provenance("m"))
    for line in ("license: unknown", "trained from scratch or not stated", "None with jmed_jax.", "None were measured"):
        assert line in text
    assert "base_model" not in text and "not a medical device" in text


def test_an_adapter_s_card_is_of_an_adapter(tmp_path: Path) -> None:
    text = card(tmp_path, Provenance("m", "Qwen2-7B"), adapter=1234)
    assert "library_name: peft" in text and "An adapter of 1,234 parameters, beside a language model of" in text
