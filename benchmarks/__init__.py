"""Load and peers: how fast the service is, as ratios against others in the same run. `make bench`."""
