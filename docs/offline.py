"""Make the site whole in itself: no page fetches anything, and none links to what is not part of it."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.pages import Page

_FETCHED = re.compile(
    r"""<(?:script|img|iframe|link(?=[^>]*stylesheet))[^>]*(?:src|href)=["']?(?:https?:)?//[^>]*>"""
)


_LINK = re.compile(r"(?<!!)\[`?([^]`]+)`?\]\(((?:\.\./)+[^)]+)\)")


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Name the files of the repository that a page links to; the site does not have them."""
    folder = posixpath.dirname(page.file.src_uri)

    def named(link: re.Match[str]) -> str:
        is_outside = posixpath.normpath(posixpath.join(folder, link[2])).startswith("..")
        return f"`{link[1]}`" if is_outside else link[0]

    return _LINK.sub(named, markdown)


def on_post_build(config: MkDocsConfig) -> None:
    """Look through every page once the site is built."""
    for page in Path(config.site_dir).rglob("*.html"):
        if found := _FETCHED.search(page.read_text()):
            raise PluginError(f"{page}: {found[0]} is not part of the site")
