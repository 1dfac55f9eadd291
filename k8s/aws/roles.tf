# Permissions are in policies/, one document for each role: those that the binary uses in `make test`.

locals {
  placeholders = {
    queue_commands     = aws_sqs_queue.commands["commands"].arn
    queue_expiries     = aws_sqs_queue.commands["expiries"].arn
    queue_restock      = aws_sqs_queue.commands["restock"].arn
    dlq_commands       = aws_sqs_queue.dead_letters["commands"].arn
    dlq_expiries       = aws_sqs_queue.dead_letters["expiries"].arn
    dlq_restock        = aws_sqs_queue.dead_letters["restock"].arn
    queues_storm       = replace(aws_sqs_queue.commands["commands"].arn, aws_sqs_queue.commands["commands"].name, "${var.name}-storm-*")
    topic_results      = aws_sns_topic.results.arn
    table_seats        = aws_dynamodb_table.inventory["seats"].arn
    table_stock        = aws_dynamodb_table.inventory["stock"].arn
    table_reservations = aws_dynamodb_table.inventory["reservations"].arn
    table_ledger       = aws_dynamodb_table.inventory["ledger"].arn
    index_expiry       = "${aws_dynamodb_table.inventory["reservations"].arn}/index/${local.indexes.reservations.name}"
  }

  # Roles that pods assume, by their service account (k8s/overlays/production).
  pods = {
    "worker"         = { namespace = var.namespace, name = "inventory-worker" }
    "restock-worker" = { namespace = var.namespace, name = "inventory-worker-restock" }
    "gateway"        = { namespace = var.namespace, name = "inventory-gateway" }
    "audit"          = { namespace = var.namespace, name = "inventory-audit" }
    "keda"           = var.keda_service_account
  }

  # Roles that people, pipelines and other services assume.
  people = {
    for role in ["operator", "bootstrap", "producer", "privacy", "storm"] : role => var.people[role]
    if length(lookup(var.people, role, [])) > 0
  }

  # The roles of `storm`, which does not belong in production, and of `privacy`, which may overwrite
  # outcomes, exist only where a person is named for them.
  roles = toset(concat(keys(local.pods), ["operator", "bootstrap", "producer"], keys(local.people)))
}

resource "aws_iam_policy" "inventory" {
  for_each = local.roles

  name   = "${var.name}-${each.key}"
  policy = templatefile("${path.module}/policies/${each.key}.json", local.placeholders)
  tags   = var.tags
}

# EKS Pod Identity assumes the role, for this service account of this namespace and no other.
data "aws_iam_policy_document" "pod" {
  for_each = local.pods

  statement {
    actions = ["sts:AssumeRole", "sts:TagSession"]

    principals {
      type        = "Service"
      identifiers = ["pods.eks.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:RequestTag/kubernetes-namespace"
      values   = [each.value.namespace]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:RequestTag/kubernetes-service-account"
      values   = [each.value.name]
    }
  }
}

data "aws_iam_policy_document" "person" {
  for_each = local.people

  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "AWS"
      identifiers = each.value
    }
  }
}

resource "aws_iam_role" "inventory" {
  for_each = toset(concat(keys(local.pods), keys(local.people)))

  name               = "${var.name}-${each.key}"
  assume_role_policy = try(data.aws_iam_policy_document.pod[each.key].json, data.aws_iam_policy_document.person[each.key].json)
  tags               = var.tags
}

resource "aws_iam_role_policy_attachment" "inventory" {
  for_each = aws_iam_role.inventory

  role       = each.value.name
  policy_arn = aws_iam_policy.inventory[each.key].arn
}

resource "aws_eks_pod_identity_association" "inventory" {
  for_each = { for role, account in local.pods : role => account if var.cluster_name != null }

  cluster_name    = var.cluster_name
  namespace       = each.value.namespace
  service_account = each.value.name
  role_arn        = aws_iam_role.inventory[each.key].arn
  tags            = var.tags
}
