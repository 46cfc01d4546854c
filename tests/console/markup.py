"""A page as a tree of elements, asked for by what they are to a reader and to an assistive program."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Final

VOID: Final = frozenset({"br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"})
"""Elements that have no end."""


@dataclass(slots=True)
class Element:
    """One element, with its attributes and what is in it."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Element | str] = field(default_factory=list)

    def __iter__(self) -> Iterator[Element]:
        """The elements below this one, in the page's order."""
        for child in self.children:
            if isinstance(child, Element):
                yield child
                yield from child

    def all(self, tag: str, **attributes: str) -> list[Element]:
        """The elements of that kind below this one, which have these *attributes* (`aria_sort`)."""
        wanted = {(name.replace("_", "-"), value) for name, value in attributes.items()}
        return [one for one in self if one.tag == tag and wanted <= one.attributes.items()]

    def one(self, tag: str, **attributes: str) -> Element:
        """The only one of these."""
        [found] = self.all(tag, **attributes)
        return found

    def link(self, text: str) -> str:
        """Where the only link that reads *text* leads."""
        [found] = [one for one in self.all("a") if one.text == text]
        return found.attributes["href"]

    @property
    def text(self) -> str:
        """What is read in it, with single spaces."""
        return " ".join("".join(self._texts()).split())

    def _texts(self) -> Iterator[str]:
        for child in self.children:
            if isinstance(child, Element):
                yield from child._texts()
            else:
                yield child


class _Builder(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open = [Element("page")]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        assert self.open[-1].tag == tag, f"</{tag}> ends <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def page(html: str) -> Element:
    """The tree of *html*, whose elements have to be closed in order."""
    builder = _Builder()
    builder.feed(html)
    builder.close()
    [root] = builder.open
    return root
