# What AWS measures and a worker cannot: above all, that no worker runs.

locals {
  # The age of the oldest message at which the alarm fires, seconds. The sales queue is empty within
  # seconds; a storm of restocks takes hours: all lines of 30,000 stores some 4 h 12 min
  # (docs/operations/scaling-and-cost.md, "A full restock").
  oldest_message_seconds = {
    commands = 60
    expiries = 60
    restock  = 21600
  }

  # SQS looks for groups among the first 120,000 messages of a queue only: with one hot group's backlog
  # beyond that, no other group of the queue is received.
  waiting_messages_max = 100000
}

resource "aws_cloudwatch_metric_alarm" "oldest_message" {
  for_each = local.queues

  alarm_name          = "${each.value}-oldest-message"
  alarm_description   = "Messages wait in ${each.value}: are workers running, and is their backlog one hot group's?"
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateAgeOfOldestMessage"
  dimensions          = { QueueName = aws_sqs_queue.commands[each.key].name }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 3
  comparison_operator = "GreaterThanThreshold"
  threshold           = local.oldest_message_seconds[each.key]
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_actions
  ok_actions          = var.alarm_actions
  tags                = var.tags
}

resource "aws_cloudwatch_metric_alarm" "deep_backlog" {
  for_each = local.queues

  alarm_name          = "${each.value}-deep-backlog"
  alarm_description   = "${each.value} is near the 120,000 messages from which on a hot group hides all others: who sends so much, and in which groups?"
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = aws_sqs_queue.commands[each.key].name }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = local.waiting_messages_max
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_actions
  ok_actions          = var.alarm_actions
  tags                = var.tags
}

resource "aws_cloudwatch_metric_alarm" "dead_letters" {
  for_each = local.queues

  alarm_name          = "${aws_sqs_queue.dead_letters[each.key].name}-not-empty"
  alarm_description   = "Dead letters: inventory-worker dlq list"
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = aws_sqs_queue.dead_letters[each.key].name }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_actions
  ok_actions          = var.alarm_actions
  tags                = var.tags
}

resource "aws_cloudwatch_metric_alarm" "throttled_writes" {
  for_each = local.tables

  alarm_name          = "${aws_dynamodb_table.inventory[each.key].name}-throttled-writes"
  alarm_description   = "DynamoDB throttles writes: a hot partition, or the table's quota."
  namespace           = "AWS/DynamoDB"
  metric_name         = "WriteThrottleEvents"
  dimensions          = { TableName = aws_dynamodb_table.inventory[each.key].name }
  statistic           = "Sum"
  period              = 60
  evaluation_periods  = 3
  comparison_operator = "GreaterThanThreshold"
  threshold           = 100
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_actions
  ok_actions          = var.alarm_actions
  tags                = var.tags
}

# Queries and workers read the same partitions: a gateway that is throttled answers from memory for a
# while, a worker cannot decide.
resource "aws_cloudwatch_metric_alarm" "throttled_reads" {
  for_each = local.tables

  alarm_name          = "${aws_dynamodb_table.inventory[each.key].name}-throttled-reads"
  alarm_description   = "DynamoDB throttles reads: queries of one event or store (docs/operations/runbook.md, \"Queries hurt\"), an audit, or the table's quota."
  namespace           = "AWS/DynamoDB"
  metric_name         = "ReadThrottleEvents"
  dimensions          = { TableName = aws_dynamodb_table.inventory[each.key].name }
  statistic           = "Sum"
  period              = 60
  evaluation_periods  = 3
  comparison_operator = "GreaterThanThreshold"
  threshold           = 100
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_actions
  ok_actions          = var.alarm_actions
  tags                = var.tags
}

resource "aws_cloudwatch_metric_alarm" "results_not_delivered" {
  alarm_name          = "${aws_sns_topic.results.name}-not-delivered"
  alarm_description   = "SNS could not deliver results to a subscriber: is its queue there, and does its policy let the topic send?"
  namespace           = "AWS/SNS"
  metric_name         = "NumberOfNotificationsFailed"
  dimensions          = { TopicName = aws_sns_topic.results.name }
  statistic           = "Sum"
  period              = 60
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_actions
  ok_actions          = var.alarm_actions
  tags                = var.tags
}
