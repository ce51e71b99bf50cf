"""A page as people read it: its text, its links, and the rows of its tables by the id of what names them."""

from html.parser import HTMLParser

from fastapi.testclient import TestClient

EMPTY = ("meta", "link", "input", "br", "img")


class Read(HTMLParser):
    """`rows`: of each table whose region is labelled, by the label's id, without its head."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.rows: dict[str, list[list[str]]] = {}
        self._texts: list[str] = []
        self._label, self._cell, self._hidden = "", False, 0
        self.feed(markup)

    @property
    def text(self) -> str:
        return " ".join("".join(self._texts).replace("\u00a0", " ").split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        of = dict(attrs)
        if self._hidden or (of.get("aria-hidden") and tag == "span"):
            self._hidden += tag not in EMPTY
        if tag == "a":
            self.links.append(of.get("href") or "")
        if of.get("role") == "region":
            self._label = of["aria-labelledby"] or ""
            self.rows[self._label] = []
        elif tag == "tr" and self._label:
            self.rows[self._label].append([])
        elif tag == "td" and self._label:
            self.rows[self._label][-1].append("")
        if tag in ("td", "tr", "th"):
            self._cell = tag == "td"

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= bool(self._hidden)
        if tag in ("td", "p", "li", "tr", "h1", "h2", "span"):
            self._texts.append(" ")
        if tag == "td":
            self._cell = False
        if tag == "table":
            self.rows[self._label] = [row for row in self.rows.get(self._label, []) if row]
            self._label = ""

    def handle_data(self, data: str) -> None:
        if self._hidden:
            return
        self._texts.append(data)
        if self._cell and self._label:
            self.rows[self._label][-1][-1] += data.strip()


def cells(client: TestClient, page: str, label: str) -> list[list[str]]:
    """The rows of one table of a page."""
    answer = client.get(page)
    assert answer.status_code == 200, answer.text
    return Read(answer.text).rows[label]
