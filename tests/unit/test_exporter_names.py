import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.names import LONGEST, Names


@pytest.mark.parametrize(
    "stem, ending, name",
    [
        ("", "표", "표"),
        ("배송 조회", "표", "배송 조회 표"),
        ("a[b]:*?/\\c", "표", "a·b······c 표"),
        ("'봇'", "표", "봇 표"),
        ("History", "", "History (2)"),
        ("", "", "(2)"),
        ("봇" * 40, "상담 연결", "봇" * 25 + " 상담 연결"),
        ("😀" * 20, "표", "😀" * 14 + " 표"),
        ("a\nb\x00", "", "a b␀"),
    ],
)
def test_a_name_that_excel_takes(stem: str, ending: str, name: str) -> None:
    assert Names().take(stem, ending) == name


def test_no_two_are_alike() -> None:
    names = Names()
    made = [names.take(stem, "표") for stem in ("Bot", "bot", "Ｂｏｔ", "B" * 50, "b" * 60)]
    assert made[:3] == ["Bot 표", "bot 표 (2)", "Ｂｏｔ 표 (3)"]
    assert made[4] == "b" * 25 + " 표 (2)"


@given(st.lists(st.tuples(st.text(max_size=50), st.sampled_from(["", "표", "Hand-offs (12)"])), max_size=20))
def test_any_names(wanted: list[tuple[str, str]]) -> None:
    names = Names()
    made = [names.take(*one) for one in wanted]
    for name in made:
        assert 0 < len(name.encode("utf-16-le")) // 2 <= LONGEST
        assert not set(name) & set("[]:*?/\\")
        assert not name.startswith("'")
        assert not name.endswith("'")
        assert name.casefold() != "history"
    assert len({unicodedata.normalize("NFKC", name).casefold() for name in made}) == len(made)
