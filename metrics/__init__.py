"""What a running part tells of itself: /metrics for Prometheus and /health, by HTTP."""
