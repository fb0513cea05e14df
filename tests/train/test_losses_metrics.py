"Losses against a loop in NumPy, metrics against scikit-learn class by class"
import math
from types import SimpleNamespace

import numpy as np,pytest,torch
from sklearn.metrics import average_precision_score,f1_score,roc_auc_score
from torch.nn import functional as F
from toxicai.train.losses import *
from toxicai.train.metrics import *

nan = float('nan')

# Losses

def random_case(seed=0, n=17, n_classes=5, gaps=0.4, soft=True):
    "Logits, and targets with gaps; shape (n, n_classes)"
    rng = np.random.default_rng(seed)
    targs = rng.random((n, n_classes)) if soft else rng.integers(0, 2, (n, n_classes)).astype(float)
    targs[rng.random((n, n_classes))<gaps] = nan
    return rng.normal(0, 3, (n, n_classes)),targs

def item_loss(x, t, w, pw):
    "Loss and gradient of one logit `x`; exact where exp does not overflow"
    p = 1/(1+math.exp(-x))
    return w*-(pw*t*math.log(p) + (1-t)*math.log(1-p)),w*(p*(pw*t + 1-t) - pw*t)

def loop_loss(logits, targs, weight=None, pos_weight=None, reduction='mean'):
    "`MaskedBCELoss` and its gradient in a loop; gradient of the sum with `reduction='none'`"
    n,n_classes = targs.shape
    loss,grad,known = np.zeros((n, n_classes)),np.zeros((n, n_classes)),np.zeros((n, n_classes), dtype=bool)
    for i in range(n):
        for j in range(n_classes):
            if math.isnan(targs[i,j]): continue
            known[i,j] = True
            w,pw = [1. if o is None else o[j] for o in (weight, pos_weight)]
            loss[i,j],grad[i,j] = item_loss(logits[i,j], targs[i,j], w, pw)
    if reduction=='sum': return loss.sum(),grad
    if reduction=='mean': return loss.sum()/max(known.sum(), 1),grad/max(known.sum(), 1)
    per_row = np.maximum(known.sum(1), 1)
    return loss.sum(1)/per_row,grad/per_row[:,None]

def torch_loss(logits, targs, dtype, **kwargs):
    "Value and gradient of `MaskedBCELoss` as arrays"
    x = torch.tensor(logits, dtype=dtype, requires_grad=True)
    loss = MaskedBCELoss(**{k: torch.tensor(v) if isinstance(v, list) else v for k,v in kwargs.items()})(x, torch.tensor(targs, dtype=torch.float32))
    loss.sum().backward()
    return loss.detach().float().numpy(),x.grad.float().numpy()

weights = {'plain': {}, 'weight': dict(weight=[.5,1.,2.,0.,3.]), 'pos_weight': dict(pos_weight=[1.,7.,.2,50.,3.]),
           'both': dict(weight=[.5,1.,2.,0.,3.], pos_weight=[1.,7.,.2,50.,3.])}

@pytest.mark.parametrize('soft', [True, False], ids=['soft','hard'])
@pytest.mark.parametrize('reduction', ['mean','sum','none'])
@pytest.mark.parametrize('kw', weights.values(), ids=weights)
def test_bce_fp32(kw, reduction, soft):
    "fp32 keeps seven digits; sums of 85 terms lose one or two of them"
    logits,targs = random_case(soft=soft)
    value,grad = loop_loss(logits, targs, **kw, reduction=reduction)
    got,got_grad = torch_loss(logits, targs, torch.float32, reduction=reduction, **kw)
    assert got.shape==np.shape(value)
    np.testing.assert_allclose(got, value, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(got_grad, grad, rtol=1e-4, atol=1e-6)

@pytest.mark.parametrize('reduction', ['mean','sum','none'])
def test_bce_bf16(reduction):
    "Logits in bf16 are computed in fp32, as torch's autocast does: values as in fp32, gradients rounded once, to 2**-9"
    logits,targs = random_case(3)
    logits = torch.tensor(logits).bfloat16().double().numpy()
    value,grad = loop_loss(logits, targs, pos_weight=weights['both']['pos_weight'], reduction=reduction)
    got,got_grad = torch_loss(logits, targs, torch.bfloat16, pos_weight=weights['both']['pos_weight'], reduction=reduction)
    np.testing.assert_allclose(got, value, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(got_grad, grad, rtol=2**-8, atol=1e-5)

def test_bce_without_gaps():
    "Without gaps it is torch's own"
    logits,targs = [torch.tensor(o) for o in random_case(1, gaps=0)]
    torch.testing.assert_close(MaskedBCELoss()(logits, targs), F.binary_cross_entropy_with_logits(logits, targs))

def test_bce_gaps_get_no_gradient():
    logits,targs = random_case(2)
    grad = torch_loss(logits, targs, torch.float32)[1]
    assert ((grad==0)==np.isnan(targs)).all()

@pytest.mark.parametrize('reduction', ['mean','sum','none'])
def test_bce_nothing_known(reduction):
    "A batch that nobody annotated teaches nothing, and breaks nothing"
    loss,grad = torch_loss(np.ones((3,2)), np.full((3,2), nan), torch.float32, reduction=reduction)
    assert (loss==0).all() and (grad==0).all()

def test_bce_none_row_without_labels():
    "`reduction='none'` gives 0 for a text without any label, and leaves the others alone"
    logits,targs = random_case(4, n=3)
    targs[1] = nan
    loss = torch_loss(logits, targs, torch.float32, reduction='none')[0]
    assert loss[1]==0
    np.testing.assert_allclose(loss[[0,2]], loop_loss(logits[[0,2]], targs[[0,2]], reduction='none')[0], rtol=1e-5)

def test_bce_large_logits():
    "No overflow: the loss of a wrong logit is the logit"
    x = torch.tensor([[1e4,-1e4]], requires_grad=True)
    loss = MaskedBCELoss()(x, torch.tensor([[0.,1.]]))
    loss.backward()
    assert loss.item()==1e4 and torch.equal(x.grad, torch.tensor([[.5,-.5]]))

@pytest.mark.parametrize('bad', [math.inf, -math.inf, nan])
def test_bce_bad_logit_of_a_gap(bad):
    "What the network says where nobody annotated counts for nothing, not even when it overflowed"
    x = torch.tensor([[bad,1.]], requires_grad=True)
    loss = MaskedBCELoss()(x, torch.tensor([[nan,1.]]))
    loss.backward()
    assert loss.isfinite() and x.grad[0,0]==0 and x.grad[0,1].isfinite()

def test_bce_keeps_arguments():
    "Targets stay as they are, a gap stays a gap"
    logits,targs = [torch.tensor(o) for o in random_case()]
    before = targs.clone()
    MaskedBCELoss()(logits, targs)
    torch.testing.assert_close(targs, before, equal_nan=True, rtol=0, atol=0)

def test_bce_shapes():
    with pytest.raises(ValueError, match=r'logits have shape \(3, 2\), targets \(3,\)'): MaskedBCELoss()(torch.zeros(3,2), torch.zeros(3))

def test_bce_unknown_reduction():
    with pytest.raises(ValueError, match="'median'"): MaskedBCELoss(reduction='median')(torch.zeros(1,2), torch.zeros(1,2))

def test_bce_decodes():
    loss = MaskedBCELoss(thresh=0.8)
    probs = loss.activation(torch.tensor([[0.,1.,2.]]))
    torch.testing.assert_close(probs, torch.tensor([[.5,.73105858,.88079708]]))
    assert loss.decodes(probs).tolist()==[[False,False,True]]

# Metrics

def accumulated(metric, logits, targs, bs=7):
    "`metric` after the batches of `logits` and `targs`"
    metric.reset()
    for x,y in zip(logits.split(bs), targs.split(bs)): metric.accumulate(SimpleNamespace(pred=x, y=y, to_detach=lambda o: o.detach().cpu()))
    return metric

def metric_case(seed=0, n=60, n_classes=6):
    "Gaps everywhere; class 1 has positives only, class 2 negatives only, class 3 no label at all, class 4 two known rows"
    rng = np.random.default_rng(seed)
    logits,targs = rng.normal(0, 2, (n, n_classes)).round(1),rng.integers(0, 2, (n, n_classes)).astype(float)
    targs[rng.random((n, n_classes))<0.3] = nan
    for j,v in ((1,1.), (2,0.)): targs[:,j] = np.where(np.isnan(targs[:,j]), nan, v)
    targs[:,3:5] = nan
    targs[:2,4] = [0,1]
    return torch.tensor(logits, dtype=torch.float32),torch.tensor(targs, dtype=torch.float32)

sk_metrics = {'roc_auc': (MaskedRocAuc, roc_auc_score), 'average_precision': (MaskedAveragePrecision, average_precision_score),
              'f1': (MaskedF1, lambda t,p: f1_score(t, p>=0.5))}

def by_sklearn(func, logits, targs):
    "`func` of each class on its known rows, NaN where one side is missing"
    probs,targs = logits.double().sigmoid().numpy(),targs.numpy()
    res = []
    for t,p in zip(targs.T, probs.T):
        known = ~np.isnan(t)
        res.append(func(t[known], p[known]) if len(np.unique(t[known]))==2 else nan)
    return np.array(res)

@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('name', sk_metrics)
def test_metric_per_class(name, seed):
    make,func = sk_metrics[name]
    logits,targs = metric_case(seed)
    metric,expected = accumulated(make(), logits, targs),by_sklearn(func, logits, targs)
    assert np.isnan(expected).tolist()==[False,True,True,True,False,False]
    np.testing.assert_allclose(metric.per_class(), expected, atol=1e-6)
    assert metric.value==pytest.approx(np.nanmean(expected), abs=1e-6)
    assert metric.name==name and isinstance(metric.value, float)

@pytest.mark.parametrize('name', sk_metrics)
def test_metric_bs(name):
    "The size of the batches changes nothing"
    values = {accumulated(sk_metrics[name][0](), *metric_case(), bs=bs).value for bs in (1,7,60)}
    assert len(values)==1

@pytest.mark.parametrize('name', sk_metrics)
def test_metric_all_missing(name, recwarn):
    "Nothing annotated: NaN, one warning that names the classes, and none of NumPy in every epoch"
    metric = accumulated(sk_metrics[name][0](), torch.zeros(4,2), torch.full((4,2), nan))
    assert math.isnan(metric.value) and math.isnan(metric.value) and np.isnan(metric.per_class()).all()
    assert ['the class 0, 1 has one side only, or no label' in str(o.message) for o in recwarn.list]==[True]

def test_metric_reset():
    "One epoch leaves nothing for the next"
    metric = accumulated(MaskedRocAuc(), *metric_case(0))
    first = metric.value
    assert accumulated(metric, *metric_case(1)).value!=first
    assert accumulated(metric, *metric_case(0)).value==first

def test_metric_soft_targets():
    "A share counts as positive from one half on"
    logits,targs = metric_case()
    soft = torch.where(targs==1, 0.5, torch.where(targs==0, 0.49, targs))
    assert accumulated(MaskedRocAuc(), logits, soft).value==accumulated(MaskedRocAuc(), logits, targs).value

def test_metric_bf16():
    "Predictions of a network in bf16 are read as they are"
    logits,targs = metric_case()
    assert accumulated(MaskedRocAuc(), logits.bfloat16(), targs).value==accumulated(MaskedRocAuc(), logits.bfloat16().float(), targs).value

@pytest.mark.parametrize('name', ['roc_auc','average_precision'])
def test_metric_confident(name):
    "A sure network keeps its ranking: the sigmoid of 20 and of 30 is 1 in fp32"
    make,func = sk_metrics[name]
    logits,targs = torch.tensor([[20.],[25],[30],[35]]),torch.tensor([[0.],[0],[1],[1]])
    assert accumulated(make(), logits, targs).value==func(targs[:,0], logits[:,0])==1
