"What judgement adds to the learner: the arguments that users know, and arrays that `judge` reads"
import inspect,re

import numpy as np,pandas as pd,pytest
from toxicai.judge.judged import *
from toxicai.judge.report import *
from toxicai.judge.thresholds import *
from toxicai.labels import *
from toxicai.data.loaders import *
from toxicai.test_utils import comments,tiny_checkpoint
from toxicai.train.learner import *
from toxicai.train.provenance import *
from toxicai.train.verbs import *
from toxicai.train.export import *

@pytest.mark.parametrize('verb,args', {
    'judged':dict(ds_idx=1, dl=None),
    'tune_thresholds':dict(metric='f1', beta=1., cross_fit=False, n_boot=200, seed=42, ds_idx=1, dl=None),
    'calibrate':dict(method='temperature', cross_fit=False, n_boot=200, seed=42, ds_idx=1, dl=None, n_bins=15),
    'report':dict(ds_idx=1, dl=None, mask=True, about=None, n_errors=10, by=None, n_boot=200, seed=42, title='Report', label=None),
    'interpret_errors':dict(n=20, ds_idx=1, dl=None, mask=False, method='rule'),
    'bias_report':dict(df=None, groups='terms', label=None, lang=None, least=10, n_boot=200, seed=42, level=.95),
    'behaviour_report':dict(label=None, cases=None, mask=False, level=.95, lang=None),
    'explain':dict(text=inspect.Parameter.empty, label=None, method='integrated', mask=False)}.items())
def test_arguments(verb, args):
    "Names, order and defaults, also of what is passed through"
    seen = inspect.signature(getattr(TransformerLearner, verb)).parameters
    assert {k:o.default for k,o in seen.items() if k!='self'}==args and list(seen)[1:]==list(args)

@pytest.fixture(scope='module')
def learn():
    df = comments(48).assign(site=['forum','news']*24)
    return toxicity_learner(ToxicityDataLoaders.from_df(df, tiny_checkpoint(), label_cols=['toxic','insult'], bs=16))

def test_texts_and_columns(learn):
    texts,frame = texts_and_columns(learn.dls.valid, ['text'])
    assert texts==learn.dls.valid_ds.items.text.tolist() and 'site' in frame and 'text' not in frame
    assert list(frame.index)==list(learn.dls.valid_ds.items.index)!=list(range(len(texts)))
    bare = learn.dls.test_dl(['a','b'])
    assert texts_and_columns(bare, ['text'])[0]==['a','b']

def test_text_probs(learn):
    with learn.no_bar(): probs = text_probs(learn, pd.Series(['thank you','you idiot'], index=[7,3]))
    assert probs.shape==(2,2)
    np.testing.assert_allclose(probs, learn.classify(['thank you','you idiot'])[['toxic','insult']], atol=1e-7)

# What a report says of the learner

def facts_of(report):
    table = report.tables['What was judged']
    return dict(zip(table.figure, table.value))

def test_facts(learn, tmp_path):
    "Network, weights, rows, normalisation; what the caller says goes before what the learner says"
    with learn.no_bar(): said = facts_of(learn.report(n_boot=0, about=dict(data='Jigsaw', model='mine')))
    assert said['data']=='Jigsaw' and said['model']=='mine' and 'nfc' in said['normalisation'].split(', ')
    assert weights_digest(learn.model) in said['weights'] and said['rows'].startswith('validation set, digest ')
    dl = learn.dls.test_dl(comments(48)[:9], with_labels=True)
    with learn.no_bar(): other,train = facts_of(learn.report(n_boot=0, dl=dl)),facts_of(learn.report(0, n_boot=0))
    assert other['rows'].startswith('rows of `dl`') and train['rows'].startswith('training set') and len({o['rows'] for o in (said,other,train)})==3
    assert str(tmp_path.parent) not in str(other) and other['data']=='not named' and other['model'].startswith('Bert')

def test_how_thresholds_were_set(learn):
    "Untouched, by hand, tuned on these rows or on others, and moved by a calibration afterwards"
    labels = learn.labels
    dl = learn.dls.test_dl(comments(48)[:30], with_labels=True)
    def _said(**kwargs):
        with learn.no_bar(): return facts_of(learn.report(n_boot=0, **kwargs))['thresholds']
    assert _said()=='toxic 0.5, insult 0.5; not tuned'
    learn.labels = labels.with_thresholds(dict(insult=.2))
    assert _said()=='toxic 0.5, insult 0.2; set by hand'
    with learn.no_bar(): learn.tune_thresholds(('recall',.9), n_boot=0)
    n = len(learn.dls.valid_ds)
    assert f'tuned for the recall of at least 0.9 on {n} rows: these very rows' in _said() and _said(dl=dl).endswith(f'on {n} rows: other rows')
    with learn.no_bar(): assert ['very rows' in ' '.join(learn.report(n_boot=0, dl=o).lead) for o in (None,dl)]==[True,False]
    with learn.no_bar(): learn.calibrate(n_boot=0)
    assert 'calibrated by temperature; tuned for the recall' in _said()
    learn.labels = labels
    assert _said().endswith('not tuned')

# Reports in a model card

def test_report_in_a_card():
    "Masked whatever the report was asked for, its headings below those of the card, also as Markdown and as tuned thresholds"
    judged = Judged([[.9],[.1],[.8],[.2]], [[0],[1],[1],[0]], LabelSet(['toxic']), ['you bitch','b','c','d'])
    report = judge(judged, n_boot=0, mask=False)
    with pytest.warns(UserWarning): tuned = tuned_thresholds(judged, ('fpr',.5), n_boot=0)
    assert 'bitch' in report.to_markdown() and report.to_markdown().startswith('# Report')
    for o in (report, report.to_markdown(), [report,tuned], [tuned,report.to_markdown()]):
        text = reports_text(o)
        levels = [len(k) for k in re.findall('^(#+) ', text, re.M)]
        assert 'bitch' not in text and r'b\*\*\*h' in text and min(levels)==levels[0]==3 and set(levels)=={3,4}
    assert reports_text([tuned]).startswith('### Thresholds for the fpr of at most 0.5')

@pytest.mark.parametrize('text,expected', [
    ('# a\n## b\n# c','### a\n#### b\n### c'), ('##### a\n###### b','##### a\n###### b'), ('## a\n###### b','### a\n###### b'), ('#tag and a # b','#tag and a # b'), ('',''),
    ('# a\n```sh\n# no\n```\n## b\n```\n# no\n```','### a\n```sh\n# no\n```\n#### b\n```\n# no\n```')])
def test_nested_markdown(text, expected): assert nested_markdown(text)==expected
