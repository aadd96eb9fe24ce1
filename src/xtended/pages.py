"""The page that people land on: what there is, generated from the spec."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from xtended.api import PREFIX
from xtended.contract import METHODS

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --page: light-dark(#ffffff, #171923);
  --text: light-dark(#1a202c, #e2e8f0); --muted: light-dark(#55606e, #a0aec0); --accent: light-dark(#0057a8, #63b3ed); }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem;
  background: var(--page); color: var(--text); }
a { color: var(--accent); }
"""
_TABLES = """
table { border-collapse: collapse; width: 100%; } th { text-align: left; }
td, th { border-bottom: 1px solid var(--line); padding: .4rem .6rem; vertical-align: top; }
code { font-size: .9em; } .old, .old a { color: var(--muted); }
"""


def plain_page(title: str, content: str, style: str) -> str:
    """HTML of a page that takes nothing from elsewhere; `content` is HTML, `style` CSS of its own."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}{style}</style></head><body><main>{content}</main></body></html>"
    )


def landing_page(spec: Mapping[str, Any], base: str) -> str:
    """HTML; `base` is the path that Airflow is served under, without a slash at its end."""
    root = escape(base + PREFIX, quote=True)
    info = spec["info"]
    sections = "".join(_section(spec, tag, root) for tag in spec["tags"])
    return plain_page(
        info["title"],
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1>"
        f"<p>Try every operation in <a href='{root}/ui/'>Swagger UI</a>, with the session you are logged in "
        f"with. Generate clients from <a href='{root}/openapi.json'>openapi.json</a>.</p>{sections}",
        _TABLES,
    )


def _section(spec: Mapping[str, Any], tag: Mapping[str, Any], root: str) -> str:
    rows = "".join(
        _row(method, path, item[method], root)
        for path, item in spec["paths"].items()
        for method in METHODS
        if tag["name"] in item.get(method, {}).get("tags", ())
    )
    return (
        f"<h2>{escape(tag['name'].title())}</h2><p>{escape(tag['description'])}</p>"
        f"<table><thead><tr><th>Operation</th><th>What it does</th></tr></thead><tbody>{rows}</tbody></table>"
    )


def _row(method: str, path: str, operation: Mapping[str, Any], root: str) -> str:
    old = ' class="old"' if operation.get("deprecated") else ""
    link = f"{root}/ui/#/{operation['tags'][0]}/{operation['operationId']}"
    name = f"<code>{method.upper()} {escape(path)}</code>"
    return (
        f"<tr{old}><td><a href='{escape(link, quote=True)}'>{name}</a></td>"
        f"<td>{escape(operation['summary'])}</td></tr>"
    )
