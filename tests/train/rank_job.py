"What each process of the tests of `train.distributed` runs: `torchrun --nproc-per-node 2 rank_job.py CASE FOLDER`"
import os,sys,time
from functools import partial
from pathlib import Path

import numpy as np,pandas as pd,torch
from fastai.callback.core import Callback
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

def learner(n_ranks, n=63, bs=4, opt='sgd', labels='multi', drop_last=False, cbs=None, seed=1, path=None, **kwargs):
    "A learner whose batches are those of `n_ranks` processes together"
    cols = ['toxic','insult'] if labels=='multi' else 'label'
    dls = ToxicityDataLoaders.from_df(rows(n), path or tiny_checkpoint(), label_cols=cols, weight_col='weight' if labels=='multi' else None,
                                      valid_col='is_valid', bs=bs*n_ranks, val_bs=5, device='cpu')
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
    bf16=dict(precision='bf16'))

def agree(folder, names=tuple(settings)):
    res = {k:trained(lambda o: o.distrib_ctx(timeout=30), 1, **settings[k]) for k in names}
    torch.save(res, folder/f'rank{rank_distrib()}.pt')

if __name__=='__main__':
    case,folder,*args = sys.argv[1:]
    globals()[case](Path(folder), *args)
