"""The page of the older plugins: every function with a form to try it, generated from the table and the spec."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from xtended.contract import METHODS
from xtended.legacy.functions import FUNCTIONS
from xtended.legacy.shapes import Function
from xtended.pages import plain_page

_SCRIPT = """
for (const form of document.forms) form.addEventListener('submit', async event => {
  event.preventDefault();
  const output = form.querySelector('output');
  const sent = new FormData();
  for (const [name, value] of new FormData(form)) {
    if (value instanceof File ? value.name : value) sent.append(name, value);
  }
  output.textContent = 'Calling…';
  const answer = await fetch('api?api=' + form.dataset.name, {method: 'POST', body: sent, credentials: 'same-origin'});
  output.textContent = answer.status + '\\n' + JSON.stringify(await answer.json(), null, 2);
});
"""
_STYLE = """
section { border-top: 1px solid var(--line); padding: .5rem 0 1rem; }
label { display: grid; grid-template-columns: 16rem 1fr; gap: 1rem; margin: .3rem 0; }
input { font: inherit; padding: .2rem .4rem; } small { grid-column: 2; color: var(--muted); }
output { display: block; white-space: pre-wrap; font: .85em/1.4 ui-monospace, monospace; margin-top: .6rem; }
"""


def older_page(spec: Mapping[str, Any]) -> str:
    """HTML; its forms call `api` beside it, with the session of Airflow's UI."""
    names = sorted(FUNCTIONS)
    contents = " · ".join(f"<a href='#{name}'>{name}</a>" for name in names)
    sections = "".join(_section(spec, FUNCTIONS[name]) for name in names)
    return plain_page(
        "REST API",
        "<h1>REST API</h1>"
        "<p>The functions of the older plugins. Each is an operation of this server's API, with the same rights; "
        "new scripts had better call that. The forms use the session that you are logged in with.</p>"
        f"<nav aria-label='Functions'>{contents}</nav>{sections}<script>{_SCRIPT}</script>",
        _STYLE,
    )


def _section(spec: Mapping[str, Any], function: Function) -> str:
    operations = [_operation(spec, route.operation) for route in function.routes]
    does = "; ".join(dict.fromkeys(operation["summary"] for operation in operations))
    fields = "".join(
        _field(spec, function.name, name, is_file=name == "dag_file") for name in function.arguments()
    )
    return (
        f"<section id='{function.name}'><h2>{function.name}</h2><p>{escape(does)}</p>"
        f"<p><code>api?api={function.name}</code></p>"
        f"<form data-name='{function.name}'>{fields}<button>Call {function.name}</button>"
        "<output aria-live='polite'></output></form></section>"
    )


def _field(spec: Mapping[str, Any], function: str, name: str, *, is_file: bool) -> str:
    declared = spec["components"]["parameters"].get(f"older_{name.replace('-', '_')}", {})
    described = escape(declared.get("description", "The DAG file."))
    kind = "file" if is_file else "text"
    hint = f"{function}-{name}-hint"
    return (
        f"<label><span>{escape(name)}</span><input name='{escape(name)}' type='{kind}' "
        f"aria-describedby='{hint}'><small id='{hint}'>{described}</small></label>"
    )


def _operation(spec: Mapping[str, Any], operation_id: str) -> Mapping[str, Any]:
    return next(
        item[method]
        for item in spec["paths"].values()
        for method in METHODS
        if item.get(method, {}).get("operationId") == operation_id
    )
