"Choices: what is no key of a table is said with the keys that there are, whatever it is"
import pytest
from toxicai.strings import *

@pytest.mark.parametrize('odd', ['', 'HEAD', None, 0, ['head'], {'head':1}, ('head',)])
def test_check_choice(odd):
    "Lists and dicts, which are no keys at all, get the same words"
    with pytest.raises(ValueError) as e: check_choice('cut', odd, dict(head=1, tail=2))
    near = "; did you mean 'head'?" if odd=='HEAD' else ''
    assert str(e.value)==f"`cut` is {odd!r}: expected one of ['head', 'tail']{near}"

def test_known_choices():
    for known in (dict(head=1), ('head',), dict(head=1).keys()): assert check_choice('cut', 'head', known) is None
