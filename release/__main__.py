"""`make release`: the steps that compile. `python -m release targets ARCH… TARGET…`, `stack ARCH…`, `cli TARGET…`, `sbom`,
`index`; `notes TAG`."""

import os
import subprocess
import sys

from release.package import FUNCTIONS, ROOT, VERSION, ReleaseError, command_line, index, notes, stack

DIST = ROOT / "dist"
GNU_TARGETS = {"x86_64": "x86_64-unknown-linux-gnu", "arm64": "aarch64-unknown-linux-gnu"}


def run(*command, **variables):
    print(f"==> {' '.join(command)}", flush=True)
    subprocess.run(command, cwd=ROOT, check=True, env=os.environ | variables)


def output(*command):
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def write(name, data):
    DIST.mkdir(exist_ok=True)
    (DIST / name).write_bytes(data)
    print(f"    dist/{name}  ({len(data):,} bytes)", flush=True)


def add_targets(*names):
    """Adds targets of Rust, which may also be named by the processor type of functions."""
    for name in names:
        target = GNU_TARGETS.get(name, name)
        try:
            run("rustup", "target", "add", target)
        except (OSError, subprocess.CalledProcessError) as error:
            raise ReleaseError(f"rustup cannot add {target}. To do without it, run make release with other ARCHES and TARGETS") from error


def make_stacks(*arches):
    add_targets(*arches)
    for arch in arches:
        run("make", "functions", f"ARCH={arch}")
        built = ROOT / "target" / "lambda"
        write(*stack(arch, {name: (built / name / "bootstrap").read_bytes() for name in FUNCTIONS}))


def make_command_lines(*targets):
    add_targets(*targets)
    for target in targets:
        # zig brings the C library of other systems, but not Apple's frameworks: those targets build on a Mac only.
        build = "build" if "apple" in target else "zigbuild"
        run("cargo", build, "--locked", "--profile", "dist", "--target", target, "--package", "midihook-cli")
        program = ROOT / "target" / target / "dist" / ("midihook.exe" if "windows" in target else "midihook")
        write(*command_line(target, program.read_bytes()))


def make_bills():
    # A fixed time, so that the same crates give the same bytes.
    command = ["cargo", "cyclonedx", "--quiet", "--format=json", "--spec-version=1.5", "--target=all", "--override-filename=bom"]
    run(*command, SOURCE_DATE_EPOCH="315532800")
    for crate, directory in {"midihook": ROOT, "midihook-cli": ROOT / "crates" / "cli", "suno-midi": ROOT / "crates" / "suno-midi"}.items():
        bill = directory / "bom.json"
        # The crates of this repository are named by their directories.
        write(f"{crate}-{VERSION}.cdx.json", bill.read_text().replace(f"file://{ROOT}", "file:///midihook").encode())
        bill.unlink()


def make_index():
    # Other tags must not hide the commit.
    commit = output("git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*")
    tools = [output("rustc", "--version"), output("cargo", "lambda", "--version"), output("cargo-zigbuild", "--version")]
    index(DIST, {"commit": commit, "tools": tools})
    run("sh", "-c", f"cd '{DIST}' && ls -l && sha256sum --check --quiet SHA256SUMS")


def print_notes(tag):
    print(notes(tag, (ROOT / "CHANGELOG.md").read_text()))


STEPS = {
    "targets": add_targets,
    "stack": make_stacks,
    "cli": make_command_lines,
    "sbom": make_bills,
    "index": make_index,
    "notes": print_notes,
}

if __name__ == "__main__":
    step, *arguments = sys.argv[1:]
    try:
        STEPS[step](*arguments)
    except ReleaseError as error:
        sys.exit(f"release: {error}")
    except subprocess.CalledProcessError as error:
        sys.exit(f"release: this failed, for the reason above: {' '.join(error.cmd)}")
