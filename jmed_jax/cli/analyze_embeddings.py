"""`jmed analyze embeddings`: the map of token embeddings."""

import argparse
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jmed_jax.cli.arguments import Commands, add_command, add_model, add_output, positive
from jmed_jax.progress import say

if TYPE_CHECKING:
    from jmed_jax.analysis.embedding_map import Chosen
    from jmed_jax.analysis.embeddings import TokenEmbeddings
    from jmed_jax.page.analysis_embeddings import Colouring, EmbeddingMap
    from jmed_jax.page.fonts import Fonts

# With so many vectors of 2,048 numbers, t-SNE takes 11 s on two cores and UMAP 23 s (and 10 s of compiling at first).
LIMIT = 4000
# Neighbours that the page lists of each token.
LISTED = 8
METHODS = ("tsne", "umap")
WRITINGS = ("kanji", "kana", "mixed", "latin", "other")
PAGE = "index.html"


def add_embeddings(group: Commands) -> None:
    """Add `jmed analyze embeddings`."""
    parser = add_command(
        group,
        "embeddings",
        _embeddings,
        "Draw the token embeddings in the plane, as a page with search and as PNG",
        example="jmed analyze embeddings --model out/pretrain --dictionary out/dictionary --rows out/rows "
        "--method tsne,umap --out out/embeddings",
    )
    add_model(parser)
    add_output(parser)
    text = "tsne (perplexity 15), umap (15 neighbours; needs jmed_jax[analysis]), or both with a comma (default: tsne)"
    parser.add_argument("--method", type=_some_of(METHODS), default=["tsne"], metavar="NAMES", help=text)
    text = "draw these terms, one a line, instead of tokens; a term is the mean over its tokens"
    parser.add_argument("--tokens", type=Path, metavar="FILE", help=text)
    text = f"how many tokens: whole words, the most frequent first (default: {LIMIT:,})"
    parser.add_argument("--limit", type=positive, default=LIMIT, metavar="N", help=text)
    text = "packed rows in which tokens are counted; without them the order of the ids stands for frequency"
    parser.add_argument("--rows", type=Path, metavar="DIR", help=text)
    text = "what tokens are written in: some of kanji, kana, mixed, latin, other (default: kanji,kana,mixed)"
    parser.add_argument(
        "--writing", type=_some_of(WRITINGS), default=["kanji", "kana", "mixed"], metavar="KINDS", help=text
    )
    text = "made by `jmed dictionary build`: its words are taken first, for half of the places, and get colours"
    parser.add_argument("--dictionary", type=Path, metavar="DIR", help=text)
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the maps (default: 0)")


def _some_of(names: Sequence[str]) -> Callable[[str], list[str]]:
    """Some of the names with commas between them, for argparse's `type`."""

    def parse(text: str) -> list[str]:
        chosen = list(dict.fromkeys(text.split(",")))
        if unknown := [name for name in chosen if name not in names]:
            raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(names)}")
        return chosen

    return parse


def _embeddings(args: Namespace) -> dict[str, Any]:
    from jmed_jax import artifact
    from jmed_jax.analysis.embedding_map import check_method
    from jmed_jax.analysis.embeddings import TokenEmbeddings

    artifact.check_free(args.out, args.overwrite)
    for method in args.method:
        check_method(method)

    from jmed_jax.language_model import load

    model = load(args.model)
    embeddings = TokenEmbeddings.of(model)
    kinds = _kinds(args.dictionary)
    chosen = _choose(embeddings, kinds, args)
    shown = _map(model.name, chosen, _colourings(chosen.texts, kinds), len(embeddings.matrix_VD), args)

    from jmed_jax.page.analysis_embeddings import write_embedding_page
    from jmed_jax.page.fonts import fonts_for

    fonts = fonts_for(shown.texts)
    config = {
        "model": model.name,
        "methods": args.method,
        "seed": args.seed,
        "limit": args.limit,
        "writing": args.writing,
    }
    with artifact.create(args.out, "embedding-map", config, overwrite=args.overwrite) as draft:
        draft.inputs["tokenizer"] = embeddings.tokenizer.fingerprint
        draft.counts["tokens"] = len(shown.texts)
        write_embedding_page(draft.path / PAGE, shown)
        pictures = _draw(shown, fonts, draft.path)
    names = ", ".join([PAGE, *pictures])
    print(f"{args.out}: {len(shown.texts):,} {shown.unit}s, {names}")
    return {"out": str(args.out), "tokens": len(shown.texts), "files": [PAGE, *pictures]}


def _kinds(dictionary: Path | None) -> dict[str, str]:
    """The kind of each term of a dictionary."""
    from jmed_jax.tokenizer.dictionary import read_terms

    return {term.text: term.kind for term in read_terms(dictionary)} if dictionary else {}


def _choose(embeddings: "TokenEmbeddings", kinds: Mapping[str, str], args: Namespace) -> "Chosen":
    from jmed_jax.analysis.embedding_map import choose_terms, choose_tokens, count_tokens
    from jmed_jax.analysis.tokens import Writing
    from jmed_jax.jsonl import read_lines

    if args.tokens:
        return choose_terms(embeddings, [line.strip() for _, line in read_lines(args.tokens) if line.strip()])
    return choose_tokens(
        embeddings,
        limit=args.limit,
        writings=[Writing(name) for name in args.writing],
        counts_V=count_tokens(args.rows, len(embeddings.matrix_VD)) if args.rows else None,
        preferred=kinds,
    )


def _map(
    model: str, chosen: "Chosen", colourings: Sequence["Colouring"], vocab_size: int, args: Namespace
) -> "EmbeddingMap":
    from jmed_jax.analysis.embedding_map import METHOD_NAMES, nearest_of_each, project
    from jmed_jax.page.analysis_embeddings import EmbeddingMap

    unit = "term" if args.tokens else "token"
    places = {}
    for method in args.method:
        say(f"{METHOD_NAMES[method]}: {len(chosen.texts):,} vectors of {chosen.vectors.shape[1]} numbers …")
        places[METHOD_NAMES[method]] = project(chosen.vectors, method, args.seed)
    order = "the most frequent in rows" if args.rows else "the first by id"
    chosen_by = f"words of the dictionary first, for half of the places; else {order}" if args.dictionary else order
    facts = [
        ("Shown", f"{len(chosen.texts):,} {unit}s"),
        *([] if args.tokens else [("Chosen", chosen_by)]),
        ("Vocabulary", f"{vocab_size:,}"),
        ("Embedding size", f"{chosen.vectors.shape[1]:,}"),
        ("Map", "; ".join(places)),
        ("Seed", str(args.seed)),
    ]
    return EmbeddingMap(
        model=model,
        unit=unit,
        texts=chosen.texts,
        ids=chosen.ids,
        counts=chosen.counts,
        nearest=nearest_of_each(chosen.vectors, LISTED),
        places=places,
        colourings=colourings,
        facts=facts,
    )


def _colourings(texts: Sequence[str], kinds: Mapping[str, str]) -> list["Colouring"]:
    """By the kind of term, where there is a dictionary, and by writing."""
    from jmed_jax.analysis.tokens import Writing, writing
    from jmed_jax.page.analysis_embeddings import Colouring

    names = {"disease": "disease", "drug": "drug", "term": "other medical term", "": "not in the dictionary"}
    written = [writing(text) for text in texts]
    groups = [kind for kind in Writing if kind in written]
    found = [Colouring("Writing", groups, [groups.index(kind) for kind in written])]
    if kinds:
        of = [list(names).index(kinds.get(text.strip(), "")) for text in texts]
        found.insert(0, Colouring("Dictionary", list(names.values()), of))
    return found


def _draw(shown: "EmbeddingMap", fonts: "Fonts", out: Path) -> list[str]:
    """Draw a picture a method; none where no font has the characters of most labels."""
    from jmed_jax.page.analysis_embeddings_chart import draw_embedding_map
    from jmed_jax.page.fonts import INSTALL

    without = sum(not fonts.can_draw(text) for text in shown.texts)
    if 2 * without > len(shown.texts):
        say(f"no PNG: no font here has the Japanese characters of {without:,} labels; {INSTALL}.")
        return []
    if without:
        say(f"PNG: {without:,} of {len(shown.texts):,} labels are left out: no font here has their characters.")
    pictures = []
    for method in shown.places:
        name = method.split(",")[0].lower().replace("-", "") + ".png"
        draw_embedding_map(shown, method, fonts, out / name)
        pictures.append(name)
    return pictures
