#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Options of each command, held together: the program's own help, the command's part of connhist(1), and what each
shell offers behind the command, with its values: completions.py ROOT CONNHIST [CONNHISTD]. Without shells: of the
three only bash is asked itself, the others' files are read."""
import os
import re
import shlex
import sys

from lint import ROOT, Findings, files, run

FOLDER = ROOT / "config" / "completions"
OPTION = re.compile(r"^ {2,}(?:-(\w), )?--([a-z][a-z-]*)", re.M)
# Options whose refusal tells all values, and what must stand beside them for it to come to that.
VALUES = {"format": [], "color": [], "proto": [], "role": [], "state": [], "by": [], "measure": [], "closed-by": [],
          "table": ["-r"]}
BESIDE = {"diff": ["--from", "now"], "who": ["--port", "80"]}
# An option that means another thing with another option: its values are told apart.
MORE = {("netstat", "proto"): [["-s"], ["-r"]], ("netstat", "by"): [["-e"]]}


def commands():
    return sorted(path.stem[len("cmd_"):] for path in files("src/connhist/cmd_*.c"))


def own_options(program, command):
    """{option: letter or ""} of a command, as its help has them."""
    status, text = run([program, *([command] if command else []), "--help"])
    return {long: letter for letter, long in OPTION.findall(text)} if status == 0 else {}


def own_values(program, command, option):
    """What the program itself says that an option takes."""
    found = set()
    for more in MORE.get((command, option), []) + [VALUES[option]]:
        _, text = run([program, "--db", "/nonexistent/file", command, *BESIDE.get(command, []), *more, f"--{option}",
                       "no-such-value"])
        if match := re.search(r"(?:there are|use|has) (?:--by )?(.*)", text.splitlines()[0]):
            words = re.split(r",? (?:and|or) |, ", match.group(1))
            found.update(word for word in words if re.fullmatch(r"[A-Za-z][A-Z_a-z0-9]*", word))
    return found


class Bash:
    file = FOLDER / "connhist.bash"

    def ask(self, code, line):
        script = f"complete() {{ :; }}; source {shlex.quote(str(self.file))}; COMP_WORDS=({line} ''); " \
                 f"COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); {code}"
        status, text = run(["bash", "-c", script])
        return text.split() if status == 0 else []

    def options(self, command):
        words = self.ask(f"_connhist_options {command}", f"connhist {command}")
        return {word[2:]: None for word in words}  # letters are not offered: they are typed faster

    def values(self, command, option):
        return set(self.ask(f"_connhist_values --{option}", f"connhist {command}"))


class Zsh:
    file = FOLDER / "_connhist"

    def __init__(self):
        self.text = self.file.read_text()
        self.text = self.text.replace("$states", re.search(r"states='([^']*)'", self.text).group(1))
        self.arrays = {name: body.strip().splitlines()
                       for name, body in re.findall(r"^(\w+)=\(\n(.*?)^\)", self.text, re.M | re.S)}

    def entries(self, command):
        """{option: (letter, values)} of what _arguments gets for the command."""
        block = re.search(rf"^    {command}\)(.*?);;", self.text, re.M | re.S)

        def expand(match):
            name, without = match.group(1) or match.group(3), match.group(2)
            return "\n".join(line for line in self.arrays.get(name, []) if not without or f"--{without}" not in line)
        text = re.sub(r"\$\{(\w+):#\*--([a-z-]+)\*\}|\$(\w+)", expand, block.group(1) if block else "")
        found = {}
        for match in re.finditer(r"(?:\{-(\w),)?--([a-z][a-z-]*)(?:\}')?\[[^\]]*\](?::[^:'\"]*:([^'\"]*))?", text):
            words = re.sub(r"^_values -s , \w+ ", "", match.group(3) or "").strip("()").split()
            found[match.group(2)] = (match.group(1) or "", set(words))
        return found

    def options(self, command):
        return {option: letter for option, (letter, _) in self.entries(command).items()}

    def values(self, command, option):
        return self.entries(command).get(option, ("", set()))[1]


class Fish:
    file = FOLDER / "connhist.fish"

    def __init__(self):
        text = self.file.read_text()
        self.names = dict(re.findall(r"^set -l (\w+) (?:\"|')?(.*?)(?:\"|')?$", text, re.M))
        self.lines = [self.words(line) for line in text.splitlines() if line.startswith("complete -c connhist ")]

    def words(self, line):
        return [re.sub(r"\$(\w+)", lambda match: self.names.get(match.group(1), ""), word) for word in shlex.split(line)]

    def entries(self, command):
        for words in self.lines:
            after = dict(zip(words, words[1:]))
            condition = after.get("-n", "")
            applies = not condition or (command in condition.split()) != condition.startswith("not ")
            if "-l" in after and applies:
                yield after["-l"], after.get("-s", ""), set(after.get("-a", "").split())

    def options(self, command):
        found = {}
        for option, letter, _ in self.entries(command):
            found[option] = letter or found.get(option, "")
        return found

    def values(self, command, option):
        return set().union(*(values for name, _, values in self.entries(command) if name == option))


def check_shell(findings, shell, command, options, values):
    offered = shell.options(command)
    findings.checked += len(options)
    for option in sorted(options.keys() - offered.keys()):
        findings.add(shell.file, 0, f"{command} lacks --{option}")
    for option in sorted(offered.keys() - options.keys()):
        findings.add(shell.file, 0, f"{command} offers --{option}, which it does not have")
    for option in sorted(options.keys() & offered.keys()):
        if offered[option] is not None and offered[option] != options[option]:
            findings.add(shell.file, 0, f"{command} --{option}: letter {offered[option]!r}, should be {options[option]!r}")
    for option, wanted in values.items():
        findings.checked += 1
        got = shell.values(command, option)
        if got != wanted:
            findings.add(shell.file, 0, f"{command} --{option}: lacks {sorted(wanted - got)}, has too much "
                                        f"{sorted(got - wanted)}")


def check_page(findings, command, options, common):
    """The command's subsection of the page has its own options, each with its letter."""
    page = ROOT / "man" / "connhist.1"
    found = re.search(rf"^\.Ss [^\n]*\b{command}\b[^\n]*\n(.*?)(?=^\.S[sh] )", page.read_text(), re.M | re.S)
    text = found.group(1).replace("\\-", "-") if found else ""
    for option, letter in sorted(options.items()):
        findings.checked += 1
        if option in common:
            continue
        if not re.search(rf"\bFl Fl {option}(?![\w-])", text):
            findings.add(page, 0, f"the part on {command} lacks --{option}")
        elif letter and not re.search(rf"^\.It Fl {letter} , Fl Fl {option}\b", text, re.M):
            findings.add(page, 0, f"the part on {command} lacks -{letter} beside --{option}")


def main():
    findings = Findings()
    if len(sys.argv) < 3:
        findings.finish()
    program = os.path.abspath(sys.argv[2])
    common = own_options(program, "")
    shells = [Bash(), Zsh(), Fish()]
    for command in commands():
        options = own_options(program, command)
        values = {option: own_values(program, command, option) for option in VALUES if option in options}
        for option, words in values.items():
            if len(words) < 2 and (command, option) != ("netstat", "by"):
                findings.add(program, 0, f"{command} --{option} refuses a wrong value without telling the right ones")
        if not options:
            findings.add(program, 0, f"{command} --help names no option")
        check_page(findings, command, options, common.keys())
        for shell in shells:
            check_shell(findings, shell, command, options, values)
    findings.finish()


if __name__ == "__main__":
    main()
