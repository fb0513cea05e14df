"k folds: nothing leaks, nothing is lost, and what is said of the folds is true of their networks; crosses data, train, serve and judge"
import json,os,shutil,signal,subprocess,sys,time,warnings
from pathlib import Path

import datasets as hf,numpy as np,pandas as pd,pytest,torch
from samples import as_nobody
from scipy.stats import rankdata
from sklearn.metrics import roc_auc_score

from toxicai.all import *
from toxicai.data.duplicates import near_duplicates
from toxicai.judge.intervals import student_interval
from toxicai.judge.measures import score_span
from toxicai.runs.crossval import *
from toxicai.runs.sweeps import spread
from toxicai.serve.detector import FoldsDetector
from toxicai.serve.folder import FolderError
from toxicai.test_utils import tiny_checkpoint

words = 'stupid idiot fool awful nice thank agree project link broken battery lasts welcome point section time starts answer question page'.split()

def texts_of(n, seed=0):
    rng = np.random.default_rng(seed)
    return [' '.join(rng.permutation(words)[:7]) for _ in range(n)]

def rows_of(n=48, seed=0):
    "Comments of random words: rude where a rude word is in them; every sixth is a near-copy of the one before"
    texts = texts_of(n, seed)
    for i in range(5, n, 6): texts[i] = texts[i-1]+'!!'
    has = lambda *ws: [int(any(w in t.split() for w in ws)) for t in texts]
    text = [t.replace('!!', ' !!') for t in texts]
    toxic,insult = has('stupid','fool','awful'),has('idiot')
    for i in range(5, n, 6): toxic[i],insult[i] = toxic[i-1],insult[i-1]
    return pd.DataFrame(dict(text=text, toxic=toxic, insult=insult, author=np.arange(n)//6), index=[f'r{i}' for i in range(n)])

cols = dict(text_col='text', label_cols=['toxic','insult'])
quick = dict(checkpoint=tiny_checkpoint(), fit=dict(epochs=1, base_lr=1e-2), bs=16, show=False)

def make(dls): return toxicity_learner(dls, pooling='mean', precision='fp32')

def folds_in(folder, df=None, **kwargs):
    with warnings.catch_warnings(action='ignore'):
        return KFolds(folder, rows_of() if df is None else df, **{'make_learner':make, 'n':3, **cols, **quick, **kwargs})

@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    "Three folds, a labelled test set"
    with warnings.catch_warnings(action='ignore'):
        return kfold_fit(rows_of(), make, 3, tmp_path_factory.mktemp('folds')/'f', test=rows_of(18, 7).reset_index(drop=True), n_boot=30, **cols, **quick)

# What a network has seen

@pytest.mark.parametrize('share', [0.,0.2])
@pytest.mark.parametrize('groups', [None,'author'])
def test_nothing_leaks(tmp_path, share, groups):
    "Neither a row of the fold, nor its near-copy, nor one of its group is in what trains or stops"
    df = rows_of()
    f = folds_in(tmp_path, df, stop_share=share, groups=groups)
    copies = near_duplicates(df.text)
    counted = np.zeros(len(df), dtype=int)
    for k in range(3):
        dls,own = f.loaders(k),f.rows.fold==k
        counted += own
        trained,stops = [df.index.get_indexer(o.items.index) for o in (dls.train_ds,dls.valid_ds)]
        for seen in (trained,) if not share else (trained,stops):
            assert not own[seen].any() and not set(copies[seen]) & set(copies[own])
            if groups: assert not set(df.author.iloc[seen]) & set(df.author[own])
        assert not set(copies[trained]) & set(copies[stops])
        assert set(stops)==set(np.flatnonzero(own)) if not share else len(trained)+len(stops)==(~own).sum()
    assert (counted==1).all()

def test_each_row_has_the_prediction_of_its_fold(whole):
    "The detector of a fold says of its rows, through serving, what is written down for them"
    raw,df = whole.predicted(),rows_of()
    assert raw.index.equals(df.index) and raw.texts==df.text.tolist()
    np.testing.assert_array_equal(raw.targs, df[['toxic','insult']])
    for k,part in enumerate(whole.parts()):
        at = whole.rows.fold==k
        np.testing.assert_allclose(Detector(part).scores(df.text[at].tolist()), raw.probs[at], atol=1e-5) # fp32 twice
        assert np.abs(Detector(part).scores(df.text[~at].tolist())-raw.probs[~at]).max()>1e-3 # the others are of others

def test_stopping(tmp_path):
    "Every fold has its own best epoch and early stopping; a `fit` of one's own gets both"
    got = []
    def fit(learn, cbs):
        got.append({type(o).__name__:o for o in cbs})
        with learn.no_bar(),learn.no_logging(): learn.fit_one_cycle(3, 1e-2, cbs=cbs)
    f = folds_in(tmp_path, fit=fit, monitor='roc_auc', patience=2, keep=False)
    f.take(f.jobs[0]); f.take(f.jobs[1])
    for o in got: assert o['Soup'].monitor==o['EarlyStoppingCallback'].monitor=='roc_auc' and o['EarlyStoppingCallback'].patience==2
    assert len(got)==2 and all(o['Soup'].table.used.tolist()==[True] for o in got)
    with pytest.raises(ValueError, match='were not kept'): f.parts()
    with pytest.raises(ValueError, match='fold-3-seed-42: not trained yet; call `go'): f.predicted()

# Figures

def test_figures(whole):
    raw,t = whole.predicted(),whole.figures
    for i,k in enumerate(('toxic','insult')):
        row = t.loc[(k,'roc_auc')]
        for j in range(3):
            at = whole.rows.fold==j
            assert row[f'fold {j+1}']==pytest.approx(roc_auc_score(raw.targs[at,i], raw.probs[at,i]))
        assert row.out_of_fold==pytest.approx(roc_auc_score(raw.targs[:,i], raw.probs[:,i]))
        assert row['mean']==pytest.approx(row[['fold 1','fold 2','fold 3']].mean()) and row.low<=row['mean']<=row.high
    assert set(t.columns)=={'fold 1','fold 2','fold 3','folds','mean','sd','low','high','out_of_fold','oof_low','oof_high'}

def test_spread():
    "Wider than Student's by what Nadeau and Bengio add, and unknown for one fold"
    x = [.7,.75,.8,.82,.71]
    a,b = fold_spread(x),student_interval(x)
    assert (a['high']-a['low'])/(b[1]-b[0])==pytest.approx(np.sqrt((1/5+1/4)/(1/5))) and fold_spread([np.nan]*2)['folds']==0
    one = fold_spread([.7,np.nan])
    assert one['folds']==1 and one['mean']==.7 and np.isnan([one['sd'],one['low']]).all()

spans = [('f1_macro',(0,1)), ('roc_auc',(0,1)), ('f1_weighted',(0,1)), ('exact_match',(0,1)), ('balanced_accuracy',(0,1)), ('mcc',(-1,1)), ('mcc_macro',(-1,1)), ('quadratic_kappa',(-1,1)),
    ('log_loss',(0,np.inf)), ('mean_steps',(0,np.inf)), ('brier',(0,2)), ('valid/f1/insult',(0,1)), ('valid/roc_auc',(0,1)), ('valid/loss',None), ('own_score',None)]

@pytest.mark.parametrize('name,span', spans)
def test_spans(name, span):
    "An interval of few figures does not leave what the measure can be; the mean stays within it, and what was within stays"
    assert score_span(name)==span
    low,high = (0,1) if span is None else span
    for x in ([low+.01,low+.4,low+.02], [min(high, 9)-.01,min(high, 9)-.4,min(high, 9)-.02], [low+.5,low+.5001,low+.4999]):
        cut,free = fold_spread(x, span),fold_spread(x)
        assert cut['mean']==free['mean'] and cut['sd']==free['sd'] and cut['low']<=cut['mean']<=cut['high']
        if span is None: assert cut==free
        else: assert (cut['low'],cut['high'])==(max(free['low'], low),min(free['high'], high))

def test_spans_of_tables(whole):
    "Every figure of the folds, of runs with other seeds, and their difference"
    t = whole.figures
    for (_,k),row in t.iterrows():
        if score_span(k) and np.isfinite(row.low): assert score_span(k)[0]<=row.low<=row.high<=score_span(k)[1], k
    df = spread(dict(best=[.99,.8,1.], default=[.01,.4,.05]), (0,1))
    assert df.loc['best','high']==1 and df.loc['default','low']==0 and df.loc['best - default','high']==1
    assert spread(dict(best=[.99,.8,1.], default=[.01,.4,.05])).loc['best','high']>1

def test_a_fold_without_positives(tmp_path):
    "Named before training; its figures are left out, and so are its means over labels"
    df = rows_of().assign(threat=0)
    df.loc[['r0','r7'],'threat'] = 1
    f = folds_in(tmp_path, df, label_cols=['toxic','threat'])
    lost = lacking(f.rows)
    assert lost and all(o==(['threat'],[]) for o in lost.values())
    assert all("has no positives for 'threat': its figures for that are left out" in o for o in lack_words(lost))
    probs = np.random.default_rng(0).random((48,2))
    t = fold_figures(Judged(probs, tidy_targets(f.rows.data), f.rows.data.labels), f.rows.fold, 0)
    n = 3-len(lost)
    assert t.loc[('threat','roc_auc'),'folds']==t.loc[('all labels','roc_auc'),'folds']==n and t.loc[('toxic','roc_auc'),'folds']==3
    assert np.isfinite(t.loc[('threat','roc_auc'),'out_of_fold'])

def test_positives_in_one_fold(tmp_path):
    "All of one group: the other folds train on them, and their own fold's network cannot learn them"
    f = folds_in(tmp_path, rows_of().assign(threat=lambda d: (d.author==2).astype(int)), label_cols=['toxic','threat'], groups='author')
    (k,), = [[k for k,o in lacking(f.rows).items() if o[1]]]
    assert f"training rows of fold {k+1} have no positives for 'threat'" in ' '.join(lack_words(lacking(f.rows)))

def test_thresholds_and_calibration(whole):
    "Fitted to the out-of-fold predictions, and carried by every detector"
    raw = whole.predicted()
    with warnings.catch_warnings(action='ignore'):
        c = fit_calibration(raw, 'temperature')
        t = tuned_thresholds(raw.with_labels(raw.labels.with_calibration(c)))
    assert whole.labels.calibration==c and whole.labels.thresholds==t.labels.thresholds and whole.thresholds.cross_fitted
    np.testing.assert_allclose(whole.judged.probs, c(raw.logits), atol=1e-12)

def test_errors_and_report_read_it(whole):
    found = find_errors(whole)
    assert found.label_errors.equals(find_errors(whole.judged).label_errors) and judge(whole, n_boot=0).judged is whole.judged
    assert set(found.top_losses.index)<=set(rows_of().index)
    page = whole.report(n_boot=0)
    assert 'Errors by fold' in page.tables and 'chosen on these very rows' in page.lead[-1]

# The test set

def test_blends(whole):
    p = np.stack([whole.labels.probs(o.test_logits) for o in whole.done()])
    np.testing.assert_allclose(whole.blend(), p.mean(0))
    ranks = np.mean([[rankdata(o[:,i])/18 for i in range(2)] for o in p], axis=0).T
    np.testing.assert_allclose(whole.blend('rank'), ranks)
    for d,part in enumerate(whole.parts()): # of the very texts, in their order
        np.testing.assert_allclose(Detector(part).labels.probs(whole.done()[d].test_logits), Detector(part).scores(whole.test.text), atol=1e-5)
    t,targs = whole.test_figures(),whole.test[['toxic','insult']].to_numpy()
    assert t.loc['mean of 3','roc_auc']==pytest.approx(roc_auc_score(targs, p.mean(0))) and np.isnan(t.loc['rank of 3','f1'])
    with pytest.raises(ValueError, match="`how` is 'median': expected one of"): whole.blend('median')

def sample_of(**kwargs): return pd.DataFrame(kwargs)

@pytest.fixture
def with_ids(whole, monkeypatch):
    monkeypatch.setattr(whole, 'test', whole.test.assign(id=[f'{i:04}' for i in range(18)], part=['a','b']*9))
    return whole

def test_submission(with_ids, tmp_path):
    "Columns and rows of the sample, keys as they stand there, aliases of classes; the file is what is returned"
    res,blend = with_ids,with_ids.blend()
    sample_of(id=['0003','0000','0017'], insults=0, toxicity=0).to_csv(tmp_path/'s.csv', index=False)
    got = res.submission(tmp_path/'s.csv')
    np.testing.assert_allclose(got.insults, blend.insult.iloc[[3,0,17]])
    np.testing.assert_allclose(got.toxicity, blend.toxic.iloc[[3,0,17]])
    text = (res.folder/'submission.csv').read_text()
    assert text.splitlines()[0]=='id,insults,toxicity' and text.splitlines()[1].startswith('0003,')
    two = res.submission(sample_of(part=['b'], id=['0001'], toxic=0), 'rank')
    assert two.toxic.iloc[0]==pytest.approx(res.blend('rank').toxic.iloc[1])
    assert len(res.submission(sample_of(toxic=[0]*18)))==18 # no keys: row by row
    with pytest.warns(UserWarning, match='the sample has 2 of the 18 rows of `test`'): res.submission(sample_of(id=['0003','0000'], toxic=0))
    turned = res.submission(sample_of(id=[f'{i:04}' for i in range(18)][::-1], toxic=0)) # other order, all rows
    np.testing.assert_allclose(turned.toxic, blend.toxic[::-1])
    want = res.labels.flags(blend.to_numpy())[:,0]
    assert res.submission(sample_of(toxic=[0]*18), flags=True).toxic.tolist()==want.astype(int).tolist()

@pytest.mark.parametrize('sample,err', [
    (dict(id=['0001'], rude=[0]), r"the columns \['id', 'rude'\].*\['rude'\] is neither"), (dict(id=['0001']), 'no class is neither'),
    (dict(id=['9'], toxic=[0]), r"1 of 1 rows of the sample are not in `test`, such as \['9'\].*`test` has rows such as \['0000'\]"), (dict(id=[], toxic=[]), 'the sample has no rows'), (dict(part=['a'], toxic=[0]), r"\['part'\] of `test` name 16 rows twice"),
    (dict(toxic=[0]*5), 'the sample has 5 rows and no column that names them')])
def test_odd_samples(with_ids, sample, err):
    with pytest.raises(ValueError, match=err): with_ids.submission(pd.DataFrame(sample))

def test_sample_before_training(tmp_path):
    "A sample that does not fit is an error before anything is trained"
    def never(dls): raise AssertionError('a fold was trained')
    test = rows_of(4).assign(id=['a','a','b','c'])
    with pytest.raises(ValueError, match=r"\['id'\] of `test` name 1 rows twice"):
        kfold_fit(rows_of(), never, 3, tmp_path/'f', sample=test[['id','toxic']], test=test, text_col='text', label_cols=['toxic','insult'])
    with pytest.raises(ValueError, match="is neither"):
        kfold_fit(rows_of(), never, 3, tmp_path/'f', sample=test.assign(rude=0)[['id','rude']], test=test, text_col='text', label_cols=['toxic','insult'])

@pytest.mark.parametrize('change,kind,err', [
    (lambda d: d.rename(columns={'text':'comment'}), KeyError, '`test`.*text'), (lambda d: d[:0], ValueError, '`test` has no rows'),
    (lambda d: d.assign(text=None), (TypeError,ValueError), 'r0|row|text'), (lambda d: d.assign(toxic=7), ValueError, "`test`: label column 'toxic'")])
def test_odd_test_sets(tmp_path, change, kind, err):
    "Said before anything is trained, and nothing is written"
    with pytest.raises(kind, match=err): folds_in(tmp_path/'f', test=change(rows_of(8)))
    assert not (tmp_path/'f').exists()

def test_test_set_without_labels(tmp_path):
    f = folds_in(tmp_path, test=rows_of(8)[['text']].assign(more=1))
    assert not f.has_targets
    with pytest.raises(ValueError, match='no labels to compare with'): f.test_figures()
    with pytest.warns(UserWarning, match=r"has the label columns \['toxic'\], but not \['insult'\]"):
        assert not check_test(f.rows.data, rows_of(8).drop(columns='insult'))
    with pytest.raises(ValueError, match='`sample` is for a test set'): kfold_fit(rows_of(), make, 3, tmp_path, sample=rows_of(3))

# One detector

def test_average(whole, tmp_path):
    d = FoldsDetector(whole.save_detector(tmp_path/'a', how='average'))
    np.testing.assert_allclose(d.scores(whole.test.text), whole.blend(), atol=1e-5)
    found = d(whole.test.text)
    assert found.flags.tolist()==whole.labels.flags(d.scores(whole.test.text)).tolist() and len(found)==18
    assert found.detector==d.about() and found.to_frame().index.equals(whole.test.index)
    again = FoldsDetector(whole.save_detector(tmp_path/'a', how='average')) # again, in its place
    assert again.labels==whole.labels and again.about()==d.about()
    with pytest.raises(FileNotFoundError, match="has no 'folds.json'"): FoldsDetector(tmp_path)
    with pytest.raises(FolderError, match='holds an average of several detectors: open it by'): Detector(tmp_path/'a')
    with pytest.raises(TypeError, match='block'): FoldsDetector(tmp_path/'a', block=['idiot']) # which it could not keep to

serving = """
import sys
for o in 'torch fastai transformers pandas sklearn scipy datasets wandb matplotlib'.split(): sys.modules[o] = None
from toxicai.serve.detector import FoldsDetector
d = FoldsDetector(sys.argv[1])
print(d(sys.argv[2:]).scores.tolist(), [o.backend for o in d.parts])
"""

@pytest.mark.slow
def test_average_without_torch(whole, tmp_path):
    "A core install, where nothing that trains can be imported, opens the folder and judges as training does; the soup too"
    for o in ('onnx','onnxscript'): pytest.importorskip(o)
    texts = whole.test.text[:5].tolist()
    folder = whole.save_detector(tmp_path/'a', how='average', onnx=True)
    run = subprocess.run([sys.executable, '-c', serving, str(folder), *texts], capture_output=True, text=True, env=os.environ|dict(PYTHONPATH=str(Path(__file__).parents[2])))
    assert not run.returncode, run.stderr[-2000:]
    scores,engines = run.stdout.rsplit(' [\'', 1)
    np.testing.assert_allclose(json.loads(scores), whole.blend()[:5], atol=1e-4) # ONNX Runtime adds in another order
    assert engines.count('onnx')==3
    plain = whole.save_detector(tmp_path/'s', how='soup')
    soup = whole.save_detector(tmp_path/'t', how='soup', onnx=True)
    np.testing.assert_allclose(Detector(soup, 'onnx').scores(texts), Detector(plain).scores(texts), atol=1e-4)

def rewritten(folder, **changes):
    file = folder/'folds.json'
    file.write_text(json.dumps({k:v for k,v in {**json.loads(file.read_text()), **changes}.items() if v is not None}))

def exchanged(folder):
    "Another detector takes the place of a part"
    shutil.rmtree(folder/'part-2')
    shutil.copytree(folder/'part-1', folder/'part-2')

def linked(folder):
    "A part lies elsewhere"
    shutil.move(folder/'part-1', folder.parent/'elsewhere')
    (folder/'part-1').symlink_to(folder.parent/'elsewhere')

def damaged(folder):
    with next((folder/'part-3').glob('*.safetensors')).open('r+b') as f: f.write(b'x')

def other_file(folder): next((folder/'part-1').glob('*.safetensors')).write_bytes(b'')

digest = '0'*64
hostile = {
    'older':(lambda o: rewritten(o, format=1, parts=['part-1']), 'the format 1: expected .* save the folds again'), 'more keys':(lambda o: rewritten(o, run='rm'), "has the keys .*'run'"),
    'no labels':(lambda o: rewritten(o, labels=None), 'has the keys'), 'path':(lambda o: rewritten(o, parts={'../x':digest}), 'expected names of folders in it'),
    'inner path':(lambda o: rewritten(o, parts={'part-1/x':digest}), 'expected names of folders in it'), 'no parts':(lambda o: rewritten(o, parts={}), 'expected names of folders in it'),
    'no part':(lambda o: rewritten(o, parts={'part-9':digest}), "no readable 'part-9/toxicai.json'"), 'digest':(lambda o: rewritten(o, parts={'part-1':digest}), 'is damaged or was changed'),
    'odd labels':(lambda o: rewritten(o, labels={}), "`labels` of"), 'other classes':(lambda o: rewritten(o, labels=LabelSet(['a','b'],'multi').to_dict()), 'do not belong together'),
    'exchanged':(exchanged, "'part-2/toxicai.json' is not the one that 'folds.json' lists"), 'linked':(linked, 'leads out of the folder'),
    'no json':(lambda o: (o/'folds.json').write_text('{'), 'is not JSON'), 'huge':(lambda o: os.truncate(o/'folds.json', 2**23), 'expected 4,194,304 at most'),
    'weights':(damaged, 'safetensors'), 'empty weights':(other_file, 'safetensors')}

@pytest.mark.parametrize('case', hostile)
def test_hostile_average(whole, tmp_path, case):
    "Whatever was put there becomes an error"
    folder = whole.save_detector(tmp_path/'a', how='average')
    change,err = hostile[case]
    change(folder)
    with pytest.raises(FolderError, match=err): FoldsDetector(folder)

def test_soup(whole, tmp_path):
    from safetensors.torch import load_file
    d = Detector(whole.save_detector(tmp_path/'s', how='soup'))
    files = [next(o.glob('*.safetensors')) for o in (*whole.parts(), tmp_path/'s')]
    *states,soup = map(load_file, files)
    for k,v in soup.items(): torch.testing.assert_close(v, torch.stack([o[k] for o in states]).mean(0))
    assert d.labels==whole.labels and d.folder.files

@pytest.mark.parametrize('within,is_soup', [(1.,True),(-1.,False)])
def test_auto(whole, tmp_path, within, is_soup):
    folder = whole.save_detector(tmp_path/'d', within=within)
    assert (folder/'toxicai.json').exists()==is_soup and (folder/'folds.json').exists()!=is_soup

# Kills and damage

script = """
import sys,warnings
sys.path[:0] = {here!r}
warnings.simplefilter('ignore')
from test_crossval import *
if __name__=='__main__': kfold_fit(rows_of(), make, 3, sys.argv[1], n_boot=0, calibration=None, **cols, **{{**quick, 'checkpoint':sys.argv[2]}})
"""

@pytest.mark.slow
def test_kill(tmp_path):
    "kill -9 within the second fold; the same call trains the other two, and gives what an undisturbed one gives"
    file,folder,tiny = tmp_path/'s.py',tmp_path/'killed',str(tiny_checkpoint())
    file.write_text(script.format(here=[str(o) for o in Path(__file__).parents[:2]]))
    p = subprocess.Popen([sys.executable, str(file), str(folder), tiny])
    first = folder/'fold-1-seed-42'/'done.json'
    while not first.exists() and p.poll() is None: time.sleep(0.02)
    p.send_signal(signal.SIGKILL)
    assert p.wait()==-signal.SIGKILL and not (folder/'fold-3-seed-42'/'done.json').exists()
    left = first.stat().st_mtime_ns,first.read_bytes()
    args = dict(n=3, n_boot=0, calibration=None, **cols, **{**quick, 'checkpoint':tiny})
    with warnings.catch_warnings(action='ignore'):
        a = kfold_fit(rows_of(), make, folder=folder, **args)
        b = kfold_fit(rows_of(), make, folder=tmp_path/'whole', **args)
    assert (first.stat().st_mtime_ns,first.read_bytes())==left
    np.testing.assert_array_equal(a.judged.logits, b.judged.logits)

def make_and_die(dls):
    "The first worker that comes here is killed, as by a system without memory"
    from multiprocessing import parent_process
    mark = Path(os.environ['TOXICAI_TEST_MARK'])
    if parent_process() is not None and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return make(dls)

@pytest.mark.slow
def test_killed_worker(tmp_path, monkeypatch):
    "kill -9 of one worker of two: it is said, what it left is trained, and the result is that of one process"
    monkeypatch.setenv('TOXICAI_TEST_MARK', str(tmp_path/'mark'))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter('always')
        a = KFolds(tmp_path/'a', rows_of(), make_and_die, n=3, keep=False, **cols, **quick).go(workers=2)
    assert any('1 of 2 workers ended with [-9]: what they left is trained here' in str(o.message) for o in said)
    b = folds_in(tmp_path/'b', keep=False).go()
    assert (tmp_path/'mark').exists() and len(a.done())==3
    for x,y in zip(a.done(), b.done()): np.testing.assert_allclose(x.logits, y.logits, atol=1e-5)

def make_and_stay(dls):
    "Says that it is there, and never comes to an end"
    (Path(os.environ['TOXICAI_TEST_MARK'])/str(os.getpid())).touch()
    while True: time.sleep(1)

@pytest.mark.slow
@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_their_parent(number, tmp_path, monkeypatch):
    "However the process ends that shares out the folds, nobody trains on, and their locks are free"
    from filelock import FileLock
    file,folder,marks = tmp_path/'s.py',tmp_path/'shared',tmp_path/'marks'
    marks.mkdir()
    monkeypatch.setenv('TOXICAI_TEST_MARK', str(marks))
    hears = 'import signal,sys,warnings\nsignal.signal(signal.SIGINT, signal.default_int_handler)' # also where a shell had it ignored
    shared = script.replace('import sys,warnings', hears).replace('rows_of(), make, 3,', 'rows_of(), make_and_stay, 3,').replace('n_boot=0', 'workers=2, n_boot=0')
    file.write_text(shared.format(here=[str(o) for o in Path(__file__).parents[:2]]))
    p = subprocess.Popen([sys.executable, str(file), str(folder), str(tiny_checkpoint())], stderr=subprocess.DEVNULL, start_new_session=True)
    while len(list(marks.iterdir()))<2 and p.poll() is None: time.sleep(0.02)
    p.send_signal(number)
    p.wait()
    for k in (1,2): FileLock(folder/f'fold-{k}-seed-42.lock').acquire(timeout=120)

def test_other_version(tmp_path):
    "Predictions with other arrays are made anew, and that is said"
    from toxicai.files import file_digest
    f = folds_in(tmp_path, keep=False)
    place = tmp_path/'fold-1-seed-42'
    place.mkdir()
    np.savez(place/'predictions.npz', scores=np.zeros(3))
    (place/'done.json').write_text(json.dumps(dict(sha256=file_digest(place/'predictions.npz'), seconds=1)))
    with pytest.warns(UserWarning, match='was written by another version: fold-1-seed-42 is trained anew'): assert f.done()==[]

def test_full_disk(whole, monkeypatch):
    "Tables that find no room ask for it; what was trained is there, and the next call writes them"
    import errno,toxicai.runs.crossval as module
    def _full(*args, **kwargs): raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    monkeypatch.setattr(module, 'write_atomically', _full)
    with pytest.raises(OSError, match='no tables could be written to .*No space left.*folds that are done are whole. Make room'): whole.write()
    monkeypatch.undo()
    assert len(whole.done())==3
    whole.write()

def test_done_is_done(whole):
    "The same call trains nothing, and finds the same"
    def _never(dls): raise AssertionError('trained again')
    times = [(whole.folder/o.name/'predictions.npz').stat().st_mtime_ns for o in whole.jobs]
    with warnings.catch_warnings(action='ignore'): again = kfold_fit(rows_of(), make, 3, whole.folder, test=whole.test, n_boot=30, **cols, **quick)
    assert [(whole.folder/o.name/'predictions.npz').stat().st_mtime_ns for o in whole.jobs]==times
    np.testing.assert_array_equal(again.judged.probs, whole.judged.probs)
    with pytest.raises(ValueError, match='make_learner: was'): folds_in(whole.folder, test=whole.test, make_learner=_never)

def test_damage(tmp_path):
    f = folds_in(tmp_path, keep=False)
    f.take(f.jobs[0])
    path = tmp_path/'fold-1-seed-42'/'predictions.npz'
    good = f.done()[0].logits
    path.write_bytes(path.read_bytes()[:100])
    with pytest.warns(UserWarning, match='is not what was written: fold-1-seed-42 is trained anew'): f.take(f.jobs[0])
    np.testing.assert_array_equal(f.done()[0].logits, good)

@pytest.mark.parametrize('change,err', [
    (dict(df=rows_of().assign(toxic=1-rows_of().toxic)), 'data: was'), (dict(n=4), 'folds: was'), (dict(seeds=[1]), 'seeds: was'), (dict(bs=8), 'bs: was 16, is 8'),
    (dict(fit=dict(epochs=2)), 'fit: was'), (dict(stop_share=0), 'stop_share: was'), (dict(groups='author'), 'folds: was')])
def test_other_settings(tmp_path, change, err):
    folds_in(tmp_path)
    with pytest.raises(ValueError, match=f'holds folds of other data or settings.*{err}'): folds_in(tmp_path, **change)

def test_no_permission(tmp_path):
    "Said in a line, before anything is trained"
    (tmp_path/'f').mkdir()
    (tmp_path/'f').chmod(0o555)
    with as_nobody(), pytest.raises(OSError, match='no folds could be written to .*Permission denied'): folds_in(tmp_path/'f')

# Arguments

@pytest.mark.parametrize('change,kind,err', [
    (dict(n=1), ValueError, '`n` is 1: expected a number of folds, 2 or more'), (dict(n=9, groups='author'), ValueError, '`n` is 9, but the 48 rows form only 8 groups'),
    (dict(groups='writer'), KeyError, 'writer'), (dict(groups=np.arange(5)), ValueError, '`groups` has 5 values for 48 rows'), (dict(stop_share=1), ValueError, '`stop_share` is 1'),
    (dict(seeds=[1,1]), ValueError, 'expected different'), (dict(make_learner='bert'), TypeError, '`make_learner` is a str'), (dict(valid_pct=0.2), TypeError, 'pass `n` and `stop_share`'),
    (dict(patience=0), ValueError, '`patience` is 0'), (dict(max_len=5), TypeError, 'pass `max_length`'), (dict(label_cols='none'), KeyError, 'none')])
def test_arguments(tmp_path, change, kind, err):
    with pytest.raises(kind, match=err): folds_in(tmp_path/'f', **change)
    assert not (tmp_path/'f').exists()

def test_no_learner(tmp_path):
    f = folds_in(tmp_path, make_learner=lambda dls: dls)
    with pytest.raises(TypeError, match='`make_learner` gave a ToxicityDataLoaders'): f.go()

# Other kinds of data

@pytest.mark.parametrize('kind', ['frame','dataset','comments'])
def test_single_label(tmp_path, kind):
    "Class names, a gap, two seeds; of `Comments` the test rows stay out"
    df = rows_of(36).assign(label=lambda d: np.where(d.toxic, 'rude', 'fine'))[['text','label']]
    if kind=='frame':
        df.loc['r3','label'] = None
        data,want = df,df.drop(index='r3')
    elif kind=='dataset':
        want = df.reset_index(drop=True)
        data = hf.Dataset.from_dict(dict(text=df.text.tolist(), label=df.label.eq('rude').astype(int).tolist()))
        data = data.cast_column('label', hf.ClassLabel(names=['fine','rude']))
    else:
        want = df.reset_index(drop=True)
        more = pd.concat([df.assign(split='train'), rows_of(6, 5).assign(label='fine', split='test')[['text','label','split']]])
        data = load_comments(more, text_col='text', label_cols='label', split_col='split')
    how = {} if kind=='comments' else dict(text_col='text', label_cols='label')
    with warnings.catch_warnings(action='ignore'):
        res = kfold_fit(data, make, 2, tmp_path, seeds=[1,2], n_boot=0, stop_share=0.2, keep=False, **how, **{**quick, 'bs':8})
    names = list(res.labels)
    assert len(res.done())==4 and len(res.judged)==len(want) and sorted(names)==['fine','rude']
    assert [names[i] for i in res.judged.targs]==want.label.tolist() and res.thresholds is None
    a,b = [o for o in res.done() if o.job.fold==0]
    mean = (res.rows.data.labels.probs(a.logits)+res.rows.data.labels.probs(b.logits))/2
    np.testing.assert_allclose(res.predicted().probs[res.rows.fold==0], mean, atol=1e-6) # in float32

# Several processes

def test_unsendable():
    def local(dls): return dls
    for f in (local, lambda dls: dls):
        with pytest.raises(TypeError, match='put it into a module'): check_sendable(f)
    check_sendable(make)

@pytest.mark.slow
def test_workers(tmp_path):
    "Two processes share the folds, and give what one gives"
    a,b = [folds_in(tmp_path/o, keep=False) for o in 'ab']
    a.go(workers=2)
    b.go()
    for x,y in zip(a.done(), b.done()): np.testing.assert_allclose(x.logits, y.logits, atol=1e-5) # threads may add in another order

def test_a_fold_that_another_process_has(tmp_path):
    "It is left alone until then"
    from filelock import FileLock
    f = folds_in(tmp_path, keep=False)
    with FileLock(tmp_path/'fold-1-seed-42.lock'): f.take(f.jobs[0])
    assert not f.done()

# W&B

@pytest.mark.slow
def test_wandb(tmp_path):
    "A run for each fold, in one group, in the folder"
    f = folds_in(tmp_path/'group', keep=False, wandb=True)
    f.take(f.jobs[0]); f.take(f.jobs[1])
    found = list((tmp_path/'group'/'wandb').glob('offline-run-*'))
    assert len(found)==2 and all(b'fold-' in next(o.glob('*.wandb')).read_bytes() and b'group' in next(o.glob('*.wandb')).read_bytes() for o in found)
