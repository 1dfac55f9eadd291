terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source = "hashicorp/aws"
      # Queues for messages of 1 MiB want a provider from August 2025 on (6.x); with an older one
      # set message_bytes_max to 262144.
      version = ">= 5.94"
    }
  }
}
