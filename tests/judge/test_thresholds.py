"Thresholds against a search over every cut in a loop and against scikit-learn; intervals; degenerate rows; the learner"
import warnings

import numpy as np,pandas as pd,pytest
from fastai.learner import load_learner
from fastai.torch_core import set_seed
from sklearn.metrics import confusion_matrix,f1_score,precision_recall_curve,precision_score,recall_score,roc_auc_score
from toxicai.data.loaders import *
from toxicai.text.core import *
from toxicai.judge.intervals import *
from toxicai.judge.judged import *
from toxicai.judge.measures import *
from toxicai.labels import *
from toxicai.train.learner import *
from toxicai.train.verbs import *
from toxicai.test_utils import comments,tiny_checkpoint
from toxicai.judge.thresholds import *

nan = float('nan')

def random_case(seed, n=60, ties=True, gaps=0.2, dtype=float):
    "Targets with gaps and shares, and scores with ties; shape (n,)"
    rng = np.random.default_rng(seed)
    targs = rng.choice([0,0.2,0.5,1], n, p=[.4,.2,.1,.3])
    probs = np.clip(rng.normal(0.3+0.3*(targs>=0.5), 0.25), 0, 1)
    targs[rng.random(n)<gaps] = nan
    return targs,(probs.round(1) if ties else probs).astype(dtype)

def annotated(targs, probs):
    rows = ~np.isnan(targs)
    return (targs[rows]>=0.5).astype(int),probs[rows]

# Every cut in a loop

def one_cut(t, flags, metric, beta):
    "(bound kept, what to maximise) of one cut, from its four counts; precision is undefined without flags"
    tp,fp,fn,tn = [int(o.sum()) for o in (t&flags, (1-t)&flags, t&~flags, (1-t)&~flags)]
    precision,recall,fpr = tp/(tp+fp) if tp+fp else -1,tp/(tp+fn),fp/(fp+tn)
    if metric in ('f1','fbeta'): return True,(1+beta**2)*precision*recall/(beta**2*precision+recall) if tp else 0.
    if not isinstance(metric[0], str): return True,-(np.array(metric)*[[tn,fp],[fn,tp]]).sum()/len(t)
    name,bound = metric
    if name=='precision': return precision>=bound,(recall,precision)
    return (recall>=bound,(precision,recall)) if name=='recall' else (fpr<=bound,(recall,-fpr))

def brute(t, p, metric, beta=1.):
    "Flags of the best cut: the bound first, then the metric; of equal ones the highest cut; where no cut keeps the bound, of 1"
    cuts = [p>=o for o in [2.,*sorted(set(p), reverse=True)]]
    if p.max()>=1: cuts = cuts[1:]
    found = [one_cut(t, o, metric, beta) for o in cuts]
    if any(ok for ok,_ in found): key = [(ok, v[0] if isinstance(v, tuple) else v) for ok,v in found]
    else: return p>=1
    return cuts[max(range(len(cuts)), key=lambda i: (*map(lambda o: round(float(o), 12), key[i]), -i))]

metrics = ['f1', ('precision',0.8), ('precision',0.999), ('recall',0.95), ('recall',0.), ('fpr',0.05), ('fpr',0.), ((0,1),(5,0)), ((0,3),(1,-1))]

@pytest.mark.filterwarnings('ignore:no threshold gives')
@pytest.mark.parametrize('ties', [True, False], ids=['ties','no ties'])
@pytest.mark.parametrize('metric', metrics, ids=str)
def test_brute(metric, ties):
    for seed in range(12):
        targs,probs = random_case(seed, ties=ties)
        t,p = annotated(targs, probs)
        np.testing.assert_array_equal(p>=best_threshold(targs, probs, metric), brute(t, p, metric), err_msg=f'seed {seed}')

@pytest.mark.parametrize('beta', [0.5,2.,5.])
def test_fbeta(beta):
    for seed in range(6):
        targs,probs = random_case(seed)
        t,p = annotated(targs, probs)
        np.testing.assert_array_equal(p>=best_threshold(targs, probs, 'fbeta', beta), brute(t, p, 'fbeta', beta))

def test_precision_recall_curve():
    "The same maxima as on scikit-learn's curve"
    for seed in range(10):
        t,p = annotated(*random_case(seed, n=500, ties=False))
        precision,recall,_ = precision_recall_curve(t, p)
        f1 = 2*precision*recall/np.maximum(precision+recall, 1e-12)
        assert f1_score(t, p>=best_threshold(t, p))==pytest.approx(f1.max(), abs=1e-12)
        flags = p>=best_threshold(t, p, ('precision',0.6))
        assert precision_score(t, flags)>=0.6 and recall_score(t, flags)==recall[:-1][precision[:-1]>=0.6].max()
        flags = p>=best_threshold(t, p, ('recall',0.9))
        assert recall_score(t, flags)>=0.9 and precision_score(t, flags)==precision[recall>=0.9].max()

# Cuts

@pytest.mark.parametrize('dtype', ['float16','float32','float64'])
def test_neighbours(dtype):
    "Between scores that are neighbours in their precision there is no middle: the upper one is the threshold"
    lo = np.array([0.3], dtype=dtype)
    p = np.concatenate([lo, np.nextafter(lo, np.array(1, dtype=dtype))])
    thresh = best_threshold([0,1], p)
    assert LabelSet(['a'], thresholds=thresh).flags(p[:,None]).ravel().tolist()==[False,True]

def test_counts():
    t,p = annotated(*random_case(3))
    cuts = Cuts(t, p)
    w = np.random.default_rng(0).integers(0, 4, len(t))
    for i,o in enumerate(cuts.thresholds):
        tn,fp,fn,tp = confusion_matrix(t, p>=o, sample_weight=w, labels=[0,1]).ravel()
        assert [float(v[i]) for v in cuts.counts(w)]==[tp,fp,fn,tn]
    x = np.array([0,0.3,0.31,1])
    assert [tuple(o) for o in np.array(cuts.at(x)).T]==[((t*f).sum(),((1-t)*f).sum(),(t*~f).sum(),((1-t)*~f).sum()) for f in (p>=o for o in x)]

@pytest.mark.parametrize('metric', metrics[:-2]+['fbeta',((0,1),(5,0))], ids=str)
def test_serving(metric):
    "The cuts that the bootstrap searches have the best of all in every draw"
    goal,rng = Goal(metric, 2. if metric=='fbeta' else 1.),np.random.default_rng(1)
    for seed in range(5):
        t,p = annotated(*random_case(seed))
        cuts = Cuts(t, p)
        some = cuts.serving()
        for _ in range(20):
            w = np.bincount(rng.integers(0, len(t), len(t)), minlength=len(t))
            a,b = goal.rank(cuts.counts(w)),goal.rank(some.counts(w))
            assert a.max()==b.max() and cuts.thresholds[a.argmax()]==some.thresholds[b.argmax()]

# Degenerate rows

@pytest.mark.parametrize('targs', [[],[1,1],[0,0],[nan,nan],[1,nan]], ids=str)
def test_one_side(targs):
    assert np.isnan(best_threshold(targs, [0.2]*len(targs)))

def test_two_rows():
    assert best_threshold([1,0], [0.8,0.2])==0.5
    assert best_threshold([0,1], [0.8,0.2])==pytest.approx(0.1)
    assert 0<=best_threshold([0,1], [1.,0.])<=0

def test_equal_scores():
    assert best_threshold([1,0,1], [0.4]*3)==pytest.approx(0.2)
    assert best_threshold([1,0,1], [0.4]*3, ('fpr',0.1))==pytest.approx(0.7)
    assert best_threshold([1,0,1], [0.]*3)==0
    with pytest.warns(UserWarning, match='fpr of at most 0.1: the best is 1.000 at .*, 1 is taken, which flags 3 of 3 texts'): best_threshold([1,0,1], [1.]*3, ('fpr',0.1))

def test_unattainable():
    with pytest.warns(UserWarning, match='no threshold gives a precision of at least 0.9: the best is 0.667 at 0.250, 1 is taken, which flags 0 of 3 texts'):
        assert best_threshold([0,1,1], [0.9,0.5,0.5], ('precision',0.9))==1

bad = {'shapes': (([0,1],[0.1]), 'expected one class'), 'logits': (([0,1],[0.1,2.]), 'are they logits'), 'two columns': (([[0,1]],[[0.1,0.2]]), 'expected one class')}
@pytest.mark.parametrize('name', bad)
def test_bad(name):
    args,msg = bad[name]
    with pytest.raises(ValueError, match=msg): best_threshold(*args)

@pytest.mark.parametrize('metric,beta', [('auc',1),('recall',1),(('recall',1.5),1),(('f1',0.5),1),(None,1),(((0,1),),1),(((1,1),(1,0)),1),(((0,nan),(1,0)),1),('fbeta',0),('fbeta','2'),('f1',2)], ids=str)
def test_bad_goal(metric, beta):
    with pytest.raises(ValueError): Goal(metric, beta)

# Intervals

def test_bootstrap_agrees():
    "Rows and counts are the same draws, and the mean has the interval of the normal distribution: its quantiles from 2000 draws are off by 0.004 at most"
    rng = np.random.default_rng(0)
    t,p = rng.random(300)<0.4,rng.random(300)
    p = p+t
    a = bootstrap(lambda o: roc_auc_score(t[o], p[o]), 300, n_boot=50)
    b = bootstrap(lambda w: roc_auc_score(t, p, sample_weight=w), 300, n_boot=50, counted=True)
    np.testing.assert_allclose(a, b, rtol=1e-12)
    low,high = bootstrap(lambda o: p[o].mean(), 300, n_boot=2000)
    half = 1.96*p.std()/300**.5
    np.testing.assert_allclose([low,high], [p.mean()-half,p.mean()+half], atol=0.01)
    assert bootstrap(lambda o: p[o].mean(), 300, level=0.5)[0]>low

def test_bootstrap_shapes():
    low,high = bootstrap(lambda o: [o.min(),nan,1.], 20, n_boot=30)
    assert low.shape==high.shape==(3,) and np.isnan(low[1]) and low[2]==high[2]==1
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert np.isnan(bootstrap(lambda o: o.mean(), 0)).all() and np.isnan(bootstrap(lambda o: nan, 5)).all() and np.isnan(bootstrap(lambda o: o.mean(), 5, n_boot=0)).all()

def test_metric_interval():
    "The multinomial draw has the distribution of the draw of rows; quantiles of 2000 draws of an F1 with a spread of 0.03 differ by less than 0.01"
    t,p = annotated(*random_case(0, n=400))
    flags = p>=0.4
    want = bootstrap(lambda o: 2*(t[o]&flags[o]).sum()/(t[o].sum()+flags[o].sum()), len(t), n_boot=2000)
    cuts = Cuts(t, p).at([0.4])
    np.testing.assert_allclose(metric_interval(Goal(), CutCounts(*[float(o[0]) for o in cuts]), n_boot=2000), want, atol=0.01)

def test_threshold_interval():
    "As by tuning on each draw, up to the middle between scores of which some were not drawn"
    targs,probs = random_case(1, n=300, gaps=0)
    t,p = annotated(targs, probs)
    want = bootstrap(lambda o: best_threshold(t[o], p[o]), len(t), n_boot=100)
    row = tuned_thresholds(Judged(probs[:,None], targs[:,None], LabelSet(['a'])), n_boot=100).table.iloc[0]
    np.testing.assert_allclose([row.low,row.high], want, atol=0.06)

# All classes

def judged_case(n=400, seed=0):
    rng = np.random.default_rng(seed)
    targs = (rng.random((n,3))<[0.4,0.1,0.02]).astype(float)
    probs = 1/(1+np.exp(-rng.normal(3*targs-2, 1)))
    targs[rng.random((n,3))<0.1] = nan
    return Judged(probs, targs, LabelSet(['toxic','insult','threat'], thresholds=[0.5,0.3,0.9]))

@pytest.mark.parametrize('cross_fit', [False,True])
def test_table(cross_fit):
    judged = judged_case()
    res = tuned_thresholds(judged, cross_fit=cross_fit, n_boot=20)
    for i,k in enumerate(judged.labels):
        t,p = judged.known(i)
        row = res.table.loc[k]
        assert row.threshold==best_threshold(judged.targs[:,i], judged.probs[:,i])==res.labels.thresholds[i] and row.old==judged.labels.thresholds[i]
        assert (row.n,row.positive)==(len(t),t.sum()) and row.before==pytest.approx(f1_score(t, p>=row.old), abs=1e-12)
        flags = p>=row.threshold
        if cross_fit:
            left = halves(t)
            flags = np.where(left, p>=best_threshold(t[~left], p[~left]), p>=best_threshold(t[left], p[left]))
        assert row.after==pytest.approx(f1_score(t, flags), abs=1e-12) and row.recall==recall_score(t, flags) and row.precision==precision_score(t, flags)
        assert row.low<=row.threshold<=row.high or row.positive<20
    assert ('cross-fitted' in repr(res)) is cross_fit and ('optimistic' in res._repr_html_()) is not cross_fit
    assert res.judged.labels==judged.labels

def test_cross_fit_is_honest():
    "On noise, the F1 of the rows that were tuned on is higher than that of other rows"
    gaps = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        judged = Judged(rng.random((60,1)), rng.integers(0, 2, (60,1)), LabelSet(['a']))
        a,b = [tuned_thresholds(judged, cross_fit=o, n_boot=0).table.after.iloc[0] for o in (False,True)]
        gaps.append(a-b)
    assert np.mean(gaps)>0.01

def test_halves():
    t = np.random.default_rng(0).integers(0, 3, 101)
    left = halves(t)
    for o in range(3): assert abs((left & (t==o)).sum()-(~left & (t==o)).sum())<=1
    assert (left==halves(t)).all() and (left!=halves(t, seed=1)).any()

def test_troubles():
    "One warning for each kind, with names; what cannot be tuned keeps its threshold"
    probs = np.array([[0.9,0.2,0.3],[0.5,0.3,0.6],[0.5,0.4,0.1]])
    judged = Judged(probs, [[0,1,1],[1,1,0],[1,nan,0]], LabelSet(['a','<b>','c'], thresholds=[0.5,0.7,0.5]))
    with pytest.warns(UserWarning) as w: res = tuned_thresholds(judged, ('precision',0.9), cross_fit=True, n_boot=5)
    said = [str(o.message) for o in w]
    assert len(said)==4 and said[0].startswith('<b>: the annotated rows are all yes') and said[3].startswith('a, c: too few rows')
    assert '0.9: a (the best is 0.667 at 0.250, 1 is taken, which flags 0 of 3 texts), c (the best is 0.500' in said[1] and 'a (1 no in 3 rows, 29.6% of the draws have none), c (1 yes' in said[2]
    assert res.labels.thresholds==(1,0.7,1) and not res.table.reached.any() and np.isnan(res.table.after).all()
    assert '<b>' not in res._repr_html_() and '&lt;b&gt;' in res._repr_html_()
    assert len(res.plot().axes)==3

@pytest.mark.parametrize('metric', ['f1',('fpr',0.01),((0,1),(5,0))], ids=str)
@pytest.mark.filterwarnings('ignore:.*all yes or all no')
def test_plot(metric, tmp_path):
    judged = judged_case(100)
    fig = tuned_thresholds(judged, metric, n_boot=5).plot()
    fig.savefig(tmp_path/'a.png')
    assert (tmp_path/'a.png').stat().st_size>0 and all(o.get_xlabel() and o.get_ylabel() for o in fig.axes)

@pytest.mark.parametrize('kind', ['single','ordinal'])
def test_exclusive(kind):
    with pytest.raises(ValueError, match='no threshold to tune'): tuned_thresholds(Judged([[0.4,0.6]], [1], LabelSet(['a','b'], kind)))

# Judged

def test_judged():
    labels = LabelSet(['a','b','c'], 'ordinal')
    probs = np.array([[0.4,0.3,0.3],[0.6,0.2,0.2],[0.1,0.2,0.7]], dtype=np.float32)
    judged = Judged(probs, [1,-1,2], labels, texts=['x','y','z'], frame=pd.DataFrame(dict(lang=['en','es','de'])), logits=np.log(probs))
    np.testing.assert_array_equal(judged.onehot(), [[0,1,0],[nan]*3,[0,0,1]])
    assert judged.flags().argmax(1).tolist()==[1,0,2] and judged.probs.dtype==np.float32
    t,p = judged.known(2)
    assert t.tolist()==[0,1] and p.tolist()==probs[[0,2],2].tolist()
    part = judged.take(np.array([True,False,True]))
    assert part.texts==['x','z'] and part.frame.lang.tolist()==['en','de'] and part.targs.tolist()==[1,2] and part.logits.shape==(2,3)
    assert judged.take([]).n==0 and judged.take([2,2]).texts==['z','z']

def test_soft():
    judged = Judged([[0.1],[0.2],[0.3]], [[0.49],[0.5],[nan]], LabelSet(['a'], 'soft'))
    assert judged.known(0)[0].tolist()==[0,1] and best_threshold(judged.targs[:,0], judged.probs[:,0])==pytest.approx(0.15)

# The learner

@pytest.fixture(scope='module')
def learn():
    set_seed(0, reproducible=True)
    df = comments(120).assign(lang='en', number=range(120))
    df['text'] = [o+' thank you'*(i%5) for i,o in enumerate(df.text)]
    df.loc[df.index[::7], 'insult'] = nan
    dls = ToxicityDataLoaders.from_df(df, tiny_checkpoint(), label_cols=['toxic','insult'], bs=8)
    res = toxicity_learner(dls)
    with res.no_bar(),res.no_logging(): res.fit(2, 1e-3)
    return res

def test_learner_judged(learn):
    "Rows in their order, though batches are by length"
    with learn.no_bar():
        judged = learn.judged()
        table = learn.classify(judged.texts)
        again = learn.judged(dl=learn.dls.test_dl(learn.dls.valid_ds.items, with_labels=True))
        train = learn.judged(0)
    items = learn.dls.valid_ds.items
    assert judged.texts==items.text.tolist() and judged.frame.number.tolist()==items.number.tolist() and 'text' not in judged.frame
    np.testing.assert_array_equal(judged.targs, items[['toxic','insult']].to_numpy(float))
    np.testing.assert_allclose(judged.probs, table[['toxic','insult']].to_numpy(), atol=1e-6)
    np.testing.assert_allclose(judged.probs, 1/(1+np.exp(-judged.logits)), atol=1e-6)
    np.testing.assert_allclose(again.probs, judged.probs, atol=1e-6)
    assert train.texts==learn.dls.train_ds.items.text.tolist()

def test_learner_tunes(learn, tmp_path):
    with learn.no_bar():
        res = learn.tune_thresholds(n_boot=5)
        learn.validate()
        f1 = learn.metrics[1].value
        probs,_,decoded = learn.get_preds(with_decoded=True)
        learn.path = tmp_path
        learn.export()
        loaded = load_learner(tmp_path/'export.pkl')
        with pytest.raises(ValueError, match='belongs to'): learn.tune_thresholds('f1', 2.)
    assert learn.labels==res.labels==loaded.labels and loaded.loss_func.thresh==res.labels.thresholds
    assert f1==pytest.approx(res.table.after.mean(), abs=1e-9)
    assert decoded.tolist()==res.labels.flags(probs.numpy()).tolist()

def test_learner_pairs_and_numbers():
    df = comments(40).assign(reply='thank you')
    dls = ToxicityDataLoaders.from_df(df, tiny_checkpoint(), text_col=['text','reply'], bs=8)
    learn = toxicity_learner(dls)
    with learn.no_bar(): judged = learn.judged()
    assert judged.texts[0]==dls.valid_ds.items.text.iloc[0]+'\n‖ thank you' and judged.labels.kind=='single' and judged.targs.dtype.kind=='i'
    np.testing.assert_allclose(judged.probs.sum(1), 1, atol=1e-6)
    with learn.no_bar(),pytest.raises(ValueError, match='no threshold to tune'): learn.tune_thresholds()
    with learn.no_bar(),pytest.raises(ValueError, match='no labels to compare with'): learn.judged(dl=dls.test_dl([('a','b')]))

# Out of reach, and rare

def reversed_case(n=40, top=0.9):
    "Scores that are higher for harmless texts: no cut is right in 90%"
    return np.array([0,0,1,1]*(n//4)),np.tile([top,0.8,0.2,0.1], n//4)

@pytest.mark.parametrize('metric, top, flagged', [(('precision',0.9),0.9,0), (('precision',0.6),0.95,0), (('precision',0.9),1.,10), (('fpr',0.1),1.,10)], ids=str)
def test_out_of_reach(metric, top, flagged):
    "A bound that no cut keeps flags nothing, or, where scores are 1, as little as can be; the warning says so, and so does `reached`"
    t,p = reversed_case(top=top)
    with pytest.warns(UserWarning, match=f'1 is taken, which flags {flagged} of 40 texts'): assert best_threshold(t, p, metric)==1
    with pytest.warns(UserWarning, match=rf'a \(the best is .*, which flags {flagged} of 40 texts\)'):
        res = tuned_thresholds(Judged(p[:,None], t[:,None], LabelSet(['a'], thresholds=[0.3])), metric, n_boot=10)
    assert res.labels.thresholds==(1,) and not res.table.reached.iloc[0] and res.labels.flags(p[:,None]).sum()==flagged

@pytest.mark.parametrize('metric', ['f1',('recall',0.95),((0,1),(30,0))], ids=str)
def test_flags_everything(metric):
    "A goal that only a cut through nothing serves is said"
    t,p = reversed_case()
    with pytest.warns(UserWarning, match='flags everything: all 40 texts'): assert (p>=best_threshold(t, p, metric)).all()
    with pytest.warns(UserWarning, match=r'flags everything: a \(all 40 texts\)'): tuned_thresholds(Judged(p[:,None], t[:,None], LabelSet(['a'])), metric, n_boot=10)

def rare_case(k, n=300, seed=0):
    "`k` positives, one of them with a score in the upper third"
    rng = np.random.default_rng(seed)
    t = np.zeros(n)
    t[:k] = 1
    return t,np.r_[np.linspace(0.7, 0.95, k), rng.random(n-k)]

@pytest.mark.parametrize('k, share', [(1,36.7), (2,13.4), (3,4.9)])
@pytest.mark.parametrize('metric', ['f1',('precision',0.01),('recall',0.9),('fpr',0.4),((0,1),(99,0))], ids=str)
def test_few_positives(metric, k, share):
    "Three positives and less: a warning with the count, no interval, and nothing is called reached; the same where harmless texts are as rare"
    for flip in (False,True):
        t,p = rare_case(k)
        if flip: t,p,what = 1-t,1-p,'no'
        else: what = 'yes'
        match = rf'{k} {what} in 300 rows, {share}% of the draws have none'
        with pytest.warns(UserWarning, match=match): best_threshold(t, p, metric)
        with pytest.warns(UserWarning, match=match): res = tuned_thresholds(Judged(p[:,None], t[:,None], LabelSet(['a'])), metric, n_boot=200)
        row = res.table.iloc[0]
        assert np.isnan([row.low,row.high]).all() and not row.reached

def test_some_positives():
    "From four on there is an interval, wider than from the draws that have a positive; below ten a warning, from ten on none"
    t,p = rare_case(5)
    with pytest.warns(UserWarning, match='5 yes in 300 rows'): row = tuned_thresholds(Judged(p[:,None], t[:,None], LabelSet(['a']))).table.iloc[0]
    assert row.low<row.high and row.reached
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        t,p = rare_case(12)
        tuned_thresholds(Judged(p[:,None], t[:,None], LabelSet(['a'])))
        best_threshold(t, p)

@pytest.mark.parametrize('metric, counts', [(('precision',0.9),(5,0,2,90)), (('recall',0.9),(5,3,0,90)), (('fpr',0.1),(5,0,2,90))], ids=str)
def test_rates_keep_doubt(metric, counts):
    "Five of five flagged rightly are no proof: the interval of a rate is Wilson's"
    low,high = metric_interval(Goal(metric), CutCounts(*map(float, counts)))
    assert 0<=low<high<=1 and high-low>0.03

def test_no_width():
    "Draws that all give the same give no interval: a perfect F1 from few texts"
    assert np.isnan(metric_interval(Goal(), CutCounts(5., 0., 0., 90.))).all() and np.isnan(metric_interval(Goal(), CutCounts(1., 0., 1., 90.))).all()
    assert np.isnan(auc_interval([1]*5+[0]*50, np.r_[np.full(5, 0.9), np.linspace(0, 0.5, 50)])).all()

@pytest.mark.parametrize('k', [1,2,3])
def test_report_of_few_positives(k):
    "No figure of a class that draws miss has an interval; with enough positives all have one"
    t,p = rare_case(k)
    per,whole = score_tables(Judged(np.c_[p,p], np.c_[t,np.arange(300)%3==0], LabelSet(['rare','common'])), n_boot=200)
    rare = per[(per.label=='rare') & per.metric.isin(['roc_auc','f1','recall','average_precision'])]
    assert len(rare) and rare.low.isna().all() and rare.high.isna().all()
    assert not per[(per.label=='common') & (per.metric=='roc_auc')].low.isna().any()

def test_undrawn_counts_at_both_ends():
    rng = np.random.default_rng(0)
    x = rng.random(1000)
    y = np.where(rng.random(1000)<0.01, nan, x)
    low,high = percentiles(y)
    want = np.sort(y[~np.isnan(y)])
    gone = int(np.isnan(y).sum())
    assert low==pytest.approx(want[int(.025*999)-gone], abs=0.002) and high==pytest.approx(want[int(.975*999)], abs=0.002)
    for k,n in ((1,50),(3,400),(4,30)):
        lacking = (resampled(lambda o: (o<k).any(), n, n_boot=4000)==0).mean()
        assert undrawn_share(k, n)==pytest.approx(lacking, abs=0.025) # four standard errors of a share of 4000
