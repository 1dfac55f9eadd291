# A subscriber's queue of results, as an example to take over: FIFO, so that the results of a group
# arrive in order; its policy; its dead letters, both of what SNS could not deliver and of what the
# subscriber could not handle.

terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.94"
    }
  }
}

variable "name" {
  description = "The queue's name, without .fifo."
  type        = string
}

variable "topic_arn" {
  description = "The topic of results: the output topic_arn of the module beside this one."
  type        = string
}

variable "service" {
  description = "The source of the service's commands: the queue gets the answers to them and the ends of its reservations. Null means those of every service."
  type        = string
  default     = null
}

variable "types" {
  description = "Which results: an empty list means all. See schemas/asyncapi.yaml."
  type        = list(string)
  default     = []
}

resource "aws_sqs_queue" "dead_letters" {
  name                      = "${var.name}-dlq.fifo"
  fifo_queue                = true
  deduplication_scope       = "messageGroup"
  fifo_throughput_limit     = "perMessageGroupId"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
}

resource "aws_sqs_queue" "results" {
  name       = "${var.name}.fifo"
  fifo_queue = true
  # SNS hands on the deduplication id, which is the result's own: a repetition within five minutes
  # is dropped here. Remember ids all the same, by the ledger's 90 days: later ones are not.
  deduplication_scope       = "messageGroup"
  fifo_throughput_limit     = "perMessageGroupId"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead_letters.arn
    maxReceiveCount     = 10
  })
}

data "aws_iam_policy_document" "queue" {
  for_each = {
    results      = aws_sqs_queue.results.arn
    dead_letters = aws_sqs_queue.dead_letters.arn
  }

  statement {
    sid       = "TheTopicMaySend"
    actions   = ["sqs:SendMessage"]
    resources = [each.value]

    principals {
      type        = "Service"
      identifiers = ["sns.amazonaws.com"]
    }

    # No other topic, of this account or another.
    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [var.topic_arn]
    }
  }

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
}

resource "aws_sqs_queue_policy" "results" {
  queue_url = aws_sqs_queue.results.id
  policy    = data.aws_iam_policy_document.queue["results"].json
}

resource "aws_sqs_queue_policy" "dead_letters" {
  queue_url = aws_sqs_queue.dead_letters.id
  policy    = data.aws_iam_policy_document.queue["dead_letters"].json
}

locals {
  filters = {
    type = var.types
    # A hold that runs out is ended by the sweeper, whose command_source is not the service's.
    "$or" = [{ command_source = [var.service] }, { reservation_source = [var.service] }]
  }
  is_set = { type = length(var.types) > 0, "$or" = var.service != null }
  filter = { for name, values in local.filters : name => values if local.is_set[name] }
}

resource "aws_sns_topic_subscription" "results" {
  topic_arn = var.topic_arn
  protocol  = "sqs"
  endpoint  = aws_sqs_queue.results.arn
  # The body is the CloudEvent, without an envelope of SNS's around it.
  raw_message_delivery = true
  filter_policy_scope  = length(local.filter) > 0 ? "MessageAttributes" : null
  filter_policy        = length(local.filter) > 0 ? jsonencode(local.filter) : null
  # What SNS cannot deliver, while the queue's policy is wrong, say.
  redrive_policy = jsonencode({ deadLetterTargetArn = aws_sqs_queue.dead_letters.arn })

  depends_on = [aws_sqs_queue_policy.results, aws_sqs_queue_policy.dead_letters]
}

output "queue_url" {
  value = aws_sqs_queue.results.url
}
