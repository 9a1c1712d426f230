"""Does what the AWS CLI does with a command of the docs, or with one that `midihook doctor` prints."""

import json

from botocore import xform_name

# What the AWS CLI calls otherwise than the service.
SERVICES, OPTIONS = {"s3api": "s3"}, {"notification-endpoint": "endpoint"}


def aws(stack, service, operation, *words):
    """Runs `aws SERVICE OPERATION …` on a stack, as somebody who may do everything. It is in one region."""
    client = stack.client(SERVICES.get(service, service))
    method = operation.replace("-", "_")
    shape = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[method]).input_shape
    members = {xform_name(name, "-"): (name, member) for name, member in shape.members.items()}
    words, arguments = list(words), {}
    while words:
        option = words.pop(0).removeprefix("--")
        value = words.pop(0) if words and not words[0].startswith("--") else True
        if option == "region":
            continue
        name, member = members[OPTIONS.get(option, option)]
        if member.type_name in ("structure", "map"):
            value = json.loads(value) if value.startswith("{") else dict([value.split("=")])
        arguments[name] = value
    return getattr(client, method)(**arguments)
