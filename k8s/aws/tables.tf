locals {
  table_names = { for table, given in var.table_names : table => coalesce(given, "${var.name}-${table}") }

  tables = {
    seats        = { partition = { name = "event_id", type = "N" }, sort = { name = "seat_number", type = "S" }, expires = false }
    stock        = { partition = { name = "pool", type = "S" }, sort = { name = "sku", type = "S" }, expires = false }
    reservations = { partition = { name = "reservation_id", type = "S" }, sort = null, expires = true }
    ledger       = { partition = { name = "command", type = "S" }, sort = null, expires = true }
  }

  # Sparse: only ACTIVE reservations have these attributes.
  indexes = {
    reservations = {
      name      = "expiry-index"
      partition = { name = "expiry_shard", type = "N" }
      sort      = { name = "expires_at", type = "N" }
      includes  = ["pool"]
    }
  }
}

resource "aws_dynamodb_table" "inventory" {
  for_each = local.tables

  name                        = local.table_names[each.key]
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = each.value.partition.name
  range_key                   = try(each.value.sort.name, null)
  deletion_protection_enabled = true
  tags                        = var.tags

  dynamic "attribute" {
    for_each = [
      for key in [
        each.value.partition,
        each.value.sort,
        try(local.indexes[each.key].partition, null),
        try(local.indexes[each.key].sort, null),
      ] : key if key != null
    ]
    content {
      name = attribute.value.name
      type = attribute.value.type
    }
  }

  dynamic "global_secondary_index" {
    for_each = [for table, index in local.indexes : index if table == each.key]
    content {
      name               = global_secondary_index.value.name
      hash_key           = global_secondary_index.value.partition.name
      range_key          = global_secondary_index.value.sort.name
      projection_type    = "INCLUDE"
      non_key_attributes = global_secondary_index.value.includes
    }
  }

  dynamic "ttl" {
    for_each = each.value.expires ? ["ttl"] : []
    content {
      enabled        = true
      attribute_name = ttl.value
    }
  }

  point_in_time_recovery {
    enabled = true
  }

  # Under AWS's managed key in KMS.
  server_side_encryption {
    enabled = true
  }

  lifecycle {
    prevent_destroy = true
  }
}

data "aws_iam_policy_document" "table" {
  for_each = aws_dynamodb_table.inventory

  statement {
    sid       = "TlsOnly"
    effect    = "Deny"
    actions   = ["dynamodb:*"]
    resources = [each.value.arn, "${each.value.arn}/index/*"]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_dynamodb_resource_policy" "inventory" {
  for_each = aws_dynamodb_table.inventory

  resource_arn = each.value.arn
  policy       = data.aws_iam_policy_document.table[each.key].json
}
