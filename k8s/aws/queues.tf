# The same queues as `inventory-worker bootstrap` creates; it finds no difference (scripts/terraform).

locals {
  # SQS: the longest retention, 14 days.
  retention_seconds = 1209600

  queues = {
    commands = "${var.name}-commands.fifo"
    # Where sweepers post expiries. Separate from the commands, as one hot group with a backlog of
    # 120,000 messages hides all other groups of its queue.
    expiries = "${var.name}-expiries.fifo"
    restock  = "${var.name}-restock.fifo"
  }

  # The only roles that may send to a queue, whatever others are granted. An expiry's identity is the
  # worker's own: a command sent under it to this queue would count as the expiry.
  senders = {
    expiries = concat([aws_iam_role.inventory["worker"].arn], var.expiry_senders)
  }
}

resource "aws_sqs_queue" "dead_letters" {
  for_each = local.queues

  name                        = "${trimsuffix(each.value, ".fifo")}-dlq.fifo"
  fifo_queue                  = true
  content_based_deduplication = true
  deduplication_scope         = "messageGroup"
  fifo_throughput_limit       = "perMessageGroupId"
  message_retention_seconds   = local.retention_seconds
  visibility_timeout_seconds  = 60
  max_message_size            = var.message_bytes_max
  sqs_managed_sse_enabled     = true
  tags                        = var.tags

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_sqs_queue" "commands" {
  for_each = local.queues

  name                        = each.value
  fifo_queue                  = true
  content_based_deduplication = true
  # High throughput: both by message group.
  deduplication_scope        = "messageGroup"
  fifo_throughput_limit      = "perMessageGroupId"
  message_retention_seconds  = local.retention_seconds
  visibility_timeout_seconds = 60
  max_message_size           = var.message_bytes_max
  sqs_managed_sse_enabled    = true
  tags                       = var.tags

  # A backstop: the worker dead-letters by itself, far earlier, and never for an outage.
  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead_letters[each.key].arn
    maxReceiveCount     = 1000
  })

  lifecycle {
    prevent_destroy = true
  }
}

# No other queue may use these for its dead letters.
resource "aws_sqs_queue_redrive_allow_policy" "dead_letters" {
  for_each = local.queues

  queue_url = aws_sqs_queue.dead_letters[each.key].id
  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [aws_sqs_queue.commands[each.key].arn]
  })
}

# Denies every call without TLS, and sends to the queue of expiries by all but workers.
data "aws_iam_policy_document" "queue" {
  for_each = merge(
    { for key, queue in aws_sqs_queue.commands : key => queue.arn },
    { for key, queue in aws_sqs_queue.dead_letters : "${key}-dlq" => queue.arn },
  )

  statement {
    sid       = "TlsOnly"
    effect    = "Deny"
    actions   = ["sqs:*"]
    resources = [each.value]

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

  dynamic "statement" {
    for_each = { for queue, roles in local.senders : queue => roles if queue == each.key }

    content {
      sid       = "WorkersAloneSend"
      effect    = "Deny"
      actions   = ["sqs:SendMessage"]
      resources = [each.value]

      principals {
        type        = "*"
        identifiers = ["*"]
      }

      # The role of a session.
      condition {
        test     = "ArnNotEquals"
        variable = "aws:PrincipalArn"
        values   = statement.value
      }
    }
  }
}

resource "aws_sqs_queue_policy" "commands" {
  for_each = local.queues

  queue_url = aws_sqs_queue.commands[each.key].id
  policy    = data.aws_iam_policy_document.queue[each.key].json
}

resource "aws_sqs_queue_policy" "dead_letters" {
  for_each = local.queues

  queue_url = aws_sqs_queue.dead_letters[each.key].id
  policy    = data.aws_iam_policy_document.queue["${each.key}-dlq"].json
}
