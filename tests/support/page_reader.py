"""Reading the page back: a small tree of elements from the standard library's parser, which insists on balanced tags."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

from suite.report import report

VOID = {"meta", "img", "br", "line", "circle", "rect", "path", "polyline", "hr", "input", "link"}


@dataclass
class Node:
    """An element with its text."""

    tag: str
    attributes: dict
    children: list = field(default_factory=list)

    @property
    def raw(self):
        space = " " if self.tag in ("td", "th", "p", "li", "dt", "dd", "small", "summary", "caption", "h2", "h3", "h4", "br") else ""
        return space + "".join(child if isinstance(child, str) else child.raw for child in self.children) + space

    @property
    def text(self):
        return " ".join(self.raw.split())

    def all(self, tag=None, **attributes):
        """Every element below with this tag and these attributes; `class_` asks for one of the classes."""
        wanted = {name.replace("_", "-"): value for name, value in attributes.items() if name != "class_"}
        for child in self.children:
            if isinstance(child, str):
                continue
            classes = (child.attributes.get("class") or "").split()
            fits = all(child.attributes.get(name) == value for name, value in wanted.items())
            if tag in (None, child.tag) and fits and ("class_" not in attributes or attributes["class_"] in classes):
                yield child
            yield from child.all(tag, **attributes)

    def one(self, tag=None, **attributes):
        found = list(self.all(tag, **attributes))
        assert len(found) == 1, f"{len(found)} of {tag} {attributes}"
        return found[0]


class Reader(HTMLParser):
    """Builds Nodes, and insists on balanced tags."""

    def __init__(self):
        super().__init__()
        self.root = Node("", {})
        self.open = [self.root]

    def handle_starttag(self, tag, attrs):
        node = Node(tag, dict(attrs))
        self.open[-1].children.append(node)
        if tag not in VOID:
            self.open.append(node)

    def handle_startendtag(self, tag, attrs):
        self.open[-1].children.append(Node(tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data):
        self.open[-1].children.append(data)


def read(records):
    reader = Reader()
    reader.feed(report.page_text(records))
    reader.close()
    assert reader.open == [reader.root]
    return reader.root


def row_of(root, table, label, group=""):
    """The cells of a row as {column: [texts]}: of what is printed, found and judged, or of the whole cell."""
    for body in root.one("details", id=table).all("tbody"):
        rows = list(body.all("tr"))
        if "group" in (rows[0].attributes.get("class") or "").split():
            if group and rows[0].text != group:
                continue
            rows = rows[1:]
        for row in rows:
            if next(row.all("th", scope="row")).text.startswith(label):
                parts = ("printed", "found", "verdict")
                cells = {
                    cell.attributes["data-column"]: [part.text for name in parts for part in cell.all("div", class_=name)] or [cell.text]
                    for cell in row.all("td")
                }
                return cells | {"status": [part.text for part in row.all("div", class_="status")]}
    raise AssertionError(f"no row {label}")


def statuses(root, table, label, group=""):
    return row_of(root, table, label, group)["status"][0]
