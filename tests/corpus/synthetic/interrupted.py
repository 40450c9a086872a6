"""A run of the template generator, in a process that a test kills: `python -m … LISTS OUT LOG`."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from jmed_jax.corpus.synthetic.facts import read_facts
from jmed_jax.corpus.synthetic.synthesize import SynthesisConfig, synthesize
from jmed_jax.corpus.synthetic.writers import Answer, Request, TemplateWriter
from tests.corpus.synthetic.lists import DISEASES

CONFIG = SynthesisConfig("disease", "physician_exam", "{topic}の演習", "CC0", exercises=5)
TOPICS = [*DISEASES, "誰も知らない病"]


class SlowWriter(TemplateWriter):
    """Takes its time for a topic, and says which ones it was asked for."""

    batch_size = 2

    def __init__(self, lists: Path, log: Path, seconds: float) -> None:
        super().__init__(read_facts([lists]), kind="disease", task="physician_exam", exercises=5, seed=0)
        self.log = log
        self.seconds = seconds

    def write(self, requests: Sequence[Request]) -> list[Answer]:
        with self.log.open("a", encoding="utf-8") as stream:
            stream.writelines(f"{request.topic}\n" for request in requests)
        time.sleep(self.seconds)
        return super().write(requests)


def run(lists: Path, out: Path, log: Path, seconds: float = 0.0) -> None:
    synthesize(TOPICS, SlowWriter(lists, log, seconds), CONFIG, out, settings={})


if __name__ == "__main__":
    run(*map(Path, sys.argv[1:4]), seconds=0.03)
