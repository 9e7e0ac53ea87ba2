"""The demo's shop: five bots, each a scenario of dialogs. Made up; names and buttons as Korean online shops have."""

from msgspec import Struct

#: A button's target that begins so is another bot, which shows its first dialog.
OTHER_BOT = "@"


class Dialog(Struct, frozen=True):
    """A dialog: `buttons` lead to other dialogs; or it `asks` for text, or goes on by itself (`then`), to one dialog.

    Without any of them the scenario ends here."""

    buttons: dict[str, str] = {}
    asks: str = ""
    then: str = ""


class Bot(Struct, frozen=True):
    """A bot: its first dialog is the first of `dialogs`. `shortcuts`: hotkeys of its own, and the dialogs they show."""

    bot_id: str
    name: str
    category: str
    version: str
    weight: int
    dialogs: dict[str, Dialog]
    shortcuts: dict[str, str] = {}
    in_use: bool = True

    @property
    def first(self) -> str:
        return next(iter(self.dialogs))


#: Shown after an agent has served, whatever the bot; then the room ends.
SURVEY = Dialog({"만족": "", "보통": "", "불만족": ""})
SURVEY_NAME = "상담 만족도 조사"

CHANNELS = ("kakao", "web", "app")

_DELIVERY = Bot(
    "delivery",
    "배송 조회",
    "배송",
    "2026.10",
    40,
    {
        "배송 홈": Dialog(
            {
                "주문 배송 조회": "주문번호 입력",
                "배송지 변경": "배송지 변경 안내",
                "배송이 늦어요": "지연 안내",
                "교환·반품": "@return",
            }
        ),
        "주문번호 입력": Dialog(asks="주문 조회 중"),
        "주문 조회 중": Dialog(then="배송 현황"),
        "배송 현황": Dialog(
            {"배송기사 연락처": "배송기사 안내", "다른 주문 조회": "주문번호 입력", "배송이 늦어요": "지연 안내"}
        ),
        "배송기사 안내": Dialog(),
        "배송지 변경 안내": Dialog({"새 주소 입력": "주소 입력", "변경 안 함": "배송 홈"}),
        "주소 입력": Dialog(asks="배송지 변경 완료"),
        "배송지 변경 완료": Dialog(),
        "지연 안내": Dialog({"지연 사유 보기": "지연 사유", "주문 취소": "@order", "기다릴게요": "배송 마침"}),
        "지연 사유": Dialog({"확인": "배송 마침"}),
        "배송 마침": Dialog(),
    },
    {"order_status": "배송 현황"},
)

_RETURN = Bot(
    "return",
    "교환·반품",
    "교환·반품",
    "2026.10",
    25,
    {
        "교환·반품 홈": Dialog(
            {
                "반품 신청": "반품 사유 선택",
                "교환 신청": "교환 사유 선택",
                "환불 조회": "환불 현황",
                "배송비 안내": "반품 배송비",
            }
        ),
        "반품 사유 선택": Dialog(
            {"단순 변심": "반품 배송비", "상품 불량": "불량 내용 입력", "오배송": "회수 방법 선택"}
        ),
        "교환 사유 선택": Dialog(
            {"사이즈 변경": "사이즈 선택", "색상 변경": "회수 방법 선택", "상품 불량": "불량 내용 입력"}
        ),
        "사이즈 선택": Dialog({"S": "회수 방법 선택", "M": "회수 방법 선택", "L": "회수 방법 선택"}),
        "불량 내용 입력": Dialog(asks="회수 방법 선택"),
        "반품 배송비": Dialog({"동의": "회수 방법 선택", "동의 안 함": "교환·반품 홈"}),
        "회수 방법 선택": Dialog({"택배 회수": "신청 완료", "편의점 접수": "신청 완료", "직접 발송": "신청 완료"}),
        "신청 완료": Dialog(),
        "환불 현황": Dialog({"카드 취소 확인": "카드 취소 안내", "처음 화면": "교환·반품 홈"}),
        "카드 취소 안내": Dialog(),
    },
    {"refund": "환불 현황"},
)

_ORDER = Bot(
    "order",
    "주문·결제",
    "주문",
    "2026.09",
    20,
    {
        "주문 홈": Dialog(
            {
                "주문 취소": "취소할 주문 선택",
                "결제 오류": "결제 수단 선택",
                "영수증": "영수증 종류",
                "배송 조회": "@delivery",
            }
        ),
        "취소할 주문 선택": Dialog({"최근 주문": "취소 확인", "다른 주문": "취소 주문번호 입력"}),
        "취소 주문번호 입력": Dialog(asks="취소 확인"),
        "취소 확인": Dialog({"취소하기": "취소 처리 중", "그만두기": "주문 홈"}),
        "취소 처리 중": Dialog(then="취소 완료"),
        "취소 완료": Dialog(),
        "결제 수단 선택": Dialog(
            {"신용카드": "카드 오류 안내", "간편결제": "간편결제 안내", "무통장입금": "입금 확인"}
        ),
        "카드 오류 안내": Dialog({"다시 결제": "결제 수단 선택", "다른 문의": "주문 홈"}),
        "간편결제 안내": Dialog(),
        "입금 확인": Dialog(asks="입금 확인 결과"),
        "입금 확인 결과": Dialog(),
        "영수증 종류": Dialog({"현금영수증": "영수증 발급", "세금계산서": "영수증 발급"}),
        "영수증 발급": Dialog(),
    },
)

_MEMBER = Bot(
    "member",
    "회원·쿠폰",
    "회원",
    "2026.08",
    15,
    {
        "회원 홈": Dialog(
            {"쿠폰 조회": "쿠폰함", "적립금": "적립금 현황", "비밀번호 찾기": "아이디 입력", "회원 탈퇴": "탈퇴 안내"}
        ),
        "쿠폰함": Dialog({"쿠폰 등록": "쿠폰번호 입력", "쿠폰 사용법": "쿠폰 안내"}),
        "쿠폰번호 입력": Dialog(asks="쿠폰 등록 완료"),
        "쿠폰 등록 완료": Dialog(),
        "쿠폰 안내": Dialog({"쿠폰함으로": "쿠폰함"}),
        "적립금 현황": Dialog({"소멸 예정": "소멸 예정 적립금"}),
        "소멸 예정 적립금": Dialog(),
        "아이디 입력": Dialog(asks="인증번호 입력"),
        "인증번호 입력": Dialog(asks="비밀번호 재설정"),
        "비밀번호 재설정": Dialog(),
        "탈퇴 안내": Dialog({"탈퇴하기": "탈퇴 완료", "남아 있기": "회원 홈"}),
        "탈퇴 완료": Dialog(),
    },
    {"coupon": "쿠폰함"},
)

# A bot that is no longer in use: some customers still find it by an old link; no seal shows it.
_EVENT = Bot(
    "event",
    "봄맞이 이벤트",
    "이벤트",
    "2026.03",
    4,
    {
        "이벤트 홈": Dialog({"응모하기": "응모 정보 입력", "당첨자 발표": "당첨자 안내"}),
        "응모 정보 입력": Dialog(asks="응모 완료"),
        "응모 완료": Dialog(),
        "당첨자 안내": Dialog(),
    },
    in_use=False,
)

SHOP = (_DELIVERY, _RETURN, _ORDER, _MEMBER, _EVENT)

#: What customers type; no rule reads it.
TEXTS = (
    "20261123-1048",
    "어제 주문한 거 언제 와요?",
    "010-1234-5678",
    "서울시 마포구 양화로 45",
    "kim@example.com",
    "상담원 연결해 주세요",
    "ㅇㅇ",
)
