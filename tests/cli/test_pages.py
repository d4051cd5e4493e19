"""Man pages and shell completions: what is installed, read as a user's man and shells read it."""

import os
import pty
import re
import select
import shutil
import subprocess
import time

import pytest
from support import BUILT_PROGRAMS, SOURCE, needs_torch

FILES = {
    "man": "share/man/man1/{}.1",
    "bash": "share/bash-completion/completions/{}",
    "zsh": "share/zsh/site-functions/_{}",
    "fish": "share/fish/vendor_completions.d/{}.fish",
}


def needs(tool):
    return pytest.mark.skipif(shutil.which(tool) is None, reason=f"{tool} is not installed")


@pytest.fixture(scope="module")
def prefix(bin_folder, tmp_path_factory):
    """Where the programs are installed to."""
    build = bin_folder.parent
    if not (build / "cmake_install.cmake").exists() or shutil.which("cmake") is None:
        pytest.skip("AETOOLS_BIN is no folder of a build")
    folder = tmp_path_factory.mktemp("prefix")
    command = ["cmake", "--install", build, "--prefix", folder, "--component", "programs"]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    return folder


@pytest.fixture
def page(prefix, program):
    """page("man"): the installed file of the program."""
    return lambda kind: prefix / FILES[kind].format(program)


def squeezed(text):
    return " ".join(text.split())


def without_roff(text):
    """The text that a formatter would show, for the few escapes that our pages use."""
    for escape, shown in {r"\-": "-", r"\(aq": "'", r"\(dq": '"', r"\(ha": "^", r"\(ti": "~", r"\(ga": "`", r"\:": ""}.items():
        text = text.replace(escape, shown)
    text = re.sub(r"\\f[BIR]", "", text)
    comment = r".\""
    assert "\\" not in text.replace(r"\(rs", "").replace(r"\&", "").removeprefix(comment)
    return text.replace(r"\(rs", "\\").replace(r"\&", "")


def test_every_program_installs_its_pages(prefix, program, run):
    others = [name for name in BUILT_PROGRAMS if name != program]
    for kind, path in FILES.items():
        printed = run(program, "--generate", kind)
        assert (printed.code, printed.stderr) == (0, "")
        installed = (prefix / path.format(program)).read_text()
        assert installed.split(".SH SEE ALSO")[0] == printed.stdout.split(".SH SEE ALSO")[0]
        if kind == "man":
            assert all(f".BR {other} (1)".replace("-", r"\-") in installed for other in others)
    debian = prefix / "share/zsh/vendor-completions" / f"_{program}"
    assert debian.read_text() == (prefix / FILES["zsh"].format(program)).read_text()


def test_pages_mention_every_option(page, program, declarations):
    texts = {kind: page(kind).read_text() for kind in FILES}
    texts["man"] = without_roff(texts["man"])
    for argument in declarations[program]["arguments"]:
        for name in argument["names"]:
            in_fish = f"-l {name[2:]} " if name.startswith("--") else f"-s {name[1:]} "
            assert re.search(rf"^{re.escape(name)}\b|, {re.escape(name)}\b", texts["man"], re.M), name
            if argument["positional"]:
                completed = f"({' '.join(argument['choices'])})" if argument["choices"] else "_files"
                assert f":{name}:{completed}" in texts["zsh"]
                continue
            assert f" {name} " in texts["bash"].replace("'", " "), name
            assert re.search(rf"[',{{]{name}[=+,'}}]", texts["zsh"]), name
            assert in_fish in texts["fish"], name
    for choices in (argument["choices"] for argument in declarations[program]["arguments"] if argument["choices"]):
        assert all(" ".join(choices) in texts[kind] for kind in ("bash", "zsh", "fish"))


def test_man_page_tells_all_that_help_tells(page, program, declarations, run):
    text = squeezed(without_roff(page("man").read_text()))
    said = declarations[program]
    assert squeezed(said["description"]) in text
    for argument in said["arguments"]:
        assert argument["help"] in text
        if argument["default"]:
            assert f"Default: {argument['default']}." in text
    help_text = run(program, "--help").stdout
    for line in help_text.split("Examples:\n")[1].split("\n\n")[0].splitlines():
        assert line.strip()[1:] in text  # of the meanings, the first letter is a capital here


def test_exit_status_is_the_table_of_the_readme(page):
    rows = (SOURCE / "README.md").read_text().split("| exit code | meaning |\n|---|---|\n")[1].split("\n\n")[0]
    expected = [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows.replace("`", "").splitlines()]
    assert len(expected) == 6
    section = without_roff(page("man").read_text()).split(".SH EXIT STATUS\n")[1].split(".SH")[0]
    told = [item.splitlines() for item in section.split(".TP\n")[1:]]
    assert [[code, meaning.rstrip(".").lower()] for code, meaning in told] == [[c, m.lower()] for c, m in expected]


def test_environment_names_the_variables_that_the_sources_read(page, program):
    text = without_roff(page("man").read_text()).split(".SH ENVIRONMENT\n")[1].split(".SH")[0]
    assert {"NO_COLOR", "TERM"} <= set(re.findall(r"\w+", text))
    launchers = (SOURCE / "src/base/world.cpp").read_text().split("kLaunchers{{")[1].split("}};")[0]
    variables = set(re.findall(r'"([A-Z_]{4,})"', launchers))
    assert len(variables) == 8
    expected = variables if program in ("ae-train", "ae-score") else set()
    assert set(re.findall(r"\w+", text)) & variables == expected


@needs("groff")
def test_groff_shows_the_text_as_it_is(page, program, declarations):
    command = ["groff", "-man", "-ww", "-Tascii", "-P-c", "-P-b", "-P-u", "-rLL=200n", page("man")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    shown = squeezed(done.stdout)
    for argument in declarations[program]["arguments"]:
        assert squeezed(argument["help"]) in shown
    for heading in ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "ENVIRONMENT", "EXAMPLES"):
        assert re.search(f"^{heading}$", done.stdout, re.M)


@needs("mandoc")
def test_mandoc_finds_nothing_wrong(page):
    done = subprocess.run(["mandoc", "-Tlint", page("man")], capture_output=True, text=True, timeout=60)
    known = ("input text line longer than 80 bytes", 'missing date, using ""')  # the same sources, the same bytes
    assert [line for line in done.stdout.splitlines() if not any(text in line for text in known)] == []


@needs("lexgrog")
def test_whatis_finds_the_name(page, program):
    done = subprocess.run(["lexgrog", page("man")], capture_output=True, text=True, timeout=60, check=True)
    assert f'"{program} - ' in done.stdout


class Shell:
    """An interactive shell on a terminal of its own, in which a program is a function that writes its arguments."""

    def __init__(self, command, environment, folder):
        self.output = folder.parent / f"{folder.name}.arguments"
        master, slave = pty.openpty()
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, cwd=folder, env=environment, start_new_session=True
        )
        os.close(slave)
        self.terminal = master
        self.seen = ""
        self.wait("READY>")

    def wait(self, text, seconds=60):
        end = time.monotonic() + seconds
        while text not in self.seen:
            ready, _, _ = select.select([self.terminal], [], [], max(0, end - time.monotonic()))
            assert ready, f"the shell said {self.seen!r}"
            self.seen += os.read(self.terminal, 4096).decode(errors="replace")

    def arguments_of(self, line):
        """What the program gets when these keys are typed."""
        self.seen = ""
        os.write(self.terminal, line.encode() + b"\r")
        self.wait("DONE")
        self.wait("READY>")
        return self.output.read_text().splitlines()

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.terminal)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "maps").mkdir()
    (folder / "runs with blanks").mkdir()
    (folder / "mapped.csv").touch()
    (folder / "scores.csv").touch()
    (folder / "-odd.csv").touch()
    return folder


def start(shell, script, folder, program):
    """A bash or zsh that knows the completions of `program` only."""
    arguments = f"{folder}.arguments"
    start_up = f"""{script}
{program}() {{ printf '%s\\n' "$@" > '{arguments}'; echo DO''NE; }}
PS1='READ''Y>'
"""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder.parent), "TERM": "dumb", "LC_ALL": "C"}
    if shell == "bash":
        (folder.parent / "bashrc").write_text(start_up)
        command = ["bash", "--noprofile", "--rcfile", folder.parent / "bashrc", "-i"]
        return Shell(command, {**environment, "INPUTRC": "/dev/null"}, folder)
    (folder.parent / ".zshrc").write_text(start_up)
    return Shell(["zsh", "-d", "-i"], {**environment, "ZDOTDIR": str(folder.parent)}, folder)


ALL = "\x1b*"  # readline: insert all completions


@pytest.fixture
def bash(page, program, folder):
    shell = start("bash", f"source '{page('bash')}'", folder, program)
    yield lambda line: shell.arguments_of(f"{program} {line}")
    shell.close()


def test_bash_completes_the_value_of_every_option(bash, program, declarations):
    folders = {"maps", "runs with blanks"}
    for argument in declarations[program]["arguments"]:
        if argument["positional"] or argument["type"] == "":
            continue
        if argument["type"] == "DIR":
            expected = folders
        elif argument["choices"]:
            expected = set(argument["choices"])
        elif argument["beginnings"]:
            expected = set(argument["beginnings"])
        elif argument["type"] in ("FILE", "PATH") or "." in argument["type"]:
            expected = folders | {"mapped.csv", "scores.csv", "-odd.csv"}
        else:
            expected = set()
        for name in argument["names"]:
            first, *completed = bash(f"{name} {ALL}")
            assert (first, set(completed)) == (name, expected), argument


def test_bash_completes_names_of_options(bash, program, declarations):
    names = {name for a in declarations[program]["arguments"] if not a["positional"] for name in a["names"]}
    assert set(bash(f"--{ALL}")) == {name for name in names if name.startswith("--")}
    assert set(bash(f"model --f{ALL}")) == {"model"} | {name for name in names if name.startswith("--f")}
    assert bash("a --vers\t") == ["a", "--version"]
    assert bash("a --threads 2 --vers\t") == ["a", "--threads", "2", "--version"]


def test_bash_completes_files_for_positionals_and_after_two_dashes(bash):
    assert bash("sc\t") == ["scores.csv"]
    assert bash("ru\t") == ["runs with blanks/"]
    assert bash("-- -o\t") == ["--", "-odd.csv"]


def test_bash_completes_behind_an_equals_sign(bash, program, declarations):
    for argument in declarations[program]["arguments"]:
        name = argument["names"][-1]
        if argument["choices"]:
            first, *others = argument["choices"]
            begin = next(first[:n] for n in range(1, len(first) + 1) if not any(o.startswith(first[:n]) for o in others))
            before, after = ("", first) if argument["positional"] else (f"{name}=", f"{name}={first}")
            assert bash(f"{before}{begin}\t") == [after]
        elif argument["type"] == "DIR":
            assert bash(f"{name}=ma\t") == [f"{name}=maps/"]
        elif argument["type"] == "FILE" and not argument["positional"]:
            assert bash(f"{name}=sc\t") == [f"{name}=scores.csv"]


@needs_torch
@pytest.mark.parametrize("program", ["ae-train"])
def test_bash_completes_settings_and_then_their_files(bash):
    assert bash("--set /training/epo\t5") == ["--set", "/training/epochs=5"]
    assert bash("--set=/training/epo\t5") == ["--set=/training/epochs=5"]
    assert bash("--set /data/pa\tsc\t --resume") == ["--set", "/data/path=scores.csv", "--resume"]


@needs("zsh")
def test_zsh_completes(page, program, folder, declarations):
    script = page("zsh")
    subprocess.run(["zsh", "-f", "-n", script], check=True, timeout=60)
    load = f"fpath=('{script.parent}' $fpath); autoload -Uz compinit; compinit -u -d '{folder.parent}/dump'"
    shell = start("zsh", load, folder, program)
    try:
        assert shell.arguments_of(f"{program} a --versi\t") == ["a", "--version"]
        assert shell.arguments_of(f"{program} sc\t") == ["scores.csv"]
        for argument in declarations[program]["arguments"]:
            name = argument["names"][-1]
            if argument["choices"]:
                typed = shell.arguments_of(f"{program} {name} {argument['choices'][0][0]}\t")
                assert typed == [name, argument["choices"][0]]
            elif argument["beginnings"]:
                assert shell.arguments_of(f"{program} {name} /training/epo\t5") == [name, "/training/epochs=5"]
            elif argument["type"] == "DIR":
                # Not mapped.csv; the slash behind the folder goes when the line does.
                assert shell.arguments_of(f"{program} {name} ma\t") == [name, "maps"]
    finally:
        shell.close()


@needs("fish")
def test_fish_completes(page, program, folder, declarations):
    script = page("fish")
    subprocess.run(["fish", "--no-execute", script], check=True, timeout=60)
    asked = [("--versi", {"--version"}), ("sc", {"scores.csv"})]
    for argument in declarations[program]["arguments"]:
        name = argument["names"][-1]
        if argument["choices"]:
            asked.append((f"{name} ", set(argument["choices"])))
        elif argument["beginnings"]:
            asked.append((f"{name} ", set(argument["beginnings"])))
        elif argument["type"] == "DIR":
            asked.append((f"{name} ", {"maps/", "runs with blanks/"}))
        elif argument["type"] == "FILE" and not argument["positional"]:
            asked.append((f"{name} sc", {"scores.csv"}))
        elif argument["type"] == "NUMBER":
            asked.append((f"{name} sc", set()))
    commands = [f"source '{script}'"]
    for typed, _ in asked:
        commands.append(f"complete -C '{program} {typed}'; echo ENOUGH")
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder.parent), "LC_ALL": "C.UTF-8"}
    command = ["fish", "--no-config", "-c", "\n".join(commands)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    answers = done.stdout.split("ENOUGH\n")
    for (typed, expected), answer in zip(asked, answers):
        assert {line.split("\t")[0].replace("\\ ", " ") for line in answer.splitlines()} == expected, typed
