"What `help`, `?f` and shift-tab say of arguments; crosses all wings"
import importlib,inspect,re,subprocess,sys
from pathlib import Path

import pytest
import toxicai.all as users
from fastai.learner import Learner
from IPython.core.oinspect import Inspector
from toxicai.helptexts import add_help,placed_at,put_help

root = Path(__file__).resolve().parent.parent
# Registered by dispatch, and fastai's own objects
of_fastai = {'show_batch','show_results','plot_top_losses'}

def ours(o): return (getattr(o, '__module__', None) or '').startswith('toxicai')

def callables(): # Name and object of what users get, with the methods
    for name,o in vars(users).items():
        if name.startswith('_') or not (inspect.isclass(o) or inspect.isroutine(o)): continue
        yield name,o
        for k in vars(o) if inspect.isclass(o) else ():
            f = getattr(getattr(o, k), '__func__', getattr(o, k))
            if not k.startswith('_') and inspect.isroutine(f) and ours(f): yield f'{name}.{k}',f

def own_init(o): # Does a class have a constructor of ours?
    return not inspect.isclass(o) or hasattr(o, '_fields') or any('__init__' in vars(c) and ours(c) for c in o.__mro__)

def parameters(o): return [p for p in inspect.signature(o).parameters.values() if p.name not in ('self','cls')]

found = {k:o for k,o in callables() if k not in of_fastai and own_init(o)}

def test_there_are_many(): # the two tests below run over something
    assert len(found)>300 and {'TransformerLearner.report','Detector.from_hub','Comments.part','wilson','WandbRun'}<=set(found)
    assert all(not ours(getattr(users, o)) for o in of_fastai)

@pytest.mark.parametrize('name', [o for o in found if '.' not in o])
def test_every_argument(name):
    "A line with a text for each argument of a function, of a constructor and of the methods"
    for k,o in found.items():
        if k.split('.')[0]!=name: continue
        said = (inspect.getdoc(o) or '').partition('Args:\n')[2]
        for p in parameters(o):
            assert re.search(rf'^    \*{{0,2}}{p.name}( \(.*\n?.*\))?: \w*\W*\w', said, flags=re.M), f'{k} says nothing of {p.name}'

def test_shift_tab():
    "IPython shows the arguments of functions, methods and constructors"
    tab = lambda o: Inspector(theme_name='linux').info(o)['docstring']
    assert tab(users.wilson).splitlines()[2]=='Args:' and '    k (int): Successes\n' in tab(users.wilson)
    assert 'Returns:\n    tuple: (low, high)' in tab(users.wilson)
    assert '    precision (str, default \'auto\'): ' in tab(users.AutoPrecision)
    assert '    ds_idx (int, default 1): 0 for training rows' in tab(users.TransformerLearner.report)
    assert '    threads (int): ' in tab(users.Detector.from_hub) # a class method, and of what it passes on

def test_of_the_delegate():
    "What is passed on is explained by who takes it, through several hands"
    assert '    n_boot (int, default ' in users.TransformerLearner.bias_report.__doc__ # of `find_bias`
    assert '    weight: Factor of each class' in users.MaskedAsymmetricLoss.__doc__ # of its base class
    assert '    trust_remote_code (bool, default False): ' in users.ToxicityDataLoaders.from_csv.__doc__ # of the third hand
    assert '    with_opt (default True): ' in users.TransformerLearner.load.__doc__ # what fastai leaves unsaid

def test_set_once():
    before = {k:o.__doc__ for k,o in found.items()}
    put_help()
    importlib.import_module('toxicai.helptexts')._done.clear()
    put_help()
    assert {k:o.__doc__ for k,o in found.items()}==before
    assert all(o.__doc__.count('Args:\n')<=1 for o in found.values() if o.__doc__)

def test_add_help():
    class Pen:
        def draw(self, ink): return ink
        @classmethod
        def of(cls, ink):
            """A pen

            of another kind
            """
    for k in ('draw','of','of'): add_help(vars(Pen)[k], 'Args:\n    ink: Blue\n        or red')
    assert inspect.getdoc(Pen.draw)=='Args:\n    ink: Blue\n        or red'
    assert inspect.getdoc(Pen.of)=='A pen\n\nof another kind\n\nArgs:\n    ink: Blue\n        or red'

def test_placed_at():
    from toxicai.data import comments
    assert placed_at(comments, 'Comments.part') is users.Comments.part
    assert placed_at(comments, 'Comments.gone') is placed_at(comments, 'Gone') is placed_at(comments, 'Gone.part') is None

def test_others_keep_their_words():
    "Nothing of fastai's is changed, not even what our learner inherits"
    assert not [k for k,f in vars(Learner).items() if inspect.isfunction(f) and 'Args:\n' in (f.__doc__ or '')]
    assert 'Args:\n' in users.TransformerLearner.lr_find.__doc__

def run(*args): return subprocess.run([sys.executable, '-W', 'ignore', *args], capture_output=True, text=True, cwd=root)

def test_serving_does_not_pay():
    code = "import sys; from toxicai import Detector; print('toxicai._help' in sys.modules, 'Args' in Detector.__doc__)"
    assert run('-c', code).stdout.strip()=='False False'

@pytest.mark.parametrize('wing,path', [('text','rules:add_rule'), ('judge','judged:Judged'), ('data','load:load_comments')])
def test_a_wing_alone(wing, path):
    room,name = path.split(':')
    code = f"import toxicai.{wing}.all,sys; print('Args:' in sys.modules['toxicai.{wing}.{room}'].{name}.__doc__, 'toxicai.runs' in sys.modules)"
    assert run('-c', code).stdout.strip()=='True False'

# What `**kwargs` cannot name: the names are the caller's, or somebody else's who is not known before
unnamed = {
    'WandbRun':'more for `wandb.init`, which is imported when a run begins', 'sweep':'settings, which a `train` of yours takes',
    'Sweep':'the same', 'train_config':'settings, loaders and learner in one', 'BucketedDL.new':"fastai's, as the constructor takes them",
    'load_transformer':'more for `from_pretrained`, which has no list', 'load_tokenizer':'the same', 'TextEncoder':'the same',
    'TransformerTextBlock':'the same', 'MeanPoolClassifier.gradient_checkpointing_enable':"transformers' own",
    'EncodeTfm.decode':"fastai's protocol, not used", 'MaskedLoss.for_labels':'settings of the loss, another set in each class',
    'MaskedBCELoss.for_labels':'the same', 'Detector.add_first':'settings of `fit_first`, which is imported when it is called'}

def test_no_bare_kwargs():
    bare = {k for k,o in found.items() if any(p.kind==p.VAR_KEYWORD for p in parameters(o))}
    assert bare==set(unnamed)

@pytest.mark.parametrize('f,names', [
    ('sweep', 'keep seed wandb known'), ('WandbRun', 'group mode dir config tags'), ('BucketedDL', 'shuffle drop_last after_batch'),
    ('adamw', 'betas eps fused'), ('TextEncoder', 'revision token cache_dir'), ('AutoPrecision', 'init_scale growth_interval'),
    ('Detector.from_hub', 'backend threads long'), ('ToxicityDataLoaders.test_dl', 'bs in_order'), ('Sweep.plot_importance', 'n_repeats seed')])
def test_kwargs_have_names(f, names):
    assert set(names.split())<={p.name for p in parameters(found[f])}

@pytest.mark.parametrize('name', [k for k,o in found.items() if inspect.isclass(o)])
def test_signature_of_a_class(name):
    "A class shows the arguments of its own constructor, not those of a class that it extends"
    o = found[name]
    if hasattr(o, '_fields'): return
    init = inspect.signature(o.__init__).parameters.values()
    assert {p.name for p in parameters(o) if p.kind!=p.VAR_KEYWORD}>={p.name for p in init if p.name!='self' and p.kind!=p.VAR_KEYWORD}
    assert [p.name for p in parameters(o) if p.default is p.empty and p.kind==p.POSITIONAL_OR_KEYWORD]==[
        p.name for p in init if p.name!='self' and p.default is p.empty and p.kind==p.POSITIONAL_OR_KEYWORD]

# The file

@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(str(root))
    return importlib.import_module('tools.help')

def test_comments_read(tool, monkeypatch, tmp_path):
    (tmp_path/'pens.py').write_text('''
from fastcore.meta import delegates
def ink(colour='blue', # Of the ink
        wet=True): # Just filled?
    pass
@delegates(ink, keep=True)
def draw(
    n:int, # Lines
    *more, # Points
    **kwargs, # For the pen
) -> float: # Seconds
    "Draw"
''')
    monkeypatch.syspath_prepend(str(tmp_path))
    draw = importlib.import_module('pens').draw
    assert tool.help_text('draw', draw).splitlines()==[
        'Args:', '    n (int): Lines', '    *more: Points', "    colour (default blue): Of the ink".replace('blue', "'blue'"),
        '    wet (default True): Just filled?', '    **kwargs: For the pen', '', 'Returns:', '    float: Seconds']

def test_stale(tool, monkeypatch):
    "A text that the comments do not give is found, and one that is missing"
    made,old = tool.read()
    new = {k:dict(v) for k,v in old.items()}
    new['toxicai.judge.intervals']['wilson'] += '.'
    del new['toxicai.tables']['Report']
    monkeypatch.setattr(tool, 'table', lambda: new)
    monkeypatch.setattr(tool, 'public', lambda: iter(()))
    assert tool.stale()==['toxicai.judge.intervals.wilson','toxicai.tables.Report']
    monkeypatch.setattr(tool, 'table', lambda: old)
    assert not tool.stale()

@pytest.mark.slow
def test_fresh():
    res = run('-m', 'tools.help', '--check')
    assert res.returncode==0, res.stdout+res.stderr

@pytest.mark.slow
def test_all_public_functions():
    "Not only what users get: every public function explains every argument"
    res = run('-m', 'tools.help', '--list')
    n,whole = re.search(r'(\d+) of (\d+) explain every argument', res.stdout).groups()
    assert res.returncode==0 and n==whole and int(n)>1500, res.stdout[-2000:]
