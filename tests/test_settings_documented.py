"""docs/settings.md says of every option what the code says, and names no option that there is not."""

import dataclasses
import re
from pathlib import Path

import pytest

from xtended.settings import SECTION, Settings

DOCUMENT = Path(__file__).parents[1] / "docs" / "settings.md"
OPTIONS = {option.name: option for option in dataclasses.fields(Settings)}
TYPES = {
    "str": "text",
    "float": "number",
    "int": "whole number",
    "bool": "boolean",
    "tuple[str, ...]": "list",
}
# ## name, what it does, a table of one row: | type | default | variable |
CHAPTER = re.compile(
    r"^## (?P<name>.+)\n\n(?P<doc>(?:.+\n)+)\n\| type .*\n\|-.*\n"
    r"\| (?P<type>.*) \| (?P<default>.*) \| `(?P<variable>.*)` \|\n",
    re.MULTILINE,
)
CHAPTERS = {found["name"]: found for found in CHAPTER.finditer(DOCUMENT.read_text())}


def test_every_option_has_a_chapter_and_every_chapter_an_option():
    assert re.findall(r"^## (.+)$", DOCUMENT.read_text(), re.MULTILINE) == list(OPTIONS)
    assert list(CHAPTERS) == list(OPTIONS)


@pytest.mark.parametrize("name", OPTIONS)
def test_what_the_option_does_is_told_in_the_same_words(name):
    assert " ".join(CHAPTERS[name]["doc"].split()) == OPTIONS[name].metadata["doc"]


@pytest.mark.parametrize("name", OPTIONS)
def test_the_documented_type_is_the_option_s(name):
    assert CHAPTERS[name]["type"] == TYPES[OPTIONS[name].type]


@pytest.mark.parametrize("name", OPTIONS)
def test_the_documented_default_reads_as_the_option_s_default(name):
    shown = CHAPTERS[name]["default"]
    raw = "" if shown == "empty" else shown.strip("`")
    assert OPTIONS[name].metadata["read"](raw) == OPTIONS[name].default


@pytest.mark.parametrize("name", OPTIONS)
def test_the_documented_variable_is_airflow_s_for_the_option(name):
    assert CHAPTERS[name]["variable"] == f"AIRFLOW__{SECTION.upper()}__{name.upper()}"
