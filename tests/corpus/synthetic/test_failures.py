import pytest

from jmed_jax.corpus.synthetic.failures import find_failure
from tests.corpus.synthetic.test_exercises import ASKED

SECTION = (
    "空想熱は、想像上の動物を見たあとに体温が上がる架空の疾患である。主な症状は微熱と微笑みで、診断には絵本の読み聞かせを用いる。"
    "治療は十分な午睡であり、多くは翌朝までに改善する。再発を防ぐには、就寝前の散歩を控えることが望ましい。"
)

LATER = (
    "経過中に笑いが止まらなくなる例もあるが、特別な処置を要しない。小児では成人より早く回復し、学校を休む必要はほとんどない。家族への"
    "説明では、空想が悪いことではないと伝える。診療録には見た動物の名前と色を記載しておくと、後の比較に役立つ。"
)
CHINESE = "空想熱是一種虚構的疾病、患者在看到想像中的動物之後体温升高、主要症状是微熱和微笑、治療方法是充分的午睡。"
ENGLISH = "Phantom fever (空想熱) is an invented disease of those who have seen an invented animal at night."


def reason(text: str, *, exercises: bool = False) -> str:
    failure = find_failure(text, ["空想熱", "まぼろし熱"], least_characters=60, exercises=exercises)
    return failure.reason if failure else ""


def test_a_good_answer_has_no_failure() -> None:
    assert reason(SECTION) == ""
    assert reason(SECTION.replace("空想熱", "まぼろし 熱")) == ""
    assert (
        reason(SECTION + LATER + "AIとしての読影支援は別に述べる。「申し訳ありません」と患者が言うこともある。") == ""
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("申し訳ありませんが、空想熱についてはお答えできません。" + SECTION, "refusal"),
        ("その内容にはお答えすることができません。" + SECTION, "refusal"),
        ("I'm sorry, but I can't help with that. " + SECTION, "refusal"),
        (SECTION + "私はAIとして診断できません。", "refusal"),
        (ENGLISH, "not Japanese"),
        (CHINESE + "夜間散歩可能引起再発、建議就寝前避免活動。", "not Japanese"),
        ("空想熱は架空の疾患である。", "too short"),
        (SECTION + "多くは翌朝までに改善する。" * 30, "repetition"),
        (SECTION.replace("空想熱", "砂丘病"), "off topic"),
        (SECTION[:-5], "truncated"),
    ],
)
def test_each_known_failure(text: str, expected: str) -> None:
    assert reason(text) == expected


def test_exercises_are_malformed_where_none_of_them_is_well_formed() -> None:
    text = ASKED.replace("次のうち", "空想熱の患者が見上げる空で、次のうち")
    assert reason(text, exercises=True) == ""
    assert reason(text + "\n問2 どれが重いか。\na. 羽\nb. 綿\n正解: a", exercises=True) == ""
    assert reason(text.replace("e. 泥", ""), exercises=True) == "malformed"
    assert reason(SECTION, exercises=True) == "malformed"
