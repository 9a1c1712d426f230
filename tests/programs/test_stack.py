"""The commands find the stack by its name, and names in the environment come first."""

import pytest

from tests.programs.bucket import Bucket

NAMES = ("MIDIHOOK_BUCKET", "MIDIHOOK_RENDER_QUEUE_URL", "MIDIHOOK_DEAD_LETTER_QUEUE_URL")


@pytest.fixture
def account():
    """Two stacks of midihook, and another."""
    account = Bucket()
    for name, bucket in [("midihook", "bucket"), ("other", "bucket-of-other")]:
        queue = f"{account.url}/0/{name}"
        account.stacks[name] = {"BucketName": bucket, "RenderQueueUrl": queue, "RenderDeadLetterQueueUrl": f"{queue}-dead"}
    account.stacks["website"] = {"Url": "https://example.com"}
    account.callback("t")
    yield account
    account.close()


@pytest.fixture
def replay(midihook, account):
    """Runs `midihook replay t` without names in the environment, except for these. Returns the outcome, the bucket and the
    queue of the job, and how often CloudFormation was asked."""

    def run(*arguments, **environment):
        account.jobs.clear()
        account.requests.clear()
        usual = {name: value for name, value in account.environment.items() if name not in NAMES}
        done = midihook("replay", "t", *arguments, env=usual | environment)
        jobs = [(job["bucket"], job["queue"].rsplit("/")[-1]) for job in account.jobs]
        return done, jobs, account.requests.count(("POST", "/")) - len(jobs)

    return run


def test_a_stack_is_found_by_its_name(replay, account):
    done, jobs, asked = replay()
    assert (done.returncode, jobs, asked) == (0, [("bucket", "midihook")], 1), done.stderr
    account.stacks["other"]["BucketName"] = "bucket"
    for arguments, environment in [
        (["--stack", "other"], {}),
        ([], {"MIDIHOOK_STACK": "other"}),
        (["--stack", "other"], {"MIDIHOOK_STACK": "midihook"}),
    ]:
        done, jobs, asked = replay(*arguments, **environment)
        assert (done.returncode, jobs, asked) == (0, [("bucket", "other")], 1), done.stderr


def test_names_in_the_environment_come_first_but_the_command_line_before_them(replay, account):
    names = {"MIDIHOOK_BUCKET": "bucket", "MIDIHOOK_RENDER_QUEUE_URL": f"{account.url}/0/by-hand"}
    done, jobs, asked = replay(**names, MIDIHOOK_STACK="other")
    assert (done.returncode, jobs, asked) == (0, [("bucket", "by-hand")], 0), done.stderr
    done, jobs, asked = replay("--stack", "midihook", **names)
    assert (done.returncode, jobs, asked) == (0, [("bucket", "midihook")], 1), done.stderr
    done, jobs, asked = replay("--render-queue-url", f"{account.url}/0/given", MIDIHOOK_BUCKET="bucket")
    assert (done.returncode, jobs, asked) == (0, [("bucket", "given")], 0), done.stderr


def test_the_bucket_of_one_stack_and_the_queue_of_another_are_refused(replay, account):
    for environment in [
        {"MIDIHOOK_BUCKET": "bucket", "MIDIHOOK_STACK": "other"},
        {"MIDIHOOK_RENDER_QUEUE_URL": f"{account.url}/0/other"},
    ]:
        done, jobs, _ = replay(**environment)
        assert (done.returncode, jobs) == (3, []) and b"are not of one stack" in done.stderr, done.stderr


def test_an_unknown_stack_is_reported(replay):
    done, _, _ = replay("--stack", "nobody")
    assert done.returncode == 1 and b"there is no stack nobody in us-east-1: name it with --stack" in done.stderr
    done, _, _ = replay("--stack", "website")
    assert done.returncode == 1 and b"the stack website has no output BucketName" in done.stderr
    assert replay("--stack", "")[0].returncode == 2
