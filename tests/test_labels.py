"`LabelSet`: any printable names survive JSON, others are spelled out in memory and refused in JSON, bad JSON does not pass, decisions agree with NumPy"
import json,subprocess,sys
from dataclasses import FrozenInstanceError

import numpy as np,pytest
from hypothesis import given,strategies as st
from toxicai.labels import *

printable = st.text(st.characters(exclude_categories=['Cc','Cf','Cs','Zl','Zp']), min_size=1, max_size=most_name)
names = st.lists(printable.filter(str.strip), min_size=2, max_size=12, unique_by=name_key)
unit = st.floats(0, 1)

@given(names, st.sampled_from(label_kinds), st.data())
def test_json(names, kind, data):
    labels = LabelSet(names, kind, data.draw(st.lists(unit, min_size=len(names), max_size=len(names))))
    assert LabelSet.from_json(labels.to_json())==labels
    assert json.loads(json.dumps(labels.to_dict()))==labels.to_dict()
    repr(labels),labels._repr_html_()

@given(printable, st.characters(categories=['Cc','Cf','Cs','Zl','Zp'], exclude_characters='\u200c\u200d'), printable)
def test_names_that_steer(before, odd, after):
    "Spelled out in memory, refused in JSON; the error itself steers nothing"
    name = before[:30]+odd+after[:30]
    shown = LabelSet(['toxic',name]).names[1]
    assert not unprintable(shown) and odd not in shown and ascii(odd)[1:-1] in shown and LabelSet(['toxic',shown]).names[1]==shown
    with pytest.raises(ValueError, match='class name') as e: LabelSet.from_dict(changed(name=name))
    assert str(e.value).isprintable()

@pytest.mark.parametrize('names, err', [(['a\x1b','a\\x1b'], 'more than once'), (['toxic','\x07'*40], 'has 160 characters'), (['toxic','\u2028'], 'is empty')])
def test_spelled_out(names, err):
    "Never another name than one that is there, and never longer than names may be"
    with pytest.raises(ValueError, match=err): LabelSet(names)

@pytest.mark.parametrize('name', ['a'*100, 'می\u200cخواهم', 'क्\u200dष', '👩\u200d👧', 'a\xa0b', 'a\u3000b', '<b>', '=x'])
def test_names_that_stay(name): assert list(LabelSet(['toxic',name]))==['toxic',name]

@given(st.text(st.characters(exclude_characters='\n\t')))
def test_without_steering(s):
    "Prints in one line as it is where that is harmless"
    res = without_steering(s)
    assert len(res.splitlines())<=1 and not any(c in res for c in '\x1b\x07\x9b\r\u202e\u2066') and res==res.encode().decode()
    if s.isprintable(): assert res==s

good = LabelSet(['a','b']).to_dict()
def changed(i=0, **kwargs): return {**good, 'classes': [{**o, **kwargs} if j==i else o for j,o in enumerate(good['classes'])]}

bad_json = {
    'a list': ([], TypeError, 'is a list'), 'no kind': (dict(classes=[]), ValueError, "no ['kind']"), 'unknown key': ({**good, 'x':1}, ValueError, "unknown ['x']"),
    'classes by name': ({**good, 'classes':{}}, TypeError, 'expected a list'), 'class is text': ({**good, 'classes':['a']}, TypeError, 'class 0 is a str'),
    'no class': ({**good, 'classes':[]}, ValueError, 'at least 1'), 'unknown kind': ({**good, 'kind':'binary'}, ValueError, 'expected one of'),
    'text threshold': (changed(threshold='0.5'), ValueError, "threshold of 'a' is '0.5'"), 'threshold 2': (changed(1, threshold=2), ValueError, "threshold of 'b' is 2"),
    'no threshold': (changed(threshold=None), ValueError, "threshold of 'a' is None"), 'NaN threshold': (changed(threshold=float('nan')), ValueError, 'expected a number in [0,1]'),
    'flag as threshold': (changed(threshold=True), ValueError, 'is True'),
    'colour word': (changed(colour='red'), ValueError, "colour of 'a' is 'red'"), 'description number': (changed(description=3), ValueError, "description of 'a' is 3"),
    'same names': (changed(name='b'), ValueError, 'more than once'), 'empty name': (changed(name=' '), ValueError, 'is empty'), 'no name': (changed(name=None), TypeError, 'class name None')}

@pytest.mark.parametrize('name', bad_json)
def test_bad_json(name):
    d,err,msg = bad_json[name]
    with pytest.raises(err) as e: LabelSet.from_dict(d)
    assert msg in str(e.value)

@given(st.integers(1, 9), st.integers(0, 20), st.data())
def test_flags(n_classes, n, data):
    seed = data.draw(st.integers(0, 1000))
    rng = np.random.default_rng(seed)
    probs,thresh = rng.random((n,n_classes)),rng.random(n_classes)
    labels = LabelSet(range(n_classes), 'multi', thresh)
    np.testing.assert_array_equal(labels.flags(probs), probs>=thresh)
    np.testing.assert_array_equal(labels.flags(probs.tolist() if n else probs), probs>=thresh)
    if n_classes>1:
        res = LabelSet(range(n_classes), 'single', thresh).flags(probs)
        assert (res.sum(1)==1).all() and (res.argmax(1)==probs.argmax(1)).all()

@given(st.sampled_from(label_kinds), st.integers(2, 6), st.sampled_from([1e-3,0.03,0.3]), st.integers(0, 1000))
def test_unsure(kind, n_classes, drift, seed):
    "Wherever probabilities that moved give another decision, the first ones were unsure by that much; without a move none is"
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(n_classes), 200) if exclusive(kind) else rng.random((200,n_classes))
    q = np.clip(p+rng.choice([-drift,drift], p.shape), 1e-9, 1)
    if exclusive(kind): q /= q.sum(1, keepdims=True)
    labels = LabelSet(range(n_classes), kind, rng.random(n_classes))
    by = abs(p-q).max()*(1+1e-9)
    flipped = (labels.flags(p)!=labels.flags(q)).any(1)
    assert labels.unsure(p, by)[flipped].all() and not labels.unsure(p, 0.).any()
    assert drift>1e-3 or not labels.unsure(p, by).all()
    assert labels.unsure(p[:0], by).shape==(0,)

def test_unsure_ordinal():
    "Small moves add up in the running sum"
    labels,p,q = LabelSet(range(4), 'ordinal'),np.array([[0.2,0.25,0.3,0.25]]),np.array([[0.23,0.28,0.27,0.22]])
    assert (labels.flags(p)!=labels.flags(q)).any() and labels.unsure(p, 0.0301).all() and not labels.unsure(p, 0.02).any()

@pytest.mark.parametrize('dtype', ['float16','float32','float64'])
def test_reaches(dtype):
    "A probability that equals its threshold in its own precision counts"
    for o in np.linspace(0, 1, 101): assert LabelSet(['a'], thresholds=float(o)).flags(np.array([[o]], dtype=dtype)).all()

def test_shapes():
    labels = LabelSet('a b'.split())
    assert labels.flags([0.5,0.4]).tolist()==[True,False]
    for o in (0.5, [[0.5]], np.zeros((2,3))):
        with pytest.raises(ValueError, match='columns'): labels.flags(o)
    for o in ([[0.1,float('nan')]], [[0.1,-0.1]], [[2.,0.]]):
        with pytest.raises(ValueError, match='row 0'): labels.flags(o)
    with pytest.raises(TypeError): labels.flags([['x','y']])

def test_frozen():
    labels = LabelSet(names := ['a','b'])
    names.append('c')
    assert len(labels)==2
    with pytest.raises(FrozenInstanceError): labels.thresholds = (1.,1.)
    assert labels.with_thresholds([0.1,0.2]).thresholds==(0.1,0.2) and labels.thresholds==(0.5,0.5)
    assert {labels: 1}[LabelSet(['a','b'])]==1 and labels!=LabelSet(['b','a'])

def test_aliases():
    "No alias stands for two classes, and a canonical name is its own"
    seen = {}
    for k,(about,aliases) in known_classes.items():
        assert about and canonical(k)==k
        for o in (k, *aliases.split()): assert seen.setdefault(o, k)==k, o
    for a,b in (('identity_attack','identity_hate'), ('profanity','obscene'), ('toxicity','toxic'), ('is_offensive','toxic'), ('target','toxic')): assert canonical(a)==b

def test_match():
    a,b = LabelSet('toxic insult profanity'.split()),LabelSet('obscene toxicity spam'.split())
    assert a.match(b)=={'toxic':'toxicity', 'profanity':'obscene'} and b.match(a)=={'obscene':'profanity', 'toxicity':'toxic'}
    assert LabelSet(['toxic','toxicity']).match(LabelSet(['toxicity','toxic']))=={'toxic':'toxic', 'toxicity':'toxicity'}
    with pytest.raises(ValueError, match='say which|rename'): a.match(LabelSet(['toxicity','is_toxic']))

def test_light():
    "Serving imports this module without the training side"
    code = "import sys, toxicai.labels; print([o for o in 'torch fastai transformers pandas datasets'.split() if o in sys.modules])"
    assert subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout.strip()=='[]'

harmless = ('OK','safe','noHate','nothate','no_hate','No Hate','nohate','Benign','acceptable','harmless','CIVIL','not_abusive','non_hateful','no_abuse','not_cyberbullying','not sexist',
            'not_racist','NotOffensive','nonToxic','no-hate-speech','is_not_toxic','hate-free','free_of_hate','without_threats','no_insults','not_violent','non_hate_speech','none','neither','NOT','nag',
            'limpio','ninguno','no_odio','No ofensivo','sin_odio','no_es_toxico','harmlos','keine','kein_hass','nicht_beleidigend','unbedenklich','aucune','neutre','pas_de_haine','non_haineux',
            'pulito','non_odio','senza_odio','nenhum','não_ofensivo','nao-toxico','geen_haat','no_hate_or_abuse')
harmful = ('toxic','unsafe','uncivil','harmful','not_ok','not safe','not-harmless','not_civil','unacceptable','abuse','spam','notable','nonsense','noise','notorious','sinister','insulto','Hass','haine','kindness_denied')
unclear = ('OTHER','others','otro','sonstige','unknown','not_sure','not_applicable','no_hate_but_rude','not_hate_offensive','positive','negative','same','not_equivalent','mixed','non_binary')

@pytest.mark.parametrize('names, want', [(harmless, False), (harmful, True), (unclear, None)])
def test_counts_against(names, want): assert {o for o in names if counts_against(o) is not want}==set()

told = { # names; the harmless ones, None where one has to ask
    'ok rude':'ok', 'neutral ok toxic':'neutral ok', 'noHate hate':'noHate', '0 1':'0', '1 0':'0', 'False True':'False', 'yes no':'no', 'Ja Nein':'Nein', 'f t':'f',
    'spam not_spam':'not_spam', 'irony no_irony':'no_irony', 'ham spam':'ham', 'NOT OFF':'NOT', 'NAG CAG OAG':'NAG', 'hate offensive neither':'neither', 'clean not_clean':'clean',
    'OTHER OFFENSE':None, 'A B':None, 'hate offensive':None, '0 1 2':None, 'clean 1 2':None, 'positive negative':None, 'negative neutral positive':None, 'ok safe':None, 'toxic not_sure':None}

@pytest.mark.parametrize('names', told)
def test_clean(names):
    want = told[names] if told[names] is None else tuple(told[names].split())
    labels = LabelSet(names.split(), 'single')
    assert labels.clean==want==LabelSet.from_json(labels.to_json()).clean
    if want: assert labels.counting().tolist()==[o not in want for o in names.split()] and labels.to_dict()['clean']==list(want)
    else:
        with pytest.raises(ValueError, match='harmless: say so, `clean='): labels.counting()
        first = names.split()[0]
        told_now = labels.with_clean(first)
        assert told_now.counting().tolist()==[False]+[True]*(len(labels)-1) and LabelSet.from_json(told_now.to_json())==told_now
        assert labels.with_clean([]).counting().all() and labels.counting([first]).sum()==1
    assert LabelSet(names.split()[::-1], 'ordinal').clean==(None if want is None else tuple(o for o in names.split()[::-1] if o in want))

def test_clean_flags():
    "A column for harmless among flags never counts; a set without one counts whole"
    assert LabelSet(['toxic','harmless','insult']).counting().tolist()==[True,False,True] and LabelSet(['toxic','insult']).counting().all()
    for o in (['harmless'], ['clean','none'], ['toxic','other']): assert LabelSet(o).clean is None
    tuned = LabelSet(['toxic','other']).with_clean('other').with_thresholds(0.2).with_calibration(None)
    assert tuned.clean==('other',) and tuned.counting().tolist()==[True,False]
    assert LabelSet(['b','toxicity'], clean='toxic').clean==('toxicity',) and LabelSet(['b','a'], clean=('a',)).counting('a').tolist()==[False,True]

def test_clean_stored():
    "A file without the harmless classes is read by its names; what is no name of a class is refused"
    d = LabelSet(['ok','rude'], 'single').to_dict()
    assert LabelSet.from_dict({k:v for k,v in d.items() if k!='clean'}).clean==('ok',)
    assert LabelSet.from_dict({**d, 'clean':['rude']}).counting().tolist()==[True,False]
    for bad,err in ((['x'],KeyError), ([1.5],TypeError), (3,KeyError), ([['ok']],TypeError), (['ok','rude'],ValueError), ({'ok':1},TypeError)):
        with pytest.raises(err): LabelSet.from_dict({**d, 'clean':bad})

@pytest.mark.parametrize('names', [['caf\u00e9','cafe\u0301'], ['Toxic','toxic'], ['very toxic','very  toxic'], ['toxic','toxic '], ['a\u200bb','ab'], ['\uff54ext','text'], ['STRASSE','straße'], ['a\u00a0b','a b']])
def test_one_name(names):
    for kind in label_kinds:
        with pytest.raises(ValueError, match='told apart'): LabelSet([*names, 'other'], kind)

def test_columns_of_classes():
    "No column of a table is there twice, whatever the classes are called"
    rng,parts = np.random.default_rng(0),['toxic','_flag','_logit','_score','text','truncated']
    for _ in range(300):
        names = list(dict.fromkeys(''.join(rng.choice(parts, rng.integers(1, 4))) for _ in range(6)))
        found = columns_of_classes(names, ['text','truncated'], ['','_flag','_logit'])
        cols = [f'{k}{o}' for k in found for o in ('','_flag','_logit')]+['text','truncated']
        assert len(set(cols))==len(cols) and all(a.startswith(b) for a,b in zip(found, names))
    assert columns_of_classes(['toxic','insult'], ['text'], ['','_flag'])==['toxic','insult']

@pytest.mark.parametrize('names,want', [(['insult','misc'], 'misc'), (['hate','untoxic'], 'untoxic'), (['left','right'], 'left'), (['obscene','unsure','threat'], 'unsure')])
def test_line_to_paste(names, want):
    "The message never proposes a class that is known as harm where there is another"
    with pytest.raises(ValueError, match=f"`clean='{want}'`"): LabelSet(names, 'single').check_clean()
