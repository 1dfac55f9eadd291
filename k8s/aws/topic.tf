resource "aws_sns_topic" "results" {
  name       = "${var.name}-results.fifo"
  fifo_topic = true
  # Results carry their own ids.
  content_based_deduplication = false
  # Throughput grows with the groups. It cannot be changed later.
  fifo_throughput_scope = "MessageGroup"
  kms_master_key_id     = "alias/aws/sns"
  tags                  = var.tags

  lifecycle {
    prevent_destroy = true
  }
}

data "aws_iam_policy_document" "topic" {
  statement {
    sid    = "TlsOnly"
    effect = "Deny"
    # All that a topic's policy may name.
    actions = [
      "sns:AddPermission",
      "sns:DeleteTopic",
      "sns:GetTopicAttributes",
      "sns:ListSubscriptionsByTopic",
      "sns:Publish",
      "sns:RemovePermission",
      "sns:SetTopicAttributes",
      "sns:Subscribe",
    ]
    resources = [aws_sns_topic.results.arn]

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

resource "aws_sns_topic_policy" "results" {
  arn    = aws_sns_topic.results.arn
  policy = data.aws_iam_policy_document.topic.json
}
