# The module on an emulator; scripts/terraform copies this beside a link to it.

variable "name" {
  type    = string
  default = "inventory"
}

variable "endpoint" {
  type    = string
  default = "http://127.0.0.1:1"
}

# Null: the module's own default.
variable "message_bytes_max" {
  type    = number
  default = null
}

# Tables of other names, as after a restore.
variable "restored" {
  type    = string
  default = null
}

# The emulator has no clusters: it is given for a plan alone.
variable "cluster_name" {
  type    = string
  default = null
}

provider "aws" {
  region                      = "us-east-1"
  access_key                  = "test"
  secret_key                  = "test"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true

  endpoints {
    cloudwatch = var.endpoint
    dynamodb   = var.endpoint
    eks        = var.endpoint
    iam        = var.endpoint
    sns        = var.endpoint
    sqs        = var.endpoint
    sts        = var.endpoint
  }
}

module "inventory" {
  source = "./aws"

  name              = var.name
  message_bytes_max = var.message_bytes_max
  table_names = var.restored == null ? {} : {
    for table in ["seats", "stock", "reservations", "ledger"] : table => "${var.restored}-${table}"
  }
  cluster_name = var.cluster_name
  # Every role, those of people too.
  people = {
    operator  = ["arn:aws:iam::000000000000:root"]
    bootstrap = ["arn:aws:iam::000000000000:root"]
    producer  = ["arn:aws:iam::000000000000:root"]
    privacy   = ["arn:aws:iam::000000000000:root"]
    storm     = ["arn:aws:iam::000000000000:root"]
  }
}

module "subscriber" {
  source = "./aws/subscriber"

  name      = "${var.name}-subscriber"
  topic_arn = module.inventory.topic_arn
  service   = "/services/booking"
  types     = ["inventory.reserved.v1", "inventory.rejected.v1"]
}
