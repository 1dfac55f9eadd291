variable "name" {
  description = "What all names begin with, before a dash. Workers, gateways and the command line need to know another than `inventory`: INVENTORY_PREFIX, which is this name and the dash (`staging-` for `staging`)."
  type        = string
  default     = "inventory"

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9_-]{0,38}$", var.name))
    error_message = "1 to 39 characters of A-Z a-z 0-9 _ -, the first a letter or digit, without the dash at the end, as INVENTORY_PREFIX allows with it."
  }
}

variable "table_names" {
  description = "Tables that are not called NAME-seats, NAME-stock, NAME-reservations, NAME-ledger, such as tables restored from a backup. Workers and gateways need to know them, too: DYNAMODB_TABLE_*."
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
  description = "The largest message of a queue, bytes. Every provider accepts 256 KiB; the 1 MiB that SQS and the workers accept, 1048576, needs a provider from 6.8 on."
  type        = number
  default     = 262144
  nullable    = false

  validation {
    condition     = var.message_bytes_max >= 262144 && var.message_bytes_max <= 1048576
    error_message = "From 262144 (256 KiB) to 1048576 (1 MiB)."
  }
}

variable "cluster_name" {
  description = "The EKS cluster whose service accounts get the roles of `worker`, `restock-worker`, `gateway`, `audit` and `keda`. Null: no associations are created."
  type        = string
  default     = null
}

variable "namespace" {
  description = "The namespace of workers, gateways and the audit."
  type        = string
  default     = "inventory"
}

variable "keda_service_account" {
  description = "Namespace and service account of KEDA's operator."
  type        = object({ namespace = string, name = string })
  default     = { namespace = "keda", name = "keda-operator" }
}

variable "expiry_senders" {
  description = "ARNs of further roles that may send to the queue of expiries: those of workers with a sweeper that run elsewhere. The role of the pods may."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "people" {
  description = "Who may assume the roles of people and pipelines: ARNs of principals, by role (`operator`, `bootstrap`, `producer`, `privacy`, `storm`). A role without principals is not created; its policy is, to be attached elsewhere, except those of `privacy` and `storm`."
  type        = map(list(string))
  default     = {}
}

variable "alarm_actions" {
  description = "ARNs that receive alarms, such as a topic of the people on call."
  type        = list(string)
  default     = []
}

variable "tags" {
  description = "Tags of everything."
  type        = map(string)
  default     = {}
}
