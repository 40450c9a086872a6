"""Records merge to the same whatever the tasks, and survive being written."""

import json

from jmed_jax.corpus.record import EXAMPLES, PLACES, Examples, Problems, Records


def record_of(numbers: list[int]) -> Records:
    records = Records()
    for number in numbers:
        record = records["web" if number % 3 else "books"]
        text = "症" * (number + 1)
        record.read.add(text)
        record.cleaned.add(text)
        record.licenses["CC0"] += 1
        record.personal_data["e_mail"] += number % 2
        record.measure("too_short", number % 4)
        record.problems.add("not UTF-8", f"a.txt:{number:03d}")
        if number % 5:
            record.keep(f"web/{number}", text)
        else:
            record.drop("too_short", f"web/{number}", text, str(number))
    return records


def test_merging_gives_what_one_task_would_have_counted() -> None:
    numbers = list(range(100))
    merged = Records()
    for part in (numbers[:10], numbers[10:70], numbers[70:]):
        merged.merge(Records.from_json(json.loads(json.dumps(record_of(part).to_json()))))
    assert merged["web"].to_json() == record_of(numbers)["web"].to_json()
    assert merged["books"].to_json() == record_of(numbers)["books"].to_json()


def test_lengths_are_counted_by_powers_of_two() -> None:
    record = record_of([0, 1, 2, 3, 7, 8])["web"]
    assert record.to_json()["lengths"] == {"2": 2, "8": 2}


def test_examples_and_places_are_bounded() -> None:
    examples, problems = Examples(), Problems()
    for number in range(1000):
        examples.add(str(number), "症例" * 1000)
        problems.add("not JSON", f"a:{number}")
    assert len(examples.to_json()) == EXAMPLES
    assert max(len(example["text"]) for example in examples.to_json()) <= 300
    assert problems.to_json()["not JSON"]["count"] == 1000
    assert len(problems.to_json()["not JSON"]["places"]) == PLACES
