resource "google_bigtable_instance" "homefeed" {
  name                = "homefeed"
  deletion_protection = true
  cluster {
    cluster_id   = "homefeed-a"
    zone         = "${var.region}-a"
    storage_type = "SSD"
    autoscaling_config {
      min_nodes  = 1
      max_nodes  = 10
      cpu_target = 60
    }
  }
}

# One row a listener: family s has a column a shelf, family m the tombstone. The newest version stays for good, so
# age is enforced when reading, never by collecting the last good row.
resource "google_bigtable_table" "home" {
  name          = "home"
  instance_name = google_bigtable_instance.homefeed.name
  split_keys    = ["m#", "u#4000", "u#8000", "u#c000"]
  column_family { family = "s" }
  column_family { family = "m" }
  lifecycle { prevent_destroy = true }
}

resource "google_bigtable_gc_policy" "home_shelves" {
  instance_name = google_bigtable_instance.homefeed.name
  table         = google_bigtable_table.home.name
  column_family = "s"
  gc_rules      = jsonencode({ rules = [{ max_version = 3 }] })
}

resource "google_bigtable_gc_policy" "home_meta" {
  instance_name = google_bigtable_instance.homefeed.name
  table         = google_bigtable_table.home.name
  column_family = "m"
  gc_rules      = jsonencode({ rules = [{ max_version = 1 }] })
}

# A row an action: listener, kind, time counted backwards, object. Its one cell is empty and has the action's time.
resource "google_bigtable_table" "songs_played" {
  name          = "songs-played"
  instance_name = google_bigtable_instance.homefeed.name
  split_keys    = ["u#4000", "u#8000", "u#c000"]
  column_family { family = "a" }
  lifecycle { prevent_destroy = true }
}

resource "google_bigtable_gc_policy" "songs_played" {
  instance_name = google_bigtable_instance.homefeed.name
  table         = google_bigtable_table.songs_played.name
  column_family = "a"
  gc_rules      = jsonencode({ rules = [{ max_version = 1 }] })
}

# A row an entry of the editors' log, which is only ever appended to, and one with what they add up to.
resource "google_bigtable_table" "cms" {
  name          = "cms"
  instance_name = google_bigtable_instance.homefeed.name
  column_family { family = "e" }
  lifecycle { prevent_destroy = true }
}

resource "google_bigtable_gc_policy" "cms" {
  instance_name = google_bigtable_instance.homefeed.name
  table         = google_bigtable_table.cms.name
  column_family = "e"
  gc_rules      = jsonencode({ rules = [{ max_version = 1 }] })
}
