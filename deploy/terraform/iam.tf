# The serving roles run as one account, bound to the Kubernetes service account homefeed/homefeed.
resource "google_service_account" "serving" {
  account_id   = "homefeed-serving"
  display_name = "homefeed serving roles"
}

resource "google_service_account_iam_member" "workload_identity" {
  service_account_id = google_service_account.serving.name
  role               = "roles/iam.workloadIdentityUser"
  member             = "serviceAccount:${var.project}.svc.id.goog[homefeed/homefeed]"
}

resource "google_project_iam_member" "serving" {
  # pubsub.viewer is for readiness: a role says when a topic or subscription of its is missing.
  for_each = toset(["roles/bigtable.user", "roles/pubsub.publisher", "roles/pubsub.subscriber", "roles/pubsub.viewer"])
  project  = var.project
  role     = each.key
  member   = google_service_account.serving.member
}

resource "google_service_account" "pipeline" {
  account_id   = "homefeed-pipeline"
  display_name = "homefeed Dataflow workers"
}

resource "google_project_iam_member" "pipeline" {
  for_each = toset(["roles/dataflow.worker", "roles/pubsub.publisher", "roles/pubsub.subscriber", "roles/pubsub.viewer"])
  project  = var.project
  role     = each.key
  member   = google_service_account.pipeline.member
}
