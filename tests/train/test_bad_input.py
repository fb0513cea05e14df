"What cannot be trained on stops with a message that says what to do; what is only odd gets finite probabilities"
import os,re,shutil

import numpy as np,pandas as pd,pytest,torch
from datasets import Dataset
from fastai.data.all import CategoryBlock,ColReader,DataBlock,IndexSplitter,RandomSplitter,RegressionBlock
from fastai.learner import load_learner
from toxicai.data.loaders import *
from toxicai.labels import *
from toxicai.train.learner import *
from toxicai.test_utils import *
from toxicai.text.tokenizer import *

nan,ck = float('nan'),tiny_checkpoint()

def frame(**kwargs): return comments(48).assign(**kwargs)
def column(values): return pd.Series(list(values), dtype=object)
def at(col, row, value): return column(value if i==row else o for i,o in enumerate(frame()[col]))

def from_df(df, checkpoint=ck, bs=8, **kwargs): return ToxicityDataLoaders.from_df(df, checkpoint, bs=bs, **kwargs)
def learner(df, checkpoint=None, **kwargs): return toxicity_learner(from_df(df, **kwargs), checkpoint)
def from_block(df, block=CategoryBlock, x='text', y='label', splitter=None, bs=8, **kwargs):
    dblock = DataBlock(blocks=(TransformerTextBlock(ck, **kwargs), block), get_x=ColReader(x), get_y=ColReader(y), splitter=splitter or RandomSplitter(seed=1))
    return toxicity_learner(dblock.dataloaders(df, bs=bs))

def broken(path, name, content=None):
    "Copy of the tiny checkpoint in which the file `name` has `content`, or is gone"
    shutil.copytree(ck, path, dirs_exist_ok=True)
    if content is None: (path/name).unlink()
    else: (path/name).write_bytes(content)
    return path

def no_tokenizer(path):
    shutil.copytree(ck, path, dirs_exist_ok=True)
    for o in path.glob('*token*'): o.unlink()
    return path

# Each row: what is done in the empty folder `p`; the class of the error; what came, what was expected, what to do.
# Where fastai's own label blocks read a column the words are fastai's: there only that it stops, and at what.

bad_tables = {
    'missing text column': (lambda p: from_df(frame(), text_col='txt'), KeyError, "'txt'", "'text', 'label'", "did you mean 'text'"),
    'missing label column': (lambda p: from_df(frame(), label_cols='lable'), KeyError, "'lable'", "did you mean 'label'"),
    'one of several label columns missing': (lambda p: from_df(frame(), label_cols=['toxic','insults']), KeyError, "'insults'", "did you mean 'insult'"),
    'missing split column': (lambda p: from_df(frame(), valid_col='is_valid'), KeyError, "'is_valid'", "'text', 'label'"),
    'missing text column, DataBlock': (lambda p: from_block(frame(), x='txt'), KeyError, "'txt'", "did you mean 'text'"),
    'missing label column, DataBlock': (lambda p: from_block(frame(), y='lable'), KeyError, 'lable'),
    'empty frame': (lambda p: from_df(frame()[:0]), ValueError, 'no rows', 'expected at least two'),
    'empty frame, DataBlock': (lambda p: from_block(frame()[:0]), ValueError, 'no (rows|texts)|empty'),
    'one row': (lambda p: from_df(frame()[:1]), ValueError, "'label' has only 'rude'", 'two sides', 'add data'),
    'not a table': (lambda p: from_df('comments.csv'), TypeError, 'from a str', 'expected a frame'),
    'no label columns': (lambda p: from_df(frame(), label_cols=[]), ValueError, 'label_cols', 'expected'),
    'no text columns': (lambda p: from_df(frame(), text_col=[]), ValueError, 'text_col', 'expected'),
    'three text columns': (lambda p: from_df(frame(), text_col=['text','label','text']), ValueError, '3 columns', 'two for text pairs'),
    'two columns of one name': (lambda p: from_df(pd.concat([frame(), frame()[['text']]], axis=1)), ValueError, "'text'", 'twice|several|more than on|2 columns'),
    'a label column named twice': (lambda p: from_df(frame(), label_cols=['toxic','toxic']), ValueError, "'toxic'", 'twice|several|more than once|2 times')}

bad_labels = {
    'one value': (lambda p: from_df(frame(label='rude')), ValueError, "'label' has only 'rude' in 48 rows", 'two sides', 'add data or drop'),
    'one value of a number': (lambda p: from_df(frame(toxic=1), label_cols=['toxic','insult']), ValueError, "'toxic' has only 1", 'add data or drop'),
    'one value, DataBlock': (lambda p: from_block(frame(label='rude')), ValueError, 'rude', 'two'),
    'no label at all': (lambda p: from_df(frame(label=None)), ValueError, "'label' has no label at all", 'add data'),
    'a class of gaps only': (lambda p: from_df(frame(toxic=nan), label_cols=['toxic','insult']), ValueError, "'toxic' has no label at all"),
    'strings for numbers': (lambda p: from_df(frame(toxic=['never','often']*24), label_cols=['toxic','insult']), ValueError, "'toxic' holds 'never'", 'numbers are needed', "class names go into one column"), # yes and no are numbers, see test_words_for_numbers
    'one string for a number': (lambda p: from_df(frame(toxic=['0','1','x']*16), label_cols=['toxic','insult']), ValueError, "'toxic' holds 'x'", 'numbers are needed'),
    'a string after a gap': (lambda p: from_df(frame(toxic=[None,1,'x']*16), label_cols=['toxic','insult']), ValueError, "'toxic' holds 'x'", 'numbers are needed'),
    'strings for numbers, RegressionBlock': (lambda p: from_block(frame(), RegressionBlock), (TypeError,ValueError), "convert|kind|rude|'label'"),
    'gap in a CategoryBlock': (lambda p: from_block(frame(label=at('label', 3, nan))), (KeyError,ValueError), 'nan'),
    'numbers for names': (lambda p: from_df(frame(), label_cols='toxic', vocab=['kind','rude']), ValueError, r"labels \['0', '1'\] of \['toxic'\]", r"classes \['kind', 'rude'\]", r"`vocab`.*\{0: 'kind', 1: 'rude'\}"), # the reader of `load_comments`, whose words these are, knows a remedy
    'a name that vocab lacks': (lambda p: from_df(frame(), vocab=['kind','mean']), ValueError, "'rude'", "'mean'"),
    'numbers and names': (lambda p: from_df(frame(label=at('label', 3, 1))), ValueError, r"mixes numbers with 'rude' \(row 0 of the frame\)", 'same type'), # now with the row
    'beyond 1': (lambda p: from_df(frame(toxic=[0,1,3]*16), label_cols=['toxic','insult']), ValueError, "'toxic' goes from 0 to 3", r'share in \[0,1\]', 'RegressionBlock'),
    'below 0': (lambda p: from_df(frame(toxic=[0,1,-1]*16), label_cols=['toxic','insult']), ValueError, 'from -1 to 1', r'share in \[0,1\]'),
    'infinite': (lambda p: from_df(frame(toxic=[0,1,np.inf]*16), label_cols=['toxic','insult']), ValueError, 'to inf', r'share in \[0,1\]'),
    'a string among lists': (lambda p: from_df(frame(tags=[['a'],['b'],'spam',[]]*12), label_cols='tags'), (TypeError,ValueError), "'tags' mixes \\['a'\\] with other types", 'same type'), # as for every column whose values do not go together
    'more texts than labels': (lambda p: ToxicityDataLoaders.from_lists(['a','b','c'], ['x','y'], ck), ValueError, '3 texts and 2 labels', 'one label for each'),
    'empty lists': (lambda p: ToxicityDataLoaders.from_lists([], [], ck), ValueError, 'no rows', 'at least two')}

bad_texts = {
    'None': (lambda p: from_df(frame(text=at('text', 7, None))), TypeError, '1 of 48', 'row 7: None', 'expected `str`', 'dropna'),
    'NaN': (lambda p: from_df(frame(text=at('text', 7, nan))), TypeError, 'row 7: nan', 'expected `str`', 'dropna'),
    'number': (lambda p: from_df(frame(text=at('text', 7, 3.5))), TypeError, 'row 7: 3.5', 'expected `str`', r'astype\(str\)'),
    'column of numbers': (lambda p: from_df(frame(), text_col='toxic'), TypeError, '48 of 48', 'row 0: 1, row 1: 0', r'astype\(str\)'),
    'bytes': (lambda p: from_df(frame(text=at('text', 0, b'abc'))), TypeError, "row 0: b'abc'", 'expected `str`'),
    'list': (lambda p: from_df(frame(text=at('text', 2, ['a']))), TypeError, r"row 2: \['a'\]", 'expected `str`'),
    'a pair with a gap': (lambda p: from_df(frame(b=at('text', 9, None)), text_col=['text','b']), TypeError, 'row 9: None', 'expected `str`'),
    'name of the row': (lambda p: from_df(frame(text=at('text', 7, None)).set_index(pd.Index([f'r{i}' for i in range(48)]))), TypeError, 'row r7: None'),
    'None, DataBlock': (lambda p: from_block(frame(text=at('text', 7, None))), TypeError, 'row 7: None', 'expected `str`'),
    'NaN, DataBlock': (lambda p: from_block(frame(text=at('text', 7, nan))), TypeError, 'row 7: nan', 'expected `str`'),
    'number, DataBlock': (lambda p: from_block(frame(), x='toxic'), TypeError, 'row \\d+: (np.int64\\()?[01]', r'astype\(str\)'),
    'None, lists': (lambda p: ToxicityDataLoaders.from_lists(['a',None], ['x','y'], ck), TypeError, 'row 1: None', 'expected `str`')}

bad_checkpoints = {
    'unknown': (lambda p: from_df(frame(), 'nobody/no-such-model'), OSError, "'nobody/no-such-model' is neither a folder nor a name", 'check the spelling'),
    'impossible name': (lambda p: from_df(frame(), 'no such model'), OSError, "'no such model' is neither a folder nor a name"),
    'no such folder': (lambda p: from_df(frame(), p/'none'), OSError, 'neither a folder nor a name'),
    'unknown, model only': (lambda p: learner(frame(), 'nobody/no-such-model'), OSError, "'nobody/no-such-model' is neither a folder nor a name"),
    'number': (lambda p: from_df(frame(), 7), TypeError, 'int', 'expected a Hub name, a folder or a tokenizer'),
    'empty folder': (lambda p: from_df(frame(), p), ValueError, 'has no tokenizer', r'save_pretrained\(folder\)'),
    'no tokenizer': (lambda p: from_df(frame(), no_tokenizer(p/'x')), ValueError, 'has no tokenizer', r"'config.json'", r'save_pretrained\(folder\)'),
    'tokenizer without vocabulary': (lambda p: from_df(frame(), broken(p, 'tokenizer.json')), (OSError,ValueError), 'tokenizer'),
    'damaged tokenizer': (lambda p: from_df(frame(), broken(p, 'tokenizer.json', b'{')), (OSError,ValueError), 'could not be read', 'folder'),
    'damaged tokenizer settings': (lambda p: from_df(frame(), broken(p, 'tokenizer_config.json', b'{')), (OSError,ValueError), 'could not be read', 'folder'),
    'no UTF-8 in the settings': (lambda p: from_df(frame(), broken(p, 'tokenizer_config.json', b'\xff\xfe')), (OSError,ValueError), 'could not be read', 'folder'),
    'damaged configuration': (lambda p: learner(frame(), broken(p, 'config.json', b'{')), OSError, 'could not be read', 'config.json'),
    'no weights': (lambda p: learner(frame(), broken(p, 'model.safetensors')), OSError, 'could not be read', 'model.safetensors'),
    'damaged weights': (lambda p: learner(frame(), broken(p, 'model.safetensors', b'abc')), (OSError,ValueError), 'could not be read', 'folder'),
    'tokenizer object without a name': (lambda p: toxicity_learner(from_df(frame(), tiny_tokenizer(), max_length=64)), ValueError, 'tokenizer', 'checkpoint'),
    'tokenizer of another model': (lambda p: toxicity_learner(from_df(frame(), max_length=64), big_vocab(p)), ValueError, r'tokenizer has \d+ tokens, the network 5,000', 'same checkpoint', 'resize_token_embeddings'),
    'too many tokens': (lambda p: learner(frame(), big_vocab(p, 20)), ValueError, 'the network 20', 'same checkpoint')}

def big_vocab(path, n=5000):
    "Checkpoint of a network with `n` tokens"
    from transformers import AutoConfig,AutoModel
    config = AutoConfig.from_pretrained(ck)
    config.vocab_size,config.pad_token_id = n,0
    AutoModel.from_config(config).save_pretrained(path)
    tiny_tokenizer().save_pretrained(path)
    return path

bad_numbers = {
    'max_length beyond the model': (lambda p: learner(frame(), max_length=129), ValueError, 'max_length=129', 'beyond the 128 tokens', 'max_length=128` or less'),
    'max_length beyond the model, DataBlock': (lambda p: from_block(frame(), max_length=500), ValueError, 'max_length=500', 'beyond the 128'),
    'max_length without room': (lambda p: from_df(frame(), max_length=2), ValueError, 'is 2', 'above the 2 that frame'),
    'max_length of a pair without room': (lambda p: from_df(frame(), text_col=['text','label'], max_length=3), ValueError, '3', 'frame a (text|pair)'),
    'max_length as a string': (lambda p: from_df(frame(), max_length='128'), ValueError, "'128'", 'expected a number of tokens'),
    'unknown cut': (lambda p: from_df(frame(), cut='middle'), ValueError, "'middle'", "'head', 'tail', 'head_tail'"),
    'unknown argument': (lambda p: from_df(frame(), max_len=64), TypeError, 'max_len'),
    'valid_pct 0': (lambda p: from_df(frame(), valid_pct=0), ValueError, 'is 0', 'between 0 and 1'),
    'valid_pct in percent': (lambda p: from_df(frame(), valid_pct=20), ValueError, 'is 20', 'between 0 and 1'),
    'valid_pct that leaves no training': (lambda p: from_df(frame(text=[f'{o} {i}' for i,o in enumerate(frame().text)]), valid_pct=.999), ValueError, '0.999|training split is empty', 'valid_pct'),
    'valid_col without validation': (lambda p: from_df(frame(v=False), valid_col='v'), ValueError, 'validation split is empty', 'check `valid_col`'),
    'valid_col without training': (lambda p: from_df(frame(v=True), valid_col='v'), ValueError, 'training split is empty', 'check `valid_col`'),
    'valid_col with odd words': (lambda p: from_df(frame(v=['train','maybe']*24), valid_col='v'), ValueError, r"holds \['maybe'\]", 'train, training'),
    'valid_col with a gap': (lambda p: from_df(frame(v=column([True,False,None]*16)), valid_col='v'), ValueError, "'v' is empty in 16 rows", 'every row'),
    'splitter without validation': (lambda p: from_df(frame(), splitter=IndexSplitter([])), ValueError, 'validation split is empty', 'splitter'),
    'no validation, DataBlock': (lambda p: from_block(frame(), splitter=IndexSplitter([])), ValueError, 'validation set is empty', 'change the splitter'),
    'no training, DataBlock': (lambda p: from_block(frame(), splitter=IndexSplitter(list(range(48)))), ValueError, 'training (set|split) is empty', 'splitter'),
    'bs beyond the data': (lambda p: from_df(frame(), bs=500), ValueError, 'a batch of 500 is more than the 40 training texts', 'pass `bs=10` or less'),
    'bs one beyond the data': (lambda p: from_df(frame(), bs=41), ValueError, 'a batch of 41', 'pass `bs=10` or less'),
    'bs beyond the data, DataBlock': (lambda p: from_block(frame(), bs=500), ValueError, 'a batch of 500 is more than the 39', 'pass `bs='),
    'bs 0': (lambda p: from_df(frame(), bs=0), ValueError, 'bs', '0', 'expected'),
    'bs below 0': (lambda p: from_df(frame(), bs=-1), ValueError, 'bs', '-1', 'expected'),
    'bs as a float': (lambda p: from_df(frame(), bs=8.), (TypeError,ValueError), 'bs', '8.0', 'expected')}

good_csv = frame().to_csv(index=False)

def from_csv(path, content, **kwargs):
    (path/'a.csv').write_bytes(content)
    return ToxicityDataLoaders.from_csv(path/'a.csv', ck, bs=8, **kwargs)

bad_files = {
    'empty': (lambda p: from_csv(p, b''), ValueError, "a.csv' is empty", 'expected a header line'),
    'header only': (lambda p: from_csv(p, b'text,label\n'), ValueError, 'no rows', 'expected'),
    'Latin-1': (lambda p: from_csv(p, good_csv.replace('the', 'thé').encode('latin-1')), ValueError, 'byte 0xe9', 'is not utf-8', "encoding='cp1252'"),
    'UTF-16 without a mark': (lambda p: from_csv(p, good_csv.encode('utf-16-le')), ValueError, 'full of NUL', 'utf-16-le'),
    'binary': (lambda p: from_csv(p, bytes(range(256))), ValueError, 'is not utf-8', 'encoding='),
    'wrong delimiter asked for': (lambda p: from_csv(p, good_csv.encode(), delimiter=';'), (KeyError,ValueError), 'text,label', 'delimiter'),
    'ragged': (lambda p: from_csv(p, (good_csv+'a,b,c,d,e,f\n').encode()), ValueError, 'row 48 has 6', 'quote texts that contain the delimiter'),
    'near name': (lambda p: from_csv(p, good_csv.replace('text', 'Text', 1).encode()), KeyError, "'text'", "did you mean 'Text'"),
    'unknown encoding': (lambda p: from_csv(p, good_csv.encode(), encoding='utf9'), (LookupError,ValueError), 'utf9'),
    'no such file': (lambda p: ToxicityDataLoaders.from_csv(p/'none.csv', ck), FileNotFoundError, 'none.csv')}

bad_rows = {f'{sort}: {name}':row for sort,rows in dict(table=bad_tables, labels=bad_labels, texts=bad_texts, checkpoint=bad_checkpoints,
            numbers=bad_numbers, file=bad_files).items() for name,row in rows.items()}

@pytest.mark.parametrize('name', bad_rows)
def test_bad_input(name, tmp_path):
    "Loaders and learner are made, nothing is trained: the error has to come by then, of the right class, with all that it must say"
    do,error,*parts = bad_rows[name]
    with pytest.raises(error) as e: do(tmp_path)
    missing = [o for o in parts if not re.search(o, str(e.value))]
    assert not missing, f"{missing} not in: {e.value}"

def test_classes_missing_in_validation():
    "A class that only the training rows have is a warning that names it"
    with pytest.warns(UserWarning, match='no validation text has the class rare'): learner(frame(label=at('label', 0, 'rare')), seed=1)

def test_class_missing_in_validation_multi():
    with pytest.warns(UserWarning, match='no validation text has the class threat'): learner(frame(threat=[1]+[0]*47), label_cols=['toxic','threat'], seed=1)

# New data

@pytest.fixture(scope='module')
def learn(): return learner(frame())

new_bad = {
    'None': (None, TypeError, 'None'), 'number': (5, TypeError, '5'), 'NaN': (nan, TypeError, 'nan'), 'bytes': (b'abc', TypeError, 'abc'),
    'pair': (('a','b'), ValueError, "got pairs of texts.*made from \\['text'\\]"), 'wrong key': ({'txt':'a'}, KeyError, "no column 'text'")}

@pytest.mark.parametrize('name', new_bad)
@pytest.mark.parametrize('verb', ['predict','classify'])
def test_bad_new_text(learn, verb, name):
    text,error,message = new_bad[name]
    with learn.no_bar(), pytest.raises(error, match=message) as e: getattr(learn, verb)(text)
    assert 'has no len' not in str(e.value) and 'not iterable' not in str(e.value)

def test_bad_new_row(learn):
    with pytest.raises(TypeError, match=r'1 of 3 texts are not text \(row 1: None\)'): learn.classify(['a',None,'b'])

new_good = {'list': lambda t: t, 'tuple of three': tuple, 'array': np.array, 'Series': pd.Series, 'named Series': lambda t: pd.Series(t, name='text'),
            'frame': lambda t: pd.DataFrame({'text':t}), 'dicts': lambda t: [{'text':o} for o in t], 'Dataset': lambda t: Dataset.from_dict({'text':t})}

@pytest.mark.parametrize('name', new_good)
def test_new_data(learn, name):
    "Whatever holds the texts, they get the same table"
    texts = ['you are an idiot', 'thank you', '']
    expected,res = learn.classify(texts),learn.classify(new_good[name](texts))
    assert res.text.tolist()==texts
    np.testing.assert_array_equal(res[['kind','rude']], expected[['kind','rude']])

def test_no_new_data(learn): assert learn.classify([]).shape==learn.classify(frame()[:0]).shape==(0,3)

# Odd but legal texts

odd_texts = {'empty': '', 'blanks': ' \t\n ', 'emoji': '😀👍🏽 👨\u200d👩\u200d👧', 'right to left': 'مرحبا بالعالم שלום', 'zero width': '\u200b\u200c\u200d\ufeff',
    'zero width inside': 'id\u200biot', 'lone high surrogate': '\ud83d idiot', 'lone low surrogate': 'idiot \ude00', 'split pair': '\ud83d\ude00',
    'NUL and controls': '\0\x07\x85\u2028\r', 'marks': 'e'+'\u0301'*1000, 'special tokens': '[CLS] [SEP] [PAD] </s> <s>', 'null words': 'None nan NA null',
    'a megabyte of words': 'you are an idiot '*61681, 'a megabyte without a blank': 'a'*2**20}

@pytest.fixture(scope='module', params=['bert','gpt2','roberta','t5','xlnet'])
def any_learn(request):
    df = frame()
    return toxicity_learner(ToxicityDataLoaders.from_df(df, tiny_checkpoint(request.param), bs=8, max_length=64))

def check_probs(probs, n=1):
    probs = np.asarray(probs, dtype=float).reshape(n, -1)
    assert np.isfinite(probs).all() and ((probs>=0) & (probs<=1)).all()
    np.testing.assert_allclose(probs.sum(1), 1, atol=1e-5)

@pytest.mark.filterwarnings('ignore:.*longer than `max_length')
@pytest.mark.parametrize('name', odd_texts)
def test_odd_predict(learn, name):
    with learn.no_bar(): label,idx,probs = learn.predict(odd_texts[name])
    assert label in ('kind','rude') and probs.shape==(2,)
    check_probs(probs)

@pytest.mark.filterwarnings('ignore:.*longer than `max_length')
def test_odd_classify(any_learn):
    "All together; each row as if it were alone (1e-5: padding changes sums in their last digits)"
    texts = list(odd_texts.values())
    res = any_learn.classify(texts)
    assert res.text.tolist()==texts
    check_probs(res[['kind','rude']], len(texts))
    for i in range(0, len(texts), 4): np.testing.assert_allclose(any_learn.classify(texts[i])[['kind','rude']], res[['kind','rude']].iloc[[i]], atol=1e-5)

@pytest.mark.filterwarnings('ignore:.*longer than `max_length')
@pytest.mark.parametrize('source', ['frame','lists','lazy'])
def test_odd_train(source):
    "As training and validation rows: the loss stays finite"
    texts = [*odd_texts.values(), *frame().text][:48]
    if source=='lists': dls = ToxicityDataLoaders.from_lists(texts, frame().label, ck, bs=8, max_length=64)
    else: dls = from_df(frame(text=column(texts)), max_length=64, lazy=source=='lazy')
    learn = toxicity_learner(dls, precision='fp32')
    with learn.no_bar(), learn.no_logging(): learn.fit(1)
    assert np.isfinite(learn.recorder.values[0]).all() and all(p.isfinite().all() for p in learn.model.parameters())
    assert len(dls.train_ds)+len(dls.valid_ds)==48

def test_surrogates_joined(learn):
    "A split pair is the character it stands for, a lone half is U+FFFD"
    probs = learn.classify(['a 😀', 'a \ud83d\ude00', 'a \ufffd', 'a \ud83d'])[['kind','rude']].to_numpy()
    np.testing.assert_array_equal(probs[0], probs[1])
    np.testing.assert_array_equal(probs[2], probs[3])

# Files that are right

def texts_of(dls):
    "All texts of `dls`, training rows first"
    return sorted(o for ds in (dls.train_ds, dls.valid_ds) for o in ds.items.iloc[:,0])

csv_good = {'plain': (good_csv.encode(), {}), 'byte order mark': (good_csv.encode('utf-8-sig'), {}), 'CRLF': (good_csv.replace('\n', '\r\n').encode(), {}),
    'Latin-1': (good_csv.encode('latin-1'), dict(encoding='latin-1')), 'UTF-16': (good_csv.encode('utf-16'), dict(encoding='utf-16')),
    'tabs': (frame().to_csv(index=False, sep='\t').encode(), dict(delimiter='\t')), 'tabs, found': (frame().to_csv(index=False, sep='\t').encode(), {}),
    'semicolons, found': (frame().to_csv(index=False, sep=';').encode(), {}), 'UTF-16, found': (good_csv.encode('utf-16'), {})}

@pytest.mark.parametrize('name', csv_good)
def test_csv(name, tmp_path):
    content,kwargs = csv_good[name]
    dls = from_csv(tmp_path, content, **kwargs)
    assert texts_of(dls)==sorted(frame().text) and dls.vocab==['kind','rude']

def test_csv_words_of_pandas(tmp_path):
    "People write 'None' and 'null': in the text column these are words, not gaps"
    dls = from_csv(tmp_path, (good_csv+'None,kind,0,0\nnull,rude,1,1\nNA,kind,0,0\nnan,kind,0,0\n').encode())
    assert {'None','null','NA','nan'}<=set(texts_of(dls))

def test_csv_numbers_as_text(tmp_path):
    "A comment of digits stays the text it is, with its zeros"
    rows = ''.join(f'00{i},{["kind","rude"][i%2]}\n' for i in range(40))
    assert '000' in texts_of(from_csv(tmp_path, ('text,label\n'+rows).encode()))

# Frames of other kinds

label_dtypes = {'category': lambda s: s.astype('category'), 'string': lambda s: s.astype('string'), 'object': lambda s: s.astype(object),
                'pyarrow': lambda s: s.astype(pd.ArrowDtype(pytest.importorskip('pyarrow').string()))}

@pytest.mark.parametrize('name', label_dtypes)
def test_text_and_label_dtypes(name):
    f = label_dtypes[name]
    dls = from_df(frame(text=f(frame().text), label=f(frame().label)))
    assert dls.vocab==['kind','rude'] and texts_of(dls)==sorted(frame().text)
    assert {int(o) for o in dls.valid.one_batch()[1]}=={0,1}

flag_dtypes = ['bool','boolean','int8','Int64','UInt8','float32','Float64','category','object','bool[pyarrow]','int64[pyarrow]','double[pyarrow]']

@pytest.mark.parametrize('dtype', flag_dtypes)
def test_flag_dtypes_single(dtype):
    "One column of flags is one class with the name of the column, as in `load_comments`; it was two classes, '0' and '1'"
    df = frame(flag=frame().toxic.astype(bool if dtype in ('bool','boolean','bool[pyarrow]') else int).astype(dtype))
    dls = from_df(df, label_cols='flag')
    assert dls.vocab==['flag'] and dls.labels==LabelSet(['flag'])
    assert [int(dls.train_ds[i][1]) for i in range(5)]==[int(o) for o in df.loc[dls.train_ds.items.index[:5], 'toxic']]

def test_words_for_numbers():
    "Yes and no are 1 and 0 in several columns too"
    dls = from_df(frame(toxic=['yes','no']*24), label_cols=['toxic','insult'])
    assert [float(dls.train_ds[i][1][0]) for i in range(5)]==[float(o=='yes') for o in dls.train_ds.items.index[:5].map(lambda i: ['yes','no'][i%2])]

@pytest.mark.parametrize('dtype', ['boolean','Int64','Float64','object','bool[pyarrow]','int64[pyarrow]','double[pyarrow]'])
def test_flag_dtypes_multi(dtype):
    "Several columns: a gap stays a gap whatever pandas calls it"
    flag = frame().toxic.astype(bool if 'bool' in dtype else int).astype(dtype).where(frame().index!=3, None)
    dls = from_df(frame(flag=flag), label_cols=['flag','insult'])
    targs = {i: dls.train_ds[k][1] for k,i in enumerate(dls.train_ds.items.index)} | {i: dls.valid_ds[k][1] for k,i in enumerate(dls.valid_ds.items.index)}
    assert targs[3][0].isnan() and not targs[3][1].isnan()
    assert [float(targs[i][0]) for i in range(48) if i!=3]==[float(o) for i,o in enumerate(frame().toxic) if i!=3]

@pytest.mark.parametrize('dtype', ['float64','Float64','double[pyarrow]','float32'])
def test_share_alone(dtype):
    "One column of shares is one class with soft labels, from the loaders to a finite loss"
    dls = from_df(frame(share=(frame().toxic*.6+.2).astype(dtype)), label_cols='share')
    y = dls.valid.one_batch()[1]
    assert y.shape==(8,1) and set(np.round(y.unique().tolist(), 3))=={.2,.8}
    assert np.isfinite(toxicity_learner(dls, precision='fp32').validate()[0])

tags = [['a'],['b'],[],['a','b']]*11
tag_gaps = {'None': None, 'NaN': nan, 'NA': pd.NA}

@pytest.mark.parametrize('name', tag_gaps)
def test_tags_with_gap_first(name):
    dls = from_df(frame(tags=column([tag_gaps[name]]*4+tags)), label_cols='tags', splitter=IndexSplitter([0,1,2,3,4,5,6,7]), bs=8)
    assert dls.vocab==['a','b']
    assert dls.valid_ds[0][1].isnan().all() and dls.valid_ds[4][1].tolist()==[1,0]

def test_duplicate_index():
    "Rows that share an index label stay apart"
    dls = from_df(frame().set_index(np.arange(48)//16))
    assert texts_of(dls)==sorted(frame().text)
    assert len(dls.train_ds)==40 and len(dls.valid_ds)==8 # 24 texts, each twice, which stay together

def test_frame_unchanged():
    df = frame(toxic=frame().toxic.astype(float))
    before,texts = df.copy(deep=True),df.text
    from_df(df, label_cols=['toxic','insult'])
    pd.testing.assert_frame_equal(df, before)
    assert df.text.equals(texts)

def test_polars():
    pl = pytest.importorskip('polars')
    dls = from_df(pl.DataFrame(frame().to_dict('list')))
    assert dls.vocab==['kind','rude'] and texts_of(dls)==sorted(frame().text)

def test_pyarrow_table():
    pa = pytest.importorskip('pyarrow')
    assert texts_of(from_df(pa.table(frame().to_dict('list'))))==sorted(frame().text)

# Export

def check_usable(learn, folder):
    "Nothing lies in `folder`, and the learner can still do everything"
    assert list(folder.iterdir())==[]
    with learn.no_bar(), learn.no_logging():
        assert len(learn.dls.train_ds) and learn.predict('thank you')[0] in ('kind','rude')
        learn.fit(1)

@pytest.fixture
def own_learn(tmp_path):
    (tmp_path/'out').mkdir()
    return learner(frame(), path=tmp_path/'out')

def test_export_read_only(own_learn, tmp_path):
    if os.geteuid()==0: pytest.skip('root may write into read-only folders')
    (tmp_path/'out').chmod(0o500)
    with pytest.raises(PermissionError, match='out'): own_learn.export()
    (tmp_path/'out').chmod(0o700)
    check_usable(own_learn, tmp_path/'out')

def test_export_full_disk(own_learn, tmp_path, monkeypatch):
    "A write that fails half-way leaves no file"
    def _half(obj, f, **kwargs):
        with open(f, 'wb') as o: o.write(b'half')
        raise OSError(28, 'No space left on device')
    with monkeypatch.context() as m:
        m.setattr(torch, 'save', _half)
        with pytest.raises(OSError, match='No space left'): own_learn.export()
    check_usable(own_learn, tmp_path/'out')

def test_export_keeps_the_old_file(own_learn, tmp_path, monkeypatch):
    "An export that fails leaves the earlier one as it was"
    own_learn.export()
    before = (tmp_path/'out/export.pkl').read_bytes()
    monkeypatch.setattr(torch, 'save', lambda *args, **kwargs: (_ for _ in ()).throw(OSError(28, 'No space left on device')))
    with pytest.raises(OSError): own_learn.export()
    assert (tmp_path/'out/export.pkl').read_bytes()==before and len(list((tmp_path/'out').iterdir()))==1
    assert load_learner(tmp_path/'out/export.pkl').dls.vocab==['kind','rude']

def test_export_unpicklable(own_learn, tmp_path):
    "What pickle cannot write fails, and leaves nothing"
    own_learn.odd = (o for o in 'ab')
    with pytest.raises(TypeError, match='generator'): own_learn.export()
    del own_learn.odd
    check_usable(own_learn, tmp_path/'out')

def test_export_into_a_file(own_learn, tmp_path):
    (tmp_path/'out/a').touch()
    with pytest.raises((NotADirectoryError,FileExistsError)): own_learn.export('a/export.pkl')
    (tmp_path/'out/a').unlink()
    check_usable(own_learn, tmp_path/'out')
