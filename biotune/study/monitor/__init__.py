"""How a study is watched: on the terminal, by Prometheus and Grafana, in other programs' files."""
