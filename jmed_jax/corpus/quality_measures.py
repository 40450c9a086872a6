"""How good a quality classifier is, what it would drop, and what it costs: enough to judge whether it pays.

The paper found its filter expensive and weak (arXiv 2412.16423 §2.1): 94 % of the labels are "high", so a classifier
that keeps everything is right 94 times in a hundred. Every figure stands beside that of doing nothing.

Axes: N held-out documents.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

THRESHOLD = 0.5
THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 20))
CURVE_POINTS = 101
MILLION = 1_000_000

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


def held_out_metrics(is_high_N: Bools, probability_N: Floats, length_N: NDArray[np.int64]) -> dict[str, Any]:
    """What the classifier gets right on documents it has not seen, beside what takes no classifier.

    Args:
        is_high_N: the annotators' label; both labels are among them.
        probability_N: P("high").
        length_N: characters.
    """
    from sklearn.metrics import balanced_accuracy_score, roc_auc_score

    kept_N = probability_N >= THRESHOLD
    majority = bool(is_high_N.mean() >= 0.5)
    # Longer or shorter texts may be the better ones.
    by_length = float(roc_auc_score(is_high_N, length_N))
    return {
        "documents": len(is_high_N),
        "accuracy": float((kept_N == is_high_N).mean()),
        "balanced_accuracy": float(balanced_accuracy_score(is_high_N, kept_N)),
        "roc_auc": float(roc_auc_score(is_high_N, probability_N)),
        "baselines": {
            "majority": {"accuracy": float((is_high_N == majority).mean()), "balanced_accuracy": 0.5, "roc_auc": 0.5},
            "length": {"roc_auc": max(by_length, 1 - by_length)},
        },
        "confusion": {
            "high_kept": int((is_high_N & kept_N).sum()),
            "high_dropped": int((is_high_N & ~kept_N).sum()),
            "low_kept": int((~is_high_N & kept_N).sum()),
            "low_dropped": int((~is_high_N & ~kept_N).sum()),
        },
    }


def roc_points(is_high_N: Bools, probability_N: Floats) -> dict[str, list[float]]:
    """The ROC curve of "high", in at most `CURVE_POINTS` points."""
    from sklearn.metrics import roc_curve

    false_positive, true_positive, _ = roc_curve(is_high_N, probability_N)
    places = np.unique(np.linspace(0, len(false_positive) - 1, CURVE_POINTS).round().astype(int))
    rates = {"false_positive_rate": false_positive, "true_positive_rate": true_positive}
    return {name: [round(float(value), 5) for value in values[places]] for name, values in rates.items()}


def threshold_table(is_high_N: Bools, probability_N: Floats, length_N: NDArray[np.int64]) -> list[dict[str, Any]]:
    """For every threshold: the shares of documents and characters dropped, and of each label among them.

    `dropped_low` is the share of what is dropped that annotators call low as well; None where nothing is dropped.
    """
    rows = []
    for threshold in THRESHOLDS:
        dropped_N = probability_N < threshold
        rows.append(
            {
                "threshold": threshold,
                "dropped_documents": float(dropped_N.mean()),
                "dropped_characters": float(length_N[dropped_N].sum() / length_N.sum()),
                "low_caught": float(dropped_N[~is_high_N].mean()),
                "high_lost": float(dropped_N[is_high_N].mean()),
                "dropped_low": float((~is_high_N[dropped_N]).mean()) if dropped_N.any() else None,
            }
        )
    return rows


# --- cost -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Prices:
    """In any one currency.

    Attributes:
        prompt, completion: of a million tokens that the annotator reads and writes.
        hour: of the machine that encodes and classifies, and of the annotator's where it is one's own.
    """

    prompt: float = 0.0
    completion: float = 0.0
    hour: float = 0.0
    annotator_hour: float = 0.0


def annotation_per_million(summaries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Seconds and tokens that each annotator takes for a million documents."""
    names = ("seconds", "prompt_tokens", "completion_tokens")
    return [
        {
            "annotator": summary["annotator"],
            "documents": summary["documents"],
            **{name: MILLION * summary[name] / max(1, summary["documents"]) for name in names},
        }
        for summary in summaries
    ]


def cost_per_million(record: Mapping[str, Any], prices: Prices) -> dict[str, Any]:
    """Prices of a million documents.

    Args:
        record: "annotation" (see `annotation_per_million`) and "classification" with its "seconds" per million.

    Returns:
        "annotation": a list; what labelling every document with the annotator itself would cost; "labels": what the
        labels that were made did cost; "classification": of a million documents, once the classifier is there.
    """
    annotation = [
        {
            "annotator": entry["annotator"],
            "cost": (entry["prompt_tokens"] * prices.prompt + entry["completion_tokens"] * prices.completion) / MILLION
            + entry["seconds"] * prices.annotator_hour / 3600,
        }
        for entry in record["annotation"]
    ]
    labels = sum(
        priced["cost"] * entry["documents"] / MILLION
        for priced, entry in zip(annotation, record["annotation"], strict=True)
    )
    seconds = record["classification"]["seconds"]
    return {"annotation": annotation, "labels": labels, "classification": seconds * prices.hour / 3600}


def verdict(record: Mapping[str, Any], cost: Mapping[str, Any]) -> list[str]:
    """What the figures say, in sentences: better than keeping everything or not, and at what price.

    Args:
        record: `quality.json`.
        cost: of `cost_per_million`.
    """
    held_out, corpus = record["held_out"], record["corpus"]
    majority = held_out["baselines"]["majority"]["accuracy"]
    gain = held_out["accuracy"] - majority
    row = next(row for row in record["thresholds"] if row["threshold"] == THRESHOLD)
    low = "nothing" if row["dropped_low"] is None else f"{row['dropped_low']:.1%} of those are low to the annotators"
    hours = record["per_million"]["classification"]["seconds"] * corpus["documents"] / MILLION / 3600
    price = cost["labels"] + cost["classification"] * corpus["documents"] / MILLION
    return [
        f"Accuracy {held_out['accuracy']:.3f}: {abs(gain):.3f} {'more' if gain > 0 else 'less'} than by keeping "
        f"everything ({majority:.3f}). ROC AUC {held_out['roc_auc']:.3f}; by the length of a text alone "
        f"{held_out['baselines']['length']['roc_auc']:.3f}.",
        f"At {THRESHOLD} it drops {row['dropped_documents']:.1%} of the documents ({row['dropped_characters']:.1%} of "
        f"the characters); {low}. It catches {row['low_caught']:.1%} of the low ones and loses "
        f"{row['high_lost']:.1%} of the high ones.",
        f"For all {corpus['documents']:,} documents: {hours:,.2f} hours to classify, {price:,.2f} with the labels.",
    ]
