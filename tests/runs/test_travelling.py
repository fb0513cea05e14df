"Learners with each callback of ours and of fastai's that users take: what `train` and `runs` make of them together"
import json,pathlib,pickle,pickletools,zipfile
from copy import deepcopy

import numpy as np,pandas as pd,pytest,torch
from fastai.callback.core import Callback,CancelEpochException,CancelTrainException,CancelValidException
from fastai.callback.fp16 import MixedPrecision
from fastai.callback.mixup import CutMix,MixUp
from fastai.callback.progress import CSVLogger,ShowGraphCallback
from fastai.callback.tracker import EarlyStoppingCallback,ReduceLROnPlateau,SaveModelCallback,TerminateOnNaNCallback
from fastai.callback.training import GradientAccumulation,GradientClip,ShortEpochCallback
from fastai.interpret import Interpretation
from fastai.learner import Learner,load_learner
from fastai.metrics import accuracy_multi
from fasttransform import Transform

from toxicai.all import *
from toxicai.data.encode import EncodedText
from toxicai.train.metrics import last_figures
from toxicai.runs.checkpoints import *
from toxicai.test_utils import comments,tiny_checkpoint

def loaders(path, n=48, **kwargs):
    return ToxicityDataLoaders.from_df(comments(n), tiny_checkpoint(), label_cols=['toxic','insult'], bs=8, path=path, **kwargs)

def quiet(learn, verb, *args, **kwargs):
    with learn.no_logging(): return getattr(learn, verb)(*args, **kwargs)

callbacks = dict( # each a function of a folder
    none=lambda d: None, WandbRun=lambda d: WandbRun('p', dir=d), GradNorm=lambda d: GradNorm(), FiniteLoss=lambda d: FiniteLoss(),
    HFInputs=lambda d: HFInputs(), FrozenBody=lambda d: FrozenBody(), AutoPrecision=lambda d: AutoPrecision('bf16'), EMA=lambda d: EMA(),
    Soup=lambda d: Soup(), GradualUnfreezing=lambda d: GradualUnfreezing(), Checkpoint=lambda d: Checkpoint(d/'own', every=2, overwrite=True),
    CSVLogger=lambda d: CSVLogger(), CSVLogger_elsewhere=lambda d: CSVLogger(d/'h.csv'), SaveModelCallback=lambda d: SaveModelCallback(monitor='roc_auc'),
    EarlyStoppingCallback=lambda d: EarlyStoppingCallback(patience=9), ReduceLROnPlateau=lambda d: ReduceLROnPlateau(),
    GradientAccumulation=lambda d: GradientAccumulation(16), GradientClip=lambda d: GradientClip(0.5), MixedPrecision=lambda d: MixedPrecision(),
    TerminateOnNaN=lambda d: TerminateOnNaNCallback(), ShowGraph=lambda d: ShowGraphCallback(), ShortEpoch=lambda d: ShortEpochCallback(0.5),
    logged_and_saved=lambda d: [WandbRun('p', dir=d), CSVLogger(), SaveModelCallback(), GradNorm()])

def learner(d, name):
    learn = toxicity_learner(loaders(d), precision='fp32', path=d, seed=1, cbs=callbacks[name](d))
    return learn.remove_cb(learn.progress) if name!='ShowGraph' else learn

def kinds(learn): return [type(o) for o in learn.cbs if not isinstance(o, MixedPrecision)] # which `load_learner` takes off
def scores(learn): return quiet(learn, 'classify', ['you are an idiot','thank you']).iloc[:,1:].to_numpy()

@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('name', callbacks)
def test_callback(name, tmp_path):
    "A learner with the callback in it predicts, is exported, copied and pickled after training; each copy predicts the same, and both go on"
    learn = learner(tmp_path, name)
    quiet(learn, 'fit', 2, 1e-3)
    want,said = scores(learn),quiet(learn, 'predict', 'you are an idiot')[2]
    if name!='ShortEpoch': assert quiet(learn, 'validate')[0]>0 # which it ends in the middle
    learn.export('a.pkl')
    copies = dict(loaded=load_learner(tmp_path/'a.pkl'), copied=deepcopy(learn), pickled=pickle.loads(pickle.dumps(learn)))
    for k,o in copies.items():
        np.testing.assert_allclose(scores(o), want, atol=1e-6, err_msg=k)
        assert torch.allclose(quiet(o, 'predict', 'you are an idiot')[2], said, atol=1e-6), k
        assert kinds(o)==kinds(learn) and o.measured==learn.measured
    for o in (learn, copies['copied']): quiet(o, 'fit', 1, 1e-3)
    assert not learn.model._forward_hooks and not (scores(learn)==want).all()

class StopAt(Callback):
    "A kill in the middle of the second epoch"
    order = 2000
    def after_batch(self):
        if self.training and self.epoch==1 and self.iter==2: raise RuntimeError('killed')

resumed = [o for o in callbacks if o not in ('Checkpoint','ShortEpoch')] # the first is what resumes; the second ends epochs before the kill

@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('name', resumed)
def test_resumed(name, tmp_path):
    "Stopped and resumed by `Checkpoint`, a learner with the callback ends with the weights of one that was not stopped"
    for o in ('a','b'): (tmp_path/o).mkdir()
    whole = learner(tmp_path/'a', name)
    quiet(whole, 'fit', 3, 1e-3, cbs=Checkpoint(tmp_path/'a'/'run', every=1))
    stopped = learner(tmp_path/'b', name)
    with pytest.raises(RuntimeError, match='killed'): quiet(stopped, 'fit', 3, 1e-3, cbs=[Checkpoint(tmp_path/'b'/'run', every=1),StopAt()])
    again = learner(tmp_path/'b', name)
    quiet(again, 'resume', tmp_path/'b'/'run', cbs=Nothing())
    assert same_weights(whole.model, again.model)
    assert [list(o) for o in whole.recorder.values]==[list(o) for o in again.recorder.values]
    assert whole.measured.figures==again.measured.figures

class Nothing(StopAt):
    "Stands where the kill was"
    name = 'stop_at'
    def after_batch(self): pass

# No paths of one system in an export

def pickled_names(file):
    "Every global and every text in the pickle of `file`"
    with zipfile.ZipFile(file) as z: raw = z.read(next(o for o in z.namelist() if o.endswith('data.pkl')))
    return {str(a) for _,a,_ in pickletools.genops(raw) if isinstance(a, str)}

class Elsewhere:
    "`pickle` where no path of this system can be made"
    load = staticmethod(pickle.load)
    class Unpickler(pickle.Unpickler):
        def find_class(self, module, name):
            if module.startswith('pathlib'): raise NotImplementedError(f'cannot instantiate {name!r} on your system')
            return super().find_class(module, name)

@pytest.mark.filterwarnings('ignore')
def test_no_paths_in_an_export(tmp_path):
    "Paths of learner, loaders, callbacks, and whatever a user hangs on them, are text; each comes back as a path"
    learn = toxicity_learner(loaders(tmp_path), path=tmp_path, cbs=[WandbRun('p', dir=tmp_path, data=tmp_path/'x.csv'), CSVLogger(tmp_path/'h.csv'), Checkpoint(tmp_path/'run')])
    learn.mine = {'folders':[pathlib.PurePosixPath('a/b'), pathlib.PureWindowsPath('c:/d')]}
    quiet(learn, 'fit', 1)
    learn.export('a.pkl')
    assert not [o for o in pickled_names(tmp_path/'a.pkl') if 'pathlib' in o]
    other = load_learner(tmp_path/'a.pkl', pickle_module=Elsewhere)
    assert other.path==tmp_path and other.dls.path==tmp_path and other.checkpoint.folder==tmp_path/'run' and other.mine['folders'][0]==pathlib.Path('a/b')
    np.testing.assert_allclose(scores(other), scores(learn), atol=1e-6)

def test_other_pickle_modules(tmp_path):
    "A module of the user's writes paths as text, too"
    learn = toxicity_learner(loaders(tmp_path), path=tmp_path)
    learn.export('a.pkl', pickle_module=pickle)
    assert not [o for o in pickled_names(tmp_path/'a.pkl') if 'pathlib' in o] and load_learner(tmp_path/'a.pkl').path==tmp_path

# Figures by name

after = dict( # what passes over rows after training, without new figures
    tune_thresholds=lambda l: l.tune_thresholds(n_boot=0), calibrate=lambda l: l.calibrate(n_boot=0), report=lambda l: l.report(n_boot=0),
    show_results=lambda l: l.show_results(), get_preds=lambda l: l.get_preds(), of_training=lambda l: l.validate(0),
    of_others=lambda l: l.validate(dl=l.dls.test_dl(comments(24), with_labels=True)), lr_find=lambda l: l.lr_find(num_it=10, show_plot=False),
    dry_run=lambda l: l.dry_run(), plot_top_losses=lambda l: Interpretation.from_learner(l).plot_top_losses(2), predict=lambda l: l.predict('damn'),
    interpret_errors=lambda l: l.interpret_errors(), bias_report=lambda l: l.bias_report())

@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('name', after)
def test_figures_stay(name, tmp_path):
    "The card and `toxicai.json` publish what the last epoch said, under its names, whatever looked at rows since"
    learn = toxicity_learner(loaders(tmp_path), path=tmp_path, metrics='roc_auc, f1, brier')
    learn.remove_cb(learn.progress)
    quiet(learn, 'fit', 1, 1e-3)
    want = dict(zip(['train_loss','valid_loss','roc_auc','f1','brier'], learn.recorder.values[-1]))
    after[name](learn)
    assert learn.measured.figures==pytest.approx(want)
    folder = learn.save_detector(tmp_path/'d')
    meta = json.loads((folder/'toxicai.json').read_text())
    assert meta['metrics']==pytest.approx(want) and (meta['measured']['set'],meta['measured']['texts'])==('validation',len(learn.dls.valid_ds))
    card = (folder/'README.md').read_text()
    assert f"| brier | {want['brier']:.4g} |" in card and f"| {want['roc_auc']:.4g} |" in card and f"texts on {learn.measured.date}" in card
    assert ('Thresholds and calibration were others' in card)==(name in ('tune_thresholds','calibrate'))

def test_figures_measured_anew(tmp_path):
    "`validate()` after the thresholds were tuned measures at the new ones; the card says nothing of old ones"
    learn = toxicity_learner(loaders(tmp_path), path=tmp_path, metrics='roc_auc, f1')
    quiet(learn, 'fit', 1, 1e-3)
    learn.labels = learn.labels.with_thresholds([0.9,0.9])
    loss,auc,f1 = quiet(learn, 'validate')
    assert learn.measured.figures==dict(valid_loss=loss, roc_auc=auc, f1=f1) and 'others' not in (learn.save_detector(tmp_path/'d')/'README.md').read_text()

def spoiled(learn): torch.nn.init.ones_(learn.model.classifier.bias)
def loaded(learn):
    learn.save('first')
    quiet(learn, 'fit', 1, 1e-3)
    learn.load('first')

@pytest.mark.filterwarnings('ignore:no (training|validation) text')
@pytest.mark.parametrize('change', [spoiled,loaded])
def test_figures_of_other_weights(change, tmp_path):
    "Are left out, with a remedy"
    learn = toxicity_learner(loaders(tmp_path), path=tmp_path)
    quiet(learn, 'fit', 1, 1e-3)
    change(learn)
    with pytest.warns(UserWarning, match=r'other weights.*call `learn.validate\(\)`'): folder = learn.save_detector(tmp_path/'d')
    assert read_meta(folder)['metrics']=={} and 'None were stored' in (folder/'README.md').read_text()
    loss = quiet(learn, 'validate')[0]
    assert read_meta(learn.save_detector(tmp_path/'d'))['metrics']['valid_loss']==pytest.approx(loss)

def read_meta(folder): return json.loads((folder/'toxicai.json').read_text())

@pytest.mark.filterwarnings('ignore')
def test_best_of_save_model(tmp_path):
    "The best weights are loaded at the end of the fit: the figures are not those of the last epoch"
    class Worse(Callback):
        def before_epoch(self):
            if self.epoch==2: self.model.classifier.weight.data.mul_(100)
    learn = toxicity_learner(loaders(tmp_path), path=tmp_path)
    quiet(learn, 'fit', 3, 1e-3, cbs=[SaveModelCallback(),Worse()])
    assert read_meta(learn.save_detector(tmp_path/'d'))['metrics']=={}
    want = learn.recorder.values[1][1] if learn.recorder.values[1][1]<learn.recorder.values[0][1] else learn.recorder.values[0][1]
    assert quiet(learn, 'validate')[0]==pytest.approx(want, rel=1e-5)
    assert read_meta(learn.save_detector(tmp_path/'e'))['metrics']['valid_loss']==pytest.approx(want, rel=1e-5)

def test_figures_of_averages(tmp_path):
    "What `EMA` leaves is what it validated"
    learn = toxicity_learner(loaders(tmp_path), path=tmp_path)
    quiet(learn, 'fit', 2, 1e-3, cbs=EMA())
    assert read_meta(learn.save_detector(tmp_path/'d'))['metrics']['valid_loss']==learn.recorder.values[-1][1]

def test_figures_after_export(tmp_path):
    learn = toxicity_learner(loaders(tmp_path), path=tmp_path)
    quiet(learn, 'fit', 1, 1e-3)
    learn.export()
    with pytest.warns(UserWarning, match='is a pickle'): folder = detector_from_pickle(tmp_path/'export.pkl', tmp_path/'d')
    assert read_meta(folder)['metrics']==learn.measured.figures and read_meta(folder)['measured']['texts']==len(learn.dls.valid_ds)

def test_figures_of_the_user(tmp_path):
    learn = toxicity_learner(loaders(tmp_path), path=tmp_path)
    quiet(learn, 'fit', 1, 1e-3)
    folder = learn.save_detector(tmp_path/'d', metrics=dict(auc=0.9))
    assert read_meta(folder)['metrics']==dict(auc=0.9) and 'Stated by' in (folder/'README.md').read_text() and 'Measured on' not in (folder/'README.md').read_text()

# Rows of the Recorder

class Skip(Callback):
    "Leaves out a part of the epoch"
    order = 49
    def __init__(self, event, exception): self.event_,self.exception = event,exception
    def __call__(self, event):
        if event==self.event_ and (event!='after_batch' or self.training): raise self.exception

skipped = dict(nothing=None, training=('before_train',CancelTrainException), some_training=('after_batch',CancelTrainException), validation=('before_validate',CancelValidException),
               epoch=('before_train',CancelEpochException))

@pytest.mark.parametrize('train_metrics', [False,True])
@pytest.mark.parametrize('name', skipped)
def test_rows_are_whole(name, train_metrics, tmp_path):
    "A column is what its name says, or NaN, whatever was left out; fastai's own readers by place get that, too"
    learn = toxicity_learner(loaders(tmp_path), path=tmp_path, metrics=[accuracy_multi,'f1'])
    learn.remove_cb(learn.progress)
    learn.recorder.train_metrics = train_metrics
    cbs = [CSVLogger()] if skipped[name] is None else [CSVLogger(),Skip(*skipped[name])]
    quiet(learn, 'fit', 1, 1e-3, cbs=cbs)
    names,(row,) = list(learn.recorder.metric_names[1:-1]),learn.recorder.values
    assert len(row)==len(names) and list(learn.csv_logger.read_log() if hasattr(learn, 'csv_logger') else pd.read_csv(tmp_path/'history.csv'))==['epoch',*names,'time']
    got = dict(zip(names, row))
    loss,acc,f1 = quiet(learn, 'validate')
    here = {k:v for k,v in got.items() if not np.isnan(v)}
    if name in ('nothing','training','some_training'):
        assert got['valid_loss']==pytest.approx(loss) and got['valid_f1' if train_metrics else 'f1']==pytest.approx(f1)
    sides = {'train' if k.startswith('train_') else 'valid' for k in here}
    assert sides==dict(nothing={'train','valid'}, training={'valid'}, some_training={'valid'}, validation={'train'}, epoch=set())[name]
    after = dict(zip(learn.recorder.metric_names[1:-1], learn.recorder.values[-1]))
    if learn.recorder.lrs: np.testing.assert_equal(after, got) # the history of the fit stays
    else: assert after['valid_loss']==loss and (after['valid_f1'] if train_metrics else after['f1'])==f1 and np.isnan(after['train_loss'])

@pytest.mark.parametrize('skip,names', [(None,'train_loss valid_loss accuracy_multi'), (('before_train',CancelTrainException),'valid_loss accuracy_multi'), (('before_validate',CancelValidException),'train_loss'),
                                        (('before_train',CancelEpochException),'')], ids=str)
def test_stock_rows(skip, names, tmp_path):
    "Rows of a stock `Learner` may lack a side; they are read by name all the same"
    dls = loaders(tmp_path)
    learn = Learner(dls, load_transformer(tiny_checkpoint(), dls.vocab), MaskedBCELoss(), metrics=accuracy_multi, cbs=HFInputs(), path=tmp_path)
    with learn.no_bar(): quiet(learn, 'fit', 1, cbs=None if skip is None else Skip(*skip))
    assert list(last_figures(learn.recorder))==names.split()
    with learn.no_bar(): want = quiet(learn, 'validate')
    assert last_figures(learn.recorder)==dict(zip(['valid_loss','accuracy_multi'], want))

def test_validate_is_not_training(tmp_path):
    "What watches over training neither saves, nor ends, nor writes history when a learner with it is validated, and does so again in the next fit"
    learn = toxicity_learner(loaders(tmp_path), path=tmp_path, cbs=[CSVLogger(),SaveModelCallback(monitor='roc_auc', fname='best'),EarlyStoppingCallback(monitor='f1', patience=9)])
    learn.remove_cb(learn.progress)
    quiet(learn, 'fit', 2, 1e-3)
    best,history = (tmp_path/'models'/'best.pth').read_bytes(),(tmp_path/'history.csv').read_text()
    spoiled(learn)
    for f in (lambda: learn.validate(), lambda: learn.validate(0), lambda: learn.lr_find(num_it=10, show_plot=False), lambda: learn.tune_thresholds(n_boot=0)): f()
    assert (tmp_path/'models'/'best.pth').read_bytes()==best and (tmp_path/'history.csv').read_text()==history
    quiet(learn, 'fit', 3, 1e-3)
    assert len(learn.csv_logger.read_log())==3 and learn.csv_logger.read_log().f1.tolist()==pytest.approx([o[3] for o in learn.recorder.values])

# Mixed inputs

@pytest.mark.parametrize('mix', [MixUp,CutMix])
def test_token_ids_are_not_mixed(mix, tmp_path):
    "By name, before the first batch, in every door; a prediction is none of its business"
    dls = loaders(tmp_path)
    learn = toxicity_learner(dls, path=tmp_path)
    loss = learn.loss_func
    for verb,args in (('fit',(1,)),('fine_tune',(1,)),('fit_one_cycle',(1,)),('dry_run',())):
        with pytest.raises(TypeError, match=f'{mix.__name__} blends inputs, and token ids cannot be mixed'): quiet(learn, verb, *args, cbs=mix())
    assert learn.loss_func is loss and 'losses' not in vars(learn.recorder)
    own = toxicity_learner(dls, path=tmp_path, cbs=mix())
    scores(own)
    with pytest.raises(TypeError, match='cannot be mixed'): quiet(own, 'fit', 1)
    stock = Learner(dls, learn.model, MaskedBCELoss(), cbs=[HFInputs(),mix()], path=tmp_path)
    with pytest.raises(TypeError, match='cannot be mixed'): quiet(stock, 'fit', 1)

def test_tta(tmp_path):
    "Equal passes are refused; transforms of the user's own that draw at random are averaged"
    learn = toxicity_learner(loaders(tmp_path), path=tmp_path)
    with pytest.raises(ValueError, match='nothing changes these texts'): learn.tta()
    seen = []
    class Look(Transform):
        def encodes(self, x:EncodedText):
            seen.append(len(x))
            return x
    probs,targs = quiet(learn, 'tta', n=2, batch_tfms=Look())
    np.testing.assert_allclose(probs, quiet(learn, 'get_preds')[0], atol=1e-6)
    assert sum(seen)>=3*len(learn.dls.valid_ds)

# Reports of the card

def test_reports(tmp_path, monkeypatch):
    "One, several or none; what is no report, and a figure that is no number, stop before ONNX is written"
    import toxicai.train.export as export
    learn = toxicity_learner(loaders(tmp_path), path=tmp_path)
    monkeypatch.setattr(export, 'add_onnx', lambda *args: pytest.fail('the long work has begun'))
    a,b = learn.report(n_boot=0),learn.behaviour_report()
    one = (learn.save_detector(tmp_path/'a', reports=a)/'README.md').read_text()
    assert (learn.save_detector(tmp_path/'b', reports=[a])/'README.md').read_text()==one and a.to_markdown(level=3).strip()[:200] in one
    two = (learn.save_detector(tmp_path/'c', reports=(a,b))/'README.md').read_text()
    assert b.to_markdown(level=3).strip()[:100] in two and '## Reports' not in (learn.save_detector(tmp_path/'d')/'README.md').read_text()
    for kw,err in [(dict(reports=3), '`reports` has a int'), (dict(reports=[a,None]), '`reports` has a NoneType'), (dict(reports={'a':a}), '`reports` has a dict'), (dict(metrics=dict(f1=np.nan)), "'f1' = nan")]:
        with pytest.raises((TypeError,ValueError), match=err): learn.save_detector(tmp_path/'e', onnx=True, **kw)
    assert not (tmp_path/'e').exists()
