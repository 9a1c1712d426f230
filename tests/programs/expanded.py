"""template.yaml as CloudFormation has it once the parameters are known."""

from samcli.lib.translate.sam_template_validator import SamTemplateValidator
from samcli.yamlhelper import yaml_parse

from tests.local_stack.stack import REGION, ROOT
from tests.programs.template import PARAMETERS

NO_VALUE = {"Ref": "AWS::NoValue"}


class NoManagedPolicies:
    """The template names none."""

    def load(self):
        return {}


class Expanded:
    """The template with these parameters as CloudFormation has it: SAM's resources spelled out, conditions decided."""

    def __init__(self, **parameters):
        defaults = {name: parameter.get("Default", "a key") for name, parameter in PARAMETERS.items()}
        self.given = {name: str(value) for name, value in (defaults | parameters).items()}
        template = yaml_parse((ROOT / "template.yaml").read_text())
        validator = SamTemplateValidator(template, NoManagedPolicies(), region=REGION, parameter_overrides=self.given)
        self.template = yaml_parse(validator.get_translated_template_if_valid())
        self.conditions = self.template.pop("Conditions")
        self.rules = self.template.pop("Rules")
        for name, value in ({"WebhookHmacKey": "a key"} | parameters).items():
            self.template["Parameters"][name]["Default"] = value
        for section in ("Resources", "Outputs"):
            parts = self.template[section].items()
            self.template[section] = self._decided({name: part for name, part in parts if self._is_there(part)})

    def refusals(self):
        """What the template's rules say against the parameters."""
        broken = [rule for rule in self.rules.values() if self._holds(rule["RuleCondition"])]
        return [said["AssertDescription"] for rule in broken for said in rule["Assertions"] if not self._holds(said["Assert"])]

    def resources(self, kind):
        """The properties of all resources of a type, by name."""
        return {name: it.get("Properties", {}) for name, it in self.template["Resources"].items() if it["Type"] == kind}

    def _is_there(self, part):
        condition = part.pop("Condition", None)
        return condition is None or self._holds({"Condition": condition})

    def _holds(self, condition):
        [(function, operands)] = condition.items()
        match function:
            case "Condition":
                return self._holds(self.conditions[operands])
            case "Fn::Equals":
                one, other = (self.given[operand["Ref"]] if isinstance(operand, dict) else str(operand) for operand in operands)
                return one == other
            case "Fn::Not":
                return not self._holds(operands[0])
            case "Fn::Or":
                return any(map(self._holds, operands))
        raise ValueError(f"an unknown condition: {function}")

    def _decided(self, node):
        if isinstance(node, dict):
            if "Fn::If" in node:
                condition, then, otherwise = node["Fn::If"]
                return self._decided(then if self._holds({"Condition": condition}) else otherwise)
            decided = {name: self._decided(value) for name, value in node.items()}
            return decided if decided == NO_VALUE else {name: value for name, value in decided.items() if value != NO_VALUE}
        if isinstance(node, list):
            return [value for value in map(self._decided, node) if value != NO_VALUE]
        return node
