"What a run of Weights & Biases really holds: the transaction log of offline runs is read back"
import json,os,struct,subprocess,sys,time
from pathlib import Path
from importlib.metadata import version

import numpy as np,pandas as pd,pytest,torch
from fastai.callback.core import CancelFitException,Callback
from fastai.callback.progress import CSVLogger
from fastai.callback.training import GradientAccumulation
from fastcore.foundation import L
from torch import nn

from toxicai.all import *
from toxicai.train.provenance import data_digests
from toxicai.runs.tracking import *
from toxicai.test_utils import comments,tiny_checkpoint

# The log: https://github.com/wandb/wandb/blob/main/core/pkg/leveldb/record.go, blocks of 32 KiB with chunks of 7+n bytes

def chunks(raw):
    "Kind (1 whole, 2 first, 3 middle, 4 last) and bytes of each chunk of a log; a chunk that is half written is not there yet"
    at = 7
    while True:
        if 32768-at%32768<7: at += 32768-at%32768
        if at+7>len(raw): return
        _,n,kind = struct.unpack('<IHB', raw[at:at+7])
        if not kind or at+7+n>len(raw): return
        yield kind,raw[at+7:at+7+n]
        at += 7+n

def records(folder):
    "All records of the one run under `folder`; its log is written by another process, which may need a moment after the end"
    file, = folder.glob('wandb/offline-run-*/run-*.wandb')
    for _ in range(100):
        res = parsed(file.read_bytes())
        if any(o.WhichOneof('record_type')=='exit' for o in res): return res
        time.sleep(0.1)
    raise TimeoutError(f'{file} has no end')

def parsed(raw):
    from wandb.proto.wandb_internal_pb2 import Record
    res,part = [],b''
    for kind,b in chunks(raw):
        part = b if kind in (1,2) else part+b
        if kind in (1,4):
            res.append(Record())
            res[-1].ParseFromString(part)
    return res

def _key(o): return o.key or '/'.join(o.nested_key)

class Log:
    "What a run holds, by part"
    def __init__(self, folder):
        rs = records(folder)
        of = lambda kind: [getattr(r, kind) for r in rs if r.WhichOneof('record_type')==kind]
        self.history = [{_key(i):json.loads(i.value_json) for i in h.item} for h in of('history')]
        self.config = {_key(i):json.loads(i.value_json) for c in [o.config for o in of('run')]+of('config') for i in c.update}
        self.summary = {_key(i):json.loads(i.value_json) for s in of('summary') for i in s.update}
        self.run,self.artifacts,self.exit = of('run'),of('artifact'),of('exit')
        self.raw = b''.join(o.read_bytes() for o in folder.rglob('*') if o.is_file())
    def column(self, k): return [o[k] for o in self.history if k in o]

def loaders(n=96, label_cols=('toxic','insult'), **kwargs):
    labels = label_cols if isinstance(label_cols, str) else list(label_cols)
    return ToxicityDataLoaders.from_df(comments(n), tiny_checkpoint(), label_cols=labels, **{'bs':8, **kwargs})

def quiet(learn, verb, *args, **kwargs):
    with learn.no_bar(),learn.no_logging(): return getattr(learn, verb)(*args, **kwargs)

class Probe(Callback):
    "What happened, seen by another callback"
    order = 69
    def before_fit(self):
        if not hasattr(self, 'lrs'): self.lrs,self.losses,self.padding,self.values = [],[],[],[]
    def after_batch(self):
        if not self.training: return
        self.lrs.append([h['lr'] for h in self.opt.hypers])
        self.losses.append(self.loss.item())
        self.padding.append(float((self.x[:,0]==0).float().mean()))
    def after_epoch(self): self.values.append(list(self.recorder.log[1:-1]))

@pytest.fixture
def learn(tmp_path): return toxicity_learner(loaders(path=tmp_path), precision='fp32', metrics=label_metrics('roc_auc, f1', ['toxic','insult'], per_label=True))

def test_history(learn, tmp_path):
    "Two phases in one run: every step, epoch, rate, loss and metric as another callback saw them"
    probe = Probe()
    with WandbRun('p', dir=tmp_path, every=1) as cb: quiet(learn, 'fine_tune', 2, cbs=[cb,probe])
    log,n = Log(tmp_path),len(learn.dls.train)
    assert log.run[0].project=='p' and len({o.run_id for o in log.run})==1
    batches = [o for o in log.history if 'train/loss' in o]
    assert [o['step'] for o in batches]==list(range(1, 3*n+1))
    np.testing.assert_allclose([o['epoch'] for o in batches], np.arange(1, 3*n+1)/n)
    assert [o['fit'] for o in batches]==[1]*n+[2]*2*n
    np.testing.assert_allclose(log.column('train/loss'), probe.losses, rtol=1e-6)
    np.testing.assert_allclose([[o[f'lr/{i}'] for i in range(3)] for o in batches], probe.lrs, rtol=1e-6)
    np.testing.assert_allclose(log.column('train/padding'), probe.padding, atol=1e-6)
    assert all(o>0 for o in log.column('train/tokens_per_s')) and len(log.column('train/tokens_per_s'))==3*n
    names = ['train/epoch_loss','valid/loss','valid/roc_auc','valid/roc_auc/toxic','valid/roc_auc/insult','valid/f1','valid/f1/toxic','valid/f1/insult']
    np.testing.assert_allclose([log.column(k) for k in names], np.array(probe.values, dtype=float).T, rtol=1e-6)
    assert log.exit[0].exit_code==0 and log.summary['step']==3*n

def test_grad_norm(learn, tmp_path):
    "The norm is that of all gradients before clipping, and clipping still happens"
    class Seen(Callback):
        order,run_valid = 10.4,False
        def before_step(self): seen.append(float(torch.cat([p.grad.flatten() for p in self.model.parameters() if p.grad is not None]).norm()))
    seen = []
    with WandbRun(dir=tmp_path, every=1) as cb: quiet(learn, 'fit', 1, 1e-3, cbs=[cb,Seen()])
    np.testing.assert_allclose(Log(tmp_path).column('train/grad_norm'), seen, rtol=1e-4)
    assert not learn._grab_cbs(GradNorm)

def test_no_norm_without_a_step(learn, tmp_path):
    "Batches that only gather gradients have no norm; other figures are there"
    with WandbRun(dir=tmp_path, every=1) as cb: quiet(learn, 'fit', 1, 1e-3, cbs=[cb,GradientAccumulation(16)])
    log = Log(tmp_path)
    n = len(learn.dls.train)
    assert len(log.column('train/grad_norm'))==n//2 and len(log.column('train/loss'))>=n//2

def test_every(learn, tmp_path):
    with WandbRun(dir=tmp_path, every=4) as cb: quiet(learn, 'fit', 2, 1e-3, cbs=cb)
    n = len(learn.dls.train)
    want = [o for o in range(1, 2*n+1) if o%4==0 or o%n==0]
    log = Log(tmp_path)
    assert [o['step'] for o in log.history if 'train/loss' in o]==want
    with pytest.raises(ValueError, match='`every` is 0'): WandbRun(every=0)

def test_config(learn, tmp_path):
    "Settings of learner, loaders and data, as `learn.card()` has them; numbers are numbers"
    with WandbRun(dir=tmp_path, config={'mine':3, 'wd':'own'}) as cb: quiet(learn, 'fine_tune', 1, 1e-3, cbs=cb)
    config = Log(tmp_path).config
    assert config['mine']==3 and config['wd']=='own' and config['classes']==['toxic','insult'] and config['lr']==learn.lr and config['loaders']['train']['bs']==8
    assert config['n_train']==len(learn.dls.train_ds) and config['checkpoint']==str(tiny_checkpoint()) and config['rules']==text_tfm(learn.dls).encoder.rules.names
    assert config['versions']['torch']==version('torch') and config['learner']['metrics'][0]=='roc_auc'
    card = json.loads(json.dumps(learn.card()))
    for k in ('data','split','seed','arguments','loaders','versions','code','learner','texts'): assert config[k]==card[k], k
    assert config['code']['commit'] and config['split']['seed']==42 and config['arguments']['precision']=='fp32' and config['loss_args'].startswith('MaskedBCELoss(')

def test_digests():
    "Other rows, other digest; the same rows, the same"
    df = comments(48).assign(v=[0]*36+[1]*12)
    def digests(df):
        learn = toxicity_learner(ToxicityDataLoaders.from_df(df, tiny_checkpoint(), label_cols=['toxic','insult'], valid_col='v', bs=8))
        learn.create_opt()
        return run_config(learn)['data']
    a,b = digests(df),digests(df)
    c = digests(df.assign(text=['something else',*df.text[1:]]))
    d = digests(df.assign(toxic=[*df.toxic[:40],1-df.toxic[40],*df.toxic[41:]]))
    assert a==b and a['train']!=c['train'] and a['valid']==c['valid'] and d['train']==a['train'] and d['valid']!=a['valid']

def test_no_texts_by_default(learn, tmp_path):
    "Neither log nor files hold a comment, even when the program prints them"
    with WandbRun(dir=tmp_path, figures=True) as cb:
        quiet(learn, 'fit', 1, 1e-3, cbs=cb)
        print(*learn.dls.train_ds.items.text)
    raw = Log(tmp_path).raw
    assert b'crap article' not in raw and b'moron' not in raw

def table(tmp_path):
    file, = tmp_path.glob('wandb/offline-run-*/files/media/table/texts*.json')
    res = json.loads(file.read_text())
    return pd.DataFrame(res['data'], columns=res['columns'])

@pytest.mark.parametrize('labels', [('toxic','insult'), 'label'])
def test_texts(tmp_path, labels):
    "The table is what `get_preds` says: the worst wrong first, then right ones, masked"
    learn = toxicity_learner(loaders(label_cols=labels, path=tmp_path))
    with WandbRun(dir=tmp_path, texts=8, mask=False) as cb: quiet(learn, 'fit', 1, 1e-3, cbs=cb)
    df,(probs,targs,flags) = table(tmp_path),quiet(learn, 'get_preds', with_decoded=True)
    if labels=='label': targs,flags = nn.functional.one_hot(targs, 2),nn.functional.one_hot(flags, 2)
    wrong,gap = (flags!=(targs>=0.5)).any(1),(probs-targs).abs().max(1).values
    rows = {t:i for i,t in reversed(list(enumerate(learn.dls.valid_ds.items.text)))}
    got = [rows[o] for o in df.text]
    assert len(df)==8 and df.correct.tolist()==[not wrong[i] for i in got] and df.correct.is_monotonic_increasing
    np.testing.assert_allclose(df[[f'p {o}' for o in learn.labels]].to_numpy(dtype=float), probs[got], atol=1e-6)
    n_wrong = int((~df.correct).sum())
    np.testing.assert_allclose(sorted(gap[wrong].tolist(), reverse=True)[:n_wrong], gap[got[:n_wrong]], atol=1e-6)

def test_texts_are_masked(learn, tmp_path):
    with WandbRun(dir=tmp_path, texts=True) as cb: quiet(learn, 'fit', 1, 1e-3, cbs=cb)
    df = table(tmp_path)
    raw = df.to_string()
    assert 'crap' not in raw and 'moron' not in raw and 'm***n' in raw and len(df)==len(learn.dls.valid_ds)

def test_own_mask(learn, tmp_path):
    with WandbRun(dir=tmp_path, texts=3, mask=lambda o: 'x'*len(o)) as cb: quiet(learn, 'fit', 1, 1e-3, cbs=cb)
    assert set(''.join(table(tmp_path).text))=={'x'}

def test_masked_text():
    assert masked_text('@Bob_1 (b.o+b@mail.co.uk): https://a.b/c?d=e www.x.org you bitch!')=='@user ([mail]): [link] [link] you b***h!'
    assert masked_text('nothing to hide')=='nothing to hide'

def test_names_are_masked():
    "Capitalised words go, common ones at the start and single letters stay, stars of swear words too"
    hide = lambda o: masked_text(o, names=True)
    assert hide("I think Peter O'Neil and Mary-Ann are right. You’re wrong")=='I think [name] [name] and [name] are right. You’re wrong'
    assert hide('Élodie met @Bob_1 at www.x.org; THIS is Łukasz')=='[name] met @user at [link]; THIS is [name]'
    assert hide('Bitch, damn you')=='B***h, d**n you' and hide('nothing to hide here')=='nothing to hide here'

def test_mask_by_name(learn, tmp_path):
    with WandbRun(dir=tmp_path, texts=3, mask='names') as cb: quiet(learn, 'fit', 1, cbs=cb)
    assert len(table(tmp_path))==3 and cb.mask('Anna')=='[name]'
    with pytest.raises(ValueError, match="`mask` is 'name': expected True, False, 'names' or a function"): WandbRun(mask='name')

def judged_of(probs, targs): return Judged(np.array(probs), np.array(targs), LabelSet(['a','b'], 'multi'), [str(i) for i in range(len(probs))])

def test_sampled_rows():
    "The worst wrong by distance; unannotated rows never; right ones fill up, by the seed"
    nan = np.nan
    judged = judged_of([[.9,.1],[.6,.1],[.1,.1],[.2,.1],[.1,.99],[.5,.5]], [[0,0],[0,nan],[0,0],[0,0],[nan,0],[nan,nan]])
    assert sampled_rows(judged, 2).tolist()[0]==4 and set(sampled_rows(judged, 2)[1:])<={2,3}
    assert sampled_rows(judged, 4).tolist()[:2]==[4,0] and set(sampled_rows(judged, 10))=={0,1,2,3,4}
    many = judged_of([[.1,.1]]*50, [[0,0]]*50)
    assert sampled_rows(many, 5, 1).tolist()==sampled_rows(many, 5, 1).tolist()!=sampled_rows(many, 5, 2).tolist()
    assert len(sampled_rows(judged_of([[.9,.9]]*5, [[0,0]]*5), 4))==4

def test_figures(learn, tmp_path):
    from PIL import Image
    with WandbRun(dir=tmp_path, figures=True) as cb: quiet(learn, 'fine_tune', 1, cbs=cb)
    log = Log(tmp_path)
    for k in ('confusion','curves','reliability'):
        (path,),size = log.column(f'figures/{k}/path'),[log.column(f'figures/{k}/{o}')[0] for o in ('width','height')]
        file, = tmp_path.glob(f'wandb/offline-run-*/files/{path}')
        assert list(Image.open(file).size)==size and size[0]>200

def test_labels_at_the_end(learn, tmp_path):
    "Thresholds that were tuned after the fit are in the summary"
    with WandbRun(dir=tmp_path) as cb:
        quiet(learn, 'fit', 1, 1e-3, cbs=cb)
        learn.labels = learn.labels.with_thresholds([0.25,0.75]).with_calibration(Calibration('temperature', [(2.,),()]))
    s = Log(tmp_path).summary
    assert [s['thresholds/toxic'],s['thresholds/insult']]==list(learn.labels.thresholds) and s['thresholds/insult']==0.75
    assert (s['calibration/method'],s['calibration/toxic'],s['calibration/insult'])==('temperature',[2.],[])

def test_model_artifact(learn, tmp_path):
    "What was packed loads and predicts as the learner does, from the pickle and from the detector folder; the learner is as it was"
    path,cbs = learn.path,{o.name for o in learn.cbs}
    with WandbRun(dir=tmp_path/'w', model=True) as cb: quiet(learn, 'fine_tune', 1, cbs=cb)
    art, = Log(tmp_path/'w').artifacts
    files = {o.path:o.local_path for o in art.manifest.contents}
    assert art.type=='model' and {'export.pkl','detector/toxicai.json','detector/model.safetensors','detector/tokenizer.json'}<=set(files)
    from fastai.learner import load_learner
    texts = comments(6).text.tolist()
    pd.testing.assert_frame_equal(load_learner(files['export.pkl']).classify(texts), learn.classify(texts))
    for k,v in files.items():
        if k.startswith('detector/'):
            (tmp_path/'d').mkdir(exist_ok=True)
            (tmp_path/'d'/k.split('/')[1]).write_bytes(Path(v).read_bytes())
    want = learn.classify(texts)[['toxic','insult']].to_numpy()
    np.testing.assert_allclose(Detector(tmp_path/'d', backend='torch').scores(texts), want, atol=1e-5)
    assert learn.path==path and {o.name for o in learn.cbs}|{'progress'}==cbs|{'progress'}

def test_learner_without_a_detector_folder(learn, tmp_path, monkeypatch):
    "The pickle is packed all the same, and a warning says what is missing"
    def fail(self, folder): raise TypeError('no such head')
    monkeypatch.setattr(TransformerLearner, 'save_detector', fail)
    with WandbRun(dir=tmp_path/'w', model=True) as cb,pytest.warns(UserWarning, match='no detector folder, TypeError: no such head'): quiet(learn, 'fit', 1, cbs=cb)
    art, = Log(tmp_path/'w').artifacts
    assert [o.path for o in art.manifest.contents]==['export.pkl']

def test_data_artifact(learn, tmp_path):
    "By reference: address and digest, not the rows"
    import base64,hashlib
    file = tmp_path/'my data.csv'
    comments(96).to_csv(file)
    with WandbRun(dir=tmp_path/'w', data=file) as cb: quiet(learn, 'fit', 1, cbs=cb)
    log = Log(tmp_path/'w')
    art, = log.artifacts
    entry, = art.manifest.contents
    assert art.type=='dataset' and entry.ref==file.as_uri() and entry.digest==base64.b64encode(hashlib.md5(file.read_bytes()).digest()).decode()
    assert set(json.loads(art.metadata)['rows'])=={'train','valid'} and b'crap article' not in log.raw

def test_what_fails_at_the_end_costs_nothing(learn, tmp_path):
    with WandbRun(dir=tmp_path/'w', data=tmp_path/'nowhere') as cb,pytest.warns(UserWarning, match='W&B: no data'): quiet(learn, 'fit', 1, cbs=cb)
    assert Log(tmp_path/'w').exit[0].exit_code==0

def test_regression_has_no_tables(tmp_path):
    from fastai.data.all import ColReader,DataBlock,RandomSplitter,RegressionBlock
    df = comments(48).assign(y=np.linspace(0, 1, 48))
    dls = DataBlock(blocks=(TransformerTextBlock(tiny_checkpoint()), RegressionBlock), get_x=ColReader('text'), get_y=ColReader('y'), splitter=RandomSplitter(seed=0)).dataloaders(df, bs=8)
    learn = toxicity_learner(dls)
    with WandbRun(dir=tmp_path, texts=3) as cb,pytest.warns(UserWarning, match='no texts and figures'): quiet(learn, 'fit', 1, cbs=cb)
    assert 'valid/loss' in Log(tmp_path).summary

def test_nothing_but_training(learn, tmp_path):
    "`validate`, `get_preds`, `lr_find` and `dry_run` open no run; a later fit does, and is alone in it"
    cb = WandbRun(dir=tmp_path)
    learn.add_cb(cb)
    quiet(learn, 'validate'); quiet(learn, 'get_preds'); quiet(learn, 'lr_find', num_it=3, show_plot=False); quiet(learn, 'dry_run')
    assert cb.wandb is None and not list(tmp_path.glob('wandb'))
    quiet(learn, 'fit', 1, 1e-3)
    quiet(learn, 'validate')
    cb.finish()
    assert len(Log(tmp_path).column('valid/loss'))==1

def test_export_with_callback(learn, tmp_path):
    "A learner that logs can be exported, and loaded without Weights & Biases at work"
    learn.add_cb(WandbRun(dir=tmp_path/'w'))
    quiet(learn, 'fit', 1, 1e-3)
    learn.export()
    from fastai.learner import load_learner
    new = load_learner(learn.path/'export.pkl')
    assert new.wandb_run.wandb is None and learn.wandb_run.wandb is None
    assert quiet(new, 'predict', 'damn')[2].tolist()==pytest.approx(quiet(learn, 'predict', 'damn')[2].tolist(), abs=1e-6)

def test_stream(tmp_path):
    "Training rows that come and go have no number; all else is logged as ever, texts, pictures and the card too"
    rows = comments(60).to_dict('records')
    dls = ToxicityDataLoaders.from_stream(lambda: iter(rows), comments(24), tiny_checkpoint(), steps=5, buffer=32, text_col='text',
                                          label_cols=['toxic','insult'], bs=8, path=tmp_path)
    with WandbRun('stream', dir=tmp_path, texts=4, figures=True, data=__file__, every=2) as cb:
        quiet(toxicity_learner(dls, precision='fp32'), 'fit', 2, cbs=cb)
    log = Log(tmp_path)
    assert log.column('step')[-1]==10 and log.column('epoch')[-1]==2 and len(log.column('valid/loss'))==2
    assert np.isfinite(log.column('train/loss')).all() and log.column('train/tokens_per_s')
    assert len(table(tmp_path))==4 and len(list(tmp_path.glob('wandb/offline-run-*/files/media/images/figures/*.png')))==3
    c = log.config
    assert 'n_train' not in c and c['n_valid']==24 and c['data']['train']=={'n':None} and c['data']['valid']['n']==24
    assert c['loaders']['train']['steps']==5 and c['loaders']['train']['buffer']==32
    assert log.exit[0].exit_code==0

def test_active_run(learn, tmp_path):
    "Logs to a run that is open, after what is there, and leaves it open"
    import wandb
    with wandb.init(dir=tmp_path, project='p') as run:
        run.log({'before':1})
        quiet(learn, 'fit', 1, 1e-3, cbs=(cb := WandbRun()))
        cb.finish()
        run.log({'after':1})
    log = Log(tmp_path)
    assert 'before' in log.history[0] and 'after' in log.history[-1] and log.column('train/loss')

def test_folds_in_a_group(tmp_path):
    "A callback for each fold: two runs of one group"
    for i in range(2):
        learn = toxicity_learner(loaders(48))
        with WandbRun('p', group='folds', name=f'fold {i}', dir=tmp_path/str(i)) as cb: quiet(learn, 'fit', 1, cbs=cb)
    a,b = [Log(tmp_path/str(i)).run[0] for i in range(2)]
    assert a.run_group==b.run_group=='folds' and a.run_id!=b.run_id and (a.display_name,b.display_name)==('fold 0','fold 1')

def test_error_marks_the_run(learn, tmp_path):
    class Fail(Callback):
        def after_epoch(self): raise RuntimeError('broken')
    with pytest.raises(RuntimeError):
        with WandbRun(dir=tmp_path) as cb: quiet(learn, 'fit', 1, cbs=[cb,Fail()])
    assert Log(tmp_path).exit[0].exit_code==1

def test_stopped_early(learn, tmp_path):
    "A fit that another callback cancels is summed up too"
    class Stop(Callback):
        def after_epoch(self): raise CancelFitException
    with WandbRun(dir=tmp_path) as cb: quiet(learn, 'fit', 5, cbs=[cb,Stop()])
    assert 'thresholds/toxic' in Log(tmp_path).summary

@pytest.mark.parametrize('env', [dict(WANDB_MODE='online'), dict(WANDB_MODE='online', WANDB_API_KEY='0'*40, WANDB_BASE_URL='http://127.0.0.1:9')], ids=['no key','no network'])
def test_out_of_reach(env, tmp_path):
    "One line, an offline run with everything in it, a trained network"
    code = f"""
from toxicai.all import *; from toxicai.runs.tracking import *; from toxicai.test_utils import *
dls = ToxicityDataLoaders.from_df(comments(48), tiny_checkpoint(), bs=8)
learn = toxicity_learner(dls)
with learn.no_bar(),learn.no_logging(): learn.fit(1, cbs=WandbRun('p', dir={str(tmp_path)!r}, settings=dict(init_timeout=2)))
print('trained', len(learn.recorder.values))"""
    env = {**{k:v for k,v in os.environ.items() if k not in ('WANDB_API_KEY','WANDB_SERVICE')}, 'HOME':str(tmp_path), 'NETRC':str(tmp_path/'none'), **env}
    res = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, env=env, stdin=subprocess.DEVNULL)
    assert 'trained 1' in res.stdout, res.stderr
    assert res.stderr.count('UserWarning: W&B cannot be reached')==1 and 'Traceback' not in res.stderr
    assert len(Log(tmp_path).column('valid/loss'))==1

def test_nowhere_to_write(learn, tmp_path, monkeypatch):
    "Where the folder cannot be made, W&B takes the temporary one, and training goes on"
    import tempfile
    (tmp_path/'file').write_text('')
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
    with WandbRun('p', dir=tmp_path/'file'/'sub') as cb: quiet(learn, 'fit', 1, cbs=cb)
    assert len(learn.recorder.values)==1 and len(Log(tmp_path).column('valid/loss'))==1

def test_disabled(learn, tmp_path):
    with WandbRun(mode='disabled', dir=tmp_path, texts=4, figures=True, model=True) as cb: quiet(learn, 'fit', 1, cbs=cb)
    assert not list(tmp_path.glob('wandb'))

def test_not_imported_until_used():
    code = ("import sys; from toxicai.all import *; from toxicai.runs.tracking import *; from toxicai.test_utils import *; cb = WandbRun('p', mode='disabled')\n"
            "assert 'wandb' not in sys.modules\n"
            "learn = toxicity_learner(ToxicityDataLoaders.from_df(comments(48), tiny_checkpoint(), bs=8))\n"
            "learn.validate(); assert 'wandb' not in sys.modules\n"
            "learn.fit(1, cbs=cb); assert 'wandb' in sys.modules")
    res = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert not res.returncode, res.stderr

def test_stock_learner(tmp_path):
    "A `Learner` put together by hand is logged too"
    from fastai.learner import Learner
    dls = loaders(48, 'label')
    learn = Learner(dls, load_transformer(tiny_checkpoint(), dls.vocab), loss_func=nn.CrossEntropyLoss(), splitter=transformer_splitter, cbs=HFInputs())
    with WandbRun(dir=tmp_path) as cb: quiet(learn, 'fit', 1, cbs=cb)
    log = Log(tmp_path)
    assert log.config['network']=='BertForSequenceClassification' and len(log.column('valid/loss'))==1
    assert log.config['data']==data_digests(dls) and log.config['versions']['torch']==version('torch')

def test_mlflow(learn, tmp_path, monkeypatch):
    "What a callback of the Recorder's figures sends is what MLflow keeps"
    mlflow = pytest.importorskip('mlflow')
    monkeypatch.setenv('MLFLOW_ALLOW_FILE_STORE', 'true')
    mlflow.set_tracking_uri((tmp_path/'m').as_uri())
    class Send(Callback):
        order = 70
        def after_epoch(self): mlflow.log_metrics({k.replace('/', '.'):v for k,v in epoch_figures(self.learn).items()}, step=self.epoch)
    with mlflow.start_run() as run: quiet(learn, 'fit', 2, 1e-3, cbs=Send())
    got = [o.value for o in mlflow.MlflowClient().get_metric_history(run.info.run_id, 'valid.f1.toxic')]
    np.testing.assert_allclose(got, [o[list(learn.recorder.metric_names[1:-1]).index('f1 toxic')] for o in learn.recorder.values])

# Other loggers

def test_csv_logger(learn, tmp_path):
    learn.path = tmp_path
    quiet(learn, 'fit', 2, 1e-3, cbs=CSVLogger())
    log = pd.read_csv(tmp_path/'history.csv')
    np.testing.assert_allclose(log.iloc[:,1:-1], np.array(learn.recorder.values, dtype=float), rtol=1e-6)

@pytest.mark.parametrize('labels', [('toxic','insult'), 'label'])
def test_tensorboard(tmp_path, labels):
    pytest.importorskip('tensorboard')
    from fastai.callback.tensorboard import TensorBoardCallback
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    learn = toxicity_learner(loaders(label_cols=labels))
    quiet(learn, 'fit', 2, 1e-3, cbs=TensorBoardCallback(tmp_path, trace_model=False))
    log = EventAccumulator(str(tmp_path))
    log.Reload()
    assert len(log.Scalars('train_loss'))>=2*len(learn.dls.train)
    np.testing.assert_allclose([o.value for o in log.Scalars('valid_loss')], [o[1] for o in learn.recorder.values], rtol=1e-6)
    text = log.Tensors('predictions/text_summary')[0].tensor_proto.string_val[0].decode()
    assert text.count('\n')>=9 and any(o in text for o in learn.dls.valid_ds.items.text)

def test_hypers_hold_no_none():
    "Loggers cannot take None; rates and decay are there"
    learn = toxicity_learner(loaders(48))
    learn.create_opt()
    assert all(v is not None for o in learn.opt.hypers for v in o.values()) and {'lr','wd'}<=set(learn.opt.hypers[0])

# When a run ends

def ids(tmp_path): return sorted({o.name.split('-')[3] for o in tmp_path.glob('wandb/offline-run-*')})

def test_ends_with_the_call(learn, tmp_path):
    "Each call is a run of its own; nothing is open after it, and the id is free"
    import wandb
    cb = WandbRun('p', dir=tmp_path)
    quiet(learn, 'fine_tune', 1, cbs=cb)
    assert cb.wandb is None and wandb.run is None and len(ids(tmp_path))==1 and Log(tmp_path).exit[0].exit_code==0
    assert quiet(learn, 'predict', 'damn')[2].shape==(2,)
    quiet(learn, 'fit', 1, cbs=cb)
    assert cb.wandb is None and len(ids(tmp_path))==2

@pytest.mark.parametrize('end', ['nothing','wandb.finish','cb.finish'])
def test_id_is_free(learn, tmp_path, end):
    "A run is taken up by its id as with W&B itself: from the same callback, whose steps go on, and from a new one"
    import wandb
    cb = WandbRun('p', dir=tmp_path, id='abc', resume='allow')
    quiet(learn, 'fit', 1, cbs=cb)
    {'nothing':lambda: None, 'wandb.finish':wandb.finish, 'cb.finish':cb.finish}[end]()
    quiet(learn, 'fit', 1, cbs=cb)
    assert (cb.step,cb.n_fits)==(2*len(learn.dls.train),2)
    quiet(learn, 'fit', 1, cbs=WandbRun('p', dir=tmp_path, id='abc', resume='allow'))
    with wandb.init(project='p', id='abc', resume='allow', dir=tmp_path) as run: assert run.id=='abc'
    assert ids(tmp_path)==['abc']

class Break(Callback):
    def __init__(self, error): self.error = error
    def after_batch(self):
        if self.training and self.iter==1: raise self.error

@pytest.mark.parametrize('error', [RuntimeError('broken'), KeyboardInterrupt()], ids=repr)
@pytest.mark.parametrize('inside', [False,True])
def test_broken_off(learn, tmp_path, error, inside):
    "A fit that fails or is stopped ends its run as failed, leaves no callback of ours in the learner, and the next fit is logged"
    cb = WandbRun('p', dir=tmp_path/'a')
    learn.add_cb(cb) if inside else None
    with pytest.raises(type(error)): quiet(learn, 'fit', 1, cbs=[Break(error)] if inside else [cb,Break(error)])
    assert cb.wandb is None and not cb.trained and not learn._grab_cbs(GradNorm) and Log(tmp_path/'a').exit[0].exit_code==1
    cb.kwargs['dir'] = tmp_path/'b'
    quiet(learn, 'fit', 1, cbs=None if inside else cb)
    log = Log(tmp_path/'b')
    assert log.exit[0].exit_code==0 and len(log.column('valid/loss'))==1 and not learn._grab_cbs(GradNorm)

@pytest.mark.parametrize('how', ['given','active'])
def test_runs_of_the_user_stay_open(learn, tmp_path, how):
    "Passed or active, also after an error, and after predictions of copies"
    import wandb
    from copy import deepcopy
    with wandb.init(project='p', dir=tmp_path) as run:
        cb = WandbRun(run=run) if how=='given' else WandbRun()
        learn.add_cb(cb)
        quiet(learn, 'fit', 1)
        with pytest.raises(RuntimeError): quiet(learn, 'fit', 1, cbs=Break(RuntimeError('broken')))
        copied = deepcopy(learn)
        assert copied.wandb_run.wandb is None and copied.wandb_run.given is None and quiet(copied, 'predict', 'damn')[2].shape==(2,)
        quiet(learn, 'fit', 1)
        cb.finish()
        assert wandb.run is run
        run.log({'mine':1})
    log = Log(tmp_path)
    assert len(log.column('valid/loss'))==2 and log.column('mine')==[1] and log.exit[0].exit_code==0

def test_with_block_holds_the_run(learn, tmp_path):
    "Several calls, one that fails among them, and thresholds afterwards: one run"
    with WandbRun('p', dir=tmp_path) as cb:
        quiet(learn, 'fit', 1, cbs=cb)
        with pytest.raises(RuntimeError): quiet(learn, 'fit', 1, cbs=[cb,Break(RuntimeError('broken'))])
        quiet(learn, 'fit', 1, cbs=cb)
        learn.labels = learn.labels.with_thresholds([0.25,0.75])
    log = Log(tmp_path)
    assert len(ids(tmp_path))==1 and len(log.column('valid/loss'))==2 and log.summary['thresholds/insult']==0.75

def test_stock_learner_ends_its_run(tmp_path):
    from fastai.learner import Learner
    dls = loaders(48, 'label')
    learn = Learner(dls, load_transformer(tiny_checkpoint(), dls.vocab), loss_func=nn.CrossEntropyLoss(), splitter=transformer_splitter, cbs=HFInputs())
    quiet(learn, 'fit', 1, cbs=(cb := WandbRun(dir=tmp_path)))
    assert cb.wandb is None and Log(tmp_path).exit[0].exit_code==0

# What ends a fit, and names

def test_last_epoch_before_an_early_stop(learn, tmp_path):
    "`EarlyStoppingCallback` comes before the callback that logs; its last epoch is logged all the same, and once"
    from fastai.callback.tracker import EarlyStoppingCallback
    with WandbRun(dir=tmp_path) as cb: quiet(learn, 'fit', 5, 0., cbs=[cb,EarlyStoppingCallback(patience=1)])
    assert len(learn.recorder.values)==2 and Log(tmp_path).column('valid/loss')==pytest.approx([o[1] for o in learn.recorder.values])

def test_fit_that_is_cancelled_in_a_batch(learn, tmp_path):
    "The epoch before is not logged again"
    class Cancel(Callback):
        def after_batch(self):
            if self.training and self.epoch==1 and self.iter==1: raise CancelFitException
    with WandbRun(dir=tmp_path) as cb: quiet(learn, 'fit', 3, cbs=[cb,Cancel()])
    assert len(Log(tmp_path).column('valid/loss'))==1

def test_grad_norm_is_the_callback(learn, tmp_path):
    "The name is that of the callback, with `WandbRun` beside it or without; its value is there after a step, and none after a batch without one"
    from fastai.callback.training import GradientAccumulation
    learn.add_cb(own := GradNorm())
    with WandbRun(dir=tmp_path) as cb: quiet(learn, 'fit', 1, cbs=cb)
    assert learn.grad_norm is own and float(own.value)>0
    quiet(learn, 'fit', 1, cbs=GradientAccumulation(10**6))
    assert own.value is None
    learn.remove_cb(GradNorm)
    assert 'grad_norm' not in vars(learn)

def test_figures_of_validate_have_their_names(learn):
    "After `validate()` the figures of the fit stand under their names still"
    quiet(learn, 'fit', 1)
    want = quiet(learn, 'validate')
    got = epoch_figures(learn)
    assert np.isfinite(got.pop('train/epoch_loss')) and list(got.values())==pytest.approx(list(want)) and list(got)[:3]==['valid/loss','valid/roc_auc','valid/roc_auc/toxic']
