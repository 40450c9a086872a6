"""Invented files in the layouts of the homes, for every set."""

import csv
import io
import json
import tarfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jmed_jax.fetch.catalogue import read_catalogue
from jmed_jax.fetch.convert import igakuqa, mmlu
from jmed_jax.fetch.convert.downloads import Downloads

Files = dict[str, bytes]
"""Path inside the home → content."""


def write(name: str, folder: Path, files: Mapping[str, bytes] | None = None) -> Downloads:
    """The files of a set on disk, each under its place, as `Downloads` that a converter reads."""
    files = files or SAMPLES[name]()
    paths = {}
    for upstream in read_catalogue()[name].upstream:
        path = folder / upstream.place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(files[upstream.path])
        paths[upstream.home, upstream.path] = path
    return Downloads(paths)


def json_lines(rows: Iterable[Mapping[str, Any]]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def table(rows: Iterable[Sequence[str]]) -> bytes:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(rows)
    return stream.getvalue().encode()


def exam_row(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "problem_id": name,
        "problem_text": "架空の問題はどれか。",
        "choices": ["甲", "乙", "丙", "丁", "戊"],
        "text_only": True,
        "answer": ["b"],
        "points": "1",
    } | changes


def igakuqa_files() -> Files:
    files = {"scripts/prompts/prompt_translate.jsonl": json_lines([{"problem_id": "100A1", "explanation": "架空"}])}
    for year, exam in igakuqa.EXAMS.items():
        for section in igakuqa.SECTIONS:
            name, start = f"{exam}{section}1", f"data/{year}/{exam}-{section}"
            files[f"{start}.jsonl"] = json_lines([exam_row(name), exam_row(f"{name}0", answer=["a or d"], points="3")])
            files[f"{start}_metadata.jsonl"] = json_lines([{"problem_id": name, "kinki": ["cde"]}])
            translation = {"problem_text_en": "Which is invented?", "choices_en": ["A", "B"], "answer": ["b"]}
            files[f"{start}_translate.jsonl"] = json_lines(
                [{"problem_id": name, **translation}, {"problem_id": f"{name}0", **translation}]
            )
            for system in igakuqa.SYSTEMS:
                rows = [{"problem_id": name, "prediction": "b", "explanation": "b"}]
                files[f"baseline_results/{year}/{exam}-{section}_{system}.jsonl"] = json_lines(rows)
    return files


def igakuqa119_files() -> Files:
    files = {}
    keys = [["問題番号", "解答"]]
    for section in "ABCDEF":
        rows = [
            {
                "number": f"119{section}1",
                "question": "架空の問題はどれか。2つ選べ。 ",
                "choices": ["a. 甲", "b. 乙 ", "c. 丙"],
                "has_image": section == "B",
            },
            {"number": f"119{section}75", "question": "求めよ。", "choices": [], "has_image": False},
        ]
        files[f"questions/119{section}_json.json"] = json.dumps(rows, ensure_ascii=False).encode()
        keys += [[f"119{section}1", "ac"], [f"119{section}75", "600"]]
    return files | {"results/correct_answers.csv": table(keys)}


def denqa_files() -> Files:
    rows = [exam_row("116A1"), exam_row("116A2", answer="NA")]
    return {"data/ja/DenQA/denqa.jsonl": json_lines(rows)}


def jjsimqa_files() -> Files:
    rows = [exam_row("107_1-0", answer=["d", ",", "e"], points=1.0, choices_orig="[甲,乙]")]
    return {"data/ja/JJSIMQA/jjsimqa.jsonl": json_lines(rows)}


def medmcqa_files() -> Files:
    row = {"problem_id": "0-1", "problem_text": "Invented?", "choices": list("wxyz"), "answer": ["c"], "points": 1}
    return {"data/en/MedMCQA/medmcqa.jsonl": json_lines([row])}


def medqa_files() -> Files:
    options = dict(zip("ABCDE", ["v", "w", "x", "y", "z"], strict=True))
    question = {"question": "Invented?", "answer": "x", "options": options, "meta_info": "step1", "answer_idx": "C"}
    fewer = {"problem_id": 0, "problem_text": "Invented?", "choices": ["w", "x", "y", "z"], "answer": ["b"]}
    dev = {"question": "Invented?", "options": ["A. v", "B. w. w", "C. x"], "answer": "w. w"}
    train = question | {"validated_category": "Diagnosis", "metamap_phrases": ["invented"]}
    return {
        "datasets/MedQA/test.jsonl": json_lines([question]),
        "data/en/MedQA-4op/medqa_en_4op.jsonl": json_lines([fewer]),
        "data/datasets/medqa_full_dev.json": json.dumps([dev]).encode(),
        "data/datasets/medqa_focused_1030.json": json.dumps([train]).encode(),
    }


def mmlu_rows(subject: str) -> list[list[str]]:
    """As many test questions as JMMLU's table of links speaks of; the answers A, B, C, D, A, … go round."""
    return [[f"{subject} {number}?", "w", "x", "y", "z", "ABCD"[number % 4]] for number in range(140)]


def mmlu_files() -> Files:
    files = {}
    for subject in mmlu.SUBJECTS:
        for split in ("test", "dev", "val"):
            files[f"data/{split}/{subject}_{split}.csv"] = table(mmlu_rows(subject))
    final = [
        {"problem_text": text, "choices": choices, "answer": [answer.lower()]}
        for subject in sorted(mmlu.REVISED)
        for text, *choices, answer in mmlu_rows(subject)
    ]
    return files | {mmlu.FINAL[1]: json_lines(final)}


def jmmlu_files() -> Files:
    """Of every subject the questions 1 to 30 of MMLU."""
    files = {f"data/test/{subject}_test.csv": table(mmlu_rows(subject)) for subject in mmlu.SUBJECTS}
    for subject in mmlu.SUBJECTS:
        rows = [[f"和訳 {row[0]}", " 甲", "乙 ", "丙", "丁", row[-1]] for row in mmlu_rows(subject)[1:31]]
        files[f"JMMLU/{subject}.csv"] = table(rows)
    return files


def jmed_llm_files() -> Files:
    files = {name: content for name, content in jmmlu_files().items() if "human" not in name}
    report = "以下の症例報告において、薬品名は？\n「架空の報告{}。\n薬を内服。」"
    for task in ("mrner_disease", "mrner_medicine", "nrner"):
        tag = "d" if task == "mrner_disease" else "m-key"
        files[f"datasets/{task}.csv"] = table(
            [["tag", "question", "answer"], [tag, report.format(0), "['薬', '内服']"]]
        )
    choice = ["tag", "question", "optionA", "optionB", "optionC", "answer"]
    asked = "「薬」が有害事象である可能性は？\n「架空の報告{}。」"
    for task in ("crade", "rrtnm", "smdis"):
        files[f"datasets/{task}.csv"] = table([choice, ["disease", asked.format(0), "ない", "ある", "", "B"]])
    files["datasets/jcsts.csv"] = table(
        [
            ["question", "optionA", "optionB", "answer"],
            ["類似度は？\nS1: 甲\nS2: 乙", "A. 同じ\nS1: 甲", "B. 違う", "A"],
        ]
    )
    known = ["anatomy", "和訳 anatomy 4？", "甲", "乙", "丙", "A"]
    files["datasets/jmmlu_med.csv"] = table([choice, known])
    whole = [["tag", "question", "answer"], ["d", report.format(0), "['薬']"]]
    whole += [[tag, report.format(number), "['薬']"] for number, tag in enumerate(["d", "m-key", "m-val"], start=1)]
    for name in ("CRNER", "RRNER", "NRNER"):
        files[f"datasets/all/{name}.csv"] = table(whole)
    for name in ("CRADE", "RRTNM", "SMDIS"):
        # The test question in other widths and punctuation, another one about its report, one about another report.
        rows = [asked.format("０").replace("？", "?"), asked.format(0).replace("薬", "別の薬"), asked.format(1)]
        files[f"datasets/all/{name}.csv"] = table([choice, *([["x", row, "ない", "ある", "", "A"] for row in rows])])
    files["datasets/all/JMMLU-Med.csv"] = table(
        [
            choice,
            known,
            ["anatomy", "和訳 anatomy 5?", "甲", "乙", "丙", "B"],
            ["anatomy", "未知", "甲", "乙", "丙", "B"],
        ]
    )
    return files


def qwen2_tokenizer_files() -> Files:
    model = {"model": {"vocab": {"!": 0, "Ġ": 1, "ĠĠ": 2}, "merges": ["Ġ Ġ"]}}
    content = json.dumps(model).encode()
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        member = tarfile.TarInfo("package/models/tokenizer.json")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return {"tokenizer-qwen2_5-3.7.2.tgz": stream.getvalue()}


def nando_entry(number: int, **changes: Any) -> dict[str, Any]:
    names = {"name_ja": f"空想病{number}", "name_en": f"Invented disease {number}", "synonyms_ja": []}
    return {"id": str(number), **names, "notification_no": str(number), "description": "", **changes}


def pediatric_files() -> Files:
    entries = [nando_entry(1, description="発熱が続く。"), nando_entry(2)]
    return {"data/shoman.json": json.dumps(entries).encode()}


def dictionary_files() -> Files:
    intractable = [nando_entry(7, synonyms_ja=["甲病", "乙病"])]
    columns = ["出現形", "ICDコード", "標準病名", "しゅつげんけい", "東大診療録頻度"]
    return {
        "backend/resource/dic.csv": table(
            [["空想熱", "R50", "空想熱"], ["架空疹", "-1", "-1"], ["空想熱", "R51", "熱"]]
        ),
        "flask/MANBYO_mini.txt": "\n".join(
            map("\t".join, [columns, ["空想熱", "R50", "空想熱", "くうそうねつ", "12"]])
        ).encode(),
        "data/nanbyo.json": json.dumps(intractable).encode(),
        **pediatric_files(),
        "icd.csv": table([["ICD名称", "ICDコード"], ["空想熱", "R50"]]),
        "EntityNormalizer/resources/MedDic-CANCER-ADE-JA_202306.csv": table([["出現形"], ["空想痛"]]),
        "EntityNormalizer/resources/MedDic-CANCER-DRUG-JA_202306.csv": table([["一般名"], ["カクウマブ"]]),
    }


SAMPLES: dict[str, Callable[[], Files]] = {
    "igakuqa": igakuqa_files,
    "igakuqa119": igakuqa119_files,
    "denqa": denqa_files,
    "jjsimqa": jjsimqa_files,
    "jmed_llm": jmed_llm_files,
    "mmlu": mmlu_files,
    "jmmlu": jmmlu_files,
    "medqa": medqa_files,
    "medmcqa": medmcqa_files,
    "dictionary": dictionary_files,
    "pediatric_chronic_diseases": pediatric_files,
    "qwen2_tokenizer": qwen2_tokenizer_files,
}
