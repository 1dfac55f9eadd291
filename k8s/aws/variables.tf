variable "name" {
  description = "What all names begin with. Another than `inventory` must be told to the workers: INVENTORY_QUEUES, INVENTORY_RESULTS_TOPIC, DYNAMODB_TABLE_*."
  type        = string
  default     = "inventory"
}

variable "table_names" {
  description = "Tables that are not called NAME-seats, NAME-stock, NAME-reservations, NAME-ledger, such as those that were restored from a backup. The workers must be told as well: DYNAMODB_TABLE_*."
  type = object({
    seats        = optional(string)
    stock        = optional(string)
    reservations = optional(string)
    ledger       = optional(string)
  })
  default  = {}
  nullable = false
}

variable "message_bytes_max" {
  description = "The largest message of a queue, bytes. 256 KiB is what every provider takes; the 1 MiB that SQS and the workers take, 1048576, wants a provider from 6.8 on."
  type        = number
  default     = 262144
  nullable    = false

  validation {
    condition     = var.message_bytes_max >= 262144 && var.message_bytes_max <= 1048576
    error_message = "From 262144 (256 KiB) to 1048576 (1 MiB)."
  }
}

variable "cluster_name" {
  description = "The EKS cluster whose service accounts get the roles of `worker`, `restock-worker`, `audit` and `keda`. Null: no associations are made."
  type        = string
  default     = null
}

variable "namespace" {
  description = "The namespace of the workers."
  type        = string
  default     = "inventory"
}

variable "keda_service_account" {
  description = "Namespace and service account of KEDA's operator."
  type        = object({ namespace = string, name = string })
  default     = { namespace = "keda", name = "keda-operator" }
}

variable "expiry_senders" {
  description = "ARNs of further roles that may send to the queue of expiries: those of workers with a sweeper that run elsewhere. That of the pods may."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "people" {
  description = "Who may take the roles of people and pipelines: ARNs of principals, by role (`operator`, `bootstrap`, `producer`, `storm`). A role without principals is not made; its policy is, to be attached elsewhere, but for that of `storm`."
  type        = map(list(string))
  default     = {}
}

variable "alarm_actions" {
  description = "ARNs that are told of alarms, such as a topic of the people on call."
  type        = list(string)
  default     = []
}

variable "tags" {
  description = "Tags of everything."
  type        = map(string)
  default     = {}
}
