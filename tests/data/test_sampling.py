"Sample weights and class balance of the loaders: rows keep their weights whatever the batches do, and only training is touched"
import pickle
from collections import Counter

import numpy as np,pytest,torch
from datasets import Dataset,DatasetDict
from fastai.text.all import CategoryBlock,ColReader,DataBlock,IndexSplitter,MultiCategoryBlock,RegressionBlock,Transform,TensorCategory,Datasets,SkipItemException
from fastai.torch_core import to_device

from toxicai.all import *
from toxicai.data.batches import class_chances
from toxicai.test_utils import comments,tiny_checkpoint

ck = tiny_checkpoint()

def frame(n=60, rude=None):
    "Comments that all differ; the weight of a row is its number plus 1"
    df = comments(n)
    df['text'] = [f'{o} {i}' for i,o in enumerate(df.text)]
    if rude is not None: df['label'] = np.where(np.arange(n)<rude, 'rude', 'kind')
    return df.assign(w=np.arange(n)+1., number=np.arange(n))

def split(df): return list(range(0, len(df)-12)),list(range(len(df)-12, len(df)))

def loaders(df, **kwargs): return ToxicityDataLoaders.from_df(df, ck, **{'bs':8, 'device':'cpu', 'splitter':split, 'label_cols':'label', **kwargs})

def numbers(dl):
    "Row numbers of the texts in each batch of `dl`"
    tfm = dl.dataset.tls[0].tfms.fs[-1]
    return [[int(tfm.decode(x).split()[-1]) for x in b[0]] for b in dl]

kinds = {'single': dict(label_cols='label'), 'multi': dict(label_cols=['toxic','insult']), 'lazy': dict(lazy=True)}

@pytest.mark.parametrize('kw', kinds.values(), ids=kinds)
def test_weights_stay_with_their_rows(kw):
    dl = loaders(frame(), weight_col='w', **kw).train
    tfm,seen = dl.dataset.tls[0].tfms.fs[-1],[]
    for x,y in dl:
        rows = [int(tfm.decode(o).split()[-1]) for o in x]
        assert y.sample_weight.tolist()==[o+1 for o in rows]
        seen += rows
    assert len(set(seen))==48

@pytest.mark.parametrize('num_workers', [0,2])
def test_weights_with_workers(num_workers):
    dl = loaders(frame(), weight_col='w').train.new(num_workers=num_workers)
    tfm = dl.dataset.tls[0].tfms.fs[-1]
    got = {int(tfm.decode(o).split()[-1]):w.item() for x,y in dl for o,w in zip(x, y.sample_weight)}
    assert got=={i:i+1 for i in range(48)}

def test_weights_with_item_transforms():
    "Batches that are made item by item carry them too, and skipped rows take theirs along"
    class Upset(Transform):
        def encodes(self, o:EncodedText):
            if o.shape[-1]%5==0: raise SkipItemException
            return o
    block = DataBlock(blocks=(TransformerTextBlock(ck), CategoryBlock), get_x=ColReader('text'), get_y=ColReader('label'), splitter=split, item_tfms=Upset())
    dl = block.dataloaders(frame(), bs=8, device='cpu', weights='w').train
    tfm,n = dl.dataset.tls[0].tfms.fs[-1],0
    for x,y in dl:
        assert y.sample_weight.tolist()==[int(tfm.decode(o).split()[-1])+1 for o in x]
        n += len(y)
    assert 0<n<48

def test_weights_survive_moves():
    _,y = loaders(frame(), weight_col='w').one_batch()
    assert isinstance(y, TensorCategory)
    for o in (to_device(y, 'cpu'), y.to('cpu', non_blocking=True), pickle.loads(pickle.dumps(y)), y.to('meta')): assert torch.equal(o.sample_weight, y.sample_weight)

def test_only_training_is_touched():
    dls = loaders(frame(rude=10), weight_col='w', balance=1.)
    for dl in (dls.valid, dls.test_dl(frame(), with_labels=True), dls.train.new(dls.valid_ds, shuffle=False), dls.valid.new(shuffle=True)):
        for _,y in dl: assert not hasattr(y, 'sample_weight')
    assert sorted(sum(numbers(dls.valid), []))==list(range(48,60))
    assert sorted(sum(numbers(dls.valid.new(shuffle=True)), []))==list(range(48,60))
    assert sorted(sum(numbers(dls.train.new(shuffle=False, drop_last=False)), []))==list(range(48))

def test_new_keeps_both():
    dl = loaders(frame(rude=6), weight_col='w', balance=1.).train
    for o in (dl.new(), dl.new(bs=4), dl.new(dl.dataset)): assert torch.equal(o.row_weights, dl.row_weights) and np.array_equal(o.row_chances, dl.row_chances)
    assert dl.new(balance=0.).row_chances is None and dl.new(weights=None).row_weights is None

def test_array_of_weights():
    "One for each training row, also as a tensor, by `dl_kwargs`"
    block = DataBlock(blocks=(TransformerTextBlock(ck), CategoryBlock), get_x=ColReader('text'), get_y=ColReader('label'), splitter=split)
    for w in (np.arange(48)+1, torch.arange(48)+1, list(range(1, 49))):
        dls = block.dataloaders(frame(), bs=8, device='cpu', dl_kwargs=[dict(weights=w), {}])
        assert dls.train.row_weights.tolist()==list(range(1, 49)) and dls.valid.row_weights is None

def test_other_sources(tmp_path):
    df = frame()
    df.to_csv(tmp_path/'a.csv', index=False)
    kw = dict(bs=8, device='cpu', weight_col='w', balance=0.5)
    expected = loaders(df, **kw).train.row_weights
    assert torch.equal(ToxicityDataLoaders.from_csv(tmp_path/'a.csv', ck, splitter=split, **kw).train.row_weights, expected)
    parts = DatasetDict(train=Dataset.from_pandas(df[:48]), validation=Dataset.from_pandas(df[48:].drop(columns='w')))
    assert torch.equal(ToxicityDataLoaders.from_dataset(parts, ck, **kw).train.row_weights, expected)
    data = load_comments(df, text_col='text', label_cols='label')
    assert torch.equal(ToxicityDataLoaders.from_df(data, ck, splitter=split, **kw).train.row_weights, expected)

@pytest.mark.parametrize('bad, error, expected', [(-1., ValueError, 'row 3 is -1.0'), (np.nan, ValueError, 'row 3 is nan'), (np.inf, ValueError, 'row 3 is inf'),
                                                  ('much', ValueError, "row 3 is 'much'"), (None, ValueError, 'row 3 is')])
def test_bad_weights(bad, error, expected):
    df = frame().astype({'w':object})
    df.loc[3,'w'] = bad
    with pytest.raises(error, match=expected): loaders(df, weight_col='w')
    df.loc[3,'w'],df.loc[50,'w'] = 1.,bad
    loaders(df, weight_col='w')

def test_no_weights():
    with pytest.raises(ValueError, match='all sample weights are 0'): loaders(frame().assign(w=0), weight_col='w')
    with pytest.raises(KeyError, match="no column 'ww'"): loaders(frame(), weight_col='ww')

# Balance

@pytest.mark.parametrize('balance', [0., 0.3, 0.5, 1.])
@pytest.mark.parametrize('seed', range(3))
def test_class_chances_loop(balance, seed):
    "A class of c rows has a share in proportion to c**(1-balance), its rows are equal"
    classes = np.random.default_rng(seed).choice(5, 400, p=[.6,.25,.1,.04,.01])
    p,n = class_chances(classes, balance),Counter(classes.tolist())
    total = sum(c**(1-balance) for c in n.values())
    for k,c in n.items(): np.testing.assert_allclose(p[classes==k], c**(1-balance)/total/c)

def drawn(dls, epochs=60): return Counter(k for _ in range(epochs) for b in numbers(dls.train) for k in b)

@pytest.mark.parametrize('balance', [0.5, 1.])
def test_balance_single(balance):
    "2,880 draws: the standard error of a share is below 0.01"
    df = frame(rude=6)
    n = drawn(loaders(df, balance=balance))
    share = sum(v for k,v in n.items() if k<6)/sum(n.values())
    expected = 6**(1-balance)/(6**(1-balance)+42**(1-balance))
    assert share==pytest.approx(expected, abs=0.04) and sum(n.values())==60*48

def test_balance_multi():
    "A text belongs to the rarest label that it has; gaps and shares below one half are no labels"
    nan = float('nan')
    kinds = [(1,0,0)]*20 + [(1,1,0)]*8 + [(1,1,1)]*2 + [(0.4,nan,0)]*18 + [(0,0,0)]*12
    df = frame().assign(**dict(zip('abc', np.array(kinds, dtype=float).T)))
    n,group = drawn(loaders(df, label_cols=list('abc'), balance=1.)),np.repeat([0,1,2,3], [20,8,2,18])
    shares = Counter()
    for k,v in n.items(): shares[int(group[k])] += v/sum(n.values())
    assert all(v==pytest.approx(0.25, abs=0.04) for v in shares.values()) and len(shares)==4

def test_balance_multi_tags():
    "fastai's own block for tags"
    df = frame().assign(tags=['a']*40+['a;b']*20)
    block = DataBlock(blocks=(TransformerTextBlock(ck), MultiCategoryBlock), get_x=ColReader('text'), get_y=ColReader('tags', label_delim=';'), splitter=split)
    dls = block.dataloaders(df, bs=8, device='cpu', balance=1.)
    n = drawn(dls)
    assert sum(v for k,v in n.items() if k>=40)/sum(n.values())==pytest.approx(0.5, abs=0.04)

def test_balance_keeps_epochs_and_buckets():
    "As many batches as before, and their padding stays small"
    df = frame(240, rude=30).assign(text=[' '.join(['word']*(1+i%40)) for i in range(240)])
    plain,even = [loaders(df, balance=o).train for o in (0.,1.)]
    assert len(list(plain))==len(list(even))==len(plain)==len(even)
    for dl in (plain,even):
        sizes = [(x.shape[0]*x.shape[-1], int((x[:,2]!=0).sum())) for x,_ in dl]
        assert sum(a for a,_ in sizes)/sum(b for _,b in sizes)<1.2

def test_balance_seeds():
    "The same seed draws the same rows, another one others, and so does the next epoch"
    def _two(seed):
        import random
        random.seed(seed)
        dl = loaders(frame(rude=6), balance=1.).train
        return numbers(dl),numbers(dl)
    a,b,c = _two(1),_two(1),_two(2)
    assert a==b and a!=c and a[0]!=a[1]

def test_balance_is_training_only():
    learn = toxicity_learner(loaders(frame(rude=20), balance=1.), precision='fp32')
    probs,targs = learn.get_preds(ds_idx=0)
    assert len(targs)==48 and targs.tolist()==[y.item() for _,y in learn.dls.train_ds]

@pytest.mark.parametrize('bad', [-0.1, 1.1, float('nan')])
def test_balance_range(bad):
    with pytest.raises(ValueError, match='`balance` is'): loaders(frame(), balance=bad)

def test_balance_needs_classes():
    block = DataBlock(blocks=(TransformerTextBlock(ck), RegressionBlock), get_x=ColReader('text'), get_y=ColReader('w'), splitter=split)
    with pytest.raises(ValueError, match='needs classes'): block.dataloaders(frame(), bs=8, balance=1.)

def test_loaders_without_texts():
    with pytest.raises(ValueError, match='encoded texts'): BucketedDL(Datasets(list(range(5))), bs=2, weights=[1]*5)

def test_export_leaves_weights_behind(tmp_path):
    from fastai.learner import load_learner
    learn = toxicity_learner(loaders(frame(), weight_col='w', balance=1., path=tmp_path), precision='fp32')
    learn.export()
    other = load_learner(tmp_path/'export.pkl')
    assert other.dls.train.row_weights is None and len(other.classify(['thank you']))==1
