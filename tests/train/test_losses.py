"Each loss against a loop over numbers, values and slopes; against scikit-learn, scipy, torch and fastai where they have it"
import copy,math,pickle,warnings

import numpy as np,pytest,torch
from fastai.learner import load_learner
from fastai.losses import CrossEntropyLossFlat,FocalLoss
from fastai.torch_core import TensorBase,set_seed,to_device
from scipy.stats import energy_distance
from sklearn.metrics import log_loss
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional as F

from toxicai.all import *
from toxicai.train.losses import loss_class,probs_of
from toxicai.runs.configs import config_loss
from toxicai.test_utils import comments,tiny_checkpoint

nan,n_classes = float('nan'),4

# A loop over numbers

def sides(loss, x):
    "Loss of a positive and of a negative at the logit `x`"
    p = 1/(1+math.exp(-x))
    if isinstance(loss, MaskedFocalLoss):
        a,b = (1,1) if loss.alpha is None else (loss.alpha,1-loss.alpha)
        return -a*(1-p)**loss.gamma*math.log(p),-b*p**loss.gamma*math.log(1-p)
    if isinstance(loss, MaskedAsymmetricLoss):
        moved = max(p-loss.clip, 0)
        return -(1-p)**loss.gamma_pos*math.log(p),-moved**loss.gamma_neg*math.log(1-moved)
    return -math.log(p),-math.log(1-p)

def factors(loss, name): return [1.]*n_classes if getattr(loss, name) is None else getattr(loss, name).tolist()

def binary_row(loss, xs, ts):
    "Loss of each known label of a text"
    eps,w,pw = loss.label_smoothing,factors(loss, 'weight'),factors(loss, 'pos_weight')
    res = []
    for j,(x,t) in enumerate(zip(xs, ts)):
        if math.isnan(t): continue
        pos,neg = sides(loss, x)
        t = t*(1-eps) + eps/2
        res.append(w[j]*(pw[j]*t*pos + (1-t)*neg))
    return res

def softmax_row(loss, xs, ts):
    "Loss of a text, and how much it counts"
    eps,w = loss.label_smoothing,factors(loss, 'weight')
    total = sum(math.exp(x) for x in xs)
    p,ts_smooth = [math.exp(x)/total for x in xs],[t*(1-eps) + eps/len(xs) for t in ts]
    count = sum(a*b for a,b in zip(w, ts))
    if isinstance(loss, OrdinalLoss):
        far = sum((sum(p[:k+1])-sum(ts_smooth[:k+1]))**2 for k in range(len(xs)))
        return far*sum(a*b for a,b in zip(w, ts_smooth)),count
    g = getattr(loss, 'gamma', 0)
    return sum(-a*t*(1-q)**g*math.log(q) for a,t,q in zip(w, ts_smooth, p)),count

def loop_loss(loss, logits, targs, sw=None):
    "`loss` in a loop"
    sw,top,below,single = [1.]*len(logits) if sw is None else sw,0.,0.,isinstance(loss, MaskedCELoss)
    res = []
    for xs,ts,s in zip(logits, targs, sw):
        if single and np.ndim(ts)==0: ts = [nan]*n_classes if ts<0 else np.eye(n_classes)[ts]
        if single: terms,count = (0.,0.) if np.isnan(ts).any() else softmax_row(loss, xs, ts)
        else:
            row = binary_row(loss, xs, ts)
            terms,count = sum(row),len(row)
        top,below = top+s*terms,below+s*count
        res.append(s*terms if single else s*terms/max(count, 1))
    if loss.reduction=='none': return np.array(res)
    return top if loss.reduction=='sum' else top/below if below else 0.

def loop_grad(loss, logits, targs, sw=None, h=1e-6):
    "Slope of the summed loop by central differences; shape of `logits`"
    res = np.zeros_like(logits)
    for at in np.ndindex(*logits.shape):
        step = np.zeros_like(logits)
        step[at] = h
        res[at] = (np.sum(loop_loss(loss, logits+step, targs, sw))-np.sum(loop_loss(loss, logits-step, targs, sw)))/(2*h)
    return res

# Cases

binary = {'bce': lambda **kw: MaskedBCELoss(**kw), 'focal': lambda **kw: MaskedFocalLoss(gamma=1.5, **kw),
          'focal_alpha': lambda **kw: MaskedFocalLoss(gamma=0.5, alpha=0.25, **kw), 'asymmetric': lambda **kw: MaskedAsymmetricLoss(**kw),
          'asymmetric_plain': lambda **kw: MaskedAsymmetricLoss(gamma_neg=2.5, gamma_pos=0.5, clip=0, **kw)}
single = {'ce': lambda **kw: MaskedCELoss(**kw), 'focal_ce': lambda **kw: MaskedFocalCELoss(gamma=1.5, **kw), 'ordinal': lambda **kw: OrdinalLoss(**kw)}
makers = {**binary, **single}
settings = {'plain': {}, 'weight': dict(weight=[.5,1.,0.,3.]), 'smooth': dict(label_smoothing=0.2), 'both': dict(weight=[.5,1.,2.,3.], label_smoothing=0.1)}
pos_weights = {'pos_weight': dict(pos_weight=[1.,7.,.2,50.]), 'all': dict(weight=[.5,1.,2.,3.], pos_weight=[1.,7.,.2,50.], label_smoothing=0.1)}
cases = [(k,kw) for k in makers for kw in settings.values()] + [(k,kw) for k in binary for kw in pos_weights.values()]
named = dict(argnames='name, kw', argvalues=cases, ids=[f"{k}-{','.join(kw) or 'plain'}" for k,kw in cases])

def random_case(name, seed=0, n=9, soft=False):
    "Logits, targets with gaps, sample weights with a zero; shapes (n, n_classes), the same or (n,), (n,)"
    rng = np.random.default_rng(seed)
    logits,sw = rng.normal(0, 2, (n, n_classes)),np.r_[0., rng.uniform(0.1, 3, n-1)]
    if name in single and not soft: return logits,np.where(rng.random(n)<0.3, -1, rng.integers(0, n_classes, n)),sw
    if name in single:
        targs = rng.dirichlet(np.ones(n_classes), n)
        targs[2,1] = nan
        return logits,targs,sw
    targs = rng.random((n, n_classes)) if soft else rng.integers(0, 2, (n, n_classes)).astype(float)
    targs[rng.random((n, n_classes))<0.3] = nan
    return logits,targs,sw

def ours(loss, logits, targs, sw=None, dtype=torch.float64):
    "Value and gradient of the sum, as arrays"
    x,y = torch.tensor(logits, dtype=dtype, requires_grad=True),torch.tensor(targs).as_subclass(TensorBase)
    if sw is not None: y.sample_weight = torch.tensor(sw)
    res = loss(x, y)
    res.sum().backward()
    return res.detach().double().numpy(),x.grad.double().numpy()

@pytest.mark.parametrize('weighted', [False, True], ids=['even','weighted'])
@pytest.mark.parametrize('soft', [False, True], ids=['hard','soft'])
@pytest.mark.parametrize('reduction', ['mean','sum','none'])
@pytest.mark.parametrize(**named)
def test_loop(name, kw, reduction, soft, weighted):
    "fp64, but factors given as lists are fp32, hence 1e-6; central differences are good to about 1e-8"
    loss,(logits,targs,sw) = makers[name](reduction=reduction, **kw),random_case(name, soft=soft)
    sw = sw if weighted else None
    value,grad = ours(loss, logits, targs, sw)
    assert value.shape==((len(logits),) if reduction=='none' else ())
    np.testing.assert_allclose(value, loop_loss(loss, logits, targs, sw), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(grad, loop_grad(loss, logits, targs, sw), rtol=1e-4, atol=1e-6)

@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(**named)
def test_loop_dtypes(name, kw, dtype):
    "fp32 keeps seven digits; logits in bf16 are computed in fp32 and only their gradient is rounded, to 2**-9"
    loss,(logits,targs,sw) = makers[name](**kw),random_case(name, 1)
    logits = torch.tensor(logits, dtype=dtype).double().numpy()
    value,grad = ours(loss, logits, targs, sw, dtype)
    np.testing.assert_allclose(value, loop_loss(loss, logits, targs, sw), rtol=2e-5)
    np.testing.assert_allclose(grad, loop_grad(loss, logits, targs, sw), rtol=2**-8 if dtype==torch.bfloat16 else 1e-3, atol=1e-5)
    assert loss(torch.tensor(logits, dtype=dtype), torch.tensor(targs)).dtype==torch.float32

# Other libraries

def test_bce_sklearn():
    "Per class, with sample weights"
    logits,targs,sw = random_case('bce')
    loss,p = MaskedBCELoss(),1/(1+np.exp(-logits))
    for j in range(n_classes):
        k = ~np.isnan(targs[:,j])
        expected = log_loss(targs[k,j], p[k,j], sample_weight=sw[k], labels=[0,1])
        assert ours(loss, logits[:,[j]], targs[:,[j]], sw)[0]==pytest.approx(expected, rel=1e-6)

def test_ce_sklearn():
    logits,targs,sw = random_case('ce')
    k,p = targs>=0,torch.tensor(logits).softmax(-1).numpy()
    w = np.array([.5,1.,2.,3.])
    assert ours(MaskedCELoss(), logits, targs, sw)[0]==pytest.approx(log_loss(targs[k], p[k], sample_weight=sw[k], labels=range(n_classes)), rel=1e-6)
    assert ours(MaskedCELoss(weight=w), logits, targs)[0]==pytest.approx(log_loss(targs[k], p[k], sample_weight=w[targs[k]], labels=range(n_classes)), rel=1e-6)

@pytest.mark.parametrize('reduction', ['mean','sum','none'])
@pytest.mark.parametrize('eps', [0., 0.3])
def test_ce_torch(reduction, eps):
    logits,targs,_ = [torch.tensor(o) for o in random_case('ce', 3, n=40)]
    w = torch.tensor([.5,1.,2.,3.]).double()
    kw = dict(weight=w, label_smoothing=eps, reduction=reduction)
    torch.testing.assert_close(MaskedCELoss(**kw)(logits, targs), F.cross_entropy(logits, targs, ignore_index=-1, **kw))

def test_ce_shares_are_class_numbers():
    "A row of 0 and a single 1 is that class, weights and smoothing included"
    logits,targs,_ = [torch.tensor(o) for o in random_case('ce', 4)]
    shares = F.one_hot(targs.clamp(min=0), n_classes).double()
    shares[targs<0] = nan
    for make in single.values():
        loss = make(weight=[.5,1.,2.,3.], label_smoothing=0.1)
        torch.testing.assert_close(loss(logits, targs), loss(logits, shares))

def test_focal_ce_fastai():
    logits,targs,_ = [torch.tensor(o) for o in random_case('ce', 5)]
    known = targs>=0
    torch.testing.assert_close(MaskedFocalCELoss(gamma=2.)(logits, targs), FocalLoss(gamma=2.)(logits[known], targs[known]))

def test_ordinal_scipy():
    "Half the squared energy distance of two distributions over the levels"
    logits,targs,_ = random_case('ordinal', 6, soft=True)
    got,p = ours(OrdinalLoss(reduction='none'), logits, targs)[0],torch.tensor(logits).softmax(-1).numpy()
    for i in range(len(targs)):
        if np.isnan(targs[i]).any(): assert got[i]==0
        else: assert got[i]==pytest.approx(energy_distance(range(n_classes), range(n_classes), p[i], targs[i])**2/2, rel=1e-9)

def test_ordinal_is_proper():
    "The true probabilities cost least"
    truth = torch.tensor([.1,.5,.1,.3]).double()
    cost = lambda p: sum(t*OrdinalLoss()(p.log()[None], torch.tensor([k])) for k,t in enumerate(truth))
    rng = np.random.default_rng(0)
    for _ in range(20): assert cost(truth)<cost(torch.tensor(rng.dirichlet(np.ones(4))))

def test_ordinal_decodes():
    "Half of the probability lies at or below the median, half at or above"
    probs = torch.tensor(np.random.default_rng(0).dirichlet(np.ones(5), 200))
    for p,k in zip(probs, OrdinalLoss().decodes(probs)): assert p[:k+1].sum()>=0.5-1e-9 and p[k:].sum()>=0.5-1e-9
    assert OrdinalLoss().decodes(torch.tensor([[.2,.2,.05]])).tolist()==[2]

def test_balanced_weight_sklearn():
    y = np.random.default_rng(0).choice(4, 200, p=[.6,.3,.07,.03])
    np.testing.assert_allclose(balanced_weight(torch.tensor(y)), compute_class_weight('balanced', classes=np.arange(4), y=y), rtol=1e-6)
    np.testing.assert_allclose(balanced_weight(F.one_hot(torch.tensor(y)).float()), balanced_weight(torch.tensor(y)), rtol=1e-6)
    np.testing.assert_allclose(balanced_weight(torch.tensor(np.r_[y, [-1]*50])), balanced_weight(torch.tensor(y)))

def test_balanced_pos_weight():
    "Both sides pay alike where the network knows nothing, and the bound holds"
    targs = torch.tensor(random_case('bce', n=300)[1])
    targs[:,0] = (torch.arange(300)<2).double()
    w = balanced_pos_weight(targs)
    assert w[0]==50 and balanced_pos_weight(targs, max_weight=200)[0]==149
    for t,o in zip(targs.T[1:], w[1:]): assert (t==1).sum()*o==pytest.approx((t==0).sum())

@pytest.mark.parametrize('targs', [[[1.,1.]], [[0.,nan],[0.,0.]]])
def test_balanced_one_side(targs):
    with pytest.raises(ValueError, match='only one side'): balanced_pos_weight(torch.tensor(targs))

def test_identity_weights_loop():
    rng = np.random.default_rng(0)
    targs,ids = rng.random(50),rng.random((50,3))
    targs[:5],ids[rng.random((50,3))<.5] = nan,nan
    for t,row,w in zip(targs, ids, identity_weights(targs, ids)):
        mention = any(o>=0.5 for o in row)
        parts = [True, mention, t>=0.5 and not mention, t<0.5 and mention]
        assert w==sum(parts)/4

# Gaps and extremes

@pytest.mark.parametrize('reduction', ['mean','sum','none'])
@pytest.mark.parametrize('name', makers)
def test_nothing_known(name, reduction):
    "A batch that nobody annotated, an empty one, or one of weight 0 teaches nothing, and breaks nothing"
    loss = makers[name](reduction=reduction)
    gap = np.full(3, -1) if name in single else np.full((3,n_classes), nan)
    logits,targs,_ = random_case(name, n=3)
    logits[0] = [math.inf,nan,-math.inf,0]
    for value,grad in (ours(loss, logits, gap), ours(loss, np.zeros((0,n_classes)), gap[:0]), ours(loss, random_case(name, n=3)[0], targs, np.zeros(3))):
        assert (value==0).all() and (grad==0).all()

@pytest.mark.parametrize('name', makers)
def test_gaps_get_no_gradient(name):
    logits,targs,_ = random_case(name, 2, n=30)
    grad = ours(makers[name](label_smoothing=0.1), logits, targs)[1]
    gaps = targs<0 if name in single else np.isnan(targs)
    assert (grad[gaps]==0).all()
    if name!='asymmetric': assert (grad[~gaps]!=0).all() # which forgets easy negatives

@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize('size', [30., 1e4])
@pytest.mark.parametrize('name', makers)
def test_extreme_logits(name, size, dtype):
    "Sure networks, right or wrong, have a finite loss and a finite gradient"
    logits = np.array([[size,-size,size,-size]]*3)
    targs = np.array([0,1,-1]) if name in single else np.array([[1,0,0,1.], [0.3]*4, [nan]*4])
    for kw in ({}, dict(label_smoothing=0.1)):
        value,grad = ours(makers[name](**kw), logits, targs, dtype=dtype)
        assert np.isfinite(value) and np.isfinite(grad).all()

@pytest.mark.parametrize('size', [-1e4, -30., 1e4])
def test_gamma_below_one(size):
    "Where the loss of an easy text is 0, its slope is 0 too, not a division by it"
    for loss in (MaskedAsymmetricLoss(gamma_neg=0.5, clip=0.3), MaskedAsymmetricLoss(gamma_neg=0, clip=0.3), MaskedAsymmetricLoss(gamma_neg=0.5, clip=0)):
        value,grad = ours(loss, np.array([[size]]), np.zeros((1,1)), dtype=torch.float32)
        assert np.isfinite(grad).all() and (value==grad==0 or size>0 or loss.clip==0)
    value,grad = ours(MaskedFocalCELoss(gamma=0.5), np.array([[size,-size]]), np.array([0]), dtype=torch.float32)
    assert np.isfinite(value) and np.isfinite(grad).all()

def test_extreme_values():
    x = torch.tensor([[1e4]])
    for make in binary.values():
        assert make()(x, torch.ones(1,1))==0
        assert make()(-x, torch.zeros(1,1))==0
    assert MaskedBCELoss()(-x, torch.ones(1,1))==MaskedFocalLoss(gamma=3)(-x, torch.ones(1,1))==1e4
    assert MaskedAsymmetricLoss(clip=0)(x, torch.zeros(1,1))==1e4
    assert MaskedAsymmetricLoss(clip=0.05)(x, torch.zeros(1,1)).item()==pytest.approx(-0.95**4*math.log(0.05), rel=1e-5)
    two = torch.tensor([[1e4,-1e4]])
    assert MaskedCELoss()(two, torch.tensor([1]))==2e4 and MaskedFocalCELoss()(two, torch.tensor([0]))==0
    assert OrdinalLoss()(two, torch.tensor([1]))==1

@pytest.mark.parametrize('name', makers)
def test_arguments_stay(name):
    logits,targs,sw = [torch.tensor(o) for o in random_case(name)]
    y = targs.clone().as_subclass(TensorBase)
    y.sample_weight = sw.clone()
    makers[name]()(logits, y)
    np.testing.assert_array_equal(y.numpy(), targs.numpy())
    assert torch.equal(y.sample_weight, sw)

@pytest.mark.parametrize('targs, expected', [([[0.,1.]], r'targets \(1, 2\)'), ([0.,1.], 'expected class numbers'), ([0], 'expected class numbers')])
def test_ce_shapes(targs, expected):
    with pytest.raises(ValueError, match=expected): MaskedCELoss()(torch.zeros(2,3), torch.tensor(targs))

# As part of a learner

@pytest.mark.parametrize('name', makers)
def test_copies(name):
    "Pickled, moved and printed, a loss stays itself"
    loss = makers[name](weight=[.5,1.,2.,3.], label_smoothing=0.1)
    logits,targs,_ = [torch.tensor(o) for o in random_case(name)]
    for o in (pickle.loads(pickle.dumps(loss)), copy.deepcopy(loss), loss.to('cpu')): assert o(logits, targs)==loss(logits, targs)
    assert 'label_smoothing=0.1' in repr(loss) and '[0.5, 1.0, 2.0, 3.0]' in repr(loss)
    assert loss.to('meta') is loss and loss.weight.device.type=='meta'

@pytest.mark.parametrize('name', makers)
def test_activation_calibrated(name):
    "Probabilities are those of `calibration`, the loss is not changed by it"
    loss = makers[name]()
    logits,targs,_ = [torch.tensor(o) for o in random_case(name)]
    before,probs = loss(logits, targs),loss.activation(logits.bfloat16())
    assert probs.dtype==torch.float32
    torch.testing.assert_close(loss.activation(logits), logits.softmax(-1) if name in single else logits.sigmoid())
    loss.calibration = lambda o: np.full_like(o, 0.25)
    assert (loss.activation(TensorBase(logits).bfloat16())==0.25).all() and loss(logits, targs)==before

def learner(loss_func=None, kind='multi', **kwargs):
    df = comments(48)
    df['level'] = [0 if k=='kind' else 1+i for k,i in zip(df.label, df.insult)]
    df['w'] = np.linspace(0, 2, len(df))
    cols = dict(multi=['toxic','insult'], single='label', ordinal='level')[kind]
    data = load_comments(df, text_col='text', label_cols=cols, kind=kind)
    dls = ToxicityDataLoaders.from_df(data, tiny_checkpoint(), bs=8, device='cpu', splitter=lambda o: (list(range(40)), list(range(40,48))), **kwargs)
    return toxicity_learner(dls, loss_func=loss_func, precision='fp32')

def fitted(learn):
    torch.manual_seed(0)
    with learn.no_bar(),learn.no_logging(): learn.fit(1, 1e-3)
    return learn

names = [('multi','bce'), ('multi','focal'), ('multi','asymmetric'), ('single','ce'), ('single','focal'), ('ordinal','ordinal'), ('ordinal','ce')]

@pytest.mark.parametrize('kind, name', names)
def test_trained_and_exported(kind, name, tmp_path):
    "A loss by name trains; an exported learner gives the same probabilities and decisions"
    learn = fitted(learner(name, kind))
    assert type(learn.loss_func) in loss_classes[name] and math.isfinite(learn.recorder.values[0][0])
    learn.path = tmp_path
    learn.export()
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        other = load_learner(tmp_path/'export.pkl')
    a,b = [o.get_preds(dl=o.dls.test_dl(comments(6)), with_decoded=True) for o in (learn,other)]
    torch.testing.assert_close(a[0], b[0])
    torch.testing.assert_close(a[2], b[2])
    assert repr(other.loss_func)==repr(learn.loss_func)

def test_defaults():
    assert [type(learner(kind=o).loss_func) for o in ('multi','single','ordinal')]==[MaskedBCELoss, MaskedCELoss, OrdinalLoss]

@pytest.mark.parametrize('kind, name, expected', [('multi','hinge','no loss'), ('multi','ce','does not suit'), ('single','ordinal','does not suit'),
                                                  ('ordinal','bce','does not suit'), ('multi',MaskedCELoss(),'does not suit'), ('single',MaskedAsymmetricLoss(),'does not suit')])
def test_wrong_loss(kind, name, expected):
    with pytest.raises(ValueError, match=expected): learner(name, kind)

@pytest.fixture
def table():
    "The table of losses; afterwards it is as it was"
    kept = dict(loss_classes)
    yield loss_classes
    loss_classes.clear()
    loss_classes.update(kept)

def test_loss_from_outside(table):
    "A loss that is added is known by its name to learners and sweeps, and leaves those for other kinds alone"
    @add_loss('bounded')
    class Bounded(MaskedBCELoss):
        def sides(self, logits): return 1-logits.sigmoid(),logits.sigmoid()
    learn = fitted(learner('bounded'))
    assert type(learn.loss_func) is Bounded and math.isfinite(learn.recorder.values[0][0])
    loss = config_loss(dict(loss='bounded', class_weight='balanced'), learn.dls)
    assert type(loss) is Bounded and loss.balanced==('weight',) and loss.thresh==learn.labels.thresholds
    with pytest.raises(ValueError, match="does not suit labels of the kind 'single': expected \\['ce', 'focal'\\]"): learner('bounded', 'single')
    class Other(Bounded): pass
    assert add_loss('focal')(Other) is Other and table['focal']==(Other,MaskedFocalCELoss)
    add_loss('bounded')(Other)
    assert table['bounded']==(Other,)

@pytest.mark.parametrize('kind', ['single','ordinal','multi','soft','regression'])
def test_probs_of(kind):
    "The loss says what the probabilities are, else the kind of the labels does"
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    want = {'single':x.softmax(-1), 'ordinal':x.softmax(-1), 'multi':x.sigmoid(), 'soft':x.sigmoid(), 'regression':x}[kind]
    for o in (None, torch.nn.CrossEntropyLoss(), F.mse_loss): assert torch.equal(probs_of(o, x, kind), want)
    loss = MaskedBCELoss()
    loss.calibration = lambda o: np.full_like(o, 0.25)
    assert (probs_of(loss, x, kind)==0.25).all()

@pytest.mark.parametrize('kind', ['multi','single','ordinal'])
def test_balanced_from_training_rows(kind):
    "Factors come from the training rows, and only from those"
    learn = learner(MaskedBCELoss(weight='balanced', pos_weight='balanced') if kind=='multi' else loss_class('ce', kind)(weight='balanced'), kind)
    targs = torch.stack([y for _,y in learn.dls.train_ds]).as_subclass(torch.Tensor)
    torch.testing.assert_close(learn.loss_func.weight, balanced_weight(targs), check_dtype=False)
    if kind=='multi': torch.testing.assert_close(learn.loss_func.pos_weight, balanced_pos_weight(targs), check_dtype=False)

args = [('multi', MaskedBCELoss, dict(weight=[1.,9.])), ('multi', MaskedBCELoss, dict(pos_weight=[1.,9.])), ('multi', MaskedBCELoss, dict(pos_weight='balanced')),
        ('multi', MaskedBCELoss, dict(label_smoothing=.3)), ('multi', MaskedFocalLoss, dict(gamma=4.)), ('multi', MaskedFocalLoss, dict(alpha=.25)),
        ('multi', MaskedAsymmetricLoss, dict(gamma_neg=2.)), ('multi', MaskedAsymmetricLoss, dict(gamma_pos=3.)), ('multi', MaskedAsymmetricLoss, dict(clip=.4)),
        ('single', MaskedCELoss, dict(weight=[1.,9.])), ('single', MaskedCELoss, dict(label_smoothing=.3)), ('single', MaskedFocalCELoss, dict(gamma=4.)),
        ('ordinal', OrdinalLoss, dict(weight=[1.,9.,3.])), ('ordinal', OrdinalLoss, dict(weight='balanced')), ('ordinal', OrdinalLoss, dict(label_smoothing=.3))]

def head_after(loss, kind, **kwargs):
    "Weights of the head after an epoch, always from the same start"
    set_seed(0)
    return fitted(learner(loss, kind, **kwargs)).model.classifier.weight.detach()

@pytest.mark.parametrize('kind, cls, kw', args, ids=[f'{c.__name__}-{next(iter(k))}' for _,c,k in args])
def test_arguments_reach_training(kind, cls, kw):
    "Each argument leads to other weights, and without it they are the same"
    plain = head_after(cls(), kind)
    assert torch.equal(plain, head_after(cls(), kind))
    assert (head_after(cls(**kw), kind)-plain).abs().max()>1e-5

# Sample weights

def test_weights_reach_training():
    "With weights, the loss of the first batch is the weighted mean"
    learn = learner('bce', weight_col='w')
    x,y = learn.dls.one_batch()
    torch.manual_seed(0)
    logits = torch.randn(y.shape)
    each = MaskedBCELoss(reduction='none')(logits, torch.tensor(y.numpy()))
    assert learn.loss_func(logits, y)==pytest.approx(((each*y.sample_weight).sum()/y.sample_weight.sum()).item())

def test_weights_change_training():
    heads = [head_after('bce', 'multi', **kw) for kw in ({}, dict(weight_col='w'))]
    assert (heads[0]-heads[1]).abs().max()>1e-5

def test_foreign_loss_with_weights():
    with pytest.raises(ValueError, match='CrossEntropyLossFlat would ignore'): learner(CrossEntropyLossFlat(), 'single', weight_col='w')
    learner(CrossEntropyLossFlat(), 'single')

@pytest.mark.cuda
def test_on_a_gpu():
    for name,make in makers.items():
        logits,targs,sw = random_case(name)
        y = torch.tensor(targs).as_subclass(TensorBase)
        y.sample_weight = torch.tensor(sw, dtype=torch.float32)
        loss = make(weight=[.5,1.,2.,3.])
        on_cpu = loss(torch.tensor(logits), y)
        torch.testing.assert_close(loss(torch.tensor(logits).cuda(), to_device(y, 'cuda')).cpu(), on_cpu)
