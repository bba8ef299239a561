"""Files: written as a whole, kept in a folder or a bucket, fetched from where they were published."""
