"The check list itself, pass rates against counts, and the report from a learner"
import re
from collections import Counter

import numpy as np,pandas as pd,pytest
from fastai.callback.progress import ProgressCallback
from toxicai.judge.behaviour import *
from toxicai.judge.intervals import *
from toxicai.data.loaders import *
from toxicai.data.duplicates import near_duplicates,text_key
from toxicai.train.learner import *
from toxicai.train.verbs import *
from toxicai.test_utils import *

nan = float('nan')

# The list

def test_counts():
    df = behaviour_cases()
    counts = df.groupby('kind').size()
    assert len(counts)>=20 and counts.min()>=10 and set(counts.index)==set(behaviour_kinds)
    assert list(dict.fromkeys(df.kind))==list(behaviour_kinds)

def test_no_copies():
    df = behaviour_cases()
    assert not df.text.map(text_key).duplicated().any()
    groups = near_duplicates(df.text.tolist(), 0.6)
    twins = [df.text[groups==g].tolist() for g,n in Counter(groups).items() if n>1]
    assert not twins

def test_clean_texts():
    for o in behaviour_cases().text: assert o==o.strip() and '  ' not in o and 15<len(o)<120 and not re.search(r'[|\t\n<>]', o)

def test_expected():
    "Hate is a part of what is toxic; both sides are there for both kinds of label"
    toxic,hate = behaviour_cases('toxic').expected,behaviour_cases('hate_speech').expected
    assert (hate<=toxic).all() and (hate<toxic).any()
    assert behaviour_cases('offensive').expected.tolist()==toxic.tolist() and behaviour_cases('identity_attack').expected.tolist()==hate.tolist()
    for o in (toxic,hate): assert 0.3<o.mean()<0.7
    assert all(t in (0,1) and h in (0,1) and about for t,h,about in behaviour_kinds.values())

# Rates

@pytest.mark.parametrize('k, n, low, high', [(0, 10, 0, .2775), (10, 10, .7225, 1), (5, 10, .2366, .7634)])
def test_wilson(k, n, low, high):
    "Against the closed formula, https://www.jstor.org/stable/2276774"
    z = 1.959963984540054
    mid,half = (k+z*z/2)/(n+z*z),z/(n+z*z)*np.sqrt(k*(n-k)/n+z*z/4)
    assert wilson(k, n)==pytest.approx((mid-half,mid+half), abs=1e-9)
    assert wilson(k, n)==pytest.approx((low,high), abs=1e-4)

def test_wilson_of_nothing(): assert np.isnan(wilson(0, 0)).all()

def test_table():
    cases = pd.DataFrame(dict(kind=['b','a','b','b','a'], text=list('vwxyz'), expected=[True,False,True,True,False]))
    table = behaviour_table(cases, [1,1,0,1,0])
    assert table[['kind','expected','n','passed']].values.tolist()==[['b',True,3,2],['a',False,2,1]]
    assert table.rate.tolist()==pytest.approx([2/3,1/2]) and (table.low<table.rate).all() and (table.rate<table.high).all()

def test_mixed_kind():
    "A kind with both answers has a row for each"
    cases = pd.DataFrame(dict(kind=['a','a'], text=['x','y'], expected=[True,False]))
    assert behaviour_table(cases, [True,True]).rate.tolist()==[1,0]

def test_perfect_and_wrong():
    cases = behaviour_cases()
    right,wrong = [BehaviourReport(cases, o.astype(float), o, 'toxic') for o in (cases.expected, ~cases.expected)]
    assert (right.table.rate==1).all() and not len(right.failures) and len(right.tables)==2
    assert (wrong.table.rate==0).all() and len(wrong.failures)==len(cases)

# Views

def report(texts, probs, expected, **kwargs):
    cases = pd.DataFrame(dict(kind='k', text=texts, expected=expected))
    return BehaviourReport(cases, probs, np.array(probs)>=.5, 'toxic', **kwargs)

def test_failures_worst_first():
    rep = report(['a','b','c','d'], [.6,.9,.1,.4], [False,False,True,False])
    assert rep.failures.text.tolist()==['b','c','a'] and rep.failures.flag.tolist()==[True,False,True]

def test_escaped():
    rep = report(['<script>alert(1)</script> a|b'], [.9], [False])
    assert '<script>' not in rep._repr_html_() and '&lt;script&gt;' in rep._repr_html_()
    assert 'a\\|b' in rep.to_markdown()

def test_masked():
    rep = report(['what a shit day'], [.9], [False], mask=True)
    assert 'shit' not in rep._repr_html_()+repr(rep)+rep.to_markdown() and rep.failures.text[0]=='what a shit day'

def test_save(tmp_path):
    "A page, Markdown, a picture and tables; masked everywhere when asked"
    folder = report(['what a shit day','b'], [.9,.9], [False,True], mask=True).save(tmp_path/'r')
    written = {str(o.relative_to(folder)):o.read_bytes() for o in folder.rglob('*') if o.is_file()}
    assert set(written)=={'report.html','report.md','figures/kinds.png','tables/kinds.csv','tables/failures.csv','.toxicai-written.json'}
    assert not any(b'shit' in o for o in written.values()) and b's**t' in written['tables/failures.csv']
    assert b'figures/kinds.png' in written['report.md'] and b'data:image/png' in written['report.html']

def test_plot():
    cases = behaviour_cases()
    fig = BehaviourReport(cases, cases.expected*1., cases.expected, 'toxic').plot()
    assert len(fig.axes[0].patches)==len(behaviour_kinds) and fig.axes[0].get_xlabel() and fig.axes[0].get_ylabel()

# A learner

def tiny_learner(label_cols):
    df = comments(48).assign(grade=['normal','offensive','hatespeech','normal']*12)
    learn = toxicity_learner(ToxicityDataLoaders.from_df(df, tiny_checkpoint(), label_cols=label_cols, bs=16))
    learn.remove_cb(ProgressCallback)
    return learn

def test_multi():
    "The flags are those of `classify` at the label's own threshold"
    learn = tiny_learner(['toxic','insult'])
    cases = behaviour_cases()
    probs = learn.classify(cases.text.tolist())['toxic'].to_numpy()
    learn.labels = learn.labels.with_thresholds(dict(toxic=float(np.median(probs))))
    rep = learn.behaviour_report()
    expected = behaviour_table(cases, probs>=np.float32(np.median(probs)))
    assert rep.label=='toxic' and 0<rep.table.passed.sum()<len(cases)
    pd.testing.assert_frame_equal(rep.table, expected)

def test_single():
    "One class for each text: it counts where it is the likeliest, and hate has its own answers"
    learn = tiny_learner('grade')
    rep = learn.behaviour_report()
    assert rep.label=='hatespeech' and not rep.table.set_index('kind').expected['insult of a person']
    cases = behaviour_cases('hate')
    probs = learn.classify(cases.text.tolist())[list(learn.labels)]
    assert len(rep.failures)==((probs.idxmax(axis=1)=='hatespeech')!=cases.expected).sum()

def test_own_cases():
    learn = tiny_learner(['toxic','insult'])
    rep = learn.behaviour_report('insult', pd.DataFrame(dict(kind='k', text=['a','b'], expected=[True,False])))
    assert rep.label=='insult' and rep.table.n.tolist()==[1,1]
    with pytest.raises(ValueError, match='has no'): learn.behaviour_report(cases=pd.DataFrame(dict(kind=['k'], text=['a'])))
