"""The commands in the docs: blocks of them, and those within a sentence."""

import dataclasses
import re

from markdown_it import MarkdownIt

from tests.local_stack.stack import ROOT

PAGES = sorted(
    path
    for pattern in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "docs/*.md", "crates/*/README.md", "tests/README.md", "tests/*/README.md")
    for path in ROOT.glob(pattern)
)
# Programs that are not a part of every shell.
PROGRAMS = (
    *("aws", "cargo", "chromium", "curl", "gh", "git", "jq", "make", "midihook", "python", "rustup", "sam", "sha256sum", "unzip"),
    *(".venv/bin/python", ".venv/bin/sam", "events/sign.py"),
)
SHELL = (".", "bucket=", "echo", "eval", "export", "for", "head", "id=", "name=", "read", "reconciler=", "key=", "secret=", "seq", "until", "while")
# How blocks begin that are not commands: output, JSON, TOML, a line of Python.
OTHERS = ("==>", "{", "tags =", "document =")


@dataclasses.dataclass
class Commands:
    """One command within a sentence, or a block of them. `mark` has the sentences beside it that say that it was not tried, or
    by hand, and `mark_of_page` those that say it of the whole page."""

    page: str
    line: int
    text: str
    is_block: bool
    mark: str
    mark_of_page: str

    def __str__(self):
        return f"{self.page}:{self.line}"

    def is_marked(self, program):
        """A sentence about a page may name the programs that it is about."""
        return bool(self.mark) or bool(self.mark_of_page) and ("`" not in self.mark_of_page or f"`{program}`" in self.mark_of_page)

    @property
    def is_name(self):
        """A sentence names `midihook submit`, and does not mean that somebody should run it without arguments."""
        return not self.is_block and len(self.text.split()) == 2 and not self.text.startswith(("make", "."))


def begins(text, words):
    """Whether a text begins with one of these words, maybe after variables for the program."""
    text = re.sub(r"^([A-Z_]+=\S+ )+", "", text)
    return any(re.match(rf"{re.escape(word)}($|\s|(?<==))", text) for word in words)


def marks(sentences):
    return " ".join(sentence for sentence in re.split(r"(?<=[.:])\s", sentences) if re.search(r"\b(not\s+(been\s+)?tried|tried\s+by\s+hand)\b", sentence))


def commands(path):
    """The commands of one page."""
    page, lines = str(path.relative_to(ROOT)), path.read_text().splitlines()
    tokens = [token for token in MarkdownIt("commonmark").enable("table").parse(path.read_text()) if token.type in ("inline", "code_block", "fence")]
    texts = ["\n".join(lines[slice(*token.map)]) if token.type == "inline" else "" for token in tokens]
    of_the_page = " ".join(mark for text in texts if "of this page" in (mark := marks(text)))
    for number, token in enumerate(tokens):
        line = token.map[0] + 1
        if token.type == "inline":
            for code in (child.content for child in token.children if child.type == "code_inline"):
                if begins(code, PROGRAMS + SHELL) and " " in code:
                    yield Commands(page, line, code, False, marks(texts[number]), of_the_page)
        elif token.type == "code_block" or token.info == "sh":
            near = " ".join(texts[max(number - 1, 0) : number + 2])
            if begins(token.content, PROGRAMS + SHELL):
                yield Commands(page, line, token.content, True, marks(near), of_the_page)
            else:
                assert token.content.startswith(OTHERS), f"{page}:{line}: commands or not? {token.content}"


ALL = [snippet for path in PAGES for snippet in commands(path)]
