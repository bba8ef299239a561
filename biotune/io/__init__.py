"""Files: written whole, kept in a folder or a bucket, fetched where they were published."""
