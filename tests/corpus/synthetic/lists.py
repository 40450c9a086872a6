"""Small invented term lists in the shapes of the published ones, and an independent reading of them."""

import csv
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import resources
from pathlib import Path

from jmed_jax.tokenizer.clean import clean

# Surface, code, standard name; every two names differ in their characters.
MANBYO = [
    ("空想熱", "A01", "空想熱"),
    ("砂丘病", "A010", "砂丘病"),
    ("霧笛麻疹", "A012", "霧笛麻疹"),
    ("月光炎", "A018", "月光炎"),
    ("鉄琴痛", "A019", "鉄琴痛"),
    ("羽衣腫", "A011", "羽衣腫"),
    ("虹色斑", "B350", "虹色斑"),
    ("金魚症", "B358", "金魚症"),
    ("風車咳", "J069", "風車咳"),
    ("頸飾腫瘍", "D487", "頚飾腫瘍"),
    ("頚飾腫瘍", "D487", "頚飾腫瘍"),
    ("綿雲めまい", "H81", "綿雲めまい"),
    ("石英結節", "E041", "石英結節"),
    ("夜汽車不眠", "G470", "夜汽車不眠"),
    ("灯台失神", "R55", "灯台失神"),
    ("凧揚骨折", "S2230", "凧揚骨折"),
    ("二重帳簿病", "E142,N083", "二重帳簿病"),
    ("空想熱の疑い", "A01", "空想熱"),
    ("意味不明の句", "-1", "-1"),
]
NANDO = [
    ("1", "designated_intractable", "鏡像失調症", "mirror ataxia", "鏡面病|ミラー・ナンド病", "1"),
    ("1-1", "designated_intractable", "鏡像性万華鏡病", "kaleidoscope disease", "万華病", "1"),
    ("2", "designated_intractable", "水琴窟難聴", "echo deafness", "こだま聾", "2"),
    ("3", "designated_intractable", "折紙皮膚炎", "origami dermatitis", "和紙皮膚", "3"),
    ("4", "designated_intractable", "花火脳症", "hanabi encephalopathy", "閃光脳", "4"),
    ("5", "designated_intractable", "積木骨異形成", "tsumiki dysplasia", "ブロック骨", "5"),
    ("6", "designated_intractable", "風鈴心筋症", "chime cardiomyopathy", "涼音心", "6"),
    ("7-1", "pediatric_chronic", "鏡像性万華鏡病", "kaleidoscope disease", "", "9"),
    ("2-1", "designated_intractable", "二股病", "", "", "2"),
    ("3-1", "designated_intractable", "二股病", "", "", "3"),
    ("7", "pediatric_chronic", "独楽症候群", "spinning top syndrome", "", "9"),
    ("1-2", "designated_intractable", "混合型", "mixed ataxia", "", "1"),
    ("8", "pediatric_chronic", "1から7までに掲げるもののほか、病気", "", "", "9"),
]
ICD10 = [("空想熱＜まぼろし＞", "A01$"), ("真菌の斑", "B35$"), ("石英結節の下位", "E041")]
PRICES = [
    ("内用薬", "1111001F1010", "アオゾリン塩酸塩", "１０ｍｇ１錠", "ソラリス錠１０ｍｇ"),
    ("内用薬", "1111001F1028", "アオゾリン塩酸塩", "１０ｍｇ１錠", "アオゾリン塩酸塩錠１０ｍｇ「架空」"),
    ("注射薬", "1111400A1010", "アオゾリン塩酸塩", "５ｍｇ１管", "ソラリス注５ｍｇ"),
    ("内用薬", "2221001F1010", "イロハプリル", "２ｍｇ１錠", "ニホヘト錠２ｍｇ"),
    ("注射薬", "3331400A1010", "ウタカタマブ（遺伝子組換え）", "１００ｍｇ１瓶", "バブリア点滴静注１００ｍｇ"),
    ("外用薬", "4441700M1010", "エニシダゾール", "１％１ｇ", "ハーブクリーム１％"),
    ("内用薬", "5551001F1010", "オリガミド", "３０ｍｇ１カプセル", "ツルカメカプセル３０ｍｇ"),
    ("外用薬", "6661700Q1010", "カラクサスタット", "０．１％１ｍＬ", "モンヨウ点眼液０．１％"),
    ("内用薬", "7771001F1010", "キツツキサバン", "１５ｍｇ１錠", "ドラム錠１５ｍｇ"),
    ("注射薬", "8881400A1010", "クモマシン", "１ｇ１瓶", "ソラノミネ静注用１ｇ"),
    ("内用薬", "9991001F1010", "ケシゴム配合剤", "１錠", "ブンボーグ配合錠"),
    ("外用薬", "1231700M1010", "コダマゾン", "０．０５％１ｇ", "ヤマビコ軟膏０．０５％"),
    ("内用薬", "3451001F1010", "サクラメチン", "５０ｍｇ１錠", "ハナミチ錠５０ｍｇ"),
]
GLOSSARY = [
    ("phantom fever", "空想熱"),
    ("phantom dune", "砂丘病"),
    ("dune fever", "風車咳"),
    ("dune nodule", "石英結節"),
    ("phantom nodule", "灯台失神"),
    ("fever nodule", "虹色斑"),
    ("measles", "霧笛麻疹"),
    ("foghorn measles", "霧笛麻疹"),
    ("infeotious moon", "月光炎"),
    ("iroha pril", "イロハプリル"),
]
LABELS = [("measles", "霧笛麻疹"), ("broad group of pain", "鉄琴痛")]

DISEASES = [*dict.fromkeys(standard for _, _, standard in MANBYO if standard != "-1"), *(row[2] for row in NANDO)]
DRUGS = list(dict.fromkeys(row[2] for row in PRICES))


def write_lists(folder: Path) -> Path:
    """Write all of them, and a list that says nothing."""
    folder.mkdir()
    _write(folder / "manbyo.csv", "surface,icd10,standard", MANBYO)
    _write(folder / "nando.csv", "id,kind,name_ja,name_en,synonyms_ja,notification_no", NANDO)
    _write(folder / "icd10.csv", "ICD名称,ICDコード", ICD10)
    _write(folder / "prices.csv", "kind,price_list_code,ingredient,specification,brand", PRICES)
    _write(folder / "glossary.csv", "en,ja", GLOSSARY)
    _write(folder / "labels.csv", "en_label,ja_label", LABELS)
    (folder / "topics_diseases.txt").write_text("\n".join(DISEASES), encoding="utf-8")
    return folder


def _write(path: Path, header: str, rows: Iterable[Iterable[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        stream.write(header + "\n")
        csv.writer(stream).writerows(rows)


# --- an independent reading -------------------------------------------------------------------------------------------


class Oracle:
    """Says whether an option answers a question, from rows of the lists and nothing else."""

    def __init__(
        self,
        manbyo: Iterable[tuple[str, str, str]],
        nando: Iterable[tuple[str, ...]],
        prices: Iterable[tuple[str, ...]],
        pairs: Iterable[tuple[str, str]],
    ) -> None:
        self.categories: dict[str, set[str]] = defaultdict(set)
        self.codes: dict[str, set[str]] = defaultdict(set)
        self.spellings: dict[str, set[str]] = defaultdict(set)
        for surface, code, standard in manbyo:
            if clean(surface) == clean(standard):
                self.categories[clean(surface)].update(part[:3] for part in code.split(",") if part)
                pointed = f"{code[:3]}.{code[3]}" if code[3:4].isdigit() else code[:3]
                self.codes[clean(surface)].add(pointed)
            self.spellings[clean(standard)].add(clean(surface))
        self.synonyms: dict[str, set[str]] = defaultdict(set)
        self.numbers: dict[str, set[str]] = defaultdict(set)
        self.kinds: dict[str, set[str]] = defaultdict(set)
        self.english = {(clean(ja), en.casefold()) for en, ja in pairs}
        self.designated: dict[str, str] = {}
        for identifier, kind, name, en, synonyms, number in nando:
            self.synonyms[clean(name)] |= {
                clean(part).strip() for part in re.split("[;；|／]", synonyms) if part.strip()
            }
            self.english.add((clean(name), en.casefold()))
            self.kinds[clean(name)].add(kind)
            if kind == "designated_intractable":
                self.numbers[clean(name)].add(number)
                if "-" not in identifier:
                    self.designated[number] = clean(name)
        self.ingredients: dict[str, set[str]] = defaultdict(set)
        self.routes: dict[str, set[str]] = defaultdict(set)
        self.specifications: dict[str, set[str]] = defaultdict(set)
        self.counts: dict[tuple[str, str], int] = defaultdict(int)
        for route, _, ingredient, specification, brand in prices:
            self.ingredients[clean(brand)].add(clean(ingredient))
            self.routes[clean(brand)].add(route)
            self.specifications[clean(brand)].add(clean(specification))
            self.counts[clean(ingredient), route] += 1

    def right_options(self, question: str, options: Iterable[str]) -> tuple[str, list[str]]:
        """The kind of the question, and the options that answer it."""
        ((kind, values),) = matches("exercises", question)
        return kind, [option for option in options if self._answers(kind, values, option)]

    def _answers(self, kind: str, values: dict[str, str], option: str) -> bool:
        left, _, right = option.partition(" ― ")
        name = values.get("name", "")
        match kind:
            case "category_of_name":
                return self.categories[name] == {option}
            case "name_of_category":
                return self.categories[option] == {values["category"]}
            case "same_category":
                return self.categories[option] == self.categories[name]
            case "outsider":
                return not self.categories[option] & self.categories[name]
            case "pair_category":
                return right in self.categories[left]
            case "english_of_name":
                return (name, option.casefold()) in self.english
            case "name_of_english":
                return (option, values["english"].casefold()) in self.english
            case "pair_english":
                return (left, right.casefold()) in self.english
            case "synonym":
                return option in self.synonyms[name]
            case "parent":
                return option in {self.designated[number] for number in self.numbers[name]}
            case "ingredient_of_brand":
                return option in self.ingredients[values["brand"]]
            case "brand_of_ingredient":
                return name in self.ingredients[option]
            case "pair_brand":
                return right in self.ingredients[left]
            case "route":
                return values["route"] in self.routes[option]
            case "specification":
                return option in self.specifications[values["brand"]]
        raise AssertionError(kind)


def small_oracle() -> Oracle:
    """The oracle of the invented lists."""
    return Oracle(MANBYO, NANDO, PRICES, [*GLOSSARY, *LABELS])


def matches(section: str, text: str) -> list[tuple[str, dict[str, str]]]:
    """The templates of which a text is an instance, and the values of their fields."""
    found = ((name, pattern.fullmatch(clean(text))) for name, pattern in _patterns(section))
    return [(name, match.groupdict()) for name, match in found if match]


@cache
def _patterns(section: str) -> list[tuple[str, re.Pattern[str]]]:
    file = resources.files("jmed_jax.corpus.synthetic").joinpath("templates.json")
    templates = json.loads(file.read_text(encoding="utf-8"))[section]
    return [
        (name, _pattern(variant))
        for name, variants in templates.items()
        for variant in ([variants] if isinstance(variants, str) else variants)
    ]


def _pattern(template: str) -> re.Pattern[str]:
    """Each field is a group; where it comes again it is the same text."""
    parts = re.split(r"\{(\w+)\}", clean(template))
    pattern = re.escape(parts[0])
    for place in range(1, len(parts), 2):
        field = parts[place]
        wanted = {"category": "[A-Z][0-9]{2}", "code": "[A-Z][0-9.]+"}.get(field, ".+")
        pattern += f"(?P={field})" if f"(?P<{field}>" in pattern else f"(?P<{field}>{wanted})"
        pattern += re.escape(parts[place + 1])
    return re.compile(pattern)


def sentences(text: str) -> Iterator[str]:
    """The sentences of a textbook section after its first line."""
    _, _, body = text.partition("\n\n")
    yield from re.findall("[^。]+。", body.replace("\n", ""))


def quoted(text: str) -> list[str]:
    """The names in 「」, which may hold others."""
    names, depth, start = [], 0, 0
    for place, character in enumerate(text):
        if character == "「":
            depth += 1
            start = place + 1 if depth == 1 else start
        elif character == "」":
            depth -= 1
            if depth == 0:
                names.append(text[start:place])
    return names
