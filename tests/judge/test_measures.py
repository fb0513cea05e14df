"The engine of figures against scikit-learn and torchmetrics: weights, gaps, ties, one-sided and exclusive classes, nothing at all; figures from outside"
import math,warnings

import numpy as np,pytest,torch
from hypothesis import given,settings,strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve
from torchmetrics.classification import BinaryCalibrationError,MulticlassCalibrationError
from toxicai.judge.calibration import *
from toxicai.judge.judged import *
from toxicai.judge.measures import *
from toxicai.judge.report import judge
from toxicai.labels import *

from samples import columns,numbers

nan = float('nan')
judging_flags = ('accuracy','precision','recall','f1','mcc')
by_class = dict(roc_auc=sk.roc_auc_score, average_precision=sk.average_precision_score, accuracy=sk.accuracy_score, precision=sk.precision_score,
                recall=sk.recall_score, f1=sk.f1_score, mcc=sk.matthews_corrcoef, log_loss=sk.log_loss, brier=sk.brier_score_loss)

def expected(name, targs, probs, thresh=0.5):
    "Figure of each class by scikit-learn on its known rows"
    res = []
    for t,p,c in zip(targs.T, probs.T, np.broadcast_to(thresh, targs.shape[1])):
        known = ~np.isnan(t)
        t,p = t[known],p[known]
        res.append(by_class[name](t, p>=c if name in judging_flags else p) if len(np.unique(t))==2 else nan)
    return np.array(res)

# Functions of arrays

@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('thresh', [0.5, (.1,.2,.3,.4,.7,.9)], ids=['one','own'])
@pytest.mark.parametrize('name', by_class)
def test_scores(name, thresh, seed):
    "Sums of 80 terms in fp64"
    targs,probs = columns(seed)
    want = expected(name, targs, probs, thresh)
    assert np.isnan(want).tolist()==[False,True,True,True,False,False]
    np.testing.assert_allclose(masked_scores(name, targs, probs, thresh), want, rtol=1e-12)
    known = ~np.isnan(want)
    assert masked_score(name, targs, probs, thresh)==pytest.approx(want[known].mean(), rel=1e-12)
    assert masked_score(name, targs, probs, thresh, 'weighted')==pytest.approx(np.average(want[known], weights=(targs==1).sum(0)[known]), rel=1e-12)

@pytest.mark.parametrize('name', by_class)
def test_micro(name):
    "One pool of all labels, of one-sided classes too"
    targs,probs = columns(1)
    t,p = [o[~np.isnan(targs)] for o in (targs,probs)]
    assert masked_score(name, targs, probs, average='micro')==pytest.approx(by_class[name](t, p>=0.5 if name in judging_flags else p), rel=1e-12)

@pytest.mark.parametrize('average', average_names)
@pytest.mark.parametrize('name', ['precision','recall','f1','roc_auc','average_precision'])
def test_averages_without_gaps(name, average):
    "The words mean what they mean in scikit-learn"
    rng = np.random.default_rng(5)
    targs,probs = rng.integers(0, 2, (60, 5)),rng.random((60, 5))
    assert masked_score(name, targs, probs, average=average)==pytest.approx(by_class[name](targs, probs>=0.5 if name in judging_flags else probs, average=average), rel=1e-12)

@pytest.mark.parametrize('n_classes', [2,4])
@pytest.mark.parametrize('average', average_names)
@pytest.mark.parametrize('name', ['precision','recall','f1'])
def test_exclusive_averages(name, average, n_classes):
    targs,probs = numbers(n_classes=n_classes)
    known = targs>=0
    want = by_class[name](targs[known], probs[known].argmax(1), average=average, labels=range(n_classes))
    assert masked_score(name, targs, probs, average=average)==pytest.approx(want, rel=1e-12)

@pytest.mark.parametrize('average', average_names)
def test_exclusive_auc(average):
    targs,probs = numbers(3)
    known = targs>=0
    assert masked_score('roc_auc', targs, probs, average=average)==pytest.approx(sk.roc_auc_score(targs[known], probs[known], multi_class='ovr', average=average), rel=1e-12)

wholes = dict(accuracy=lambda t,p: sk.accuracy_score(t, p.argmax(1)), mcc=lambda t,p: sk.matthews_corrcoef(t, p.argmax(1)),
              log_loss=lambda t,p: sk.log_loss(t, p), brier=lambda t,p: sk.brier_score_loss(t, p))

@pytest.mark.parametrize('n_classes', [2,3,6])
@pytest.mark.parametrize('name', wholes)
def test_exclusive_wholes(name, n_classes):
    "Of exclusive classes scikit-learn has one definition, whatever the average"
    targs,probs = numbers(n_classes=n_classes)
    known = targs>=0
    want = wholes[name](targs[known], probs[known])
    for o in average_names: assert masked_score(name, targs, probs, average=o)==pytest.approx(want, rel=1e-12)

@pytest.mark.parametrize('name', score_names)
def test_exclusive_is_one_against_the_rest(name):
    targs,probs = numbers(2)
    cols = np.where(targs[:,None]<0, nan, targs[:,None]==np.arange(4))
    chosen = (probs.argmax(1)[:,None]==np.arange(4)).astype(float)
    np.testing.assert_array_equal(masked_scores(name, targs, probs), masked_scores(name, cols, chosen if name in judging_flags else probs))

def test_exclusive_class_missing():
    "A class that no row has: no figure of its own, out of the means, and the whole-row scores still know it"
    targs,probs = numbers(gaps=0)
    targs[targs==3] = 0
    assert np.isnan(masked_scores('f1', targs, probs)).tolist()==[False]*3+[True]
    assert masked_score('f1', targs, probs)==pytest.approx(sk.f1_score(targs, probs.argmax(1), average='macro', labels=range(3)), rel=1e-12)
    assert masked_score('log_loss', targs, probs)==pytest.approx(sk.log_loss(targs, probs, labels=range(4)), rel=1e-12)

def test_decided():
    "Decisions by another rule than the most probable class, as of an ordinal loss"
    targs,probs = numbers(4)
    decided,known = np.roll(probs.argmax(1), 1),targs>=0
    for name,func in (('accuracy', sk.accuracy_score), ('mcc', sk.matthews_corrcoef)):
        assert masked_score(name, targs, probs, decided=decided)==pytest.approx(func(targs[known], decided[known]))
    want = sk.recall_score(targs[known], decided[known], average=None)
    np.testing.assert_allclose(masked_scores('recall', targs, probs, decided=decided), want)

@pytest.mark.parametrize('name', score_names)
def test_degenerate(name):
    "One row, one side, nothing known, nothing at all: NaN without a warning or an error"
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        for targs in ([[1.,0.]], [[nan,nan]], [[1.,0.],[1.,nan]], np.zeros((0,2))):
            assert np.isnan(masked_scores(name, targs, np.full((len(targs),2), 0.5))).all()
            assert math.isnan(masked_score(name, targs, np.full((len(targs),2), 0.5)))
        assert math.isnan(masked_score(name, [1,1,-1], np.full((3,2), 0.5)))
        assert math.isnan(masked_score(name, np.zeros(0, dtype=int), np.zeros((0,2))))

@pytest.mark.parametrize('name', score_names)
@pytest.mark.parametrize('p', [0.,0.5,1.])
def test_equal_scores(name, p):
    "A classifier that always says the same has figures"
    assert np.isfinite(masked_scores(name, [[1.],[0.],[0.]], np.full((3,1), p))).all()

@pytest.mark.parametrize('name', score_names)
def test_prediction_nan(name):
    "A network that overflowed has no figure for that class, on known rows; other classes keep theirs"
    targs,probs = np.array([[1.,1],[0,0],[nan,1]]),np.array([[.9,.8],[.2,nan],[nan,.7]])
    assert np.isnan(masked_scores(name, targs, probs)).tolist()==[False,True]
    assert math.isnan(masked_score(name, [0,1], [[.5,.5],[nan,nan]]))

def test_soft_targets():
    targs,probs = columns()
    soft = np.where(targs==1, 0.5, np.where(targs==0, 0.49, targs))
    for o in score_names: np.testing.assert_array_equal(masked_scores(o, soft, probs), masked_scores(o, targs, probs))

def test_gaps_count_for_nothing():
    "What is said where nobody annotated changes no bit"
    targs,probs = columns(ties=False)
    other = np.where(np.isnan(targs), 1-probs, probs)
    for o in score_names:
        np.testing.assert_array_equal(masked_scores(o, targs, probs), masked_scores(o, targs, other))
        assert masked_score(o, targs, probs, average='micro')==masked_score(o, targs, other, average='micro')

def test_arguments_stay():
    targs,probs = columns()
    before = targs.copy(),probs.copy()
    for o in score_names: masked_score(o, targs, probs)
    np.testing.assert_array_equal(targs, before[0])
    np.testing.assert_array_equal(probs, before[1])

def test_at():
    targs,probs = columns()
    np.testing.assert_array_equal(masked_scores('f1', targs, probs, at=[5,1]), masked_scores('f1', targs, probs)[[5,1]])

@pytest.mark.parametrize('thresh', [0.1,0.3,0.7])
def test_thresholds_as_the_labels(thresh):
    "A score that is the threshold in fp32 counts, as for `LabelSet.flags`: in fp64 0.7 is more than in fp32, 0.1 is less"
    probs = np.array([[thresh],[0.01],[0.99]], dtype=np.float32)
    assert masked_score('accuracy', [[1.],[0.],[1.]], probs, thresh)==1
    assert LabelSet(['toxic'], thresholds=thresh).flags(probs).ravel().tolist()==[True,False,True]

@pytest.mark.parametrize('targs,probs,match', [
    ([[1.,-1]], [[.5,.5]], 'holds -1 in row 0'), ([[0.,1],[2,0]], [[.5,.5]]*2, 'holds 2 in row 1'), ([0,2], [[.5,.5]]*2, 'class numbers below 2'),
    ([0.5,1], [[.5,.5]]*2, 'holds 0.5 in row 0'), ([-2,1], [[.5,.5]]*2, 'holds -2'), ([[1.,0]], [[.5,.5]]*2, 'for the same rows'),
    ([[1.,0,1]], [[.5,.5]], r'shape \(1, 3\)'), ([[1.,0]], [[5.,.5]], 'are they logits'), ([1,0], [.5,.5], 'expected .n, n_classes.')])
def test_bad_arrays(targs, probs, match):
    for name in ('f1','roc_auc','log_loss','ece'):
        with pytest.raises(ValueError, match=match): masked_scores(name, targs, probs)
        with pytest.raises(ValueError, match=match): masked_score(name, targs, probs)

@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.data())
def test_any_arrays(data):
    "Whatever is known and said: figures in their range, or NaN exactly where a side is missing"
    n,c = data.draw(st.integers(0, 12)),data.draw(st.integers(1, 3))
    targs = data.draw(arrays(float, (n,c), elements=st.sampled_from([0.,1.,.5,.2,nan])))
    probs = data.draw(arrays(float, (n,c), elements=st.floats(0, 1)))
    cols = target_columns(targs, c)
    both = [len({v for v in o if v==v})==2 for o in cols.T]
    for name in score_names:
        res = masked_scores(name, targs, probs)
        assert (~np.isnan(res)).tolist()==both
        low,high = (-1,1) if name=='mcc' else (0,40) if name=='log_loss' else (0,1)
        assert ((res>=low-1e-12) & (res<=high+1e-12))[both].all()

# Calibration

@pytest.mark.parametrize('n_bins', [1,5,15])
def test_calibration_error(n_bins):
    "torchmetrics computes in fp32"
    targs,probs = columns(2, n=400, ties=False)
    for t,p,got in zip(targs.T, probs.T, calibration_error(targs, probs, n_bins)):
        known = ~np.isnan(t)
        if len(np.unique(t[known]))<2: assert math.isnan(got)
        else: assert got==pytest.approx(BinaryCalibrationError(n_bins)(torch.tensor(p[known]), torch.tensor(t[known]).long()).item(), abs=1e-6)

def test_confidence_error():
    "Of exclusive classes: the probability of the most probable one against how often it is right"
    targs,probs = numbers(n=400)
    want = MulticlassCalibrationError(4, n_bins=15, ignore_index=-1)(torch.tensor(probs), torch.tensor(targs)).item()
    assert masked_score('ece', targs, probs)==pytest.approx(want, abs=1e-6)
    known = targs>=0
    right,confidence = (probs.argmax(1)==targs)[known,None],probs.max(1)[known,None]
    assert masked_score('ece_mass', targs, probs)==calibration_error(right, confidence, bins='mass')[0]

@pytest.mark.parametrize('bins,strategy', [('width','uniform'),('mass','quantile')])
@pytest.mark.parametrize('digits', [1,9], ids=['ties','no ties'])
def test_bins(bins, strategy, digits):
    "The reliability diagram is scikit-learn's; rows on an edge and equal scores too"
    targs,probs = columns(3, n=300, ties=False)
    t,p = targs[:,0],probs[:,0].round(digits)
    known = ~np.isnan(t)
    share,prob = calibration_curve(t[known], p[known], n_bins=10, strategy=strategy)
    got = calibration_bins(t, p, 10, bins)
    filled = got[got['n']>0]
    np.testing.assert_allclose(filled['share'], share, rtol=1e-12)
    np.testing.assert_allclose(filled['prob'], prob, rtol=1e-12)
    assert got['n'].sum()==known.sum() and got['low'].iloc[1:].tolist()==got['high'].iloc[:-1].tolist()
    want = (filled['n']*(filled['prob']-filled['share']).abs()).sum()/known.sum()
    assert calibration_error(t[:,None], p[:,None], 10, bins)[0]==pytest.approx(want, rel=1e-12)

def test_bins_of_equal_mass():
    p = np.random.default_rng(0).random(150)**3
    assert calibration_bins((p>0.2).astype(float), p, 15, 'mass')['n'].tolist()==[10]*15
    assert masked_scores('ece_mass', (p>0.2)[:,None], p[:,None])==calibration_error((p>0.2)[:,None], p[:,None], bins='mass')

# Weights

def sk_ece(t, p, w, strategy):
    "Calibration error with weights, by a loop over the bins of scikit-learn's `calibration_curve`"
    parts = np.linspace(0, 1, 16)
    bins = np.searchsorted((np.percentile(p, 100*parts) if strategy=='quantile' else parts)[1:-1], p)
    return sum(abs((w*(p-t))[bins==b].sum()) for b in range(15))/w.sum()

def sk_weighted(name, t, p, w):
    "`name` of one class by scikit-learn, with the weights `w`"
    if name=='ece': return sk_ece(t, p, w, 'uniform')
    if name=='ece_mass': return sk_ece(t, p, w, 'quantile')
    kw = dict(zero_division=0) if name in ('precision','recall','f1') else {}
    func = by_class['roc_auc' if name=='mean_columnwise_auc' else name]
    return func(t, p>=0.5 if name in judging_flags else p, sample_weight=w, **kw)

weightings = dict(counts=lambda rng,n: rng.integers(0, 4, n).astype(float), fractions=lambda rng,n: rng.random(n), ones=lambda rng,n: np.ones(n))

@pytest.mark.parametrize('digits', [1,2,9], ids=['many ties','ties','no ties'])
@pytest.mark.parametrize('weights', weightings)
@pytest.mark.parametrize('name', score_names)
def test_weights(name, weights, digits):
    "Sums of 70 terms in fp64; rows without an annotation have weights too, which count for nothing"
    for seed in range(3):
        rng = np.random.default_rng(seed)
        t,p,w = rng.integers(0, 2, 90).astype(float),rng.random(90).round(digits),weightings[weights](rng, 90)
        t[rng.random(90)<0.2] = nan
        known = ~np.isnan(t)
        want = sk_weighted(name, t[known], p[known], w[known])
        assert class_score(name, t, p, weights=w)==pytest.approx(want, rel=1e-11, abs=1e-14)

@pytest.mark.parametrize('name', [o for o in score_names if o!='ece_mass'])
def test_weights_are_copies(name):
    "A row that counts twice is a row that is there twice; only bins of equally many rows stay those of the whole"
    rng = np.random.default_rng(3)
    t,p,w = rng.integers(0, 2, 60),rng.random(60).round(1),rng.integers(0, 4, 60)
    assert class_score(name, t, p, weights=w)==pytest.approx(class_score(name, np.repeat(t, w), np.repeat(p, w)), rel=1e-12)
    cols = np.stack([t,1-t], 1)
    both = masked_scores(name, cols, np.stack([p,1-p], 1))
    assert both[0]==pytest.approx(class_score(name, t, p), rel=1e-12)

whole_names = [k for k,o in measure_table.items() if o.whole]

@pytest.mark.parametrize('n_classes', [2,3,5])
@pytest.mark.parametrize('name', whole_names)
def test_exclusive_weights(name, n_classes):
    "Of exclusive classes together; scikit-learn's Brier score takes weights too"
    t,p = numbers(n_classes=n_classes)
    w = np.random.default_rng(1).integers(0, 4, len(t)).astype(float)
    known = t>=0
    got = measure(name).of_rows(ExclusiveRows(t, p).weighed(w[known]))
    t,p,w = t[known],p[known],w[known]
    if name in ('ece','ece_mass'): want = sk_ece(p.argmax(1)==t, p.max(1), w, dict(ece='uniform', ece_mass='quantile')[name])
    else:
        func = dict(accuracy=sk.accuracy_score, mcc=sk.matthews_corrcoef, log_loss=sk.log_loss, brier=sk.brier_score_loss)[name]
        want = func(t, p.argmax(1) if name in judging_flags else p, sample_weight=w)
    assert got==pytest.approx(want, rel=1e-11)

def test_all_flagged_and_none():
    "0/0: a precision without flags is 0, as is the correlation of one decision for all; what lacks its rows in the truth is NaN"
    none,every = CutCounts(0, 0, 3, 5),CutCounts(3, 5, 0, 0)
    assert none.precision==none.recall==none.f1==0 and none.mcc==every.mcc==0
    empty = CutCounts(0, 0, 0, 0)
    assert empty.precision==0 and all(map(np.isnan, (empty.recall,empty.fpr,empty.fnr,empty.f1,empty.accuracy,empty.cost([(0,1),(1,0)]))))
    assert np.isnan(CutCounts(0, 2, 0, 3).recall) and np.isnan(CutCounts(2, 0, 1, 0).fpr)

@pytest.mark.parametrize('beta', [0.5,1,2])
def test_cells(beta):
    rng = np.random.default_rng(2)
    t,f,w = rng.integers(0, 2, 50),rng.integers(0, 2, 50),rng.integers(0, 4, 50)
    c = RankedClass(t, f.astype(float), f==1).weighed(w).counts
    tn,fp,fn,tp = sk.confusion_matrix(t, f, sample_weight=w).ravel()
    assert c==CutCounts(tp, fp, fn, tn)
    assert c.fbeta(beta)==pytest.approx(sk.fbeta_score(t, f, beta=beta, sample_weight=w))
    assert c.mcc==pytest.approx(sk.matthews_corrcoef(t, f, sample_weight=w)) and c.accuracy==pytest.approx(sk.accuracy_score(t, f, sample_weight=w))
    assert (c.fpr,c.fnr)==pytest.approx((fp/(fp+tn),fn/(fn+tp)))

@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.data())
def test_any_ranks(data):
    "AUC and average precision of any ties and weights"
    n = data.draw(st.integers(2, 15))
    t = np.array([0,1]+data.draw(st.lists(st.integers(0, 1), min_size=n-2, max_size=n-2)))
    p = data.draw(arrays(float, n, elements=st.sampled_from([0.,.25,.5,.75,1.])))
    w = np.array([1,1]+data.draw(st.lists(st.integers(0, 3), min_size=n-2, max_size=n-2)))
    assert class_score('roc_auc', t, p, weights=w)==pytest.approx(sk.roc_auc_score(t, p, sample_weight=w), abs=1e-12)
    assert class_score('average_precision', t, p, weights=w)==pytest.approx(sk.average_precision_score(t, p, sample_weight=w), abs=1e-12)

@pytest.mark.parametrize('name', score_names)
def test_degenerate_weights(name):
    "Weights that leave one side only, or nothing, leave no figure"
    for w in ([1,1,0], [0,0,1], [0,0,0]): assert math.isnan(class_score(name, [1,1,0], [.9,.2,.4], weights=w))
    assert math.isnan(class_score(name, [], [])) and math.isnan(class_score(name, [nan,nan], [.9,.2]))

# One meaning, wherever it is shown

def test_one_ece():
    "Recorder, report and the table of a calibration say the same"
    rng = np.random.default_rng(0)
    logits = rng.normal(-1, 2, (600,2))
    t,p = (rng.random((600,2))<1/(1+np.exp(-logits))).astype(float),1/(1+np.exp(-2*logits))
    judged = Judged(p, t, LabelSet(['toxic','insult']), logits=2*logits)
    per = score_tables(judged, n_boot=0)[0]
    table = calibrated(judged, n_boot=0).table
    for name in ('ece','brier'):
        np.testing.assert_allclose(masked_scores(name, t, p), per[per.metric==name].value, rtol=1e-12)
        np.testing.assert_allclose(masked_scores(name, t, p), table[name], rtol=1e-12)
    t,p = numbers(n=300)
    whole = score_tables(Judged(p, t, LabelSet(list('abcd'), 'single')), n_boot=0)[1]
    for name in ('ece','mcc','accuracy','log_loss','roc_auc'): assert whole.set_index('metric').value[name]==pytest.approx(masked_score(name, t, p), rel=1e-12)

def test_lost_class():
    "A draw without the only positive of a class has no mean over the classes, and has the pooled figures; so the mean has no interval"
    rng = np.random.default_rng(0)
    t,p = (rng.random((40,2))<0.4).astype(float),rng.random((40,2))
    t[:,1] = 0
    t[3,1] = 1
    whole = score_tables(Judged(p, t, LabelSet(['a','b'])), n_boot=50, seed=3)[1].set_index('metric')
    draws = np.random.default_rng(3)
    rows = [draws.integers(0, 40, 40) for _ in range(50)]
    kept = [o for o in rows if 3 in o]
    assert 20<len(kept)<45
    micro = [sk.f1_score(t[o].ravel(), p[o].ravel()>=0.5) for o in rows]
    assert np.isnan([whole.low['roc_auc'],whole.high['roc_auc']]).all()
    assert (whole.low['f1_micro'],whole.high['f1_micro'])==pytest.approx(tuple(np.quantile(micro, [.025,.975])))

def test_lost_in_few_draws():
    "Where few draws lack a class, they count at both ends of the mean's interval"
    rng = np.random.default_rng(0)
    t,p = (rng.random((60,2))<0.4).astype(float),rng.random((60,2))
    t[:,1] = np.arange(60)<4
    whole = score_tables(Judged(p, t, LabelSet(['a','b'])), n_boot=200, seed=3)[1].set_index('metric')
    draws = np.random.default_rng(3)
    rows = [draws.integers(0, 60, 60) for _ in range(200)]
    lost = [o for o in rows if not (o<4).any()]
    assert 0<len(lost)<5
    auc = sorted(np.mean([sk.roc_auc_score(t[o,i], p[o,i]) for i in range(2)]) for o in rows if (o<4).any())
    low,high = np.quantile([-9]*len(lost)+auc, .025),np.quantile(auc+[9]*len(lost), .975)
    assert (whole.low['roc_auc'],whole.high['roc_auc'])==pytest.approx((low,high))

def test_rare_answers():
    t = np.stack([np.arange(100)%2, np.arange(100)<3, np.arange(100)>=1, np.arange(100)<10], 1).astype(float)
    found = rare_answers(Judged(np.full((100,4), 0.3), t, LabelSet(list('abcd'))))
    assert list(found)==['b','c'] and found['b'].startswith('3 yes in 100 rows') and found['c'].startswith('1 no in 100 rows')

# From outside

@pytest.fixture
def excess():
    "A figure that the table does not have: flags for each positive, less one"
    add_measure('excess', lambda t,f: f.sum()/t.sum()-1, flags=True, whole=lambda t,p,decided: (decided==0).sum()/(t==0).sum()-1)
    yield 'excess'
    del measure_table['excess']

def test_added_measure(excess):
    "One call, and scores, reports, the page and resamples know it"
    targs,probs = columns(7)
    flags = probs>=0.5
    got = masked_scores('excess', targs, probs)
    for i,(t,f) in enumerate(zip(targs.T, flags.T)):
        if not np.isnan(got[i]): assert got[i]==pytest.approx(f[~np.isnan(t)].sum()/np.nansum(t)-1)
    judged = Judged(probs, targs, LabelSet([f'c{i}' for i in range(6)]))
    per,whole = score_tables(judged, n_boot=5)
    np.testing.assert_allclose(per[per.metric=='excess'].value, got)
    assert per.metric.iloc[len(reported_scores())-1]=='excess' and whole.set_index('metric').value['excess_macro']==pytest.approx(np.nanmean(got))
    shown = judge(judged, n_boot=0).tables
    assert 'excess' in shown['Each label: decisions'].astype(str).to_string() and 'excess_macro' in shown['All labels'].to_string()
    rows = np.repeat(np.arange(80), 2)
    one = RankedClass(targs[:,0], probs[:,0])
    assert measure('excess').of_class(one.weighed(np.full(len(one.t), 2)))==pytest.approx(class_score('excess', targs[rows,0], probs[rows,0]))

def test_added_measure_of_exclusive(excess):
    targs,probs = numbers(8)
    whole = score_tables(Judged(probs, targs, LabelSet(list('abcd'), 'single')), n_boot=3)[1].set_index('metric')
    want = (probs[targs>=0].argmax(1)==0).sum()/(targs==0).sum()-1
    assert whole.value['excess']==pytest.approx(want)==masked_score('excess', targs, probs) and whole.low['excess']<=whole.high['excess']

def test_added_names():
    with pytest.raises(ValueError, match='already'): add_measure('f1', None)
    with pytest.raises(ValueError, match='does not end with an average'): add_measure('mine_micro', None)
    assert set(built_in_scores)==set(score_names)
