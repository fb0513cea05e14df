"From learner to folder to `Detector`: the same scores, whatever the backend, the company or the order; what cannot be saved or judged says so"
import json,os,pickle,random,shutil,subprocess,sys,threading,time,warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np,pandas as pd,pytest,torch
from hypothesis import given,settings,strategies as st
from toxicai.all import *
from toxicai.strings import mend_surrogates
from toxicai.serve.backends import choose_backend,fp32_backends,n_threads,open_backend,packed,run_all,token_budget
from toxicai.train.export import model_card,score_drift
from toxicai.test_utils import *

texts = ['you are an idiot', 'thank you', '', ' ', 'moron '*200, 'émoji 😀 مرحبا', 'half \ud800 a pair', 'nul \x00 inside', 'a'*3000, 'see [SEP] and </s>', 'You  1d1ot!!!!']

def learner(arch='bert', pooling='own', fit=True, **kw):
    kw = {'text_col':'text', 'label_cols':['toxic','insult'], 'bs':8, **kw}
    learn = toxicity_learner(ToxicityDataLoaders.from_df(comments(), tiny_checkpoint(arch), **kw), pooling=pooling)
    with learn.no_bar(),learn.no_logging():
        if fit: learn.fit(1, 1e-2)
    return learn

def by_learner(learn, texts):
    with learn.no_bar(): return learn.get_preds(dl=learn.dls.test_dl(texts))[0].numpy()

@pytest.fixture(scope='module')
def learn():
    torch.manual_seed(0)
    return learner()

@pytest.fixture(scope='module')
def folder(learn, tmp_path_factory):
    "With ONNX where it can be written, else for torch alone"
    try: import onnx,onnxruntime,onnxscript; ok = True
    except ImportError: ok = False
    return learn.save_detector(tmp_path_factory.mktemp('detector')/'bert', onnx=ok)

@pytest.fixture(scope='module', params=[1,2], ids=['alone','ahead'])
def d(folder, request):
    "With one thread texts are tokenised in turn, with more ahead of the network"
    return Detector(folder, threads=request.param)

def can(folder, backend): return not why_not(read_folder(folder), backend)

full,rough = ([k for k,o in backends.items() if (o.exact is None)==b] for b in (True,False)) # in fp32, and in less

def test_backends():
    "What the names say"
    assert full==['onnx','openvino','torch'] and rough==['onnx-int8','openvino-bf16','torch-bf16']
    assert [backends[o].exact for o in rough]==full and [k for k,o in backends.items() if not o.forks]==['torch','torch-bf16']

# The same as the learner

@pytest.mark.parametrize('backend', full)
def test_same_as_learner(learn, folder, backend):
    "1e-5 in fp32: the engines sum in another order"
    if not can(folder, backend): pytest.skip(why_not(read_folder(folder), backend))
    d = Detector(folder, backend)
    assert np.abs(d.scores(texts)-by_learner(learn, texts)).max()<1e-5
    assert d.scores(texts).dtype==np.float32 and d.backend==backend

@pytest.mark.parametrize('backend', rough)
def test_lower_precision(learn, folder, backend):
    "Near, and the folder says how near; an untrained network has no flags to flip"
    if not can(folder, backend): pytest.skip(why_not(read_folder(folder), backend))
    assert np.abs(Detector(folder, backend).scores(texts)-by_learner(learn, texts)).max()<0.02
    drift = read_folder(folder).drift[backend]
    assert drift['texts']==len(learn.dls.valid_ds) and drift['flags']==2*drift['texts'] and drift['largest_score_difference']<0.02
    assert 0<=drift['auc']<=1 and abs(drift['auc_change'])<=0.5

def test_drift_is_of_the_texts(learn, folder):
    "The figures that are stored, computed from the comments themselves"
    if not can(folder, 'onnx-int8'): pytest.skip('no int8')
    from sklearn.metrics import roc_auc_score
    df = learn.dls.valid_ds.items
    p,q = (Detector(folder, o).scores(df.text.tolist()) for o in ('torch','onnx-int8'))
    aucs = [roc_auc_score(df[['toxic','insult']], o, average='macro') for o in (p,q)]
    drift = read_folder(folder).drift['onnx-int8']
    assert drift['auc']==pytest.approx(aucs[1], abs=1e-6) and drift['auc_change']==pytest.approx(aucs[1]-aucs[0], abs=2e-6)
    assert drift['largest_score_difference']==pytest.approx(np.abs(p-q).max(), abs=1e-5)

def test_score_drift():
    "Two flags of eight flip; the first class has one side only and counts for nothing, a row that nobody annotated neither"
    labels = LabelSet(['toxic','insult'], thresholds=[0.5,0.5])
    a = np.array([[-1,-1],[-1,.1],[-1,2],[-1,-3.]])
    b = np.array([[-1,-1],[-1,-.1],[-1,-2],[-1,-3.]])
    targs = np.array([[0,0],[0,1],[0,1],[0,np.nan]])
    res = score_drift(labels, a, b, targs)
    assert (res['texts'],res['flags'],res['flags_flipped'])==(4,8,2) and res['auc']==0.5 and res['auc_change']==-0.5
    assert 'auc' not in score_drift(labels, a, b) and 'auc' not in score_drift(labels, a, b, targs*0)
    one = LabelSet(['a','b'], kind='single')
    assert [score_drift(one, a, b, np.array(o))['auc_change'] for o in ([0,1,1,0],[0,1,1,-1])]==[-0.25,-0.5]

no_onnx = ['xlnet','funnel','longformer'] # torch's exporter fails on them
families = [(o,'own') for o in archs if o!='pegasus']+[(o,'mean') for o in ('distilbert','mpnet','t5','pegasus')]

@pytest.mark.slow
@pytest.mark.parametrize('arch,pooling', families)
def test_every_family(arch, pooling, tmp_path):
    "Every family that can be trained, after a step of training, by every engine"
    learn = learner(arch, pooling)
    ref = by_learner(learn, texts)
    if arch in no_onnx:
        with pytest.raises(ValueError, match='cannot be exported'): learn.save_detector(tmp_path/'d', onnx=True)
    folder = learn.save_detector(tmp_path/'d', onnx=arch not in no_onnx)
    for o in full:
        if can(folder, o): assert np.abs(Detector(folder, o).scores(texts)-ref).max()<1e-5, o

@pytest.mark.parametrize('arch,pooling', families)
def test_families_by_torch(arch, pooling, tmp_path):
    learn = learner(arch, pooling, fit=False)
    assert np.abs(Detector(learn.save_detector(tmp_path/'d'), 'torch').scores(texts)-by_learner(learn, texts)).max()<1e-5

@pytest.mark.parametrize('cut', ['head','tail','head_tail'])
def test_settings_travel(cut, tmp_path):
    learn = learner(fit=False, max_length=12, cut=cut, rules='strict')
    d = Detector(learn.save_detector(tmp_path/'d'), 'torch')
    assert (d.enc.cut, d.enc.max_length, d.enc.rules)==(cut, 12, Rules('strict'))
    assert np.abs(d.scores(texts)-by_learner(learn, texts)).max()<1e-5

def test_pairs(tmp_path):
    df = comments().rename(columns=dict(text='a')).assign(b='thank you')
    learn = toxicity_learner(ToxicityDataLoaders.from_df(df, tiny_checkpoint(), text_col=['a','b'], label_cols=['toxic'], bs=8))
    d = Detector(learn.save_detector(tmp_path/'d'), 'torch')
    with learn.no_bar(): ref = learn.get_preds(dl=learn.dls.test_dl(df))[0].numpy()
    assert np.abs(d.scores(list(zip(df.a, df.b)))-ref).max()<1e-5
    assert len(d(('one','two')))==1
    with pytest.raises(TypeError, match='judges pairs'): d('one')
    with pytest.raises(ValueError, match='judges pairs'): Detector(tmp_path/'d', 'torch', long='windows')

def test_one_label(tmp_path):
    "Classes that exclude each other: softmax, calibration, one flag for each text"
    learn = toxicity_learner(ToxicityDataLoaders.from_df(comments(), tiny_checkpoint(), text_col='text', label_cols='label', bs=8))
    learn.labels = learn.labels.with_calibration(Calibration('temperature', [(2.,)]*2, 'softmax'))
    d = Detector(learn.save_detector(tmp_path/'d'), 'torch')
    assert np.abs(d.scores(texts)-by_learner(learn, texts)).max()<1e-5
    assert (d(texts).flags.sum(1)==1).all() and d.labels==learn.labels
    assert d.flagged('a', 'kind')!=d.flagged('a', ['rude'])==d.flagged('a') and d.flagged('a', ['rude','kind'])
    with pytest.raises(ValueError, match='exclude each other'): Detector(tmp_path/'d', 'torch', long='windows')

def test_thresholds_and_calibration(learn, folder, tmp_path):
    old = learn.labels
    try:
        learn.labels = old.with_calibration(Calibration('platt', [(1.5,0.2),()])).with_thresholds(dict(toxic=0., insult=1.))
        d = Detector(learn.save_detector(tmp_path/'d'), 'torch')
        assert np.abs(d.scores(texts)-by_learner(learn, texts)).max()<1e-5
        assert d(texts).flags.tolist()==[[True,False]]*len(texts) and d.flagged('a') and not d.flagged('a', 'insult')
    finally: learn.labels = old

# Many at once

engines = pytest.mark.parametrize('backend', [o for o in backends if o!='torch-bf16'])

@engines
def test_called_from_threads(folder, backend):
    "As a web server does: each call has its own answer"
    if not can(folder, backend): pytest.skip(why_not(read_folder(folder), backend))
    d,calls = Detector(folder, backend, threads=2),[texts[i:]+texts[:i] for i in range(len(texts))]*3
    alone = [d.scores(o) for o in calls]
    with ThreadPoolExecutor(4) as pool: together = list(pool.map(d.scores, calls))
    assert all(np.abs(a-b).max()<1e-6 for a,b in zip(alone, together))

@engines
def test_a_batch_for_each_thread(folder, backend, monkeypatch):
    "Beyond some tokens each thread has batches of its own, with the same scores; the network is opened for that once, and only where it is needed"
    import toxicai.serve.detector as module
    if not can(folder, backend): pytest.skip(why_not(read_folder(folder), backend))
    d,many,opened = Detector(folder, backend, threads=3, recheck=False),[f'{o} {i}' for i,o in enumerate(texts*9)],[]
    ref,tokens = d.scores(many),int(d.enc.encode(many).lengths.sum())
    monkeypatch.setattr(module, 'open_backend', lambda *args: opened.append(args[-1]) or open_backend(*args))
    monkeypatch.setattr(module, '_many', tokens+1)
    d.scores(many)
    assert not opened
    monkeypatch.setattr(module, '_many', tokens)
    assert np.abs(d.scores(many)-ref).max()<1e-6 and np.abs(np.concatenate([o.scores for o in d.iter(many)])-ref).max()<1e-6
    assert opened==([] if backend=='torch' else [3])
    one = Detector(folder, backend, threads=1, recheck=False)
    del opened[:]
    assert np.abs(one.scores(many)-ref).max()<1e-6 and not opened

@pytest.mark.parametrize('at_once', [1,3])
def test_a_batch_fails(d, at_once):
    "The error comes out, and the batches behind it are not run"
    ids,number,seen = d.enc.encode(['text']*400),count(1),[]
    def run(x):
        n = next(number) # threads count apart
        seen.append(n)
        if n==5: raise FolderError('broken')
        time.sleep(0.001)
        return np.zeros((len(x['input_ids']), 2))
    with pytest.raises(FolderError, match='broken'): run_all(run, ids, d.enc, 2, 3, at_once)
    assert 5<=len(seen)<100

# Company, order, length

def test_company(d):
    "Each text alone, all together, and in another order"
    many = texts*3
    order = random.Random(0).sample(range(len(many)), len(many))
    together = d.scores(many)
    assert np.abs(np.concatenate([d.scores(o) for o in texts])-together[:len(texts)]).max()<1e-6
    assert np.abs(d.scores([many[i] for i in order])-together[order]).max()<1e-6

def test_chunks(d, monkeypatch):
    "More texts than are tokenised at once"
    import toxicai.serve.detector as module
    many = [f'{o} {i}' for i,o in enumerate(texts*3)]
    ref = d.scores(many)
    monkeypatch.setattr(module, '_chunk', 7)
    assert np.abs(d.scores(many)-ref).max()<1e-6
    assert d(many, 'all').n_tokens.tolist()==d.enc.encode(many).full.tolist()

@given(st.lists(st.integers(1, 600), max_size=60), st.integers(1, 1024))
def test_packed(lengths, budget):
    batches = list(packed(np.array(lengths, dtype=int), budget))
    assert sorted(i for o in batches for i in o.tolist())==list(range(len(lengths)))
    for o in batches:
        most = max(lengths[i] for i in o)
        assert len(o)==1 or len(o)*most<=budget
        sizes = [lengths[i] for i in o]
        assert all((most-sizes[j])*(len(o)-j)<=budget//25 for j in range(1, len(o))), 'it is worth being cut once more'

@given(st.lists(st.integers(1, 60), max_size=9), st.integers(25, 200))
def test_cheapest_cuts(lengths, budget):
    "Against every way to cut"
    sizes = sorted(lengths, reverse=True)
    def _cost(batches): return sum(budget//25+len(o)*o[0] for o in batches)
    def _ways(rest): # may be begun by any number of texts that fit
        if not rest: return [[]]
        ns = range(1, 1+max(1, min(len(rest), budget//rest[0])))
        return [[rest[:n],*way] for n in ns for way in _ways(rest[n:])]
    found = [[lengths[i] for i in o] for o in packed(np.array(lengths, dtype=int), budget)]
    assert _cost(found)==min(map(_cost, _ways(sizes)))

def test_many_packed():
    "Of more texts than are looked at cut by cut, padding is bounded too"
    lengths = np.random.default_rng(0).integers(1, 600, 1000)
    batches = list(packed(lengths, 512))
    assert sorted(np.concatenate(batches))==list(range(1000))
    for o in batches: assert len(o)==1 or (lengths[o].max()-lengths[o]).sum()<=512//25

def test_settings_that_change(folder):
    "What a detector says of itself follows its settings, each time it is asked"
    d = Detector(folder, 'torch', threads=1)
    first = d.about()['settings']
    d.labels = d.labels.with_thresholds(.25)
    second = d.about()['settings']
    d.long = 'windows'
    assert len({first, second, d.about()['settings'], d.with_settings(block=['idiot']).about()['settings']})==4
    d.labels,d.long = d.labels.with_thresholds(d.folder.labels.thresholds),'truncate'
    assert d.about()['settings']==first

def test_fields_in_one_piece(d):
    "A network takes each input as it lies in the batch, without a copy"
    batch = d.enc.encode(['a','you are an idiot']).batch([1,0], d.enc)
    assert batch.dtype==np.int64 and all(batch[:,i].flags.c_contiguous for i in range(batch.shape[1]))

def test_same_type(d):
    for o in ('text', ['text'], [], ('a','b'), np.array(['a','b','c']), (o for o in 'ab')):
        res = d(o)
        assert type(res) is Detections and res.scores.shape==(len(res),2) and res.flags.dtype==bool
    assert len(d([]))==0 and d.scores([]).shape==(0,2) and d([], 'all').to_frame().shape[0]==0 and len(list(d.iter([])))==0

def test_windows(folder):
    "Against every window tokenised by hand: ids decoded by the plain rule"
    d = Detector(folder, 'torch', long='windows')
    text = ' '.join(random.Random(0).choices(['you','idiot','thank','moron','table'], k=700))
    ids = [o for o in d.enc.rows([text])[0][0]]
    first,last,body,room = ids[0],ids[-1],ids[1:-1],d.enc.max_length-2
    step = room-int(room*0.25)
    starts = [*range(0, len(body)-room, step), len(body)-room]
    windows = [[first,*body[i:i+room],last] for i in starts]
    assert set(range(len(body)))=={j for i in starts for j in range(i, i+room)}
    logits = [d.network('torch')({'input_ids':np.array([o]), 'token_type_ids':np.zeros((1,len(o)), int), 'attention_mask':np.ones((1,len(o)), int)})[0] for o in windows]
    res = d(['short', text, 'idiot'], 'all')
    assert np.allclose(res.logits[1], np.max(logits, 0), atol=1e-5) and res.n_tokens[1]==len(ids) and not res.truncated.any()
    assert np.allclose(res.scores[[0,2]], Detector(folder, 'torch').scores(['short','idiot']), atol=1e-6)

# An engine from outside

def test_own_backend(folder, monkeypatch):
    "One function and one entry: judged, chosen, refused, rechecked, pickled and listed like those of the house"
    opened = []
    def open_own(folder, path, threads, at_once):
        opened.append((path.name, threads, at_once))
        return lambda x: np.where(x['input_ids'][:,:2]>0, 2., -2.)
    own = add_backend(Backend('own', 'numpy', 'numpy', open_own, budget=64))
    try:
        d = Detector(folder, 'own', threads=2)
        assert np.allclose(d.scores(texts), 1/(1+np.exp(-2))) and opened==[('model.safetensors',2,1)] and own.file_of(d.folder)=='model.safetensors'
        assert token_budget('own')==64 and why_not(d.folder, 'own')=='' and 'own' in fp32_backends()
        assert np.array_equal(pickle.loads(pickle.dumps(d)).scores(texts), d.scores(texts))
        with pytest.raises(ValueError, match="not for 'own'"): Detector(folder, 'own', compiled=True)
        add_backend(replace(own, name='own-rough', exact='own', rechecks=True, file='own.bin'))
        with pytest.raises(ValueError, match="needs 'own.bin', which .* does not have$"): Detector(folder, 'own-rough')
        add_backend(replace(backends['own-rough'], file=None))
        rough = Detector(with_drift(folder, 'own-rough', dict(largest_score_difference=1.)), 'own-rough')
        assert "judged again by 'own'" in rough.why and np.array_equal(rough.scores(texts), d.scores(texts)) and set(rough._runs)=={('own-rough',1),('own',1)}
        add_backend(replace(own, library='no_such_engine', install='their-engine'))
        with pytest.raises(ImportError, match=r"needs no_such_engine: `pip install 'their-engine'`"): Detector(folder, 'own')
        add_backend(replace(own, lacks=lambda: 'a quantum computer'))
        with pytest.raises(ValueError, match="'own' needs a quantum computer"): Detector(folder, 'own')
    finally:
        for o in ('own','own-rough'): backends.pop(o, None)

# What lower precision is not sure of

low = pytest.mark.parametrize('backend', rough)

def with_drift(folder, backend, drift): return replace(read_folder(folder), drift={backend:drift})

def by_drift(folder, backend, margin, **kw):
    if not can(folder, backend): pytest.skip(why_not(read_folder(folder), backend))
    return Detector(with_drift(folder, backend, dict(largest_score_difference=margin)), backend, recheck=True, **kw)

@low
@pytest.mark.parametrize('long', ['truncate','windows'])
def test_recheck(folder, backend, long):
    "What is nearer to a threshold than the drift has the scores of fp32, the rest those of the backend, in lists and streams"
    many = texts*3
    exact = Detector(folder, backends[backend].exact, long=long).scores(many)
    for ask in (lambda d: d.scores(many), lambda d: np.concatenate([o.scores for o in d.iter(many, chunk=4)])):
        fast = ask(by_drift(folder, backend, 0., long=long)) # in the same company: int8 computes a text a little differently in another
        gaps = abs(fast-np.asarray(Detector(folder, 'torch').labels.thresholds)).min(1)
        steps = np.unique(gaps)
        widest = np.diff(steps).argmax()
        margin = float(steps[widest:widest+2].mean())
        near = gaps<margin
        d = by_drift(folder, backend, margin, long=long)
        res = ask(d)
        assert 0<near.sum()<len(many) and np.abs(fast-exact)[near].max()>1e-5
        assert np.abs(res-exact)[near].max()<1e-5 and np.abs(res-fast)[~near].max()<1e-3 and np.abs(res-exact)[~near].max()>1e-5
    assert np.abs(by_drift(folder, backend, 1., long=long).scores(many)-exact).max()<1e-5
    assert d.scores([]).shape==(0,2)

def test_recheck_opens_late(folder):
    "The network in fp32 costs nothing before a text needs it"
    d = by_drift(folder, 'onnx-int8', 0.)
    d.scores(texts)
    assert set(d._runs)=={('onnx-int8',1)} and "judged again by 'onnx'" in d.why
    d = by_drift(folder, 'onnx-int8', 1.)
    assert set(d._runs)=={('onnx-int8',1)}
    d.scores('a')
    assert set(d._runs)=={('onnx-int8',1),('onnx',1)}

@low
def test_recheck_by_default(folder, backend):
    "In bf16; with int8 when asked; in fp32 there is nothing to judge again"
    if not can(folder, backend): pytest.skip(why_not(read_folder(folder), backend))
    again = lambda **kw: 'judged again' in Detector(folder, backend, **kw).why
    assert again()==backends[backend].rechecks==(backend!='onnx-int8') and again(recheck=True) and not again(recheck=False)
    assert 'judged again' not in Detector(folder, 'torch', recheck=True).why

@pytest.mark.parametrize('drift', [{}, 3, None, dict(largest_score_difference='0.1'), dict(largest_score_difference=-1), dict(largest_score_difference=10**400), dict(largest_score_difference=float('nan'))], ids=str)
def test_recheck_without_drift(folder, drift):
    "Nothing is guessed: by default it is left out, and asked for it says what is missing"
    f = with_drift(folder, 'torch-bf16', drift)
    assert 'nothing is judged again in fp32: the folder does not say' in Detector(f, 'torch-bf16').why
    with pytest.raises(ValueError, match="`recheck=True` cannot be done: the folder does not say how far 'torch-bf16' is from fp32"): Detector(f, 'torch-bf16', recheck=True)

def test_recheck_without_network(folder, tmp_path):
    if not can(folder, 'onnx-int8'): pytest.skip(why_not(read_folder(folder), 'onnx-int8'))
    small = shutil.copytree(folder, tmp_path/'small')
    (small/'model.onnx').unlink()
    with pytest.raises(ValueError, match="`recheck=True` cannot be done: .*'model.onnx'"): Detector(small, 'onnx-int8', recheck=True)

# Streams

def test_iter(d):
    res = list(d.iter(iter(texts*5), chunk=7))
    assert all(type(o) is Detections and len(o)==1 for o in res)
    assert np.abs(np.concatenate([o.scores for o in res])-d.scores(texts*5)).max()<1e-6

def test_iter_is_lazy(d):
    read = []
    def source():
        for i in range(10**9):
            read.append(i)
            yield f'text {i}'
    stream = d.iter(source(), chunk=4)
    assert not read
    for _ in range(3): next(stream)
    assert len(read)<=12
    stream.close()

def test_iter_answers_at_once(d):
    "With chunks of one text, before the next is read: its source may wait for the answer"
    got = []
    def source():
        for i in range(3):
            assert len(got)==i
            yield f'text {i}'
    for o in d.iter(source(), chunk=1): got.append(o)
    assert len(got)==3

@pytest.mark.parametrize('n', [0,1,4,5,9])
def test_iter_source_fails(d, n):
    def source():
        yield from texts[:n]
        raise OSError('disk gone')
    seen = []
    with pytest.raises(OSError, match="disk gone"):
        for o in d.iter(source(), chunk=4): seen.append(o)
    assert len(seen)==n

def test_iter_bad_item(d):
    seen = []
    with pytest.raises(TypeError, match='item 5 is None'):
        for o in d.iter([*texts[:5], None, 'a'], chunk=2): seen.append(o)
    assert len(seen)==5

# Bad input

@pytest.mark.parametrize('bad', [None, 3, 0.5, float('nan'), b'text', bytearray(b'a'), {'a':1}, {'a'}, [None], ['a', 3], ['a', float('nan')], [b'a'], [['a']], [('a','b')], [{'input_ids':[1]}], comments()], ids=lambda o: type(o).__name__)
def test_not_texts(d, bad):
    with pytest.raises(TypeError, match='expected|judges'): d(bad)
    with pytest.raises(TypeError, match='expected|judges'): d.scores(bad)

def test_options(d, folder):
    with pytest.raises(ValueError, match='`detail`'): d('a', detail='most')
    with pytest.raises(ValueError, match='`chunk`'): d.iter(['a'], chunk=0)
    with pytest.raises(TypeError, match='for one text call'): d.iter('text')
    for o in (['a','b'], ('a','b'), ()):
        with pytest.raises(TypeError, match='one text'): d.flagged(o)
    for o in (pd.DataFrame(dict(text=['a'])), b'a', {'a'}, 3, 'a'):
        with pytest.raises(TypeError, match='expected an iterable'): d.iter(o)
    with pytest.raises(KeyError, match='no class'): d.flagged('a', ['threat'])
    with pytest.raises(ValueError, match='no backend is called'): Detector(folder, 'tensorflow')
    with pytest.raises(ValueError, match='`threads`'): Detector(folder, threads=0)
    with pytest.raises(ValueError, match='`long`'): Detector(folder, long='cut')
    with pytest.raises(FileNotFoundError, match='is not a folder'): Detector(folder/'nothing')

@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=[]), max_size=80), min_size=1, max_size=6))
def test_any_unicode(d, learn, texts):
    "Every string that Python can hold, lone surrogates too: the tokens of training, and a number for each class"
    ours,theirs = d.enc.encode(texts),text_tfm(learn.dls).encoder.encode(texts)
    assert ours.arrays['input_ids'].tolist()==theirs.arrays['input_ids'].tolist() and ours.full.tolist()==theirs.full.tolist()
    res = d.scores(texts)
    assert res.shape==(len(texts),2) and np.isfinite(res).all() and (res>=0).all() and (res<=1).all()

@pytest.mark.slow
def test_extremes(d):
    assert d.scores(['']*100_000).shape==(100_000,2)
    long = d('x'*10**7, 'all')
    assert long.scores.shape==(1,2) and d('word '*2*10**6, 'all').truncated.tolist()==[True]

# What comes out

def test_details(d):
    flags,scores,whole = (d(texts, o) for o in ('flags','scores','all'))
    assert flags.scores is None and set(flags.to_dict())=={'flags'} and set(scores.to_dict())=={'flags','scores'}
    assert set(whole.to_dict())=={'flags','scores','logits','n_tokens','truncated','texts','languages'}
    json.dumps(whole.to_dict())
    assert list(scores.to_frame().columns)==['toxic','insult','toxic_flag','insult_flag'] and len(whole.to_frame())==len(texts)
    assert np.allclose(whole.scores, 1/(1+np.exp(-whole.logits)), atol=1e-6)
    assert whole.texts==[mend_surrogates(d.enc.rules(o)) for o in texts] and whole.truncated[4] and not whole.truncated[0]
    assert (whole.flags==d.labels.flags(whole.scores)).all()

def test_parts(d):
    res = d(texts, 'all')
    assert res[-1].to_dict()==res[len(res)-1:].to_dict() and [o.n_tokens[0] for o in res]==res.n_tokens.tolist()
    assert res['toxicity'].tolist()==res.scores[:,0].tolist() and d(texts,'flags')['toxic'].dtype==bool
    with pytest.raises(IndexError, match='of 11'): res[11]
    with pytest.raises(TypeError, match='name of a class'): res[1.5]
    with pytest.raises(KeyError, match='no class'): res['threat']
    assert 'and 6 more' in repr(res) and 'toxic' in repr(res)

# Light

def test_light(folder):
    "Nothing that only training needs is imported"
    if not can(folder, 'onnx'): pytest.skip(why_not(read_folder(folder), 'onnx'))
    heavy = 'fastai torch transformers pandas matplotlib datasets sklearn IPython wandb scipy spellchecker ftfy'.split()
    code = f"import sys; from toxicai import Detector; d = Detector({str(folder)!r}); d(['you are an idiot','thank you'], 'all').to_dict(); print(d.backend, [o for o in {heavy} if o in sys.modules])"
    assert subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout.strip()=='onnx []'

def test_auto(folder, monkeypatch):
    import toxicai.serve.backends as module
    f = read_folder(folder)
    monkeypatch.setattr(module, 'torch_gpu', lambda: False)
    monkeypatch.setattr(module, 'engine_installed', lambda o: o=='torch')
    name,why = choose_backend(f)
    assert name=='torch' and "`pip install 'toxicai-core'`" in why and 'toxicai-core[openvino]' in why
    with pytest.raises(ImportError, match=r"pip install 'toxicai-core'"): Detector(folder, 'onnx')
    monkeypatch.setattr(module, 'engine_installed', lambda o: False)
    with pytest.raises(ImportError, match='no backend can run'): Detector(folder)
    monkeypatch.setattr(module, 'engine_installed', lambda o: True)
    if f.has('model.onnx'): assert choose_backend(f)[0]=='onnx'
    monkeypatch.setattr(module, 'torch_gpu', lambda: True)
    assert choose_backend(f)[0]=='torch'

def test_threads(monkeypatch):
    monkeypatch.setenv('OMP_NUM_THREADS', '3')
    assert n_threads()==3 and n_threads(2)==2
    monkeypatch.delenv('OMP_NUM_THREADS')
    assert n_threads()==len(os.sched_getaffinity(0))

idle = """import os,sys,time; sys.path.insert(0, sys.argv[3]); from toxicai import Detector
d = Detector(sys.argv[1], sys.argv[2], threads=2)
d.scores(['you are an idiot']*200)
time.sleep(0.2)
before = time.process_time()
time.sleep(0.5)
print(time.process_time()-before)"""

@pytest.mark.parametrize('backend', full)
def test_waiting_costs_nothing(folder, backend):
    "Threads without work sleep, so that they take nothing from another process"
    if not can(folder, backend): pytest.skip(why_not(read_folder(folder), backend))
    out = subprocess.run([sys.executable, '-c', idle, folder, backend, os.getcwd()], capture_output=True, text=True, check=True).stdout
    assert float(out)<0.05

forks = """import os,pickle,signal,sys; sys.path.insert(0, sys.argv[3]); from toxicai import Detector; import numpy as np
d,texts = Detector(sys.argv[1], sys.argv[2], threads=2),['you are an idiot '*9,'thank you '*9]
ref,ref_many = d.scores(texts),d.scores(texts*2000)
pid = os.fork()
if not pid:
    signal.alarm(60)
    try:
        own = pickle.loads(pickle.dumps(d)) if len(sys.argv)>4 else d
        os._exit(not (np.abs(own.scores(texts)-ref).max()<1e-5 and np.abs(own.scores(texts*2000)-ref_many).max()<1e-5))
    except RuntimeError as e: os._exit(7 if "start them by 'spawn'" in str(e) else 8)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))"""

@engines
@pytest.mark.parametrize('anew', [[],['anew']], ids=['shared','anew'])
def test_after_a_fork(folder, backend, anew):
    "A server that loads and then forks: each worker answers, few texts and many, and the same; also one that opens the folder once more, as pools of processes do. Torch says that it cannot"
    if not can(folder, backend): pytest.skip(why_not(read_folder(folder), backend))
    assert subprocess.run([sys.executable, '-c', forks, folder, backend, os.getcwd(), *anew], capture_output=True, text=True, check=True).stdout.split()[-1]==('7' if backend=='torch' else '0')

@pytest.mark.parametrize('kw', [dict(), dict(backend='torch', threads=1, long='windows'), dict(backend='torch-bf16', recheck=False), dict(backend='onnx-int8', recheck=True)], ids=str)
def test_pickled(folder, kw):
    "Its settings travel, and the copy has the same scores"
    if not can(folder, kw.get('backend', 'torch')): pytest.skip(why_not(read_folder(folder), kw['backend']))
    d = Detector(folder, **kw)
    copy = pickle.loads(pickle.dumps(d))
    assert [getattr(copy, o)==getattr(d, o) for o in ('backend','threads','long','labels','_exact','_margin')]==[True]*6
    assert np.array_equal(copy.scores(texts), d.scores(texts)) and len(pickle.dumps(d))<20_000

def test_pickled_thresholds(folder, tmp_path, monkeypatch):
    "Thresholds of one's own travel, and a relative path is found from elsewhere"
    monkeypatch.chdir(folder.parent)
    d = Detector(folder.name, 'torch')
    d.labels = d.labels.with_thresholds(0.01)
    packed = pickle.dumps(d)
    monkeypatch.chdir(tmp_path)
    assert pickle.loads(packed).labels==d.labels and pickle.loads(packed)('a').flags.all()

def test_in_datasets(folder):
    "Hugging Face datasets give it to their own processes"
    if not can(folder, 'onnx'): pytest.skip(why_not(read_folder(folder), 'onnx'))
    from datasets import Dataset
    d = Detector(folder, 'onnx')
    plain = [mend_surrogates(o) for o in texts] # as Arrow has them
    got = Dataset.from_dict(dict(text=plain)).map(lambda rows: dict(toxic=d(rows['text'])['toxic']), batched=True, batch_size=4, num_proc=2)
    assert np.abs(np.array(got['toxic'])-d(plain)['toxic']).max()<1e-6

dropped = """import os,signal,subprocess,sys,threading; sys.path.insert(0, sys.argv[2]); from toxicai import Detector
box = [Detector(sys.argv[1], 'openvino')]
signal.signal(signal.SIGCHLD, lambda *a: None)
thread = threading.Thread(target=box.clear); thread.start(); thread.join()
subprocess.run([sys.executable, '-c', ''])
print('alive')"""

def test_dropped_by_a_thread(folder):
    "OpenVINO's plugin, unloaded by another thread than had loaded it, would take away the stack on which that one handles signals"
    if not can(folder, 'openvino'): pytest.skip(why_not(read_folder(folder), 'openvino'))
    assert subprocess.run([sys.executable, '-c', dropped, folder, os.getcwd()], capture_output=True, text=True, check=True).stdout.strip()=='alive'

def test_tokenizer_threads(folder, monkeypatch):
    "All cores only where the network may have them"
    monkeypatch.setenv('OMP_NUM_THREADS', '4')
    assert [Detector(folder, 'torch', o).enc.parallel for o in (1,2,4,None)]==[False,False,True,True]
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    assert not Detector(folder, 'torch').enc.parallel

def test_no_bf16(folder, monkeypatch):
    import toxicai.serve.backends as module
    if not can(folder, 'openvino'): pytest.skip('no openvino')
    monkeypatch.setattr(module, 'openvino_has_bf16', lambda: False)
    with pytest.raises(ValueError, match="multiplies bf16.*take 'openvino'"): Detector(folder, 'openvino-bf16')
    assert can(folder, 'openvino')

def test_gpu(monkeypatch):
    "A GPU counts when torch can use it; without torch nothing is imported"
    import toxicai.serve.backends as module
    monkeypatch.setattr(Path, 'exists', lambda o: str(o)=='/dev/nvidia0')
    for there in (True, False):
        monkeypatch.setattr(torch.cuda, 'is_available', lambda: there)
        assert module.torch_gpu()==there
    monkeypatch.setattr(module, 'engine_installed', lambda o: False)
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: 1/0)
    assert not module.torch_gpu()

def test_compiled(folder, monkeypatch):
    "Refused where it would not pay"
    with pytest.raises(ValueError, match='for a GPU'): Detector(folder, 'torch', compiled=True)
    if can(folder, 'onnx'):
        with pytest.raises(ValueError, match="not for 'onnx'"): Detector(folder, 'onnx', compiled=True)

def test_no_pandas(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, 'pandas', None)
    with pytest.raises(ImportError, match='pip install pandas'): Detector(folder, 'torch')('a').to_frame()

def test_torch_threads_of_batches(folder, monkeypatch):
    "One thread for each batch while several run, all again afterwards; two torches that wait awake for their threads would keep each other from the cores"
    import toxicai.serve.detector as module
    monkeypatch.setattr(module, '_many', 2000)
    before,d,seen = torch.get_num_threads(),Detector(folder, 'torch', threads=2),[]
    try:
        torch.set_num_threads(2)
        run = d.network('torch')
        d._runs['torch',1] = lambda x: seen.append((torch.get_num_threads(), threading.get_ident())) or run(x)
        d.scores(texts*60)
        assert {n for n,_ in seen}=={1} and threading.get_ident() not in {o for _,o in seen} and torch.get_num_threads()==2
        del seen[:]
        d.scores('text')
        assert seen==[(2, threading.get_ident())]
    finally: torch.set_num_threads(before)

def test_torch_threads_restored(folder):
    before = torch.get_num_threads()
    Detector(folder, 'torch', threads=before+1)('a')
    assert torch.get_num_threads()==before

# The folder

def test_for_transformers(learn, folder):
    from transformers import AutoModelForSequenceClassification,AutoTokenizer,pipeline
    model,tok = AutoModelForSequenceClassification.from_pretrained(folder),AutoTokenizer.from_pretrained(folder)
    assert model.config.id2label=={0:'toxic',1:'insult'} and tok.model_max_length==text_tfm(learn.dls).encoder.max_length
    got = pipeline('text-classification', str(folder), top_k=None)('you are an idiot')[0]
    ref = dict(zip(['toxic','insult'], by_learner(learn, ['you are an idiot'])[0]))
    assert {o['label']:pytest.approx(o['score'], abs=1e-5) for o in got}==ref

def test_no_trace(folder):
    "No path of this machine, no pickle, no code"
    for o in folder.iterdir():
        content = o.read_bytes()
        assert not any(p in content for p in (str(Path.home()).encode(), str(Path(torch.__file__).parent).encode(), str(tiny_checkpoint()).encode(), b'/tmp/', b'site-packages')), o.name
    assert not {o.suffix for o in folder.iterdir()} & {'.pkl','.bin','.pt','.py'}

def test_card(folder):
    from huggingface_hub import ModelCard
    card = ModelCard.load(folder/'README.md')
    assert card.data.library_name=='toxicai' and card.data.pipeline_tag=='text-classification' and card.data.base_model is None
    assert '| toxic | 0.5 |' in card.text and 'from toxicai import Detector' in card.text
    own = model_card(json.loads((folder/'toxicai.json').read_text()), 'owner/base', 'My *data*.', 'mit')
    assert ModelCard(own).data.base_model=='owner/base' and ModelCard(own).data.license=='mit' and 'My *data*.' in own

def test_card_has_drift_and_reports(learn, folder):
    card = (folder/'README.md').read_text()
    if can(folder, 'onnx'): assert 'AUC (change)' in card and '| onnx-int8 |' in card
    meta = json.loads((folder/'toxicai.json').read_text())
    card = model_card(meta, reports=[Report({'bias of toxic':pd.DataFrame(dict(group=['a'], auc=[0.5]))})])
    assert '## Reports' in card and '\n### Report\n\n#### bias of toxic\n' in card and '## Reports' not in model_card(meta)
    labels = LabelSet(['<b>rude</b>','a|b'], descriptions=['*bold* '*60,'']).to_dict()
    odd = model_card({**meta, 'labels':labels})
    assert 'classifier: &lt;b&gt;rude&lt;/b&gt;, a\\|b\n' in odd and '| a\\|b | 0.5 |' in odd and odd.count('\\*bold\\*')==60
    assert 'no labels' in model_card({**meta, 'drift':{'onnx':dict(texts=1, largest_score_difference=0., flags_flipped=0, flags=2)}})

def test_facts(learn, folder):
    f = read_folder(folder)
    assert f.labels==learn.labels and f.versions['torch']==torch.__version__.split('+')[0] and f.data['train']['texts']==len(learn.dls.train_ds)
    assert set(f.metrics)>={'valid_loss','roc_auc'}

def test_replace(learn, folder, tmp_path):
    there = Path(shutil.copytree(folder, tmp_path/'d'))
    (there/'model.onnx').unlink(missing_ok=True)
    (there/'leftover').touch()
    learn.save_detector(there)
    assert (there/'leftover').exists() and not (there/'model.int8.onnx').exists() and list(tmp_path.iterdir())==[there] and oct(there.stat().st_mode)[-3:]!='700'

@pytest.mark.parametrize('there', [True, False])
def test_atomic(learn, folder, tmp_path, there, monkeypatch):
    "What fails half-way leaves what was there, and nothing beside it"
    import toxicai.train.export as module
    path = tmp_path/'d'
    if there: shutil.copytree(folder, path)
    before = {o.name:o.read_bytes() for o in path.iterdir()} if there else None
    def fail(*args): raise OSError('no space left')
    monkeypatch.setattr(module, 'model_card', fail)
    with pytest.raises(OSError, match='no space left'): learn.save_detector(path)
    assert [o.name for o in tmp_path.iterdir()]==(['d'] if there else [])
    if there: assert {o.name:o.read_bytes() for o in path.iterdir()}==before

def test_refused(learn, tmp_path):
    (tmp_path/'notes.txt').touch()
    with pytest.raises(FileExistsError, match='not a detector folder'): learn.save_detector(tmp_path)
    with pytest.raises(FileExistsError, match='not a detector folder'): learn.save_detector(tmp_path/'notes.txt')
    df = comments().assign(score=[0.1,0.9]*12)
    from fastai.data.block import DataBlock,RegressionBlock
    from fastai.data.transforms import ColReader,RandomSplitter
    block = DataBlock((TransformerTextBlock(tiny_checkpoint()), RegressionBlock()), get_x=ColReader('text'), get_y=ColReader('score'), splitter=RandomSplitter(seed=0))
    with pytest.raises(ValueError, match='labels are numbers'): toxicity_learner(block.dataloaders(df, bs=8)).save_detector(tmp_path/'n')
    own = TransformerLearner(learn.dls, torch.nn.Linear(2,2), loss_func='bce', lr=1e-3)
    with pytest.raises(TypeError, match='network is a Linear'): own.save_detector(tmp_path/'n')
    from fastai.losses import CrossEntropyLossFlat
    odd = TransformerLearner(learn.dls, learn.model, loss_func=CrossEntropyLossFlat(), lr=1e-3)
    with pytest.raises(ValueError, match='not those of labels'): odd.save_detector(tmp_path/'n')
    assert [o.name for o in tmp_path.iterdir()]==['notes.txt']

# The Hub and pickles

def test_hub(learn, folder, tmp_path, monkeypatch):
    "A fake Hub that keeps files as the cache of `huggingface_hub` does: links to blobs"
    import huggingface_hub as hub
    store,calls = tmp_path/'models--owner--name',[]
    class Api:
        def __init__(self, token=None): calls.append(token)
        def create_repo(self, repo, private, exist_ok): calls.append((repo, private))
        def upload_folder(self, repo_id, folder_path, commit_message, allow_patterns):
            assert {*allow_patterns}=={o.name for o in Path(folder_path).iterdir()}
            (store/'blobs').mkdir(parents=True)
            snap = store/'snapshots'/'abc'
            snap.mkdir(parents=True)
            for i,o in enumerate(Path(folder_path).iterdir()):
                shutil.copy(o, store/'blobs'/str(i))
                (snap/o.name).symlink_to(f'../../blobs/{i}')
            return 'https://hub/commit'
    monkeypatch.setattr(hub, 'HfApi', Api)
    monkeypatch.setattr(hub, 'snapshot_download', lambda repo, **kw: calls.append((repo, kw['revision'])) or str(store/'snapshots'/'abc'))
    assert learn.push_to_hub('owner/name', token='t')=='https://hub/commit' and calls==['t', ('owner/name', True)]
    d = Detector.from_hub('owner/name', revision='abc', backend='torch')
    assert calls[-1]==('owner/name','abc') and np.abs(d.scores(texts)-by_learner(learn, texts)).max()<1e-5
    (store/'snapshots'/'abc'/'config.json').unlink()
    (tmp_path/'outside').write_text('{}')
    (store/'snapshots'/'abc'/'config.json').symlink_to(tmp_path/'outside')
    with pytest.raises(FolderError, match='leads out'): Detector.from_hub('owner/name')

def test_from_pickle(learn, tmp_path):
    path,learn.path = learn.path,tmp_path
    try: learn.export()
    finally: learn.path = path
    with pytest.warns(UserWarning, match='is a pickle: opening it runs'): detector_from_pickle(tmp_path/'export.pkl', tmp_path/'d')
    assert np.abs(Detector(tmp_path/'d', 'torch').scores(texts)-by_learner(learn, texts)).max()<1e-5
    assert read_folder(tmp_path/'d').labels==learn.labels

@pytest.mark.parametrize('kind,mark', [('single','the class'), ('ordinal','the class'), ('multi','flagged'), ('soft','flagged')])
def test_what_the_mark_means(kind, mark):
    "Where one class counts for each text, that class is marked, harmless as it may be; nothing is flagged then"
    found = Detections(LabelSet(['civil','rude'], kind=kind), np.array([[True,False]]), np.array([[.8,.2]]))
    assert repr(found).splitlines()==[f'Detections of 1 text (! = {mark})', 'civil 0.80!, rude 0.20']
