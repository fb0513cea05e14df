"Calibration against scikit-learn, in JSON, on degenerate rows, and in everything that a learner shows"
import json,pickle

import numpy as np,pytest,torch
from fastai.learner import load_learner
from fastai.losses import CrossEntropyLossFlat
from fastai.torch_core import set_seed
from hypothesis import given,settings,strategies as st
from scipy.special import expit,softmax
from sklearn.base import BaseEstimator,ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV,calibration_curve
from sklearn.frozen import FrozenEstimator
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import brier_score_loss,f1_score
from toxicai.judge.calibration import *
from toxicai.data.loaders import *
from toxicai.text.core import *
from toxicai.judge.intervals import *
from toxicai.judge.judged import *
from toxicai.probabilities import *
from toxicai.labels import *
from toxicai.train.learner import *
from toxicai.train.verbs import *
from toxicai.train.losses import *
from toxicai.test_utils import comments,tiny_checkpoint
from toxicai.judge.thresholds import *

nan = float('nan')
methods = list(calibration_methods)
multi,single = LabelSet(['toxic','insult']),LabelSet(['a','b','c'], 'single')

def multi_case(n=1500, seed=0, gaps=0.1, factor=2.5, shift=1.):
    "Logits that are too large and shifted"
    rng = np.random.default_rng(seed)
    x = rng.normal(-0.5, 1.5, (n,2))
    targs = (rng.random((n,2))<expit(x)).astype(float)
    targs[rng.random((n,2))<gaps] = nan
    x = factor*x+shift
    return Judged(expit(x), targs, multi, logits=x)

def single_case(n=1200, seed=0, n_classes=3, factor=2.):
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 1.5, (n,n_classes))
    targs = (softmax(x, 1).cumsum(1)>rng.random((n,1))).argmax(1)
    targs[rng.random(n)<0.1] = -1
    labels = LabelSet([f'c{i}' for i in range(n_classes)], 'single')
    return Judged(softmax(factor*x, 1), targs, labels, logits=factor*x)

# Against scikit-learn

class Given(ClassifierMixin, BaseEstimator):
    "A classifier whose decision function is its input"
    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self
    def predict(self, X): raise AssertionError('the decision function is there')
    def decision_function(self, X): return X[:,0] if X.shape[1]==1 else X

def sk_probs(method, x, t):
    model = CalibratedClassifierCV(FrozenEstimator(Given().fit(x, t)), method=dict(platt='sigmoid').get(method, method)).fit(x, t)
    return model.predict_proba(x)

@pytest.mark.parametrize('method', methods)
def test_multi(method):
    "Two optimisers of one convex function agree to 1e-4; isotonic has one solution, in scikit-learn computed in float64 too"
    judged = multi_case()
    got = fit_calibration(judged, method)(judged.logits)
    for i in range(2):
        rows = ~np.isnan(judged.targs[:,i])
        want = sk_probs(method, judged.logits[rows,i:i+1], judged.targs[rows,i].astype(int))[:,1]
        np.testing.assert_allclose(got[rows,i], want, atol=1e-12 if method=='isotonic' else 2e-4)

@pytest.mark.parametrize('n_classes', [2,3,5])
@pytest.mark.parametrize('method', methods)
def test_single(method, n_classes):
    "scikit-learn's one against the rest, given the logit of each class against all others"
    judged = single_case(n_classes=n_classes)
    rows = judged.targs>=0
    x,t = judged.logits[rows],judged.targs[rows]
    got = fit_calibration(judged, method)(x)
    np.testing.assert_allclose(got.sum(1), 1, atol=1e-12)
    given = x if method=='temperature' and n_classes>2 else one_vs_rest(x)[:,1:] if n_classes==2 else one_vs_rest(x)
    np.testing.assert_allclose(got, sk_probs(method, given, t), atol=1e-12 if method=='isotonic' else 2e-4)

def test_isotonic_outside():
    "Logits beyond those that were fitted get the nearest end"
    judged = multi_case(gaps=0)
    fit = IsotonicRegression(out_of_bounds='clip').fit(judged.logits[:,0], judged.targs[:,0])
    x = np.linspace(-50, 50, 500)
    np.testing.assert_allclose(fit_calibration(judged, 'isotonic')(np.stack([x,x], 1))[:,0], fit.predict(x), atol=1e-12)

@pytest.mark.parametrize('strategy', ['quantile','uniform'])
@pytest.mark.parametrize('digits', [1,6])
def test_reliability(strategy, digits):
    rng = np.random.default_rng(0)
    p = rng.random(500).round(digits)
    t = rng.random(500)<p**2
    share,prob = calibration_curve(t, p, n_bins=15, strategy=strategy)
    res = reliability(t, p, 15, strategy)
    np.testing.assert_allclose(res.share, share, atol=1e-12)
    np.testing.assert_allclose(res.prob, prob, atol=1e-12)
    assert res.n.sum()==500

def loop_error(t, p, n_bins=15):
    "Expected calibration error in a loop over the bins, of equal width"
    edges = np.linspace(0, 1, n_bins+1)[1:-1]
    bins = np.array([sum(o<v for o in edges) for v in p])
    return sum((bins==b).mean()*abs(t[bins==b].mean()-p[bins==b].mean()) for b in set(bins))

@pytest.mark.parametrize('method', methods)
def test_table(method):
    judged = multi_case(shift=0. if method=='temperature' else 1.)
    res = calibrated(judged, method, n_boot=30)
    after = res.calibration(judged.logits)
    for i,k in enumerate(judged.labels):
        rows = ~np.isnan(judged.targs[:,i])
        t,row = judged.targs[rows,i],res.table.loc[k]
        for p,end in ((judged.probs[rows,i],''), (after[rows,i],'_after')):
            assert row[f'ece{end}']==pytest.approx(loop_error(t, p), abs=1e-9) and row[f'brier{end}']==pytest.approx(brier_score_loss(t, p), abs=1e-9)
            assert row[f'ece{end}_low']<=row[f'ece{end}']<=row[f'ece{end}_high'] and row[f'brier{end}_low']<row[f'brier{end}']<row[f'brier{end}_high']
        assert row.ece_after<row.ece/2 and row.brier_after<row.brier and (row.n,row.positive)==(len(t),t.sum())
        assert row.threshold==res.labels.thresholds[i]

def test_brier_interval():
    "The interval of the Brier score is that of a mean; quantiles of 1000 draws are off by less than a tenth of its width"
    judged = multi_case(gaps=0)
    row = calibrated(judged, n_boot=1000).table.iloc[0]
    e = (judged.probs[:,0]-judged.targs[:,0])**2
    np.testing.assert_allclose([row.brier_low,row.brier_high], e.mean()+np.array([-1,1])*1.96*e.std()/len(e)**.5, atol=0.002)

@pytest.mark.parametrize('method', methods)
@pytest.mark.parametrize('case', [multi_case, single_case])
def test_cross_fit(method, case):
    "Each half has the scores of the other half's fit"
    judged = case()
    res = calibrated(judged, method, cross_fit=True, n_boot=0)
    assert 'cross-fitted' in res.title and np.isnan(res.table.ece_low).all()
    t = judged.onehot()[:,0] if case is multi_case else judged.targs
    rows = np.flatnonzero(~np.isnan(t) & (t>=0))
    left = halves(t[rows])
    for fit,other in ((rows[left],rows[~left]), (rows[~left],rows[left])):
        want = fit_calibration(judged.take(fit), method)(judged.logits[other])[:,0]
        np.testing.assert_allclose(res.after[other,0], want, atol=1e-6)

def test_cross_fit_is_honest():
    "On few rows an isotonic line looks better on what it was fitted to"
    judged = multi_case(80, gaps=0)
    with pytest.warns(UserWarning, match='fewer than 1000 rows'): a,b = [calibrated(judged, 'isotonic', cross_fit=o, n_boot=0).table for o in (False,True)]
    assert (a.brier_after<b.brier_after).all() and (a.ece_after<b.ece_after).all()

# Decisions

@pytest.mark.parametrize('method', methods)
def test_decisions_stay(method):
    "To a new calibration, from one calibration to another, and back; isotonic lines may merge texts at a cut"
    judged = multi_case()
    labels = multi.with_thresholds([0.37,0.81])
    flags = labels.flags(judged.probs)
    for o in (fit_calibration(judged, method), fit_calibration(multi_case(seed=1), 'platt'), fit_calibration(judged, method), None):
        labels = labels.with_calibration(o)
        changed = labels.flags(labels.probs(judged.logits))!=flags
        if method=='isotonic': assert changed.mean()<0.1 and (flags<=labels.flags(labels.probs(judged.logits))).all()
        else: assert not changed.any()
    if method!='isotonic': np.testing.assert_allclose(labels.thresholds, [0.37,0.81], atol=1e-9)

def test_loss_keeps_its_precision():
    "Scores of fp64 logits are not rounded, or the metrics would see ties; half precision is computed in fp32"
    loss = MaskedBCELoss()
    loss.calibration = Calibration('temperature', [(1.1,)])
    x = torch.tensor([[30.],[31.]])
    assert loss.activation(x.double()).dtype==torch.float64 and (loss.activation(x.double()).diff(dim=0)>0).all()
    for o in (x, x.bfloat16(), x.half()): assert loss.activation(o).dtype==torch.float32

def test_same_calibration():
    "Nothing is computed, so nothing is rounded"
    for o in np.linspace(0, 1, 101).tolist(): assert multi.with_thresholds(o).with_calibration(None).thresholds==(o,o)

@pytest.mark.parametrize('method', methods)
def test_ends(method):
    "Thresholds of 0 and 1 stay: all texts, and none but the certain"
    labels = multi.with_thresholds([0,1]).with_calibration(fit_calibration(multi_case(), method))
    assert labels.thresholds[0]==pytest.approx(0, abs=1e-12 if method!='isotonic' else 0.2) and labels.thresholds[1]==pytest.approx(1, abs=1e-12 if method!='isotonic' else 0.2)

def test_logits_of():
    line = Calibration('isotonic', [((-2.,-1.,0.,1.),(0.1,0.4,0.4,0.9))])
    for p,want in ((0.05,-np.inf), (0.1,-np.inf), (0.25,-1.5), (0.4,-1.), (0.65,0.5), (0.9,1.), (0.95,np.inf)):
        assert line.logits_of([p])[0]==pytest.approx(want), p
    for p in (0.2,0.4,0.7): assert line(line.logits_of([p])[None])[0,0]==pytest.approx(p)

def test_changed():
    judged = single_case(300)
    with pytest.warns(UserWarning, match='fewer than 1000'): res = calibrated(judged, 'isotonic', n_boot=0)
    after = res.calibration(judged.logits)
    assert res.table.changed.sum()==2*(after.argmax(1)!=judged.probs.argmax(1)).sum()>0
    assert calibrated(judged, n_boot=0).table.changed.sum()==0

# Degenerate rows

@pytest.mark.parametrize('method', methods)
def test_one_side(method):
    "A class with one side keeps its scores, and is named once"
    judged = multi_case(1200)
    targs = judged.targs.copy()
    targs[:,1] = np.where(np.isnan(targs[:,1]), nan, 0)
    with pytest.warns(UserWarning) as w: res = calibrated(Judged(judged.probs, targs, multi, logits=judged.logits), method, n_boot=5)
    assert len(w)==1 and str(w[0].message).startswith('insult: the annotated rows')
    np.testing.assert_allclose(res.calibration(judged.logits)[:,1], judged.probs[:,1], atol=1e-12)
    assert np.isnan(res.table.ece_after.insult) and res.table.ece.insult>=0 and '–' in repr(res) and len(res.plot().axes)==2

@pytest.mark.parametrize('cross_fit', [False,True])
@pytest.mark.parametrize('method', methods)
@pytest.mark.parametrize('targs', [[[1,nan],[0,nan]], [[1,0],[0,1]], [[nan,nan],[nan,nan]]], ids=['one class','two','none'])
@pytest.mark.filterwarnings('ignore')
def test_two_rows(targs, method, cross_fit):
    x = np.array([[2.,1.],[1.,-1.]])
    res = calibrated(Judged(expit(x), targs, multi, logits=x), method, cross_fit, n_boot=3)
    p = res.calibration(x)
    assert np.isfinite(p).all() and ((p>=0)&(p<=1)).all()
    res.plot()
    assert res.labels==LabelSet.from_json(res.labels.to_json())

@pytest.mark.parametrize('method', methods)
@pytest.mark.filterwarnings('ignore:.*fewer than 1000')
@pytest.mark.filterwarnings('ignore:.*the edge of what')
def test_equal_scores(method):
    "The best that one score can say is the share, which a temperature reaches only on the right side of one half"
    x = np.full((200,1), 2.)
    targs = (np.arange(200)<140).astype(float)[:,None]
    p = fit_calibration(Judged(expit(x), targs, LabelSet(['a']), logits=x), method)(x)
    assert np.ptp(p)==0 and p[0,0]==pytest.approx(0.7, abs=0.01)

def test_edges():
    "Rows that the logits separate, or rank the wrong way round, are said"
    x = np.linspace(-3, 3, 100)[:,None]
    for targs,method in (((x>0),'temperature'), ((x<0),'temperature'), ((x<0),'platt')):
        with pytest.warns(UserWarning, match='the edge of what is allowed'): calibrated(Judged(expit(x), targs.astype(float), LabelSet(['a']), logits=x), method, n_boot=0)

@pytest.mark.parametrize('method', methods)
@pytest.mark.parametrize('labels', [multi,single], ids=['multi','single'])
def test_extreme(method, labels):
    "Finite and in [0,1] for any logits; rows of one-class labels sum to 1"
    params = dict(temperature=(2.,), platt=(1.5,-0.5), isotonic=((-1.,0.,2.),(0.,0.,0.8)))[method]
    cal = Calibration(method, [params]*len(labels), 'sigmoid' if labels is multi else 'softmax')
    for dtype in (np.float32,np.float64):
        x = np.array([1e4,-1e4,0.,30.,-30.,1e-8], dtype=dtype)[:,None]*np.array([1,-1,1][:len(labels)], dtype=dtype)
        p = cal(x)
        assert p.dtype==dtype and np.isfinite(p).all() and ((p>=0)&(p<=1)).all()
        if labels is single: np.testing.assert_allclose(p.sum(1), 1, atol=1e-6)
        np.testing.assert_array_equal(cal(x[0]), p[0])
    assert cal(np.zeros((0,len(labels)))).shape==(0,len(labels)) and cal(np.zeros((2,len(labels)), dtype=int)).dtype==float

def test_plain():
    "Without parameters it is the plain sigmoid and softmax"
    x = np.random.default_rng(0).normal(0, 20, (50,3))
    for method in methods:
        np.testing.assert_allclose(Calibration(method, [()]*3)(x), expit(x), rtol=1e-12)
        np.testing.assert_allclose(Calibration(method, [()]*3, 'softmax')(x), softmax(x, 1), atol=1e-12)
    np.testing.assert_allclose(LabelSet(['a','b','c']).probs(x), expit(x), rtol=1e-12)
    np.testing.assert_allclose(single.probs(x), softmax(x, 1), rtol=1e-10)

# JSON

unit,finite,positive = st.floats(0, 1),st.floats(-1e6, 1e6),st.floats(1e-6, 1e6)
lines = st.lists(st.tuples(finite, unit), min_size=1, max_size=6, unique_by=lambda o: o[0]).map(lambda o: (tuple(sorted(x for x,_ in o)),tuple(sorted(y for _,y in o))))
params = dict(temperature=st.tuples(positive), platt=st.tuples(positive, finite), isotonic=lines)

@given(st.sampled_from(methods), st.data())
@settings(max_examples=60, deadline=None)
def test_json(method, data):
    cal = Calibration(method, [data.draw(st.one_of(st.just(()), params[method])) for _ in range(3)])
    assert Calibration.from_dict(json.loads(json.dumps(cal.to_dict())))==cal and pickle.loads(pickle.dumps(cal))==cal
    labels = LabelSet(['a','b','c'], calibration=cal)
    assert LabelSet.from_json(labels.to_json())==labels and hash(labels)==hash(LabelSet.from_json(labels.to_json()))
    assert method in repr(labels) and method in labels._repr_html_()

def test_old_labels():
    "What was written before there was calibration is read"
    d = multi.to_dict()
    assert 'calibration' not in d and LabelSet.from_dict(d)==multi and LabelSet.from_dict({**d, 'calibration':None})==multi

good = Calibration('platt', [(1.,0.),()]).to_dict()
bad_json = {
    'a list': ([], TypeError, 'is a list'), 'no method': ({k:v for k,v in good.items() if k!='method'}, ValueError, "no ['method']"), 'extra': ({**good, 'x':1}, ValueError, "unknown ['x']"),
    'method': ({**good, 'method':'beta'}, ValueError, 'unknown'), 'method list': ({**good, 'method':[]}, ValueError, 'unknown'), 'activation': ({**good, 'activation':'relu'}, ValueError, "'sigmoid' or 'softmax'"),
    'classes': ({**good, 'classes':{}}, TypeError, 'expected a list'), 'none': ({**good, 'classes':[]}, TypeError, 'parameters of each class'), 'text': ({**good, 'classes':['a','b']}, TypeError, 'class 0 is a str'),
    'missing': ({**good, 'classes':[dict(slope=1)]}, ValueError, "no ['intercept']"), 'nan': ({**good, 'classes':[dict(slope=1, intercept=nan)]}, ValueError, 'finite'),
    'falls': ({**good, 'classes':[dict(slope=-1, intercept=0)]}, ValueError, 'above 0'), 'bool': ({**good, 'classes':[dict(slope=True, intercept=0)]}, ValueError, 'finite'), 'string': ({**good, 'classes':[dict(slope='1', intercept=0)]}, ValueError, 'finite'),
    'temperature 0': (dict(method='temperature', activation='sigmoid', classes=[dict(temperature=0)]), ValueError, 'above 0'),
    'temperatures': (dict(method='temperature', activation='softmax', classes=[dict(temperature=1),dict(temperature=2)]), ValueError, 'one temperature'),
    **{f'line {k}': (dict(method='isotonic', activation='sigmoid', classes=[dict(logits=x, probs=y)]), ValueError, 'isotonic calibration')
       for k,(x,y) in dict(empty=([],[]), length=([1,2],[0]), falls=([1,2],[0.5,0.4]), same=([1,1],[0.1,0.2]), above=([1,2],[0.1,1.1]), below=([1,2],[-0.1,1]), nan=([1,nan],[0.1,0.2]), number=(1,2)).items()}}

@pytest.mark.parametrize('name', bad_json)
def test_bad_json(name):
    d,err,msg = bad_json[name]
    with pytest.raises(err) as e: Calibration.from_dict(d)
    assert msg in str(e.value)

def test_bad_labels():
    for cal,err,msg in (('platt',TypeError,'expected a `Calibration`'), (Calibration('platt', [()]),ValueError,'is for 1 classes'), (Calibration('platt', [()]*2, 'softmax'),ValueError,'for a softmax')):
        with pytest.raises(err, match=msg): LabelSet(['a','b'], calibration=cal)

# The learner

class SoftmaxLoss(CrossEntropyLossFlat):
    "Cross entropy that applies a calibration"
    calibration = None
    def activation(self, x): return super().activation(x) if self.calibration is None else torch.from_numpy(self.calibration(x.float().cpu().numpy()))

@pytest.fixture(params=['multi','single'])
def learn(request):
    set_seed(0, reproducible=True)
    df = comments(120)
    df['text'] = [o+' thank you'*(i%5) for i,o in enumerate(df.text)]
    kw = dict(label_cols=['toxic','insult']) if request.param=='multi' else {}
    res = toxicity_learner(ToxicityDataLoaders.from_df(df, tiny_checkpoint(), bs=8, **kw), loss_func=None if kw else SoftmaxLoss())
    with res.no_bar(),res.no_logging(): res.fit(1, 1e-3)
    return res

@pytest.mark.parametrize('method', ['temperature','platt'])
@pytest.mark.filterwarnings('ignore:.*the edge of what')
def test_learner(learn, method, tmp_path):
    "One score, the calibrated one, in every verb, in metrics, and after export; the loss sees raw logits"
    x = learn.dls.valid_ds.items.text.iloc[0]
    with learn.no_bar():
        loss,raw = learn.validate()[0],learn.get_preds(act=lambda o: o)[0].numpy()
        res = learn.calibrate(method, n_boot=3)
        probs,_,decoded = learn.get_preds(with_decoded=True)
        want = res.calibration(raw)
        atol = 1e-6*max(1, *[o[0] for o in res.calibration.params]) # a steep line amplifies the noise of batches of other lengths
        assert learn.labels==res.labels and learn.loss_func.calibration is res.labels.calibration
        np.testing.assert_allclose(probs, want, atol=atol)
        assert np.abs(want-res.before.probs).max()>1e-3
        np.testing.assert_allclose(learn.classify([x]).iloc[0,1:].astype(float), want[0], atol=atol)
        np.testing.assert_allclose(learn.predict(x)[2], want[0], atol=atol)
        np.testing.assert_allclose(learn.judged().probs, want, atol=atol)
        assert learn.validate()[0]==pytest.approx(loss, abs=1e-6)
        flags = res.labels.flags(probs.numpy())
        if learn.labels.kind=='multi': assert decoded.tolist()==flags.tolist()==res.before.flags().tolist()
        else: assert decoded.tolist()==flags.argmax(1).tolist()
        learn.path = tmp_path
        learn.export()
        loaded = load_learner(tmp_path/'export.pkl')
        assert loaded.labels==res.labels
        with loaded.no_bar(): np.testing.assert_allclose(loaded.predict(x)[2], want[0], atol=atol)
        learn.labels = learn.labels.with_calibration(None)
        np.testing.assert_allclose(learn.get_preds()[0], res.before.probs, atol=atol)
        learn.fit(1, 1e-4)

def test_metrics_follow():
    "Thresholds, calibration and metrics agree, in either order"
    set_seed(0, reproducible=True)
    learn = toxicity_learner(ToxicityDataLoaders.from_df(comments(120), tiny_checkpoint(), label_cols=['toxic','insult'], bs=8))
    with learn.no_bar(),learn.no_logging():
        learn.fit(1, 1e-3)
        for f in (learn.tune_thresholds, lambda **kw: learn.calibrate('platt', **kw), learn.tune_thresholds):
            f(n_boot=0)
            learn.validate()
            judged = learn.judged()
            want = np.mean([f1_score(t, p>=np.float32(o)) for (t,p),o in zip((judged.known(i) for i in range(2)), learn.labels.thresholds)])
            assert learn.metrics[1].value==pytest.approx(want, abs=1e-9)

@pytest.mark.filterwarnings('ignore:.*the edge of what')
def test_foreign_loss():
    "A loss that cannot apply a calibration is refused, and nothing changes"
    learn = toxicity_learner(ToxicityDataLoaders.from_df(comments(40), tiny_checkpoint(), bs=8), loss_func=CrossEntropyLossFlat())
    before = learn.labels
    with learn.no_bar(),pytest.raises(ValueError, match='CrossEntropyLossFlat cannot calibrate'): learn.calibrate(n_boot=0)
    assert learn.labels is before
