"Sweeps without a server: nobody repeats a run, a kill loses none, and what is said of the best is true"
import json,multiprocessing,os,random,re,runpy,shutil,signal,subprocess,sys,time,warnings
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import numpy as np,pandas as pd,pytest,torch
from fastai.learner import Recorder
from fastcore.foundation import L
from scipy import stats

import toxicai.runs.sweeps
from toxicai.all import *
from toxicai.files import file_digest
from toxicai.runs.sweeps import *
from toxicai.test_utils import comments,tiny_checkpoint

engine = pytest.importorskip('sweeps')
metric = dict(name='valid/f1', goal='maximize')

def plan_of(method='random', parameters=None, **kwargs):
    return dict(name='t', method=method, metric=metric, parameters=parameters or dict(lr=dict(min=0., max=1.), bs=dict(values=[8,16])), **kwargs)

def recorded(names, row):
    "A Recorder after an epoch"
    rec = Recorder()
    rec.metric_names,rec.values,rec.lrs = L(names.split()),[L(row)],[0.1]
    return rec

def epochs(cbs, figures):
    "What a fit does to the callback of a sweep: one epoch for each of `figures`"
    cb = cbs[0]
    for v in figures:
        cb.learn = SimpleNamespace(recorder=recorded('epoch train_loss valid_loss f1 time', [1.,2.,v]))
        cb.before_fit(); cb.before_train(); cb.after_epoch()

def by_lr(config, data, cbs, **fixed):
    "A training whose f1 is one minus the distance of `lr` from 0.3"
    if cbs: epochs(cbs, [0.1, 1-abs(config['lr']-0.3)])
    return SimpleNamespace(recorder=recorded('epoch train_loss valid_loss f1 time', [1.,2.,1-abs(config['lr']-0.3)+0.01*config.get('seed', 0)]), **config)

def swept(tmp_path, plan=None, count=6, train=by_lr, **kwargs): return sweep(plan or plan_of(), None, train, count, tmp_path/'s', known=sweepable, **kwargs)

# The plan

@pytest.mark.parametrize('change,err', [
    (dict(method=None), 'no method'), (dict(metric=None), 'no metric'), (dict(metric=dict(name='f1')), '`goal`, maximize or minimize'),
    (dict(parameters={}), 'no parameters'), (dict(method='hill'), "`method` is 'hill': expected 'grid', 'random' or 'bayes'"), (dict(metric='f1'), "`metric` is 'f1'"),
    (dict(parameters=['lr']), '`parameters` is a list'), (dict(parameters=dict(lr=.1)), r"'lr' is 0.1 in the plan: expected `value"), (dict(parameters=dict(lr=dict(min='a', max=1.))), "'lr' has {'min': 'a'}"),
    (dict(parameters=dict(lr=dict(min=1., max=0.))), 'min 1.0 is not less than max 0.0'), (dict(parameters=dict(lr=dict(values=[]))), 'engine cannot carry the plan out.*lr'),
    (dict(parameters=dict(lr=dict(values=5))), r"'lr' has `values: 5`: expected a list, such as \[5\]"), (dict(parameters=dict(lr=dict(values='ab'))), 'expected a list'),
    (dict(parameters=dict(lr=dict(vals=[1]))), 'engine cannot carry'), (dict(early_terminate=dict(type='hyper')), 'engine cannot carry'), (dict(parameters=dict(learning_rate=dict(value=1))), 'expected some of .*label_smoothing')])
def test_bad_plans(tmp_path, change, err):
    with pytest.raises(SettingError, match=err): swept(tmp_path, {**plan_of(), **change})

def test_yaml(tmp_path):
    (tmp_path/'p.yaml').write_text('name: y\nmethod: grid\nmetric: {name: valid/f1, goal: maximize}\nparameters:\n  lr: {values: [0.1, 0.3]}\n')
    assert swept(tmp_path, tmp_path/'p.yaml', None).best()==dict(lr=0.3)
    (tmp_path/'n.yaml').write_text('parameters:\n  lr: {values: [1e-5, 1E-4, -2.e+3, .5e1, 1.5e3]}\n  rules: {value: e5}\n  bs: {value: 8}\n')
    assert read_plan(tmp_path/'n.yaml')['parameters']==dict(lr=dict(values=[1e-5,1e-4,-2000.,5.,1500.]), rules=dict(value='e5'), bs=dict(value=8))
    (tmp_path/'e.yaml').write_text('# later\n')
    with pytest.raises(SettingError, match='holds nothing: expected `method`'): swept(tmp_path, tmp_path/'e.yaml')
    with pytest.raises(FileNotFoundError): swept(tmp_path, tmp_path/'missing.yaml')
    (tmp_path/'q.yaml').write_text('a: [')
    with pytest.raises(SettingError, match='is no YAML'): swept(tmp_path, tmp_path/'q.yaml')
    (tmp_path/'r.yaml').write_text('- a')
    with pytest.raises(SettingError, match='holds a list'): swept(tmp_path, tmp_path/'r.yaml')

def test_endless(tmp_path):
    with pytest.raises(SettingError, match='pass `count`'): swept(tmp_path, count=None)
    assert len(swept(tmp_path/'cap', {**plan_of(), 'run_cap':2}, None).runs)==2

@pytest.mark.parametrize('count', [0,-1,2.5,'3',True])
def test_bad_count(tmp_path, count):
    for online in (False,True):
        with pytest.raises(SettingError, match=f'`count` is {count!r}: expected how many'): swept(tmp_path, count=count, online=online)

def test_other_plan_in_the_folder(tmp_path):
    swept(tmp_path, count=1)
    with pytest.raises(SettingError, match='another plan'): swept(tmp_path, plan_of(parameters=dict(lr=dict(value=1))))
    with pytest.raises(FileNotFoundError, match='no sweep'): Sweep(tmp_path/'none')

def test_other_data(tmp_path):
    "The same plan on other rows, or beside other settings, would give figures that do not compare; to look at results needs neither"
    def s(df=None, **kw): return Sweep(tmp_path/'s', plan_of(), comments(24) if df is None else df, by_lr, **kw)
    s(bs=8); s(bs=16) # nothing was tried yet
    s(bs=8).go(1)
    s(bs=8).go(2)
    with pytest.raises(SettingError, match=r'do not compare.*bs: was 8, is 16'): s(bs=16)
    with pytest.raises(SettingError, match=r"data: was '24 rows"): s(comments(24).assign(toxic=0), bs=8)
    assert len(Sweep(tmp_path/'s').results())==2
    same = load_comments(comments(24), text_col='text', label_cols=['toxic','insult'])
    Sweep(tmp_path/'c', plan_of(), same, by_lr).go(1)
    with pytest.raises(SettingError, match='data: was'): Sweep(tmp_path/'c', plan_of(), same[:12], by_lr)

# Draws

def test_grid_is_complete(tmp_path):
    values = dict(bs=[8,16,32], loss=['bce','focal'], decay=[None,0.9])
    s = swept(tmp_path, plan_of('grid', dict(lr=dict(value=0.2), **{k:dict(values=v) for k,v in values.items()})), None)
    got = [tuple(o['config'][k] for k in values) for o in s.runs]
    assert len(got)==12 and set(got)==set(product(*values.values())) and all(o['config']['lr']==0.2 for o in s.runs)

def test_draws_follow_from_the_seed(tmp_path):
    "Not from the state of the process, which they leave alone"
    random.seed(1); np.random.seed(1)
    a = swept(tmp_path/'a')
    want = random.random(),np.random.rand()
    random.seed(1); np.random.seed(1)
    assert (random.random(),np.random.rand())==want
    random.seed(5); np.random.seed(5)
    b,c = swept(tmp_path/'b'),swept(tmp_path/'c', seed=1)
    configs = lambda s: [o['config'] for o in s.runs]
    assert configs(a)==configs(b)!=configs(c)
    assert all(0<=o['lr']<=1 and type(o['lr']) is float and o['bs'] in (8,16) for o in configs(a)) and len({o['lr'] for o in configs(a)})==6

def test_nothing_twice(tmp_path):
    "A space of four settings gives four runs, however many were asked for"
    s = swept(tmp_path, plan_of(parameters=dict(lr=dict(values=[.1,.2]), bs=dict(values=[8,16]))), 30)
    assert len(s.runs)==4 and len({json.dumps(o['config']) for o in s.runs})==4

def test_bayes_learns(tmp_path):
    "With a dozen runs it has come near the best rate, and nearer than its first runs"
    s = swept(tmp_path, plan_of('bayes', dict(lr=dict(min=0., max=1.))), 12)
    gap = np.abs(np.array([o['config']['lr'] for o in s.runs])-0.3)
    assert gap.min()<0.05 and np.median(gap[6:])<np.median(gap[:6])

# Processes

def work(folder, middle, count):
    "One worker, in a process of its own"
    def train(config, data, cbs, **fixed):
        with open(folder/'trained.txt', 'a') as f: f.write(f'{cbs[0].number}\n')
        epochs(cbs, [0.5])
        middle(cbs[0].number, folder)
        return by_lr(config, data, cbs)
    sweep(plan_of(), None, train, count, folder/'s', known=sweepable)

def start(tmp_path, middle=lambda n,folder: time.sleep(0.2), count=8):
    p = multiprocessing.get_context('fork').Process(target=work, args=(tmp_path, middle, count))
    p.start()
    return p

def code(p):
    "Exit code; below 0 for a signal"
    p.join(120)
    return p.exitcode

def die_once(n, folder):
    if n==3 and not (folder/'died').exists():
        (folder/'died').touch()
        os.kill(os.getpid(), 9)

def die_in_first(n, folder):
    if n==1: os.kill(os.getpid(), 9)

def numbers(tmp_path): return [int(o) for o in (tmp_path/'trained.txt').read_text().split()]

def test_two_workers(tmp_path):
    "Each run is trained once, both workers train, and the settings are those of a single worker"
    ps = [start(tmp_path) for _ in range(2)]
    assert [code(p) for p in ps]==[0,0]
    alone = swept(tmp_path/'alone', count=8)
    runs = read_runs(tmp_path/'s')
    assert sorted(numbers(tmp_path))==list(range(1, 9)) and {o['state'] for o in runs}=={'finished'}
    assert [o['config'] for o in runs]==[o['config'] for o in alone.runs]

def test_killed_and_continued(tmp_path):
    "Killed in the middle of a run, the sweep does that run again and no other"
    assert code(start(tmp_path, die_once, 5))==-9
    assert [o['state'] for o in read_runs(tmp_path/'s')]==['finished','finished','running']
    assert code(start(tmp_path, die_once, 5))==0
    runs = read_runs(tmp_path/'s')
    assert numbers(tmp_path)==[1,2,3,3,4,5] and [o['tries'] for o in runs]==[1,1,2,1,1] and [len(o['history']) for o in runs]==[3]*5
    assert [o['config'] for o in runs]==[o['config'] for o in swept(tmp_path/'alone', count=5).runs]

def test_a_run_that_always_kills(tmp_path):
    "After three deaths it counts as failed, and the sweep goes on"
    for _ in range(3): assert code(start(tmp_path, die_in_first, 2))==-9
    assert code(start(tmp_path, die_in_first, 2))==0
    assert [o['state'] for o in read_runs(tmp_path/'s')]==['failed','finished'] and 'died 3 times' in read_runs(tmp_path/'s')[0]['error']

def slow_runs(n, folder): time.sleep(0.1)

def waits(n, folder):
    "Says that it is in the middle of run `n`, and stays there until it may go on"
    (folder/f'in-{n}').touch()
    while not (folder/'go').exists(): time.sleep(0.02)

@pytest.mark.parametrize('number', [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize('who', ['one','both'])
def test_killed_with_two_workers(tmp_path, number, who):
    "One worker or both go in the middle of a run: each run is done to its end once, what was broken off is done again, and nothing is lost or twice"
    ps = [start(tmp_path, waits, 8) for _ in range(2)]
    while len(list(tmp_path.glob('in-*')))<2: time.sleep(0.02)
    gone = ps[:1] if who=='one' else ps
    for p in gone: os.kill(p.pid, number)
    assert {code(p) for p in gone}=={-9 if number==signal.SIGKILL else 143}
    (tmp_path/'go').touch()
    ps = [o for o in ps if o not in gone]+[start(tmp_path, waits, 8) for _ in gone]
    assert [code(p) for p in ps]==[0]*len(ps)
    runs = read_runs(tmp_path/'s')
    assert [o['state'] for o in runs]==['finished']*8 and [len(o['history']) for o in runs]==[3]*8
    done = numbers(tmp_path)
    assert {*done}=={*range(1, 9)} and len(done)==8+len(gone)
    assert sum(o['tries']-1 for o in runs)==(0 if number==signal.SIGTERM else len(gone))
    assert [o['config'] for o in runs]==[o['config'] for o in swept(tmp_path/'alone', count=8).runs]

def test_terminated_often(tmp_path):
    "A machine that is taken away again and again costs no run its tries"
    for i in range(4):
        p = start(tmp_path, lambda n,folder: time.sleep(30), 1)
        while not (tmp_path/'trained.txt').exists() or len(numbers(tmp_path))<i+1: time.sleep(0.02)
        time.sleep(0.1)
        os.kill(p.pid, signal.SIGTERM)
        assert code(p)==143
    rec, = read_runs(tmp_path/'s')
    assert (rec['state'],rec['tries'])==('lost',0)
    assert code(start(tmp_path, slow_runs, 1))==0 and [o['state'] for o in read_runs(tmp_path/'s')]==['finished']

def test_handlers_are_put_back(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    swept(tmp_path, count=1)
    assert signal.getsignal(signal.SIGTERM)==before

# Folders of others

@pytest.mark.parametrize('name', ['plan.json','made_of.json','seeds.json'])
def test_files_of_others(tmp_path, name):
    "A folder with files of such names that no sweep wrote is left alone"
    (tmp_path/'s').mkdir()
    (tmp_path/'s'/name).write_text('{"mine": 1}')
    with pytest.raises(SettingError, match=f"holds .'{name}'., which no sweep wrote: move that elsewhere, or pass another folder"): swept(tmp_path, count=1)
    assert os.listdir(tmp_path/'s')==[name] and (tmp_path/'s'/name).read_text()=='{"mine": 1}'

def test_plan_in_the_folder(tmp_path):
    "A plan that lies where the sweep will be stays as it was written"
    (tmp_path/'s').mkdir()
    text = json.dumps(plan_of(), indent=7)
    (tmp_path/'s'/'plan.json').write_text(text)
    assert len(swept(tmp_path, tmp_path/'s'/'plan.json', 2).runs)==2 and (tmp_path/'s'/'plan.json').read_text()==text

bad_runs = ['[]','{}','{"number": 2, "state": "finished"}','{"number": 1, "state": "fine"}','{"number": true, "state": "failed"}','{"number": 1, "state": ["failed"]}','not json','['*100_000,
    '{"number": 1, "state": "failed", "config": []}','{"number": 1, "state": "failed", "final": {"valid/f1": "1"}}','{"number": 1, "state": "failed", "history": [1]}','{"number": 1, "state": "failed", "kept": 1}','\u00ff']

whole_run = dict(number=1, config={}, tries=1, state='failed', history=[], final={}, seconds=None, error=None, kept=False)
bad_runs += [json.dumps({k:v for k,v in whole_run.items() if k!=o}) for o in whole_run] + [json.dumps({**whole_run, k:v}) for k,v in (('seconds','1'),('error',1),('config',None))]

@pytest.mark.parametrize('line', bad_runs)
def test_hostile_runs(tmp_path, line):
    "What is no record of a sweep is one kind of error, and stays"
    s = swept(tmp_path, count=1)
    (s.folder/'runs.jsonl').write_text(line, encoding='latin-1')
    for f in (lambda: Sweep(s.folder).results(), lambda: Sweep(s.folder).best_learner(), lambda: swept(tmp_path, count=2)):
        with pytest.raises(SettingError, match='not written by a sweep'): f()
    assert (s.folder/'runs.jsonl').read_text(encoding='latin-1')==line

def test_settings_named_as_columns(tmp_path):
    "A record whose settings are called as the table's own columns does not stop it"
    s = swept(tmp_path, count=1)
    (s.folder/'runs.jsonl').write_text(json.dumps({**whole_run, 'config':{'number':5, 'seconds':'x'}, 'final':{'state':1.}})+'\n')
    row = Sweep(s.folder).results().reset_index().iloc[0]
    assert (row['number'],row['state'])==(1,'failed')

def test_quotes_are_private(tmp_path):
    "An error may quote a comment: the record is for its owner alone"
    def train(config, data, cbs, **fixed): raise ValueError('cannot read "you idiot"')
    with pytest.raises(RuntimeError), pytest.warns(UserWarning): swept(tmp_path, count=3, train=train)
    for o in (tmp_path/'s').rglob('*'):
        if o.is_file() and b'idiot' in o.read_bytes(): assert o.name=='runs.jsonl' and o.stat().st_mode & 0o077==0

def test_read_only(tmp_path):
    "Of an ordinary user: results can be looked at where they may be read, and nothing is begun"
    for o in (tmp_path, *tmp_path.parents[:3]): os.chmod(o, 0o755)
    swept(tmp_path, count=1)
    if os.geteuid()==0: os.seteuid(65534)
    try:
        with pytest.raises(PermissionError): swept(tmp_path, count=2)
        with pytest.raises(PermissionError): swept(tmp_path/'new', count=2)
    finally:
        if os.getuid()==0: os.seteuid(0)
    assert len(Sweep(tmp_path/'s').runs)==1

def test_torn_file(tmp_path):
    "What was being written when the power went is not read"
    s = swept(tmp_path, count=2)
    (s.folder/'runs.jsonl.part').write_text('{"number": 1, "conf')
    assert len(swept(tmp_path, count=3).runs)==3

# How runs end

def test_hyperband(tmp_path):
    "A run that is worse at the band is stopped, as the engine would have it; the best comes from those that finished"
    band = dict(type='hyperband', min_iter=1, eta=2)
    seen = []
    def train(config, data, cbs, **fixed):
        try: epochs(cbs, [config['lr']*i for i in range(1, 5)])
        finally: seen.append(config['lr'])
    s = swept(tmp_path, plan_of('grid', dict(lr=dict(values=[.5,.9,.1,.95])), early_terminate=band), None, train)
    assert [o['state'] for o in s.runs]==['finished','finished','stopped','finished'] and len(s.runs[2]['history'])<4 and s.best()==dict(lr=.95)
    assert s.results().index[-1]==3

def test_failures(tmp_path):
    "One is noted and the sweep goes on; three on end stop it"
    def train(config, data, cbs, **fixed):
        if cbs[0].number in (2,4,5,6): raise RuntimeError('out of luck')
        return by_lr(config, data, cbs)
    with pytest.warns(UserWarning, match='run 2 failed'),pytest.raises(RuntimeError, match='three runs on end failed.*out of luck'): swept(tmp_path, count=9, train=train)
    s = Sweep(tmp_path/'s')
    assert [o['state'] for o in s.runs]==['finished','failed','finished']+['failed']*3 and s.runs[1]['error']=='RuntimeError: out of luck'
    assert s.results().state.tolist()[:2]==['finished']*2 and len(s.results())==6

@pytest.mark.parametrize('method', ['random','bayes'])
def test_not_a_number(tmp_path, method):
    "Runs without a figure are kept, ranked last, and do not disturb the engine"
    def train(config, data, cbs, **fixed): epochs(cbs, [.5, np.nan if cbs[0].number in (2,3) else 1-abs(config['lr']-.3)])
    s = swept(tmp_path, plan_of(method, dict(lr=dict(min=0., max=1.)), early_terminate=dict(type='hyperband', min_iter=1)), 6, train)
    assert len(s.runs)==6 and set(s.results().index[-2:])=={2,3} and np.isfinite(s.results()['valid/f1'].iloc[0])

def test_interrupted(tmp_path):
    def train(config, data, cbs, **fixed):
        if not (tmp_path/'once').exists():
            (tmp_path/'once').touch()
            raise KeyboardInterrupt
        return by_lr(config, data, cbs)
    with pytest.raises(KeyboardInterrupt): swept(tmp_path, count=2, train=train)
    assert [o['state'] for o in swept(tmp_path, count=2, train=train).runs]==['finished']*2

def test_wrong_metric(tmp_path):
    "Stops at the first epoch, with the names that there are; the plan can then be mended in its folder"
    with pytest.raises(SettingError, match=r"no metric 'valid/f2'.*'valid/loss', 'valid/f1'.*did you mean 'valid/f1'"): swept(tmp_path, {**plan_of(), 'metric':dict(name='valid/f2', goal='maximize')})
    assert [o['state'] for o in swept(tmp_path, count=2).runs]==['finished']*2

# Results

def runs_of(figures, goal='maximize', tmp_path=None):
    s = Sweep(tmp_path/'r', {**plan_of(), 'metric':dict(metric, goal=goal)}, known=sweepable)
    with changed_runs(s.folder) as runs:
        runs += [dict(number=i+1, config=dict(lr=float(i)), state=st, final={} if v is None else {'valid/f1':v}, history=[], seconds=1., tries=1, kept=False, error=None) for i,(st,v) in enumerate(figures)]
    return s

@pytest.mark.parametrize('goal,order', [('maximize',[3,1,4,2,5]), ('minimize',[1,3,4,2,5])])
def test_order(tmp_path, goal, order):
    "Finished ones by the metric of the last epoch, then stopped ones, then those without a figure"
    s = runs_of([('finished',.5),('finished',np.nan),('finished',.7),('stopped',.9),('failed',None)], goal, tmp_path)
    assert s.results().index.tolist()==order and s.best()==dict(lr=float(order[0]-1))

def test_nothing_finished(tmp_path):
    s = runs_of([('failed',None)], tmp_path=tmp_path)
    for f in (s.best, s.best_learner):
        with pytest.raises(SettingError, match='no run of the sweep is finished'): f()
    with pytest.raises(SettingError, match='expected two or more'): s.plot()
    with pytest.raises(SettingError, match='no data'): runs_of([('finished',.5)], tmp_path=tmp_path/'b').best_learner()

def test_importance(tmp_path):
    "The setting that the metric depends on comes first, as scikit-learn says"
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.inspection import permutation_importance
    p = plan_of(parameters=dict(wd=dict(min=0.,max=1.), lr=dict(min=0.,max=1.), loss=dict(values=['bce','focal']), epochs=dict(value=1)))
    s = swept(tmp_path, p, 30)
    df = s.importance()
    assert df.index[0]=='lr' and set(df.index)=={'wd','lr','loss'} and df.importance['lr']>10*max(df.importance['wd'], .01)
    rows = s.ranked(s.runs)
    x = np.array([[o['config']['wd'],o['config']['lr'],o['config']['loss']=='focal'] for o in rows], dtype=float)
    y = np.array([o['final']['valid/f1'] for o in rows])
    want = permutation_importance(RandomForestRegressor(300, random_state=42).fit(x, y), x, y, n_repeats=30, random_state=42).importances_mean
    np.testing.assert_allclose(df.importance[['wd','lr','loss']], want, atol=0.05)
    fig = s.plot_importance()
    assert [o.get_text() for o in fig.axes[0].get_yticklabels()][-1]=='lr'

def test_plot(tmp_path):
    "A line for each run, its end at the height of its metric; mixed settings are places on an axis"
    p = plan_of(parameters=dict(lr=dict(min=1e-5, max=1., distribution='log_uniform_values'), decay=dict(values=[None,.9]), bs=dict(values=[8,16])))
    s = swept(tmp_path, p, 8)
    ax = s.plot().axes[0]
    lines = [o for o in ax.lines if len(o.get_xdata())==4]
    y = sorted(o['final']['valid/f1'] for o in s.runs)
    assert len(lines)==8 and [o.get_text() for o in ax.get_xticklabels()]==['lr','decay','bs','valid/f1']
    np.testing.assert_allclose(sorted(o.get_ydata()[-1] for o in lines), (np.array(y)-y[0])/(y[-1]-y[0]), atol=1e-9)
    lrs = sorted(np.log10([o['config']['lr'] for o in s.runs]))
    np.testing.assert_allclose(sorted(o.get_ydata()[0] for o in lines), (np.array(lrs)-lrs[0])/(lrs[-1]-lrs[0]), atol=1e-9)

def test_spread():
    "Intervals are scipy's; one seed has none"
    a,b = [.7,.72,.75],[.6,.66,.65]
    df = spread(dict(best=a, default=b))
    np.testing.assert_allclose(df.loc['best',['low','high']].astype(float), stats.t.interval(.95, 2, np.mean(a), stats.sem(a)))
    d = np.mean(a)-np.mean(b)
    va,vb = np.var(a, ddof=1)/3,np.var(b, ddof=1)/3
    half = stats.t.ppf(.975, (va+vb)**2/(va**2/2+vb**2/2))*(va+vb)**.5 # Welch
    np.testing.assert_allclose(df.loc['best - default',['mean','low','high']].astype(float), [d,d-half,d+half])
    assert spread(dict(best=[1.], default=[2.])).low.isna().all()

def test_seeds(tmp_path):
    "Best and default with each seed, trained once; what does not vary is kept in both"
    calls = []
    def train(config, data, cbs, **fixed):
        if not cbs: calls.append(config)
        return by_lr({'lr':.9, **config}, data, cbs)
    s = swept(tmp_path, plan_of('grid', dict(lr=dict(values=[.3,.8]), epochs=dict(value=2))), None, train)
    s.data = 'something'
    df = s.seeds((1,2,3))
    assert calls==[dict(epochs=2, seed=i) for i in (1,2,3)]+[dict(lr=.3, epochs=2, seed=i) for i in (1,2,3)]
    assert np.isclose(df.loc['best - default','mean'], .6) and s.seeds((1,2,3)).equals(df) and len(calls)==6

# The real thing

base = dict(checkpoint=str(tiny_checkpoint()), label_cols=['toxic','insult'], bs=8, freeze_epochs=0)
real = dict(name='real', method='random', metric=dict(name='valid/loss', goal='minimize'), parameters=dict(lr=dict(min=1e-4, max=1e-2), seed=dict(value=3)))

@pytest.fixture(scope='module')
def trained_sweep(tmp_path_factory):
    return sweep(real, comments(48), count=3, folder=tmp_path_factory.mktemp('real'), keep=True, wandb=dict(every=1), **base)

def test_runs_are_logged(trained_sweep):
    "An offline run for each, with its settings and figures, in one group"
    parsed = runpy.run_path(str(Path(__file__).with_name('test_tracking.py')))['parsed']
    found = []
    for o in trained_sweep.runs:
        for _ in range(100):
            logs = [parsed(p.read_bytes()) for p in trained_sweep.folder.glob('wandb/offline-run-*/run-*.wandb')]
            log = [l for l in logs if any(r.HasField('run') and r.run.display_name==f"run-{o['number']}" for r in l)]
            if log and any(r.WhichOneof('record_type')=='exit' for r in log[0]): break
            time.sleep(.1)
        run = next(r.run for r in log[0] if r.HasField('run'))
        config = {i.key:json.loads(i.value_json) for r in log[0] for c in ([r.run.config] if r.HasField('run') else [r.config] if r.HasField('config') else []) for i in c.update}
        values = [json.loads(i.value_json) for r in log[0] if r.HasField('history') for i in r.history.item if '/'.join([i.key] if i.key else i.nested_key)=='valid/loss']
        found.append((run.run_group,config['lr'],values))
    assert found==[('real',o['config']['lr'],[e['valid/loss'] for e in o['history']]) for o in trained_sweep.runs]

def test_best_learner(trained_sweep):
    "Kept and trained anew it predicts the same, and its figure is that of the table"
    s,texts = trained_sweep,comments(8).text.tolist()
    kept = s.best_learner()
    assert [o['kept'] for o in s.runs].count(True)==1 and s.best_run()['kept'] and not list(s.folder.glob('run-*.pkl'))
    with changed_runs(s.folder) as runs: before = [o['kept'] for o in runs]; [o.update(kept=False) for o in runs]
    new = s.best_learner()
    with changed_runs(s.folder) as runs: [o.update(kept=k) for o,k in zip(runs, before)]
    pd.testing.assert_frame_equal(kept.classify(texts), new.classify(texts), atol=1e-5)
    with new.no_bar(),new.no_logging(): assert np.isclose(new.validate()[0], s.results()['valid/loss'].min(), atol=1e-5)

class Bomb:
    def __reduce__(self): return os.mkdir,('RAN',)

@pytest.mark.parametrize('kind', ['pickle','other weights','outside','link','no name','old pickle'])
def test_best_learner_of_others(trained_sweep, kind, tmp_path, monkeypatch):
    "Nothing in the folder runs code: what is not the weights that were written is not read, and the learner is trained anew"
    monkeypatch.chdir(tmp_path)
    folder = Path(shutil.copytree(trained_sweep.folder, tmp_path/'s'))
    trained = []
    def train(config, data, cbs=None, **fixed):
        trained.append(cbs)
        return train_config(config, data, cbs, **fixed)
    s = Sweep(folder, data=comments(48), train=train, **base)
    rec = s.best_run()
    file = folder/rec['weights']
    if kind=='pickle': torch.save(Bomb(), file)
    elif kind=='other weights': torch.save({}, file)
    elif kind=='old pickle': torch.save(Bomb(), folder/'best.pkl')
    with changed_runs(folder) as runs:
        if kind=='outside': runs[rec['number']-1]['weights'] = '../'+file.name
        elif kind=='no name': runs[rec['number']-1].pop('weights')
    if kind=='link':
        file.rename(tmp_path/'w.pt')
        torch.save(Bomb(), tmp_path/'w.pt')
        file.symlink_to(tmp_path/'w.pt')
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter('always')
        learn = s.best_learner()
    anew = any('the learner is trained anew' in str(o.message) for o in said)
    assert not (tmp_path/'RAN').exists() and anew==(kind!='old pickle') and (trained[-1] is None)==anew
    pd.testing.assert_frame_equal(learn.classify(comments(4).text.tolist()), trained_sweep.best_learner().classify(comments(4).text.tolist()), atol=1e-5)

def test_pickle_with_its_digest(trained_sweep, tmp_path, monkeypatch):
    "A pickle whose digest stands in the record, as whoever makes a hostile folder can write it, is refused"
    monkeypatch.chdir(tmp_path)
    folder = Path(shutil.copytree(trained_sweep.folder, tmp_path/'s'))
    s = Sweep(folder, data=comments(48), **base)
    rec = s.best_run()
    torch.save(Bomb(), folder/rec['weights'])
    with changed_runs(folder) as runs: runs[rec['number']-1]['sha256'] = file_digest(folder/rec['weights'])
    with pytest.raises(ValueError, match=f"{rec['weights']}' holds no tensors"): s.best_learner()
    assert not (tmp_path/'RAN').exists()

def test_weights_swapped(trained_sweep, tmp_path, monkeypatch):
    "Weights that take the place of those that were compared are not read"
    import toxicai.runs.sweeps as module
    folder = Path(shutil.copytree(trained_sweep.folder, tmp_path/'s'))
    s = Sweep(folder, data=comments(48), **base)
    file,real = folder/s.best_run()['weights'],module.load_state
    torch.save({}, tmp_path/'other.pt')
    def _swapped(f, name, **kwargs):
        os.replace(tmp_path/'other.pt', file)
        return real(f, name, **kwargs)
    texts = comments(4).text.tolist()
    want = trained_sweep.best_learner().classify(texts)
    monkeypatch.setattr(module, 'load_state', _swapped)
    pd.testing.assert_frame_equal(s.best_learner().classify(texts), want, atol=1e-5)

def test_kept_without_data(trained_sweep):
    with pytest.raises(SettingError, match='no data to make the learner with: pass `data`'): Sweep(trained_sweep.folder).best_learner()
    assert {o.name for o in trained_sweep.folder.iterdir() if o.suffix in ('.pkl','.pt')}=={trained_sweep.best_run()['weights']}

def test_texts_are_asked_for(trained_sweep):
    raw = b''.join(o.read_bytes() for o in trained_sweep.folder.glob('wandb/**/*') if o.is_file())
    assert b'crap article' not in raw

def test_online(tmp_path, monkeypatch):
    "With a server, settings are those that it sends, and its own name for the sweep is used"
    import wandb
    sent,asked,init = [],[],wandb.init
    def agent(sweep_id, function, project, entity, count):
        asked.append((sweep_id,project,count))
        for lr in (1e-3,2e-3)[:count]:
            monkeypatch.setattr(wandb, 'init', lambda **kw: init(mode='offline', config=dict(lr=lr), **kw))
            function()
    monkeypatch.setattr(wandb, 'sweep', lambda plan, project, entity: sent.append((plan,project,entity)) or 'abc123')
    monkeypatch.setattr(wandb, 'agent', agent)
    plan = {**real, 'project':'mine', 'entity':'us', 'parameters':dict(lr=dict(min=1e-4, max=1e-2)), 'early_terminate':dict(type='hyperband', min_iter=1)}
    monkeypatch.setattr(toxicai.runs.sweeps, 'to_stop', lambda *args: pytest.fail('the server decides'))
    s = sweep(plan, comments(48), count=2, folder=tmp_path, online=True, **base)
    assert sent==[(plan,'mine','us')] and asked==[('abc123','mine',2)] and [(o['config'],o['state']) for o in s.runs]==[(dict(lr=1e-3),'finished'),(dict(lr=2e-3),'finished')]
    assert sweep(plan, comments(48), count=1, folder=tmp_path, sweep_id='xyz', **base).sweep_id=='xyz' and len(sent)==1

def test_shell(tmp_path):
    comments(48).to_csv(tmp_path/'c.csv', index=False)
    (tmp_path/'p.yaml').write_text('method: grid\nmetric: {name: valid/loss, goal: minimize}\nparameters:\n  bs: {values: [8, 16]}\n  freeze_epochs: {value: 0}\n')
    def run(*args): return subprocess.run([sys.executable, '-m', 'toxicai.runs.sweeps', str(tmp_path/'p.yaml'), str(tmp_path/'c.csv'), '--text-col', 'text', '--label-cols', 'toxic,insult',
                                           '--folder', str(tmp_path/'s'), '--checkpoint', str(tiny_checkpoint()), *args], capture_output=True, text=True, env={**os.environ, 'PYTHONPATH':os.pathsep.join(sys.path)})
    res = run()
    assert not res.returncode and res.stderr=='', res.stderr
    lines = res.stdout.splitlines()
    ran = [o for o in lines if re.match(r'run \d finished: valid/loss 0\.\d{4} in [\d.]+ s \(bs (8|16), freeze_epochs 0\)$', o)]
    assert len(ran)==2 and sum(o.startswith('best: run ') for o in lines)==1 and sum(bool(re.match(r'\d +finished', o)) for o in lines)==2
    assert len(lines)<=14, res.stdout # not 45 lines of W&B for each run
    (tmp_path/'p.yaml').write_text('method: grid\nmetric: {name: valid/loss, goal: minimize}\nparameters:\n  batch: {values: [8, 16]}\n')
    res = run()
    assert res.returncode and "there is no setting 'batch'" in res.stderr and 'Traceback' not in res.stderr

def test_no_engine(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'sweeps', None)
    with pytest.raises(ImportError, match=r"pip install 'toxicai\[sweeps\]'"): swept(tmp_path)

def test_switched_off(tmp_path, monkeypatch):
    "Who switches W&B off gets a sweep without its logs"
    monkeypatch.setenv('WANDB_MODE', 'disabled')
    s = sweep(real, comments(48), count=1, folder=tmp_path, **base)
    assert s.runs[0]['state']=='finished' and not list(tmp_path.glob('wandb'))

def test_quiet_engine():
    "What it says of other versions when it is imported is not the user's business"
    res = subprocess.run([sys.executable, '-W', 'error::UserWarning:pydantic', '-c', 'from toxicai.runs.sweeps import sweep_engine; sweep_engine()'], capture_output=True, text=True, env={**os.environ, 'PYTHONPATH':os.pathsep.join(sys.path)})
    assert not res.returncode and 'UserWarning: Valid config' not in res.stderr, res.stderr

def test_imported_late():
    code = "import sys; from toxicai.all import *; sys.exit(bool({'wandb','sweeps'} & set(sys.modules)))"
    assert not subprocess.run([sys.executable, '-c', code], env={**os.environ, 'PYTHONPATH':os.pathsep.join(sys.path)}).returncode

# Mistakes of a plan, before anything is loaded

def never(*args, **kwargs): pytest.fail('something is loaded')

wrong_plans = [
    (dict(metric=dict(name='roc_auc', goal='maximize')), "'roc_auc' is no name of a run .did you mean 'valid/roc_auc'"), (dict(metric=dict(name='f1 insult', goal='maximize')), "did you mean 'valid/f1/insult'"),
    (dict(metric=dict(name='valid_loss', goal='minimize')), "did you mean 'valid/loss'"), (dict(metric=dict(name='valid/rocauc', goal='maximize')), "no metric 'valid/rocauc' .*did you mean 'valid/roc_auc'"),
    (dict(metric=dict(name='valid/mcc', goal='maximize')), r"expected one of \['train/epoch_loss', 'valid/loss"), (dict(metric=dict(name=3, goal='maximize')), '`metric` is'),
    (dict(parameters=dict(lr=dict(values=['1e-4','1e-3']))), "'lr' has the value '1e-4': expected a number; without quotes 0.0001"), (dict(parameters=dict(lr=dict(min='1e-4', max='1e-3'))), "'lr' has .*without quotes"),
    (dict(parameters=dict(epochs=dict(value='2'))), "'epochs' has the value '2'"), (dict(parameters=dict(bs=dict(min=8., max=32.))), "'bs' would get fractions"), (dict(parameters=dict(dropout=dict(min=0, max=1))), 'W&B draws whole numbers'),
    (dict(parameters=dict(bs=dict(min=8, max=32, distribution='q_uniform', q=8.))), "'bs' would get fractions"), (dict(parameters=dict(lr=dict(min=1e-3, max=1e-4))), 'min 0.001 is not less than max 0.0001'),
    (dict(parameters=dict(lr=dict(min=1e-5, max=1e-3, distribution='log_uniform'))), "write 'log_uniform_values'"), (dict(parameters=dict(lr=dict(min=0., max=1e-3, distribution='log_uniform_values'))), 'more than 0'),
    (dict(parameters=dict(lr=dict(min=1e-5, max=1e-3, distribution='loguniform'))), "did you mean 'log_uniform"), (dict(parameters=dict(loss=dict(values=['bce','focall']))), "did you mean 'focal'"),
    (dict(parameters=dict(epoch=dict(value=2))), "did you mean 'epochs'")]

@pytest.mark.parametrize('no_engine', [False,True])
@pytest.mark.parametrize('change,err', wrong_plans, ids=[o[1][:40] for o in wrong_plans])
def test_wrong_plans(tmp_path, change, err, no_engine, monkeypatch):
    "With W&B's engine and without"
    monkeypatch.setattr('toxicai.runs.configs.config_loaders', never)
    if no_engine: monkeypatch.setitem(sys.modules, 'sweeps', None)
    plan = {**plan_of(), 'metric':dict(name='valid/roc_auc', goal='maximize'), **change}
    with pytest.raises(SettingError, match=err): sweep(plan, comments(24), count=1, folder=tmp_path/'s', label_cols=['toxic','insult'])
    assert not (tmp_path/'s'/'runs.jsonl').exists()

@pytest.mark.parametrize('fixed,err', [(dict(lable_cols=['toxic']), "did you mean 'label_cols'"), (dict(bs='8'), "'bs' has the value '8'"), (dict(metrics='auc'), "did you mean 'roc_auc'"), (dict(wandb='mine'), "`wandb` is 'mine'")])
def test_wrong_settings_beside_a_plan(tmp_path, fixed, err, monkeypatch):
    monkeypatch.setattr('toxicai.runs.configs.config_loaders', never)
    with pytest.raises(SettingError, match=err): sweep({**plan_of(), 'metric':dict(name='valid/roc_auc', goal='maximize')}, comments(24), count=1, folder=tmp_path/'s', **fixed)

def test_right_plans():
    "Ranges that W&B draws well from"
    right = dict(lr=dict(min=1e-5, max=1e-3), wd=dict(min=1e-4, max=1., distribution='log_uniform_values'), bs=dict(min=8, max=64, distribution='q_uniform', q=8), gamma=dict(min=0, max=5, distribution='int_uniform'),
                 max_length=dict(min=64, max=256), dropout=dict(min=0., max=0.5), epochs=dict(value=2), decay=dict(values=[None,0.9]), warmup=dict(mu=0.1, sigma=0.01, distribution='normal'), clip=dict(values=[0,1]), attn_dropout=dict(values=['auto',0.1]))
    check_plan({**plan_of(), 'parameters':right})

def test_metric_of_own_columns(tmp_path):
    "Metrics that are passed by name can be optimised; a sweep is opened again without them"
    plan = {**real, 'metric':dict(name='valid/mcc/insult', goal='maximize')}
    s = sweep(plan, comments(48), count=1, folder=tmp_path, wandb=False, metrics='mcc, mcc insult', **base)
    assert 'valid/mcc/insult' in s.runs[0]['final'] and Sweep(tmp_path).metric=='valid/mcc/insult'

def test_metric_that_these_labels_lack(tmp_path):
    "A column of other kinds of labels is missed before the first epoch"
    plan = {**real, 'metric':dict(name='valid/accuracy', goal='maximize')}
    with pytest.raises(SettingError, match="no metric 'valid/accuracy'.*valid/roc_auc"): sweep(plan, comments(48), count=1, folder=tmp_path, wandb=False, **base)
    assert read_runs(tmp_path)[0]['history']==[]

def test_logs_nothing(tmp_path, monkeypatch):
    "`wandb=False`: no run, no file, not even the import; a server cannot do without"
    import wandb
    monkeypatch.setattr(wandb, 'init', lambda **kwargs: pytest.fail('a run is opened'))
    s = sweep(real, comments(48), count=1, folder=tmp_path, wandb=False, **base)
    assert s.runs[0]['state']=='finished' and not list(tmp_path.glob('wandb'))
    with pytest.raises(SettingError, match='`wandb=False` logs nothing'): s.go_online(1)

def test_last_epoch_before_an_early_stop(tmp_path):
    "The epoch in which another callback ends the fit counts"
    from fastai.callback.tracker import EarlyStoppingCallback
    def train(config, data, cbs, **fixed): return train_config(config, data, cbs=[EarlyStoppingCallback(patience=1),*(cbs or ())], **fixed)
    plan = {**real, 'parameters':dict(lr=dict(value=0.), epochs=dict(value=5))}
    s = sweep({**plan, 'method':'grid'}, comments(48), train, folder=tmp_path, wandb=False, **base)
    assert len(s.runs[0]['history'])==2 and s.runs[0]['final']==s.runs[0]['history'][-1]

def test_figures_after_training_that_judges(tmp_path):
    "A `train` that tunes thresholds or validates other rows leaves the figures of the last epoch"
    def train(config, data, cbs, **fixed):
        learn = train_config(config, data, cbs=cbs, **fixed)
        with learn.no_bar():
            learn.validate(0)
            learn.tune_thresholds(n_boot=0)
        return learn
    s = sweep({**real, 'method':'grid', 'parameters':dict(seed=dict(value=3))}, comments(48), train, folder=tmp_path, wandb=False, **base)
    assert s._figure(s.runs[0]['config'])==pytest.approx(s.runs[0]['final']['valid/loss'], abs=1e-6)

def test_one_run_of_wandb_for_several_fits(tmp_path):
    def train(config, data, cbs, **fixed):
        learn = train_config(config, data, cbs=cbs, **fixed)
        with learn.no_bar(),learn.no_logging(): learn.fit(1, cbs=cbs)
        return learn
    s = sweep({**real, 'method':'grid', 'parameters':dict(seed=dict(value=3))}, comments(48), train, folder=tmp_path, **base)
    assert len(list(tmp_path.glob('wandb/offline-run-*')))==1 and len(s.runs[0]['history'])==2
