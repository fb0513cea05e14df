"What users ran into, or would have: imports, hubs, thresholds, marks"
import ast,re,sys
from importlib.metadata import PackageNotFoundError,packages_distributions,requires
from pathlib import Path
from unittest import mock

import numpy as np,pandas as pd,pytest,torch
from fastai.data.all import CategoryBlock,ColReader,DataBlock,RandomSplitter,RegressionBlock
from fastai.callback.tracker import SaveModelCallback
from packaging.requirements import Requirement

import toxicai.data.show,toxicai.train.loop
from toxicai.all import *
from toxicai.text.tokenizer import load_pretrained
from toxicai.test_utils import comments,tiny_checkpoint

root,ck = Path(__file__).resolve().parents[2],tiny_checkpoint()

def loaders(df=None, **kwargs): return ToxicityDataLoaders.from_df(comments(48) if df is None else df, ck, **{'bs':8, 'device':'cpu', **kwargs})

# Imports

def closure(name, seen):
    "Packages that a user gets with `name`"
    name = re.sub(r'[-_.]+', '-', name).lower()
    if name in seen: return seen
    seen.add(name)
    try: reqs = requires(name) or []
    except PackageNotFoundError: return seen
    for o in map(Requirement, reqs):
        if o.marker is None or o.marker.evaluate({'extra':''}): closure(o.name, seen)
    return seen

def top_imports(path):
    "Third-party packages that the module imports when it is imported, without those inside functions"
    found = [o for o in ast.parse(path.read_text()).body if isinstance(o, (ast.Import,ast.ImportFrom))]
    names = [a.name for o in found if isinstance(o, ast.Import) for a in o.names] + [o.module for o in found if isinstance(o, ast.ImportFrom) and not o.level]
    return {o.split('.')[0] for o in names} - set(sys.stdlib_module_names) - {'toxicai'}

def test_imports_are_required():
    "What the package imports comes with what it requires: users do not have the development extra"
    have,owner = closure('toxicai', set()),packages_distributions()
    for path in root.glob('toxicai/*.py'):
        for name in top_imports(path): assert any(re.sub(r'[-_.]+', '-', o).lower() in have for o in owner[name]), f"{path.name} imports {name}"

def test_without_ipython(capsys):
    with mock.patch.dict(sys.modules, {'IPython':None, 'IPython.display':None}): loaders().show_batch(max_n=2)
    assert 'target' in capsys.readouterr().out

# Hub

def hub_calls(dls, *args, **kwargs):
    "Keywords with which the configuration and the network are fetched"
    with mock.patch('toxicai.text.models.load_pretrained', wraps=load_pretrained) as f:
        f.side_effect = lambda cls,c,**kw: load_pretrained(cls, ck, **{k:v for k,v in kw.items() if k not in ('revision','token','cache_dir','trust_remote_code')})
        toxicity_learner(dls, *args, **kwargs)
    return [o.kwargs for o in f.call_args_list]

def test_hub_arguments(tmp_path):
    "Those of the texts serve for the same checkpoint, and never for another one"
    dls = loaders(revision='abc', trust_remote_code=True, cache_dir=str(tmp_path))
    assert all(o['revision']=='abc' and o['trust_remote_code'] for o in hub_calls(dls))
    assert not any({'revision','trust_remote_code','cache_dir'} & set(o) for o in hub_calls(dls, 'somebody/else'))
    assert all(o['revision']=='x' and o['token']=='t' for o in hub_calls(dls, 'somebody/else', hub=dict(revision='x'), token='t'))

@pytest.mark.parametrize('lib', ['sentencepiece','tiktoken'])
def test_missing_package(lib):
    "A tokenizer that needs another package says which"
    def _fails(*args, **kwargs): raise ValueError(f"You need to have {lib} installed to convert a slow tokenizer")
    with mock.patch.dict(sys.modules, {lib:None}), mock.patch('transformers.AutoTokenizer.from_pretrained', _fails):
        with pytest.raises(ValueError, match=f'pip install {lib}'): load_tokenizer('somebody/something')

def test_other_import_error():
    "An import that fails for another reason is not blamed on the tokenizer"
    def _fails(*args, **kwargs): raise ImportError("operator torchvision::nms does not exist")
    with mock.patch('transformers.AutoTokenizer.from_pretrained', _fails), pytest.raises(ImportError, match='import failed: operator torchvision'): load_tokenizer('a/b')

# Labels, thresholds, marks

@pytest.mark.parametrize('rows', [[[1,0],[0,0],[1,1]], [[1.,0.],[0.,0.],[1.,1.]]])
def test_lists_of_flags(rows):
    with pytest.raises(ValueError, match='lists of'): ToxicityDataLoaders.from_lists(['a','b','c']*4, rows*4, ck)

def test_threshold_of_the_loss():
    "F1 counts what the loss decodes"
    dls = loaders(label_cols=['toxic','insult'])
    assert toxicity_learner(dls, loss_func=MaskedBCELoss(thresh=0.9)).metrics[1].thresh==0.9

def test_regression_gap():
    block = DataBlock(blocks=(TransformerTextBlock(ck), RegressionBlock), get_x=ColReader('text'), get_y=ColReader('score'), splitter=RandomSplitter(seed=1))
    df = comments(48).assign(score=np.where(np.arange(48)==7, np.nan, 0.5))
    with pytest.raises(ValueError, match='1 of .* targets are missing'): toxicity_learner(block.dataloaders(df, bs=8))

def test_marks_of_top_losses():
    "A row is marked right when its class is; of several labels, on those that are known"
    from fastai.interpret import Interpretation
    df = comments(48).assign(share=np.linspace(0, 1, 48))
    for cols,marked in (('label', True), (['share','insult'], False)):
        learn = toxicity_learner(loaders(df, label_cols=cols))
        with mock.patch.object(toxicai.data.show, 'show_table') as shown, learn.no_bar(): Interpretation.from_learner(learn).plot_top_losses(6)
        table = shown.call_args.args[0]
        if marked: assert table.correct==[t==p for t,p in zip(table.df.target, table.df.prediction)]
        else: assert set(table.correct)<={True,False} and table.df['lost on'].str.contains('share, |insult, ').all()

# The learner

def test_layerwise_fine_tune():
    "Rates fall from output to input by the factor"
    learn,seen = toxicity_learner(loaders(), splitter=layerwise_splitter),[]
    with mock.patch.object(type(learn), 'fit_one_cycle', lambda self,n,lr,**kw: seen.append(lr)): learn.fine_tune(1, 1e-3, decay=0.5)
    assert seen[1]==decayed_lrs(1e-3, 4, 0.5)
    assert learn.groups(seen[1]).lr.tolist()==seen[1]

def test_dry_run_leaves_no_file(tmp_path):
    learn = toxicity_learner(loaders(path=tmp_path))
    with learn.no_bar(),learn.no_logging(): learn.dry_run(cbs=SaveModelCallback(fname='best'))
    assert not list(tmp_path.rglob('*.pth')) and learn.path==tmp_path

@pytest.mark.parametrize('message', ['MPS backend out of memory (MPS allocated: 1 GB)', 'CUDA error: out of memory', "DefaultCPUAllocator: can't allocate memory"])
def test_out_of_memory_of_any_device(message): assert toxicai.train.loop.out_of_memory(RuntimeError(message))

def test_classify_of_nothing_and_of_a_generator():
    learn = toxicity_learner(loaders(comments(48).rename(columns={'text':'comment'}), text_col='comment'))
    assert learn.classify([]).columns.tolist()==learn.classify(o for o in ['hm']).columns.tolist()==['comment','kind','rude']

def test_show_results_without_labels():
    learn = toxicity_learner(loaders())
    with pytest.raises(ValueError, match='use `classify`'): learn.show_results(dl=learn.dls.test_dl(['hm']))

def test_numpy_max_length(): assert TextEncoder(ck, max_length=np.int64(64), rules=str.lower).encode(['A']).lengths.tolist()==[3]

def test_built_optimizer_keeps_its_groups():
    "An optimizer that the user built is split once, however often it is made new"
    from fastai.optimizer import OptimWrapper
    model = load_transformer(ck, ['kind','rude'])
    opt = OptimWrapper(opt=torch.optim.SGD([{'params':g} for g in transformer_splitter(model)], lr=1e-3, weight_decay=0.1))
    learn = TransformerLearner(loaders(), model, opt_func=opt)
    for _ in range(2):
        learn.create_opt()
        assert len(learn.opt.hypers)==3 and len(learn.opt.opt.param_groups)==6
