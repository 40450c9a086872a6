"""From a template to one HTML file: nothing loaded from anywhere, everything escaped, no script but the page's own."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from jmed_jax import __version__
from jmed_jax.artifact import replacing


def write_html(
    path: Path, template: str, values: Mapping[str, Any], filters: Mapping[str, Callable[..., Any]] | None = None
) -> None:
    """Write a page.

    Args:
        template: the name of a file beside this one, which extends `base.html.j2`.
        values: what it shows, beside the package's version.
        filters: functions that it calls, beside Jinja's own.
    """
    # Autoescape: what a model wrote, or a web page, is text that nobody has checked.
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(filters or {})
    html = environment.get_template(template).render(values, version=__version__)
    with replacing(path) as temporary:
        # A model can write half a surrogate pair, which has no UTF-8.
        temporary.write_text(html, encoding="utf-8", errors="replace")
