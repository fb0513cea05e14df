"Columns of the Recorder against the figures of `judge.measures`; metrics in a real fit; metrics of `evaluate`"
import math,pickle,sys,warnings
from types import SimpleNamespace

import numpy as np,pytest,torch
from fastai.learner import load_learner
from fastai.losses import BCEWithLogitsLossFlat,CrossEntropyLossFlat
from sklearn import metrics as sk
from toxicai.data.loaders import *
from toxicai.data.columns import *
from toxicai.data.load import *
from toxicai.labels import *
from toxicai.train.learner import *
from toxicai.train.losses import *
from toxicai.judge.measures import *
from toxicai.train.metrics import *
from toxicai.test_utils import *

from samples import columns,numbers

nan = float('nan')
judging_flags = ('accuracy','precision','recall','f1','mcc')

# Metrics

def accumulated(metric, logits, targs, bs=7, **learn):
    "`metric` after the batches of `logits` and `targs`"
    metric.reset()
    for x,y in zip(logits.split(bs), targs.split(bs)): metric.accumulate(SimpleNamespace(pred=x, y=y, to_detach=lambda o: o.detach().cpu(), **learn))
    return metric

def logits_and_targets(seed=0):
    targs,probs = columns(seed, ties=False)
    return torch.logit(torch.tensor(probs, dtype=torch.float32)),torch.tensor(targs, dtype=torch.float32)

@pytest.mark.filterwarnings('ignore:among the')
@pytest.mark.parametrize('average', average_names)
@pytest.mark.parametrize('name', score_names)
def test_metric(name, average):
    "A column is the function of the same probabilities, in fp64, or fp32 where they are cut"
    logits,targs = logits_and_targets()
    labels = LabelSet(['a','b','c','d','e','f'], thresholds=[.1,.2,.3,.4,.7,.9])
    metric = accumulated(label_metric(name, average), logits, targs, labels=labels)
    probs = (logits if name in judging_flags else logits.double()).sigmoid().numpy()
    assert metric.value==masked_score(name, targs, probs, labels.thresholds, average)
    np.testing.assert_array_equal(metric.per_class(), masked_scores(name, targs, probs, labels.thresholds))
    assert isinstance(metric.value, float) and metric.name==(name if average=='macro' else f'{name}_{average}')
    one = accumulated(label_metric(name, label='F'), logits, targs, labels=labels)
    assert (one.name,one.value)==(f'{name} F',metric.per_class()[5])

@pytest.mark.parametrize('name', score_names)
def test_metric_single(name):
    "Softmax of the loss; its decisions"
    targs,probs = numbers(gaps=0)
    logits,y = torch.tensor(probs, dtype=torch.float32).log()+3,torch.tensor(targs)
    metric = accumulated(label_metric(name), logits, y, loss_func=CrossEntropyLossFlat())
    probs = logits.double().softmax(1)
    assert metric.value==pytest.approx(masked_score(name, targs, probs), rel=1e-6)
    np.testing.assert_allclose(accumulated(label_metric(name), logits, y).per_class(), masked_scores(name, targs, probs), rtol=1e-6)

class Calibrated:
    "A loss that shows other probabilities than those of its logits, and decides in its own way"
    def activation(self, x): return (x/3+1).sigmoid()
    def decodes(self, x): return x.argmin(-1)

@pytest.mark.filterwarnings('ignore:among the')
def test_activation_of_the_loss():
    logits,targs = logits_and_targets()
    probs = (logits.double()/3+1).sigmoid().numpy()
    assert accumulated(label_metric('brier'), logits, targs, loss_func=Calibrated()).value==pytest.approx(masked_score('brier', targs, probs), rel=1e-9)
    y = torch.tensor([0,1,1,0])
    metric = accumulated(label_metric('accuracy'), torch.tensor([[9.,0],[0,9],[0,9],[0,9]]), y, loss_func=Calibrated())
    assert metric.value==0.25

@pytest.mark.parametrize('learn,want', [({}, 0.5), (dict(loss_func=MaskedBCELoss(thresh=0.8)), 0.8), (dict(loss_func=MaskedBCELoss(thresh=0.8), labels=LabelSet(['a','b'], thresholds=[.3,.9])), [.3,.9]),
                                        (dict(loss_func=BCEWithLogitsLossFlat()), 0.5)])
def test_own_thresholds(learn, want):
    "Those of the labels, else those of the loss, else one half"
    logits,targs = torch.randn(40, 2, generator=torch.manual_seed(0)),torch.arange(80).reshape(40, 2).remainder(3).clamp(max=1).float()
    metric = accumulated(label_metric('f1'), logits, targs, **learn)
    assert metric.value==masked_score('f1', targs, logits.sigmoid().numpy(), want)
    assert accumulated(label_metric('f1', thresh=0.1), logits, targs, **learn).value==masked_score('f1', targs, logits.sigmoid().numpy(), 0.1)

def test_thresholds_that_are_scores():
    "A threshold tuned to an fp32 probability counts its row in the Recorder as in `predict`"
    logits = torch.stack([torch.randn(20, generator=torch.manual_seed(0)), torch.full((20,), -9.)])
    targs = torch.tensor([[1.],[0.]]).expand(2, 20)
    assert accumulated(label_metric('f1', thresh=tuple(logits.sigmoid()[0].tolist())), logits, targs).per_class().tolist()==[1]*20

@pytest.mark.filterwarnings('ignore:among the')
def test_function_as_metric():
    "A function of one class is enough; it sees flags only with a threshold"
    logits,targs = logits_and_targets()
    seen = []
    def func(t, x): seen.append(x.dtype.kind); return x.mean()
    assert accumulated(MaskedMetric(func, 'mean'), logits, targs).value!=accumulated(MaskedMetric(func, 'mean', 0.5), logits, targs).value
    assert seen[0]=='f' and seen[-1]=='b'

@pytest.mark.filterwarnings('ignore:among the')
def test_added_measure():
    "A figure that somebody added is a column like any other, at the thresholds of the labels"
    add_measure('excess', lambda t,f: f.sum()/t.sum()-1, flags=True)
    try:
        logits,targs = logits_and_targets()
        labels = LabelSet(['a','b','c','d','e','f'], thresholds=[.1,.2,.3,.4,.7,.9])
        metric = accumulated(label_metric('excess'), logits, targs, labels=labels)
        want = masked_scores('excess', targs, logits.sigmoid().numpy(), labels.thresholds)
        np.testing.assert_array_equal(metric.per_class(), want)
        assert metric.value==pytest.approx(np.nanmean(want)) and [o.name for o in label_metrics('excess_micro, excess')]==['excess_micro','excess']
    finally: del measure_table['excess']
    with pytest.raises(ValueError, match="no score 'excess'"): label_metric('excess')

def test_names():
    assert [o.name for o in label_metrics(['f1','f1_micro'], LabelSet(['toxic','insult']), per_label=True)]==['f1','f1 toxic','f1 insult','f1_micro','f1 toxic','f1 insult']
    assert [o.name for o in label_metrics('mean_columnwise_auc, ece')]==['mean_columnwise_auc','ece']
    with pytest.raises(ValueError, match="no score 'f2'"): label_metrics(['f1','f2'])
    with pytest.raises(ValueError, match="`average` is 'samples'"): label_metric('f1', 'samples')

def test_no_name_of_fastai_metrics():
    import fastai.metrics,toxicai.judge.measures,toxicai.train.metrics
    assert not set(fastai.metrics.__all__) & {*toxicai.judge.measures.__all__, *toxicai.train.metrics.__all__}

@pytest.mark.filterwarnings('ignore:among the')
def test_pickle_without_rows():
    "An exported learner holds nothing of the validation set"
    logits,targs = logits_and_targets()
    labels = LabelSet(['a','b','c','d','e','f'])
    metric = accumulated(label_metric('f1', label='f'), logits, targs, labels=labels)
    again = pickle.loads(pickle.dumps(metric))
    assert again.value is None and metric.value==accumulated(again, logits, targs, labels=labels).value

# Warnings: once in a fit

def learner(metrics, n=40):
    "A learner for 'toxic', 'insult', and 'rare', which no validation row has"
    df = comments(n).assign(valid=np.arange(n)%4>1)
    df['rare'] = (np.arange(n)%4==1).astype(int)
    dls = ToxicityDataLoaders.from_df(df, tiny_checkpoint('bert'), label_cols=['toxic','insult','rare'], valid_col='valid', bs=8)
    return toxicity_learner(dls, metrics=metrics, precision='fp32')

def fitted(learn, n_epoch=2):
    with warnings.catch_warnings(record=True) as w, learn.no_bar(), learn.no_logging():
        warnings.simplefilter('always')
        learn.fit(n_epoch, 1e-3)
    return [str(o.message) for o in w if str(o.message).startswith('among the')]

@pytest.mark.filterwarnings('ignore:no (training|validation) text')
def test_one_warning_per_fit():
    learn = learner(label_metrics('roc_auc, f1, ece', ['toxic','insult','rare'], per_label=True))
    for _ in range(2):
        said = fitted(learn)
        assert len(said)==1 and 'the class rare has one side only' in said[0]
    shown = dict(zip(learn.recorder.metric_names[1:-1], learn.recorder.values[-1]))
    assert math.isnan(shown['f1 rare']) and math.isnan(shown['ece rare'])
    assert shown['roc_auc']==pytest.approx(np.mean([shown['roc_auc toxic'],shown['roc_auc insult']]))

@pytest.mark.filterwarnings('ignore:no (training|validation) text')
def test_warning_where_figures_are_seen(monkeypatch):
    "Predictions compute no metric and keep the history; a fine-tuning is one fit; a second learner of the same rows says nothing"
    computed,value = [],MaskedMetric.value.fget
    monkeypatch.setattr(MaskedMetric, 'value', property(lambda self: computed.append(1) or value(self)))
    def said(f):
        with warnings.catch_warnings(record=True) as w, first.no_bar(), first.no_logging():
            warnings.simplefilter('always')
            f()
        return [(o.filename,str(o.message)) for o in w if 'one side only' in str(o.message)]
    first = learner(label_metrics('roc_auc, f1'), 44)
    found = said(lambda: first.fine_tune(2))
    assert len(found)==1 and found[0][0]=='toxicai' and computed
    computed.clear()
    losses,rows = list(first.recorder.losses),list(first.recorder.values)
    for f in (first.get_preds, first.show_results, lambda: first.classify(['a','b'])): assert said(f)==[]
    assert not computed and first.recorder.losses==losses and first.recorder.values==rows
    assert said(first.validate)==[] and computed and said(first.dry_run)==[]
    assert len(said(lambda: first.fit(1)))==1
    second = learner(label_metrics('roc_auc, f1'), 44)
    assert said(lambda: second.fit(1))==[]
    assert len(said(lambda: learner(label_metrics('roc_auc, f1'), 48).fit(1)))==1 # other rows

@pytest.mark.filterwarnings('ignore:no (training|validation) text')
def test_recorder_is_get_preds():
    "The columns are the figures of what `get_preds` gives, at the thresholds of the labels, also after they change"
    learn = learner(label_metrics('roc_auc, log_loss, f1, f1_micro, mcc', ['toxic','insult'], per_label=True))
    fitted(learn, 1)
    for thresh in (0.5, (0.3,0.55,0.4)):
        learn.labels = learn.labels.with_thresholds(thresh)
        with learn.no_bar(), learn.no_logging(), warnings.catch_warnings():
            warnings.simplefilter('ignore')
            got = dict(zip([o.name for o in learn.metrics], learn.validate()[1:]))
            probs,targs = [o.numpy() for o in learn.get_preds()]
        for name in ('f1','mcc','f1_micro'): assert got[name]==pytest.approx(masked_score(name.removesuffix('_micro'), targs, probs, thresh, 'micro' if 'micro' in name else 'macro'), abs=1e-12)
        for name in ('roc_auc','log_loss'): assert got[name]==pytest.approx(masked_score(name, targs, probs), abs=1e-6)
        assert got['f1 insult']==masked_scores('f1', targs, probs, thresh)[1]

@pytest.mark.filterwarnings('ignore:no (training|validation) text')
def test_unknown_label_in_a_fit():
    with pytest.raises(KeyError, match="no class 'threat'"): fitted(learner(label_metric('f1', label='threat')), 1)

def test_single_learner(tmp_path):
    "Stock verbs with metrics of exclusive classes; aliases; export"
    dls = ToxicityDataLoaders.from_df(comments(40), tiny_checkpoint('bert'), label_cols='label', seed=1, bs=8, path=tmp_path)
    learn = toxicity_learner(dls, metrics=label_metrics('accuracy, f1, mcc, log_loss, ece', ['rude','kind'], per_label=True), precision='fp32')
    assert not fitted(learn)
    shown = dict(zip(learn.recorder.metric_names[1:-1], learn.recorder.values[-1]))
    with learn.no_bar(), learn.no_logging(): probs,targs,loss = learn.get_preds(with_loss=True)
    assert shown['log_loss']==pytest.approx(loss.mean().item(), rel=1e-5)
    assert shown['accuracy']==sk.accuracy_score(targs, probs.argmax(1)) and shown['f1']==pytest.approx(sk.f1_score(targs, probs.argmax(1), average='macro'))
    learn.export()
    assert [o.name for o in load_learner(tmp_path/'export.pkl').metrics][:2]==['accuracy','accuracy rude']

def test_default_of_ordinal():
    "Grades are decided by their loss, so fastai's accuracy, which takes the most probable one, is not asked"
    df = comments(40).assign(grade=[['none','mild','severe'][i%3] for i in range(40)])
    data = load_comments(df, text_col='text', label_cols='grade', classes=LabelSet(['none','mild','severe'], 'ordinal'))
    dls = ToxicityDataLoaders.from_df(data, tiny_checkpoint('bert'), seed=1, bs=8)
    assert [o.name for o in default_metrics(dls)]==['accuracy','f1']

# Hugging Face `evaluate`

script = '''
import datasets
import evaluate
from sklearn import metrics

class Recent(evaluate.Metric):
    def _info(self):
        return evaluate.MetricInfo(description='', citation='', inputs_description='',
            features=datasets.Features({'PREDICTIONS': datasets.Value('TYPE'), 'references': datasets.Value('int32')}))
    def _compute(self, PREDICTIONS, references, **kwargs): return RESULT
'''

def metric_folder(path, predictions='predictions', dtype='int32', result="{'f1': metrics.f1_score(references, predictions, **kwargs)}"):
    "A folder with a metric of `evaluate`"
    path.mkdir()
    (path/f'{path.name}.py').write_text(script.replace('PREDICTIONS', predictions).replace('TYPE', dtype).replace('RESULT', result))
    return path

@pytest.fixture(scope='session')
def evaluate_cache(tmp_path_factory):
    "`evaluate` keeps its copies of scripts out of the home folder"
    evaluate = pytest.importorskip('evaluate', reason='the extra `evaluate` is not installed')
    with pytest.MonkeyPatch.context() as m:
        for o in ('HF_MODULES_CACHE','HF_METRICS_CACHE'): m.setattr(evaluate.config, o, tmp_path_factory.mktemp('evaluate'))
        yield

@pytest.mark.filterwarnings('ignore:among the')
def test_evaluate_columns(tmp_path, evaluate_cache):
    logits,targs = logits_and_targets()
    metric = accumulated(label_metric(f"evaluate:{metric_folder(tmp_path/'my_f1')}"), logits, targs)
    np.testing.assert_allclose(metric.per_class(), masked_scores('f1', targs, logits.sigmoid().numpy()))
    assert metric.name=='evaluate:my_f1' and metric.value==pytest.approx(np.nanmean(metric.per_class()))
    again = accumulated(pickle.loads(pickle.dumps(metric)), logits, targs)
    assert again.value==metric.value

def test_evaluate_exclusive(tmp_path, evaluate_cache):
    targs,probs = numbers(gaps=0)
    logits,y = torch.tensor(probs).log(),torch.tensor(targs)
    path = metric_folder(tmp_path/'f1_of')
    assert accumulated(evaluate_metric(path, average='macro'), logits, y).value==pytest.approx(masked_score('f1', targs, probs))
    with pytest.raises(ValueError, match="'.*f1_of' of `evaluate` failed .*check its arguments, here {}"): accumulated(evaluate_metric(path), logits, y).value
    with pytest.raises(ValueError, match='gives .4,. figures'): accumulated(evaluate_metric(path, average=None), logits, y).value

@pytest.mark.filterwarnings('ignore:among the')
def test_evaluate_scores(tmp_path, evaluate_cache):
    logits,targs = logits_and_targets()
    path = metric_folder(tmp_path/'auc', 'prediction_scores', 'float64', "dict(auc=metrics.roc_auc_score(references, prediction_scores), n=len(references))")
    with pytest.raises(ValueError, match=r"gives \['auc', 'n'\]: expected one figure"): accumulated(evaluate_metric(path), logits, targs).value
    metric = accumulated(evaluate_metric(path, key='auc', label='5'), logits, targs)
    assert metric.name=='evaluate:auc auc 5' and metric.value==pytest.approx(masked_scores('roc_auc', targs, logits.double().sigmoid().numpy())[5])

def test_evaluate_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, 'evaluate', None)
    with pytest.raises(ImportError, match=r'toxicai\[evaluate\]'): evaluate_metric('f1')

def test_evaluate_not_there(tmp_path, evaluate_cache):
    with pytest.raises(ValueError, match='cannot load the metric'): evaluate_metric(tmp_path/'nowhere')

# By name, wherever metrics are passed

@pytest.mark.filterwarnings('ignore:no (training|validation) text')
@pytest.mark.parametrize('metrics,names', [('f1', ['f1']), ('roc_auc,f1_micro , mcc', ['roc_auc','f1_micro','mcc']), (['f1 insult', sk.hamming_loss], ['f1 insult','hamming_loss']), (('brier',), ['brier']),
                                           ([MaskedF1(0.3), 'recall'], ['f1','recall']), ([], []), (None, ['roc_auc','f1'])])
def test_metrics_by_name(metrics, names):
    "A name, several, names among functions: in the call that makes the learner, and set later"
    learn = learner(metrics)
    assert learn.metrics.attrgot('name')==names
    if metrics is None: return
    learn.metrics = metrics
    assert learn.metrics.attrgot('name')==names

@pytest.mark.filterwarnings('ignore:no (training|validation) text')
def test_named_metrics_measure():
    "The columns are those of `label_metric`, at the thresholds of the labels"
    learn = learner(['f1','f1 insult'])
    fitted(learn, 1)
    learn.labels = learn.labels.with_thresholds(0.4)
    with learn.no_bar(),learn.no_logging(): (_,f1,insult),(probs,targs) = learn.validate(),[o.numpy() for o in learn.get_preds()]
    assert (f1,insult)==pytest.approx((masked_score('f1', targs, probs, 0.4), masked_scores('f1', targs, probs, 0.4)[1]))

@pytest.mark.filterwarnings('ignore:no (training|validation) text')
@pytest.mark.parametrize('metrics,hint', [('auc','roc_auc'), ('ROC-AUC','roc_auc'), ('f1_score','f1'), ('F1','f1'), ('f1_macr','f1'), ('accuracy_multi','accuracy'), ('avg_precision','precision'), (['f1','rocauc insult'],'roc_auc'), ('mcc_micro_','mcc'), ('xyz',None)])
def test_unknown_metrics(metrics, hint):
    "Fail at once, with the name that may be meant"
    with pytest.raises(ValueError, match='`metrics` has no') as e: learner(metrics)
    assert (f'did you mean {hint!r}' in str(e.value)) if hint else 'did you mean' not in str(e.value)
    with pytest.raises(ValueError, match='`metrics` has no'): learner(None).metrics = metrics

@pytest.mark.filterwarnings('ignore:no (training|validation) text')
@pytest.mark.parametrize('bad', [0.5, [3], {'f1':0.5}, [b'f1']], ids=str)
def test_no_metrics(bad):
    with pytest.raises((TypeError,ValueError), match='`metrics` has'): learner(bad)

def test_metrics_of_numbers():
    from fastai.data.all import ColReader,DataBlock,RandomSplitter,RegressionBlock
    df = comments(40).assign(y=np.linspace(0, 1, 40))
    dls = DataBlock(blocks=(TransformerTextBlock(tiny_checkpoint('bert')), RegressionBlock), get_x=ColReader('text'), get_y=ColReader('y'), splitter=RandomSplitter(seed=0)).dataloaders(df, bs=8)
    a,b = [toxicity_learner(dls, metrics=o, precision='fp32') for o in (None,'rmse')]
    assert a.metrics.attrgot('name')==['rmse','mae'] and a.metrics[0] is not b.metrics[0]
    with pytest.raises(ValueError, match=r"no 'f1': expected some of \['rmse', 'mae'\] for numbers"): toxicity_learner(dls, metrics='f1')
    with a.no_bar(),a.no_logging():
        a.fit(1)
        loss,rmse,mae = a.validate()
    assert rmse==pytest.approx(loss**0.5, rel=1e-4)

# The history of the last fit

looks = dict(
    predict=lambda o: o.predict('you lot'), get_preds=lambda o: o.get_preds(), classify=lambda o: o.classify(['a','b']),
    show_results=lambda o: o.show_results(max_n=2), validate=lambda o: o.validate(), train_rows=lambda o: o.validate(0),
    dry_run=lambda o: o.dry_run(), judged=lambda o: o.judged(), tune=lambda o: o.tune_thresholds(n_boot=0),
    other_metrics=lambda o: (setattr(o, 'metrics', 'roc_auc'), o.validate()))

@pytest.fixture(scope='module')
def with_history():
    import toxicai.train.verbs
    dls = ToxicityDataLoaders.from_df(comments(60), tiny_checkpoint('bert'), label_cols=['toxic','insult'], seed=1, bs=8)
    learn = toxicity_learner(dls, precision='fp32', metrics='f1')
    with warnings.catch_warnings(), learn.no_bar(), learn.no_logging():
        warnings.simplefilter('ignore')
        learn.fit(2, 1e-3)
    return learn

@pytest.mark.parametrize('name', looks)
def test_history_stays(with_history, name):
    learn = with_history
    history = lambda: [list(map(np.asarray, getattr(learn.recorder, k))) for k in ('losses','lrs','iters','values')]
    before = history()
    assert len(before[0])==2*len(learn.dls.train) and len(before[3])==2
    with warnings.catch_warnings(), learn.no_bar(), learn.no_logging():
        warnings.simplefilter('ignore')
        looks[name](learn)
    for a,b in zip(before, history()): np.testing.assert_array_equal(a, b)

def test_figures_of_other_metrics(with_history):
    "A pass goes by the names that it had, not by those of the history"
    learn = with_history
    learn.metrics = 'roc_auc,log_loss'
    with warnings.catch_warnings(), learn.no_bar(), learn.no_logging():
        warnings.simplefilter('ignore')
        res = learn.validate()
    assert len(res)==3 and list(learn.measured.figures)==['valid_loss','roc_auc','log_loss']
    assert learn.measured.figures['log_loss']==res[2]
