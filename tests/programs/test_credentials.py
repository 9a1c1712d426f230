"""`midihook replay` reads credentials and region as every AWS tool does."""

import hashlib
import json
import time

import pytest

from tests.programs.servers import Server

EMPTY_LISTING = b'<?xml version="1.0"?><ListBucketResult><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>'
EXPIRES = int(time.time()) + 3600
CREDENTIALS = {"accessKeyId": "AKIDSSO", "secretAccessKey": "secret", "sessionToken": "token", "expiration": EXPIRES * 1000}


@pytest.fixture
def account():
    """S3 with an empty bucket, and the portal of an SSO login, on one server. `requests` has the path and the headers
    of each request."""
    requests = []

    def answer(handler):
        requests.append((handler.path, handler.headers))
        if handler.path.startswith("/federation/credentials"):
            return 200, {"content-type": "application/json"}, json.dumps({"roleCredentials": CREDENTIALS}).encode()
        return 200, {"content-type": "application/xml"}, EMPTY_LISTING

    server = Server(answer)
    server.requests = requests
    yield server
    server.shutdown()
    assert server.errors == []


@pytest.fixture
def replay(midihook, account, tmp_path):
    """Runs `midihook replay` with a home of its own and these lines in ~/.aws/config."""

    def run(config, *options, **environment):
        aws = tmp_path / ".aws"
        aws.mkdir(exist_ok=True)
        (aws / "config").write_text(config)
        environment = {
            "HOME": str(tmp_path),
            "AWS_ENDPOINT_URL": f"http://{account.address}",
            "AWS_EC2_METADATA_DISABLED": "true",
            "MIDIHOOK_BUCKET": "bucket",
            "MIDIHOOK_RENDER_QUEUE_URL": f"http://{account.address}/render",
        } | environment
        return midihook("replay", "t", "--dry-run", *options, env=environment)

    return run


def signer(account):
    """The access key and the region of the only request to S3."""
    [headers] = [headers for path, headers in account.requests if path.startswith("/bucket")]
    credential = headers["authorization"].split("Credential=")[1].split(",")[0]
    access_key, _, region, service, _ = credential.split("/")
    assert service == "s3"
    return access_key, region


def test_a_profile_is_named_on_the_command_line_or_in_the_environment(account, replay):
    config = """
        [default]
        region = us-east-1
        aws_access_key_id = AKIDDEFAULT
        aws_secret_access_key = secret
        [profile work]
        region = eu-west-1
        aws_access_key_id = AKIDWORK
        aws_secret_access_key = secret
        """.replace("    ", "")
    for options, environment, expected in [
        ([], {}, ("AKIDDEFAULT", "us-east-1")),
        (["--profile", "work"], {}, ("AKIDWORK", "eu-west-1")),
        ([], {"AWS_PROFILE": "work"}, ("AKIDWORK", "eu-west-1")),
        (["--profile", "work", "--region", "eu-north-1"], {}, ("AKIDWORK", "eu-north-1")),
        (["--profile", "work"], {"AWS_REGION": "eu-north-1"}, ("AKIDWORK", "eu-north-1")),
    ]:
        account.requests.clear()
        done = replay(config, *options, **environment)
        assert done.returncode == 3 and b"no callback of task t" in done.stderr, done.stderr
        assert signer(account) == expected, (options, environment)


def test_credentials_come_from_a_process(account, replay, tmp_path):
    process = tmp_path / "credentials.sh"
    said = json.dumps({"Version": 1, "AccessKeyId": "AKIDPROCESS", "SecretAccessKey": "secret"})
    process.write_text(f"#!/bin/sh\necho '{said}'\n")
    process.chmod(0o700)
    done = replay(f"[profile work]\nregion = eu-west-1\ncredential_process = {process}\n", "--profile", "work", PATH="/usr/bin:/bin")
    assert done.returncode == 3, done.stderr
    assert signer(account) == ("AKIDPROCESS", "eu-west-1")


def sso(tmp_path, expires):
    """A profile that logs in by SSO, and what `aws sso login` left in its cache."""
    cache = tmp_path / ".aws" / "sso" / "cache"
    cache.mkdir(parents=True)
    expires_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(expires))
    token = {"startUrl": "https://example.awsapps.com/start", "region": "eu-west-1", "accessToken": "sso-token", "expiresAt": expires_at}
    (cache / f"{hashlib.sha1(b'company').hexdigest()}.json").write_text(json.dumps(token))
    return """
        [profile work]
        region = eu-west-1
        sso_session = company
        sso_account_id = 123456789012
        sso_role_name = operator
        [sso-session company]
        sso_region = eu-west-1
        sso_start_url = https://example.awsapps.com/start
        """.replace("    ", "")


def test_credentials_come_from_an_sso_login(account, replay, tmp_path):
    done = replay(sso(tmp_path, EXPIRES), "--profile", "work")
    assert done.returncode == 3, done.stderr
    path, headers = account.requests[0]
    assert path.startswith("/federation/credentials")
    assert "account_id=123456789012" in path and "role_name=operator" in path
    assert headers["x-amz-sso_bearer_token"] == "sso-token"
    assert signer(account) == ("AKIDSSO", "eu-west-1")


def test_without_credentials_the_command_says_where_to_get_some(account, replay, tmp_path):
    for config, options in [
        ("", ["--region", "eu-west-1"]),
        (sso(tmp_path, EXPIRES - 7200), ["--profile", "work"]),
        ("[profile work]\nregion = eu-west-1\ncredential_process = false\n", ["--profile", "work"]),
        ("", ["--profile", "nobody", "--region", "eu-west-1"]),
    ]:
        done = replay(config, *options, PATH="/usr/bin:/bin")
        assert done.returncode == 1 and b"no usable AWS credentials" in done.stderr, done.stderr
        assert b"aws sso login" in done.stderr and b"--profile" in done.stderr, done.stderr
        assert b"sso-token" not in done.stderr
    assert account.requests == []


def test_without_a_region_the_command_says_so(account, replay):
    done = replay("")
    assert done.returncode == 1 and b"no AWS region: give --region" in done.stderr, done.stderr
    assert account.requests == []
