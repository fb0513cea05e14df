"Loaders: copies of a text and the split, names of arguments, blocks that no network reads, loaders of others"
import warnings

import numpy as np,pandas as pd,pytest
from datasets import Dataset,DatasetDict
from fastai.data.all import CategoryBlock,Categorize,ColReader,DataBlock,Datasets,IndexSplitter,RandomSplitter,RegressionBlock
from fastai.text.data import SortedDL
from toxicai.data.all import *
from toxicai.data.duplicates import text_keys
from toxicai.test_utils import comments,tiny_checkpoint
from toxicai.train.callbacks import HFInputs
from toxicai.train.learner import *

ck = tiny_checkpoint()
def distinct(n): return comments(n).assign(text=[f'{o} {i}' for i,o in enumerate(comments(n).text)])
def sides(dls): return [o.items for o in (dls.train_ds,dls.valid_ds)]
def keys(df, cols=('text',)): return set(text_keys(list(zip(*[df[o] for o in cols])) if len(cols)>1 else df[cols[0]]))
def loaders(df, **kwargs): return ToxicityDataLoaders.from_df(df, ck, bs=4, **kwargs)

# Copies

copied = {'exact': lambda t: t, 'case': str.upper, 'punctuation': lambda t: t.replace(' ', ', ')+'!!', 'spaces': lambda t: f'  {t}\n', 'invisible': lambda t: t[:3]+'\u200b'+t[3:]}

@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('name', copied)
def test_copies_stay_together(name, seed):
    "In all doors, as in `Comments`; no row is lost, and nothing is said"
    df = distinct(40)
    df = pd.concat([df, df[:15].assign(text=df.text[:15].map(copied[name]))], ignore_index=True)
    for make in (lambda: loaders(df, seed=seed), lambda: ToxicityDataLoaders.from_lists(df.text, df.label, ck, bs=4, seed=seed),
                 lambda: ToxicityDataLoaders.from_dataset(Dataset.from_pandas(df), ck, bs=4, seed=seed)):
        with warnings.catch_warnings():
            warnings.simplefilter('error', UserWarning)
            train,valid = sides(make())
        assert not keys(train)&keys(valid) and len(train)+len(valid)==55 and .1<len(valid)/55<.3

def test_copies_of_pairs():
    "A pair is a copy where both texts are"
    df = distinct(40).assign(reply=['so what','thank you']*20)
    df = pd.concat([df, df.assign(text=df.text.str.upper()), df.assign(reply='other')], ignore_index=True)
    train,valid = sides(loaders(df, text_col=['text','reply']))
    assert not keys(train, ['text','reply'])&keys(valid, ['text','reply'])

def test_distinct_texts_keep_their_split():
    "Without copies the split is the stratified one"
    df = distinct(60)
    train,valid = sides(loaders(df, seed=5))
    assert [sorted(o.index) for o in (train,valid)]==[sorted(o) for o in stratified_split(df, ['label'], .2, 5)]

df = pd.concat([distinct(20), distinct(20).assign(text=distinct(20).text.str.upper())], ignore_index=True)
given = {'valid_col': lambda: loaders(df.assign(v=[False]*20+[True]*20), valid_col='v'), 'splitter': lambda: loaders(df, splitter=IndexSplitter(range(20, 40))),
         'DatasetDict': lambda: ToxicityDataLoaders.from_dataset(DatasetDict(train=Dataset.from_pandas(df[:20]), validation=Dataset.from_pandas(df[20:])), ck, bs=4),
         'Comments': lambda: loaders(load_comments(df.assign(split=['train']*20+['dev']*20), 'text', 'label'))}

@pytest.mark.parametrize('name', given)
def test_given_sides_stay(name):
    "The user's own split is only spoken of"
    with pytest.warns(UserWarning, match='20 of 20 validation texts are in the training rows too'): train,valid = sides(given[name]())
    assert train.text.tolist()==df.text[:20].tolist() and valid.text.tolist()==df.text[20:].tolist()

def test_one_text_many_times():
    "Copies of a single text cannot be kept together, and leave the split as it is"
    df = comments(40).assign(text='so what')
    assert [len(o) for o in sides(loaders(df))]==[32,8]

# Names of arguments

doors = {'from_df': lambda **kw: loaders(comments(24), **kw), 'from_lists': lambda **kw: ToxicityDataLoaders.from_lists(['a','b']*9, ['x','y']*9, ck, **kw),
         'from_dataset': lambda **kw: ToxicityDataLoaders.from_dataset(Dataset.from_pandas(comments(24)), ck, **kw), 'block': lambda **kw: TransformerTextBlock(ck, **kw),
         'from_csv': lambda **kw: ToxicityDataLoaders.from_csv('none.csv', ck, **kw)}
foreign = {'label_col': '`label_cols`', 'valid_idx': 'IndexSplitter', 'seq_len': '`max_length`', 'item_tfms': '`rules`', 'batch_tfms': 'add_tfms', 'text_vocab': '`vocab` names classes', 'batch_size': '`bs`',
           'max_lenght': "did you mean 'max_length'", 'csv_fname': 'in first place', 'rule': "did you mean 'rules'", 'is_lm': 'language models', 'zzz': 'expected some of'}

@pytest.mark.parametrize('name', foreign)
@pytest.mark.parametrize('door', doors)
def test_foreign_names(door, name):
    "Before anything is read or fetched"
    with pytest.raises(TypeError) as e: doors[door](**{name:1})
    assert f'takes no `{name}`' in str(e.value) and foreign[name] in str(e.value)

@pytest.mark.parametrize('name, says', dict(arch='`checkpoint`', learning_rate='`lr`', drop_mult='`dropout`', batch_size='to the loaders', metric='`metrics`', loss_fun="did you mean 'loss_func'",
                                            model_dirr="did you mean 'model_dir'", max_length='to the loaders').items())
def test_foreign_learner_names(name, says):
    dls = loaders(comments(24))
    for f in (toxicity_learner, lambda dls, **kw: TransformerLearner(dls, None, **kw)):
        with pytest.raises(TypeError) as e: f(dls, **{name:1})
        assert f'takes no `{name}`' in str(e.value) and says in str(e.value)

def test_names_that_are_known(tmp_path):
    "What a Learner and `from_pretrained` take goes through"
    dls = loaders(comments(24), local_files_only=True, cut='tail', max_length=20)
    learn = toxicity_learner(dls, path=tmp_path, model_dir='here', wd_bn_bias=True, moms=(.9,.9,.9))
    assert (learn.path,learn.model_dir)==(tmp_path,'here')

# Blocks

T,C = TransformerTextBlock(ck),CategoryBlock
def by_blocks(blocks, n_inp, get_x, get_y=ColReader('label')):
    block = DataBlock(blocks=blocks, n_inp=n_inp, get_x=get_x, get_y=get_y, splitter=RandomSplitter(seed=1))
    return block.dataloaders(comments(24).assign(reply='so what', n=range(24)), bs=4)

x,x2,y,y2 = map(ColReader, ('text','reply','label','toxic'))
bad_blocks = {'two texts': ((T,TransformerTextBlock(ck),C), 2, [x,x2], y, '2 inputs', "text_col=['a','b']"), 'text and number': ((T,RegressionBlock,C), 2, [x,ColReader('n')], y, '2 inputs', 'a number'),
              'a number first': ((RegressionBlock,T,C), 2, [ColReader('n'),x], y, '2 inputs', 'a number'), 'two targets': ((T,C,C), 1, x, [y,y2], '2 targets', 'a learner for each'),
              'class and number': ((T,C,RegressionBlock), 1, x, [y,ColReader('n')], '2 targets', '`MultiCategoryBlock`'), 'both': ((T,T,C,C), 2, [x,x2], [y,y2], '2 inputs', 'one block')}

@pytest.mark.parametrize('name', bad_blocks)
def test_blocks(name):
    blocks,n_inp,get_x,get_y,*says = bad_blocks[name]
    dls = by_blocks(blocks, n_inp, get_x, get_y)
    model = toxicity_learner(by_blocks((T,C), 1, x)).model
    for make in (toxicity_learner, lambda dls: TransformerLearner(dls, model)):
        with pytest.raises(ValueError) as e: make(dls)
        for o in says: assert o in str(e.value)

def test_pair_in_one_block(): # what the message says
    learn = toxicity_learner(by_blocks((T,C), 1, ColReader(['text','reply'])))
    with learn.no_bar(): assert np.isfinite(learn.validate()[0])

# Loaders of others

@pytest.mark.parametrize('dl_type', [None,SortedDL])
@pytest.mark.parametrize('workers', [0,2])
def test_other_loaders(dl_type, workers):
    dsets = Datasets(comments(24), [[x,T.type_tfms[0]],[y,Categorize()]], splits=RandomSplitter(seed=1)(comments(24)))
    with pytest.raises(ValueError, match='pass `dl_type=BucketedDL` to `dataloaders`'): dsets.dataloaders(bs=8, num_workers=workers, dl_type=dl_type).one_batch()
    assert dsets.dataloaders(bs=8, dl_type=BucketedDL).one_batch()[0].shape[:2]==(8,3)

@pytest.mark.parametrize('how', [dict(), dict(lazy=True), dict(balance=1.)])
def test_late_batch_size(how):
    dls = loaders(distinct(40), **how)
    dls.train.bs = 99
    learn = toxicity_learner(dls)
    with learn.no_bar(), learn.no_logging(), pytest.raises(ValueError, match='a batch of 99 is more than the 32 training texts: pass `bs=8` or less'): learn.fit(1)
    dls.train.bs = 8
    with learn.no_bar(), learn.no_logging(): learn.fit(1)

def test_no_named_inputs():
    learn = toxicity_learner(loaders(distinct(24)))
    learn.remove_cb(HFInputs)
    for f in (lambda: learn.fit(1), learn.validate, learn.get_preds, lambda: learn.predict('so what'), lambda: learn.classify(['so what'])):
        with learn.no_bar(), learn.no_logging(), pytest.raises(ValueError, match=r'`learn.add_cb\(HFInputs\(\)\)`'): f()
    learn.add_cb(HFInputs())
    with learn.no_bar(): assert len(learn.classify(['so what']))==1

@pytest.mark.parametrize('source', [comments(8), comments(8).to_dict('records'), 'comments.csv'], ids=['frame','dicts','path'])
def test_no_data_set(source):
    "`from_dataset` says who takes what it does not"
    with pytest.raises(TypeError, match=f'`ds` is a {type(source).__name__}: expected a `Dataset`.*`from_csv` files'):
        ToxicityDataLoaders.from_dataset(source, tiny_checkpoint(), label_cols='label')

german = ['Das war wirklich ein schöner Tag mit der ganzen Familie am See','Du bist der dümmste Mensch, den ich in meinem Leben getroffen habe']*8

@pytest.mark.parametrize('knows,texts,warned', [(['en'], german, True), (['de','en'], german, False), ([], german, False),
    (['en'], ['You are the most stupid person that I have ever met','What a lovely day with the whole family at the lake']*8, False),
    (['en'], ['ok','na']*8, False)])
def test_weights_of_other_languages(knows, texts, warned, tmp_path):
    "Training that begins from a detector of other languages is warned of, once"
    data = pd.DataFrame(dict(text=[f'{o} {i}' for i,o in enumerate(texts)], toxic=[0,1]*8))
    said = lambda where: [str(o.message) for o in warned_of(where) if 'trained on' in str(o.message)]
    def warned_of(where):
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter('always')
            made.append(ToxicityDataLoaders.from_df(data, where, text_col='text', label_cols='toxic', bs=4))
        return found
    made = []
    assert not said(tiny_checkpoint())
    folder = toxicity_learner(made[0]).save_detector(tmp_path/'d', languages=knows)
    assert (found := said(folder))==found[:1] and bool(found)==warned
    if warned: assert "the texts are in 'de'" in found[0] and "['en']" in found[0] and 'checkpoint' in found[0]
