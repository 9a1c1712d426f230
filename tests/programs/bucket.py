"""A bucket in memory, behind S3's HTTP API, for tests of the command line. Its server is also the other services."""

import hashlib
import json
import os
import time
import urllib.parse
import xml.sax.saxutils

from tests.programs.servers import Server

MINUTE, DAY = 60, 86_400


def etag(contents):
    return f'"{hashlib.md5(contents).hexdigest()}"'


class Bucket:
    """`objects` has the bytes, the metadata and the time of each object by its name. `requests` has the method and the
    path of each request. A listing has at most `page` entries. `jobs` has what was sent to queues, and `stacks` the outputs
    of each stack by its name. While it is `down`, every answer is 503."""

    def __init__(self, page=1000, tls=None):
        self.objects, self.requests, self.page = {}, [], page
        self.jobs, self.stacks, self.down = [], {}, False
        self.server = Server(self.answer, tls)
        self.url = f"{'https' if tls else 'http'}://{self.server.address}"

    @property
    def environment(self):
        return {
            "PATH": os.environ["PATH"],
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_ENDPOINT_URL": self.url,
            "MIDIHOOK_BUCKET": "bucket",
        }

    def close(self):
        self.server.shutdown()
        assert self.server.errors == []

    def put(self, name, contents=b"", age=0, **metadata):
        self.objects[name] = (contents, metadata, int(time.time()) - age)

    def callback(self, task, name="a", age=0):
        self.put(f"raw/{task}/{name}.json", b"the callback", age)

    def result(self, task, state, files=(), parts=(), age=0, **members):
        """Stores a result document, and the files of the song."""
        named = {"document": f"midi/{task}.json"} | {kind: f"midi/{task}{end}" for kind, end in dict(files).items()}
        document = {"version": 1, "taskId": task, "state": state, "source": {"key": f"raw/{task}/a.json", "webhookTimestamp": 7}}
        document |= {"files": named, "warnings": []} | members
        for name in [*named.values(), *(part["file"] for part in parts)]:
            self.put(name, f"contents of {name}".encode(), age, state=state)
        if files:
            tempo = {"bpm": 120.0, "meter": "4/4"}
            document["song"] = {"seconds": 7.9, "notes": 6, "tempo": tempo, "instruments": [{"name": "Drums"}, *parts]}
        self.put(named["document"], json.dumps(document).encode(), age, state=state)
        return document

    def song(self, task, age=0, **members):
        self.callback(task, age=age)
        return self.result(task, "rendered", {"midi": ".mid", "pianoRoll": ".svg"}, age=age, **members)

    def answer(self, handler):
        url = urllib.parse.urlsplit(handler.path)
        if url.query == "location":  # a receiver that starts, and no request for an object
            return 200, {"content-type": "application/xml"}, b"<LocationConstraint/>"
        self.requests.append((handler.command, urllib.parse.unquote(url.path)))
        if self.down:
            return 503, {}, b""
        if handler.command == "POST":
            is_sqs = "x-amz-target" in handler.headers
            return self.queued(json.loads(handler.body)) if is_sqs else self.described(dict(urllib.parse.parse_qsl(handler.body.decode())))
        name = urllib.parse.unquote(url.path.removeprefix("/bucket").removeprefix("/"))
        if not name:
            return self.list(**dict(urllib.parse.parse_qsl(url.query)))
        if handler.command == "PUT":
            return self.write(name, handler)
        if name not in self.objects:
            return 404, {"content-type": "application/xml"}, b"<Error><Code>NoSuchKey</Code><Message>no</Message></Error>"
        contents, metadata, modified = self.objects[name]
        times = {"etag": etag(contents), "last-modified": time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(modified))}
        return 200, times | {f"x-amz-meta-{key}": value for key, value in metadata.items()}, contents

    def write(self, name, handler):
        """A conditional put."""
        there = self.objects.get(name)
        seen = handler.headers.get("if-match")
        if (there and handler.headers.get("if-none-match")) or (seen and seen != (there and etag(there[0]))):
            return 412, {"content-type": "application/xml"}, b"<Error><Code>PreconditionFailed</Code><Message>no</Message></Error>"
        prefix = "x-amz-meta-"
        metadata = {key.removeprefix(prefix): value for key, value in handler.headers.items() if key.startswith(prefix)}
        self.put(name, handler.body, **metadata)
        return 200, {"etag": etag(handler.body)}, b""

    def list(self, prefix="", delimiter=None, **query):
        entries = set()
        for name in self.objects:
            if name.startswith(prefix):
                inside, found, _ = name.removeprefix(prefix).partition(delimiter) if delimiter else (name, "", "")
                entries.add((prefix + inside + delimiter, True) if found else (name, False))
        start = int(query.get("continuation-token", 0))
        entries = sorted(entries)
        page, more = entries[start : start + self.page], len(entries) > start + self.page
        lines = [f"<KeyCount>{len(page)}</KeyCount><IsTruncated>{str(more).lower()}</IsTruncated>"]
        lines += [f"<NextContinuationToken>{start + self.page}</NextContinuationToken>"] * more
        for name, is_prefix in page:
            name_xml = xml.sax.saxutils.escape(name)
            if is_prefix:
                lines.append(f"<CommonPrefixes><Prefix>{name_xml}</Prefix></CommonPrefixes>")
                continue
            contents, _, modified = self.objects[name]
            moment = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(modified))
            lines.append(f"<Contents><Key>{name_xml}</Key><LastModified>{moment}</LastModified><Size>{len(contents)}</Size></Contents>")
        return 200, {"content-type": "application/xml"}, f"<ListBucketResult>{''.join(lines)}</ListBucketResult>".encode()

    def queued(self, request):
        """SQS: a batch of jobs, or one message."""
        if "Entries" not in request:
            self.jobs.append(json.loads(request["MessageBody"]) | {"queue": request["QueueUrl"], "delay": request.get("DelaySeconds")})
            return 200, {"content-type": "application/x-amz-json-1.0"}, json.dumps({"MessageId": "m", "MD5OfMessageBody": ""}).encode()
        self.jobs.extend(json.loads(entry["MessageBody"]) | {"queue": request["QueueUrl"]} for entry in request["Entries"])
        done = [{"Id": entry["Id"], "MessageId": "m", "MD5OfMessageBody": ""} for entry in request["Entries"]]
        return 200, {"content-type": "application/x-amz-json-1.0"}, json.dumps({"Successful": done, "Failed": []}).encode()

    def described(self, request):
        """CloudFormation: the outputs of a stack."""
        assert request["Action"] == "DescribeStacks"
        if (name := request["StackName"]) not in self.stacks:
            error = f"<Code>ValidationError</Code><Message>Stack with id {name} does not exist</Message>"
            return 400, {"content-type": "text/xml"}, f"<ErrorResponse><Error>{error}</Error></ErrorResponse>".encode()
        outputs = self.stacks[name].items()
        members = "".join(f"<member><OutputKey>{key}</OutputKey><OutputValue>{value}</OutputValue></member>" for key, value in outputs)
        stack = f"<StackName>{name}</StackName><StackStatus>CREATE_COMPLETE</StackStatus><Outputs>{members}</Outputs>"
        stacks = f"<Stacks><member>{stack}</member></Stacks>"
        answer = f"<DescribeStacksResponse><DescribeStacksResult>{stacks}</DescribeStacksResult></DescribeStacksResponse>"
        return 200, {"content-type": "text/xml"}, answer.encode()
