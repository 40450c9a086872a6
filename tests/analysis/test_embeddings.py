from pathlib import Path

import numpy as np
import pytest

from jmed_jax.analysis.embeddings import Term, TokenEmbeddings, parse_analogy
from jmed_jax.config import TokenizerConfig
from jmed_jax.errors import InputError
from jmed_jax.tokenizer.pretrained import PretrainedTokenizer
from jmed_jax.tokenizer.tokenizer import Tokenizer, train_tokenizer
from tests.tokenizer.conftest import TEXTS


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    out: Path = tmp_path_factory.mktemp("tokenizer") / "tokenizer"
    train_tokenizer(TEXTS, TokenizerConfig(vocab_size=400), out, dictionary=None)
    return Tokenizer.load(out)


@pytest.fixture
def embeddings(tokenizer: Tokenizer) -> TokenEmbeddings:
    matrix_VD = np.random.default_rng(0).normal(size=(tokenizer.base_vocab_size, 64))
    return TokenEmbeddings(tokenizer, matrix_VD)


def test_a_vector_is_the_mean_over_the_tokens(embeddings: TokenEmbeddings) -> None:
    ids = embeddings.tokenizer.encode("市中肺炎と診断")
    assert len(ids) > 1
    np.testing.assert_allclose(embeddings.vector("市中肺炎と診断"), embeddings.matrix_VD[ids].mean(axis=0), rtol=1e-6)


def test_a_term_is_nearest_to_itself_and_can_be_left_out(embeddings: TokenEmbeddings) -> None:
    vector = embeddings.vector("発熱")
    terms = ["咳嗽", "発熱", "高血圧症"]
    best = embeddings.nearest(vector, 3, among=terms)
    assert (best[0].text, best[0].similarity) == ("発熱", pytest.approx(1.0, abs=1e-6))
    assert [n.similarity for n in best] == sorted((n.similarity for n in best), reverse=True)
    assert "発熱" not in {n.text for n in embeddings.nearest(vector, 3, among=terms, exclude={"発熱"})}


def test_an_analogy_is_found_where_the_vectors_hold_it(embeddings: TokenEmbeddings) -> None:
    parts = {text: embeddings.vector(text) for text in ("浮腫", "下腿", "皮疹")}
    ids = embeddings.tokenizer.encode("発熱")
    embeddings.matrix_VD[ids] = parts["浮腫"] - parts["下腿"] + parts["皮疹"]
    vector = embeddings.combine(parse_analogy("浮腫 - 下腿 + 皮疹"))
    found = embeddings.nearest(vector, 1, among=["咳嗽", "発熱", "血圧"])
    assert found[0].text == "発熱"


def test_tokens_are_text_only(embeddings: TokenEmbeddings) -> None:
    texts = {n.text for n in embeddings.nearest(embeddings.vector("患者"), 400)}
    assert len(texts) > 50
    assert not {"\n", "<unk>", "<|end_of_text|>", "<0x41>"} & texts
    assert all(text.strip() and "\ufffd" not in text for text in texts)


def test_analogies_are_parsed() -> None:
    assert parse_analogy("脳出血 - 脳 + X-P") == [Term(1, "脳出血"), Term(-1, "脳"), Term(1, "X-P")]


@pytest.mark.parametrize("expression", ["", "脳", "脳 +", "脳 出血", "+ 脳 - 頭", "脳 + - 頭", "脳 - 頭 +"])
def test_what_is_no_analogy_is_refused(expression: str) -> None:
    with pytest.raises(InputError, match="expected terms with"):
        parse_analogy(expression)


def test_nothing_to_compare_with_is_refused(embeddings: TokenEmbeddings) -> None:
    with pytest.raises(InputError, match="nothing is left"):
        embeddings.vector("")
    with pytest.raises(InputError, match="candidates is empty"):
        embeddings.nearest(embeddings.vector("脳"), 1, among=[])


def test_a_latin_word_is_looked_up_as_it_stands_in_a_sentence(real_data: Path) -> None:
    tokenizer = PretrainedTokenizer.load(real_data / "qwen2_tokenizer")
    embeddings = TokenEmbeddings(tokenizer, np.random.default_rng(0).normal(size=(tokenizer.vocab_size, 8)))
    (cancer,) = tokenizer.encode(" cancer")
    assert len(tokenizer.encode("cancer")) == 2
    np.testing.assert_array_equal(embeddings.vector("cancer"), embeddings.matrix_VD[cancer])
    (blood,) = tokenizer.encode("出血")
    np.testing.assert_array_equal(embeddings.vector("出血"), embeddings.matrix_VD[blood])
    # The word asked with is left out with its space, and a space is seen.
    found = embeddings.nearest(embeddings.vector("cancer"), 2000, exclude={"cancer"})
    assert "␣cancer" not in {neighbour.text for neighbour in found}
    assert any(neighbour.text.startswith("␣") for neighbour in found)
