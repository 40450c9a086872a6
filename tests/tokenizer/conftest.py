"""One tiny dictionary and tokenizer for all tests of this directory."""

from pathlib import Path

import pytest

from jmed_jax.config import TokenizerConfig
from jmed_jax.tokenizer.dictionary import build_dictionary
from jmed_jax.tokenizer.tokenizer import Tokenizer, train_tokenizer

TEXTS = [
    "70歳男性。脳梗塞後遺症のためリバーロキサバン15mgを内服中である。\n主訴は発熱、咳嗽。体温38.5℃、血圧150/90mmHg。",
    "既往歴に高血圧症と2型糖尿病がある。HbA1c 6.5%で、食事療法を続けている。",
    "胸部CTで右下葉に浸潤影を認めた。市中肺炎と診断し、抗菌薬を開始した。\n\n第3病日に解熱し、退院した。",
    "The patient was treated with rivaroxaban. 患者は外来で経過観察とした。",
    "急性心筋梗塞に対し経皮的冠動脈形成術を行った。心電図でST上昇を認めた。",
    "診察では呼吸音に左右差なし。下腿に浮腫なし。皮疹なし。神経学的所見に異常なし。",
]
MANBYO = """surface,icd10,standard
脳梗塞後遺症,I693,脳梗塞後遺症
２型糖尿病,E11,２型糖尿病
急性心筋梗塞,I219,急性心筋梗塞
高血圧症,I10,高血圧症
穿孔所見,-1,-1
"""
DRUGS = """kind,price_list_code,ingredient,specification,brand,price_yen
内用薬,1,リバーロキサバン,１５ｍｇ１錠,リバーロキサバン錠１５ｍｇ「架空」,100
注射薬,2,架空マブ（遺伝子組換え）,５００ｍｇ５ｍＬ１瓶,カクウビ点滴静注５００ｍｇ,100
内用薬,3,架空塩酸塩水和物,５ｍｇ１錠,カクウジンＯＤ錠５ｍｇ,100
"""


@pytest.fixture(scope="session")
def lists(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of two term lists and a table that is none."""
    path = tmp_path_factory.mktemp("lists")
    (path / "manbyo.csv").write_text(MANBYO, encoding="utf-8")
    (path / "nhi.csv").write_text(DRUGS, encoding="utf-8")
    (path / "prices.csv").write_text("year,price\n2024,1\n", encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def dictionary(lists: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_dictionary([lists], tmp_path_factory.mktemp("dictionary") / "dictionary").path


@pytest.fixture(scope="session")
def tokenizer(dictionary: Path, tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    out = tmp_path_factory.mktemp("tokenizer") / "tokenizer"
    config = TokenizerConfig(vocab_size=400)
    return Tokenizer.load(train_tokenizer(TEXTS * 20, config, out, dictionary=dictionary).path)
