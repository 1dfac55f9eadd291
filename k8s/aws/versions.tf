terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source = "hashicorp/aws"
      # Queues for messages of 1 MiB (message_bytes_max) want 6.8 or later.
      version = ">= 5.94"
    }
  }
}
