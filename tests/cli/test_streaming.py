"""ae-score on streams: reading, scoring and writing overlap, and nobody can tell from outside."""

import json
import os
import signal
import subprocess
import time

import pytest
from support import WDBC, needs_torch

pytestmark = needs_torch

ROWS = WDBC.read_bytes().splitlines(keepends=True)


def many(times):
    return ROWS[0] + b"".join(ROWS[1:]) * times


@pytest.mark.parametrize("how", [[], ["--explain", 3], ["--fdr", 0.1], ["--alpha", 0.05, "--explain", 1]],
                         ids=["plain", "explained", "fdr", "alpha"])
def test_any_number_of_threads_gives_the_same_bytes(run, trained, tmp_path, how):
    (tmp_path / "many.csv").write_bytes(many(30))  # several blocks
    one, two, three = (run("ae-score", trained, "many.csv", WDBC, "--threads", n, *how) for n in (1, 2, 3))
    assert one.code == 0
    assert one.stdout.count("\n") == 31 * (len(ROWS) - 1) + 1
    assert one == two == three
    piped = run("ae-score", trained, "-", WDBC, *how, stdin=many(30))
    assert piped.stdout == one.stdout


@pytest.mark.parametrize("threads", [1, 2])
def test_a_bad_cell_is_named_after_the_blocks_before_it(run, trained, tmp_path, threads):
    lines = many(30).splitlines(keepends=True)
    bad = 12345
    cells = lines[bad].split(b",")
    cells[5] = b"much"
    lines[bad] = b",".join(cells)
    (tmp_path / "bad.csv").write_bytes(b"".join(lines))
    outcome = run("ae-score", trained, "bad.csv", "--threads", threads, "-q")
    assert outcome.code == 4
    assert outcome.stderr.count("\n") == 1 and f"bad.csv:{bad + 1}:" in outcome.stderr and '"much"' in outcome.stderr
    written = outcome.stdout.splitlines()
    assert written == run("ae-score", trained, "-", "-q", stdin=b"".join(lines[:bad])).stdout.splitlines()[: len(written)]
    assert run("ae-score", trained, "bad.csv", "-o", "out.csv", "--threads", threads, "-q").code == 4
    assert not (tmp_path / "out.csv").exists()


def scorer(bin_folder, trained, threads):
    return subprocess.Popen([bin_folder / "ae-score", trained, "-", "--threads", str(threads), "-q"],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.parametrize("threads", [1, 2])
def test_results_come_while_the_input_waits(bin_folder, trained, threads):
    process = scorer(bin_folder, trained, threads)
    process.stdin.write(b"".join(ROWS[:3]))
    process.stdin.flush()
    lines = [process.stdout.readline() for _ in range(3)]
    assert lines[0].startswith(b"id,score,p_value") and lines[2].endswith(b"\n")
    process.stdin.write(ROWS[3])
    process.stdin.flush()
    assert process.stdout.readline()
    process.stdin.close()
    assert process.stdout.read() == b"" and process.wait(60) == 0


@pytest.mark.parametrize("threads", [1, 2])
def test_a_closed_pipe_ends_it_although_the_input_waits(bin_folder, trained, threads):
    process = scorer(bin_folder, trained, threads)
    process.stdin.write(b"".join(ROWS[:3]))
    process.stdin.flush()
    process.stdout.readline()
    process.stdout.close()
    process.stdin.write(ROWS[3])
    process.stdin.flush()
    assert process.wait(60) == 0  # the input is still open
    assert process.stderr.read() == b""


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_although_the_input_waits(bin_folder, trained, threads, number):
    process = scorer(bin_folder, trained, threads)
    process.stdin.write(b"".join(ROWS[:3]))
    process.stdin.flush()
    process.stdout.readline()
    process.send_signal(number)
    assert process.wait(60) == 128 + number
    assert process.stderr.read() == b""  # -q


def test_a_signal_ends_it_while_it_waits_to_open_the_next_pipe(bin_folder, trained, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    process = subprocess.Popen([bin_folder / "ae-score", trained, WDBC, tmp_path / "pipe", "--threads", "2", "-q"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    for _ in ROWS:
        process.stdout.readline()
    time.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 128 + signal.SIGTERM


def peak_memory(process):
    """In KiB, of the whole life of a process that ends well; what it had at some moment would depend on the moment."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_maxrss


@pytest.mark.skipif(os.environ.get("AETOOLS_SANITIZED") == "1", reason="AddressSanitizer keeps freed memory")
def test_memory_does_not_grow_with_the_rows(bin_folder, trained):
    peaks = []
    for times in (20, 400):
        process = subprocess.Popen([bin_folder / "ae-score", trained, "-", "--threads", "2", "-q"],
                                   stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        process.stdin.write(ROWS[0])
        for _ in range(times):
            process.stdin.write(b"".join(ROWS[1:]))
        process.stdin.close()
        peaks.append(peak_memory(process))
    assert peaks[1] < 1.1 * peaks[0]


def wide_table(rows, columns):
    lines = [",".join(str((7 * i + 13 * j + i * j % 31) % 97 / 8) for j in range(columns)) + "\n" for i in range(rows)]
    return ",".join(f"x{j}" for j in range(columns)) + "\n", lines


def train_wide(bin_folder, folder, columns, score="loss"):
    header, lines = wide_table(40, columns)
    (folder / f"{columns}.csv").write_text(header + "".join(lines))
    # Products so small are not BLAS's, in which the last bit may depend on a row's place.
    config = {"data": {"path": f"{columns}.csv"}, "model": {"hidden": [4], "latent": 2}, "score": {"type": score},
              "training": {"epochs": 1, "validation_fraction": 0.3}}
    (folder / "wide.json").write_text(json.dumps(config))
    done = subprocess.run([bin_folder / "ae-train", "wide.json", "--out", f"wide{columns}{score}", "-q"], cwd=folder,
                          capture_output=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, b"")
    return folder / f"wide{columns}{score}", header, lines


@pytest.mark.parametrize("score", ["loss", "normalized"])
def test_wide_rows_score_alike_in_whatever_blocks(run, bin_folder, tmp_path, score):
    model, header, lines = train_wide(bin_folder, tmp_path, 5000, score)
    lines = lines * 7  # more than a block
    how = ["--explain", 2, "--alpha", 0.2, "-q"]
    (tmp_path / "rows.csv").write_text(header + "".join(lines))
    one, two = (run("ae-score", model, "rows.csv", *how, "--threads", n) for n in (1, 2))
    assert one.code == 0 and one == two
    scored = one.stdout.splitlines()
    assert len(scored) == 1 + len(lines)
    for first, count in ((0, 1), (33, 70), (279, 1)):
        part = run("ae-score", model, "-", *how, stdin=header + "".join(lines[first : first + count]))
        expected = [",".join([str(i), *line.split(",")[1:]]) for i, line in enumerate(scored[1 + first :][:count])]
        assert part.stdout.splitlines()[1:] == expected


@pytest.mark.skipif(os.environ.get("AETOOLS_SANITIZED") == "1", reason="AddressSanitizer keeps freed memory")
def test_memory_does_not_grow_with_the_columns(bin_folder, tmp_path):
    """For the same number of cells; what the model itself needs for its columns is within the margin."""
    peaks = []
    for columns in (200, 20_000):
        model, header, lines = train_wide(bin_folder, tmp_path, columns)
        with open(tmp_path / "rows.csv", "w") as file:
            file.write(header)
            for _ in range(4_000_000 // columns // len(lines)):
                file.writelines(lines)
        # The least of two: how far reading gets ahead of scoring varies with what else the machine does.
        command = [bin_folder / "ae-score", model, tmp_path / "rows.csv", "--threads", "2", "-q"]
        peaks.append(min(peak_memory(subprocess.Popen(command, stdout=subprocess.DEVNULL)) for _ in range(2)))
    assert peaks[1] < 1.25 * peaks[0]
