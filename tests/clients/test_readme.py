"""The commands of README's "Ask it", one after the other, and what it says that they print."""

import re
import unittest

from dev import REPOSITORY, Dev, lines_until, run

STREAM = re.compile(r"curl -sN|WatchChanges")


def session():
    """The commands of the section, each with the lines that it prints."""
    _, section = (REPOSITORY / "README.md").read_text().split("\n## Ask it\n")
    section, _ = section.split("\n## ", 1)
    for block in re.findall(r"^```console\n(.*?)^```", section, re.MULTILINE | re.DOTALL):
        for step in block.removeprefix("$ ").split("\n$ "):
            command, _, printed = step.partition("\n")
            yield command, [line for line in printed.splitlines() if line]


def members(line):
    """The names of its JSON's members, in order."""
    return re.findall(r'"(\w+)": ?', line)


class AskIt(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dev = Dev()
        cls.addClassCleanup(cls.dev.stop)

    def here(self, command):
        command = command.replace("localhost:8080", self.dev.http)
        return ["bash", "-c", "exec " + command.replace("localhost:50051", self.dev.grpc)]

    def check(self, printed, shown):
        """What is shown, but for values: all names, or where some are left out, those in order."""
        if "…" not in shown:
            self.assertEqual(members(printed), members(shown), printed)
        names = iter(members(printed))
        missing = [name for name in members(shown) if name not in names]
        self.assertEqual(missing, [], printed)
        if not members(shown) and not shown.startswith("id: "):
            self.assertEqual(printed, shown)

    def test_readme(self):
        steps = list(session())
        self.assertGreaterEqual(len(steps), 7, "commands of README")
        for command, shown in steps:
            with self.subTest(command):
                if STREAM.search(command):
                    # Of a stream as far as its first data: what comes later depends on the clock.
                    lines = lines_until(self.here(command), '"')
                else:
                    _, printed = run(self.here(command))
                    lines = printed.splitlines()
                lines = [line for line in lines if line]
                self.assertTrue(lines, "it printed nothing")
                self.assertNotIn('"code"', lines[0], "a problem")
                for line, of_readme in zip(lines, shown):
                    self.check(line, of_readme)
