sumIf(count, move = 'next_step') AS to_next_step, sumIf(count, move = 'error') AS errors,
    sumIf(count, move = 'agent_connect') AS connects, sumIf(count, move = 'agent_served') AS serves,
    sumIf(count, move = 'bot_end') AS bot_ends, sumIf(count, move = 'bot_end' AND message = 'timeout') AS timeouts,
    sumIf(count, move = 'dropout') AS dropouts
