#!/usr/bin/env python3
"""Print a request event with a new timestamp and signature: sign.py events/request-success.json [KEY]

The samples have old timestamps, so the receiver refuses them as stale. KEY is the signing key. Without it, the script
uses the one in MIDIHOOK_KEY, or "test-key", which signed the samples."""

import base64, hashlib, hmac, json, os, sys, time

if len(sys.argv) < 2:
    sys.exit(__doc__)
key = sys.argv[2] if len(sys.argv) > 2 else os.environ.get("MIDIHOOK_KEY", "test-key")
event = json.load(open(sys.argv[1]))
body = base64.b64decode(event["body"]) if event["isBase64Encoded"] else event["body"]
body = json.loads(body)
data = body.get("data") or {}
task_id = data.get("taskId") or data.get("task_id") or body.get("taskId") or body.get("task_id")
timestamp = str(int(time.time()))
mac = hmac.new(key.encode(), f"{task_id}.{timestamp}".encode(), hashlib.sha256)
event["headers"]["x-webhook-timestamp"] = timestamp
event["headers"]["x-webhook-signature"] = base64.b64encode(mac.digest()).decode()
json.dump(event, sys.stdout)
