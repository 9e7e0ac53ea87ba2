from journey import labels

COLUMNS = [
    "step",
    "dialog",
    "inflow",
    "rooms",
    "customers",
    "dropouts",
    "dropout_rate",
    "move",
    "message",
    "next_step",
    "next_dialog",
    "moves",
    "move_rooms",
    "move_customers",
]


def test_labels_on_screen_are_the_designs() -> None:
    assert {
        move: labels.MOVES[move].ko for move in ("error", "agent_connect", "agent_served", "bot_end", "dropout")
    } == {
        "error": "error",
        "agent_connect": "상담사연결",
        "agent_served": "상담사진행",
        "bot_end": "챗봇종료",
        "dropout": "이탈",
    }
    assert [labels.STATUSES[s].ko for s in ("bot", "waiting", "assigned", "agent", "bot_ended", "agent_ended")] == [
        "챗봇 진행중", "상담대기", "접수", "진행중", "챗봇 종료", "상담종료",
    ]  # fmt: skip


def test_the_pages_table_has_the_columns_of_the_design() -> None:
    assert [labels.COLUMNS[name].ko for name in labels.TABLE] == [
        "단계", "현재 대화", "유입 수", "방 수", "고객 수", "고객 선택/입력 메시지", "다음 대화",
        "유출 수", "방 수", "고객 수", "이탈 수", "이탈률",
    ]  # fmt: skip


def test_a_button_called_like_a_hotkey_keeps_its_own_words() -> None:
    assert labels.message("next_step", "home", "ko") == "home"
    assert labels.message("dropout", "home", "ko") == "처음으로"
    assert labels.message("dropout", "배송 조회", "ko") == "배송 조회"
    assert labels.message("next_step", "(text)", "ko") == "(텍스트 입력)"
    assert labels.message("next_step", "(text)", "en") == "(text)"


def test_the_next_dialog_says_where_a_dropout_or_another_dialogs_error_led() -> None:
    assert labels.next_dialog("next_step", "A", "B", "ko") == "B"
    assert labels.next_dialog("dropout", "A", "홈", "ko") == "이탈 → 홈"
    assert labels.next_dialog("dropout", "A", "", "ko") == "이탈"
    assert labels.next_dialog("error", "A", "A", "ko") == "error"
    assert labels.next_dialog("error", "A", "다시", "ko") == "error → 다시"


def test_a_row_of_the_view_becomes_a_row_of_the_page() -> None:
    row = (2, "메뉴", 10, 9, 8, 3, 0.3, "dropout", "back", 1, "홈", 3, 2, 1)
    assert list(labels.table_rows(COLUMNS, [row], "ko")) == [
        (2, "메뉴", 10, 9, 8, "이전으로", "이탈 → 홈", 3, 2, 1, 3, 0.3)
    ]


def test_todays_table_shows_what_was_carried_in() -> None:
    columns = [*COLUMNS, "open", "carried"]
    row = (1, "홈", 4, 4, 4, 0, 0.0, "open", "", 0, "", 3, 3, 3, 3, 7)
    assert labels.shown(columns).index("carried") == 3
    assert list(labels.table_rows(columns, [row], "en")) == [(1, "홈", 4, 7, 4, 4, "", "open", 3, 3, 3, 0, 0.0)]


def test_control_characters_become_visible() -> None:
    assert labels.visible("a\x00b\x1b[31m\x7f\x9b\r\n\tc\ufffe") == "a␀b␛[31m␡\ufffd␍\n\tc\ufffd"
