to_next_step AS next_step, errors AS error, connects AS agent_connect, serves AS agent_served,
    bot_ends AS bot_end, timeouts AS timeout, dropouts AS dropout
