"""From built programs to the files of a release. It compiles nothing, and the same programs give the same bytes."""

import functools
import gzip
import hashlib
import io
import json
import os
import pathlib
import re
import subprocess
import tarfile
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
VERSION = re.search(r'^version = "(.+)"$', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]
FUNCTIONS = ("receiver", "renderer", "reconciler", "pusher")
PROGRAMS = ("bootstrap", "midihook", "midihook.exe")
# A zip file cannot have an earlier time.
TIME = (1980, 1, 1, 0, 0, 0)


class ReleaseError(Exception):
    """The release cannot be made; the text says why."""


def mode(name):
    return 0o755 if name in PROGRAMS else 0o644


def zipped(files):
    """A zip file with these files, as {name: bytes}."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo(name, TIME)
            info.create_system = 3  # Unix, so that the modes count
            info.external_attr = (0o100000 | mode(name)) << 16
            archive.writestr(info, data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def tarred(files):
    """The same as a .tar.gz file."""
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0, filename="") as compressed:
        with tarfile.open(fileobj=compressed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            for name, data in files.items():
                info = tarfile.TarInfo(name)
                info.size, info.mode = len(data), mode(name)
                archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def without_builder(name, program):
    """Returns the program, if no path of this computer is inside: it would say who built it, and differ elsewhere."""
    homes = {"CARGO_HOME": ".cargo", "RUSTUP_HOME": ".rustup"}
    paths = [os.environ.get(variable, pathlib.Path.home() / usual) for variable, usual in homes.items()]
    for path in [*paths, *(ROOT / directory for directory in ("crates", "src", "target"))]:
        if bytes(f"{path}/", "utf-8") in program:
            raise ReleaseError(f"{name} contains the path {path}: build it with make")
    return program


def replaced(text, old, new):
    if text.count(old) != 1:
        raise ReleaseError(f"template.yaml has {text.count(old)} times, and not once:\n{old}")
    return text.replace(old, new)


def template(arch):
    """template.yaml for functions that lie beside it."""
    text = (ROOT / "template.yaml").read_text()
    for name in FUNCTIONS:
        text = replaced(text, f"      CodeUri: target/lambda/{name}\n", f"      CodeUri: {name}.zip\n")
    either = "    Default: x86_64\n    AllowedValues: [x86_64, arm64]\n"
    return replaced(text, either, f"    Default: {arch}\n    AllowedValues: [{arch}]\n")


@functools.cache
def third_party():
    """The licenses of all crates in Cargo.lock, which is more than any one program contains. They ask to be passed on."""
    command = ["cargo", "metadata", "--locked", "--format-version", "1"]
    metadata = json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)
    crates = {}
    for crate in metadata["packages"]:
        if crate["source"] is None:
            continue  # one of ours
        directory = pathlib.Path(crate["manifest_path"]).parent
        files = [path for path in sorted(directory.iterdir()) if re.match(r"(?i)(un)?licen[cs]e|copying|copyright|notice", path.name)]
        texts = [path.read_text(errors="replace").strip() for path in files if path.is_file()]
        for text in texts or ["(The crate has no file with its license.)"]:
            crates.setdefault(text, []).append(f"{crate['name']} {crate['version']} ({crate['license']})")
    sections = sorted(f"{'=' * 80}\n{chr(10).join(sorted(names))}\n\n{text}\n" for text, names in crates.items())
    return "\n".join(sections).encode()


def licenses():
    return {"LICENSE": (ROOT / "LICENSE").read_bytes(), "THIRD-PARTY.txt": third_party()}


def stack(arch, programs):
    """What `sam deploy` needs: the name and the bytes of a zip file. `programs` are the functions as {name: bytes}."""
    files = {f"{name}.zip": zipped({"bootstrap": without_builder(name, programs[name])}) for name in FUNCTIONS}
    files["template.yaml"] = template(arch).encode()
    files["samconfig.toml"] = (ROOT / "release" / "samconfig.toml").read_bytes()
    # The template names it and the license, for the AWS Serverless Application Repository.
    files["README.md"] = (ROOT / "README.md").read_bytes()
    files |= licenses()
    return f"midihook-stack-{VERSION}-{arch}.zip", zipped(files)


def command_line(target, program):
    """The name and the bytes of an archive with the command line for a Rust target."""
    windows = "windows" in target
    files = {"midihook.exe" if windows else "midihook": without_builder(target, program)} | licenses()
    name = f"midihook-cli-{VERSION}-{target}"
    return (f"{name}.zip", zipped(files)) if windows else (f"{name}.tar.gz", tarred(files))


def described(name, data):
    """The size and the sum of a file; of an archive, also those of the files inside."""
    entry = {"name": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    inside = []
    if name.endswith(".zip"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            inside = [(file, archive.read(file)) for file in archive.namelist()]
    elif name.endswith(".tar.gz"):
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            inside = [(file.name, archive.extractfile(file).read()) for file in archive]
    return entry | ({"contents": [described(*file) for file in inside]} if inside else {})


def index(dist, origin):
    """Writes manifest.json, and then SHA256SUMS, about all files of this version. `origin` says what they were made from."""
    files = [(path.name, path.read_bytes()) for path in sorted(dist.glob(f"*-{VERSION}*"))]
    manifest = {"version": VERSION} | origin | {"files": [described(*file) for file in files]}
    text = json.dumps(manifest, indent=2).encode() + b"\n"
    (dist / "manifest.json").write_bytes(text)
    sums = [f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in [("manifest.json", text), *files]]
    (dist / "SHA256SUMS").write_text("".join(sums))


def notes(tag, changelog):
    """The section of the changelog about a tag, which must be the version of Cargo.toml."""
    if tag != f"v{VERSION}":
        raise ReleaseError(f"the tag is {tag}, but Cargo.toml has the version {VERSION}")
    section = re.search(rf"^## {re.escape(VERSION)}( .*)?\n((?:(?!## ).*\n)*)", changelog, re.MULTILINE)
    if not section:
        raise ReleaseError(f"CHANGELOG.md has no section {VERSION}")
    return section[2].strip()
