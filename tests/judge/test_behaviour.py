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

# Languages

def test_spanish():
    "As many comments of each kind as in English, in the same order, none twice, none English"
    from toxicai.text.language import data_language,text_languages
    es,en = behaviour_cases(lang='es'),behaviour_cases()
    assert es.kind.tolist()==en.kind.tolist() and es.expected.tolist()==en.expected.tolist()
    assert not es.text.map(text_key).duplicated().any() and not set(es.text) & set(en.text)
    groups = near_duplicates(es.text.tolist(), 0.6)
    assert not [es.text[groups==g].tolist() for g,n in Counter(groups).items() if n>1]
    for o in es.text: assert o==o.strip() and '  ' not in o and 15<len(o)<120 and not re.search(r'[|\t\n<>]', o), o
    assert data_language(es.text)=='es' and text_languages(es.text).count('en')<5

@pytest.mark.parametrize('label, flagged, left', [('toxic', 19, 36), ('OFP', 5, 35), ('OFG', 13, 35), (['OFP','OFG'], 19, 36), ('hs', 14, 36), (['hate','identity_attack'], 14, 36), (['OFG','hate'], 13, 35)])
def test_answers(label, flagged, left):
    answers = answers_for(label)
    assert (sum(answers.values()),len(answers))==(flagged,left)
    assert behaviour_cases(label, 'es').expected.sum()==10*flagged

@pytest.mark.parametrize('label', ['NOE','profanity','threat','sexual_explicit',['OFP','NOE']])
def test_no_answers(label):
    with pytest.raises(ValueError, match='pass `cases` of your own'): behaviour_cases(label)

def test_language_from_outside(monkeypatch):
    import toxicai.judge.behaviour as room
    mine = pd.DataFrame(dict(kind=['calm disagreement','insult of a person','contempt'], text=['Das sehe ich anders.','Du bist ein Vollidiot.','Ich verachte Frauen.'], note='x'))
    monkeypatch.setitem(room.behaviour_tables, 'de', mine)
    assert behaviour_cases('OFP', 'de').expected.tolist()==[False,True,False] and list(behaviour_cases(lang='de'))==['kind','text','expected']
    with pytest.raises(ValueError, match=r"expected one of \['en', 'es', 'de'\]"): behaviour_cases(lang='fr')
    df = pd.DataFrame(dict(text=[f'{o} {i}' for i,o in enumerate(['Der Zug kam heute wieder zu spät','Du bist doch wirklich zu dumm dafür']*12)], label=['ok','toxic']*12))
    learn = toxicity_learner(ToxicityDataLoaders.from_df(df, tiny_checkpoint(), bs=8))
    learn.remove_cb(ProgressCallback)
    assert learn.behaviour_report().table.n.sum()==3
    monkeypatch.delitem(room.behaviour_tables, 'de')
    with pytest.raises(ValueError, match="no check list for 'de', and the texts are in 'de'"): learn.behaviour_report()
    assert learn.behaviour_report(lang='es').table.n.sum()==360
    for bad,match in [(mine[['text']], 'rows with `kind` and `text`'), (mine[:0], 'has 0 rows'), (mine.assign(kind='spam'), r"the kinds \['spam'\]")]:
        monkeypatch.setitem(room.behaviour_tables, 'de', bad)
        with pytest.raises(ValueError, match=match): behaviour_cases(lang='de')

def spanish_learner(n=40, **kwargs):
    texts = ['eres un idiota y nadie te quiere','no estoy de acuerdo con el artículo','esos extranjeros son una plaga','qué mierda de tiempo hace hoy']
    df = pd.DataFrame(dict(text=[f'{texts[i%4]} {i}' for i in range(n)], label=[['OFP','NO','OFG','NOE'][i%4] for i in range(n)]))
    learn = toxicity_learner(ToxicityDataLoaders.from_df(df, tiny_checkpoint(), bs=8, **kwargs))
    learn.remove_cb(ProgressCallback)
    return learn

def test_offendes():
    "The parts of offence count together, in Spanish, by the sum of their probabilities; every report says so"
    learn = spanish_learner()
    rep,cases = learn.behaviour_report(),behaviour_cases(lang='es')
    probs = learn.classify(cases.text.tolist())[['OFG','OFP']].sum(axis=1)
    pd.testing.assert_frame_equal(rep.table, behaviour_table(cases, probs>=0.5))
    assert rep.label=='OFG or OFP' and learn.behaviour_report(['offensive_group','OFP']).table.equals(rep.table)
    alone = learn.behaviour_report('OFP')
    assert alone.label=='OFP' and alone.table.n.sum()==350
    bias = learn.bias_report(groups='templates', n_boot=5)
    assert bias.label=='OFG or OFP' and '(es)' in bias.source and learn.bias_report(groups='families', n_boot=5).source.endswith('(es)')
    page = learn.report(label=['OFP','OFG'], n_boot=0)
    assert list(page.judged.labels)==['OFP or OFG'] and page.judged.targs.mean()==np.isin(learn.judged().targs, [2,3]).mean()
    with pytest.raises(ValueError, match='harmless class'): learn.behaviour_report(['OFP','NO'])

def test_strict_in_spanish():
    "The rules of 'strict' read the language of the training texts; who named one is left alone, and others are warned"
    names = lambda **kwargs: spanish_learner(16, **kwargs).dls.train_ds.tls[0].tfms.fs[-1].encoder.rules.names
    assert 'leet:es' in names(rules='strict') and 'spaced:es' in names(rules='strict', lazy=True) and 'leet:en' in names(rules=['leet:en','nfc'])
    assert not [o for o in names() if ':' in o]
    frame = pd.DataFrame(dict(text=[f'Der Zug kam heute wieder zu spät, {i}' for i in range(8)], label=['a','b']*4))
    with pytest.warns(UserWarning, match="texts are in 'de', and the rules"): ToxicityDataLoaders.from_df(frame, tiny_checkpoint(), bs=4, rules='strict')
    english = ToxicityDataLoaders.from_df(comments(24), tiny_checkpoint(), bs=4, rules='strict')
    assert 'leet' in english.train_ds.tls[0].tfms.fs[-1].encoder.rules.names
