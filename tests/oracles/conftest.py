"""The programs from Debian that the oracles run."""

import pathlib
import shutil

import pytest

SOUNDFONT = pathlib.Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")


@pytest.fixture(scope="session", autouse=True)
def installed():
    missing = [program for program in ("fluidsynth", "midicsv", "mscore3") if not shutil.which(program)]
    if missing or not SOUNDFONT.exists():
        pytest.exit("The oracles need: apt-get install fluidsynth fluid-soundfont-gm midicsv musescore3", returncode=1)
