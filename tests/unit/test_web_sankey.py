from web import sankey

COLUMNS = ["step", "dialog", "move", "message", "next_step", "next_dialog", "moves"]


def test_links_are_summed_over_messages_and_never_make_a_cycle() -> None:
    rows = [
        (1, "홈", "next_step", "주문", 2, "홈", 5),
        (1, "홈", "next_step", "(text)", 2, "홈", 2),
        (2, "홈", "dropout", "home", 1, "홈", 3),
        (2, "홈", "error", "error", 2, "홈", 1),
        (2, "홈", "agent_connect", "agent", 0, "", 2),
        (2, "홈", "agent_served", "agent", 0, "", 1),
        (2, "홈", "open", "", 0, "", 4),
    ]
    assert sankey.links(COLUMNS, rows) == [
        {"source": "1|홈", "target": "2|홈", "value": 7},
        {"source": "2|홈", "target": "dropout", "value": 3},
        {"source": "2|홈", "target": "agent_connect", "value": 2},
        {"source": "2|홈", "target": "error", "value": 1},
        {"source": "agent_connect", "target": "agent_served", "value": 1},
    ]


def test_a_dialog_named_like_a_move_is_another_node() -> None:
    rows = [(1, "error", "next_step", "x", 2, "a|b", 1)]
    assert sankey.links(COLUMNS, rows) == [{"source": "1|error", "target": "2|a|b", "value": 1}]
