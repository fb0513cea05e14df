"Every stock fastai verb in one table, tasks by verbs, on the CPU and on a CUDA device where there is one"
import json,os,re,subprocess,sys,time
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from unittest import mock

import matplotlib.pyplot as plt
import numpy as np,pandas as pd,pytest,torch,wandb
from fastai.callback.core import Callback
from fastai.callback.fp16 import MixedPrecision
from fastai.callback.progress import CSVLogger
from fastai.callback.tracker import EarlyStoppingCallback,SaveModelCallback
from fastai.callback.training import GradientAccumulation,GradientClip,ShortEpochCallback
from fastai.callback.wandb import WandbCallback
from fastai.data.all import CategoryBlock,ColReader,DataBlock,MultiCategory,MultiCategoryBlock,RandomSplitter
from fastai.interpret import ClassificationInterpretation,Interpretation
from fastai.learner import Learner,load_learner
from fastai.torch_core import set_seed
from fastcore.all import L,noop
from scipy.special import log_softmax
from sklearn.metrics import accuracy_score,confusion_matrix as sk_confusion,f1_score,roc_auc_score
from torch import Tensor
from transformers import AutoTokenizer

import toxicai.data.show
from toxicai.train.callbacks import *
from toxicai.data.encode import *
from toxicai.data.loaders import *
from toxicai.data.show import *
from toxicai.train.learner import *
from toxicai.text.models import transformer_splitter
import toxicai.runs.tracking # what `WandbCallback` finds in a learner
from toxicai.test_utils import comments,tiny_checkpoint

# Tasks

@dataclass
class Task:
    "Data of one kind, and how loaders are told about them"
    df: pd.DataFrame
    text_col: object
    label_cols: object

    @property
    def single(self): return isinstance(self.label_cols, str)
    def texts(self, df): return df[self.text_col].tolist() if isinstance(self.text_col, str) else list(df[self.text_col].itertuples(index=False, name=None))
    def names(self): return sorted(self.df[self.label_cols].unique()) if self.single else self.label_cols
    def targs(self, df): return np.array([self.names().index(o) for o in df[self.label_cols]]) if self.single else df[self.label_cols].to_numpy(np.float32)

    def shown(self, df):
        "Targets as tables show them"
        if self.single: return df[self.label_cols].tolist()
        mark = lambda n,v: n if v==1 else f'{n} {v:.2f}'
        known = lambda t: [mark(n, v) for n,v in zip(self.names(), t) if v!=0 and not np.isnan(v)]
        return ['; '.join(known(t)+['?']*bool(np.isnan(t).any())) or '–' for t in self.targs(df)]

def invented():
    "Different texts of different lengths, labelled in four ways"
    df = comments(48)
    df['text'] = [o+' thank you'*(i%5) for i,o in enumerate(df.text)]
    df['reply'] = df.text.iloc[::-1].tolist()
    df['sort'] = np.where(df.insult, 'insult', df.label)
    df['threat'] = (np.arange(48)%3==0).astype(float)
    df['gaps'] = df.insult.where(np.arange(48)%4!=1)
    df.loc[[6,7,20,21], ['gaps','threat']] = np.nan
    df['share'] = np.where(df.toxic, 0.7, 0.2) + np.arange(48)%3/10
    return df.assign(none=df.toxic.where(~df.index.isin([6,7,20,21])), half=df.insult/2+0.25)

df = invented()
tasks = dict(single=Task(df, 'text', 'sort'), multi=Task(df, 'text', ['none','gaps','threat']), soft=Task(df, 'text', ['share','half']), pairs=Task(df, ['text','reply'], 'sort'))

def fresh(
    task:Task, # Data
    device, # 'cpu' or 'cuda'
    path, # Folder of the learner
    **kwargs, # For `toxicity_learner`
) -> Learner: # Its predictions differ between texts
    "A learner that has done nothing yet; the same at each call"
    checkpoint = tiny_checkpoint()
    set_seed(42)
    dls = ToxicityDataLoaders.from_df(task.df, checkpoint, text_col=task.text_col, label_cols=task.label_cols, bs=8, valid_pct=0.25, device=device, path=path)
    learn = toxicity_learner(dls, **kwargs)
    spread(learn.model, task)
    return learn

@torch.no_grad()
def spread(model, task):
    "Weights of the usual size give all texts almost the same prediction: draw larger ones, and make every class as likely as the others"
    for p in model.parameters():
        if p.ndim>1: p.normal_(std=0.3)
    tok = AutoTokenizer.from_pretrained(tiny_checkpoint())
    model.classifier.bias -= model(**tok(task.texts(task.df), padding=True, return_tensors='pt')).logits.mean(0)

def kind(learn): return torch.device(learn.dls.device).type
def stock(learn):
    "fastai's own `Learner` on the loaders and the network of `learn`"
    return Learner(learn.dls, learn.model, loss_func=learn.loss_func, splitter=transformer_splitter,
                   metrics=learn.metrics, cbs=HFInputs(), path=learn.path)

def again(learn, task, **kwargs):
    "Another learner of the same kind"
    res = fresh(task, learn.dls.device, learn.path, **kwargs)
    return res if isinstance(learn, TransformerLearner) else stock(res)

# What must come out, without the library: one text at a time, no padding, losses in NumPy

@dataclass
class Expected:
    logits: np.ndarray
    probs: np.ndarray
    targs: np.ndarray
    losses: np.ndarray
    decoded: np.ndarray

def loss_of(logits, targs):
    "Loss of each row; shape (n,)"
    if targs.ndim==1: return -log_softmax(logits, 1)[np.arange(len(targs)), targs]
    known = ~np.isnan(targs)
    bce = np.logaddexp(0, logits) - logits*np.nan_to_num(targs)
    return (bce*known).sum(1)/np.maximum(known.sum(1), 1)

def ids_of(task, df):
    "What the tokenizer of transformers makes of each row"
    tok = AutoTokenizer.from_pretrained(tiny_checkpoint())
    return [tok(*([o] if isinstance(o, str) else o), return_tensors='pt') for o in task.texts(df)]

@torch.no_grad()
def by_hand(learn, task, df):
    "Predictions and losses for the rows of `df`"
    learn.model.eval()
    device = next(learn.model.parameters()).device
    logits = torch.cat([learn.model(**o.to(device)).logits for o in ids_of(task, df)]).cpu().double().numpy()
    probs = np.exp(log_softmax(logits, 1)) if task.single else 1/(1+np.exp(-logits))
    assert probs.std(0).min()>0.005, "all rows look alike: their order could not be told"
    targs = task.targs(df)
    return Expected(logits, probs, targs, loss_of(logits, targs), probs.argmax(1) if task.single else probs>0.5)

def array(o): return o.as_subclass(Tensor).detach().cpu().numpy() if isinstance(o, Tensor) else np.asarray(o)

def close(a, b, tol=None):
    "Equal up to the order of summation in fp32, which padding and another device change"
    tol = tol or (1e-4 if torch.cuda.is_available() else 1e-5)
    np.testing.assert_allclose(array(a).astype(float), array(b).astype(float), rtol=0, atol=tol)

def valid(learn): return learn.dls.valid_ds.items
def train(learn): return learn.dls.train_ds.items
def weights(learn): return {k:v.detach().cpu().clone() for k,v in learn.model.named_parameters()}
def momentum(learn):
    "First momentum of the first parameter, by torch's name or fastai's"
    state = learn.opt.state_dict()['state'][0]
    return next(state[o] for o in ('exp_avg','grad_avg') if o in state).cpu().clone()
def moved(learn, before): return {k for k,v in weights(learn).items() if not torch.equal(v, before[k])}
def row_ids(x): return [array(o[0][o[2]>0]).tolist() for o in x]
def same_rows(x, task, df): assert row_ids(x)==[o['input_ids'][0].tolist() for o in ids_of(task, df)]
def plain(o): return re.sub(r'\W', '', o.lower())
def joined(o): return plain(o if isinstance(o, str) else ''.join(o))

def table(f, *args, **kwargs):
    "The one table that `f` displays"
    with mock.patch.object(toxicai.data.show, 'show_table') as shown: f(*args, **kwargs)
    (res,), = [o.args for o in shown.call_args_list]
    assert len(repr(res).splitlines())==len(res.df)+1+bool(res.note) and res._repr_html_().count('<tr')==len(res.df)+1
    return res

def printed(f, *args, **kwargs):
    with redirect_stdout(StringIO()) as out: f(*args, **kwargs)
    return out.getvalue()

class Count(Callback):
    "Batches and steps of a fit"
    order = 95
    def before_fit(self): self.n_train,self.n_valid,self.n_steps = 0,0,0
    def before_batch(self):
        if self.training: self.n_train += 1
        else: self.n_valid += 1
    def after_step(self): self.n_steps += 1

verbs = {}
def verb(f):
    verbs[f.__name__] = f
    return f

# Data

@verb
def one_batch(learn, task):
    x,y = learn.dls.one_batch()
    assert type(x) is EncodedText and x.shape[:2]==(8,3) and x.device.type==kind(learn)
    assert x.shape[2]==x[:,2].sum(1).max(), "padded beyond the longest text"
    rows = {tuple(o['input_ids'][0].tolist()):t for o,t in zip(ids_of(task, train(learn)), task.targs(train(learn)))}
    close(y, np.stack([rows[tuple(o)] for o in row_ids(x)]), 1e-6)

@verb
def show_batch(learn, task):
    res = table(learn.dls.show_batch, max_n=4, trunc_at=1000).df
    want = dict(zip(map(joined, task.texts(train(learn))), task.shown(train(learn))))
    assert list(res)==['text','target'] and len(res)==4
    assert [want[plain(o)] for o in res.text]==res.target.tolist()
    assert all('‖' in o for o in res.text)==(task is tasks['pairs'])
    assert len(table(learn.dls.valid.show_batch, max_n=20).df)==8

@verb
def datablock_summary(learn, task):
    labels = CategoryBlock if task.single else MultiCategoryBlock(encoded=True, vocab=task.names())
    dblock = DataBlock((TransformerTextBlock(tiny_checkpoint()), labels), splitter=RandomSplitter(seed=42),
                       get_x=ColReader(task.text_col), get_y=ColReader(task.label_cols))
    with mock.patch.object(toxicai.data.show, 'show_table') as shown: out = printed(dblock.summary, df, bs=4, show_batch=True)
    assert 'EncodeTfm' in out and 'Collating items in a batch' in out and 'Error' not in out
    assert len(shown.call_args.args[0].df)==4

@verb
def get_preds_of_test_dl(learn, task):
    new = valid(learn).iloc[[3,1,7,0,9,2,2,5,4,11,10]]
    want,unlabelled = by_hand(learn, task, new),new[L(task.text_col)]
    for o in (task.texts(new), unlabelled, unlabelled.to_dict('records')):
        probs,targs = learn.get_preds(dl=learn.dls.test_dl(o))
        close(probs, want.probs)
        assert targs is None
    probs,targs,losses = learn.get_preds(dl=learn.dls.test_dl(new, with_labels=True, bs=2), with_loss=True)
    for a,b in zip((probs,targs,losses), (want.probs,want.targs,want.losses)): close(a, b)

# Training

@verb
def summary(learn, task):
    n = sum(p.numel() for p in learn.model.parameters())
    learn.freeze()
    out,head = str(learn.summary()),sum(p.numel() for p in learn.model.parameters() if p.requires_grad)
    assert 'BertForSequenceClassification' in out and f'Total params: {n:,}' in out and f'Total trainable params: {head:,}' in out
    assert 'frozen up to parameter group #2' in out and 'HFInputs' in out and 'Embedding' in out

@verb
def lr_find(learn, task):
    learn.fit(1, 1e-3)
    before,state = weights(learn),momentum(learn)
    res = learn.lr_find(start_lr=1e-6, end_lr=1e-2, num_it=20)
    lrs = learn.recorder.lrs
    assert 1e-6<res.valley<1e-2 and len(lrs)==20 and np.all(np.diff(lrs)>0) and len(plt.gcf().axes[0].lines)==2
    assert not moved(learn, before) and torch.equal(momentum(learn), state)
    assert not list((learn.path/learn.model_dir).iterdir())

@verb
def fit(learn, task):
    before,loss = weights(learn),learn.validate(ds_idx=0)[0]
    learn.fit(8, 2e-3, cbs=(count := Count()))
    res = learn.recorder
    assert (count.n_train,count.n_valid,count.n_steps)==(32,16,32) and res.lrs==[2e-3]*32
    assert len(res.values)==8 and np.isfinite(res.values).all() and len(res.values[0])==2+len(learn.metrics)
    assert len(moved(learn, before))==len(before)
    assert learn.validate(ds_idx=0)[0]<loss and not learn.model._forward_pre_hooks

@verb
def fit_one_cycle(learn, task):
    learn.fit_one_cycle(2, slice(1e-4, 1e-3), pct_start=0.25)
    lrs = learn.recorder.hps['lr']
    assert len(lrs)==8 and np.argmax(lrs)==2 and np.isclose(max(lrs), 1e-3) and lrs[0]<1e-4 and lrs[-1]<1e-4
    rates = [o['lr'] for o in learn.opt.hypers]
    close(np.divide(rates, rates[-1]), [0.1, 0.1**0.5, 1])

@verb
def fit_flat_cos(learn, task):
    learn.fit_flat_cos(2, 1e-3, pct_start=0.5)
    lrs = learn.recorder.hps['lr']
    assert len(lrs)==8 and np.allclose(lrs[:5], 1e-3) and np.all(np.diff(lrs[4:])<0)

@verb
def fit_sgdr(learn, task):
    learn.fit_sgdr(2, 1, lr_max=1e-3)
    lrs = learn.recorder.hps['lr']
    assert len(lrs)==12 and [i for i in range(12) if np.isclose(lrs[i], 1e-3)]==[0,4]

@verb
def fine_tune(learn, task):
    frozen = []
    note = Callback(before_train=lambda self: frozen.append([p.requires_grad for p in self.model.parameters()]))
    learn.fine_tune(2, 1e-3, cbs=note)
    assert [all(o) for o in frozen]==[False,True,True] and any(frozen[0]) and not frozen[0][0]
    assert learn.opt.frozen_idx==0 and len(learn.recorder.values)==2
    rates = [o['lr'] for o in learn.opt.hypers]
    assert rates[0]<rates[1]<rates[2]

@verb
def freeze_unfreeze(learn, task):
    learn.freeze()
    before,trained = weights(learn),{k for k,p in learn.model.named_parameters() if p.requires_grad}
    learn.fit(1, 1e-3)
    assert trained and moved(learn, before)==trained and not any('word_embeddings' in o for o in trained)
    learn.freeze_to(-2)
    assert len(trained)<sum(p.requires_grad for p in learn.model.parameters())<len(before)
    learn.unfreeze()
    before = weights(learn)
    learn.fit(1, 1e-3)
    assert len(moved(learn, before))==len(before)

def metrics_of(want):
    "The default metrics by scikit-learn"
    if want.targs.ndim==1: return [accuracy_score(want.targs, want.decoded), f1_score(want.targs, want.decoded, average='macro')]
    cols = [(t[~np.isnan(t)]>=0.5, p[~np.isnan(t)]) for t,p in zip(want.targs.T, want.probs.T)]
    return [np.mean([roc_auc_score(*o) for o in cols]), np.mean([f1_score(t, p>0.5) for t,p in cols])]

@verb
def validate(learn, task):
    learn.fit(1, 1e-3)
    close(learn.recorder.values[-1][1:], learn.validate())
    for ds_idx,rows in enumerate((train(learn), valid(learn))):
        dl,want = learn.dls[ds_idx].new(bs=64, shuffle=False, drop_last=False),by_hand(learn, task, rows)
        known = 1 if task.single else (~np.isnan(want.targs)).sum(1)
        close(learn.validate(dl=dl), [np.average(want.losses, weights=np.broadcast_to(known, len(rows))), *metrics_of(want)])
    assert learn.validate(ds_idx=0)!=learn.validate()

@verb
def plot_loss(learn, task):
    learn.fit(3, 1e-3)
    ax = learn.recorder.plot_loss(skip_start=2, ax=plt.figure().gca())
    got = {o.get_label():o.get_ydata() for o in ax.lines}
    close(got['train'], learn.recorder.losses[2:])
    close(got['valid'], [o[1] for o in learn.recorder.values])

# Predictions

@verb
def get_preds(learn, task):
    want = by_hand(learn, task, valid(learn))
    probs,targs = learn.get_preds()
    close(probs, want.probs)
    close(targs, want.targs)
    close(learn.get_preds(act=noop)[0], want.logits)
    close(learn.get_preds(dl=learn.dls.valid)[0], want.probs)
    assert learn.get_preds(with_preds=False)[0] is None and learn.get_preds(with_targs=False)[1] is None

@verb
def get_preds_with_all(learn, task):
    want = by_hand(learn, task, valid(learn))
    x,probs,targs,decoded,losses = learn.get_preds(with_input=True, with_decoded=True, with_loss=True)
    same_rows(x, task, valid(learn))
    for a,b in zip((probs,targs,decoded,losses), (want.probs,want.targs,want.decoded,want.losses)): close(a, b)
    assert len(learn.get_preds(with_input=True))==3 and len(learn.get_preds(with_decoded=True))==3
    close(learn.get_preds(with_loss=True)[2], want.losses)

@verb
def get_preds_of_training(learn, task):
    learn.fit(1, 1e-3)
    want = by_hand(learn, task, train(learn))
    for o in (dict(ds_idx=0), dict(dl=learn.dls.train)):
        x,probs,targs,losses = learn.get_preds(**o, with_input=True, with_loss=True)
        same_rows(x, task, train(learn))
        for a,b in zip((probs,targs,losses), (want.probs,want.targs,want.losses)): close(a, b)

@verb
def get_preds_unordered(learn, task):
    "`reorder=False` gives the order of the batches, inputs and predictions alike"
    want = by_hand(learn, task, valid(learn))
    x,probs,targs,losses = learn.get_preds(reorder=False, with_input=True, with_loss=True)
    idxs = learn.dls.valid.get_idxs()
    assert idxs!=sorted(idxs)
    same_rows(x, task, valid(learn).iloc[idxs])
    for a,b in zip((probs,targs,losses), (want.probs,want.targs,want.losses)): close(a, b[idxs])

@verb
def get_preds_saved(learn, task):
    for o in ('preds','targs'): (learn.path/o).mkdir()
    learn.get_preds(save_preds=learn.path/'preds', save_targs=learn.path/'targs', reorder=False, cbs=(count := Count()))
    parts = [torch.load(learn.path/'preds'/str(i), weights_only=False) for i in range(2)]
    assert count.n_valid==2 and len(list((learn.path/'targs').iterdir()))==2
    close(torch.cat(parts), by_hand(learn, task, valid(learn)).logits[learn.dls.valid.get_idxs()])

@verb
def predict(learn, task):
    rows,want = valid(learn),by_hand(learn, task, valid(learn))
    for i,o in enumerate(task.texts(rows)[:3]):
        x,label,idx,probs = learn.predict(o, with_input=True)
        assert isinstance(idx, Tensor) and isinstance(probs, Tensor) and probs.shape==(len(task.names()),)
        assert plain(str(x))==joined(o) and isinstance(x, str if isinstance(o, str) else tuple)
        close(probs, want.probs[i])
        assert array(idx).tolist()==want.decoded[i].tolist()
        if task.single: assert isinstance(label, str) and label==task.names()[want.decoded[i]] and idx.ndim==0
        else: assert isinstance(label, MultiCategory) and list(label)==[n for n,f in zip(task.names(), want.decoded[i]) if f] and idx.dtype==torch.bool
    a,b = learn.predict(rows.iloc[0]),learn.predict(rows.iloc[0][L(task.text_col)].to_dict())
    assert len(a)==3 and str(a[0])==str(b[0])
    close(a[2], b[2])

@verb
def show_results(learn, task):
    want = by_hand(learn, task, valid(learn))
    names = task.shown(valid(learn))
    row = {joined(o):i for i,o in enumerate(task.texts(valid(learn)))}
    res = table(learn.show_results, max_n=5, trunc_at=1000)
    assert len(res.df)==5 and list(res.df)==['text','target','prediction','probability']
    for r,right in zip(res.df.itertuples(), res.correct):
        i = row[plain(r.text)]
        flags = [want.decoded[i]] if task.single else np.flatnonzero(want.decoded[i])
        assert r.target==names[i] and r.prediction==('; '.join(task.names()[o] for o in flags) or '–')
        ok = (want.decoded[i]==want.targs[i]) if task.single else all(np.isnan(t) or d==(t>=0.5) for d,t in zip(want.decoded[i], want.targs[i]))
        assert right==ok and (f'{want.probs[i].max():.2f}' in r.probability)>=task.single
    assert len(table(learn.show_results, ds_idx=0, max_n=3).df)==3

# Interpretation

@verb
def interpretation(learn, task):
    want = by_hand(learn, task, valid(learn))
    interp = Interpretation.from_learner(learn)
    close(interp.losses, want.losses)
    losses,idxs = interp.top_losses(4)
    assert array(idxs).tolist()==np.argsort(-want.losses, kind='stable')[:4].tolist()
    assert interp.top_losses(4, items=True)[2][L(task.text_col)].equals(valid(learn).iloc[array(idxs)][L(task.text_col)])
    for rows in ([7,0,5,2,11,3,9,1,4], idxs, 6):
        x,probs,targs,decoded,losses = interp[rows]
        i = np.atleast_1d(array(rows))
        same_rows(x, task, valid(learn).iloc[i])
        for a,b in zip((probs,targs,decoded,losses), (want.probs,want.targs,want.decoded,want.losses)): close(a, b[i])
    close(Interpretation.from_learner(learn, ds_idx=0).losses, by_hand(learn, task, train(learn)).losses)

@verb
def interpretation_show_results(learn, task):
    res = table(Interpretation.from_learner(learn).show_results, [7,0,5], trunc_at=1000).df
    rows = valid(learn).iloc[[7,0,5]]
    assert list(map(plain, res.text))==list(map(joined, task.texts(rows))) and res.target.tolist()==task.shown(rows)

def check_named(res, task, want, idxs):
    "Each probability has its name, and the label that lost most is one of those"
    for said,lost,i in zip(res.probability, res['lost on'], idxs):
        probs = dict(zip(task.names(), want.probs[i]))
        for o in said.split(', '): assert abs(probs[o.rsplit(' ', 1)[0]]-float(o.rsplit(' ', 1)[1]))<2e-2
        gap = np.nan_to_num(abs(want.probs[i]-want.targs[i]), nan=-1)
        assert lost=='–' if gap.max()<0 else gap[task.names().index(lost.split(', ')[0])]>gap.max()-1e-2

@verb
def plot_top_losses(learn, task):
    want = by_hand(learn, task, valid(learn))
    worst = np.argsort(-want.losses, kind='stable')
    texts,names = task.texts(valid(learn)),task.shown(valid(learn))
    interp = Interpretation.from_learner(learn)
    for k,idxs in ((5,worst[:5]), ([1,3],worst[[1,3]])):
        res = table(interp.plot_top_losses, k, trunc_at=1000).df
        assert list(map(plain, res.text))==[joined(texts[i]) for i in idxs] and res.target.tolist()==[names[i] for i in idxs]
        close(res.loss.astype(float), want.losses[idxs], 2e-3)
        if task.single: close(res.probability.astype(float), want.probs[idxs].max(1), 2e-2)
        elif 'lost on' in res: check_named(res, task, want, idxs)
        else: close(np.array([[float(v) for v in o.split(', ')] for o in res.probability]), want.probs[idxs], 2e-2) # stock Learner

@verb
def plot_many_losses(learn, task):
    "More rows than a batch holds, so that batches of different lengths come together"
    want = by_hand(learn, task, valid(learn)).losses
    res = table(Interpretation.from_learner(learn).plot_top_losses, 12).df
    close(res.loss.astype(float), -np.sort(-want), 2e-3)

@verb
def classification_interpretation(learn, task):
    want = by_hand(learn, task, valid(learn))
    interp = ClassificationInterpretation.from_learner(learn)
    close(interp.losses, want.losses)
    if not task.single: return refuses_confusion(interp)
    cm = sk_confusion(want.targs, want.decoded, labels=range(len(task.names())))
    assert interp.confusion_matrix().tolist()==cm.tolist()
    got = {(a,b):int(n) for a,b,n in interp.most_confused()}
    assert got=={(a,b):int(cm[i,j]) for i,a in enumerate(task.names()) for j,b in enumerate(task.names()) if i!=j and cm[i,j]}
    interp.plot_confusion_matrix()
    assert [o.get_text() for o in plt.gca().get_xticklabels()]==task.names() and [int(o.get_text()) for o in plt.gca().texts]==cm.ravel().tolist()

def refuses_confusion(interp):
    "Flags are not class numbers"
    for o in ('confusion_matrix','most_confused','plot_confusion_matrix'):
        with pytest.raises(ValueError, match='one class per text.*one 2x2 for each label'): getattr(interp, o)()

@verb
def classification_report(learn, task):
    "On the interpretation of a user, who may have added to fastai's"
    class Mine(ClassificationInterpretation): pass
    interp = Mine.from_learner(learn)
    if task.single:
        out = printed(interp.print_classification_report)
        assert all(o in out for o in task.names()) and str(len(valid(learn))) in out
        return
    with pytest.raises(ValueError, match='one class per text'): interp.print_classification_report()
    refuses_confusion(interp)

# Files

@verb
def save_load(learn, task):
    learn.fit(1, 1e-3)
    before,state = weights(learn),momentum(learn)
    assert learn.save('here')==learn.path/'models'/'here.pth'
    learn.fit(1, 1e-2)
    assert moved(learn, before)
    other = again(learn, task)
    for o in (learn, other):
        assert o.load('here') is o and not moved(o, before)
        assert torch.equal(momentum(o), state)
    close(other.get_preds()[0], by_hand(learn, task, valid(learn)).probs)
    other.fit(1, 1e-3)
    learn.save('bare', with_opt=False)
    assert not moved(again(learn, task).load('bare', with_opt=False), before)

@verb
def export(learn, task):
    learn.fit(1, 1e-3)
    rows = valid(learn)[L(task.text_col)]
    want,first = learn.get_preds(dl=learn.dls.test_dl(rows))[0],task.texts(rows)[0]
    learn.export('a/b.pkl')
    other = load_learner(learn.path/'a'/'b.pkl')
    tol = 1e-6 if kind(learn)=='cpu' else 1e-4
    assert other.dls.device==torch.device('cpu') and not len(other.dls.train_ds) and os.listdir(learn.path/'a')==['b.pkl']
    close(other.get_preds(dl=other.dls.test_dl(rows))[0], want, tol)
    assert str(other.predict(first)[0])==str(learn.predict(first)[0])
    close(other.predict(first)[2], want[0], tol)
    learn.fit(1, 1e-3)
    assert len(learn.recorder.values)==1

@verb
def export_failing(learn, task):
    "An export that fails leaves the learner as it was, and no file"
    learn.fit(1, 1e-3)
    before,learn.odd = momentum(learn),(o for o in ())
    with pytest.raises(TypeError, match='pickle'): learn.export()
    assert not list(learn.path.iterdir()) and len(valid(learn))==12 and torch.equal(momentum(learn), before)
    learn.fit(1, 1e-3)
    assert len(learn.recorder.values)==1

# Precision

def seen_dtypes(learn, **kwargs):
    "Types of the head's output in a training and in a validation epoch"
    seen = {True:set(), False:set()}
    hook = learn.model.classifier.register_forward_hook(lambda m,x,out: seen[m.training].add(out.dtype))
    learn.fit(2, 1e-3, **kwargs)
    hook.remove()
    assert np.isfinite(learn.recorder.values).all() and {p.dtype for p in learn.model.parameters()}=={torch.float32}
    return [next(iter(seen[o])) for o in (True,False) if len(seen[o])==1]

def in_precision(name, dtype):
    def f(learn, task):
        before = weights(learn)
        assert getattr(learn, name)() is learn and seen_dtypes(learn)==[dtype, torch.float32]
        assert moved(learn, before)
        want = by_hand(learn, task, valid(learn))
        close(learn.get_preds()[0], want.probs)
        assert len(getattr(learn, name)(valid=True)._grab_cbs(MixedPrecision))==1
        assert seen_dtypes(learn)==[dtype, dtype]
        # bf16 has 8 bits of mantissa: 1e-2 on each of a few layers
        close(learn.get_preds()[0], by_hand(learn, task, valid(learn)).probs, 5e-2)
    f.__name__ = name
    return verb(f)

in_precision('to_bf16', torch.bfloat16)
in_precision('to_fp16', torch.float16)

@verb
def to_fp32(learn, task):
    assert learn.to_bf16().to_fp32() is learn and not hasattr(learn, 'mixed_precision')
    assert seen_dtypes(learn)==[torch.float32, torch.float32]

@verb
def mixed_precision(learn, task):
    "fastai's own callback, which asks for CUDA, beside what the learner came with"
    for o in (learn, again(learn, task, precision='fp32')):
        dtypes = seen_dtypes(o, cbs=MixedPrecision())
        if kind(o)=='cuda': assert dtypes[0]==torch.float16

@verb
def two_precisions(learn, task):
    "The callback that a user passes counts, not the default"
    assert seen_dtypes(again(learn, task, precision='fp32', cbs=AutoPrecision('fp16')))[0]==torch.float16
    assert seen_dtypes(again(learn, task, precision='bf16'), cbs=AutoPrecision('fp16'))[0]==torch.float16
    assert seen_dtypes(again(learn, task, precision='bf16', cbs=AutoPrecision('fp16')))[0]==torch.float16

# Callbacks

@verb
def save_model_callback(learn, task):
    saved = []
    class Note(SaveModelCallback):
        def _save(self, name):
            super()._save(name)
            saved.append(self.epoch)
    def worse(self):
        if self.epoch==1: self.model.classifier.weight.data.mul_(100)
    learn.fit(3, 1e-3, cbs=[Callback(before_epoch=worse), Note(fname='best')])
    loss = learn.recorder.values[0][1]
    assert saved==[0] and (learn.path/'models'/'best.pth').exists()
    state = torch.load(learn.path/'models'/'best.pth', weights_only=True)
    assert not moved(learn, {k:state[k].cpu() for k in weights(learn)})
    assert np.isclose(learn.validate()[0], loss)

@verb
def save_model_every_epoch(learn, task):
    name = learn.metrics[0].name
    learn.fit(2, 1e-3, cbs=SaveModelCallback(monitor=name, every_epoch=True, with_opt=True))
    assert sorted(o.name for o in (learn.path/'models').iterdir())==['model_0.pth','model_1.pth']
    assert not moved(again(learn, task).load('model_1'), weights(learn))

@verb
def early_stopping(learn, task):
    learn.fit(6, 0., cbs=EarlyStoppingCallback(patience=2))
    assert len(learn.recorder.values)==3
    learn.fit(6, 0., cbs=EarlyStoppingCallback(monitor=learn.metrics[0].name, patience=1))
    assert len(learn.recorder.values)==2

@verb
def gradient_accumulation(learn, task):
    learn.fit(1, 0.)
    losses,other = array(learn.recorder.losses),again(learn, task)
    other.fit(1, 0., cbs=[GradientAccumulation(16), count := Count()])
    assert (count.n_train,count.n_steps)==(4,2)
    close(other.recorder.losses, losses)

@verb
def gradient_clip(learn, task):
    norms = []
    class Norm(Callback):
        order = GradientClip.order+1
        def before_step(self): norms.append(torch.stack([p.grad.norm() for p in self.model.parameters()]).norm().item())
    again(learn, task, clip=None, precision='fp32').fit(1, 1e-3, cbs=Norm())
    free = norms[:]
    norms.clear()
    again(learn, task, clip=None, precision='fp32').fit(1, 1e-3, cbs=[GradientClip(0.01), Norm()])
    assert min(free)>0.02 and np.allclose(norms, 0.01, rtol=1e-3)

@verb
def csv_logger(learn, task):
    learn.add_cb(CSVLogger())
    learn.fit(2, 1e-3)
    res = pd.read_csv(learn.path/'history.csv')
    assert list(res)==list(learn.recorder.metric_names) and res.epoch.tolist()==[0,1] and learn.csv_logger.read_log().equals(res)
    close(res.iloc[:,1:-1], np.array([list(o) for o in learn.recorder.values]), 1e-5)

@verb
def wandb_offline(learn, task):
    with mock.patch.dict(os.environ, {f'WANDB_{o}_DIR':str(learn.path) for o in ('DATA','CACHE','CONFIG')}):
        with wandb.init(project='verbs', mode='offline', dir=learn.path) as run:
            out = printed(learn.fit, 1, 1e-3, cbs=[SaveModelCallback(), WandbCallback(log_model=True)])
            config,loss = dict(run.config),run.summary['valid_loss']
    assert 'WandbCallback' not in out, out
    assert config['checkpoint']==str(tiny_checkpoint()) and config['classes']==', '.join(task.names()) and np.isclose(loss, learn.recorder.values[0][1])
    log = written(next(learn.path.glob('wandb/offline-run-*/run-*.wandb')), 'model.pth')
    assert all(o.encode() in log for o in ('train_loss','raw_loss','valid_loss','lr_0',learn.metrics[0].name,'model.pth'))
    file, = learn.path.glob('wandb/offline-run-*/files/media/table/Prediction_Samples*.json')
    wandb_table(json.loads(file.read_text()), learn, task)
    assert (config['n_train'],config['lr'])==(36,learn.lr), "numbers of the configuration are numbers, so that runs can be sorted and plotted by them"

def written(path, name):
    "Content of the log at `path` as soon as it has `name`: W&B's process may still be writing when the run is closed"
    for _ in range(100):
        if name.encode() in (res := path.read_bytes()): return res
        time.sleep(0.1)
    return res

def wandb_table(res, learn, task):
    assert res['columns']==['Text','Target','Prediction','Probabilities'] and len(res['data'])==12
    want,row = by_hand(learn, task, valid(learn)),{joined(o):i for i,o in enumerate(task.texts(valid(learn)))}
    for text,targ,pred,probs in res['data']:
        i = row[plain(text)]
        assert targ==task.shown(valid(learn))[i]
        close(probs, want.probs[i])

# Debugging

@verb
def interrupted(learn, task):
    "A fit that stops midway leaves neither hooks nor autocast, and the learner goes on"
    def stop(self):
        if self.train_iter==2: raise KeyboardInterrupt
    for event in ('before_batch','after_pred','after_loss','before_step'):
        with pytest.raises(KeyboardInterrupt): learn.fit(1, 1e-3, cbs=Callback(**{event:stop}))
        assert not torch.is_autocast_enabled(kind(learn)) and torch.is_grad_enabled()
        close(learn.get_preds()[0], by_hand(learn, task, valid(learn)).probs)
    learn.fit(1, 1e-3)
    assert len(learn.recorder.values)==1 and not learn.model._forward_hooks and not learn.model._forward_pre_hooks

@verb
def dry_run(learn, task):
    learn.fit(1, 1e-3)
    before,state = weights(learn),momentum(learn)
    learn.dry_run(cbs=(count := Count()))
    assert (count.n_train,count.n_valid,count.n_steps)==(1,1,1) and len(learn.recorder.values)==1
    assert not moved(learn, before) and torch.equal(momentum(learn), state)
    learn.fit(1, 1e-3, cbs=count)
    assert (count.n_train,count.n_valid)==(4,2) and moved(learn, before)

@verb
def short_epoch(learn, task):
    learn.fit(1, 1e-3, cbs=[ShortEpochCallback(0.5), count := Count()])
    assert (count.n_train,count.n_valid)==(3,2)
    learn.fit(2, 1e-3, cbs=[ShortEpochCallback(0.01), count])
    assert (count.n_train,count.n_valid)==(4,4) and not learn.model._forward_hooks

# The table

@pytest.fixture(autouse=True)
def quiet():
    "One thread is fastest for tiny networks; what a failed test leaves behind does not reach the next"
    n = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    for o in ('cpu','cuda'): torch.set_autocast_enabled(o, False)
    torch.set_num_threads(n)
    plt.close('all')

@pytest.mark.parametrize('task', tasks)
@pytest.mark.parametrize('name', verbs)
def test_verb(name, task, device, tmp_path): verbs[name](fresh(tasks[task], device, tmp_path), tasks[task])

core = '''one_batch show_batch lr_find fit fit_one_cycle fit_flat_cos fit_sgdr freeze_unfreeze plot_loss get_preds get_preds_with_all get_preds_of_training
    get_preds_unordered get_preds_of_test_dl predict interpretation plot_top_losses save_load save_model_every_epoch csv_logger early_stopping'''.split()

@pytest.mark.parametrize('task', ['multi','pairs'])
@pytest.mark.parametrize('name', core)
def test_stock_learner(name, task, tmp_path):
    "fastai's own `Learner` with `HFInputs`"
    verbs[name](stock(fresh(tasks[task], 'cpu', tmp_path)), tasks[task])

# Another process

reader = '''import json,sys
from fastai.learner import load_learner
for path in sys.argv[1:]:
    learn,rows = load_learner(path),json.load(open(path+'.json'))
    probs = learn.get_preds(dl=learn.dls.test_dl(rows))[0].tolist()
    label,_,first = learn.predict(rows[0])
    json.dump([probs, str(label), first.tolist()], open(path+'.out', 'w'))'''

def test_fresh_process(device, tmp_path):
    "A process that imports `load_learner` alone, and sees no GPU, gives the same probabilities; all in one process, since starting takes longest"
    want = {str(tmp_path/f'{o}-{p}'):exported(tasks[o], device, tmp_path, o, p) for o in tasks for p in ('fp32','bf16','fp16')}
    env = {**os.environ, 'CUDA_VISIBLE_DEVICES':''}
    res = subprocess.run([sys.executable, '-c', reader, *want], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert res.returncode==0, res.stderr
    for path,(probs,label) in want.items():
        got,got_label,first = json.load(open(f'{path}.out'))
        for a,b in ((got,probs), (first,probs[0])): close(a, b, 1e-6 if device=='cpu' else 1e-4)
        assert got_label==label

def exported(task, device, path, name, precision):
    "Probabilities and first label of a trained learner that is exported into `path`, with the rows beside it"
    learn = fresh(task, device, path, precision=precision)
    learn.fit(1, 1e-3)
    rows = valid(learn)[L(task.text_col)].to_dict('records')
    (path/f'{name}-{precision}.json').write_text(json.dumps(rows))
    learn.export(f'{name}-{precision}')
    return learn.get_preds(dl=learn.dls.test_dl(rows))[0],str(learn.predict(rows[0])[0])
