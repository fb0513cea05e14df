"Every figure of the library shows itself, once, as the first picture of a fresh kernel"
import os
from contextlib import contextmanager

import numpy as np,pandas as pd,pytest
from toxicai.judge.behaviour import *
from toxicai.judge.bias import *
from toxicai.judge.calibration import *
from toxicai.judge.figures import *
from toxicai.judge.judged import *
from toxicai.judge.thresholds import *
from toxicai.labels import *

jupyter_client = pytest.importorskip('jupyter_client')
pytest.importorskip('ipykernel')

setup = '''
import warnings; warnings.simplefilter('ignore')
import numpy as np,pandas as pd
from toxicai.labels import *
from toxicai.judge.judged import *
from toxicai.judge.thresholds import *
from toxicai.judge.calibration import *
from toxicai.judge.bias import *
from toxicai.judge.behaviour import *
from toxicai.judge.report import *
from toxicai.judge.figures import *
rng = np.random.default_rng(3)
logits = rng.normal(-1, 2, (300,2))
targs = (rng.random((300,2))<1/(1+np.exp(-logits))).astype(float)
judged = Judged(1/(1+np.exp(-logits)), targs, LabelSet(['toxic','threat']), logits=logits)
groups = pd.DataFrame({k:rng.random(300)<.3 for k in ('a','b')})
cases = behaviour_cases('toxic')
def swept():
    from toxicai.runs.sweeps import Sweep
    runs = [dict(number=i, state='finished', config=dict(lr=10.**-i, dropout=i/10), final={'valid/f1':i/9}) for i in range(1, 5)]
    class Ran(Sweep):
        metric,goal,plan = 'valid/f1','maximize',dict(parameters=dict(lr={}, dropout={}))
        def __init__(self): pass
        runs = property(lambda self: runs)
        def ranked(self, runs): return runs
    return Ran()
'''
# What a user types -> the last line of a cell
figures = dict(
    thresholds="tuned_thresholds(judged, n_boot=0).plot()",
    calibration="calibrated(judged, n_boot=0).plot()",
    bias="find_bias(targs[:,0], judged.probs[:,0], judged.flags()[:,0], groups, 'toxic', 'x', n_boot=0).plot()",
    behaviour="BehaviourReport(cases, np.ones(len(cases))*.6, np.arange(len(cases))%2==0, 'toxic').plot()",
    curves="curves_figure(judged)", reliability="reliability_figure(judged)", scores="scores_figure(judged)",
    confusion="confusion_figure(judged)", parts="slices_figure([slice_table(judged, ['a','b','c']*100, 'site')])",
    saying="figure_saying('nothing')", report="judge(judged, n_boot=0).figures['curves']",
    sweep="swept().plot()", importance="swept().plot_importance(n_repeats=2)",
    description="from toxicai.data.describe import describe\n"
                "describe(pd.DataFrame(dict(text=['you all']*30+['get lost now']*30, toxic=[0,1]*30)), 'text', ['toxic']).plot()")

@contextmanager
def a_kernel():
    "A client of a new kernel, with the backend of matplotlib that a notebook has"
    env = {k:v for k,v in os.environ.items() if k!='MPLBACKEND'}
    manager,client = jupyter_client.manager.start_new_kernel(kernel_name='python3', env=env)
    try: yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)

@pytest.fixture(scope='module')
def kernel():
    "A kernel in which pyplot draws nothing"
    with a_kernel() as client: yield lambda code: executed(client, code)

def executed(client, code):
    "Outputs of a cell: dicts of types -> data, and texts of errors"
    found = []
    def seen(msg):
        content = msg['content']
        if msg['msg_type'] in ('execute_result','display_data'): found.append(content['data'])
        if msg['msg_type']=='error': found.append('\n'.join(content['traceback'][-3:]))
    client.execute_interactive(code, timeout=120, output_hook=seen)
    return found

@pytest.mark.parametrize('name', figures)
def test_shown_once(kernel, name):
    kernel(setup)
    out = kernel(figures[name])
    assert len(out)==1 and isinstance(out[0], dict), f'{name}: {out}'
    assert 'image/png' in out[0], f"{name} shows only {out[0].get('text/plain')}"

@pytest.mark.slow
@pytest.mark.parametrize('name', ['thresholds','sweep','description'])
def test_first_of_a_kernel(name):
    "The same, as the first thing that a kernel draws"
    with a_kernel() as client:
        executed(client, setup)
        out = executed(client, figures[name])
        assert len(out)==1 and 'image/png' in out[0], f'{name}: {out}'
        assert 'image/png' in executed(client, 'import matplotlib.pyplot as plt; plt.plot([0,1]);')[-1]
        assert len(executed(client, figures[name]))==1, 'once, too, where pyplot draws as well'

def test_pyplot_holds_nothing(kernel):
    out = kernel(setup+"import matplotlib.pyplot as plt\ncurves_figure(judged)\nlen(plt.get_fignums())")
    assert out==[{'text/plain':'0'}]

# What a picture says of itself

def said(fig): return ' '.join(fig.get_suptitle().split())

@pytest.fixture(scope='module')
def judged():
    rng = np.random.default_rng(5)
    logits = rng.normal(-1, 2, (240,2))
    targs = (rng.random((240,2))<1/(1+np.exp(-logits))).astype(float)
    return Judged(1/(1+np.exp(-logits)), targs, LabelSet(['toxic','threat']), logits=logits)

@pytest.mark.parametrize('thresh,says', [(1.,True),(0.5,False)])
def test_nothing_flagged(judged, thresh, says):
    judged = Judged(judged.probs, judged.targs, judged.labels.with_thresholds(thresh))
    flags,groups = judged.flags()[:,0],pd.DataFrame(dict(a=np.arange(240)%2==0))
    figs = [confusion_figure(judged), find_bias(judged.targs[:,0], judged.probs[:,0], flags, groups, 'toxic', 'x', n_boot=0).plot()]
    cases = behaviour_cases('toxic')
    figs.append(BehaviourReport(cases, np.zeros(len(cases)), np.arange(len(cases))%7==0 if not says else np.zeros(len(cases), bool), 'toxic').plot())
    assert [nothing_flagged in said(o) for o in figs]==[says]*3

@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('method,cross,words', [('isotonic',False,['optimistic','`cross_fit=True` tells']), ('isotonic',True,['were not fitted']), ('platt',False,['optimistic'])])
def test_optimistic(judged, method, cross, words):
    fig = calibrated(judged, method, cross, n_boot=0).plot()
    assert all(o in said(fig) for o in words) and ('tells' in said(fig))==(len(words)==2)
    titles = [o.get_title(loc='left') for o in fig.axes]
    assert all('240 rows' in o and ('optimistic' in o)!=cross for o in titles)

def test_thresholds_say_rows(judged): assert '240 rows' in said(tuned_thresholds(judged, n_boot=0).plot())

@pytest.mark.parametrize('n', [2,11,12])
def test_few_runs(n):
    from toxicai.runs.sweeps import few_runs
    assert few_runs(n).startswith(f'{n} runs are too few')==(n<12)

@pytest.mark.parametrize('empty', [0,1,30])
def test_groups_fold(judged, empty):
    groups = pd.DataFrame({'women':np.arange(240)%3==0, **{f'g{i}':np.zeros(240, bool) for i in range(empty)}, 'rare':np.arange(240)<2})
    rep = find_bias(judged.targs[:,0], judged.probs[:,0], judged.flags()[:,0], groups, 'toxic', 'x', n_boot=0)
    about,shown = rep.tables.values()
    assert shown.group.tolist()==['all rows','women','rare'] and len(rep.table)==3+empty==len(rep.frames['groups'])
    said = dict(zip(about.figure, about.value)).get('without any row')
    assert said is None if not empty else said.startswith(f"{empty} group{'s' if empty>1 else ''}: g0")

@pytest.mark.parametrize('n,shape', [(1,(1,1)), (2,(1,2)), (3,(1,3)), (4,(2,2)), (5,(2,3)), (6,(2,3)), (7,(3,3)), (10,(4,3)), (12,(4,3))])
def test_panels_fill_the_rows(n, shape):
    "No row with a single panel beside emptiness where two rows of two do"
    fig,axes = small_multiples(n)
    grid = axes[0].get_subplotspec().get_gridspec()
    assert (grid.nrows,grid.ncols)==shape and len(axes)==n

@pytest.mark.parametrize('goal,word', [('maximize','brighter'),('minimize','darker')])
def test_sweep_says_which_line_is_best(goal, word):
    names = {}
    exec(setup, names)
    ran = names['swept']()
    ran.goal = goal
    fig = ran.plot()
    lines = {o.get_ydata()[-1]:sum(o.get_color()[:3]) for o in fig.axes[0].lines if len(o.get_xdata())==3}
    best = (max if goal=='maximize' else min)(lines)
    assert word in said(fig) and lines[best]==(max if word=='brighter' else min)(lines.values())

def test_importance_says_few(capsys):
    "The table of a few runs comes with a word, the picture says it itself"
    names = {}
    exec(setup, names)
    ran = names['swept']()
    df,fig = ran.importance(n_repeats=2),ran.plot_importance(n_repeats=2)
    assert capsys.readouterr().out.count('4 runs are too few')==1 and '4 runs are too few' in said(fig)
    assert list(df.columns)==['importance','sd']

@pytest.mark.parametrize('n', [1,2,4,5])
def test_legend_fits(n):
    "The legend below the panels lies within the picture, however few they are"
    rng = np.random.default_rng(n)
    p = rng.random((60,n))
    judged = Judged(p, (rng.random((60,n))<p).astype(float), LabelSet(list('abcde')[:n]))
    fig = tuned_thresholds(judged, n_boot=0).plot()
    fig._repr_png_()
    box,page = fig.legends[0].get_window_extent(),fig.bbox
    assert page.x0<=box.x0 and box.x1<=page.x1 and page.y0<=box.y0
