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
