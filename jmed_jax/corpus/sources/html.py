"""Web pages: bytes to characters, and the main text out of the markup."""

import codecs
import logging
import re
from itertools import chain

META_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w.:-]+)", re.IGNORECASE)
PRESCANNED = 4096
"""Bytes in which a page must name its charset; the standard says 1024, pages say otherwise."""
ALIASES = {
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "sjis": "cp932",
    "x-sjis": "cp932",
    "ms_kanji": "cp932",
    "windows-31j": "cp932",
    "x-euc-jp": "euc_jp",
}
"""What browsers read these as (encoding.spec.whatwg.org): Windows code page 932 has ① and 髙."""
CHARSET_NAME = re.compile(r"(utf-?(8|16)|iso|euc|windows|cp|koi8|gb|big5|us-ascii|latin)[\w-]*")
"""Python knows more codecs than there are charsets."""


def decode_page(payload: bytes, declared: str = "") -> str:
    """The characters of a page, of which the last may be cut off.

    UTF-8 goes first unless ISO-2022-JP, which is ASCII to the eye, is declared: bytes of another encoding are next to
    never valid UTF-8, while servers declare ISO-8859-1 for whatever they serve. Then come what the server declares,
    what the page declares, and EUC-JP and Shift_JIS; bytes that fit none become U+FFFD in the declared one.

    Args:
        declared: charset of the HTTP header, "" if there is none.
    """
    named = META_CHARSET.search(payload, 0, PRESCANNED)
    labels = [label.lower() for label in (declared, named[1].decode("ascii") if named else "") if label]
    known = [codec for label in labels if (codec := _codec(label))]
    first = [codec for codec in known if codec.startswith("iso2022")]
    for codec in chain(first, ["utf-8"], known, ["euc_jp", "cp932"]):
        try:
            return _decode(payload, codec, "strict")
        except UnicodeDecodeError:
            continue
    return _decode(payload, known[0] if known else "utf-8", "replace")


def _decode(payload: bytes, codec: str, errors: str) -> str:
    text = codecs.getincrementaldecoder(codec)(errors).decode(payload, final=False)
    return text.removeprefix("\ufeff").replace("\r\n", "\n")


def _codec(label: str) -> str:
    if label in ALIASES:
        return ALIASES[label]
    try:
        return codecs.lookup(label).name if CHARSET_NAME.fullmatch(label) else ""
    except LookupError:
        return ""


def extract_text(page: str) -> tuple[str, str]:
    """Title and main text of an HTML page, by trafilatura (ACL 2021, 2021.acl-demo.15); "" where there is none."""
    import trafilatura

    # It logs every page that it cannot make sense of.
    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)
    tree = trafilatura.load_html(page)
    if tree is None:
        return "", ""
    title = " ".join((tree.findtext(".//title") or "").split())
    text = trafilatura.extract(tree, favor_precision=True, include_comments=False)
    return title, text or ""
