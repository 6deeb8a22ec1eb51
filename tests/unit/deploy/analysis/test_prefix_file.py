"""Files of prefixes: what is read of them, and what is wrong with those that cannot be used."""

import pytest

from deploy.analysis.prefix_file import COLUMNS, MOST_ROWS, Prefix, PrefixFileError, read_prefixes
from deploy.analysis.prefixes import with_country

HEAD = "prefix,name,country,kind\n"
CHINA = Prefix(prefix="+8613", name="China mobile", country="CN", kind="mobile")

GOOD = {
    "all columns": (f"{HEAD}+8613,China mobile,CN,mobile\n", [CHINA]),
    "columns in another order": ("kind,name,prefix,country\nmobile,China mobile,+8613,CN\n", [CHINA]),
    "digits alone": (f"{HEAD}8613,China mobile,CN,mobile\n", [CHINA]),
    "as it is dialled": (f"{HEAD}008613,China mobile,CN,mobile\n", [CHINA]),
    "spaces and capitals": ("Prefix , NAME,country,kind\n +8613 , China mobile , cn , Mobile \n", [CHINA]),
    "semicolons": ("prefix;name;country;kind\n+8613;China mobile;CN;mobile\n", [CHINA]),
    "tabs": ("prefix\tname\tcountry\tkind\n+8613\tChina mobile\tCN\tmobile\n", [CHINA]),
    "a mark of the byte order, and lines of Windows": (f"\ufeff{HEAD}+8613,China mobile,CN,mobile\n".replace("\n", "\r\n"), [CHINA]),
    "names with commas and quotes": (f'{HEAD}+1,"US, ""all"" of it",US,\n', [Prefix(prefix="+1", name='US, "all" of it', country="US")]),
    "the needed columns alone": ("prefix,name\n+8613,China mobile\n", [Prefix(prefix="+8613", name="China mobile")]),
    "empty lines": (f"{HEAD}\n+8613,China mobile,CN,mobile\n,,,\n\n", [CHINA]),
    "letters of any script": (f"{HEAD}+8613,中国移动,CN,mobile\n", [Prefix(prefix="+8613", name="中国移动", country="CN", kind="mobile")]),
}  # fmt: skip


@pytest.mark.parametrize(("text", "wanted"), GOOD.values(), ids=GOOD)
def test_a_file_is_read(text: str, wanted: list[Prefix]) -> None:
    assert list(read_prefixes(text.encode())) == wanted


BAD = {
    "nothing": (b"", ["line 1: no column 'prefix'", "line 1: no column 'name'"]),
    "a first line alone": (HEAD.encode(), ["it has no row under its first line"]),
    "no first line": (b"+8613,China mobile,CN,mobile\n", ["line 1: no column 'prefix'", "the columns are prefix, name, country, kind"]),
    "an unknown column": (b"prefix,name,price\n+8613,China,1\n", ["line 1: no such column as 'price'"]),
    "a column twice": (b"prefix,name,name\n+8613,a,b\n", ["line 1: two columns 'name'"]),
    "no digits": (f"{HEAD}China,China,CN,\n".encode(), ["line 2: 'China' is no prefix"]),
    "a national number": (f"{HEAD}+013,China,CN,\n".encode(), ["line 2: '+013' is no prefix"]),
    "too many digits": (f"{HEAD}+1234567890123456,x,,\n".encode(), ["line 2: '+1234567890123456' is no prefix"]),
    "digits of another script": (f"{HEAD}+٨٦,China,CN,\n".encode(), ["is no prefix"]),
    "no name": (f"{HEAD}+86,,CN,\n".encode(), ["line 2: the name must be 1 to 200 characters"]),
    "a name that moves the cursor": (f"{HEAD}+86,\x1b[2J,CN,\n".encode(), ["line 2: the name must be"]),
    "a country's name": (f"{HEAD}+86,China,China,\n".encode(), ["line 2: 'China' is no country"]),
    "two words for a kind": (f"{HEAD}+86,China,CN,very dear\n".encode(), ["line 2: 'very dear' is no kind"]),
    "a row that is too short": (f"{HEAD}+86,China\n".encode(), ["line 2: 2 values for 4 columns"]),
    "a row that is too long": (f"{HEAD}+86,China,CN,mobile,1\n".encode(), ["line 2: 5 values for 4 columns"]),
    "the same prefix in another spelling": (f"{HEAD}+86,China,CN,\n\n0086,China,CN,\n".encode(), ["line 4: +86 stands already in line 2"]),
    "an open quote": (f'{HEAD}+86,"China,CN,\n'.encode(), ["not CSV"]),
    "another encoding": (HEAD.encode() + "+86,中国,CN,\n".encode("gb18030"), ["line 2: not UTF-8"]),
    "several faults": (f"{HEAD}+86,,XXX,\nx,y,,\n".encode(), ["line 2: the name", "line 2: 'XXX'", "line 3: 'x' is no prefix"]),
    "very many faults": (f"{HEAD}{'x,y,,' + chr(10)}".encode() * 1 + b"x,y,,\n" * 40, ["line 21: 'x'", "and 21 more"]),
}  # fmt: skip


@pytest.mark.parametrize(("data", "said"), BAD.values(), ids=BAD)
def test_every_fault_is_told_with_its_line(data: bytes, said: list[str]) -> None:
    with pytest.raises(PrefixFileError) as refused:
        read_prefixes(data)
    message = str(refused.value)
    assert message.startswith("the file of prefixes cannot be used, and nothing was changed:")
    assert [one for one in said if one not in message] == []


def test_a_file_that_is_no_single_insert_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_ROWS < 1_048_449  # rows of one block, with as many that take others away
    monkeypatch.setattr("deploy.analysis.prefix_file.MOST_ROWS", 1)
    with pytest.raises(PrefixFileError, match="it has 2 prefixes, and at most 1 can be loaded"):
        read_prefixes(f"{HEAD}+86,China,CN,\n+87,x,,\n".encode())


CODES = {"+1": "US", "+1876": "JM", "+881": ""}


@pytest.mark.parametrize(
    ("prefix", "given", "country"),
    [
        pytest.param("+18765", "", "JM", id="the longest code decides"),
        pytest.param("+1202", "", "US", id="a shorter one"),
        pytest.param("+8816", "", "", id="numbers of no country"),
        pytest.param("+999", "", "", id="an unknown code"),
        pytest.param("+1202", "CA", "CA", id="what the file says"),
    ],
)
def test_a_prefix_without_a_country_has_that_of_its_calling_code(prefix: str, given: str, country: str) -> None:
    assert with_country(Prefix(prefix=prefix, name="x", country=given), CODES).country == country


def test_the_columns_are_those_of_the_record() -> None:
    assert Prefix.__struct_fields__ == COLUMNS
