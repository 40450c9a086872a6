"""`jmed analyze attention`: what a packed row's tokens look at."""

import argparse
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jmed_jax.cli.arguments import Commands, add_command, add_model, add_output
from jmed_jax.cli.streams import print_table
from jmed_jax.progress import say

if TYPE_CHECKING:
    from jmed_jax.analysis.attention import RowAttention
    from jmed_jax.analysis.rows import LookedAt
    from jmed_jax.language_model import LanguageModel
    from jmed_jax.page.analysis_attention import AttentionPage

PAGE, PICTURE = "index.html", "attention.png"


def add_attention(group: Commands) -> None:
    """Add `jmed analyze attention`."""
    parser = add_command(
        group,
        "attention",
        _attention,
        "Draw attention maps of a packed row, and say how much attention leaves its document",
        example="jmed analyze attention --model out/pretrain --rows out/rows --row 3 --layers 1,12,24 "
        "--out out/attention",
    )
    add_model(parser)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--rows", type=Path, metavar="DIR", help="packed rows of the model's own tokenizer")
    text = "documents, one a line, packed into one row in their order"
    source.add_argument("--text", type=Path, metavar="FILE", help=text)
    parser.add_argument("--row", type=int, default=0, metavar="N", help="which of the rows, from 0 (default: 0)")
    text = "layers to draw, from 1 (default: the first, the middle and the last)"
    parser.add_argument("--layers", type=_numbers, metavar="N,N,…", help=text)
    text = "heads to draw of each layer, from 1, instead of the mean over all"
    parser.add_argument("--heads", type=_numbers, metavar="N,N,…", help=text)
    text = "causal: the whole row, as the paper packs; document: within a document (default: as a run was trained, "
    text += "else causal)"
    parser.add_argument("--mask", choices=("causal", "document"), help=text)
    add_output(parser)


def _numbers(text: str) -> list[int]:
    """Whole numbers from 1 with commas between them, for argparse's `type`."""
    parts = text.split(",")
    if all(part.isdecimal() and int(part) > 0 for part in parts):
        return sorted({int(part) for part in parts})
    raise argparse.ArgumentTypeError(f"{text!r} are not whole numbers from 1, such as 1,12,24")


def _attention(args: Namespace) -> dict[str, Any]:
    from jmed_jax import artifact

    artifact.check_free(args.out, args.overwrite)

    from jmed_jax.analysis.attention import MEAN, row_attention
    from jmed_jax.analysis.rows import row_of_rows, row_of_text
    from jmed_jax.language_model import load

    model = load(args.model)
    row = row_of_text(model, args.text) if args.text else row_of_rows(model, args.rows, args.row)
    last = model.config.num_layers
    layers = args.layers or sorted({1, (last + 1) // 2, last})
    mask = args.mask or _trained_mask(args.model)
    seen = row_attention(
        model, row.tokens, row.segment_ids, layers=layers, heads=args.heads or (MEAN,), mask=mask, end_id=row.end_id
    )

    from jmed_jax.page.analysis_attention import write_attention_page
    from jmed_jax.page.analysis_attention_chart import draw_attention
    from jmed_jax.page.fonts import INSTALL, fonts_for

    page = _page(model, row, seen, mask, args)
    fonts = fonts_for(row.labels)
    if fonts.missing:
        say(f"PNG: some documents have no label, no font here has {''.join(sorted(fonts.missing)[:10])}; {INSTALL}.")
    config = {"model": model.name, "row": args.row, "layers": layers, "heads": args.heads or "mean", "mask": mask}
    with artifact.create(args.out, "attention-maps", config, overwrite=args.overwrite) as draft:
        draft.counts["tokens"] = len(row.tokens)
        write_attention_page(draft.path / PAGE, page)
        draw_attention(page, fonts, draft.path / PICTURE)
    _print_shares(page)
    documents = len(page.starts)
    print(f"{args.out}: {len(row.tokens):,} tokens, {documents:,} documents, {PAGE}, {PICTURE}")
    return {
        "out": str(args.out),
        "tokens": len(row.tokens),
        "documents": documents,
        "mask": mask,
        "layers": [vars(share) for share in page.shares],
        "even": seen.even,
        "largest_difference": seen.largest_difference,
    }


def _trained_mask(model: Path) -> Any:
    """The mask that a run was trained with; the paper's where the directory does not say."""
    from jmed_jax.train.run import RUN_FILE, open_run

    return open_run(model).config.data.attention_mask if (model / RUN_FILE).is_file() else "causal"


def _page(model: "LanguageModel", row: "LookedAt", seen: "RowAttention", mask: str, args: Namespace) -> "AttentionPage":
    from jmed_jax.analysis.attention import MEAN
    from jmed_jax.page.analysis_attention import AttentionPage, ShareRow

    heads = model.config.num_heads
    names = {
        key: f"layer {key[0]}" + (f", mean over {heads} heads" if key[1] == MEAN else f", head {key[1]}")
        for key in seen.maps
    }
    source = args.text.name if args.text else f"{args.rows.name}, row {args.row}"
    masks = {"causal": "causal, over the whole row", "document": "causal, within a document"}
    return AttentionPage(
        model=model.name,
        labels=row.labels,
        segment_ids=row.segment_ids,
        ends=[int(place) for place in (row.tokens == row.end_id).nonzero()[0]],
        end_label=row.end_label,
        maps={names[key]: weights_TS for key, weights_TS in seen.maps.items()},
        shares=[
            ShareRow(layer, share.earlier, share.first, share.ends) for layer, share in enumerate(seen.shares or [], 1)
        ],
        even=seen.even or 0.0,
        facts=[("Row", source), ("Mask", masks[mask]), ("Layers", str(model.config.num_layers)), ("Heads", str(heads))],
    )


def _print_shares(page: "AttentionPage") -> None:
    if not page.shares:
        say("one document in this row: there is no earlier one to look at.")
        return
    print_table(
        ("layer", "to earlier documents", "of it to the first token", f"to {page.end_label}"),
        [(str(row.layer), row.earlier, row.first, row.ends) for row in page.shares],
    )
    print(f"spread evenly, {page.even:.4f} would go to earlier documents")
