"Training reads the windows that a detector reads, and makes one output of them (text, data, train and serve)"
import numpy as np,pytest,torch
from fastai.torch_core import set_seed

from toxicai.all import *
from toxicai.text.encoding import FileEncoder,WindowIds
from toxicai.text.tokenizer import TextEncoder
from toxicai.train.callbacks import PoolWindows,pooled_windows,split_windows
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
