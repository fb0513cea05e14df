"Crosses rooms: results stand on the rows that they are about, texts in files are texts, and a learner without data says so"
import pickle
from copy import deepcopy

from pathlib import Path

import numpy as np,pandas as pd,pytest,torch
from datasets import Dataset
from fastai.data.all import CategoryBlock,ColReader,DataBlock,L,MultiCategoryBlock,RandomSplitter,get_text_files,parent_label
from fastai.learner import load_learner
from toxicai.all import *
from toxicai.test_utils import comments,tiny_checkpoint
from toxicai.judge.bias import find_groups
from toxicai.judge.errors import find_errors
from toxicai.train.learner import *

ck = tiny_checkpoint()
df = comments(48).assign(reply=comments(49).text[1:].tolist())
df.index = np.random.default_rng(0).permutation(1000)[:48]

def learner(df, **kwargs): return toxicity_learner(ToxicityDataLoaders.from_df(df, ck, bs=8, **kwargs))

@pytest.fixture(scope='module')
def learn(): return learner(df)

@pytest.fixture(scope='module')
def pairs(): return learner(df, text_col=['text','reply'], label_cols=['toxic','insult'])

def block_learner(get_x=ColReader('text'), items=df, get_y=ColReader('label'), **kwargs):
    return toxicity_learner(DataBlock(blocks=(TransformerTextBlock(ck), CategoryBlock), get_x=get_x, get_y=get_y, splitter=RandomSplitter(seed=1), **kwargs).dataloaders(items, bs=8))

@pytest.fixture(scope='module')
def by_block(): return block_learner()

@pytest.fixture(scope='module')
def by_lambda(): return block_learner(lambda r: r['text'])

# The index

mask = (df.toxic==1).to_numpy()
subsets = {'mask': df[mask], 'shuffled': df.sample(frac=1, random_state=3), 'names': df[:9].set_axis(list('abcdefghi')), 'dates': df[:4].set_axis(pd.date_range('2020', periods=4)),
           'repeated': df[:6].set_axis([3,3,1,1,3,0]), 'two levels': df[:4].set_index(['label','text'], drop=False), 'one row': df[5:6]}

@pytest.mark.parametrize('name', subsets)
def test_classify(learn, by_block, by_lambda, name):
    "Index and order of frame and Series, whatever the batches did; scores are those of the texts"
    some = subsets[name]
    alone = learn.classify(some.text.tolist())[['kind','rude']].to_numpy()
    for l in (learn, by_block, by_lambda):
        res = l.classify(some)
        assert res.index.equals(some.index) and res.text.tolist()==some.text.tolist()
    for o in (some, some.text): np.testing.assert_allclose(learn.classify(o)[['kind','rude']], alone, atol=1e-6)
    for l in (learn, by_block): assert l.classify(some.text).index.equals(some.index)

def test_join(learn):
    "The join of the issue: scores of some rows go to those rows"
    joined = df.join(learn.classify(df[mask])[['rude']])
    assert joined.rude.notna().tolist()==mask.tolist()
    np.testing.assert_allclose(joined.rude[mask], learn.classify(df.text[mask].tolist()).rude, atol=1e-6)

def test_pairs(pairs):
    some = df[mask]
    for o in (some, some[['text','reply']]):
        res = pairs.classify(o)
        assert res.index.equals(some.index) and res[['text','reply']].equals(some[['text','reply']])
    both = pd.Series(list(zip(some.text, some.reply)), index=some.index)
    assert pairs.classify(both).index.equals(some.index)

def test_rows_alone(learn):
    "A row of a frame is one text under its name; lists, arrays and data sets have numbers"
    row = df.iloc[7]
    assert list(learn.classify(row).index)==[row.name] and list(learn.classify([df.iloc[3],row]).index)==[df.iloc[3].name,row.name]
    for o in (df.text.tolist(), df.text.to_numpy(), [dict(text=t) for t in df.text], Dataset.from_dict(dict(text=df.text.tolist())), (t for t in df.text)):
        assert list(learn.classify(o).index)==list(range(48))
    assert learn.classify(df[:0]).index.equals(df[:0].index)

def test_judged(learn):
    "Judged rows, tables of errors and relabelling stand on the rows of the data"
    with learn.no_bar(): j,errors = learn.judged(),learn.interpret_errors(n=5)
    valid = learn.dls.valid_ds.items
    assert j.index.equals(valid.index) and j.frame.index.equals(valid.index) and j.take([2,0]).index.tolist()==valid.index[[2,0]].tolist()
    for t in (errors.top_losses, *errors.worst.values(), errors.label_errors):
        assert t.text.tolist()==df.text[t.index].tolist() and t.index.tolist()==valid.index[t.row].tolist()
    dl = learn.dls.test_dl(df[mask], with_labels=True)
    with learn.no_bar(): other = learn.judged(dl=dl)
    assert other.index.equals(df[mask].index) and learn.dls.test_dl(df.text[mask]).items.index.equals(df[mask].index)

def test_judged_without_names():
    "Arrays from anywhere are numbered, and an index of another length is refused"
    t,p = np.array([[1.],[0],[1]]),np.array([[.9],[.8],[.2]])
    assert find_errors(Judged(p, t, LabelSet(['toxic']), list('abc')), 3).top_losses.index.tolist()==[0,1,2]
    with pytest.raises(ValueError, match='`index` has 2 rows'): Judged(p, t, LabelSet(['toxic']), index=pd.Index([1,2]))

@pytest.fixture(scope='module')
def detectors(learn, pairs, tmp_path_factory):
    d = tmp_path_factory.mktemp('detectors')
    return learn.save_detector(d/'one'),pairs.save_detector(d/'two')

@pytest.mark.parametrize('detail', ['flags','scores','all'])
@pytest.mark.parametrize('name', subsets)
def test_detector(detectors, name, detail):
    d,some = Detector(detectors[0], 'torch'),subsets[name]
    res = d(some.text, detail)
    assert res.to_frame().index.equals(some.index) and res[1:3].to_frame().index.equals(some.index[1:3])
    assert list(d(some.text.tolist(), detail).to_frame().index)==list(range(len(some)))
    assert 'index' not in res.to_dict() and pickle.loads(pickle.dumps(res)).index.equals(some.index)

def test_detector_pairs(detectors):
    d,some = Detector(detectors[1], 'torch'),df[mask]
    both = pd.Series(list(zip(some.text, some.reply)), index=some.index)
    for o in (some[['text','reply']], both):
        found = d(o).to_frame()
        assert found.index.equals(some.index)
        np.testing.assert_allclose(found.toxic, d(both.tolist()).scores[:,0], atol=1e-6)
    for bad in (some, some[['text']]):
        with pytest.raises(TypeError, match='of a frame pass one column'): d(bad)

# Texts in files

def read(p): return p.read_text(encoding='utf-8')

@pytest.fixture(scope='module')
def in_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp('files')
    for i,(t,n) in enumerate(zip(df.text, df.label)):
        (folder/n).mkdir(exist_ok=True)
        (folder/n/f'{i}.txt').write_text(t, encoding='utf-8')
    return block_learner(read, folder, parent_label, get_items=get_text_files)

@pytest.mark.parametrize('verb', ['judged','calibrate','report','interpret_errors','bias_report'])
def test_verbs_on_files(in_files, verb):
    args = dict(bias_report=dict(label='rude'), calibrate=dict(n_boot=5), report=dict(n_boot=5)).get(verb, {})
    with in_files.no_bar(): getattr(deepcopy(in_files), verb)(**args)

def test_thresholds_on_files(in_files):
    "Several classes a file, read from its path"
    folder = in_files.dls.valid_ds.items[0].parent.parent
    block = DataBlock(blocks=(TransformerTextBlock(ck), MultiCategoryBlock), get_items=get_text_files, get_x=read, get_y=lambda p: [parent_label(p)], splitter=RandomSplitter(seed=1))
    l = toxicity_learner(block.dataloaders(folder, bs=8))
    with l.no_bar(): assert list(l.tune_thresholds(n_boot=5).table.index)==['kind','rude'] or len(l.labels.thresholds)==2

def test_texts_of_files(in_files):
    with in_files.no_bar(): j,errors = in_files.judged(),in_files.interpret_errors(n=3)
    paths = in_files.dls.valid_ds.items
    assert j.texts==[read(o) for o in paths] and j.index.tolist()==[str(o) for o in paths] and j.index.name=='path'
    assert errors.top_losses.text.tolist()==[read(Path(o)) for o in errors.top_losses.index]

def test_classify_files(in_files, learn):
    paths = list(in_files.dls.train_ds.items)[:5]
    res = in_files.classify(paths)
    assert res.text.tolist()==[read(o) for o in paths] and res.index.tolist()==[str(o) for o in paths]
    assert list(res.columns)==['text','kind','rude']

# One text

many = {'a list': ['so','what'], 'a list of one': ['so'], 'a list of three': list('abc'), 'a tuple of three': tuple('abc'), 'a Series': df.text[:2], 'a Series of one': df.text[:1], 'a frame': df[:1],
        'an array': np.array(['so','what']), 'a row without a text': df.iloc[0].drop('text'), 'a data set': Dataset.from_dict(dict(text=['a','b'])), 'an L': L('so','what')}

@pytest.mark.parametrize('name', many)
def test_predict_many(learn, by_block, name):
    for l in (learn, by_block):
        with l.no_bar(), pytest.raises(TypeError, match=r'`predict` takes one text.*got a \w+ of \d+: `learn.classify\(texts\)` takes many'): l.predict(many[name])

def test_predict_one(learn, by_lambda, in_files, pairs):
    "One text in any form; what only a reader of the user's knows is left to it"
    with learn.no_bar():
        want = learn.predict(df.text.iloc[0])[2]
        for o in (df.iloc[0], dict(text=df.text.iloc[0]), np.array(df.text.iloc[0]), np.str_(df.text.iloc[0])): assert torch.equal(learn.predict(o)[2], want)
    with by_lambda.no_bar(): by_lambda.predict(df.iloc[0])
    with in_files.no_bar(): assert in_files.predict(in_files.dls.valid_ds.items[0])[0] in ('kind','rude')
    with pairs.no_bar(): assert torch.equal(pairs.predict(('so','what'))[2], pairs.predict(['so','what'])[2])
    with learn.no_bar(), pytest.raises(TypeError, match='1 of 1 texts are not text'): learn.classify(np.array(3))

def test_explain_pairs(learn, pairs):
    "Two texts are no pair for a learner of single texts, and one text is none for a learner of pairs"
    for l,bad in ((learn,('so','what')), (learn,['so','what']), (learn,['so']), (pairs,'so'), (pairs,['so','what'])):
        with l.no_bar(), pytest.raises(TypeError, match='expected one'): l.explain(bad)
    with pairs.no_bar(): assert len(pairs.explain(('so what','you fool'), 'toxic', method='occlusion').words)==4

# Without data

no_data = dict(fit=[1], fit_one_cycle=[1], fine_tune=[1], fit_linear=[1], fit_flat_cos=[1], lr_find=[], validate=[], dry_run=[], show_results=[], get_preds=[], judged=[], report=[],
               interpret_errors=[], tune_thresholds=[], calibrate=[])

@pytest.mark.parametrize('verb', no_data)
def test_no_data(learn, tmp_path, verb):
    "An exported learner has no data, and says what to do; what needs none goes on"
    learn.path = tmp_path
    learn.export()
    loaded = load_learner(tmp_path/'export.pkl')
    with loaded.no_bar(), loaded.no_logging():
        with pytest.raises(ValueError, match='needs data, and this learner has none.*`learn.dls = dls`'): getattr(loaded, verb)(*no_data[verb])
        assert loaded.predict('so what')[0] in ('kind','rude') and len(loaded.classify(df))==48
        loaded.dls = learn.dls
        if verb in ('fit','validate','judged'): getattr(loaded, verb)(*no_data[verb])

# Rows that belong together

three = df[:3]
apart = {'judged': lambda: Judged(three[['toxic']].astype(float), three[::-1][['toxic']], LabelSet(['toxic'])), 'judged texts': lambda: Judged(three[['toxic']].astype(float), three[['toxic']], LabelSet(['toxic']), three.text[::-1]),
         'from_lists': lambda: ToxicityDataLoaders.from_lists(df.text, df.label[::-1], ck), 'from_lists, other rows': lambda: ToxicityDataLoaders.from_lists(df.text[:24], df.label[24:], ck)}

@pytest.mark.parametrize('name', apart)
def test_rows_apart(name):
    "Two Series or frames that name their rows differently are not put side by side by place"
    with pytest.raises(ValueError, match=r'the rows of `\w+` and `\w+` have different names.*\.loc\['): apart[name]()

def test_rows_together(learn):
    "Where they agree, the names stay; arrays and lists go by place"
    some = df[mask]
    j = Judged(learn.classify(some)[['kind','rude']], (some.label=='rude').astype(int), LabelSet(['kind','rude'], 'single'), some.text)
    assert j.index.equals(some.index) and j.texts==some.text.tolist() and j.take([3,1]).texts==some.text.iloc[[3,1]].tolist()
    assert ToxicityDataLoaders.from_lists(df.text, df.label.tolist(), ck, bs=8).train_ds.items.index.isin(df.index).all()
    with pytest.raises(ValueError, match='different names'): find_groups(j, pd.DataFrame(dict(a=1.), index=some.index[::-1]))
    assert len(find_groups(j, pd.DataFrame(dict(a=1.), index=range(len(some))))[0])==len(some)

def test_weights_by_name():
    "A Series goes by the names of the rows, whatever its order; other rows in it are not used"
    w = pd.Series(np.arange(48)+1., index=df.index)
    block = DataBlock(blocks=(TransformerTextBlock(ck), CategoryBlock), get_x=ColReader('text'), get_y=ColReader('label'), splitter=RandomSplitter(seed=1))
    for o in (w, w[::-1]):
        train = block.dataloaders(df, bs=8, dl_kwargs=[dict(weights=o),{}]).train
        assert train.row_weights.tolist()==w[train.dataset.items.index].tolist()
