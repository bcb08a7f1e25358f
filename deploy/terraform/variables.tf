variable "project" {
  description = "Google Cloud project."
  type        = string
}

variable "region" {
  description = "Region of the Bigtable cluster and the Dataflow job."
  type        = string
  default     = "europe-north1"
}
