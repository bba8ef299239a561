"""Ray: started here or joined, who may come in, and what is tried again."""
