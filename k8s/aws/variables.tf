variable "name" {
  description = "What all names begin with. Another than `inventory` must be told to the workers: INVENTORY_QUEUES, INVENTORY_RESULTS_TOPIC, DYNAMODB_TABLE_*."
  type        = string
  default     = "inventory"
}

variable "message_bytes_max" {
  description = "The largest message of a queue, bytes. SQS takes 1 MiB."
  type        = number
  default     = 1048576
}

variable "cluster_name" {
  description = "The EKS cluster whose service accounts get the roles of `worker`, `restock-worker` and `keda`. Null: no associations are made."
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

variable "people" {
  description = "Who may take the roles of people and pipelines: ARNs of principals, by role (`operator`, `bootstrap`, `producer`). A role without principals is not made; its policy is, to be attached elsewhere."
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
