output "prefix" {
  description = "For INVENTORY_PREFIX."
  value       = "${var.name}-"
}

output "queue_urls" {
  description = "For the ScaledObjects."
  value       = { for key, queue in aws_sqs_queue.commands : key => queue.url }
}

output "topic_arn" {
  description = "For INVENTORY_RESULTS_TOPIC, and for subscribers."
  value       = aws_sns_topic.results.arn
}

output "table_names" {
  description = "For DYNAMODB_TABLE_*."
  value       = { for key, table in aws_dynamodb_table.inventory : key => table.name }
}

output "role_arns" {
  description = "By role."
  value       = { for key, role in aws_iam_role.inventory : key => role.arn }
}

output "policy_arns" {
  description = "By role, those without a role here included."
  value       = { for key, policy in aws_iam_policy.inventory : key => policy.arn }
}
