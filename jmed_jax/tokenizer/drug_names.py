"""Names of drugs out of the names of products: without maker, strength, dosage form and salt."""

import re

from jmed_jax.tokenizer.clean import clean

_MAKER = re.compile(r"「[^」]*」?|〔[^〕]*〕?|\([^)]*\)?|\[[^]]*\]?|\*")
_STRENGTH = re.compile(
    r"[0-9][0-9.,/×:]*( ?(mg|g|μg|kg|mL|L|%|単位|万単位|国際単位|mEq|mmol|ppm|cm)).*$|[0-9][0-9.,/:]*$"
)
_DOSAGE_FORM = re.compile(
    "(口腔内崩壊|OD|徐放|腸溶|チュアブル|舌下|バッカル|バイアル|シリンジ|キット|バッグ|ペン|オートインジェクター|カート|パッチ|"
    "分散|配合|糖衣|錠|カプセル|ドライシロップ|シロップ|DS|散|末|細粒|顆粒|内用液|内服液|内用|経口|輸液|液|ゼリー|フィルム|"
    "点滴静注用?|静注用?|皮下注用?|筋注用?|皮内注用?|注射用水?|注射液?|点滴用?|注|用|"
    "軟膏|クリーム|ローション|ゲル|外用|スプレー|点眼|点鼻|点耳|眼軟膏|吸入|エアー?|テープ|パップ|貼付|坐剤|坐薬|腟)$"
)
_SALT = re.compile(
    # Of a salt with several ions too: カナマイシン一硫酸塩.
    "([一二三四]?(塩酸塩|硫酸塩|リン酸塩|酢酸塩|酒石酸塩|クエン酸塩|マレイン酸塩|フマル酸塩|メシル酸塩|ベシル酸塩|トシル酸塩|臭化水素酸塩|"
    "コハク酸塩|硝酸塩|ナトリウム|カリウム|カルシウム|水和物|無水物))+$"
)


def without_maker(name: str) -> str:
    """The cleaned name without maker and remarks: 架空マブ（遺伝子組換え） → 架空マブ."""
    return _MAKER.sub("", clean(name)).strip()


def without_salt(name: str) -> str:
    """The name of the acid or base: 架空塩酸塩水和物 → 架空. A name that is only a salt stays."""
    return _SALT.sub("", name) or name


def brand_name(product: str) -> str:
    """The name without maker, strength and dosage form: エスタゾラム錠１ｍｇ「アメル」 → エスタゾラム."""
    name = _STRENGTH.sub("", without_maker(product))
    while len(shorter := _STRENGTH.sub("", _DOSAGE_FORM.sub("", name))) < len(name):
        name = shorter
    return name.strip()
