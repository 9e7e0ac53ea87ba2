"""From Kafka to ClickHouse: the batch transport, the agents, and what a batch does."""
