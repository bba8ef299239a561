"""What has happened in a study: its events as they are written, and what is known from them."""
