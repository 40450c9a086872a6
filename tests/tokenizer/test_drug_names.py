"""Products are stripped down to the name that stands in a record."""

import pytest

from jmed_jax.tokenizer.drug_names import brand_name, without_maker, without_salt


@pytest.mark.parametrize(
    ("product", "name"),
    [
        ("リバーロキサバン錠１５ｍｇ「架空」", "リバーロキサバン"),
        ("カクウビ点滴静注５００ｍｇ", "カクウビ"),
        ("カクウジンＯＤ錠５ｍｇ", "カクウジン"),
        ("カクウミン糖衣錠２５ｍｇ", "カクウミン"),
        ("カクウゾール輸液", "カクウゾール"),
        ("カクウマイ散５０％", "カクウマイ"),
        ("カクウシン注用１万単位", "カクウシン"),
        ("カクウテープ２０ｍｇ（架空製薬）", "カクウ"),
        ("錠", ""),
    ],
)
def test_a_brand_is_the_product_without_maker_strength_and_form(product: str, name: str) -> None:
    assert brand_name(product) == name


@pytest.mark.parametrize(
    ("substance", "name"),
    [
        ("架空塩酸塩水和物", "架空"),
        ("カクウマイシン一硫酸塩", "カクウマイシン"),
        ("カクウシン三リン酸二ナトリウム水和物", "カクウシン三リン酸"),
        ("カクウジン", "カクウジン"),
        ("硝酸塩", "硝酸塩"),
    ],
)
def test_a_salt_is_left_out_unless_nothing_else_is_there(substance: str, name: str) -> None:
    assert without_salt(substance) == name


def test_remarks_of_the_price_list_go() -> None:
    assert without_maker("架空マブ（遺伝子組換え）［架空マブ後続１］") == "架空マブ"
