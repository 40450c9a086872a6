from dataclasses import replace
from pathlib import Path

import pytest

from jmed_jax.page.adaptation_page import AdaptationPage, Compared, write_adaptation_page
from jmed_jax.page.page import Sample, Stage
from tests.page.outline import ATTACK, Outline
from tests.page.pages import metrics_rows

LEARNED = Compared(
    "ICD-10 category", 400, 0.2, [0.2, 0.21, 0.41], [(0.16, 0.24), (0.17, 0.25), (0.362, 0.458)], [9, 3, 0]
)
AT_CHANCE = Compared("IgakuQA", 290, 0.2, [0.19, 0.2, 0.22], [(0.15, 0.23), (0.16, 0.24), (0.17, 0.27)], [0, 0, 0])


def page() -> AdaptationPage:
    answer = Sample("questions", "胃癌の分類は？", "C16", "C17", right=False)
    return AdaptationPage(
        title="jmed quickstart: JMedLLM",
        data_note="shared",
        synthetic=False,
        stages=[Stage("MFPT", 90.0, "61,440 tokens", "80 steps", 160.0), Stage("MPEFT", 5.0, "7 tokens", "", 8.0)],
        model={"Parameters": "19.6 million"},
        mfpt=metrics_rows(80),
        mpeft=metrics_rows(120),
        losses={
            "mfpt": {"first": 13.31, "last": 9.22, "first_tenth": 12.5, "last_tenth": 9.3},
            "mpeft": {"first": 10.31, "last": 4.7, "first_tenth": 6.98, "last_tenth": 4.76},
        },
        models=["Imported", "After MFPT", "After MPEFT"],
        compared=[LEARNED, AT_CHANCE],
        reload={"model-float32": 3e-6, "adapter": 4e-6, "model": 0.031},
        largest_logit=17.2,
        samples=[answer],
        answer=answer,
        commands=[("Train it", "jmed train …")],
    )


def written(page: AdaptationPage, directory: Path) -> Outline:
    write_adaptation_page(directory / "index.html", page)
    return Outline((directory / "index.html").read_text(encoding="utf-8"))


def test_everything_given_is_on_the_page(tmp_path: Path) -> None:
    outline = written(page(), tmp_path)
    for shown in (
        *("41.0 %", "36.2 to 45.8 %", "9 unreadable", "400", "IgakuQA", "290"),
        *("13.31", "9.22", "12.50", "9.30", "4.76", "bits per byte"),
        *(
            "3.0e-06",
            "3.1e-02",
            "which reach 17 here",
            "1 min 35 s",
            "2 min 48 s",
            "61,440 tokens",
            "胃癌の分類は？",
            "C17",
            "jmed train …",
        ),
        "Not a medical device",
    ):
        assert shown in outline.text, shown
    assert outline.faults == []


@pytest.mark.parametrize(("compared", "said"), [(LEARNED, "above a guess"), (AT_CHANCE, "not above a guess")])
def test_what_was_not_learned_is_said(tmp_path: Path, compared: Compared, said: str) -> None:
    text = written(replace(page(), compared=[compared]), tmp_path).text
    assert f"{compared.title}: {said}" in text
    # A share above a guess whose interval reaches down to it was not shown to be.
    assert ("not above" in text) == (compared is AT_CHANCE)


@pytest.mark.parametrize("synthetic", [True, False])
def test_made_up_questions_are_called_so(tmp_path: Path, synthetic: bool) -> None:
    assert ("made up by a program" in written(replace(page(), synthetic=synthetic), tmp_path).text) == synthetic


def test_model_output_stays_text(tmp_path: Path) -> None:
    attack = Sample("questions", ATTACK, ATTACK, ATTACK, right=False)
    outline = written(replace(page(), samples=[attack], answer=attack, data_note=ATTACK), tmp_path)
    assert not {"script", "img"} & set(outline.tags)
