"""What the columns of a file mean, by sheet, in both languages; a cover prints them.

`EVERYWHERE` holds for every sheet that does not say otherwise.
"""

from collections.abc import Mapping

from journey.labels import Label

EVERYWHERE: Mapping[str, Label] = {
    "step": Label(
        "대화가 시나리오의 몇 번째에서 보였는지 (처음이 1)", "How deep in the scenario the dialog was shown; 1 is first"
    ),
    "dialog": Label("챗봇이 보여 준 대화의 이름", "The dialog that the bot showed, by its name"),
    "inflow": Label("이 단계에서 이 대화가 보인 횟수", "How often the dialog was shown at this step"),
    "carried": Label("오늘 나갔지만 자정 전에 들어온 노출의 수", "Showings from before midnight that were left today"),
    "open": Label("오늘 들어와 아직 나가지 않은 노출의 수", "Today's showings that were not left yet"),
    "rooms": Label(
        "이 대화가 보인 상담방 수 (기간 전체에서 한 번씩만 셈)", "Rooms that saw it, each once over the whole range"
    ),
    "customers": Label(
        "이 대화를 본 고객 수 (기간 전체에서 한 번씩만 셈)", "Customers who saw it, each once over the whole range"
    ),
    "message": Label(
        "나가려고 고른 버튼이나 단축키. 입력한 글은 저장하지 않고 (텍스트 입력)으로 적음",
        "The button or hotkey of the move; typed text is not kept and stands as (text)",
    ),
    "moves": Label("이 방법으로 나간 횟수", "How often it was left this way"),
    "dropout_rate": Label("이탈 수 ÷ 유입 수", "Dropouts / inflow"),
    "agent_connect": Label(
        "상담사 연결을 요청했거나 상담사가 개입한 횟수", "How often an agent was asked for, or stepped in"
    ),
    "agent_served": Label(
        "그 연결이 상담으로 이어진 횟수 (나간 횟수에 더하지 않음)",
        "How many of those connects were served; no way out",
    ),
    "connect_rate": Label("상담사연결 ÷ 유입 수", "Agent connects / inflow"),
}

BY_SHEET: Mapping[str, Mapping[str, Label]] = {
    "table": {
        "next": Label(
            "다음에 보인 대화. 그 밖에는 나간 방법(error, 상담사연결, 챗봇종료, 이탈)과 이어진 대화",
            "The dialog shown next; else the way out (error, agent connect, bot end, dropout) and where it led",
        ),
        "move_rooms": Label("이 방법으로 나간 상담방 수", "Rooms that left it this way"),
        "move_customers": Label("이 방법으로 나간 고객 수", "Customers who left it this way"),
        "dropouts": Label("이 대화에서 이탈한 횟수", "How often customers dropped out of the dialog"),
    },
    "nodes": {
        "next_step": Label("다음 대화로 넘어간 횟수", "How often the next dialog followed"),
        "error": Label("잘못된 입력으로 안내를 다시 받은 횟수", "How often the bot refused the input"),
        "bot_end": Label("이 대화에서 상담방이 끝난 횟수", "How often the room ended at the dialog"),
        "timeout": Label("챗봇종료 중 고객의 응답이 없어 끝난 횟수", "Bot ends by the customer's silence"),
        "dropout": Label(
            "처음으로, 이전으로 등으로 대화를 벗어난 횟수", "How often it was left by home, back or another hotkey"
        ),
    },
    "edges": {
        "dialog": Label("나온 대화. 시작이면 비어 있음", "The dialog that was left; empty for a start"),
        "move": Label("나간 방법. 시작은 첫 대화가 보인 것", "The way out; start: a first dialog was shown"),
        "next_step": Label("다음 대화의 단계. 없으면 비어 있음", "The next dialog's step; empty where there is none"),
        "next_dialog": Label("다음에 보인 대화. 없으면 비어 있음", "The dialog shown next; empty where there is none"),
        "moves": Label("이 흐름이 있었던 횟수", "How often it happened"),
        "rooms": Label("이 흐름이 있었던 상담방 수", "Rooms in which it happened"),
        "customers": Label("이 흐름이 있었던 고객 수", "Customers with whom it happened"),
    },
    "handoffs": {
        "asked": Label("상담사연결 중 고객이 요청한 횟수", "Agent connects that the customer asked for"),
        "asked_rooms": Label("고객이 요청한 상담방 수", "Rooms in which the customer asked"),
        "takeovers": Label("상담사연결 중 상담사가 개입한 횟수", "Agent connects by an agent stepping in"),
        "served_rooms": Label("상담이 진행된 상담방 수", "Rooms that were served"),
        "served_customers": Label("상담이 진행된 고객 수", "Customers who were served"),
        "served_rate": Label("상담사진행 ÷ 상담사연결", "Agent served / agent connects"),
    },
}

#: Where today's table differs.
TODAY: Mapping[str, Label] = {
    "dropout_rate": Label("이탈 수 ÷ (유입 수 + 이월)", "Dropouts / (inflow + carried in)"),
    "connect_rate": Label("상담사연결 ÷ (유입 수 + 이월)", "Agent connects / (inflow + carried in)"),
    "rooms": Label("오늘 이 대화가 보인 상담방 수", "Rooms that saw it today"),
    "customers": Label("오늘 이 대화를 본 고객 수", "Customers who saw it today"),
}


def definition(sheet: str, column: str, today: bool = False) -> Label:
    """What `column` of `sheet` means. KeyError where nobody has written it down."""
    own = BY_SHEET[sheet]
    if column in own:
        return own[column]
    return TODAY[column] if today and column in TODAY else EVERYWHERE[column]
