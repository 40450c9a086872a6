"""Invented documents that pass every filter, none like another."""

import json
import random
from pathlib import Path
from typing import Any

_SUBJECTS = [
    "高血圧",
    "糖尿病",
    "気管支喘息",
    "肺炎",
    "心不全",
    "脳梗塞",
    "胃潰瘍",
    "関節リウマチ",
    "慢性腎臓病",
]
_ACTIONS = [
    "を指摘され、外来で経過をみていた",
    "と診断されたが、通院が途切れていた",
    "のため入院し、点滴で治療を受けた",
    "を疑われ、紹介されて受診した",
    "の治療を続けながら働いている",
]
_FINDINGS = [
    "採血では炎症反応が上がっていた",
    "胸部の写真に影が見られた",
    "心電図に変化はなかった",
    "腹部に軽い圧痛があった",
    "足にむくみが目立った",
    "意識ははっきりしていた",
]
_PLANS = [
    "薬を増やして様子をみることにした",
    "食事と運動について話をした",
    "翌週にもう一度来るよう伝えた",
    "専門の医師に相談する方針となった",
    "家族にも病状を説明した",
]


def document(seed: int, sentences: int = 6) -> str:
    """A few sentences of a made-up case, the same for the same seed."""
    draw = random.Random(seed)
    lines = [f"{draw.randint(20, 95)}歳の患者は{draw.choice(_SUBJECTS)}{draw.choice(_ACTIONS)}。"]
    while len(lines) < sentences:
        day, value = draw.randint(2, 60), draw.randint(100, 9999)
        lines.append(f"第{day}病日、{draw.choice(_FINDINGS)}(検体{value}番)。そこで{draw.choice(_PLANS)}。")
    return "".join(lines)


def write_jsonl(path: Path, texts: list[str], **fields: Any) -> Path:
    """A source of the texts, with ids by their place, a licence, and any other fields."""
    rows = [{"id": str(i), "text": text, "license": "CC0", **fields} for i, text in enumerate(texts)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path
