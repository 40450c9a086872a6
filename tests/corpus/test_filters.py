"""The filters: what each keeps and drops, their thresholds, and what they leave of good and of bad text."""

import pickle
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from datatrove.data import Document
from datatrove.pipeline.filters.gopher_repetition_filter import find_duplicates

from jmed_jax.corpus import repetition
from jmed_jax.corpus.filters import Filter, default_filters
from jmed_jax.corpus.measures import adult_density
from jmed_jax.errors import InputError
from jmed_jax.jsonl import read_jsonl
from jmed_jax.tokenizer.clean import clean

GOOD = "患者は発熱と咳嗽を主訴に来院した。胸部CTで肺炎と診断し、抗菌薬を開始した。"
PAGE = "\n".join(
    [
        "高血圧症とは、くり返して測っても血圧が正常より高い状態をいう。",
        "自覚症状は乏しいが、放置すれば脳卒中や心筋梗塞、腎不全の危険が高まる。",
        "診断には診察室での測定に加えて、家庭での測定値を参考にする。",
        "まず減塩、減量、運動、節酒を勧め、それでも下がらなければ薬を用いる。",
        "第一選択薬はカルシウム拮抗薬、ARB、ACE阻害薬、利尿薬である。",
    ]
)


def document(text: str, **metadata: Any) -> Document:
    return Document(text, "source/1", metadata=metadata)


def by_name(**thresholds: float) -> dict[str, Filter]:
    return {filter_.name: filter_ for filter_ in default_filters(thresholds)}


def dropped_by(text: str, **metadata: Any) -> list[str]:
    """Names of all filters that drop the text."""
    return [f.name for f in default_filters() if f.drops(f.measure(document(text, **metadata)))]


@pytest.mark.parametrize(
    ("name", "dropped", "kept"),
    [
        ("too_short", "これは短い。", GOOD),
        ("not_japanese", "The patient was treated with antibiotics. 了解", "抗TNFα抗体(infliximab)を投与した。"),
        ("not_japanese", "1234 5678", "1234 です"),
        ("no_kana", "患者因肺炎入院治疗后出院随访观察", "患者は肺炎で入院し、治療後に退院した。"),
        ("symbols", "■■ 0120 == 2020/01/01 ** 123,456 -- 在庫 98 △ 12 %", "WBC 8,200/μL、Hb 12.3g/dL、CRP 0.4mg/dL"),
        ("boilerplate", "トップページ 会社概要 お問い合わせ 利用規約 山田商店", f"{GOOD}お問い合わせは窓口へ。"),
        ("boilerplate", "商品詳細 税込 1,980円 送料無料 在庫あり カートに入れる お気に入りに追加 レビューを書く", PAGE),
        ("boilerplate", "Cookieを使用しています。Copyright 山田商店 All Rights Reserved. 無断転載を禁じます。", PAGE),
        ("unfinished_sentences", "内科 外科 小児科 皮膚科 眼科 耳鼻咽喉科 整形外科 診療時間 休診日\n" * 5, GOOD),
        ("truncated", "検査の前に知っておきたいこと…\n健診の結果が届いたら 続きを読む\nかぜの季節に備えて\n", PAGE),
        ("duplicate_lines", "なし\nあり\nなし\nなし\nあり\n不明\nなし", PAGE),
        ("duplicate_line_characters", f"{GOOD}\n{GOOD}\n短い行である。", PAGE),
        ("duplicate_paragraphs", "甲\n\n乙\n\n甲\n\n乙\n\n丙", PAGE.replace("\n", "\n\n")),
        ("duplicate_paragraph_characters", f"{PAGE}\n\n別の段落である。\n\n{PAGE}", PAGE.replace("\n", "\n\n")),
        ("top_2_gram", "安い全身脱毛 人気の全身脱毛 銀座で全身脱毛と医療脱毛 学割の全身脱毛も全身脱毛", PAGE),
        ("top_4_gram", "札幌市中央区の歯医者なら札幌市中央区の歯医者ナビ。札幌市中央区の歯医者を検索。", PAGE),
        ("duplicate_5_grams", "東京で人気のクリニックを東京で人気のクリニックから。" * 5, PAGE),
        ("duplicate_10_grams", GOOD * 3, PAGE),
    ],
)  # fmt: skip
def test_each_filter_of_text(name: str, dropped: str, kept: str) -> None:
    filter_ = by_name()[name]
    assert filter_.drops(filter_.measure(document(dropped)))
    assert not filter_.drops(filter_.measure(document(kept)))


@pytest.mark.parametrize(
    ("name", "dropped", "kept"),
    [
        ("language_confidence", {"language_confidence": 0.61}, {"language_confidence": 0.93}),
        ("harmful_perplexity", {"harmful_pp": 12.5}, {"harmful_pp": 860.0}),
        ("blocked_category", {"categories": ["blog", "adult"]}, {"categories": ["sexual_education", "press"]}),
        ("quality_warnings", {"quality_warnings": ["tiny", "header", "footer"]}, {"quality_warnings": ["tiny"]}),
    ],
)  # fmt: skip
def test_each_filter_of_what_oscar_says(name: str, dropped: dict[str, Any], kept: dict[str, Any]) -> None:
    assert dropped_by(PAGE, **dropped) == [name]
    assert dropped_by(PAGE, **kept) == []
    assert dropped_by(PAGE, **dict.fromkeys(dropped)) == []


def test_good_text_passes_all_filters_in_their_order() -> None:
    assert dropped_by(GOOD) == dropped_by(PAGE) == []
    names = [filter_.name for filter_ in default_filters()]
    assert names[0] == "too_short"
    assert len(set(names)) == len(names)


def test_a_threshold_can_be_set_and_itself_is_kept() -> None:
    filters = by_name(too_short=100, symbols=0.05)
    assert filters["too_short"].threshold == 100
    assert filters["too_short"].drops(99)
    assert not filters["too_short"].drops(100)
    assert filters["symbols"].drops(0.051)
    assert not filters["symbols"].drops(0.05)
    assert filters["boilerplate"] == by_name()["boilerplate"]


def test_an_unknown_filter_is_an_error_that_names_the_known_ones() -> None:
    with pytest.raises(InputError, match=r'no filter is called "to_short"\. There are: too_short, .*adult'):
        default_filters({"to_short": 10})


def test_bins_are_half_open_between_rising_edges() -> None:
    for filter_ in default_filters():
        assert list(filter_.bins) == sorted(set(filter_.bins))
        assert filter_.bin(filter_.bins[0] - 1e-9) == 0
        assert filter_.bin(filter_.bins[0]) == 1
        assert filter_.bin(filter_.bins[-1]) == filter_.bin(float("inf")) == len(filter_.bins)
        assert "\n" not in filter_.description


def test_filters_can_be_sent_to_other_processes() -> None:
    for sent, filter_ in zip(pickle.loads(pickle.dumps(default_filters())), default_filters(), strict=True):
        assert (sent.name, sent.threshold, sent.bins) == (filter_.name, filter_.threshold, filter_.bins)
        assert sent.measure(document(PAGE)) == filter_.measure(document(PAGE))


def test_no_filter_fails_on_empty_or_strange_text() -> None:
    for text in ("", " ", "\n\n", "あ", "\ud800", "𠮷" * 40, "😀" * 40):
        for filter_ in default_filters():
            assert filter_.measure(document(text)) >= 0


# --- repetition -------------------------------------------------------------------------------------------------------


def test_duplicate_lines_and_paragraphs_agree_with_datatrove() -> None:
    generator = random.Random(0)
    for _ in range(50):
        lines = [generator.choice("あいうえお") * generator.randrange(1, 9) for _ in range(generator.randrange(1, 40))]
        number, characters = find_duplicates(lines)
        expected = pytest.approx(number / len(lines)), pytest.approx(characters / sum(map(len, lines)))
        lined, parted = document("\n".join(lines)), document("\n\n".join(lines))
        assert repetition.duplicate_line_fraction(lined) == expected[0]
        assert repetition.duplicate_line_character_fraction(lined) == expected[1]
        assert repetition.duplicate_paragraph_fraction(parted) == expected[0]
        assert repetition.duplicate_paragraph_character_fraction(parted) == expected[1]


@pytest.mark.parametrize("words", [1, 2, 3, 5, 10])
def test_ngrams_agree_with_counting_one_after_the_other(words: int) -> None:
    generator = random.Random(words)
    for length in (0, 1, 2 * words, 2 * words + 1, 50, 300):
        text = "".join(generator.choices(["肺炎を", "診断", "し", "た。", " ", "\n"], k=length))[:length]
        top, duplicate = _count_ngrams(text.replace(" ", "").replace("\n", ""), 2 * words)
        assert repetition.top_ngram_fraction(document(text), words) == pytest.approx(top)
        assert repetition.duplicate_ngram_fraction(document(text), words) == pytest.approx(duplicate)


def _count_ngrams(text: str, n: int) -> tuple[float, float]:
    if len(text) <= n:
        return 0.0, 0.0
    ngrams = [text[start : start + n] for start in range(len(text) - n + 1)]
    seen: set[str] = set()
    covered: set[int] = set()
    for start, ngram in enumerate(ngrams):
        if ngram in seen:
            covered.update(range(start, start + n))
        seen.add(ngram)
    return min(1.0, (max(Counter(ngrams).values()) - 1) * n / len(text)), len(covered) / len(text)


def test_work_on_a_very_long_document_is_bounded() -> None:
    generator = random.Random(0)
    text = "".join(chr(generator.randrange(0x4E00, 0x9FFF)) for _ in range(20_000)) + "病院を探す。\n" * 500_000
    for filter_ in default_filters():
        if filter_.name != "too_short":
            assert filter_.measure(document(text)) == filter_.measure(document(text[:20_000]))


# --- adult content ----------------------------------------------------------------------------------------------------

MEDICAL = """\
性器ヘルペスは単純ヘルペスウイルスによる性感染症で、外陰部に有痛性の水疱や潰瘍を生じる。
尿道炎の原因として淋菌とクラミジアがあり、排尿時痛と膿性の分泌物を認める。
乳房の視診と触診では、左右差、皮膚の陥凹、乳頭からの分泌物の有無を確かめる。
性交痛の原因には子宮内膜症、萎縮性腟炎、骨盤内の癒着がある。
陰茎の湾曲を主訴に受診し、ペロニー病と診断された。
経口避妊薬を服用中の女性では、静脈血栓塞栓症の危険が高まる。
性交歴を聴取するときは、相手の性別と人数、コンドームの使用の有無を尋ねる。
梅毒の第1期には、感染部位に硬性下疳と無痛性のリンパ節腫脹を認める。
勃起不全の治療にはPDE5阻害薬を用いるが、硝酸薬との併用は禁忌である。
早漏の患者には行動療法とともにSSRIを用いることがある。
射精障害の原因として、糖尿病による自律神経障害と前立腺の手術がある。
真性包茎では排尿障害や亀頭包皮炎をくり返すことがあり、手術を考える。
停留精巣は不妊と精巣腫瘍の危険因子であり、2歳までに精巣固定術を行う。
精巣捻転では突然の陰嚢痛を認め、6時間以内の手術が望まれる。
腟カンジダ症では外陰部の瘙痒と白色の帯下を認める。
細菌性腟症の診断にはAmselの基準を用いる。
子宮頸癌の原因はヒトパピローマウイルスであり、性交を経験する前のワクチン接種が勧められる。
性的虐待が疑われる小児では、全身の診察とともに性器と肛門の所見を記録する。
性暴力の被害者には、緊急避妊と性感染症の予防を速やかに行う。
乳癌の術後に、全乳房切除と同時に乳房再建を行った。
授乳中の乳頭の亀裂から細菌が入り、乳腺炎を起こすことがある。
マスターベーションによる刺激で血精液症をきたしたと考えられた。
持続勃起症は海綿体の虚血をきたすため、緊急に減圧する。
HIV感染症の感染経路は、性的接触、血液、母子感染の三つである。
不特定多数との性的接触があり、HIV抗体検査を希望して来院した。
性欲の低下は、うつ病、甲状腺機能低下症、高プロラクチン血症でみられる。
風俗店の利用から2週間後に、排尿時痛と尿道からの膿を自覚した。
性別違和の人に対するホルモン療法では、血栓症に注意する。
セックスレスは不妊症の相談で語られることの多い悩みである。
尖圭コンジローマは外陰部、肛門周囲に乳頭状の疣贅を多発する。
処女膜閉鎖症では、思春期に周期的な下腹部痛を訴え、月経血が腟に貯留する。
前立腺マッサージの後に得た圧出液の白血球数を数える。
成人の精巣上体炎では、性的活動の盛んな年齢ならクラミジアを考える。
膣内射精障害の背景には、誤った自慰の習慣があることが多い。
ミエロパチーによる勃起障害と排尿障害を認めた。アダルトスチル病との鑑別を要する。
トランスフェラーゼの上昇を認めた。NTRK1遺伝子の変異が見つかった。腹水(R18)を認めた。
""".splitlines()

ADULT = """\
人気AV女優の無修正動画が見放題、今すぐ登録
地域最大級の出会い系サイトで素敵なセフレを見つけよう
新宿の人妻デリヘルならおまかせ、在籍女性は百名以上
素人のエロ動画を毎日更新、スマホ対応で完全無料
即会いできる出会い掲示板、登録無料でご近所の相手が見つかる
巨乳の美女が揃うピンサロの口コミと割引情報
熟女好きのためのライブチャット、初回無料でお試し
アダルトグッズとラブドールの通販、無地の箱でお届けします
大人のおもちゃと媚薬の専門店
18禁のエロ漫画を無料で立ち読み
風俗求人の高収入バイト、未経験の女の子も歓迎
過激画像とお宝画像のまとめ、パンチラも多数
美少女動画とエロアニメの配信はこちら
チャットレディ募集、自宅で高収入バイト
回春エステと性感マッサージの人気店を紹介
ソープ嬢の体験入店レポートと優良風俗の一覧
ハメ撮りと個人撮影の新作をサンプル動画で
AVデビューした現役の女子大生の過激動画、独占配信
人妻との不倫を楽しむ裏垢の集まり
メンズエステと出張エステのランキング
エッチな熟女と話せるテレクラの新番組
盗撮動画と裏ビデオの販売、銀行振込可
絶倫になれる増大サプリの効果を検証
痴女ものの新作DVDとエロ画像を公開中
童貞狩りのお姉さんが待つエッチな掲示板
月額定額でアダルト動画とエロアニメがすべて見放題
着エロの人気アイドル、セクシーな新作
エロチャットで今すぐ会える相手を探す
パパ活アプリと援交の実態、登録無料
官能小説と成人向けの同人誌を多数掲載
デリバリーヘルスの割引と出勤情報
ヤリモクの男女が集まる出会いアプリ
セクシー女優の引退作とサンプル動画
""".splitlines()


def test_medical_text_about_sex_is_kept_and_adult_advertising_dropped() -> None:
    assert len(MEDICAL) >= 30
    assert len(ADULT) >= 30
    adult = by_name()["adult"]
    assert [text for text in MEDICAL if adult.drops(adult_density(document(text)))] == []
    assert [text for text in ADULT if not adult.drops(adult_density(document(text)))] == []
    # A page of such sentences is no other matter than one of them.
    assert adult_density(document("\n".join(MEDICAL))) < 1
    assert adult_density(document("\n".join(ADULT))) > 20


def test_a_katakana_or_latin_word_within_another_one_is_none() -> None:
    assert adult_density(document("ミエロパチー、トランスフェラーゼ、エロモナス、プレアダルト、CAV動画")) == 0
    assert adult_density(document("エロとフェラ、AV動画")) == 1000 * 7 / 500


def test_one_word_in_passing_does_not_make_a_text_adult() -> None:
    assert dropped_by(PAGE + "\n俳優は元AV女優との交際を認めた。") == []


# --- real text --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "least"),
    [("mhlw_intractable_diseases", 0.98), ("pediatric_chronic_diseases", 0.98), ("health_laws", 0.97)],
)
def test_medical_documents_are_kept(real_data: Path, name: str, least: float) -> None:
    texts = [clean(row["text"]).strip() for _, row in read_jsonl(real_data / "pretrain" / f"{name}.jsonl.gz")]
    assert sum(not dropped_by(text) for text in texts) >= least * len(texts)
