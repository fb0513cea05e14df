"What each process of the tests of `train.distributed` runs: `torchrun --nproc-per-node 2 rank_job.py CASE FOLDER`"
import os,signal,sys,time
from functools import partial
from pathlib import Path

import numpy as np,pandas as pd,torch
from fastai.callback.core import Callback
from fastai.callback.progress import CSVLogger
from fastai.callback.tracker import EarlyStoppingCallback,SaveModelCallback
from fastai.callback.training import GradientAccumulation
from fastai.optimizer import SGD
from fastai.torch_core import rank_distrib

from toxicai.all import *
from toxicai.runs.checkpoints import same_weights
from toxicai.test_utils import comments,tiny_checkpoint

long = ' '.join(['could you add a source please']*4)

def rows(n):
    "Comments of unequal length, with gaps, shares of weights, and a part for validation"
    df,rng = comments(n),np.random.default_rng(0)
    df['text'] = [f'{o} {long}' if i%5==0 else o for i,o in enumerate(df.text)]
    df['weight'],df['is_valid'] = rng.choice([0.2,1.,3.], n),np.arange(n)%3==0
    for k in ('toxic','insult'): df[k] = df[k].astype(float).mask(rng.random(n)<0.35)
    return df

def learner(n_ranks, n=63, bs=4, opt='sgd', labels='multi', drop_last=False, cbs=None, seed=1, path=None, text=None, **kwargs):
    "A learner whose batches are those of `n_ranks` processes together"
    cols = ['toxic','insult'] if labels=='multi' else 'label'
    dls = ToxicityDataLoaders.from_df(rows(n), path or tiny_checkpoint(), label_cols=cols, weight_col='weight' if labels=='multi' else None,
                                      valid_col='is_valid', bs=bs*n_ranks, val_bs=5, device='cpu', **(text or {}))
    if not drop_last: dls.loaders[0] = dls.train.new(drop_last=False)
    learn = toxicity_learner(dls, seed=seed, dropout=0., **{'precision':'fp32', 'cbs':cbs, **({'opt_func':SGD} if opt=='sgd' else {}), **kwargs})
    for m in learn.model.modules():
        if isinstance(m, torch.nn.Dropout): m.p = 0.
    return learn.remove_cbs([learn.progress])

def weights(learn): return {k:v.detach().clone() for k,v in learn.model.state_dict().items()}

def trained(ctx, n_ranks, epochs=2, lr=0.1, acc=None, metrics=None, **kwargs):
    "What a fit gives: weights, figures of each epoch, predictions, smooth losses"
    learn = learner(n_ranks, metrics=metrics, **kwargs)
    cbs = [] if acc is None else [GradientAccumulation(acc*n_ranks)]
    with learn.no_logging(),learn.no_bar(),ctx(learn):
        learn.fit(epochs, lr, cbs=cbs)
        valid,preds = learn.validate(),learn.get_preds(with_loss=True)
        train = learn.get_preds(ds_idx=0)
    return dict(weights=weights(learn), table=[list(map(float, o)) for o in map(lambda r: r[:-1], learn.recorder.values)],
                valid=list(map(float, valid)), preds=[o.as_subclass(torch.Tensor) for o in (*preds,*train)],
                losses=[float(o) for o in learn.recorder.losses], steps=len(learn.recorder.losses))

settings = dict( # Case -> arguments of `trained`
    gaps=dict(), # and weights, and unequal rows in the last batch
    adamw=dict(opt='adamw', lr=1e-3),
    single=dict(labels='single', loss_func='ce', metrics='f1, roc_auc'),
    focal=dict(loss_func=MaskedFocalLoss(reduction='sum'), lr=1e-2),
    torch=dict(labels='single', loss_func=torch.nn.CrossEntropyLoss(weight=torch.tensor([1.,4.]))),
    added=dict(acc=8, drop_last=True), # gradients of two batches
    bf16=dict(precision='bf16'),
    windows=dict(text=dict(long='windows', max_length=12)),
    together=dict(acc=8, precision='bf16', text=dict(long='mean_windows', max_length=12, balance=0.5)))

def agree(folder, names=tuple(settings)):
    res = {k:trained(lambda o: o.distrib_ctx(timeout=30), 1, **settings[k]) for k in names}
    torch.save(res, folder/f'rank{rank_distrib()}.pt')

class Raises(Callback):
    "Raises at an event in one process"
    def __init__(self, rank, event, training): self.rank,self.event,self.training_ = rank,event,training
    def __call__(self, event):
        if event==self.event and rank_distrib()==self.rank and self.learn.training==self.training_: raises()
        return super().__call__(event)

class At(Callback):
    "Does something in training batch `n` of one process"
    def __init__(self, rank, n, f): self.rank,self.left,self.f = rank,n,f
    def before_backward(self):
        self.left -= self.rank==rank_distrib()
        if self.left==0: self.f()

def stopped(learn, timeout, *cbs, before=lambda: None):
    "How a fit of two epochs ends, and after how many seconds"
    start = time.monotonic()
    try:
        before()
        start = time.monotonic()
        with learn.no_logging(),learn.distrib_ctx(timeout=timeout): learn.fit(2, 0.1, cbs=list(cbs))
    except BaseException as e: return dict(name=type(e).__name__, said=str(e), seconds=time.monotonic()-start, iter=vars(learn).get('train_iter', 0))
    return dict(name=None, said='', seconds=time.monotonic()-start, iter=vars(learn).get('train_iter', 0))

def raises(): raise ValueError('no such planet')

def failures(folder):
    "What each process says when one of them fails, sleeps, comes late, or has other data"
    r,res = rank_distrib(),{}
    res['raises'] = stopped(learner(1), 30, At(1, 3, raises))
    res['first raises'] = stopped(learner(1), 30, At(0, 3, raises))
    for o in ('before_train','after_step','after_epoch'): res[o] = stopped(learner(1), 30, Raises(1, o, o!='after_epoch'))
    res['validates'] = stopped(learner(1), 30, Raises(1, 'after_pred', False))
    def broken(idxs): raise OSError('no such planet')
    learn = learner(1)
    res['loads'] = stopped(learn, 30, At(1, 2, lambda: setattr(learn.dl, 'whole_batch', broken)))
    res['other rows'] = stopped(learner(1, n=63-3*r), 30)
    res['other split'] = stopped(learner(1, labels='single' if r else 'multi'), 30)
    res['other rate'] = stopped(learner(1, lr=1e-3*(r+1)), 30)
    res['sleeps'] = stopped(learner(1), 2, At(1, 3, lambda: time.sleep(5)))
    res['late'] = stopped(learner(1), 2, before=lambda: time.sleep(6*r))
    learn = learner(1)
    def other_rows():
        with learn.distrib_ctx(timeout=30): learn.get_preds(dl=learn.dls.test_dl(['you fool','thanks'][:2-r]))
    try: other_rows()
    except Exception as e: res['other texts'] = dict(name=type(e).__name__, said=str(e))
    torch.save(res, folder/f'rank{r}.pt')

def signals(folder):
    "Ctrl-C for one process stops all after the same batch, and all go on to the weights of a run without a stop"
    r,res = rank_distrib(),{}
    make = lambda: learner(1, opt='adamw', seed=3, path=folder/'tiny', precision='bf16')
    def with_dropout():
        learn = make()
        for m in learn.model.modules():
            if isinstance(m, torch.nn.Dropout): m.p = 0.1
        return learn
    whole = with_dropout()
    with whole.no_logging(),whole.distrib_ctx(timeout=30): whole.fine_tune(2)
    part = with_dropout()
    try:
        with part.no_logging(),part.distrib_ctx(timeout=30):
            part.fine_tune(2, cbs=[Checkpoint(folder/'run', every=100),At(1, 9, lambda: os.kill(os.getpid(), signal.SIGINT))])
    except KeyboardInterrupt as e: res['said'] = str(e)
    res['iter'],rest = part.train_iter,with_dropout()
    with rest.no_logging(),rest.distrib_ctx(timeout=30): rest.resume(folder/'run', cbs=At(1, -1, None))
    res.update(same=same_weights(whole.model, rest.model), moved=not same_weights(part.model, rest.model), weights=weights(rest),
               tables=[[list(o)[:-1] for o in l.recorder.values] for l in (whole,rest)])
    alone = with_dropout()
    try: alone.resume(folder/'run')
    except ValueError as e: res['alone'] = str(e)
    torch.save(res, folder/f'rank{r}.pt')

def trackers(folder):
    "Callbacks that write or decide"
    r = rank_distrib()
    learn = learner(1, opt='adamw', n=60, path=folder/'tiny')
    learn.path = folder
    cbs = [SaveModelCallback(monitor='valid_loss'),EarlyStoppingCallback(monitor='valid_loss', patience=1),CSVLogger(),
           WandbRun(project='ranks', mode='offline', dir=folder, texts=4, model=True)]
    with learn.distrib_ctx(timeout=60): learn.fit(12, 0.02, cbs=cbs)
    with_input = learn.get_preds(with_input=True)
    with learn.distrib_ctx(timeout=60): again = learn.get_preds(with_input=True)
    torch.save(dict(epochs=len(learn.recorder.values), weights=weights(learn), run=cbs[0].run, table=list(map(list, learn.recorder.values)),
                    same=torch.equal(with_input[1], again[1])), folder/f'rank{r}.pt')
    learn.export(folder/'export.pkl')

def killed(folder):
    "The second process is killed by the system within a batch"
    learn = learner(1)
    kill = lambda: os.kill(os.getpid(), signal.SIGKILL)
    with learn.no_logging(),learn.distrib_ctx(): learn.fit(50, 0.1, cbs=[At(1, 3, kill)])
    (folder/f'ended{rank_distrib()}').touch()

if __name__=='__main__':
    case,folder,*args = sys.argv[1:]
    globals()[case](Path(folder), *args)
