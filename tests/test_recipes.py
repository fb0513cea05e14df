"Sentences that the recipes write themselves"
import re

import numpy as np,pytest
from recipes.detectors.sentences import labels,read_patterns,spoken,spoken_rows
from toxicai.judge.behaviour import behaviour_cases

rows = spoken_rows(12, 0)

def runs(text):
    words = [o.strip('.,;:!?"').lower() for o in text.split()]
    return {' '.join(words[i:i+5]) for i in range(len(words)-4)}

def test_apart_from_check_list():
    "What judges was not learnt: no five words in a row stand in both"
    judged = {o for t in behaviour_cases('toxic').text for o in runs(t)}
    assert judged and not [o for o in rows.text if runs(o)&judged]

def test_no_sign_of_a_pattern_is_left():
    odd = [o for o in rows.text if re.search(r'[{}()|\n]|  | ,|\ba [aeiou]', o)]
    assert not odd, odd[:5]
    assert rows.text.str[0].str.match('["A-Z]').all()

def test_rows():
    assert len(rows)>2000 and not rows.duplicated(['kind','text']).any()
    assert rows.equals(spoken_rows(12, 0)) and not rows.equals(spoken_rows(12, 1))
    assert rows.kind.nunique()==25 and rows[~rows.dev].kind.nunique()==25 and 0.1<rows.dev.mean()<0.2
    assert rows.toxic.notna().all() and rows[[*labels]].stack().dropna().between(0, 1).all()
    assert rows[rows.kind=='threat to a person'].threat.eq(1).all() and rows[rows.kind=='wish of harm'].threat.isna().all()
    assert 0.35<(rows.toxic>=0.5).mean()<0.65

def test_none_means_both():
    "The same sentence never says two things"
    assert rows.groupby('text').toxic.nunique().max()==1

def test_spoken():
    rng,words = np.random.default_rng(0),dict(one=['an owl'], many=['owls'])
    assert spoken("(i|i) 'll see {one}( now|), a (elk|elk) and {many}.", words, rng) in ("I'll see an owl now, an elk and owls.", "I'll see an owl, an elk and owls.")

def test_unknown_label(tmp_path):
    path = tmp_path/'s.txt'
    path.write_text('# c\n{a} = x|y\n\n[k] toxic=1 insult=?\nHallo {a}.\n[m] rude=1\nHello.\n')
    with pytest.raises(ValueError, match="s.txt: 'm' has labels {'rude'}: expected some of"): read_patterns(path)
    path.write_text(path.read_text().split('[m]')[0])
    (o,),words = read_patterns(path)
    assert o.kind=='k' and o.text=='Hallo {a}.' and words==dict(a=['x','y'])
    assert o.targets[0]==1 and np.isnan(o.targets[labels.index('insult')]) and o.targets[labels.index('threat')]==0
