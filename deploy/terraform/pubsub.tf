locals {
  event_topics = toset(["song-played", "artist-followed", "song-hearted"])
  dead_letters = toset(["dead-letter", "refresh-dead-letter"])
}

resource "google_pubsub_topic" "events" {
  for_each                   = local.event_topics
  name                       = each.key
  message_retention_duration = "604800s" # a week, so that a rewind is always possible
}

# What listeners did to cards, for whoever measures shelves: they make a subscription of their own.
resource "google_pubsub_topic" "feedback" {
  name                       = "card-feedback"
  message_retention_duration = "604800s"
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

# The runner gives a trigger up after 5 attempts and says why in the dead letter. This policy makes Pub/Sub count
# the attempts, and catches what kills the runner before it can say anything. Order is not asked for: rows don't
# depend on it, and one redelivery would replay every later trigger of the listener.
resource "google_pubsub_subscription" "triggers" {
  name                       = "refresh"
  topic                      = google_pubsub_topic.triggers.id
  ack_deadline_seconds       = 60
  message_retention_duration = "604800s"
  expiration_policy { ttl = "" }
  retry_policy {
    minimum_backoff = "1s"
    maximum_backoff = "60s"
  }
  dead_letter_policy {
    dead_letter_topic     = google_pubsub_topic.dead_letters["refresh-dead-letter"].id
    max_delivery_attempts = 20
  }
}

resource "google_pubsub_subscription" "dead_letters" {
  for_each                   = google_pubsub_topic.dead_letters
  name                       = each.key
  topic                      = each.value.id
  message_retention_duration = "2678400s"
  expiration_policy { ttl = "" }
}
