"""`jmed corpus annotate` and `jmed corpus quality`, from labels to a smaller corpus."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from jmed_jax.artifact import open_artifact
from jmed_jax.cli import main
from jmed_jax.corpus.documents import iter_documents
from tests.cli.conftest import Ask, Refuse, Workshop
from tests.corpus.texts import document, write_jsonl

ADVERTISEMENT = "送料は無料です。今すぐお申し込みください。"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    write_jsonl(folder / "web.jsonl", [document(n) + ADVERTISEMENT * (n % 3 == 0) for n in range(60)])
    assert main(["corpus", "build", str(folder / "web.jsonl"), "--out", str(folder / "corpus")]) == 0
    return folder / "corpus"


@pytest.fixture
def annotator(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server that calls advertisements low quality, and chatters at first about some."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    asked: set[str] = set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            question = body["messages"][-1]["content"]
            text = question.partition("<<<\n")[2].partition("\n>>>")[0]
            label = "低品質" if "無料" in text else "高品質"
            chatters = len(text) % 5 == 0 and text not in asked
            asked.add(text)
            message = {"content": f"この文書は{label}です。" if chatters else label}
            usage = {"prompt_tokens": 300, "completion_tokens": 3}
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"choices": [{"message": message}], "usage": usage}).encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_from_labels_to_a_smaller_corpus(
    ask: Ask,
    corpus: Path,
    annotator: str,
    workshop: Workshop,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    labels = tmp_path / "labels.jsonl"
    endpoint = ("--endpoint", annotator, "--endpoint-model", "org/judge")
    made = ask("corpus", "annotate", corpus, "--sample", "1000", *endpoint, "--out", labels)
    assert made["labels"] == {"high": 40, "low": 20, "none": 0}
    assert made["annotator"] == "org/judge"
    assert made["malformed"]["chatter"] > 0
    assert made["counts"]["requests"] == 60 + made["malformed"]["chatter"]

    # A second annotator, in a file of its own.
    rows = [json.loads(line) for line in labels.read_text(encoding="utf-8").splitlines()]
    rows[0]["label"] = "low" if rows[0]["label"] == "high" else "high"
    other = tmp_path / "other.jsonl"
    other.write_text("".join(json.dumps({"id": row["id"], "label": row["label"]}) + "\n" for row in rows))

    encoder = ("--encoder", workshop["run"], "--max-length", "256")
    quality = ("corpus", "quality")
    trained = tmp_path / "quality"
    ask(*quality, "train", corpus, "--labels", labels, other, *encoder, "--trees", "20", "--out", trained)
    capsys.readouterr()
    report = ask(*quality, "report", trained, "--price-prompt", "10", "--price-hour", "1")
    assert report["held_out"]["documents"] == 12
    assert report["labels"]["tied"] == 1
    assert report["agreement"][0]["equal"] == pytest.approx(59 / 60)
    assert report["cost"]["annotation"][0]["cost"] > 3000
    assert len(report["thresholds"]) == 19
    # No more than the model was trained on.
    assert report["encoder"]["max_length"] == 128

    out = tmp_path / "high"
    result = ask(*quality, "apply", corpus, "--quality", trained, *encoder, "--threshold", "0.5", "--out", out)
    assert result["counts"]["documents"] + result["counts"]["dropped"]["low_quality"] == 60
    kept = {row["id"] for row in iter_documents(out)}
    assert kept < {row["id"] for row in iter_documents(corpus)}
    assert open_artifact(out, "corpus").inputs.keys() == {"corpus", "quality"}


def test_the_report_is_readable(
    corpus: Path, workshop: Workshop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = tmp_path / "mine.jsonl"
    rows = [{"id": row["id"], "label": "low" if "無料" in row["text"] else "high"} for row in iter_documents(corpus)]
    labels.write_text("".join(json.dumps(row) + "\n" for row in rows))
    train = ["corpus", "quality", "train", corpus, "--labels", labels, "--encoder", workshop["run"]]
    assert main([str(word) for word in [*train, "--out", tmp_path / "quality"]]) == 0
    capsys.readouterr()
    assert main(["corpus", "quality", "report", str(tmp_path / "quality")]) == 0
    text = capsys.readouterr().out
    for part in ("12 held out", "majority", "length alone", "confusion", "low among dropped", "mine.jsonl", "hours"):
        assert part in text
    assert "keeping everything (0.667)" in text


def test_a_model_of_ours_annotates(ask: Ask, corpus: Path, workshop: Workshop, tmp_path: Path) -> None:
    options = ("--sample", "2", "--model", workshop["run"], "--max-new-tokens", "4", "--characters", "40")
    made = ask("corpus", "annotate", corpus, *options, "--retries", "0", "--out", tmp_path / "labels.jsonl")
    # It has hardly been trained, so it says nothing of use, and nothing is made of it.
    assert made["labels"] == {"high": 0, "low": 0, "none": 2}
    assert made["counts"]["prompt_tokens"] > 0


def test_our_vectors_are_means_of_hidden_states_whatever_the_batch(workshop: Workshop) -> None:
    import jax.numpy as jnp
    from flax import nnx

    from jmed_jax.language_model import load
    from jmed_jax.language_model.backend import OurEncoder
    from jmed_jax.models.decoder import abstract_parameters

    model = load(workshop["run"])
    texts = ["主訴は発熱。", document(1)]
    encoder = OurEncoder(model, max_length=128, batch_size=3)
    vectors_ND = encoder.encode([*texts, *texts, ""])[2:4]
    assert encoder.encode([]).shape == (0, 16)
    decoder = nnx.merge(abstract_parameters(model.config)[0], model.parameters)
    for text, vector_D in zip(texts, vectors_ND, strict=True):
        ids = [model.tokenizer.bos_id, *model.tokenizer.encode(text)][:128]
        hidden_BTD = decoder.transform(decoder.embed(jnp.asarray([ids]), jnp.float32))
        np.testing.assert_allclose(vector_D, hidden_BTD[0].mean(0), atol=1e-5)


# --- what is refused --------------------------------------------------------------------------------------------------


def test_a_model_has_to_be_named(refuse: Refuse, corpus: Path, tmp_path: Path) -> None:
    annotate = ("corpus", "annotate", corpus, "--out", tmp_path / "labels.jsonl")
    assert "no model" in refuse(*annotate)
    assert "--endpoint-model" in refuse(*annotate, "--endpoint", "http://localhost")
    assert "for --endpoint" in refuse(*annotate, "--model", tmp_path, "--max-requests", "3")
    assert "not allowed with" in refuse(*annotate, "--model", tmp_path, "--endpoint", "http://localhost")


def test_a_directory_without_a_model_is_named(refuse: Refuse, corpus: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    annotate = ("corpus", "annotate", corpus, "--out", tmp_path / "labels.jsonl")
    assert "no config.json" in refuse(*annotate, "--model", tmp_path)


def test_a_dead_endpoint_is_one_line(refuse: Refuse, corpus: Path, tmp_path: Path) -> None:
    options = ("--endpoint", "http://127.0.0.1:9", "--endpoint-model", "m", "--attempts", "1", "--sample", "3")
    assert "no connection" in refuse("corpus", "annotate", corpus, *options, "--out", tmp_path / "labels.jsonl")
    assert not (tmp_path / "labels.jsonl").exists()


def test_a_spent_budget_is_one_line_and_the_next_call_goes_on(
    ask: Ask, refuse: Refuse, corpus: Path, annotator: str, tmp_path: Path
) -> None:
    command = ("corpus", "annotate", corpus, "--sample", "20", "--out", tmp_path / "labels.jsonl")
    options = ("--endpoint", annotator, "--endpoint-model", "m", "--concurrency", "1")
    assert "budget is spent" in refuse(*command, *options, "--max-requests", "12")
    made = ask(*command, *options)
    assert made["documents"] == 20
    assert made["counts"]["requests"] < 20


@pytest.mark.parametrize("threshold", ["0", "1", "50%"])
def test_a_threshold_is_a_share(refuse: Refuse, corpus: Path, tmp_path: Path, threshold: str) -> None:
    options = ("--quality", tmp_path, "--encoder", tmp_path, "--threshold", threshold, "--out", tmp_path / "out")
    assert "between 0 and 1" in refuse("corpus", "quality", "apply", corpus, *options)


def test_no_classifier(refuse: Refuse, corpus: Path) -> None:
    assert "a quality directory is needed" in refuse("corpus", "quality", "report", corpus)
