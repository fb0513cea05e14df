"A frozen body that is computed once trains like one that is computed in every epoch"
import pytest,torch
from fastai.callback.core import Callback
from fastai.learner import load_learner
from fastai.torch_core import set_seed

from toxicai.all import *
from toxicai.train.callbacks import FrozenBody,frozen_trunk
from toxicai.test_utils import archs,comments,tiny_checkpoint

kept = ['bert','roberta','xlm-roberta','camembert','longformer','distilbert','electra','albert','mpnet','deberta-v2'] # Their blocks are one module that returns one vector a token

def frozen_learner(arch='bert', max_gib=4., **kwargs):
    checkpoint = tiny_checkpoint(arch)
    set_seed(0, reproducible=True)
    dls = ToxicityDataLoaders.from_df(comments(40), checkpoint, bs=8, device='cpu')
    learn = toxicity_learner(dls, precision='fp32', **kwargs)
    learn.remove_cb(FrozenBody)
    learn.add_cb(FrozenBody(max_gib))
    learn.freeze()
    return learn

class Stop(Callback):
    "Breaks off in the second epoch"
    def after_step(self):
        if self.epoch==1: raise KeyError('stop')

def trained(learn, epochs=3):
    "Losses of the epochs, weights of the head, and how often a block of the body ran"
    calls,block = [],next(m for n,m in learn.model.named_modules() if n.endswith('.0') and any(True for _ in m.parameters()))
    hook = block.register_forward_hook(lambda *_: calls.append(1))
    set_seed(1)
    with learn.no_bar(),learn.no_logging(): learn.fit(epochs, 1e-2)
    hook.remove()
    return torch.tensor([list(o) for o in learn.recorder.values]),[p.detach().clone() for p in learn.model.parameters() if p.requires_grad],len(calls)

@pytest.mark.parametrize('arch', [o for o in archs if o in kept])
def test_same_training(arch):
    "Losses, metrics and weights are those of a body that runs in every epoch; only rounding differs, as padding differs"
    once,always = trained(frozen_learner(arch)),trained(frozen_learner(arch, max_gib=0))
    torch.testing.assert_close(once[0], always[0], rtol=1e-4, atol=1e-5)
    for a,b in zip(once[1], always[1]): torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)
    assert once[2]<=always[2]/2

@pytest.mark.parametrize('arch', [o for o in archs if o not in kept+['pegasus']])
def test_other_architectures(arch):
    "Where the body cannot be replaced, training goes on as before"
    losses,_,_ = trained(frozen_learner(arch), 2)
    assert losses.isfinite().all()

def test_mean_pooling():
    once,always = trained(frozen_learner(pooling='mean')),trained(frozen_learner(pooling='mean', max_gib=0))
    torch.testing.assert_close(once[0], always[0], rtol=1e-4, atol=1e-5)
    assert once[2]<=always[2]/2

def test_dropout_is_off_where_frozen():
    learn,seen = frozen_learner(),[]
    hook = learn.model.register_forward_hook(lambda m,*_: seen.append((m.bert.encoder.training, m.dropout.training)))
    with learn.no_bar(),learn.no_logging(): learn.fit(1, 1e-3)
    assert (False,True) in seen and (True,True) not in seen
    learn.unfreeze()
    seen.clear()
    with learn.no_bar(),learn.no_logging(): learn.fit(1, 1e-3)
    hook.remove()
    assert (True,True) in seen

def test_nothing_is_left(tmp_path):
    "Neither in the network nor in the exported file, also after a fit that broke off"
    learn = frozen_learner()
    trunk = frozen_trunk(learn.model)
    with learn.no_bar(),learn.no_logging(),pytest.raises(KeyError): learn.fit(3, 1e-3, cbs=Stop())
    assert 'forward' not in vars(trunk) and not learn.frozen_body.stores and not learn.model._forward_pre_hooks
    learn.remove_cbs(learn.cbs.filter(lambda o: isinstance(o, Stop)))
    learn.path = tmp_path
    learn.export()
    small = (tmp_path/'export.pkl').stat().st_size
    with learn.no_bar(),learn.no_logging(): learn.fit(3, 1e-3)
    learn.export()
    assert abs((tmp_path/'export.pkl').stat().st_size-small)<0.05*small
    assert load_learner(tmp_path/'export.pkl').predict('you are kind')[2].isfinite().all()

def test_unfrozen_keeps_nothing():
    "A body that learns is never answered for"
    learn = frozen_learner()
    learn.unfreeze()
    *_,calls = trained(learn, 2)
    assert calls==2*(len(learn.dls.train)+len(learn.dls.valid))

def test_trained_embeddings():
    "A body whose embeddings are trained is not answered for"
    learn = frozen_learner()
    for p in learn.model.bert.embeddings.parameters(): p.requires_grad_(True)
    before = learn.model.bert.embeddings.word_embeddings.weight.detach().clone()
    *_,calls = trained(learn, 2)
    assert calls==2*(len(learn.dls.train)+len(learn.dls.valid))
    assert not torch.equal(before, learn.model.bert.embeddings.word_embeddings.weight)

class Thaw(Callback):
    "Unfreezes after the first epoch"
    def before_epoch(self):
        if self.epoch==1: self.learn.unfreeze()

def test_thawed_within_a_fit():
    learn = frozen_learner()
    learn.add_cb(Thaw())
    before = learn.model.bert.encoder.layer[0].output.dense.weight.detach().clone()
    *_,calls = trained(learn, 2)
    assert calls==2*(len(learn.dls.train)+len(learn.dls.valid))
    assert not torch.equal(before, learn.model.bert.encoder.layer[0].output.dense.weight)

def test_batch_in_parts():
    "A batch that is computed in parts finds its own vectors; without dropout, whose draws depend on the shape in older torch"
    learn,whole = frozen_learner(dropout=0.),frozen_learner(dropout=0.)
    learn.max_tokens = 40
    a,b = trained(learn),trained(whole)
    torch.testing.assert_close(a[0], b[0], rtol=1e-4, atol=1e-5)
