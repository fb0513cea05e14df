"Training reads the windows that a detector reads, and makes one output of them (text, data, train and serve)"
import json

import numpy as np,pytest,torch
from fastai.callback.core import Callback
from fastai.callback.training import GradientAccumulation
from fastai.learner import Learner,load_learner
from fastai.losses import BCEWithLogitsLossFlat
from fastai.torch_core import set_seed

from toxicai.all import *
from toxicai.cli import folder_facts,folder_words
from toxicai.data.loaders import text_tfm
from toxicai.runs.crossval import FoldsDetector,kfold_fit,write_average,write_soup
from toxicai.serve.backends import why_not
from toxicai.serve.folder import FolderError,change_meta,read_folder
from toxicai.text.encoding import FileEncoder,WindowIds
from toxicai.text.tokenizer import TextEncoder
from toxicai.train.callbacks import HFInputs,PoolWindows,most_window_tokens,pooled_windows,split_windows
from toxicai.test_utils import comments,tiny_checkpoint

pytestmark = pytest.mark.filterwarnings('ignore')

words = 'you are an idiot and nobody likes what they write here'.split()

def texts(n, seed=0):
    rng = np.random.default_rng(seed)
    return [' '.join(rng.choice(words, k)) for k in rng.integers(1, 60, n)]

def test_same_windows():
    "As the encoder of a detector cuts them"
    enc = TextEncoder(tiny_checkpoint(), max_length=12, rules='none', long='windows')
    own = FileEncoder(enc.tok.backend_tokenizer, enc.rules, 12, fields=enc.fields, pads=enc.pads)
    ids,owner = own.windows(texts(30))
    rows = enc.encode(texts(30))
    x,at = split_windows(torch.from_numpy(rows.batch([3,0,7,12], enc)), 12, enc.fields.index('attention_mask'))
    for k,i in enumerate([3,0,7,12]): assert np.array_equal(x[at==k], ids.batch(np.flatnonzero(owner==i), own) if (owner==i).sum()>1 else x[at==k])
    assert [int((at==k).sum()) for k in range(4)]==[int((owner==i).sum()) for i in (3,0,7,12)]

@pytest.mark.parametrize('how', ['amax','mean'])
def test_pooled(how):
    "Against a loop, gradients too"
    owner,logits = torch.tensor([0,0,0,1,2,2]),torch.randn(6, 3, requires_grad=True)
    loop = torch.stack([getattr(logits[owner==i], how)(0) for i in range(3)])
    got = pooled_windows(logits, owner, 3, how)
    assert torch.allclose(got, loop)
    a,b = [torch.autograd.grad((o*torch.arange(9.).reshape(3, 3)).sum(), logits, retain_graph=True)[0] for o in (got,loop)]
    assert torch.allclose(a, b)

def learner(long='windows', label_cols=('toxic','insult'), **kwargs):
    df = comments(48).assign(text=texts(48))
    label_cols = label_cols if isinstance(label_cols, str) else list(label_cols)
    dls = ToxicityDataLoaders.from_df(df, tiny_checkpoint(), label_cols=label_cols, bs=8, max_length=12, long=long, **kwargs)
    return toxicity_learner(dls, metrics=[], seed=1, precision='fp32')

def test_training_is_serving(tmp_path):
    "A learner that was trained on windows and its folder give the same scores"
    learn = learner()
    with learn.no_bar(), learn.no_logging(): learn.fit(2, 1e-3)
    new = texts(9, seed=5)
    with learn.no_bar(): ours = learn.classify(new)[list(learn.labels)].to_numpy()
    learn.save_detector(tmp_path/'d')
    theirs = Detector(tmp_path/'d')(new).scores
    assert np.allclose(ours, theirs, atol=1e-5) and not np.allclose(ours, Detector(tmp_path/'d', long='truncate')(new).scores, atol=1e-5)

def test_in_parts():
    "A batch that does not fit the memory is computed in parts of windows, with the same result"
    learn = learner()
    with learn.no_bar():
        whole = learn.get_preds()[0]
        learn.max_tokens = 24
        assert torch.allclose(learn.get_preds()[0], whole, atol=1e-6)

def test_frozen_epochs():
    "Several epochs with a frozen body see every window"
    learn = learner()
    learn.freeze()
    with learn.no_bar(), learn.no_logging(): learn.fit(2, 1e-3)
    assert learn.dls.one_batch()[0].shape[0]==8

def test_exclusive():
    "Of classes that exclude each other no largest output can be taken, a mean can"
    with pytest.raises(ValueError, match="`long='mean_windows'`"): learner(label_cols='label')
    learn = learner('mean_windows', label_cols='label')
    with learn.no_bar(): assert learn.get_preds()[0].shape[1]==2
    with pytest.raises(ValueError, match='windows are for single texts'):
        ToxicityDataLoaders.from_df(comments(40).assign(b='x'), tiny_checkpoint(), text_col=['text','b'], bs=8, long='windows')

# Serving reads as training did

def quietly(learn, f, *args, **kwargs):
    with learn.no_bar(), learn.no_logging(): return f(*args, **kwargs)

def body_of(enc, n):
    "A text of `n` tokens, those that frame it included"
    return ' '.join(['you']*(n-len(enc.tok('').input_ids)))

kinds = [('windows',('toxic','insult')), ('mean_windows',('toxic','insult')), ('windows',('toxic',)), ('mean_windows',('toxic',)), ('mean_windows','label')]

@pytest.mark.parametrize('long,label_cols', kinds)
def test_folder_reads_as_learner(tmp_path, long, label_cols):
    "Logits, probabilities and flags, of texts without tokens, of exactly a window, of one token more, and of hundreds of windows"
    learn = learner(long, label_cols, overlap=0.5)
    quietly(learn, learn.fit, 1, 1e-4)
    learn.model.classifier.weight.data *= 30 # scores that are far from each other
    enc = text_tfm(learn.dls).encoder
    edges = ['', *[body_of(enc, n) for n in (11,12,13,18)], body_of(enc, 3000)+' idiot', *texts(9, seed=5)]
    assert enc.encode(edges).counts[:5].tolist()==[1,1,1,2,3] and enc.encode(edges[5:6]).counts[0]>500
    probs = quietly(learn, learn.get_preds, dl=learn.dls.test_dl(edges))[0].numpy()
    learn.save_detector(tmp_path/'d')
    d = Detector(tmp_path/'d', 'torch')
    res = d(edges, 'all')
    assert d.long==long and 'as in training' in d.why and not res.truncated.any()
    assert np.allclose(res.scores, probs, atol=1e-5) and np.allclose(np.concatenate([d.scores(o) for o in edges]), probs, atol=1e-5)
    assert res.n_tokens[:6].tolist()==[2,11,12,13,18,3001]
    cut = Detector(tmp_path/'d', 'torch', long='truncate')
    assert np.allclose(cut.scores(edges[:3]), probs[:3], atol=1e-5) and np.abs(cut.scores(edges)-probs).max()>1e-4
    assert cut(edges, 'all').truncated[3:6].all() and f"it was trained with `long={long!r}`" in cut.why
    assert cut.about()['settings']!=d.about()['settings']

def test_other_way(tmp_path):
    "Either pooling can be asked for, but for classes that exclude each other"
    learn = learner()
    learn.save_detector(tmp_path/'d')
    by_max,by_mean = [Detector(tmp_path/'d', 'torch', long=o) for o in ('windows','mean_windows')]
    new = texts(6, 3)+[' '.join(words*9)]
    parts,owner = by_max.enc.windows(new)
    logits = np.concatenate([by_max._judge_ids('torch', parts.select(np.arange(i, i+1)))[0] for i in range(len(parts))])
    for d,f in ((by_max,np.max), (by_mean,np.mean)):
        assert np.allclose(d(new, 'all').logits, [f(logits[owner==i], axis=0) for i in range(len(new))], atol=1e-5)
    single = learner('mean_windows', 'label')
    single.save_detector(tmp_path/'s')
    with pytest.raises(ValueError, match='exclude each other.*mean_windows'): Detector(tmp_path/'s', 'torch', long='windows')
    assert np.allclose(Detector(tmp_path/'s', 'torch')(new).scores.sum(1), 1, atol=1e-5)

def test_folder_says_it(tmp_path):
    "In its file, its card and its facts; older folders read as before; what is unknown or half said is refused"
    learn = learner('mean_windows', overlap=0.3)
    learn.save_detector(tmp_path/'d')
    d = json.loads((tmp_path/'d'/'toxicai.json').read_text())
    assert d['text']['long']=='mean_windows' and d['text']['overlap']==0.3 and d['text']['max_length']==12
    assert 'windows' in (tmp_path/'d'/'README.md').read_text() and 'repeats 30%' in (tmp_path/'d'/'README.md').read_text()
    facts = folder_facts(read_folder(tmp_path/'d'))
    assert facts['windows']==dict(max_length=12, long='mean_windows', overlap=0.3) and 'mean_windows of 12 tokens' in folder_words(facts)
    assert change_meta(tmp_path/'d', name='other').long=='mean_windows'
    plain = learner('truncate')
    plain.save_detector(tmp_path/'p')
    old = json.loads((tmp_path/'p'/'toxicai.json').read_text())
    assert not {'long','overlap'}&set(old['text']) and read_folder(tmp_path/'p').long=='truncate' and 'windows' not in folder_facts(read_folder(tmp_path/'p'))
    for odd in ({'long':'windows'}, {'overlap':0.3}, {'long':'truncate','overlap':0.3}, {'long':'windows','overlap':1.}, {'long':'windows','overlap':-0.1},
                {'long':['windows'],'overlap':0.3}, {'long':'windows','overlap':True}, {'long':'windows','overlap':0.3,'stride':9}, {'long':'windows','overlap':0.3,'pairs':True}):
        with pytest.raises(FolderError): write_and_read(tmp_path/'p', {**old, 'text':{**old['text'], **odd}})
    single = {**old, 'labels':{**old['labels'], 'kind':'single'}, 'text':{**old['text'], 'long':'windows', 'overlap':0.3}}
    with pytest.raises(FolderError): write_and_read(tmp_path/'p', single)

def write_and_read(folder, d):
    (folder/'toxicai.json').write_text(json.dumps(d))
    return read_folder(folder)

def test_faster_backends(tmp_path):
    "Drift is that of whole texts, and every backend reads windows"
    learn = learner()
    learn.save_detector(tmp_path/'d', onnx=True)
    new,drift = texts(7, 4),read_folder(tmp_path/'d').drift
    assert all(o['texts']==len(learn.dls.valid_ds) for o in drift.values()) and drift
    ours = quietly(learn, learn.get_preds, dl=learn.dls.test_dl(new))[0].numpy()
    for o in ('onnx','torch'):
        if not why_not(read_folder(tmp_path/'d'), o): assert np.allclose(Detector(tmp_path/'d', o).scores(new), ours, atol=1e-4)

def test_travels(tmp_path):
    "`export` and `load_learner`; a learner that gets loaders in windows later"
    learn = learner(path=tmp_path)
    quietly(learn, learn.fit, 1, 1e-3)
    new = texts(9, 6)
    probs = quietly(learn, learn.get_preds, dl=learn.dls.test_dl(new))[0]
    learn.export()
    again = load_learner(tmp_path/'export.pkl')
    assert torch.allclose(quietly(again, again.get_preds, dl=again.dls.test_dl(new))[0], probs, atol=1e-6)
    again.save_detector(tmp_path/'d')
    assert np.allclose(Detector(tmp_path/'d', 'torch').scores(new), probs, atol=1e-5)
    late = learner('truncate')
    late.model.load_state_dict(learn.model.state_dict())
    late.dls = learn.dls
    assert torch.allclose(quietly(late, late.get_preds, dl=late.dls.test_dl(new))[0], probs, atol=1e-6)

def test_by_hand():
    "A stock learner without the part that takes windows apart is told so, instead of reading them as one text"
    dls,part = learner().dls,learner().model
    bare = Learner(dls, part, loss_func=BCEWithLogitsLossFlat(), cbs=HFInputs())
    with pytest.raises(ValueError, match='PoolWindows'): quietly(bare, bare.fit, 1, 1e-3)
    whole = Learner(dls, part, loss_func=BCEWithLogitsLossFlat(), cbs=[HFInputs(),PoolWindows()])
    quietly(whole, whole.fit, 1, 1e-3)

def test_resumed(tmp_path):
    "Bit by bit, and not with windows that overlap otherwise"
    class Stop(Callback):
        order,at = 70,6
        def after_batch(self):
            if self.training and self.train_iter==self.at: raise KeyboardInterrupt
    whole,first,again,other = [learner(o, overlap=v) for o,v in (('windows',0.5),('windows',0.5),('windows',0.5),('windows',0.25))]
    set_seed(5)
    quietly(whole, whole.fit, 2, 1e-3)
    set_seed(5)
    with pytest.raises(KeyboardInterrupt): quietly(first, first.fit, 2, 1e-3, cbs=[Checkpoint(tmp_path, every=3),Stop()])
    done = Stop()
    done.at = -1
    with pytest.raises(ValueError, match='overlap'): quietly(other, other.resume, tmp_path, cbs=done)
    quietly(again, again.resume, tmp_path, cbs=done)
    assert all(torch.equal(a, b) for a,b in zip(whole.model.parameters(), again.model.parameters()))

def test_folds(tmp_path):
    "The detectors of folds, their soup and their average read as they were trained; others are no folds"
    df = comments(48).assign(text=texts(48))
    make = lambda dls: toxicity_learner(dls, precision='fp32')
    how = dict(text_col='text', label_cols=['toxic','insult'], checkpoint=tiny_checkpoint(), max_length=12, long='mean_windows', bs=8)
    res = kfold_fit(df, make, 2, tmp_path/'f', n_boot=0, show=False, fit=dict(epochs=1, base_lr=1e-3), calibration=None, **how)
    soup,mean = Detector(res.save_detector(tmp_path/'soup', 'soup'), 'torch'),FoldsDetector(res.save_detector(tmp_path/'mean', 'average'), backend='torch')
    assert soup.long=='mean_windows' and [o.long for o in mean.parts]==['mean_windows']*2
    new = texts(6, 8)
    assert np.abs(mean.scores(new)-FoldsDetector(tmp_path/'mean', backend='torch', long='truncate').scores(new)).max()>1e-6
    odd = learner('windows')
    odd.save_detector(tmp_path/'odd')
    for f in (write_average, write_soup):
        with pytest.raises(ValueError, match="has `long`|has `overlap`|has `cut`"): f([tmp_path/'odd',tmp_path/'soup'], tmp_path/'new', odd.labels)

def test_explained():
    "Occlusion sees the words behind the first window; gradients say that they cannot"
    learn,long = learner(),' '.join(words*4)
    with pytest.raises(ValueError, match="use `method='occlusion'`"): learn.explain(long)
    assert learn.explain(long, method='occlusion').words.score.notna().all() and learn.explain('you are an idiot').words.score.notna().all()

# Data that are not as they should be

@pytest.mark.parametrize('overlap', [1,1.5,-0.1,float('nan'),True,'0.5'])
def test_odd_overlap(overlap):
    "A step of nothing, or one that leaves tokens out"
    with pytest.raises(ValueError, match='`overlap` is'): TextEncoder(tiny_checkpoint(), max_length=12, long='windows', overlap=overlap)

@pytest.mark.parametrize('overlap', [0,0.25,0.999])
def test_no_token_lost(overlap):
    "Whatever the overlap, every token is in a window, also where windows move by one"
    enc = TextEncoder(tiny_checkpoint(), max_length=5, rules='none', long='windows', overlap=overlap)
    for n in (3,5,6,7,8,40):
        text = ' '.join((words*9)[:n])
        parts,_ = enc.encode([text]).in_windows()
        whole = enc.tok(text).input_ids
        got = [parts.batch([i], enc)[0,0] for i in range(len(parts))]
        seen = {(i,t) for o in got for i,t in enumerate(o)}
        assert {t for _,t in seen}==set(whole) and all(len(o)<=5 for o in got)

def test_hard_rows():
    "Weights, missing labels, bf16, accumulation, lazy batches: all train, and a row without weight counts for nothing"
    df = comments(48).assign(text=[*texts(46),'',' '.join(words*40)], w=[1.]*40+[0.]*8)
    df['toxic'] = df.toxic.astype(float).where(np.arange(48)%3>0)
    how = dict(label_cols=['toxic','insult'], bs=8, max_length=12, long='windows', weight_col='w')
    for lazy,precision,cbs in ((False,'fp32',[]), (True,'bf16',[GradientAccumulation(16)])):
        dls = ToxicityDataLoaders.from_df(df, tiny_checkpoint(), lazy=lazy, **how)
        learn = toxicity_learner(dls, metrics=[], seed=1, precision=precision, cbs=cbs)
        quietly(learn, learn.fit, 2, 1e-3)
        assert all(p.isfinite().all() for p in learn.model.parameters()) and np.isfinite(learn.recorder.values[-1]).all()

def test_same_gradients():
    "A batch in parts of windows trains to the weights of the whole one"
    a,b = learner('mean_windows'),learner('mean_windows')
    b.max_tokens = 24
    for o in (a,b):
        for m in o.model.modules():
            if isinstance(m, torch.nn.Dropout): m.p = 0.
        quietly(o, o.fit, 1, 1e-3)
    assert all(torch.allclose(p, q, atol=1e-5) for p,q in zip(a.model.parameters(), b.model.parameters()))

def test_huge_text():
    "A hundred thousand tokens among short texts: computed in parts on a CPU, with the gradients of the whole"
    assert most_window_tokens<=2**15
    df = comments(16).assign(text=[*texts(15),' '.join(['you']*100_000)])
    dls = ToxicityDataLoaders.from_df(df, tiny_checkpoint(), label_cols=['toxic','insult'], bs=4, val_bs=4, max_length=128, long='windows', valid_pct=0.25, device='cpu')
    learn = toxicity_learner(dls, metrics=[], seed=1, precision='fp32')
    with learn.no_bar(): probs = learn.get_preds(dl=dls.test_dl(df.text.tolist()))[0]
    assert probs.isfinite().all() and learn.max_tokens==most_window_tokens
    assert torch.allclose(probs[-1], learn.get_preds(dl=dls.test_dl([' '.join(['you']*128)]))[0][0], atol=1e-5)

def test_failed_batch():
    "What a batch left that failed between network and pooling does not reach the next one"
    learn = learner()
    class Fails(Callback):
        order = -10
        def after_pred(self):
            if self.train_iter==1 and self.training: raise RuntimeError('lost')
    with pytest.raises(RuntimeError, match='lost'): quietly(learn, learn.fit, 1, 1e-3, cbs=Fails())
    short = learn.dls.test_dl(['you are','thank you'])
    assert quietly(learn, learn.get_preds, dl=short)[0].shape==(2,2)

def test_streamed():
    "Rows that come and go are read in windows too"
    df = comments(32).assign(text=texts(32), w=1.)
    rows = lambda: iter(df.to_dict('records'))
    dls = ToxicityDataLoaders.from_stream(rows, df, tiny_checkpoint(), steps=6, buffer=16, bs=8, label_cols=['toxic','insult'], weight_col='w', max_length=12, long='windows')
    learn = toxicity_learner(dls, metrics=[], seed=1, precision='fp32')
    quietly(learn, learn.fit, 1, 1e-3)
    plain = ToxicityDataLoaders.from_df(df, tiny_checkpoint(), label_cols=['toxic','insult'], bs=8, max_length=12, long='windows')
    other = toxicity_learner(plain, metrics=[], seed=1, precision='fp32')
    other.model.load_state_dict(learn.model.state_dict())
    a,b = [quietly(o, o.get_preds, dl=o.dls.test_dl(texts(9, 2)))[0] for o in (learn,other)]
    assert torch.allclose(a, b, atol=1e-6)

def test_stored(tmp_path):
    "Windows on disk are those in memory, batch by batch, and another overlap is another store"
    df = comments(48).assign(text=['',*texts(46),' '.join(words*30)])
    df.to_csv(tmp_path/'a.csv', index=False)
    how = dict(text_col='text', label_cols=['toxic','insult'], bs=8, max_length=12, long='windows', seed=3)
    kept = [ToxicityDataLoaders.from_store(str(tmp_path/'a.csv'), tiny_checkpoint(), folder=tmp_path/'s', **how) for _ in range(2)]
    plain = ToxicityDataLoaders.from_df(df, tiny_checkpoint(), **how)
    for dls in kept:
        for a,b in zip(dls.valid, plain.valid): assert all(torch.equal(o, p) for o,p in zip(a, b))
        assert sum(len(b[0]) for b in dls.train)==len(dls.train_ds)//8*8
    n = len(list((tmp_path/'s').iterdir()))
    ToxicityDataLoaders.from_store(str(tmp_path/'a.csv'), tiny_checkpoint(), folder=tmp_path/'s', overlap=0.5, **how)
    assert len(list((tmp_path/'s').iterdir()))>n
    learn = toxicity_learner(kept[1], metrics=[], seed=1, precision='fp32')
    quietly(learn, learn.fit, 1, 1e-3)
    assert learn.recorder.values

def test_nothing():
    "No text, no rows"
    learn = learner()
    assert len(learn.classify([]))==0
    ids = text_tfm(learn.dls).encoder.encode([])
    assert len(ids)==0 and len(ids.in_windows()[0])==0 and len(ids.select(np.array([], int)))==0

# Funnel fails on batches of a few tokens

@pytest.mark.parametrize('pooling', ['own','mean'])
def test_short_batches(tmp_path, pooling):
    "Texts of two tokens train, validate and predict as they are served; no other family is padded"
    df = comments(32).assign(text=['a','','b','you']*8)
    dls = ToxicityDataLoaders.from_df(df, tiny_checkpoint('funnel'), label_cols=['toxic','insult'], bs=8)
    learn = toxicity_learner(dls, metrics=[], seed=1, precision='fp32', pooling=pooling)
    few = text_tfm(dls).encoder.fewest
    assert few==2**len(getattr(learn.model.config, 'encoder', learn.model.config).block_sizes) and dls.one_batch()[0].shape[-1]==few
    learn.freeze()
    quietly(learn, learn.fit, 2, 1e-3)
    learn.unfreeze()
    quietly(learn, learn.fit, 1, 1e-3)
    short = ['','a','you idiot']
    probs = quietly(learn, learn.get_preds, dl=dls.test_dl(short))[0].numpy()
    assert np.isfinite(learn.predict('')[2]).all() and learn.explain('you', method='occlusion') is not None
    learn.save_detector(tmp_path/'d')
    assert np.allclose(Detector(tmp_path/'d', 'torch').scores(short), probs, atol=1e-5)
    bert = ToxicityDataLoaders.from_df(df, tiny_checkpoint(), label_cols=['toxic','insult'], bs=8)
    toxicity_learner(bert, metrics=[])
    assert text_tfm(bert).encoder.fewest==1 and bert.one_batch()[0].shape[-1]<=3
