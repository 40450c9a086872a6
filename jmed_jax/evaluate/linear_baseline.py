"""What a linear model on characters reaches, fitted on the rows that language models are tuned on.

It has read nothing but them. Where it does well, the training rows give the test rows away (every tweet of SMDIS's test
set stands in its training rows under another disease), or counting characters is enough; a language model has to add to
that. Nothing here is tuned on test rows, and nothing is random.
"""

from collections.abc import Sequence

from jmed_jax.evaluate.linear_tagger import LinearTagger
from jmed_jax.evaluate.questions import ChoiceQuestion, ExtractionQuestion, Question

N_GRAMS = (1, 3)
"""Lengths of the runs of characters that count."""


def linear_predictions(questions: Sequence[Question], train: Sequence[Question]) -> list[str]:
    """The answers of one linear model for each tag, in the task's canonical form.

    Choice tasks: the letter, by ridge regression on the question's character n-grams (tf-idf), the letters weighted to
    be equally frequent, as they are in the test sets. Entity tasks: a tagger of characters. A tag without training rows
    gets the model of all tags.
    """
    assert train
    predictions: dict[str, str] = {}
    for tag in {_tag(question) for question in questions}:
        asked = [question for question in questions if _tag(question) == tag]
        rows = [row for row in train if _tag(row) == tag] or train
        predictions |= _letters(asked, rows) if isinstance(asked[0], ChoiceQuestion) else _entities(asked, rows)
    return [predictions[question.id] for question in questions]


def _tag(question: Question) -> str | None:
    assert isinstance(question, ChoiceQuestion | ExtractionQuestion), "examinations have no training rows"
    return question.tag


def _letters(questions: Sequence[Question], train: Sequence[Question]) -> dict[str, str]:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import RidgeClassifier

    answers = [row.answer for row in train if isinstance(row, ChoiceQuestion)]
    if len(set(answers)) == 1:
        return {question.id: answers[0] for question in questions}
    n_grams = TfidfVectorizer(analyzer="char", ngram_range=N_GRAMS, lowercase=False, sublinear_tf=True)
    classifier = RidgeClassifier(class_weight="balanced", solver="sparse_cg")
    classifier.fit(n_grams.fit_transform([row.text for row in train]), answers)
    found = classifier.predict(n_grams.transform([question.text for question in questions]))
    return {question.id: str(letter) for question, letter in zip(questions, found, strict=True)}


def _entities(questions: Sequence[Question], train: Sequence[Question]) -> dict[str, str]:
    rows = [row for row in train if isinstance(row, ExtractionQuestion)]
    tagger = LinearTagger([_report(row.text) for row in rows], [row.answers for row in rows])
    found = tagger.find([_report(question.text) for question in questions])
    return {question.id: str(strings) for question, strings in zip(questions, found, strict=True)}


def _report(text: str) -> str:
    # The first line asks; the report follows.
    return text.partition("\n")[2] or text
