"""Every command and option of `midihook` that the docs name exists."""

import re

from tests.local_stack.stack import ROOT

PAGES = [*(ROOT / name for name in ("README.md", "SECURITY.md", "CONTRIBUTING.md")), *sorted((ROOT / "docs").glob("*.md"))]


def test_the_docs_name_only_what_there_is(midihook):
    def options(*command):
        shown = midihook(*command, "--help")
        assert shown.returncode == 0, f"the docs name midihook {' '.join(command)}"
        return set(re.findall(r"--[a-z-]+", shown.stdout.decode())) | {"--help"}

    known, named = {}, 0
    for page in PAGES:
        text = page.read_text()
        # Blocks are separated from the text by an empty line.
        blocks = re.findall(r"(?<=\n\n)(?:    .+\n)+", text)
        code = "\n".join(re.findall(r"`([^`\n]+)`", text) + blocks)
        for command, rest in re.findall(r"(?:^ *|\(|&& )midihook ([a-z]+)\b([^|;&)$\n]*)", code, re.MULTILINE):
            known.setdefault(command, options(command))
            unknown = set(re.findall(r"(?<= )--[a-z-]+", rest.partition("#")[0])) - known[command]
            assert not unknown, f"{page.name}: midihook {command} has no {unknown}"
            named += 1
    assert named > 50
