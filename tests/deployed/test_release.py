"""A release of the built functions, deployed as a stranger deploys it: unpacked into an empty folder, without Rust."""

import hashlib
import io
import json
import platform
import re
import secrets
import shutil
import subprocess
import tarfile
import zipfile

import pytest
import yaml

from release import __main__ as steps
from release import package
from tests.local_stack.stack import REGION, ROOT, LocalStack, StackError
from tests.programs.functions import bootstrap
from tests.programs.template import PARAMETERS, TEMPLATE, Loader

ARCH = "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"
SAMPLE = ROOT / "events" / "callback-success.json"


def programs():
    return {name: bootstrap(f"{name.capitalize()}Function").read_bytes() for name in package.FUNCTIONS}


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    """A release of this machine's functions, and of a command line that is only a name."""
    dist = tmp_path_factory.mktemp("dist")
    for name, data in (package.stack(ARCH, programs()), *(package.command_line(target, b"program") for target in ("linux", "windows"))):
        (dist / name).write_bytes(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(steps, "DIST", dist)
        steps.make_index()
    return dist


class ReleasedStack(LocalStack):
    """The local stack, to which a released folder is deployed instead of this repository."""

    def __init__(self, signing_key, folder):
        super().__init__(signing_key)
        self.folder = folder

    def deploy(self, template=None):
        tools = self.directory / "bin"
        tools.mkdir()
        (tools / "sam").symlink_to(shutil.which("sam"))
        assert not any(shutil.which(tool, path=tools) for tool in ("cargo", "rustc", "make", "python3"))
        # Enter accepts what is proposed. The template's first parameters are hidden: the keys, and where to push to.
        answers = f"\n{REGION}\n{self.signing_key}\nnone\nnone\nnone\n" + "\n" * 40
        done = subprocess.run(
            ["sam", "deploy", "--guided"],
            cwd=self.folder,
            env=self.environment | {"PATH": str(tools)},
            input=answers,
            capture_output=True,
            text=True,
            # Without a terminal, sam asks for the key on its standard input too.
            start_new_session=True,
        )
        if done.returncode:
            raise StackError(f"sam deploy failed:\n{done.stdout[-4000:]}{done.stderr[-2000:]}")
        self.look()


def test_a_stranger_without_rust_deploys_the_release_and_gets_a_song(dist, tmp_path):
    shutil.unpack_archive(dist / f"midihook-stack-{package.VERSION}-{ARCH}.zip", tmp_path)
    body = SAMPLE.read_bytes()
    task_id = json.loads(body)["data"]["taskId"]
    with ReleasedStack(secrets.token_urlsafe(24), tmp_path) as stack:
        assert stack.signing_key not in (tmp_path / "samconfig.toml").read_text()
        reconciler = stack.client("lambda").get_function_configuration(FunctionName=stack.outputs["ReconcilerFunctionName"])
        assert reconciler["Environment"]["Variables"]["PROVIDER_KEY_SECRET_ID"] == "", "none is not a key"
        assert stack.post(body, task_id).status_code == 200
        assert stack.result(task_id)["state"] == "rendered"


def test_the_sums_are_those_of_all_files(dist):
    sums = dict(reversed(line.split("  ")) for line in (dist / "SHA256SUMS").read_text().splitlines())
    assert sums == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in dist.iterdir() if path.name != "SHA256SUMS"}
    assert f"midihook-stack-{package.VERSION}-{ARCH}.zip" in sums


def test_the_manifest_has_the_sum_of_each_function(dist):
    manifest = json.loads((dist / "manifest.json").read_text())
    assert manifest["version"] == package.VERSION
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?", manifest["commit"])
    assert [tool.split()[0] for tool in manifest["tools"]] == ["rustc", "cargo-lambda", "cargo-zigbuild"]
    [stack] = [file for file in manifest["files"] if file["name"].startswith("midihook-stack-")]
    zips = {file["name"]: file["contents"] for file in stack["contents"] if file["name"].endswith(".zip")}
    assert zips == {
        f"{name}.zip": [{"name": "bootstrap", "bytes": len(program), "sha256": hashlib.sha256(program).hexdigest()}]
        for name, program in programs().items()
    }


def test_a_zip_holds_the_built_function_as_lambda_wants_it(dist):
    with zipfile.ZipFile(dist / f"midihook-stack-{package.VERSION}-{ARCH}.zip") as stack:
        for name, program in programs().items():
            with zipfile.ZipFile(stack.open(f"{name}.zip")) as function:
                [info] = function.infolist()
                assert (info.filename, info.external_attr >> 16) == ("bootstrap", 0o100755)
                assert function.read("bootstrap") == program


def test_the_same_programs_make_the_same_bytes_at_any_time(dist):
    name, data = package.stack(ARCH, programs())
    assert data == (dist / name).read_bytes()
    # Without these, two archives differ only if the clock has ticked between them.
    with zipfile.ZipFile(dist / name) as stack:
        assert {info.date_time for info in stack.infolist()} == {package.TIME}
    compressed = (dist / f"midihook-cli-{package.VERSION}-linux.tar.gz").read_bytes()
    assert compressed[4:8] == bytes(4)
    with tarfile.open(fileobj=io.BytesIO(compressed)) as archive:
        assert [(file.name, file.mode, file.mtime) for file in archive] == [
            ("midihook", 0o755, 0),
            ("LICENSE", 0o644, 0),
            ("THIRD-PARTY.txt", 0o644, 0),
        ]


def test_the_licenses_of_all_linked_crates_are_passed_on():
    text = package.third_party().decode()
    command = ["cargo", "tree", "--locked", "--workspace", "--edges=normal", "--prefix=none", "--format={p}"]
    lines = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    crates = {tuple(line.split()[:2]) for line in lines if line and str(ROOT) not in line}
    assert len(crates) > 100
    assert [crate for crate in crates if f"\n{crate[0]} {crate[1][1:]} (" not in text] == []
    assert "Permission is hereby granted, free of charge" in text


def test_a_program_that_names_its_builder_is_refused():
    with pytest.raises(package.ReleaseError, match="receiver contains the path"):
        package.stack(ARCH, {name: f"at {ROOT}/src/lib.rs:1".encode() for name in package.FUNCTIONS})


@pytest.mark.parametrize("arch", ["x86_64", "arm64"])
def test_the_released_template_differs_only_in_where_the_functions_are(arch):
    released = yaml.load(package.template(arch), Loader)
    assert released["Parameters"].pop("Architecture") == PARAMETERS["Architecture"] | {"Default": arch, "AllowedValues": [arch]}
    for name in package.FUNCTIONS:
        function = released["Resources"][f"{name.capitalize()}Function"]
        assert function["Properties"]["CodeUri"] == f"{name}.zip"
        function["Properties"]["CodeUri"] = f"target/lambda/{name}"
    released["Parameters"]["Architecture"] = PARAMETERS["Architecture"]
    assert released == TEMPLATE


def test_the_application_repository_is_told_the_version_and_the_license(dist):
    application = TEMPLATE["Metadata"]["AWS::ServerlessRepo::Application"]
    assert application["SemanticVersion"] == package.VERSION
    assert application["SpdxLicenseId"] == re.search(r'^license = "(.+)"$', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]
    with zipfile.ZipFile(dist / f"midihook-stack-{package.VERSION}-{ARCH}.zip") as stack:
        assert {application["LicenseUrl"], application["ReadmeUrl"]} <= set(stack.namelist())


@pytest.mark.parametrize("crate", ["suno-midi", "midihook", "midihook-cli"])
def test_a_published_crate_has_its_sources_and_nothing_else(crate):
    command = ["cargo", "package", "--list", "--allow-dirty", "--package", crate]
    files = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    assert {"LICENSE", "README.md"} <= set(files) and any(file.startswith("src/") for file in files)
    usual = r"(src|examples)/.+\.(rs|pem)|LICENSE|README\.md|Cargo\.(lock|toml|toml\.orig)|\.cargo_vcs_info\.json"
    assert [file for file in files if not re.fullmatch(usual, file)] == []


def test_a_target_of_rust_that_cannot_be_had_is_named(tmp_path, monkeypatch):
    rustup = tmp_path / "rustup"
    rustup.write_text('#!/bin/sh\ncase "$*" in *aarch64*) exit 1;; esac\n')
    rustup.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    steps.add_targets("x86_64", "x86_64-unknown-linux-musl")
    with pytest.raises(package.ReleaseError, match="cannot add aarch64-unknown-linux-gnu"):
        steps.add_targets("x86_64", "arm64")


def test_the_notes_are_the_section_of_the_changelog():
    version = package.VERSION
    changelog = f"# Changelog\n\n## Unreleased\n\n## {version}.1\n- x\n\n## {version} - 2026-12-01\n\n### Added\n- a\n\n## 0.0.1\n- b\n"
    assert package.notes(f"v{version}", changelog) == "### Added\n- a"
    with pytest.raises(package.ReleaseError, match="Cargo.toml has the version"):
        package.notes(f"v{version}.1", changelog)
    with pytest.raises(package.ReleaseError, match="has no section"):
        package.notes(f"v{version}", "## Unreleased\n- a\n")
