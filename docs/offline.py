"""Refuse a site that its reader's browser would have to fetch something for."""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError

_FETCHED = re.compile(
    r"""<(?:script|img|iframe|link(?=[^>]*stylesheet))[^>]*(?:src|href)=["']?(?:https?:)?//[^>]*>"""
)


def on_post_build(config: MkDocsConfig) -> None:
    """Look through every page once the site is built."""
    for page in Path(config.site_dir).rglob("*.html"):
        if found := _FETCHED.search(page.read_text()):
            raise PluginError(f"{page}: {found[0]} is not part of the site")
