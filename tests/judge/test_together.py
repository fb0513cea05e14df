"Several classes as one: against plain loops, for every kind of labels"
import numpy as np,pytest
from toxicai.labels import *
from toxicai.judge.judged import *
from toxicai.judge.bias import *
from toxicai.judge.thresholds import *

nan = float('nan')

def random_judged(kind, thresholds=0.5, n=80, seed=0):
    rng = np.random.default_rng(seed)
    probs,names = rng.random((n,4)).astype('float32'),['NO','NOE','OFP','OFG']
    if exclusive(kind): return Judged(probs/probs.sum(1, keepdims=True), rng.integers(-1, 4, n), LabelSet(names, kind))
    targs = np.where(rng.random((n,4))<.2, nan, rng.integers(0, 2, (n,4)) if kind=='multi' else rng.random((n,4)))
    return Judged(probs, targs, LabelSet(names, kind, thresholds))

@pytest.mark.parametrize('kind', ['single','multi','soft','ordinal'])
def test_targets(kind):
    "A yes of any is a yes, a no needs a no of all"
    judged = random_judged(kind)
    both,parts = judged.together(['OFP','ofg']),judged.onehot()[:,2:]
    for found,row in zip(both.onehot()[:,0], parts):
        yes = (row>=0.5).any()
        assert np.isnan(found)==(not yes and bool(np.isnan(row).any()))
        if not np.isnan(found): assert (found>=0.5)==yes

@pytest.mark.parametrize('thresholds', [0.5, 0.3, [0.5,0.5,0.2,0.9], [0.1,0.1,0.,1.]])
@pytest.mark.parametrize('kind', ['multi','soft'])
def test_flags(kind, thresholds):
    "What is flagged is what any of the classes flags, also at thresholds that differ"
    judged = random_judged(kind, thresholds)
    name,probs,flags = class_scores(judged.probs, judged.labels, [2,3])
    assert name=='OFP or OFG' and flags.tolist()==judged.flags()[:,2:].any(1).tolist() and 0<=probs.min()<=probs.max()<=1
    assert judged.together(['OFP','OFG']).flags()[:,0].tolist()==flags.tolist()

@pytest.mark.parametrize('kind', ['single','ordinal'])
def test_sums(kind):
    judged = random_judged(kind)
    both = judged.together(['OFP','OFG'])
    np.testing.assert_allclose(both.probs[:,0], judged.probs[:,2:].sum(1), atol=1e-6)
    assert both.flags()[:,0].tolist()==(both.probs[:,0]>=0.5).tolist()
    if kind=='ordinal': assert (both.flags()[:,0]==(judged.decided()>=2)).mean()>.98 # but for ties in float32

def test_one_class_is_as_before():
    judged = random_judged('single')
    name,probs,flags = class_scores(judged.probs, judged.labels, [2])
    assert name=='OFP' and (probs==judged.probs[:,2]).all() and (flags==judged.flags()[:,2]).all()

def test_thresholds_of_a_target():
    res = tuned_thresholds(random_judged('single').together(['OFP','OFG']), n_boot=0)
    assert list(res.labels)==['OFP or OFG'] and 0<res.labels.thresholds[0]<1

@pytest.mark.parametrize('names, expected', [('NO NOE OFP OFG', [2,3]), ('OFP NO', [0]), ('toxic OFP OFG', [0]), ('offensive OFG no', [0]), ('no NOE OFG', [2]), ('a clean', [0])])
def test_default(names, expected): assert target_classes(LabelSet(names.split(), 'single' if 'no' in names.lower().split() or 'clean' in names else 'multi'))==expected

def test_named():
    labels = LabelSet(['NO','NOE','OFP','OFG'], 'single')
    assert target_classes(labels, ['ofg','OFG','offensive_person'])==[3,2] and target_label(labels, 'ofg')==3
    for label,err,match in [('NO', ValueError, 'harmless'), (['OFP','no'], ValueError, 'harmless'), ([], ValueError, 'is empty'), (['threat'], KeyError, 'no class')]:
        with pytest.raises(err, match=match): target_classes(labels, label)
    with pytest.raises(ValueError, match='could be meant'): target_label(labels)
    with pytest.raises(ValueError, match='is empty'): random_judged('single').together([])
