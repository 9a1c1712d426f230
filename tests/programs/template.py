"""template.yaml as plain values: `!Ref Bucket` becomes "Bucket"."""

import yaml

from tests.local_stack.stack import ROOT


class Loader(yaml.SafeLoader):
    """Ignores CloudFormation's tags."""


def untagged(loader, _, node):
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_scalar(node)


Loader.add_multi_constructor("!", untagged)
TEMPLATE = yaml.load((ROOT / "template.yaml").read_text(), Loader)
PARAMETERS, OUTPUTS = TEMPLATE["Parameters"], TEMPLATE["Outputs"]


def properties(resource):
    """The properties of a resource."""
    return TEMPLATE["Resources"][resource]["Properties"]


def usual(value):
    """The value of a property: if it is a parameter's name, the parameter's default."""
    return PARAMETERS[value]["Default"] if value in PARAMETERS else value
