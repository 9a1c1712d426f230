"""Copies songs out of the bucket as they appear: `make serve`.

S3 reports each new object to EventBridge, and a rule puts the events for midi/ on a queue. We use a queue of our own,
because the results queue is for the user's consumers. Listing the bucket instead would take longer with each song."""

import contextlib
import json
import pathlib

# How long SQS holds a receive open while the queue is empty. 20 s is its maximum.
LONG_POLL = 20


class SongFollower:
    """`with SongFollower(stack, directory) as songs:` receives the events of all objects created from then on.

    SQS may deliver an event twice or late. Neither does harm: an event only names an object, and we copy what that
    object contains now."""

    def __init__(self, stack, directory, name="follow-songs"):
        self.stack = stack
        self.directory = pathlib.Path(directory)
        self.name = name
        self.sqs, self.events = stack.client("sqs"), stack.client("events")

    def __enter__(self):
        self.directory.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as undo:
            self.queue_url = self.sqs.create_queue(QueueName=self.name)["QueueUrl"]
            undo.callback(self.sqs.delete_queue, QueueUrl=self.queue_url)
            attributes = self.sqs.get_queue_attributes(QueueUrl=self.queue_url, AttributeNames=["QueueArn"])["Attributes"]
            pattern = {
                "source": ["aws.s3"],
                "detail-type": ["Object Created"],
                "detail": {"bucket": {"name": [self.stack.bucket]}, "object": {"key": [{"prefix": "midi/"}]}},
            }
            rule_arn = self.events.put_rule(Name=self.name, EventPattern=json.dumps(pattern))["RuleArn"]
            undo.callback(self.events.delete_rule, Name=self.name)
            allow = {
                "Effect": "Allow",
                "Principal": {"Service": "events.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": attributes["QueueArn"],
                "Condition": {"ArnEquals": {"aws:SourceArn": rule_arn}},
            }
            policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
            self.sqs.set_queue_attributes(QueueUrl=self.queue_url, Attributes={"Policy": policy})
            self.events.put_targets(Rule=self.name, Targets=[{"Id": "queue", "Arn": attributes["QueueArn"]}])
            undo.callback(self.events.remove_targets, Rule=self.name, Ids=["queue"])
            self.undo = undo.pop_all()
        return self

    def __exit__(self, *_):
        self.undo.close()

    def copy_next(self, seconds=LONG_POLL):
        """Waits up to `seconds` for events, copies the objects they name, and returns the paths of the copies."""
        received = self.sqs.receive_message(QueueUrl=self.queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=seconds)
        messages = received.get("Messages", [])
        if not messages:
            return []
        names = {json.loads(message["Body"])["detail"]["object"]["key"] for message in messages}
        copies = [path for name in sorted(names) if (path := copy(self.stack, name, self.directory))]
        # Only now: if a copy fails, SQS delivers its event again.
        entries = [{"Id": str(index), "ReceiptHandle": message["ReceiptHandle"]} for index, message in enumerate(messages)]
        self.sqs.delete_message_batch(QueueUrl=self.queue_url, Entries=entries)
        return copies


def copy(stack, name, directory):
    """Copies one object into a directory. Returns the path of the copy, or None if the object no longer exists."""
    try:
        contents = stack.read(name)
    except stack.client("s3").exceptions.NoSuchKey:
        return None
    path = directory / name.removeprefix("midi/")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(contents)
    return path
