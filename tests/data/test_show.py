"Tables for people: original texts, gaps, marks (with the learner of the wing `train`)"
from unittest import mock

import numpy as np,pytest,torch
import toxicai.data.show
from fastai.interpret import Interpretation
from toxicai.data.loaders import *
from toxicai.data.show import *
from toxicai.train.learner import *
from toxicai.test_utils import *

nan = float('nan')

@pytest.fixture(scope='module')
def learn():
    df = comments(64).assign(rare=np.where(np.arange(64)%3==0, np.arange(64)%2, nan), other=np.where(np.arange(64)%4==0, np.arange(64)%8==0, nan))
    df['text'] = [f'{o.title()} <br />, No. {i}' for i,o in enumerate(df.text)]
    dls = ToxicityDataLoaders.from_df(df, tiny_checkpoint('bert'), label_cols=['toxic','insult','rare','other'], seed=1, bs=8)
    return toxicity_learner(dls, precision='fp32')

def shown(learn, f, *args, **kwargs):
    with mock.patch.object(toxicai.data.show, 'show_table') as seen, learn.no_bar(): f(*args, **kwargs)
    return seen.call_args.args[0]

shows = dict(
    show_results=lambda o: (o.show_results, [], dict(max_n=6)),
    of_training=lambda o: (o.show_results, [0], dict(max_n=5)),
    top_losses=lambda o: (Interpretation.from_learner(o).plot_top_losses, [5], {}),
    smallest=lambda o: (Interpretation.from_learner(o).plot_top_losses, [[2,0,3]], dict(largest=False)),
    interpretation=lambda o: (Interpretation.from_learner(o).show_results, [[5,0,3]], {}))

@pytest.mark.parametrize('name', shows)
def test_originals(learn, name):
    "Each text is the one of its row, in its own letters; the mark goes by the labels that are known"
    f,args,kwargs = shows[name](learn)
    res = shown(learn, f, *args, **kwargs)
    rows = {o.text:o for d in (learn.dls.train_ds, learn.dls.valid_ds) for o in d.items.itertuples()}
    names = list(learn.labels)
    for r,right in zip(res.df.itertuples(), res.correct):
        targs = np.array([getattr(rows[r.text], o) for o in names], dtype=float)
        said = r.target.split('; ')
        assert ('?' in said)==np.isnan(targs).any() and {o for o in said if o not in '?–'}=={n for n,t in zip(names, targs) if t==1}
        flags = np.isin(names, r.prediction.split('; '))
        assert right==(flags==(targs==1))[~np.isnan(targs)].all()
    assert ('not annotated' in res.note)==any('?' in o for o in res.df.target)

def test_cut(learn):
    few,whole = [shown(learn, learn.show_results, max_n=4, trunc_at=n) for n in (12,1000)]
    assert (few.df.text.str.len()<=12).all() and 'trunc_at' in few.note and few.note in repr(few) and 'trunc_at' in few._repr_html_()
    assert 'trunc_at' not in whole.note

@pytest.mark.parametrize('change', [lambda x: x.flip(0), lambda x: x[:2], lambda x: x+1])
def test_other_rows_have_no_texts(learn, change):
    dl = learn.dls.valid.new(shuffle=False, drop_last=False, bs=4) # sorted by length, so in another order than the rows
    with learn.no_bar(): x = learn.get_preds(dl=dl, with_input=True, reorder=False)[0]
    texts,enc = noted_rows(x).texts,text_tfm(learn.dls).encoder
    assert len(texts)==len(x)==len(learn.dls.valid_ds) and texts!=loader_texts(dl)
    for text,row in zip(texts, x): assert row[0][:enc.encode([text]).lengths[0]].tolist()==enc.encode([text]).batch([0], enc)[0,0].tolist()
    assert noted_rows(change(x)).texts is None and noted_rows(change(x)).names==list(learn.labels)

@pytest.mark.parametrize('target,probs,lost', [([1,0,nan],[.9,.2,.9],'b, too high'), ([1,0,nan],[.1,.2,.9],'a, too low'), ([.4,nan,nan],[.9,1,1],'a, too high'), ([nan]*3,[1,1,1.],'–')])
def test_lost_most(target, probs, lost): assert lost_most(torch.tensor(target), torch.tensor(probs), ['a','b','c'])==lost
