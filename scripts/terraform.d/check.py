"""What an apply of the module came to: bootstrap's verdict, and what the plan shows."""

import json
import sys
from pathlib import Path

# What the emulator forgets of an alarm makes the next plan want it back.
FORGOTTEN = {"aws_cloudwatch_metric_alarm"}

# What belongs behind TLS, and where its policy is.
POLICIES = {
    "aws_sqs_queue": ("aws_sqs_queue_policy", 6),
    "aws_sns_topic": ("aws_sns_topic_policy", 1),
    "aws_dynamodb_table": ("aws_dynamodb_resource_policy", 4),
}


# What a cluster brings: a role for each service account of the manifests, and KEDA's.
ASSOCIATION = "aws_eks_pod_identity_association"
KEDA = ("keda", "keda-operator")


def service_accounts(production):
    """Of the rendered overlay, where that is there."""
    rendered = Path(production)
    if not rendered.exists():
        return None
    accounts = [one["metadata"] for one in json.loads(rendered.read_text()) if one["kind"] == "ServiceAccount"]
    return {(one["namespace"], one["name"]) for one in accounts} | {KEDA}


def statements_of(policy):
    statements = policy["Statement"]
    return statements if isinstance(statements, list) else [statements]


def senders(policies):
    """Who alone may send, by the queue whose policy says so."""
    found = {}
    for policy in policies:
        for statement in statements_of(policy):
            condition = statement.get("Condition", {}).get("ArnNotEquals", {})
            if (statement["Effect"], statement["Action"]) == ("Deny", "sqs:SendMessage"):
                roles = condition["aws:PrincipalArn"]
                roles = [roles] if isinstance(roles, str) else roles
                found[statement["Resource"].rsplit(":", 1)[1]] = [role.rsplit("/", 1)[1] for role in roles]
    return found


def tables_of(policy):
    """The tables that a policy names."""
    statements = json.loads(policy)["Statement"]
    resources = {one for statement in statements for one in statement["Resource"]}
    return {one.split("/")[1] for one in resources if ":dynamodb:" in one}


def main(message_bytes_max, prefix, bootstrap, plan, production):
    problems = []
    report = json.loads(Path(bootstrap).read_text())
    if report["created"]:
        problems.append(f"bootstrap had to create {report['created']}")
    for found in report["differences"]:
        # An old provider takes no larger messages; the script chose them for that.
        if (found["what"], found["found"]) == ("MaximumMessageSize", message_bytes_max):
            continue
        problems.append(f"bootstrap finds a difference: {found}")

    plan = json.loads(Path(plan).read_text())
    for change in plan.get("resource_changes", []):
        expected = ["create"] if change["type"] == ASSOCIATION else ["no-op"]
        if change["change"]["actions"] != expected and change["type"] not in FORGOTTEN:
            problems.append(f"a second plan would change {change['address']}: {change['change']['actions']}")

    modules = plan["planned_values"]["root_module"]["child_modules"]
    (module,) = [one for one in modules if one["address"] == "module.inventory"]
    resources = [one for one in module["resources"] if one["mode"] == "managed"]
    for kind, (policy_kind, count) in POLICIES.items():
        owners = [one for one in resources if one["type"] == kind]
        policies = [json.loads(one["values"]["policy"]) for one in resources if one["type"] == policy_kind]
        if len(owners) != count or len(policies) != count:
            problems.append(f"{count} of {kind}, each with a policy, were expected")
        for policy in policies:
            statement = statements_of(policy)[0]
            insecure = statement["Condition"]["Bool"]["aws:SecureTransport"]
            if statement["Effect"] != "Deny" or insecure not in ("false", ["false"]):
                problems.append(f"{policy_kind} does not refuse what comes without TLS: {policy}")
    policies = [
        json.loads(one["values"]["policy"]) for one in resources if one["type"] == "aws_sqs_queue_policy"
    ]
    name = next(
        one["values"]["name"] for one in resources if one["address"].endswith('aws_sqs_queue.commands["expiries"]')
    )
    worker = f"{name.removesuffix('-expiries.fifo')}-worker"
    if senders(policies) != {name: [worker]}:
        problems.append(f"{worker} alone should send to {name}, and to no queue one alone: {senders(policies)}")
    associated = {
        (one["values"]["namespace"], one["values"]["service_account"])
        for one in resources if one["type"] == ASSOCIATION
    }
    accounts = service_accounts(production)
    if accounts is None:
        print("terraform: manifests are not rendered (scripts/manifests): service accounts not compared")
    elif associated != accounts:
        problems.append(f"roles are for {sorted(associated)}, service accounts are {sorted(accounts)}")
    for policy in (one for one in resources if one["type"] == "aws_iam_policy"):
        if "${" in policy["values"]["policy"]:
            problems.append(f"{policy['address']}: a placeholder is left")
        of_others = tables_of(policy["values"]["policy"]) - {
            f"{prefix}-{table}" for table in ("seats", "stock", "reservations", "ledger")
        }
        if of_others:
            problems.append(f"{policy['address']}: names tables that are not in use: {sorted(of_others)}")

    for problem in problems:
        print(f"terraform: {problem}", file=sys.stderr)
    if problems:
        sys.exit(1)
    applied = sum(one["type"] != ASSOCIATION for one in resources)
    print(f"terraform: {applied} resources on the emulator, tables {prefix}-*; bootstrap finds all as they should be")


main(*sys.argv[1:])
