"From `load_comments` to loaders and a learner: columns, classes, splits, rules"
import warnings

import numpy as np,pandas as pd,pytest

from toxicai.all import *
from toxicai.data.comments import labelled_frame
from toxicai.test_utils import comments,tiny_checkpoint

ck = tiny_checkpoint()

def loaders(source, **kwargs): return ToxicityDataLoaders.from_df(source, ck, **{'bs':8, 'device':'cpu', **kwargs})

def table(**cols): return comments(60).assign(text=[f'{o} {i}' for i,o in enumerate(comments(60).text)], **cols)[['text',*cols]]

@pytest.mark.parametrize('kind, cols', [
    ('single', dict(label=['rude','kind']*30)),
    ('multi', dict(toxic=[1,0,np.nan]*20, insult=[0,1,1]*20)),
    ('soft', dict(toxic=[0.2,0.7,1]*20, insult=[0,0.5,1]*20)),
    ('ordinal', dict(level=[0,1,2]*20))])
def test_kinds(kind, cols):
    "The learner has the classes of the comments, and trains on them"
    data = load_comments(table(**cols), text_col='text', label_cols=list(cols), kind=kind)
    learn = toxicity_learner(loaders(data), precision='fp32')
    assert learn.labels==data.labels and learn.labels.kind==kind
    with learn.no_bar(),learn.no_logging(): learn.fit(1, 1e-3)
    assert list(learn.classify(['you are an idiot']))[1:]==list(data.labels.names)

def test_one_flag_is_multi():
    "A lone column of 0 and 1 is one class that is true or not, as `load_comments` says"
    data = load_comments(table(toxic=[1.,0.]*30), text_col='text', label_cols='toxic', kind='multi')
    dls = loaders(data)
    assert dls.vocab==['toxic'] and dls.one_batch()[1].shape==(8,1)

def test_pairs():
    df = table(label=['same','different']*30).rename(columns={'text':'a'}).assign(b='and this')
    dls = loaders(load_comments(df, text_col=['a','b'], label_cols='label'))
    assert len(dls.train_ds[0][0].shape)==2 and dls.labels.names==('different','same')

def test_split_of_its_own():
    df = table(label=['rude','kind']*30, split=['train']*40+['dev']*10+['test']*10)
    with pytest.warns(UserWarning, match="10 rows of 'test' are left out"): dls = loaders(load_comments(df, text_col='text', label_cols='label', split_col='split'))
    assert (len(dls.train_ds),len(dls.valid_ds))==(40,10)

def test_only_train_and_test():
    "Without validation rows the training rows are split, and test rows stay out"
    df = table(label=['rude','kind']*30, split=['train']*40+['test']*20)
    with pytest.warns(UserWarning, match="20 rows of 'test'"): dls = loaders(load_comments(df, text_col='text', label_cols='label', split_col='split'))
    assert len(dls.train_ds)+len(dls.valid_ds)==40
    assert {int(o.split()[-1]) for ds in (dls.train_ds,dls.valid_ds) for o in ds.items.text}==set(range(40))

def test_duplicates_on_one_side():
    df = comments(96)[['text','label']]
    dls = loaders(load_comments(df, text_col='text', label_cols='label'))
    train,valid = [set(o.items.text.str.lower()) for o in (dls.train_ds,dls.valid_ds)]
    assert train and valid and not train & valid

def test_rows_of_the_users_own():
    "A splitter numbers the rows as they came, test rows included"
    df = table(label=['rude','kind']*30, split=['train']*20+['test']*20+['dev']*20)
    data = load_comments(df, text_col='text', label_cols='label', split_col='split')
    dls = loaders(data, splitter=lambda o: (list(range(30)), list(range(30, 60))))
    assert {int(o.split()[-1]) for o in dls.valid_ds.items.text}==set(range(30, 60))

@pytest.mark.parametrize('flags', [[True,False], [1,0], ['True','False']])
def test_is_valid(flags):
    df = table(label=['rude','kind']*30, is_valid=[flags[1]]*45+[flags[0]]*15)
    dls = loaders(load_comments(df, text_col='text', label_cols='label'))
    assert {int(o.split()[-1]) for o in dls.valid_ds.items.text}==set(range(45, 60))

def test_split_that_is_none():
    df = table(label=['rude','kind']*30, fold=['a','b','c']*20)
    with pytest.warns(UserWarning, match="'fold' holds .* does not split"): loaders(load_comments(df, text_col='text', label_cols='label', split_col='fold'))

def test_named_twice():
    with pytest.raises(ValueError, match='leave out `text_col`'): loaders(load_comments(table(toxic=[0,1]*30), text_col='text', label_cols='toxic', kind='multi'), label_cols='toxic')

def test_predict_for_comments():
    "Comments are new data too"
    data = load_comments(table(toxic=[0,1]*30, insult=[1,0]*30), text_col='text', label_cols=['toxic','insult'])
    learn = toxicity_learner(loaders(data), precision='fp32')
    assert len(learn.classify(data[:5]))==5
    probs,targs = learn.get_preds(dl=learn.dls.test_dl(data[:5], with_labels=True))
    assert targs.tolist()==[[0,1],[1,0]]*2+[[0,1]]

def test_thresholds_of_the_labels():
    "Loss, metrics and labels agree when the thresholds come with the data, and other metrics stay as they are"
    from fastai.metrics import F1ScoreMulti
    labels = LabelSet(['toxic','insult'], thresholds=[0.3,0.6])
    dls = loaders(load_comments(table(toxic=[0,1]*30, insult=[1,0]*30), text_col='text', label_cols=['toxic','insult'], classes=labels))
    learn = toxicity_learner(dls)
    assert learn.loss_func.thresh==learn.metrics[1].thresh==learn.labels.thresholds==(0.3,0.6)
    learn = toxicity_learner(dls, metrics=F1ScoreMulti())
    learn.labels = learn.labels.with_thresholds(0.4)
    with learn.no_bar(),learn.no_logging(): learn.fit(1, 1e-3)

def test_no_labels():
    with pytest.raises(ValueError, match='has no labels'): loaders(load_comments(table(), text_col='text', label_cols=[]))

def test_missing_single_labels():
    data = load_comments(table(label=['rude','kind',None]*20), text_col='text', label_cols='label')
    with pytest.warns(UserWarning, match='20 of 60 rows have no label'): dls = loaders(data)
    assert len(dls.train_ds)+len(dls.valid_ds)==40

def test_rules_are_trained_and_served_alike(tmp_path):
    "An exported learner normalises as it was trained to"
    from fastai.learner import load_learner
    dls = loaders(comments(48), rules='strict', path=tmp_path)
    learn = toxicity_learner(dls, precision='fp32')
    learn.export()
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        again = load_learner(tmp_path/'export.pkl')
    assert text_tfm(again.dls).encoder.rules==Rules('strict')
    a,b = [again.classify(o)[['kind','rude']].to_numpy() for o in ('you are an idiot','you are an i.d.i.o.t')]
    np.testing.assert_allclose(a, b, atol=1e-6)

def test_default_rules():
    assert text_tfm(loaders(comments(48))).encoder.rules==Rules('light')
    with pytest.raises(ValueError, match="no preset is called 'lite'"): loaders(comments(48), rules='lite')

@pytest.mark.parametrize('read', [load_comments, labelled_frame, label_conflicts], ids=lambda o: o.__name__)
def test_text_in_three_columns(read):
    "Text stands in one column, or in two for pairs, and every door says so in the same words"
    df = pd.DataFrame(dict(title=['a','b'], body=['c','d'], reply=['e','f'], rude=[0,1]))
    with pytest.raises(ValueError, match=r"`text_col` names 3 columns \['title', 'body', 'reply'\]: expected one, or two for text pairs"):
        read(df, text_col=['title','body','reply'], label_cols='rude')
