"""What a translation would take, before anything is asked."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jmed_jax.evaluate.exams.question import Language, MultipleChoiceQuestion
from jmed_jax.instruct.translation_prompts import TranslationPrompt, translatable

CHARACTERS_A_TOKEN: Mapping[Language, float] = {"en": 4.0, "ja": 1.35}
"""Of byte-level BPE: Qwen2 needs 0.74 tokens a character of Japanese medical text."""
JA_PER_EN = 0.5
"""Characters of a Japanese text against its English translation: MMLU against JMMLU."""


@dataclass(frozen=True)
class Estimate:
    """Items, and tokens about; what is asked a second time comes on top."""

    items: int
    tokens_read: int
    tokens_written: int

    def cost(self, price: Sequence[float]) -> float:
        """In the currency of the prices, which are those of a million tokens read and written."""
        return (self.tokens_read * price[0] + self.tokens_written * price[1]) / 1e6

    def in_words(self, price: Sequence[float] | None = None) -> str:
        """One line for people."""
        cost = f", about {self.cost(price):,.2f} at that price" if price else ""
        return (
            f"{self.items:,} questions: about {self.tokens_read:,} tokens to read and {self.tokens_written:,} to write"
            f"{cost} (retries not counted)"
        )

    def to_json(self, price: Sequence[float] | None = None) -> dict[str, Any]:
        """The same for programs."""
        cost = {"cost": self.cost(price)} if price else {}
        return {"items": self.items, "tokens_read": self.tokens_read, "tokens_written": self.tokens_written, **cost}


def estimate(
    questions: Sequence[MultipleChoiceQuestion], prompts: Mapping[Language, TranslationPrompt], to: Language
) -> Estimate:
    """About how many tokens the translation of questions takes."""
    source: Language = "en" if to == "ja" else "ja"
    asked = [len(json.dumps(translatable(question), ensure_ascii=False)) for question in questions]
    # The instructions are English, whatever is translated.
    instructions = len(prompts[to].system) / CHARACTERS_A_TOKEN["en"]
    written = sum(asked) * (JA_PER_EN if to == "ja" else 1 / JA_PER_EN)
    return Estimate(
        items=len(questions),
        tokens_read=round(sum(asked) / CHARACTERS_A_TOKEN[source] + instructions * len(questions)),
        tokens_written=round(written / CHARACTERS_A_TOKEN[to]),
    )
