"""Reads an HTML page strictly: what is on it, and whether every element is closed."""

from base64 import b64decode
from dataclasses import dataclass, field
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

VOID = frozenset({"meta", "img", "br", "hr", "link", "input"})
BLOCKS = frozenset({"td", "th", "dt", "dd", "p", "h1", "h2", "caption", "title"})
SVG = "data:image/svg+xml;base64,"


@dataclass
class Element:
    tag: str
    attributes: dict[str, str | None]


@dataclass
class Page(HTMLParser):
    """Elements in order; ``text`` without markup; raises ValueError where elements do not nest."""

    elements: list[Element] = field(default_factory=list)
    text: str = ""
    _open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    @classmethod
    def read(cls, content: bytes) -> "Page":
        page = cls()
        page.feed(content.decode("utf-8"))
        page.close()
        if page._open:
            raise ValueError(f"not closed: {page._open}")
        return page

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            raise ValueError(f"</{tag}> closes something else")
        self.text += " " if tag in BLOCKS else ""

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.text += data

    @property
    def words(self) -> str:
        """The text as one line."""
        return " ".join(self.text.split())

    def all(self, tag: str) -> list[Element]:
        return [element for element in self.elements if element.tag == tag]

    @property
    def pictures(self) -> dict[str, str]:
        """What each drawing shows in words, and all text drawn in it."""
        return {
            image.attributes["alt"] or "": " ".join("".join(drawing(image).itertext()).split())
            for image in self.all("img")
        }

    @property
    def outside(self) -> list[str]:
        """Whatever the page would fetch or run."""
        addresses = [
            value or ""
            for element in self.elements
            for name, value in element.attributes.items()
            if name in ("src", "href", "srcset", "action", "data") or name.startswith("on")
        ]
        scripts = [element.tag for element in self.all("script") + self.all("iframe")]
        return scripts + [address for address in addresses if not address.startswith(SVG)]


def drawing(image: Element) -> ET.Element:
    """The SVG of an image; raises ParseError where it is not well-formed."""
    written = b64decode((image.attributes["src"] or "").removeprefix(SVG))
    return ET.fromstring(written)  # noqa: S314  # our own
