"""Questions about an ingredient: its products, their routes and specifications, and its English name."""

from collections.abc import Callable, Iterator, Sequence
from random import Random

from jmed_jax.corpus.synthetic.exercises import Exercise
from jmed_jax.corpus.synthetic.facts import Drug, Facts, Product, drugs_differ
from jmed_jax.corpus.synthetic.names import fold
from jmed_jax.corpus.synthetic.questions import CANDIDATES, WRONG, Question, Questions
from jmed_jax.corpus.synthetic.textbook import has_own_name


class DrugQuestions(Questions):
    """Questions about one ingredient of the drug price list."""

    def __init__(self, random: Random, facts: Facts, drug: Drug) -> None:
        super().__init__(random)
        self.facts = facts
        self.drug = drug

    def kinds(self) -> list[Question]:
        """What can be asked, whether or not the lists hold enough for it."""
        kinds: list[Question] = [self._route, self._specification]
        if any(has_own_name(product, self.drug) for product in self.drug.products):
            kinds += [self._ingredient_of_brand, self._brand_of_ingredient, self._pair_brand]
        if self.drug.english:
            kinds += [self._english_of_name, self._name_of_english]
        return kinds

    def _ingredient_of_brand(self) -> Exercise | None:
        brand = self._product(self.drug).brand
        wrong = [drug.name for drug, _ in self._others()]
        question = self.question("ingredient_of_brand", brand=brand)
        return self.compose(question, self.drug.name, wrong, self._ingredient(brand))

    def _brand_of_ingredient(self) -> Exercise | None:
        brand, others = self._product(self.drug).brand, self._others()
        question = self.question("brand_of_ingredient", name=self.drug.name)
        explanation = self._ingredient(brand) + self._ingredients(others)
        return self.compose(question, brand, [product.brand for _, product in others], explanation)

    def _pair_brand(self) -> Exercise | None:
        brand, others = self._product(self.drug).brand, self._others(count=WRONG + 1)
        shifted = [*others[1:], *others[:1]]
        wrong = [
            f"{product.brand} ― {other.name}"
            for (drug, product), (other, _) in zip(others, shifted, strict=True)
            if drugs_differ(drug, other)
        ]
        question = self.question("pair_brand")
        explanation = self._ingredient(brand) + self._ingredients(others[:WRONG])
        return self.compose(question, f"{brand} ― {self.drug.name}", wrong, explanation)

    def _route(self) -> Exercise | None:
        product = self._product(self.drug)
        if self.facts.routes(product.brand) != {product.route}:
            return None
        others = self._others(lambda other: other.route != product.route and len(self.facts.routes(other.brand)) == 1)
        members = [self.explain("other_route", brand=other.brand, route=other.route) for _, other in others]
        explanation = self.explain("route", brand=product.brand, name=self.drug.name, route=product.route)
        explanation += self.explain("routes", members="、".join(members))
        question = self.question("route", route=product.route)
        return self.compose(question, product.brand, [other.brand for _, other in others], explanation)

    def _specification(self) -> Exercise | None:
        product = self._product(self.drug)
        if self.facts.specifications(product.brand) != {product.specification} or not product.specification:
            return None
        taken = {fold(product.specification)}

        def is_new(other: Product) -> bool:
            written = fold(other.specification)
            if other.route != product.route or not written or written in taken:
                return False
            taken.add(written)
            return True

        wrong = [other.specification for _, other in self._others(is_new)]
        values = {"brand": product.brand, "name": self.drug.name, "specification": product.specification}
        question = self.question("specification", brand=product.brand)
        return self.compose(question, product.specification, wrong, self.explain("specification", **values))

    def _english_of_name(self) -> Exercise | None:
        others = self._english_others()
        question = self.question("english_of_name", name=self.drug.name)
        wrong = [drug.english[0] for drug in others]
        return self.compose(question, self.drug.english[0], wrong, self._english(others))

    def _name_of_english(self) -> Exercise | None:
        others = self._english_others()
        question = self.question("name_of_english", english=self.drug.english[0])
        return self.compose(question, self.drug.name, [drug.name for drug in others], self._english(others))

    # --- their parts --------------------------------------------------------------------------------------------------

    def _product(self, drug: Drug) -> Product:
        """A product whose name does not give the ingredient away, where there is one."""
        own = [product for product in drug.products if has_own_name(product, drug)]
        return self.random.choice(own or list(drug.products))

    def _candidates(self) -> Iterator[Drug]:
        pool = self.facts.plain_drugs
        for name in self.random.sample(pool, min(CANDIDATES, len(pool))):
            drug = self.facts.drug(name)
            if drug and drugs_differ(self.drug, drug):
                yield drug

    def _others(
        self, accept: Callable[[Product], bool] = lambda _: True, count: int = WRONG
    ) -> list[tuple[Drug, Product]]:
        """Other drugs, no two of one kind, each with an acceptable product that is none of this drug's."""
        own = {fold(product.brand) for product in self.drug.products}
        chosen: list[tuple[Drug, Product]] = []
        for drug in self._candidates():
            product = self._product(drug)
            telling = not has_own_name(product, drug) or not has_own_name(product, self.drug)
            if telling or fold(product.brand) in own or not all(drugs_differ(drug, other) for other, _ in chosen):
                continue
            if accept(product):
                chosen.append((drug, product))
                if len(chosen) == count:
                    break
        return chosen

    def _english_others(self) -> list[Drug]:
        glossary, own = self.facts.glossary, self.drug
        found = (
            drug for drug in self._candidates()
            if drug.english
            and not any(glossary.may_mean(own.name, english) for english in drug.english)
            and not any(glossary.may_mean(drug.name, english) for english in own.english)
        )  # fmt: skip
        return [drug for _, drug in zip(range(WRONG), found, strict=False)]

    def _ingredient(self, brand: str) -> str:
        return self.explain("ingredient", brand=brand, name=self.drug.name)

    def _ingredients(self, others: Sequence[tuple[Drug, Product]]) -> str:
        members = [self.explain("other_ingredient", brand=product.brand, name=drug.name) for drug, product in others]
        return self.explain("ingredients", members="、".join(members))

    def _english(self, others: Sequence[Drug]) -> str:
        members = [self.explain("other_english", name=drug.name, english=drug.english[0]) for drug in others]
        own = self.explain("english", name=self.drug.name, english=self.drug.english[0])
        return own + self.explain("englishes", members="、".join(members))
