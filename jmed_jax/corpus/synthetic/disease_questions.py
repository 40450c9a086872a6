"""Questions about a disease: its classification, its names, and what it belongs to."""

from collections.abc import Callable, Sequence
from random import Random

from jmed_jax.corpus.synthetic.exercises import Exercise
from jmed_jax.corpus.synthetic.facts import Disease, Facts, differ
from jmed_jax.corpus.synthetic.names import fold_spelling, overlap
from jmed_jax.corpus.synthetic.questions import CANDIDATES, WRONG, Question, Questions


class DiseaseQuestions(Questions):
    """Questions about one disease."""

    def __init__(self, random: Random, facts: Facts, disease: Disease) -> None:
        super().__init__(random)
        self.facts = facts
        self.disease = disease

    def kinds(self) -> list[Question]:
        """What can be asked, whether or not the lists hold enough for it."""
        kinds: list[Question] = []
        if self.disease.code:
            kinds += [self._category_of_name, self._name_of_category, self._same_category, self._outsider]
            kinds += [self._pair_category]
        if self.disease.english:
            kinds += [self._english_of_name, self._name_of_english, self._pair_english]
        if self.disease.synonyms:
            kinds += [self._synonym]
        if self.disease.parent[1]:
            kinds += [self._parent]
        return kinds

    # --- classification -----------------------------------------------------------------------------------------------

    def _category_of_name(self) -> Exercise | None:
        others = self._others(lambda other: bool(other.code))
        wrong = list(dict.fromkeys(other.category for other in others if other.category != self.disease.category))
        question = self.question("category_of_name", name=self.disease.name)
        return self.compose(question, self.disease.category, wrong, self._category(self.disease))

    def _name_of_category(self) -> Exercise | None:
        others = self._others(lambda other: bool(other.code))[:WRONG]
        question = self.question("name_of_category", category=self.disease.category)
        explanation = self._category(self.disease) + self._categories(others)
        return self.compose(question, self.disease.name, [other.name for other in others], explanation)

    def _same_category(self) -> Exercise | None:
        others = self._others(lambda other: bool(other.code))[:WRONG]
        fellows = [fellow for fellow in self._fellows() if all(differ(fellow, other) for other in others)]
        if not fellows:
            return None
        right = self.random.choice(fellows)
        question = self.question("same_category", name=self.disease.name)
        explanation = self._category(self.disease) + self._categories([right, *others])
        return self.compose(question, right.name, [other.name for other in others], explanation)

    def _outsider(self) -> Exercise | None:
        fellows, others = self._fellows(), self._others(lambda other: bool(other.code))
        if len(fellows) < WRONG or not others:
            return None
        wrong, right = self.random.sample(fellows, WRONG), others[0]
        question = self.question("outsider", name=self.disease.name)
        explanation = self._category(self.disease) + self._categories([right, *wrong])
        return self.compose(question, right.name, [other.name for other in wrong], explanation)

    def _pair_category(self) -> Exercise | None:
        others = self._others(lambda other: bool(other.code))[: WRONG + 1]
        shifted = [*others[1:], *others[:1]]
        pairs = [(one, other) for one, other in zip(others, shifted, strict=True) if one.category != other.category]
        wrong = [f"{one.name} ― {other.category}" for one, other in pairs[:WRONG]]
        question = self.question("pair_category")
        explanation = self._category(self.disease) + self._categories([one for one, _ in pairs[:WRONG]])
        return self.compose(question, f"{self.disease.name} ― {self.disease.category}", wrong, explanation)

    # --- names --------------------------------------------------------------------------------------------------------

    def _english_of_name(self) -> Exercise | None:
        others = self._others(self._has_other_english)[:WRONG]
        right = self.disease.english[0]
        question = self.question("english_of_name", name=self.disease.name)
        explanation = self._english(self.disease) + self._englishes(others)
        return self.compose(question, right, [other.english[0] for other in others], explanation)

    def _name_of_english(self) -> Exercise | None:
        others = self._others(self._has_other_english)[:WRONG]
        question = self.question("name_of_english", english=self.disease.english[0])
        explanation = self._english(self.disease) + self._englishes(others)
        return self.compose(question, self.disease.name, [other.name for other in others], explanation)

    def _pair_english(self) -> Exercise | None:
        others = self._others(self._has_other_english)[: WRONG + 1]
        pairs = [
            (one, other)
            for one, other in zip(others, [*others[1:], *others[:1]], strict=True)
            if differ(one, other) and not self.facts.glossary.may_mean(one.name, other.english[0])
        ]
        wrong = [f"{one.name} ― {other.english[0]}" for one, other in pairs[:WRONG]]
        question = self.question("pair_english")
        explanation = self._english(self.disease) + self._englishes([one for one, _ in pairs[:WRONG]])
        return self.compose(question, f"{self.disease.name} ― {self.disease.english[0]}", wrong, explanation)

    def _synonym(self) -> Exercise | None:
        others = self._others(lambda other: bool(other.synonyms))[:WRONG]
        right = self.random.choice(self.disease.synonyms)
        wrong = {other.name: self.random.choice(other.synonyms) for other in others}
        members = "、".join(self.explain("other_synonym", synonym=wrong[name], name=name) for name in wrong)
        explanation = self.explain("synonym", name=self.disease.name, synonym=right)
        explanation += self.explain("synonyms", members=members)
        return self.compose(self.question("synonym", name=self.disease.name), right, list(wrong.values()), explanation)

    def _parent(self) -> Exercise | None:
        number, parent = self.disease.parent
        own = {*self.disease.folded, fold_spelling(parent)}
        others = [
            name for name in self.facts.designated_diseases if not any(overlap(fold_spelling(name), one) for one in own)
        ]
        question = self.question("parent", name=self.disease.name)
        explanation = self.explain("parent", name=self.disease.name, parent=parent, number=number)
        return self.compose(question, parent, self.random.sample(others, min(WRONG, len(others))), explanation)

    # --- their parts --------------------------------------------------------------------------------------------------

    def _others(self, accept: Callable[[Disease], bool]) -> list[Disease]:
        """Diseases that are certainly others than this one, and others than each other."""
        pool = self.facts.coded_diseases if self.disease.code else self.facts.intractable_diseases
        chosen: list[Disease] = []
        for name in self.random.sample(pool, min(CANDIDATES, len(pool))):
            other = self.facts.disease(name)
            if other and accept(other) and all(differ(other, one) for one in (self.disease, *chosen)):
                chosen.append(other)
                if len(chosen) > WRONG:
                    break
        return chosen

    def _has_other_english(self, other: Disease) -> bool:
        own, glossary = self.disease, self.facts.glossary
        names = (own.name, *own.synonyms, *own.spellings)
        return (
            bool(other.english)
            and not any(glossary.may_mean(name, english) for name in names for english in other.english)
            and not any(glossary.may_mean(other.name, english) for english in own.english)
        )

    def _fellows(self) -> list[Disease]:
        """Diseases of the same category whose names do not give that away."""
        members = self.facts.by_category[self.disease.category]
        own = fold_spelling(self.disease.name)
        found = [self.facts.disease(name) for name in members if not overlap(fold_spelling(name), own)]
        return [fellow for fellow in found if fellow]

    def _category(self, disease: Disease) -> str:
        named = self.facts.category_names.get(disease.category, "")
        values = {"name": disease.name, "code": disease.code, "category": disease.category}
        template = ("whole_" if disease.code == disease.category else "") + ("category_named" if named else "category")
        return self.explain(template, **values, category_name=named)

    def _categories(self, diseases: Sequence[Disease]) -> str:
        members = [self.explain("member", name=one.name, category=one.category) for one in diseases]
        return self.explain("categories", members="、".join(members))

    def _english(self, disease: Disease) -> str:
        return self.explain("english", name=disease.name, english=disease.english[0])

    def _englishes(self, diseases: Sequence[Disease]) -> str:
        members = [self.explain("other_english", name=one.name, english=one.english[0]) for one in diseases]
        return self.explain("englishes", members="、".join(members))
