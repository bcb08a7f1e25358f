locals {
  event_topics = toset(["song-played", "artist-followed", "song-hearted"])
  dead_letters = toset(["dead-letter", "refresh-dead-letter"])
}

resource "google_pubsub_topic" "events" {
  for_each                   = local.event_topics
  name                       = each.key
  message_retention_duration = "604800s" # a week, so that a rewind is always possible
}

resource "google_pubsub_topic" "triggers" {
  name                       = "refresh-triggers"
  message_retention_duration = "604800s"
}

resource "google_pubsub_topic" "dead_letters" {
  for_each                   = local.dead_letters
  name                       = each.key
  message_retention_duration = "2678400s"
}

# The pipeline's subscriptions. pubsubio acknowledges after a bundle is committed.
resource "google_pubsub_subscription" "events" {
  for_each                   = google_pubsub_topic.events
  name                       = "pipeline-${each.key}"
  topic                      = each.value.id
  ack_deadline_seconds       = 60
  message_retention_duration = "604800s"
  expiration_policy { ttl = "" }
}

# The runner dead-letters by itself, with a reason; the bus' own rule would lose the reason.
resource "google_pubsub_subscription" "triggers" {
  name                       = "refresh"
  topic                      = google_pubsub_topic.triggers.id
  ack_deadline_seconds       = 60
  message_retention_duration = "604800s"
  enable_message_ordering    = true
  expiration_policy { ttl = "" }
  retry_policy {
    minimum_backoff = "1s"
    maximum_backoff = "60s"
  }
}

resource "google_pubsub_subscription" "dead_letters" {
  for_each                   = google_pubsub_topic.dead_letters
  name                       = each.key
  topic                      = each.value.id
  message_retention_duration = "2678400s"
  expiration_policy { ttl = "" }
}
