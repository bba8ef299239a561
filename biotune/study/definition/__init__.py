"""What a study is: its YAML with every key and range, and the plan of any of its trials."""
