"Losses, likely label errors and the way through a file, against scikit-learn and cleanlab"
import numpy as np,pandas as pd,pytest
from sklearn.metrics import log_loss
from toxicai.judge.errors import *
from toxicai.judge.judged import *
from toxicai.labels import *

nan = float('nan')

def noisy(seed=0, n=400, k=3, noise=0.1):
    "(annotated, true, probabilities of a good model)"
    rng = np.random.default_rng(seed)
    true = rng.integers(0, k, n)
    targs = np.where(rng.random(n)<noise, rng.integers(0, k, n), true)
    x = rng.normal(0, 1, (n, k))
    x[np.arange(n),true] += 3
    return targs,true,np.exp(x)/np.exp(x).sum(1, keepdims=True)

def multi(seed=0, n=200, soft=False):
    rng = np.random.default_rng(seed)
    t = rng.random((n,2)).round(1) if soft else rng.integers(0, 2, (n,2)).astype(float)
    t[rng.random((n,2))<.3] = nan
    return Judged(rng.random((n,2)), t, LabelSet(['toxic','insult'], 'soft' if soft else 'multi'), [f'text {i}' for i in range(n)])

@pytest.mark.parametrize('index', [None, pd.Index(list('abcd')), pd.MultiIndex.from_product([[1,2],['x','y']]), pd.Index([3,3,1,1])])
@pytest.mark.parametrize('texts', [None, list('wxyz')])
@pytest.mark.parametrize('kind', ['single','multi'])
def test_nothing_wrong(kind, texts, index):
    "A model without an error has tables without rows, whatever the rows are called"
    targs = np.array([0,1,0,1]) if kind=='single' else np.eye(2)[[0,1,0,1]]
    report = find_errors(Judged(np.eye(2)[[0,1,0,1]]*.98+.01, targs, LabelSet(['a','b'], kind), texts, index=index))
    assert not len(report.label_errors) and not any(len(o) for o in report.worst.values()) and len(report.top_losses)==4

# Losses

@pytest.mark.parametrize('soft', [False,True])
def test_text_losses(soft):
    judged = multi(soft=soft)
    for loss,t,p in zip(text_losses(judged), judged.targs, judged.probs):
        ok = ~np.isnan(t)
        expected = np.mean([-(a*np.log(b)+(1-a)*np.log(1-b)) for a,b in zip(t[ok], p[ok])]) if ok.any() else nan
        assert loss==pytest.approx(expected, abs=1e-12, nan_ok=True)

def test_text_losses_single():
    targs,_,probs = noisy(n=30)
    targs[3] = -1
    got = text_losses(Judged(probs, targs, LabelSet(list('abc'), 'single')))
    assert np.isnan(got[3])
    np.testing.assert_allclose(np.delete(got, 3), [log_loss([t], [p], labels=range(3)) for t,p in zip(np.delete(targs, 3), np.delete(probs, 3, 0))], atol=1e-9)

def test_top_losses():
    judged = multi()
    df,loss = top_losses(judged, 10),text_losses(judged)
    assert df.loss.tolist()==sorted(loss[~np.isnan(loss)], reverse=True)[:10]
    assert df.text.tolist()==[judged.texts[i] for i in df.row]
    assert len(top_losses(judged, 10**6))==(~np.isnan(loss)).sum()
    assert len(top_losses(Judged([[.5,.5]], [[nan,nan]], judged.labels), 5))==0

def test_sure_and_wrong():
    "A probability of exactly 0 costs a finite loss"
    assert np.isfinite(text_losses(Judged([[0.,1.]], [[1,0]], LabelSet(['a','b'])))).all()

# Likely label errors

def by_hand(targs, probs):
    "The rule in a loop, straight from the paper, and that the answer of the model is another class"
    k = probs.shape[1]
    thresh = [np.mean([p[j] for t,p in zip(targs, probs) if t==j] or [np.inf]) for j in range(k)]
    res = []
    for t,p in zip(targs, probs):
        sure = [j for j in range(k) if p[j]>=thresh[j]]
        best = max(sure, key=lambda j: p[j], default=t)
        res.append(best if best!=t and p.argmax()!=t else -1)
    return res

@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('k', [2,3,5])
def test_confident_labels(seed, k):
    targs,true,probs = noisy(seed, k=k)
    got = confident_labels(targs, probs)
    assert got.tolist()==by_hand(targs, probs)
    found,wrong = got>=0,targs!=true
    assert (found&wrong).sum()/found.sum()>0.6 and (got[found&wrong]==true[found&wrong]).mean()>0.8

@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('k', [2,3,5])
def test_confident_labels_cleanlab(seed, k):
    "cleanlab finds the same rows"
    filter = pytest.importorskip('cleanlab.filter')
    targs,_,probs = noisy(seed, k=k)
    found = filter.find_label_issues(targs, probs, filter_by='confident_learning', n_jobs=1)
    assert ((confident_labels(targs, probs)>=0)==found).all()

def test_cleanlab_extra():
    judged = Judged(noisy()[2], noisy()[0], LabelSet(list('abc'), 'single'))
    try: import cleanlab
    except ImportError:
        with pytest.raises(ImportError, match=r"toxicai\[errors\]"): label_errors(judged, 'cleanlab')
        return
    found,wrong = label_errors(judged, 'cleanlab'),noisy()[0]!=noisy()[1]
    assert wrong[found.row].mean()>0.6 and (found.suggested!=found.annotated).all()

def test_label_errors_multi():
    "Each label on its known rows; a label with one side has no errors"
    judged = multi()
    df = label_errors(judged)
    for j,name in enumerate(judged.labels):
        t,p = judged.known(j)
        rows = np.flatnonzero(~np.isnan(judged.targs[:,j]))
        new = by_hand(t.astype(int), np.stack([1-p,p], 1))
        assert set(df.row[df.label==name])=={int(i) for i,o in zip(rows, new) if o>=0}
    assert (df.suggested!=(df.annotated>=.5)).all() and ((df.prob-df.prob_annotated).diff().dropna()<=1e-12).all()
    one = Judged([[.9],[.1],[.8]], [[1],[1],[1]], LabelSet(['a']))
    assert len(label_errors(one))==0
    assert list(label_errors(multi().take([])).columns)[:3]==['key','row','label']

# Through a file

def frame(n=40, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(dict(text=[f'comment "{i}", with\na line; =x' for i in range(n)], toxic=rng.integers(0, 2, n), insult=rng.choice([0.,1.,nan], n), label=rng.choice(['kind','rude'], n)))

def wrong_of(df, single=False):
    "Judged with a model that is sure of the opposite in the first five rows"
    if single:
        t = (df.label=='rude').to_numpy().astype(int)
        p = np.where(np.arange(len(t))<5, 1-t, t)*.8+.1
        return Judged(np.stack([1-p,p], 1), t, LabelSet(['kind','rude'], 'single'), df.text.tolist())
    t = df[['toxic','insult']].to_numpy(float)
    p = np.nan_to_num(np.where((np.arange(len(t))<5)[:,None], 1-t, t), nan=.5)*.8+.1
    return Judged(p, t, LabelSet(['toxic','insult']), df.text.tolist())

def answered(path, f, **kwargs):
    "Fill the file at `path` in as a person would"
    table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding='utf-8-sig')
    table['corrected'] = [f(r) for r in table.itertuples()]
    table.to_csv(path, index=False, **kwargs)
    return table

@pytest.mark.parametrize('sep', [',',';','\t'])
def test_round_trip(tmp_path, sep):
    df,path = frame(),tmp_path/'a.csv'
    before = df.copy()
    errors = find_errors(wrong_of(df))
    errors.to_csv(path)
    table = answered(path, lambda r: r.suggested, sep=sep)
    res = read_relabelled(path, df)
    pd.testing.assert_frame_equal(df, before)
    for r in table.itertuples(): assert res.loc[int(r.row),r.label]==float(r.suggested)!=before.loc[int(r.row),r.label]
    assert res.toxic.dtype==before.toxic.dtype and (res.toxic!=before.toxic).sum()==(table.label=='toxic').sum()==5
    assert res.label.equals(before.label)

def test_round_trip_single(tmp_path):
    df,path = frame(),tmp_path/'a.csv'
    find_errors(wrong_of(df, single=True)).to_csv(path)
    answered(path, lambda r: {'0':'?','1':''}.get(r.row, r.suggested))
    res = read_relabelled(path, df)
    assert res.label[0] is None or res.label[0]!=res.label[0]
    assert res.label[1]==df.label[1] and (res.label[2:]!=df.label[2:]).tolist()==[True]*3+[False]*35

def test_answers(tmp_path):
    "A share, a comma, nobody can tell; whole numbers become floats only where they must"
    df,path = frame(),tmp_path/'a.csv'
    find_errors(wrong_of(df)).to_csv(path)
    answered(path, lambda r: {'0':'0,5','1':'?','2':' 1 '}.get(r.row, '') if r.label=='toxic' else '')
    res = read_relabelled(path, df)
    assert res.toxic[0]==.5 and np.isnan(res.toxic[1]) and res.toxic[2]==1 and (res.toxic[3:]==df.toxic[3:]).all()

def test_copies_and_order(tmp_path):
    "A correction reaches every row with that text, wherever it is"
    df,path = frame(),tmp_path/'a.csv'
    find_errors(wrong_of(df)).to_csv(path, n=1)
    table = answered(path, lambda r: r.suggested)
    twice = pd.concat([df,df])[::-1].set_index(pd.Index(range(100, 100+2*len(df))))
    res = read_relabelled(path, twice)
    assert list(res.index)==list(twice.index) and (res[table.label[0]].fillna(-1)!=twice[table.label[0]].fillna(-1)).sum()==2

def test_pairs(tmp_path):
    df = frame().assign(other='reply')
    path,a = tmp_path/'a.csv',wrong_of(df)
    judged = Judged(a.probs, a.targs, a.labels, [f'{t}\n‖ reply' for t in df.text])
    find_errors(judged).to_csv(path)
    answered(path, lambda r: r.suggested)
    assert (read_relabelled(path, df, ['text','other']).toxic!=df.toxic).sum()==5

def test_bad_files(tmp_path):
    df,path = frame(),tmp_path/'a.csv'
    find_errors(wrong_of(df)).to_csv(path)
    answered(path, lambda r: r.suggested)
    with pytest.raises(ValueError, match='9 of 9|of .* corrected texts are not'): read_relabelled(path, df.assign(text=df.text+'!'))
    with pytest.raises(KeyError, match='toxic'): read_relabelled(path, df.drop(columns='toxic'))
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    pd.concat([table, table.iloc[:1].assign(corrected='0.25')]).to_csv(path, index=False)
    with pytest.raises(ValueError, match='two different corrections'): read_relabelled(path, df)
    for o in ('perhaps','2','-1'):
        table.assign(corrected=o).to_csv(path, index=False)
        with pytest.raises(ValueError, match='is no label'): read_relabelled(path, df)
    path.write_text('a,b\n1,2\n')
    with pytest.raises(ValueError, match='expected the columns that `to_csv` writes'): read_relabelled(path, df)
    with pytest.raises(ValueError, match='nobody could relabel'): find_errors(Judged([[.9],[.2],[.3]], [[0],[0],[1]], LabelSet(['a']))).to_csv(path)

def test_nothing_answered(tmp_path):
    df,path = frame(),tmp_path/'a.csv'
    find_errors(wrong_of(df)).to_csv(path)
    pd.testing.assert_frame_equal(read_relabelled(path, df), df)

def test_views():
    df = frame().assign(text=['<script>x</script> fuck | `a`']*40)
    errors = find_errors(wrong_of(df), n=3)
    assert '<script' not in errors._repr_html_()+errors.to_markdown() and 'fuck' in errors._repr_html_()
    assert 'fuck' not in find_errors(wrong_of(df), n=3, mask=True)._repr_html_() and 'Highest losses' in repr(errors)

def test_training_rows():
    from toxicai.data.loaders import ToxicityDataLoaders
    from toxicai.train.learner import toxicity_learner
    import toxicai.train.verbs
    from toxicai.test_utils import comments,tiny_checkpoint
    learn = toxicity_learner(ToxicityDataLoaders.from_df(comments(40), tiny_checkpoint(), label_cols=['toxic','insult'], bs=16))
    with learn.no_bar(),pytest.warns(UserWarning, match='ds_idx=1'): errors = learn.interpret_errors(ds_idx=0)
    assert len(errors.top_losses)==20

@pytest.mark.parametrize('targs,said', [([1,nan,nan],'toxic, ?'), ([nan,nan,nan],'?'), ([0,nan,0],'?'), ([0,0,0],'–'), ([.25,1,nan],'toxic 0.25, insult, ?'), ([1,0,1],'toxic, threat')])
def test_one_mark_for_all_gaps(targs, said): assert truth_of(['toxic','insult','threat'], np.array(targs, dtype=float))==said

@pytest.mark.parametrize('gaps', [False,True])
def test_mark_is_explained_once(gaps):
    targs = np.array([[1,0,1],[0,1,0],[0,0,0.]])
    if gaps: targs[0,1] = targs[2,2] = nan
    report = find_errors(Judged(np.full((3,3), .4), targs, LabelSet(['toxic','insult','threat']), list('abc')))
    for view in (repr(report), report._repr_html_(), report.to_html(), report.to_markdown()):
        assert view.count('were not annotated')==gaps and 'insult?' not in view

def test_no_rows_say_none():
    "A table without rows is a word, not a header that stands alone"
    report = find_errors(Judged(np.array([[.1],[.2]]), np.array([[0.],[1.]]), LabelSet(['toxic']), ['a','b']))
    for view in (repr(report), report._repr_html_(), report.to_html(), report.to_markdown()):
        part = view.split('Worst false alarms')[-1].split('Worst misses')[0]
        assert 'None.' in part and 'threshold' not in part
