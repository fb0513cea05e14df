"What judgement adds to the learner: the arguments that users know, and arrays that `judge` reads"
import inspect

import numpy as np,pandas as pd,pytest
from toxicai.data.loaders import *
from toxicai.test_utils import comments,tiny_checkpoint
from toxicai.train.learner import *
from toxicai.train.verbs import *

@pytest.mark.parametrize('verb,args', {
    'judged':dict(ds_idx=1, dl=None),
    'tune_thresholds':dict(metric='f1', beta=1., cross_fit=False, n_boot=200, seed=42, ds_idx=1, dl=None),
    'calibrate':dict(method='temperature', cross_fit=False, n_boot=200, seed=42, ds_idx=1, dl=None, n_bins=15),
    'report':dict(ds_idx=1, dl=None, mask=True, about=None, n_errors=10, by=None, n_boot=200, seed=42, title='Report'),
    'interpret_errors':dict(n=20, ds_idx=1, dl=None, mask=False, method='rule'),
    'bias_report':dict(df=None, groups='terms', label=None, lang='en', least=10, n_boot=200, seed=42, level=.95),
    'behaviour_report':dict(label=None, cases=None, mask=False, level=.95),
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
