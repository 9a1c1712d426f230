"""A bucket in memory, for the tests of commands over a deployed stack."""

import pytest

from tests.programs.bucket import Bucket


@pytest.fixture
def bucket():
    bucket = Bucket()
    yield bucket
    bucket.close()
