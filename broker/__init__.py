"""Kafka: the topics, a producer for bulk, and what a group has consumed. Nothing here knows what an event means."""
