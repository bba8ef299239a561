"""What a study is: its YAML, every key and its range, and the plan of any of its trials."""
