"Explanations by the engine that runs: the learner's occlusion, bounds, every word in one piece; no torch"
import subprocess,sys
from dataclasses import replace

import numpy as np,pytest
from hypothesis import given,settings,strategies as st
from toxicai.all import *
from toxicai.labels import LabelSet
from toxicai.serve.backends import Backend,backends
from toxicai.serve.explain import (class_odds,explain_text,joined_spans,likeliest_label,piece_weights,timed_occlusion,with_unread,
                                   word_groups)
from toxicai.test_utils import *

texts = ['you are an idiot', 'Thank you, IDIOT, and you, idiot!', 'y0u 1d1ot', 'émoji 😀 مرحبا idiot', 'half \ud800 a pair', 'moron '*60, 'you i d i o t']

def learner(df=None, **kw):
    return toxicity_learner(ToxicityDataLoaders.from_df(comments() if df is None else df, tiny_checkpoint(), bs=8, **{'text_col':'text', 'label_cols':['toxic','insult'], **kw}))

@pytest.fixture(scope='module')
def learn(): return learner(rules='strict', max_length=40)

@pytest.fixture(scope='module')
def folder(learn, tmp_path_factory): return learn.save_detector(tmp_path_factory.mktemp('explain')/'rude')

@pytest.fixture(scope='module')
def d(folder): return Detector(folder, 'torch')

@pytest.fixture
def counter(folder):
    "An engine for which each `idiot` adds 3 to the log-odds of insult, and 1 to those of toxic"
    word = read_folder(folder).encoder().tok.token_to_id('idiot')
    def _open(folder, path, threads, at_once): return lambda x: (x['input_ids']==word).sum(1, keepdims=True)*np.array([[1.,3.]], dtype=np.float32)
    add_backend(Backend('counter', library='numpy', install='numpy', open=_open))
    yield 'counter'
    del backends['counter']

@pytest.mark.parametrize('text', texts)
@pytest.mark.parametrize('label', ['toxic','insult'])
def test_as_the_learner(learn, d, text, label):
    "The same words, weights to 1e-4 (batches are padded otherwise) and the same words unread"
    want,e = learn.explain(text, label, 'occlusion'),explain_text(d, text, label, max_words=999, max_seconds=60)
    assert [o[:2] for o in e.words]==list(zip(want.words.start, want.words.end)) and e.text==text
    np.testing.assert_allclose([o[2] for o in e.words], want.words.score, atol=1e-4)
    assert e.complete and e.label==label and abs(e.odds-want.odds)<1e-4 and abs(e.score-want.score)<1e-5

def test_spans(d, counter, folder):
    "Neighbours are one span; of a disguised word what was typed"
    d = Detector(folder, counter)
    e = explain_text(d, 'idiot idiot, you i d i o t')
    assert [e.text[a:b] for a,b in e.spans]==['idiot idiot','i d i o t'] and e.label=='insult' and e.threshold==0.5
    assert explain_text(d, 'thank you').spans==[] and explain_text(d, '').words==[] and explain_text(d, ' ').complete

def test_many_words(counter, folder):
    "The one word that decides is found among hundreds, within the readings that are allowed"
    d,seen = Detector(folder, counter, long='windows'),[]
    run = d.odds_of
    d.odds_of = lambda texts, i: (seen.append(len(texts)),run(texts, i))[1]
    text = 'thank you '*150+'idiot '+'thank you '*100
    e = explain_text(d, text, max_words=40, max_seconds=60)
    (a,b,w), = [o for o in e.words if o[2]>0]
    assert 'idiot' in text[a:b] and b-a<60 and w==3 and not e.complete
    assert len(e.words)<=40 and sum(seen)<=41+len(seen) # and the whole text beside each batch

def test_out_of_time(d):
    "The score is there, weights are not made up"
    e = explain_text(d, 'you are an idiot', max_seconds=0)
    assert np.isnan([o[2] for o in e.words]).all() and len(e.words)==4 and not e.complete and e.spans==[]
    assert [o['weight'] for o in e.to_dict()['words']]==[None]*4 and 0<=e.score<=1

def test_late_between_batches():
    "What was asked before the time was over stays"
    ticks = iter([False,False,True])
    res = timed_occlusion(lambda ts: [len(t) for t in ts], 'a bb ccc dd', [(0,1),(2,4),(5,8),(9,11)], 1, lambda: next(ticks))
    assert res[0]==2 and res[1]==3 and np.isnan(res[2:]).all()

@given(st.integers(0, 60), st.integers(2, 40), st.integers(0, 2**16))
@settings(deadline=None, max_examples=80)
def test_pieces(n, most, seed):
    "Each word is in one piece, pieces are in order and no more than allowed; where there are few words each is alone"
    weights,asked = np.random.default_rng(seed).normal(size=n),[]
    def _f(pieces):
        asked.extend(pieces)
        return [weights[a:b].sum() for a,b in pieces]
    res = piece_weights(_f, n, most)
    assert [i for a,b in res for i in range(a, b)]==list(range(n)) and len(asked)<=max(most, 0)
    assert all(abs(w-weights[a:b].sum())<1e-9 for (a,b),w in res.items()) and (n>most or len(res)==n)

@given(st.integers(0, 99), st.integers(0, 99), st.integers(1, 40))
def test_groups(start, n, most):
    "All words, in order, in groups of nearly equal size"
    groups = word_groups(start, start+n, most)
    sizes = [b-a for a,b in groups]
    assert sum(sizes)==n and len(groups)==min(n, most) if n else groups in ([],[(start,start)])
    if n: assert groups[0][0]==start and groups[-1][1]==start+n and max(sizes)-min(sizes)<=1

def test_odds_by_softmax():
    "Log-odds of classes that exclude each other are those of their probabilities"
    logits = np.random.default_rng(0).normal(size=(5, 4))
    p = np.exp(logits)/np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(class_odds(logits, 2, 'single'), np.log(p[:,2]/(1-p[:,2])), rtol=1e-9)
    assert class_odds(logits, 2, 'multi').tolist()==logits[:,2].tolist()

def test_label(d):
    "The harmless class is not explained unless it is named; aliases are known"
    labels = LabelSet(['not_toxic','insult'], kind='single', clean='not_toxic')
    assert likeliest_label(labels, [.9,.1])==1 and likeliest_label(replace(labels, names=['A','other'], clean=None), [.9,.1])==0
    assert explain_text(d, 'idiot', 'insults').label=='insult'

@pytest.mark.parametrize('kw,error', [(dict(max_words=1),'`max_words` is 1'), (dict(max_words=True),'`max_words`'), (dict(max_words=2.5),'`max_words`'),
    (dict(max_seconds=-1),'`max_seconds`'), (dict(max_seconds=float('nan')),'`max_seconds`'), (dict(max_seconds='2'),'`max_seconds`')])
def test_bounds(d, kw, error):
    with pytest.raises(ValueError, match=error): explain_text(d, 'idiot', **kw)

@pytest.mark.parametrize('text', [None, ['you','idiot'], ('you','idiot'), b'idiot', 3])
def test_no_text(d, text):
    with pytest.raises(TypeError, match='expected one text'): explain_text(d, text)

def test_pairs(tmp_path):
    "A detector of pairs explains both texts, in places of what `as_text` shows"
    df = comments().assign(reply=comments().text[::-1].tolist())
    d = Detector(learner(df, text_col=['text','reply']).save_detector(tmp_path/'pairs'), 'torch')
    e = explain_text(d, ('thank you','you idiot'))
    assert [e.text[a:b] for a,b,_ in e.words]==['thank','you','you','idiot']
    with pytest.raises(TypeError, match='expected one pair'): explain_text(d, 'you idiot')

def test_joined():
    assert joined_spans('a b, c', [(0,1),(2,3),(5,6)])==[(0,3),(5,6)] and joined_spans('', [])==[]
    assert [o[:2] for o in with_unread([(4,9,1.)], [(0,3),(4,5),(6,9),(10,12)])]==[(0,3),(4,9),(10,12)]

def test_light():
    "No torch, no pandas, no fastai"
    code = "import sys,toxicai.serve.explain; print([o for o in ('torch','transformers','fastai','pandas','matplotlib') if o in sys.modules])"
    assert subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout.strip()=='[]'
