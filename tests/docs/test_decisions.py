"""Pages of decisions have one form, and the index has all of them."""

import pytest

from tests.docs.pages import HEADING, Page, decisions, decisions_index, page

SECTIONS = ["Question", "Options", "Answer", "What would change it"]
WORDS_MAX = 600


@pytest.mark.parametrize("each", decisions(), ids=lambda each: each.name)
def test_a_decision_is_one_short_page_with_the_same_sections(each: Page) -> None:
    title, *sections = [match["text"] for match in HEADING.finditer(each.text)]
    assert title.endswith("?")
    assert sections == SECTIONS
    assert len(each.text.split()) <= WORDS_MAX


def test_the_index_has_each_decision_under_its_question() -> None:
    index = decisions_index().text
    for each in decisions():
        title = each.text.splitlines()[0].removeprefix("# ")
        assert f"| [{title}]({each.name}) |" in index


@pytest.mark.parametrize("each", [*decisions(), decisions_index()], ids=lambda each: each.name)
def test_the_links_of_a_decision_lead_somewhere(each: Page) -> None:
    for link in each.links():
        path, _, anchor = link.partition("#")
        target = (each.path.parent / path).resolve()
        assert target.exists(), f"{each.name} links to {link}"
        if anchor:
            assert anchor in page(target.name).anchors(), f"{each.name} links to {link}"
